"""Every kind of limit through the real checkout: what may be claimed never passes it, whatever was quoted before."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, places
from canteen.db import transaction
from canteen.ledger import transfers
from canteen.pos.models import AmountUsed, SaleUse, Slot
from canteen.registry import elders
from tests import world
from tests.pos.books import book
from tests.rigs.states import state
from tests.world import NOON, World

FEN = "unit: fen, limit_fen"
MEALS = "unit: meal, limit"
DAYS = "unit: day, limit"


@state
def till(app: Flask, session: Session) -> World:
    return world.make(session)


def at(day: date, minute: int = 690) -> datetime:
    return clock.instant(day, minute)


def claimable(session: Session, contract: str = "k1") -> int:
    session.rollback()
    return transfers.balances(session, contract).get(("city", "open"), 0)


def sell_at(till: World, card: str, *instants: datetime) -> list[int]:
    """Fen of subsidy that each meal was quoted, sold one after the other."""
    quoted = []
    for instant in instants:
        with clock.at(instant):
            body = world.checkout_body(till, [card])
            assert world.bring(till, world.seal(till, body))[0].outcome == "created"
        quoted.append(body["sales"][0]["quote"]["list"] - body["sales"][0]["quote"]["due"])
    return quoted


@pytest.mark.parametrize(
    ("limit", "days", "quoted"),
    [
        pytest.param(
            f"id: t.week, {MEALS}: 2, scope: person, window: week",
            [date(2026, 6, 29), date(2026, 7, 1), date(2026, 7, 5), date(2026, 7, 6)],
            [500, 500, 0, 500],
            id="a week over the month's end",
        ),
        pytest.param(
            f"id: t.month, {FEN}: 12.00, scope: person, window: month",
            [date(2026, 5, 29), date(2026, 5, 30), date(2026, 5, 31), date(2026, 6, 1)],
            [500, 500, 200, 500],
            id="fen of a month",
        ),
        pytest.param(
            f"id: t.quarter, {MEALS}: 1, scope: rule, window: quarter",
            [date(2026, 4, 1), date(2026, 6, 30), date(2026, 7, 1)],
            [500, 0, 500],
            id="a quarter, person and rule",
        ),
        pytest.param(
            f"id: t.year, {FEN}: 7.00, scope: fund, window: year",
            [date(2026, 1, 2), date(2026, 12, 31), date(2027, 1, 1)],
            [500, 200, 500],
            id="a year, person and fund",
        ),
        pytest.param(
            f"id: t.carry, {FEN}: 5.00, scope: person, window: month, carry: {{windows: 1}}",
            [date(2026, 5, 4), date(2026, 5, 5), date(2026, 5, 6), date(2026, 6, 1), date(2026, 6, 2)],
            [500, 500, 0, 500, 0],
            id="what April left is had in May, and not again",
        ),
    ],
)
def test_a_limit_holds_in_its_window_and_begins_anew_in_the_next(
    session: Session, till: World, limit: str, days: list[date], quoted: list[int]
) -> None:
    world.a_rulebook(session, book(limit))
    card = world.a_card(session, world.an_elder(session))
    assert sell_at(till, card, *map(at, days)) == quoted
    assert claimable(session) == sum(quoted)


def test_a_day_ends_at_midnight_in_shanghai(session: Session, till: World) -> None:
    world.a_rulebook(session, book(f"id: t.day, {MEALS}: 1, scope: person, window: day"))
    with transaction():
        for period, starts, ends in (("dinner", 1400, 1440), ("breakfast", 0, 40)):
            session.add(
                places.MealWindow(
                    canteen_id="c1", period=period, starts=starts, ends=ends, grace=0, from_day=date(2026, 5, 1)
                )
            )
    card = world.a_card(session, world.an_elder(session))
    midnight = at(date(2026, 5, 13), 0)
    instants = (NOON, midnight - timedelta(seconds=1), midnight + timedelta(seconds=1))
    assert sell_at(till, card, *instants) == [500, 0, 500]


@pytest.mark.parametrize(
    ("window", "last"),
    [
        pytest.param("week", date(2026, 8, 2), id="Sunday, and Monday of the same month"),
        pytest.param("week", date(2027, 1, 3), id="a week that holds New Year"),
        pytest.param("month", date(2028, 2, 29), id="the 29th of February"),
        pytest.param("month", date(2026, 2, 28), id="the 28th where it is the last"),
        pytest.param("quarter", date(2026, 9, 30), id="a quarter"),
        pytest.param("year", date(2026, 12, 31), id="a year"),
    ],
)
def test_a_window_ends_at_midnight_in_shanghai_to_the_second(
    session: Session, till: World, window: str, last: date
) -> None:
    """Where the canteen serves round midnight; in UTC it is four in the afternoon."""
    world.a_rulebook(session, book(f"id: t.edge, {MEALS}: 1, scope: person, window: {window}"))
    with transaction():
        for period, starts, ends in (("dinner", 1400, 1440), ("breakfast", 0, 40)):
            session.add(
                places.MealWindow(
                    canteen_id="c1", period=period, starts=starts, ends=ends, grace=0, from_day=date(2026, 1, 1)
                )
            )
    card = world.a_card(session, world.an_elder(session))
    midnight = at(last, 24 * 60)
    instants = (at(last), midnight - timedelta(seconds=1), midnight, midnight + timedelta(seconds=1))
    assert sell_at(till, card, *instants) == [500, 0, 500, 0]
    assert claimable(session) == 1000


def test_meals_of_a_day_share_it_and_the_last_void_frees_it(session: Session, till: World) -> None:
    world.a_rulebook(session, book(f"id: t.days, {DAYS}: 1, scope: person, window: month"))
    card = world.a_card(session, world.an_elder(session))
    sales = []
    for instant in (NOON, NOON + timedelta(hours=6)):
        with clock.at(instant):
            sales.append(world.sell(till, card).sales[0])
    assert claimable(session) == 1000
    days = select(Slot.n).where(Slot.allowance == "t.days")
    for sale, left in zip(sales, ([1], []), strict=True):
        with clock.at(NOON + timedelta(hours=6, minutes=1)):
            assert world.bring(till, world.seal(till, world.void_body(sale), kind="void"))[0].outcome == "created"
        session.rollback()
        assert list(session.execute(days).scalars()) == left
    assert sell_at(till, card, NOON + timedelta(days=1), NOON + timedelta(days=2)) == [500, 0]


def test_two_rules_on_one_allowance_use_it_once_or_not_at_all(session: Session, till: World) -> None:
    world.a_rulebook(session, book(f"id: t.once, {MEALS}: 1, scope: person, window: day", rules=2))
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        bodies = [world.checkout_body(till, [card]) for _ in range(2)]
        first, second = world.bring(till, *(world.seal(till, body) for body in bodies))
    assert (first.outcome, sum(each.fen for each in second.excluded)) == ("created", 1000)
    assert claimable(session) == 1000
    assert len(list(session.execute(select(Slot).where(Slot.allowance == "t.once")).scalars())) == 1


def test_two_rules_on_one_amount_draw_on_it_together_in_a_sale(session: Session, till: World) -> None:
    world.a_rulebook(session, book(f"id: t.sum, {FEN}: 12.00, scope: person, window: month", rules=2))
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        late = world.seal(till, world.checkout_body(till, [card]))
    dinner = NOON + timedelta(hours=6)
    assert sell_at(till, card, dinner, dinner + timedelta(days=1)) == [1000, 200]
    with clock.at(dinner + timedelta(days=2)):
        result = world.bring(till, late)[0]
    assert sum(each.fen for each in result.excluded) == 1000
    assert claimable(session) == 1200
    assert session.execute(select(AmountUsed.used).where(AmountUsed.allowance == "t.sum")).scalars().all() == [1200]


@pytest.mark.parametrize("limit", [f"{MEALS}: 1", f"{FEN}: 5.00", f"{DAYS}: 1"])
def test_a_household_has_its_limit_together_also_in_one_checkout(session: Session, till: World, limit: str) -> None:
    other = "window: day" if "day" not in limit else "window: month"
    world.a_rulebook(session, book(f"id: t.home, {limit}, scope: household, {other}"))
    cards = [world.a_card(session, world.an_elder(session, household="H1")) for _ in range(2)]
    with clock.at(NOON):
        couple = world.checkout_body(till, cards)
        alone = [world.checkout_body(till, [card]) for card in cards]
        world.bring(till, *(world.seal(till, body) for body in alone))
    dues = [sale["quote"]["due"] for sale in couple["sales"]]
    shared_day = "day" in limit.split(",", maxsplit=1)[0]  # two meals of one civil day are one
    assert dues == ([700, 700] if shared_day else [700, 1200])
    assert claimable(session) == (1000 if shared_day else 500)


def test_elder_ten_times_in_a_checkout_stays_within_the_limit(session: Session, till: World) -> None:
    world.a_rulebook(session, book(f"id: t.month, {FEN}: 12.00, scope: person, window: month"))
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        quoted = [world.checkout_body(till, [card]) for _ in range(10)]
        body = quoted[0]
        body["sales"] = [each["sales"][0] for each in quoted]
        body["payment"].update(due=7000, tenders=[{"kind": "cash", "fen": 7000, "given": 7000, "change": 0}])
        result = world.bring(till, world.seal(till, body))[0]
    assert (result.outcome, len(result.sales), len(result.excluded)) == ("kept", 10, 9)
    assert claimable(session) == 500


def test_allowance_keeps_counting_when_the_rulebook_changes(session: Session, till: World) -> None:
    world.a_rulebook(session, book(f"id: t.month, {MEALS}: 3, scope: person, window: month"))
    tighter = book(f"id: t.month, {MEALS}: 2, scope: person, window: month", rules=1).replace(
        "less: 5.00", "less: 4.00"
    )
    world.a_rulebook(session, tighter, from_day=date(2026, 5, 15))
    card = world.a_card(session, world.an_elder(session))
    days = [date(2026, 5, day) for day in (11, 12, 13, 18)]
    assert sell_at(till, card, *map(at, days)) == [500, 500, 500, 0]
    looser = book(f"id: t.month, {MEALS}: 4, scope: person, window: month")
    world.a_rulebook(session, looser, from_day=date(2026, 5, 20))
    assert sell_at(till, card, at(date(2026, 5, 20)), at(date(2026, 5, 21))) == [500, 0]


@pytest.mark.parametrize("limit", [f"{FEN}: 5.00", f"{MEALS}: 1"])
@pytest.mark.parametrize(("in_june", "late"), [(2, 0), (1, 500)])
@pytest.mark.parametrize("scope", ["person", "household"])
def test_late_meal_gets_only_what_the_next_month_left(
    session: Session, till: World, limit: str, in_june: int, late: int, scope: str
) -> None:
    """Offline in May, brought in June after June spent what May seemed to leave: one limit, never both."""
    world.a_rulebook(session, book(f"id: t.carry, {limit}, scope: {scope}, window: month, carry: {{windows: 1}}"))
    offline = world.make(session, canteen="c2", contract="k2", tablet="t2")
    card = world.a_card(session, world.an_elder(session, household="H1"))
    with clock.at(at(date(2026, 5, 30))):
        sealed = world.seal(offline, world.checkout_body(offline, [card]))
    days = [date(2026, 6, day) for day in (1, 2)][:in_june]
    assert sell_at(till, card, *map(at, days)) == [500] * in_june
    with clock.at(at(date(2026, 6, 3))):
        result = world.bring(offline, sealed)[0]
    assert [(each.fen, each.reason) for each in result.excluded] == ([] if late else [(500, "used_up")])
    assert claimable(session) + claimable(session, "k2") == 500 * in_june + late == 1000
    assert sell_at(till, card, at(date(2026, 6, 4))) == [0]


def test_entries_merged_between_quote_and_sale_share_one_limit(session: Session, till: World) -> None:
    world.a_rulebook(session, book(f"id: t.month, {MEALS}: 2, scope: person, window: month"))
    ids = [world.an_elder(session) for _ in range(2)]
    cards = [world.a_card(session, each) for each in ids]
    assert sell_at(till, cards[0], at(date(2026, 5, 11))) == [500]
    assert sell_at(till, cards[1], at(date(2026, 5, 11))) == [500]  # both have number 1 of the month
    with clock.at(NOON):
        sealed = world.seal(till, world.checkout_body(till, [cards[1]]))
        with transaction():
            elders.note(session, ids[1], [elders.NewFact("merged", str(ids[0]), date(2020, 1, 1))], "p-admin")
        result = world.bring(till, sealed)[0]
    assert [(each.fen, each.reason) for each in result.excluded] == [(500, "used_up")]
    assert claimable(session) == 1000


# --- budgets ---


def budget(end: str, limit: str = "12.00") -> str:
    return f"limit: {limit}, window: month, at_end: {end}"


@pytest.mark.parametrize(
    ("end", "then", "quoted", "funds"),
    [
        ("stop", (), [500, 500, 200, 0], {"city": 1200}),
        ("next, next: district", ("district",), [500, 500, 500, 500], {"city": 1200, "district": 800}),
        ("queue", (), [500, 500, 500, 500], {"city": 2000}),
        ("prorate", (), [500, 500, 500, 500], {"city": 2000}),
    ],
)
def test_a_budget_that_ends_shows_at_the_next_quote(
    session: Session, till: World, end: str, then: tuple[str, ...], quoted: list[int], funds: dict[str, int]
) -> None:
    world.a_rulebook(session, book(budget=budget(end), then=then))
    answered = [sell_at(till, world.a_card(session, world.an_elder(session)), NOON)[0] for _ in range(4)]
    assert answered == quoted
    session.rollback()
    opened = {fund: fen for (fund, kind), fen in transfers.balances(session, "k1").items() if kind == "open" and fen}
    assert opened == funds
    drawn = session.execute(select(AmountUsed.used).where(AmountUsed.allowance == "budget.city")).scalars().all()
    assert drawn == [1200]


def test_sale_quoted_before_a_budget_ended_excludes_its_excess(session: Session, till: World) -> None:
    world.a_rulebook(session, book(budget=budget("stop")))
    other = world.make(session, canteen="c2", contract="k2", tablet="t2")
    tills = [till, other, till]
    cards = [world.a_card(session, world.an_elder(session)) for _ in tills]
    with clock.at(NOON):
        bodies = [world.checkout_body(where, [card]) for where, card in zip(tills, cards, strict=True)]
        results = [world.bring(where, world.seal(where, body))[0] for where, body in zip(tills, bodies, strict=True)]
    assert [result.outcome for result in results] == ["created", "created", "kept"]
    assert [(each.fen, each.reason) for each in results[2].excluded] == [(300, "budget_ended")]
    assert (claimable(session), claimable(session, "k2")) == (700, 500)
    rows = session.execute(select(AmountUsed.used).where(AmountUsed.allowance == "budget.city")).scalars()
    assert sorted(rows) == [500, 700]  # a row a canteen


def test_a_void_gives_back_to_the_budget(session: Session, till: World) -> None:
    world.a_rulebook(session, book(budget=budget("stop", "5.00")))
    first, second = (world.a_card(session, world.an_elder(session)) for _ in range(2))
    with clock.at(NOON):
        sale = world.sell(till, first).sales[0]
        assert world.checkout_body(till, [second])["sales"][0]["quote"]["due"] == 1200
        world.bring(till, world.seal(till, world.void_body(sale), kind="void"))
        assert world.checkout_body(till, [second])["sales"][0]["quote"]["due"] == 700


def test_a_couple_sees_one_budget_in_one_quote(session: Session, till: World) -> None:
    world.a_rulebook(session, book(budget=budget("stop", "8.00")))
    cards = [world.a_card(session, world.an_elder(session)) for _ in range(2)]
    with clock.at(NOON):
        body = world.checkout_body(till, cards)
        assert world.bring(till, world.seal(till, body))[0].outcome == "created"
    assert [sale["quote"]["due"] for sale in body["sales"]] == [700, 900]
    granted = select(SaleUse.granted).where(SaleUse.allowance == "budget.city").order_by(SaleUse.granted)
    session.rollback()
    assert list(session.execute(granted).scalars()) == [300, 500]


def test_budget_warns_from_its_level_and_queues_at_its_end(session: Session, till: World) -> None:
    """80 % of 20 yuan are reached by the fourth meal; the fifth finds nothing left and is queued."""
    world.a_rulebook(session, book(budget="limit: 20.00, window: month, at_end: queue, warn: 80%"))
    checks = []
    for _ in range(5):
        with clock.at(NOON):
            body = world.checkout_body(till, [world.a_card(session, world.an_elder(session))])
            assert world.bring(till, world.seal(till, body))[0].outcome == "created"
        checks.append([(one["code"], one["found"], one["breach"]) for one in body["sales"][0]["quote"]["checks"]])
    assert checks == [[], [], [], [("budget_warn", 2000, False)], [("budget_queue", 2500, True)]]
    assert claimable(session) == 2500


@pytest.mark.parametrize("end", ["stop", "next, next: district"])
def test_budget_is_never_exceeded_by_sales_quoted_before_its_end(session: Session, till: World, end: str) -> None:
    """The open balance of the fund is at most its budget; what was sold beyond it is served, and excluded."""
    then = ("district",) if "next" in end else ()
    world.a_rulebook(session, book(budget=budget(end, "12.00"), then=then))
    cards = [world.a_card(session, world.an_elder(session)) for _ in range(5)]
    with clock.at(NOON):
        bodies = [world.checkout_body(till, [card]) for card in cards]
        assert {body["sales"][0]["quote"]["due"] for body in bodies} == {700}
        results = [world.bring(till, world.seal(till, body))[0] for body in bodies]
    excluded = [each.fen for result in results for each in result.excluded]
    assert (claimable(session), excluded) == (1200, [300, 500, 500])
    balances = transfers.balances(session, "k1")
    assert (balances["city", "excluded"], balances.get(("district", "open"), 0)) == (1300, 0)


def test_a_guest_draws_on_budgets_alone(session: Session, till: World) -> None:
    """A limit of persons can count nobody without a card; the fund's pot is as empty for a guest as for an elder."""
    text = book(f"id: t.month, {MEALS}: 1, scope: person, window: month", budget=budget("stop", "12.00"))
    world.a_rulebook(session, text.replace("age: {from: 60}", "kind: [elder, guest]"))
    dues = []
    for _ in range(4):
        with clock.at(NOON):
            body = world.checkout_body(till, [None])
            assert world.bring(till, world.seal(till, body))[0].outcome == "created"
        dues.append(body["sales"][0]["quote"]["due"])
    assert dues == [700, 700, 1000, 1200]
    assert claimable(session) == 1200
    assert set(session.execute(select(SaleUse.allowance)).scalars()) == {"budget.city"}
    assert not session.execute(select(Slot)).first()


