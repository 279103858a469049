"""Limits that hang on no person's row, a household's and a budget's: exact under a crowd, and nobody in quarantine."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen import db as database
from canteen.db import transaction
from canteen.ledger import transfers
from canteen.pos import slots
from canteen.pos.models import AmountUsed, Sale, SaleUse, Slot
from canteen.registry import elders
from tests import world
from tests.pos.books import book
from tests.world import NOON, World

CROWD = 12  # at one time


@pytest.fixture
def tills(app: Flask, session: Session) -> list[World]:
    return [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in range(1, 4)]


def quoted(session: Session, tills: list[World], household: str = "") -> list[tuple[World, dict[str, Any]]]:
    """CROWD elders, each quoted before any is sold to, at the canteens in turn."""
    ids = [world.an_elder(session, household=household) for _ in range(CROWD)]
    cards = [world.a_card(session, each) for each in ids]
    with clock.at(NOON):
        whose = [(tills[n % len(tills)], card) for n, card in enumerate(cards)]
        return [(till, world.seal(till, world.checkout_body(till, [card]))) for till, card in whose]


def at_once(app: Flask, records: list[tuple[World, dict[str, Any]]]) -> list[str]:
    """The outcomes of bringing all at one moment, each from a thread with a connection of its own."""
    # as many as the pool has connections: the others wait for theirs
    start = Barrier(8)

    def bring(n: int) -> str:
        if n < start.parties:
            start.wait()
        with app.app_context(), clock.at(NOON + timedelta(minutes=1)):
            return world.bring(records[n][0], records[n][1])[0].outcome

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(bring, range(len(records))))


def open_fen(session: Session, tills: list[World]) -> int:
    session.rollback()
    return sum(transfers.balances(session, till.contract).get(("city", "open"), 0) for till in tills)


@pytest.mark.parametrize("limit", ["unit: meal, limit: 5", "unit: fen, limit_fen: 23.00"])
@pytest.mark.parametrize("held", [True, False])
def test_household_gets_its_limit_by_lock_and_by_row_alone(
    app: Flask, session: Session, tills: list[World], monkeypatch: pytest.MonkeyPatch, limit: str, held: bool
) -> None:
    """With the household's lock taken away, the slot's key and the conditional update refuse; the sale runs again."""
    world.a_rulebook(session, book(f"id: t.home, {limit}, scope: household, window: month"))
    if not held:
        monkeypatch.setattr(slots, "lock_names", lambda *_: None)
    outcomes = at_once(app, quoted(session, tills, household="H1"))
    expected, whole = (2500, 5) if "meal" in limit else (2300, 4)
    assert sorted(outcomes) == ["created"] * whole + ["kept"] * (CROWD - whole)
    assert open_fen(session, tills) == expected
    granted = select(func.sum(SaleUse.granted)).where(SaleUse.allowance == "t.home")
    assert session.execute(granted).scalar_one() == (5 if "meal" in limit else 2300)


@pytest.mark.parametrize("limit", ["23.00", "100000000.00"])
def test_budget_over_canteens_is_kept_and_cuts_nobody_early(
    app: Flask, session: Session, tills: list[World], limit: str
) -> None:
    world.a_rulebook(session, book(budget=f"limit: {limit}, window: month, at_end: stop"))
    outcomes = at_once(app, quoted(session, tills))
    assert set(outcomes) <= {"created", "kept"}
    assert open_fen(session, tills) == (2300 if limit == "23.00" else 500 * CROWD)
    rows = session.execute(select(AmountUsed.used).where(AmountUsed.allowance == "budget.city")).scalars().all()
    assert sum(rows) == open_fen(session, tills)


PURSES = """
{format: 1, id: t, title: 测试标准, source: 测试, from: 2020-01-01, guard: none,
funds: [{id: a, name: 一, payer: subsidy, budget: {limit: 9000000.00, window: month, at_end: stop}},
  {id: b, name: 二, payer: subsidy, budget: {limit: 9000000.00, window: month, at_end: stop}}],
stages: [{id: s, title: 补贴, rules: [
  {id: a, label: 补贴, reason: 测试, clause: 一, less: 5.00, fund: a, when: {class: dibao}},
  {id: b, label: 补贴, reason: 测试, clause: 二, less: 5.00, fund: b, when: {not: {class: dibao}}}]}]}
