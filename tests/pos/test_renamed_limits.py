"""A new version in mid-window calls a limit by another name: what was used before still counts, whatever is undone."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.ledger import transfers
from canteen.pos.models import AmountUsed, SaleUse, Slot
from tests import world
from tests.pos.books import book
from tests.rigs.states import state
from tests.world import World

MONDAY = date(2026, 7, 6)
THURSDAY = date(2026, 7, 9)

LIMITS = [
    pytest.param("unit: meal, limit: 3, scope: person, window: week", [500, 500, 500, 0, 0, 500], id="meals"),
    pytest.param("unit: day, limit: 3, scope: person, window: week", [500, 500, 500, 0, 0, 500], id="days"),
    pytest.param("unit: fen, limit_fen: 13.00, scope: person, window: week", [500, 500, 300, 0, 0, 500], id="fen"),
    pytest.param("unit: meal, limit: 3, scope: household, window: week", [500, 500, 500, 0, 0, 500], id="household"),
    pytest.param("unit: fen, limit_fen: 13.00, scope: fund, window: week", [500, 500, 300, 0, 0, 500], id="fund"),
]


@state
def till(app: Flask, session: Session) -> World:
    return world.make(session)


def renamed(session: Session, limit: str, *, was: str = ", was: t.old") -> None:
    """Version one all the time, version two from Thursday on, which calls the limit t.new."""
    world.a_rulebook(session, book(f"id: t.old, {limit}"))
    world.a_rulebook(session, book(f"id: t.new, {limit}{was}"), from_day=THURSDAY)


def noon(day: date) -> datetime:
    return clock.instant(day, 690)


def sell_on(till: World, card: str, day: date) -> tuple[str, int]:
    """The sale's id and the fen of subsidy it was quoted."""
    with clock.at(noon(day)):
        body = world.checkout_body(till, [card])
        assert world.bring(till, world.seal(till, body))[0].outcome == "created"
    [sale] = body["sales"]
    return sale["id"], sale["quote"]["list"] - sale["quote"]["due"]


@pytest.mark.parametrize(("limit", "quoted"), LIMITS)
def test_what_was_used_under_the_old_name_counts_for_the_new_one(
    session: Session, till: World, limit: str, quoted: list[int]
) -> None:
    renamed(session, limit)
    card = world.a_card(session, world.an_elder(session, household="h1"))
    days = [MONDAY + timedelta(days=n) for n in (0, 1, 3, 4, 5, 7)]  # three in the week's limit, then the next week
    assert [sell_on(till, card, day)[1] for day in days] == quoted
    session.rollback()
    assert transfers.balances(session, "k1")[("city", "open")] == sum(quoted)
    for table in (Slot, AmountUsed, SaleUse):
        names = {name.partition("#")[0] for name in session.execute(select(table.allowance)).scalars()}
        assert names <= {"t.old", "guard.meal"}


def test_void_under_the_new_name_frees_use_under_the_old(session: Session, till: World) -> None:
    renamed(session, "unit: meal, limit: 2, scope: person, window: week")
    card = world.a_card(session, world.an_elder(session))
    assert sell_on(till, card, MONDAY)[1] == 500
    second, fen = sell_on(till, card, THURSDAY)
    assert (fen, sell_on(till, card, THURSDAY + timedelta(days=1))[1]) == (500, 0)
    with clock.at(noon(THURSDAY) + timedelta(minutes=1)):
        assert world.bring(till, world.seal(till, world.void_body(second), kind="void"))[0].outcome == "created"
    assert [sell_on(till, card, THURSDAY + timedelta(days=n))[1] for n in (2, 3)] == [500, 0]


def test_a_limit_that_is_not_mapped_begins_at_nothing(session: Session, till: World) -> None:
    renamed(session, "unit: meal, limit: 1, scope: person, window: week", was="")
    card = world.a_card(session, world.an_elder(session))
    assert [sell_on(till, card, day)[1] for day in (MONDAY, THURSDAY)] == [500, 500]