def test_merge_counts_both_and_its_undoing_leaves_each_their_own(session: Session, till: World) -> None:
    """Two of three meals used by each entry: as one person they are over; apart again, one is left to each."""
    world.a_rulebook(session, book(f"id: t.month, {MEALS}: 3, scope: person, window: month"))
    ids = [world.an_elder(session) for _ in range(2)]
    cards = [world.a_card(session, each) for each in ids]
    for card in cards:
        assert sell_at(till, card, at(date(2026, 5, 11)), at(date(2026, 5, 12))) == [500, 500]
    with clock.at(at(date(2026, 5, 13))), transaction():
        elders.note(session, ids[1], [elders.NewFact("merged", str(ids[0]), date(2020, 1, 1))], "p-admin")
    assert [sell_at(till, card, at(date(2026, 5, 14)))[0] for card in cards] == [0, 0]
    merge = next(fact.id for fact in elders.facts_about(session, ids[1]) if fact.kind == "merged")
    session.rollback()
    with clock.at(at(date(2026, 5, 15))), transaction():
        elders.note(session, ids[1], [elders.NewFact("merged", "", date(2020, 1, 1), retracts=merge)], "p-admin")
    assert [sell_at(till, card, at(date(2026, 5, 16)))[0] for card in cards] == [500, 500]
    assert [sell_at(till, card, at(date(2026, 5, 18)))[0] for card in cards] == [0, 0]
    assert claimable(session) == 3000