"""


def test_draws_on_two_budgets_in_either_order_do_not_deadlock(
    app: Flask, session: Session, tills: list[World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Budgets far from their end have shared locks: only the order in which their rows are written prevents a deadlock."""
    world.a_rulebook(session, PURSES)
    monkeypatch.setattr(database, "RETRIED", set[str]())  # a deadlock would be raised, not tried again
    cards = [
        [world.a_card(session, world.an_elder(session, classes=classes)) for classes in (["dibao"], [])]
        for _ in range(CROWD)
    ]
    with clock.at(NOON):
        till = tills[0]
        bodies = [world.checkout_body(till, pair[:: 1 if n % 2 else -1]) for n, pair in enumerate(cards)]
        records = [(till, world.seal(till, body)) for body in bodies]
    assert set(at_once(app, records)) == {"created"}
    session.rollback()
    rows = session.execute(select(AmountUsed.allowance, AmountUsed.used)).all()
    assert sorted(map(tuple, rows)) == [("budget.a", 500 * CROWD), ("budget.b", 500 * CROWD)]


def test_merge_among_sales_grants_one_meal_or_comes_later(app: Flask, session: Session, tills: list[World]) -> None:
    world.a_rulebook(session, book(f"id: t.month, {'unit: meal, limit: 1'}, scope: person, window: month"))
    ids = [world.an_elder(session) for _ in range(2)]
    cards = [world.a_card(session, each) for each in ids]
    with clock.at(NOON):
        records = [
            (till, world.seal(till, world.checkout_body(till, [card])))
            for till, card in zip(tills, cards, strict=False)
        ]

    def merge() -> str:
        with app.app_context(), clock.at(NOON + timedelta(minutes=1)), transaction() as own:
            elders.note(own, ids[1], [elders.NewFact("merged", str(ids[0]), NOON.date())], "p-admin")
        return "merged"

    def bring(record: tuple[World, dict[str, Any]]) -> str:
        with app.app_context(), clock.at(NOON + timedelta(minutes=1)):
            return world.bring(*record)[0].outcome

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(bring, records[0]), pool.submit(merge), pool.submit(bring, records[1])]
        outcomes = [job.result() for job in jobs]
    assert {outcomes[0], outcomes[2]} <= {"created", "kept"}
    session.rollback()
    known_at = dict(session.execute(select(Sale.elder_id, Sale.known_at)).all())
    merged_at = max(fact.recorded for fact in elders.facts_about(session, ids[1]) if fact.kind == "merged")
    both_before = all(seen < merged_at for seen in known_at.values())
    assert open_fen(session, tills) == (1000 if both_before else 500)


def test_undoing_a_merge_waits_for_the_lock_of_the_merged_person(app: Flask, session: Session) -> None:
    """Else a void under the one lock and a sale under the other would both count the same slot."""
    world.make(session)
    root, other = (world.an_elder(session) for _ in range(2))
    with transaction() as own:
        elders.note(own, other, [elders.NewFact("merged", str(root), NOON.date())], "p-admin")
    merge = next(fact.id for fact in elders.facts_about(session, other) if fact.kind == "merged")
    session.rollback()

    def part() -> None:
        with app.app_context(), transaction() as own:
            elders.note(own, other, [elders.NewFact("merged", "", NOON.date(), retracts=merge)], "p-admin")

    with ThreadPoolExecutor(1) as pool:
        with transaction() as own:
            slots.lock_persons(own, [root])
            parting = pool.submit(part)
            with pytest.raises(TimeoutError):
                parting.result(timeout=0.5)
        parting.result(timeout=30)
    assert elders.cluster(session, other) == (other, (other,))


def test_void_waits_for_the_person_its_meal_is_counted_for(app: Flask, session: Session) -> None:
    """Sold while two entries were taken for one person, voided when they are two again: it is the card's own entry."""
    till = world.make(session)
    world.a_rulebook(session)
    root, other = (world.an_elder(session) for _ in range(2))
    with clock.at(NOON):
        body = world.checkout_body(till, [world.a_card(session, other)])
        with transaction() as own:
            elders.note(own, other, [elders.NewFact("merged", str(root), NOON.date())], "p-admin")
        assert world.bring(till, world.seal(till, body))[0].outcome == "created"
    merge = next(fact.id for fact in elders.facts_about(session, other) if fact.kind == "merged")
    session.rollback()
    with transaction() as own:
        elders.note(own, other, [elders.NewFact("merged", "", NOON.date(), retracts=merge)], "p-admin")
    sealed = world.seal(till, world.void_body(body["sales"][0]["id"]), kind="void")

    def void() -> str:
        with app.app_context(), clock.at(NOON):
            return world.bring(till, sealed)[0].outcome

    with ThreadPoolExecutor(1) as pool:
        with transaction() as held:
            slots.lock_persons(held, [other])
            voiding = pool.submit(void)
            with pytest.raises(TimeoutError):
                voiding.result(timeout=0.5)
        assert voiding.result(timeout=30) == "created"
    assert not session.execute(select(Slot)).first()
