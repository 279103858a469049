"""Each finding, planted through the real checkout, with the near miss beside it that must not be named."""

from __future__ import annotations

import json
import uuid
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import transaction
from canteen.ledger import transfers
from canteen.pos import envelope
from canteen.registry import elders
from canteen.settlement.audit import verify
from canteen.settlement.models import Finding
from tests import world
from tests.pos.books import book
from tests.settlement import late
from tests.settlement.conftest import MADE, Town, at

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)


def fact(
    town: Town, day: date, kind: str, value: str, from_day: date = date(1930, 1, 1), *, of: uuid.UUID | None = None
) -> None:
    with clock.at(at(day, 9)), transaction() as session:
        number = events.record(session, "elder.facts", str(of or town.elders[0]), by="p-admin", body={"facts": [kind]})
        elders.add_fact(session, of or town.elders[0], kind, value, from_day, None, "社区", number)


def named(town: Town) -> list[tuple[str, int]]:
    town.close("2026-01")
    return [(finding.code, finding.fen) for finding in town.findings("2026-01")]


def body(finding: Finding) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(finding.body)
    return found


@pytest.mark.parametrize(("born", "expected"), [("1980-01-01", [("price_differs", 500)]), ("1945-01-01", [])])
def test_a_price_quoted_before_a_correction_is_not_claimed(town: Town, born: str, expected: list[tuple[str, int]]):
    sold = town.sealed(JAN5, town.cards[0])
    fact(town, JAN6, "birth", born, date(2021, 1, 1))
    town.bring(at(JAN6), sold)

    assert named(town) == expected
    assert town.claim("2026-01").fen == (0 if expected else 500)
    assert transfers.balances(town.session, "k1").get(("city", "excluded"), 0) == (500 if expected else 0)


@pytest.mark.parametrize(
    ("end", "first", "second"),
    [
        ("queue", [("excess_slot", 300)], [("excess_slot", 500)]),
        ("stop", [], []),
    ],
)
def test_what_exceeds_a_budget_is_named_at_every_canteen(
    app: Flask, session: Session, end: str, first: list[tuple[str, int]], second: list[tuple[str, int]]
):
    """Two canteens on a budget of twelve yuan: neither reaches it alone. Queued meals wait in the claim for a person."""
    with clock.at(MADE):
        tills = [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in (1, 2)]
        world.a_rulebook(session, book(budget=f"limit: 12.00, window: month, at_end: {end}"))
    here, there = (Town(till, session) for till in tills)
    for town in (here, there, here, there):
        town.sell(JAN5, town.elder())

    assert (named(here), named(there)) == (first, second)
    assert here.claim("2026-01").fen + there.claim("2026-01").fen == (2000 if first else 1200)


def test_a_voided_meal_leaves_its_budget_to_another_canteen(app: Flask, session: Session):
    with clock.at(MADE):
        tills = [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in (1, 2)]
        world.a_rulebook(session, book(budget="limit: 10.00, window: month, at_end: stop"))
    here, there = (Town(till, session) for till in tills)
    (gone,) = here.sell(JAN5, here.elder())
    here.sell(JAN5, here.elder())
    assert here.void(gone, at(JAN5, 12)).outcome == "created"
    there.sell(JAN6, there.elder())

    assert (named(here), named(there)) == ([], [])


def test_a_second_offline_lunch_is_named_with_the_first(town: Town):
    second = town.sealed(JAN5, town.cards[0], minute=10)
    (first,) = town.sell(JAN5, town.cards[0])
    town.bring(at(JAN5, 13), second)
    dinner = town.sealed(JAN6, town.cards[0], hour=11)
    town.sell(JAN6, town.cards[0], hour=17)
    town.bring(at(JAN6, 18), dinner)

    assert named(town) == [("excess_slot", 500)]
    (use,) = body(town.findings("2026-01")[0])["uses"]
    assert (use["used_by"], use["fits_now"], use["asked"], use["granted"]) == ([first], False, 1, 0)


def test_an_excess_meal_that_fits_after_a_void_is_not_promoted(town: Town):
    second = town.sealed(JAN5, town.cards[0], minute=10)
    (first,) = town.sell(JAN5, town.cards[0])
    town.bring(at(JAN5, 13), second)
    town.void(first, at(JAN5, 14))

    assert named(town) == [("excess_slot", 500)]
    assert body(town.findings("2026-01")[0])["uses"][0]["fits_now"] is True
    assert town.claim("2026-01").fen == 0