def test_void_after_a_merge_gives_back_to_the_merged_person(session: Session, till: World) -> None:
    world.a_rulebook(session, book(f"id: t.month, {MEALS}: 2, scope: person, window: month"))
    ids = [world.an_elder(session, household="H1") for _ in range(2)]
    cards = [world.a_card(session, each) for each in ids]
    sold = []
    for card in cards:
        with clock.at(NOON):
            sold.append(world.sell(till, card).sales[0])
    with clock.at(NOON + timedelta(hours=1)), transaction():
        elders.note(session, ids[1], [elders.NewFact("merged", str(ids[0]), date(2020, 1, 1))], "p-admin")
    assert sell_at(till, cards[0], NOON + timedelta(hours=6)) == [0]
    with clock.at(NOON + timedelta(hours=7)):
        assert world.bring(till, world.seal(till, world.void_body(sold[1]), kind="void"))[0].outcome == "created"
    assert sell_at(till, cards[0], NOON + timedelta(days=1), NOON + timedelta(days=2)) == [500, 0]


# --- who pays makes no difference to a limit ---


def paid_by(payer: str, *allowances: str, budget: str = "") -> str:
    return book(*allowances, budget=budget).replace("payer: subsidy", f"payer: {payer}")


@pytest.mark.parametrize("payer", ["donation", "concession"])
@pytest.mark.parametrize(
    ("limit", "quoted"),
    [
        (f"id: t.month, {MEALS}: 2, scope: person, window: month", [500, 500, 0, 0]),
        (f"id: t.month, {DAYS}: 2, scope: household, window: month", [500, 500, 0, 0]),
        (f"id: t.month, {FEN}: 12.00, scope: fund, window: month", [500, 500, 200, 0]),
    ],
)
def test_gifts_of_canteen_or_donor_are_limited_like_subsidies(
    session: Session, till: World, payer: str, limit: str, quoted: list[int]
) -> None:
    """The free meal a day that a canteen gives itself is one a day; and a void gives it back."""
    world.a_rulebook(session, paid_by(payer, limit))
    card = world.a_card(session, world.an_elder(session))
    assert sell_at(till, card, *(at(date(2026, 5, day)) for day in (11, 12, 13, 14))) == quoted
    assert claimable(session) == 0
    with clock.at(at(date(2026, 5, 14), 700)):
        for sale in session.execute(select(SaleUse.sale_id).where(SaleUse.granted > 0).distinct()).scalars().all():
            world.bring(till, world.seal(till, world.void_body(str(sale)), kind="void"))
    assert sell_at(till, card, at(date(2026, 5, 15))) == [500]


