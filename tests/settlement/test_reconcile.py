"""Findings are made of values alone: each is shown with the near miss that must not be named."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from canteen.settlement.closing import checks
from canteen.settlement.closing.checks import LimitUse, Link, Paid, PricedShare, SalePrice, Sold

DAY = date(2026, 10, 14)
FIRST, LAST = date(2026, 10, 1), date(2026, 10, 31)
OWN = ("input", "book")
CITY = PricedShare("city", "subsidy", "aged", 500)
STREET = PricedShare("street", "subsidy", "eighty", 200)


def priced(*parts: PricedShare, list_fen: int = 1200) -> SalePrice:
    return SalePrice(list_fen, list_fen - sum(part.fen for part in parts), parts)


def sold(number: str = "s1", **changes: object) -> Sold:
    whole = Sold(
        id=number,
        elder="li",
        day=DAY,
        tablet_day=DAY,
        skew_ms=0,
        flags=(),
        priced=priced(CITY, STREET),
        own=OWN,
        voided=False,
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def use(sale: str, arrival: int, *, granted: int = 1, **changes: object) -> LimitUse:
    whole = LimitUse(
        sale=sale, person="li", allowance="meal_guard", window="20740/lunch", unit="meal", limit=1, asked=1, granted=granted,
        day=DAY, rules=("aged",), arrival=arrival, left=None,
    )  # fmt: skip
    return replace(whole, **changes)  # type: ignore[arg-type]


def link(number: int, day: date = DAY, *, digest: str = "", previous: str = "", tablet: str = "t1") -> Link:
    return Link(tablet, 1, number, digest or f"h{number}", previous or f"h{number - 1}", day)


def codes(findings: object) -> list[str]:
    return [finding.code for finding in findings]  # type: ignore[attr-defined]


# --- price ---


def test_a_price_other_than_ours_is_named_with_both_figures():
    ours = priced(replace(CITY, fen=300), STREET)

    (found,) = checks.of_prices([sold()], {OWN: ours}, {})

    assert (found.code, found.subject, found.fen) == ("price_differs", "sale:s1", 200)
    assert found.body["due"] == [500, 700]
    assert found.body["sold"] == {"city": 500, "street": 200}
    assert found.body["ours"] == {"city": 300, "street": 200}


def test_an_under_claim_is_named_too_with_fen_below_zero():
    (found,) = checks.of_prices([sold(priced=priced(STREET))], {OWN: priced(CITY, STREET)}, {})

    assert found.fen == -500


def test_the_same_price_by_another_rule_of_a_fund_is_not_named():
    other_rule = priced(replace(CITY, rule="aged_v2"), STREET)

    assert not list(checks.of_prices([sold()], {OWN: other_rule}, {}))


def test_a_voided_sale_is_not_compared():
    assert not list(checks.of_prices([sold(voided=True)], {OWN: priced()}, {}))


def test_a_sale_that_our_books_cannot_price_is_named():
    (found,) = checks.of_prices([sold()], {OWN: None}, {})

    assert (found.code, found.fen, found.body) == ("price_differs", 700, {"ours": None})


def test_an_excess_meal_is_not_named_a_second_time_for_its_price():
    ours_at_full_price = priced(STREET)
    excess = {"s1": frozenset({"aged"})}

    assert not list(checks.of_prices([sold()], {OWN: ours_at_full_price}, excess))
    assert codes(checks.of_prices([sold()], {OWN: priced()}, excess)) == ["price_differs"]


# --- slots ---


def named(*uses: LimitUse, clusters: dict[str, str] | None = None) -> dict[str, dict[str, object]]:
    found = checks.excess(uses, clusters or {})
    prices = {one.sale: priced(CITY, STREET) for one in uses if one.left is None}
    return {f.sale or "": f.body["uses"][0] | {"fen": f.fen} for f in checks.of_uses(found, prices)}  # type: ignore[index,operator]


def test_a_second_meal_is_excess_and_names_the_first_sale():
    found = named(use("s1", 16), use("s2", 32, granted=0))

    assert list(found) == ["s2"]
    assert found["s2"]["used_by"] == ["s1"]
    assert found["s2"]["fits_now"] is False
    assert found["s2"]["fen"] == 500


def test_a_subsidy_on_two_full_limits_is_counted_once():
    daily = {"allowance": "city.daily", "window": "20740"}
    uses = [use("s1", 16), use("s1", 16, **daily), use("s2", 32, granted=0), use("s2", 32, granted=0, **daily)]

    assert named(*uses)["s2"]["fen"] == 500


def test_two_meals_in_two_periods_are_no_excess():
    assert not named(use("s1", 16), use("s2", 32, window="20740/dinner"))


def test_an_excess_meal_whose_holder_was_voided_would_fit_now():
    found = named(use("s1", 16, left=48), use("s2", 32, granted=0))

    assert found["s2"]["fits_now"] is True
    assert found["s2"]["used_by"] == []


def test_of_two_excess_meals_only_the_first_fits_a_freed_slot():
    found = named(use("s1", 16, left=64), use("s3", 48, granted=0), use("s2", 32, granted=0))

    assert (found["s2"]["fits_now"], found["s3"]["fits_now"]) == (True, False)


def test_a_meal_bought_again_after_a_void_is_no_excess():
    assert not named(use("s1", 16, left=32), use("s2", 48))


def test_a_use_refused_while_there_was_room_is_no_excess():
    assert not named(use("s1", 16, granted=0))


def test_lunch_and_dinner_of_one_civil_day_share_a_day_allowance():
    lunch = use("s1", 16, unit="day", window="20727", limit=2)
    dinner = replace(lunch, sale="s2", arrival=32)
    third_day = replace(lunch, sale="s3", arrival=64, day=date(2026, 10, 16), granted=0)
    second_day = replace(lunch, sale="s4", arrival=48, day=date(2026, 10, 15))

    assert list(named(lunch, dinner, second_day, third_day)) == ["s3"]


def test_a_day_that_two_ids_of_one_elder_used_counts_once():
    lunch = use("s1", 16, unit="day", window="20727", limit=1)
    dinner = replace(lunch, sale="s2", arrival=32, person="li-again")

    assert not named(lunch, dinner, clusters={"li-again": "li"})


def test_an_amount_allowance_names_what_was_not_granted():
    first = use("s1", 16, unit="fen", limit=600, asked=500, granted=500)
    second = replace(first, sale="s2", arrival=32, granted=100)

    assert named(first, second)["s2"]["fen"] == 400


def test_after_a_merge_the_later_of_two_meals_is_named():
    meals = (use("s1", 16), use("s2", 32, person="li-again"))

    assert not named(*meals)
    found = named(*meals, clusters={"li-again": "li"})
    assert list(found) == ["s2"]
    assert found["s2"]["beyond"] is True


def test_excess_at_another_canteen_is_not_named_here():
    found = checks.excess([use("s1", 16), use("elsewhere", 32, granted=0)], {})

    assert not list(checks.of_uses(found, {"s1": priced(CITY)}))


# --- clocks, deaths, payments ---


@pytest.mark.parametrize(("skew_ms", "expected"), [(300_000, []), (300_001, ["clock"]), (-300_001, ["clock"])])
def test_a_clock_more_than_five_minutes_off_is_named(skew_ms: int, expected: list[str]):
    assert codes(checks.of_clocks([sold(skew_ms=skew_ms)])) == expected


def test_a_tablet_that_stated_another_day_is_named():
    assert codes(checks.of_clocks([sold(tablet_day=date(2026, 10, 15))])) == ["clock"]


@pytest.mark.parametrize(("died", "expected"), [(date(2026, 10, 13), ["after_death"]), (DAY, [])])
def test_a_meal_after_the_day_of_death_is_named_not_on_it(died: date, expected: list[str]):
    assert codes(checks.of_deaths([sold()], {"li": died})) == expected


def test_a_guest_has_no_day_of_death():
    assert not list(checks.of_deaths([sold(elder=None)], {"li": date(2026, 1, 1)}))


@pytest.mark.parametrize("wrong", ["due", "tendered", "fen", "sold"])
def test_a_payment_that_is_not_its_due_is_named(wrong: str):
    paid = Paid(id="p1", due=500, tendered=500, fen=500, sold=500, sales=("s1",))

    assert not list(checks.of_payments([paid]))
    assert codes(checks.of_payments([replace(paid, **{wrong: 501})])) == ["payment_differs"]


# --- chains ---


def chain(*links: Link, starts: dict[tuple[str, int], int] | None = None) -> list[tuple[str, str]]:
    return [(f.code, f.subject) for f in checks.of_chain(links, FIRST, LAST, starts)]


def test_a_whole_chain_has_neither_gap_nor_fork():
    assert not chain(link(1), link(2), link(3))


def test_a_run_of_missing_numbers_is_one_gap_named_by_its_first():
    (found,) = checks.of_chain([link(1), link(5, previous="h4")], FIRST, LAST)

    assert (found.code, found.subject) == ("gap", "tablet:t1/1/2")
    assert (found.body["from"], found.body["to"]) == (2, 4)


def test_numbers_missing_before_the_first_known_one_are_a_gap():
    assert chain(link(3)) == [("gap", "tablet:t1/1/1")]


def test_a_chain_given_from_a_later_number_has_no_gap_before_it():
    assert not chain(link(7), link(8), starts={("t1", 1): 7})


def test_a_gap_wholly_before_the_period_is_not_named():
    september = date(2026, 9, 20)

    assert not chain(link(1, september), link(3, september, previous="h2"), link(4))


def test_a_gap_over_the_turn_of_the_month_belongs_to_both():
    assert chain(link(1, date(2026, 9, 30)), link(3, date(2026, 10, 1), previous="h2")) == [("gap", "tablet:t1/1/2")]


def test_two_records_with_one_number_are_a_fork():
    assert chain(link(1), link(2), link(2, digest="other")) == [("fork", "tablet:t1/1/2")]


def test_a_record_that_does_not_follow_the_one_before_is_a_fork():
    assert chain(link(1), link(2, previous="unknown")) == [("fork", "tablet:t1/1/2")]


def test_after_a_fork_either_branch_may_go_on():
    assert chain(link(1), link(2), link(2, digest="other"), link(3, previous="other")) == [("fork", "tablet:t1/1/2")]


def test_findings_have_one_order():
    clock = checks.Finding("clock", "sale:b", "b", 1)
    price = checks.Finding("price_differs", "sale:c", "c", 1)
    earlier = checks.Finding("clock", "sale:a", "a", 1)

    assert checks.ordered([clock, price, earlier]) == [price, earlier, clock]


def test_a_sale_without_the_right_is_named_unless_voided() -> None:
    flagged = ("clock", "cashier_no_right")
    found = list(checks.of_sellers([sold(), sold("s2", flags=flagged), sold("s3", flags=flagged, voided=True)]))
    assert [(one.code, one.sale, dict(one.body)) for one in found] == [
        ("seller", "s2", {"flags": ["cashier_no_right"]})
    ]
