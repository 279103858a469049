"""Slots and amounts always equal a rebuild from uses and voids, in any order of sales and voids."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.pos.models import AmountUsed, SaleUse, Slot, Void
from tests import world
from tests.pos.books import book
from tests.world import NOON, World

BOOK = book(
    "id: t.days, unit: day, limit: 2, scope: person, window: week",
    "id: t.month, unit: fen, limit_fen: 17.00, scope: person, window: month",
    "id: t.home, unit: meal, limit: 3, scope: household, window: month",
    budget="limit: 50.00, window: month, at_end: stop",
)
SELL = st.tuples(st.just("sell"), st.integers(0, 1), st.integers(0, 2), st.booleans())
VOID = st.tuples(st.just("void"), st.integers(0, 9))
ACTS = st.lists(st.one_of(SELL, SELL, VOID), min_size=4, max_size=12)


def test_slots_and_amounts_are_what_uses_and_voids_say(
    app: Flask, session: Session, rounds: Callable[[int, int], int]
) -> None:
    till = world.make(session)
    world.a_rulebook(session, BOOK)

    @settings(
        max_examples=rounds(6, 300),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(acts=ACTS)
    def play(acts: list[tuple[object, ...]]) -> None:
        home = uuid.uuid4().hex
        cards = [world.a_card(session, world.an_elder(session, household=home)) for _ in range(2)]
        sold: list[str] = []
        for kind, *what in acts:
            if kind == "sell":
                sold.append(sell(till, cards, *what))  # type: ignore[arg-type]
            elif sold:
                undo(till, sold[int(str(what[0])) % len(sold)])
        assert (slots_there(session), amounts_there(session)) == rebuilt(session)

    play()


def sell(till: World, cards: list[str], who: int, day: int, dinner: bool) -> str:
    """A lunch or a dinner on one of three days."""
    with clock.at(NOON + timedelta(days=day, hours=6 if dinner else 0)):
        return world.sell(till, cards[who]).sales[0]


def undo(till: World, sale: str) -> None:
    """Void it; one voided before is answered as such."""
    with clock.at(NOON + timedelta(days=3)):
        result = world.bring(till, world.seal(till, world.void_body(sale, fen=0), kind="void"))[0]
    assert (result.outcome, result.reason) in {("created", None), ("quarantined", "already_voided")}


Amounts = dict[tuple[uuid.UUID, str, str], int]


def slots_there(session: Session) -> list[tuple[uuid.UUID, str, str, int]]:
    session.rollback()
    rows = session.execute(select(Slot.person_id, Slot.allowance, Slot.window, Slot.n)).all()
    return sorted((counted_for, allowance, window, n) for counted_for, allowance, window, n in rows)


def amounts_there(session: Session) -> Amounts:
    rows = session.execute(select(AmountUsed)).scalars()
    return {(row.person_id, row.allowance, row.window): row.used for row in rows if row.used}


def rebuilt(session: Session) -> tuple[list[tuple[uuid.UUID, str, str, int]], Amounts]:
    """Rebuild from the facts alone; a slot's row names a sale not voided that uses it."""
    unvoided = (
        select(SaleUse).outerjoin(Void, Void.sale_id == SaleUse.sale_id).where(Void.id.is_(None), SaleUse.granted > 0)
    )
    amounts: Amounts = Counter()
    drawn: dict[tuple[uuid.UUID, str, str, int], set[uuid.UUID]] = defaultdict(set)
    for use in session.execute(unvoided).scalars():
        if use.unit == "fen":
            amounts[use.person_id, use.allowance, use.window] += use.granted
        else:
            assert use.n is not None
            drawn[use.person_id, use.allowance, use.window, use.n].add(use.sale_id)
    for row in session.execute(select(Slot)).scalars():
        assert row.sale_id in drawn[row.person_id, row.allowance, row.window, row.n]
    return sorted(drawn), dict(amounts)