def test_a_donors_budget_ends(session: Session, till: World) -> None:
    world.a_rulebook(session, paid_by("donation", budget=budget("stop")))
    cards = [world.a_card(session, world.an_elder(session)) for _ in range(4)]
    assert [sell_at(till, card, NOON)[0] for card in cards] == [500, 500, 200, 0]


def test_amount_counts_the_benefit_with_the_canteens_part(session: Session, till: World) -> None:
    text = book(f"id: t.month, {FEN}: 12.00, scope: person, window: month")
    house = "payer: subsidy}\n  - {id: house, name: 食堂, payer: concession}"
    split = "split: [{fund: city, fen: 3.00}, {fund: house, rest: yes}]"
    world.a_rulebook(session, text.replace("payer: subsidy}", house).replace("fund: city\n", f"{split}\n"))
    card = world.a_card(session, world.an_elder(session))
    assert sell_at(till, card, *(at(date(2026, 5, day)) for day in (11, 12, 13, 14))) == [500, 500, 200, 0]
    assert session.execute(select(AmountUsed.used)).scalar_one() == 1200


def test_gift_to_another_than_the_cards_elder_is_not_counted(session: Session, till: World) -> None:
    world.a_rulebook(session, paid_by("concession", f"id: t.month, {MEALS}: 1, scope: person, window: month"))
    ids = [world.an_elder(session) for _ in range(2)]
    cards = [world.a_card(session, each) for each in ids]
    with clock.at(NOON):
        body = world.checkout_body(till, [cards[0]])
        body["sales"][0]["elder"] = str(ids[1])
        world.bring(till, world.seal(till, body))
        assert world.checkout_body(till, [cards[1]])["sales"][0]["quote"]["due"] == 700