def test_a_meal_after_a_revaluation_took_its_slot_is_excess(town: Town):
    """The first meal was sold at full price and given the benefit late: the second was served meanwhile."""
    fact(town, date(2026, 1, 3), "birth", "1980-01-01", date(2021, 1, 1))
    (first,) = town.sell(JAN5, town.cards[0])
    town.close("2026-01")
    fact(town, date(2026, 2, 8), "birth", "1945-01-01", date(2021, 1, 2))
    kept = town.sealed(JAN5, town.cards[0], minute=40)
    late.facts(town.elders[0], date(2026, 1, 1), date(2026, 1, 31))
    (second,) = town.bring(at(date(2026, 2, 12)), kept)
    town.close("2026-02")

    (finding,) = [one for one in town.findings("2026-02") if one.subject == f"sale:{second.sales[0]}"]
    (use,) = body(finding)["uses"]
    assert (finding.code, finding.fen) == ("excess_slot", 500)
    assert (use["used_by"], use["fits_now"], use["beyond"]) == ([first], False, False)
    assert not verify.period(town.period("2026-02").id).differences


def test_a_second_canteen_gift_is_named_and_costs_funds_nothing(town: Town):
    gift = book("id: t.gift, unit: meal, limit: 1, scope: person, window: day", id_="test-gift")
    world.a_rulebook(
        town.session,
        gift.replace("id: city", "id: shop")
        .replace("fund: city", "fund: shop")
        .replace("payer: subsidy", "payer: concession"),
    )
    dinner = town.sealed(JAN5, town.cards[0], hour=17)
    (lunch,) = town.sell(JAN5, town.cards[0])
    town.bring(at(JAN5, 18), dinner)

    assert named(town) == [("excess_slot", 0)]
    (use,) = body(town.findings("2026-01")[0])["uses"]
    assert (use["allowance"], use["used_by"], use["asked"], use["granted"]) == ("t.gift", [lunch], 1, 0)
    assert town.claim("2026-01").fen == 1000
    assert not verify.period(town.period("2026-01").id).differences


@pytest.mark.parametrize(("minutes", "expected"), [(6, ["clock"]), (4, [])])
def test_a_tablet_s_clock_off_by_more_than_five_minutes_is_named(town: Town, minutes: int, expected: list[str]):
    with clock.at(at(JAN5)):
        checkout = world.checkout_body(town.till, [town.cards[0]])
        wrong = world.seal(town.till, checkout, at=clock.local(clock.now() + timedelta(minutes=minutes)))
        world.bring(town.till, wrong)

    assert [code for code, _ in named(town)] == expected


@pytest.mark.parametrize(("short", "expected"), [(100, [("payment_differs", -100)]), (0, [])])
def test_a_payment_short_of_what_was_sold_is_named(town: Town, short: int, expected: list[tuple[str, int]]):
    with clock.at(at(JAN5)):
        checkout = world.checkout_body(town.till, [town.cards[0], None])
        tender = checkout["payment"]["tenders"][0]
        tender["fen"], tender["given"] = tender["fen"] - short, tender["given"] - short
        world.bring(town.till, world.seal(town.till, checkout))

    assert named(town) == expected


@pytest.mark.parametrize(("died", "expected"), [(JAN5, [("after_death", 500)]), (JAN6, [])])
def test_a_meal_dated_after_the_day_of_death_is_named(town: Town, died: date, expected: list[tuple[str, int]]):
    town.sell(JAN5, town.cards[0])
    town.sell(JAN6, town.cards[0])
    fact(town, date(2026, 1, 20), "status", "deceased", died)

    assert named(town) == expected


def test_a_death_recorded_by_mistake_and_answered_is_not_named(town: Town):
    town.sell(JAN6, town.cards[0])
    with clock.at(at(JAN6)), transaction() as session:
        number = events.record(session, "elder.facts", str(town.elders[0]), by="p-admin")
        wrong = elders.add_fact(session, town.elders[0], "status", "deceased", JAN5, None, "民政", number).id
    with clock.at(at(JAN6, 15)), transaction() as session:
        number = events.record(session, "elder.facts", str(town.elders[0]), by="p-admin")
        elders.add_fact(session, town.elders[0], "status", "", JAN5, None, "本人到场", number, retracts=wrong)

    assert named(town) == []


def test_a_death_confirmed_after_the_close_is_named_in_the_next(town: Town):
    """A retraction that was itself retracted takes nothing away: the registry and the statement judge alike."""
    town.sell(JAN6, town.cards[0])
    death = status(town, date(2026, 1, 7), "deceased")
    mistake = status(town, date(2026, 1, 8), "", answers=death)
    assert named(town) == []
    status(town, date(2026, 2, 9), "", answers=mistake)

    town.close("2026-02")
    assert [finding.code for finding in town.findings("2026-02")] == ["after_death"]


def status(town: Town, day: date, value: str, *, answers: int | None = None) -> int:
    with clock.at(at(day, 9)), transaction() as session:
        number = events.record(session, "elder.facts", str(town.elders[0]), by="p-admin")
        return elders.add_fact(session, town.elders[0], "status", value, JAN5, None, "民政", number, answers).id