def test_limit_of_a_fund_counts_only_what_that_fund_may_claim(session: Session, till: World) -> None:
    """Quoted when the city had one yuan left: the district's share does not use up what the city has since."""
    text = book(f"id: t.city, {FEN}: 4.00, scope: fund, window: month", then=["district"])
    split = "split: [{fund: city, fen: 3.00}, {fund: district, rest: yes}]"
    world.a_rulebook(session, text.replace("fund: city\n", f"{split}\n"))
    card = world.a_card(session, world.an_elder(session))
    with clock.at(at(date(2026, 5, 11))):
        first = world.sell(till, card).sales[0]
    with clock.at(at(date(2026, 5, 12))):
        late = world.seal(till, world.checkout_body(till, [card]))
        world.bring(till, world.seal(till, world.void_body(first), kind="void"))
        assert world.bring(till, late)[0].outcome == "created"
    used = session.execute(select(AmountUsed.used).where(AmountUsed.allowance == "t.city#city")).scalar_one()
    assert (used, claimable(session)) == (100, 100)


def test_use_before_a_household_was_known_counts_after_a_merge(session: Session, till: World) -> None:
    limit = f"id: t.home, {MEALS}: 2, scope: household, window: month"
    world.a_rulebook(session, book(limit).replace("format: 1\n", "format: 1\nguard: none\n"))
    ids = [world.an_elder(session) for _ in range(2)]
    cards = [world.a_card(session, each) for each in ids]
    assert sell_at(till, cards[1], at(date(2026, 5, 11)), at(date(2026, 5, 12))) == [500, 500]
    with clock.at(at(date(2026, 5, 13))), transaction():
        elders.note(session, ids[1], [elders.NewFact("merged", str(ids[0]), date(2020, 1, 1))], "p-admin")
    assert [sell_at(till, card, at(date(2026, 5, 14)))[0] for card in cards] == [0, 0]
    with clock.at(at(date(2026, 5, 15))), transaction():
        elders.note(session, ids[0], [elders.NewFact("household", "H1", date(2026, 1, 1))], "p-admin")
    assert sell_at(till, cards[0], at(date(2026, 5, 16))) == [0]