def both(town: Town) -> tuple[uuid.UUID, uuid.UUID]:
    """One person who stands on the roster twice; nobody knows yet."""
    town.elder()
    return town.elders[0], town.elders[1]


def test_a_death_under_another_entry_is_named_after_the_merge(town: Town):
    entry, other = both(town)
    fact(town, date(2026, 1, 3), "status", "deceased", date(2026, 1, 4), of=other)
    town.sell(JAN5, town.cards[0])
    assert named(town) == []
    fact(town, date(2026, 2, 9), "merged", str(other), of=entry)

    town.close("2026-02")
    town.close("2026-03")
    assert [(finding.code, finding.fen) for finding in town.findings("2026-02")] == [("after_death", 500)]
    assert town.findings("2026-03") == []


def test_two_lunches_of_a_closed_month_are_named_after_a_merge(town: Town):
    entry, other = both(town)
    (first,), (second,) = town.sell(JAN5, town.cards[0]), town.sell(JAN5, town.cards[1], minute=40)
    town.sell(JAN6, town.cards[0])
    assert named(town) == []
    fact(town, date(2026, 2, 9), "merged", str(other), of=entry)

    town.close("2026-02")
    town.close("2026-03")
    (finding,) = town.findings("2026-02")
    (use,) = body(finding)["uses"]
    assert (finding.code, finding.subject, finding.fen) == ("excess_slot", f"sale:{second}", 500)
    assert (use["beyond"], use["used_by"]) == (True, [first])
    assert town.findings("2026-03") == []


def test_a_merge_known_at_the_close_names_its_meals_only_there(town: Town):
    entry, other = both(town)
    town.sell(JAN5, town.cards[0])
    town.sell(JAN5, town.cards[1], minute=40)
    fact(town, date(2026, 1, 20), "merged", str(other), of=entry)
    assert named(town) == [("excess_slot", 500)]
    fact(town, date(2026, 2, 9), "status", "moved_away", date(2026, 2, 9), of=other)

    town.close("2026-02")
    assert town.findings("2026-02") == []


def test_one_person_under_two_entries_is_counted_once(town: Town):
    entry, other = both(town)
    kept = [town.sealed(date(2026, 1, day), card) for day, card in zip((12, 13), town.cards, strict=True)]
    town.sell(JAN5, town.cards[0])
    town.sell(JAN6, town.cards[1])
    fact(town, date(2026, 1, 20), "merged", str(other), of=entry)
    town.close("2026-01")
    town.bring(at(date(2026, 2, 9)), *kept)
    town.close("2026-02")

    assert (town.claim("2026-01").meals, town.claim("2026-01").persons) == (2, 1)
    assert town.lines("2026-01") == [("meals", "city", "2026-01", "", 2, 1, 1000)]
    assert town.lines("2026-02") == [("supplement", "city", "2026-01", "k1-202601", 2, 1, 1000)]


def test_two_records_with_one_number_are_both_kept_and_named(town: Town):
    town.sell(JAN5, town.cards[0])
    town.till.number += 1
    number, before = town.till.number, town.till.previous
    sealed = []
    for guests in (1, 2):
        with clock.at(at(JAN5, 12)):
            sealed.append(
                envelope.seal(
                    world.checkout_body(town.till, [None] * guests), kind="checkout", tablet="t1", epoch=1, number=number,
                    previous=before, at=clock.local(clock.now()), mono_ms=2000, boot="boot-1",
                )
            )  # fmt: skip
    town.bring(at(JAN5, 12), *sealed)

    assert named(town) == [("fork", 0)]
    assert town.findings("2026-01")[0].subject == "tablet:t1/1/2"


def test_an_honest_month_has_no_finding(town: Town):
    for day in range(5, 30):
        town.sell(date(2026, 1, day), town.cards[0], None)
        town.sell(date(2026, 1, day), town.cards[0], hour=17)

    assert named(town) == []


def test_only_what_stands_out_is_priced_again(town: Town, monkeypatch: pytest.MonkeyPatch):
    from canteen.settlement.closing import period_checks, requote  # noqa: PLC0415

    for _ in range(5):
        town.sell(JAN5, None)
    sold = town.sealed(JAN5, town.cards[0])
    fact(town, JAN6, "birth", "1980-01-01", date(2021, 1, 1))
    town.bring(at(JAN6), sold)
    made: list[requote.Quotes] = []

    class Counting(requote.Quotes):
        def __init__(self, *, own: bool = False) -> None:
            super().__init__(own=own)
            made.append(self)

    monkeypatch.setattr(period_checks, "Quotes", Counting)

    assert named(town) == [("price_differs", 500)]
    assert [quotes.priced for quotes in made] == [1]
