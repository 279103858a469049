"""Differences of revaluations: once a sale, of days past, by two people, into open periods, never asking an elder."""

from __future__ import annotations

from datetime import date
from functools import partial

from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from canteen import clock
from tests import world
from tests.invariants.test_constraints import drop_constraint, drop_trigger, owner, refused, run
from tests.rigs.states import state
from tests.settlement import late
from tests.settlement.conftest import MADE, Town, at

__all__ = ["owner"]

JAN = date(2026, 1, 1), date(2026, 1, 31)
ASKED = """INSERT INTO revaluation (id, cause, title, reason, rulebook_hash, scheme, layer, node_id, elder_id, from_day,
           to_day, made_by, asked_by, asked_at, asked_on, recorded)
           SELECT {id}, 'notice', 't', 'r', hash, 's', 'city', 'x', NULL, '2026-01-01', '{to}', 'a', 'a',
           '2026-02-01T00:00:00.000000Z', '2026-02-10', 1 FROM rulebook LIMIT 1"""
ORDERED = """INSERT INTO revaluation_order (revaluation_id, made_by, "by", at, recorded, diff, gate, preview)
             VALUES ({id}, '{made}', '{by}', '2026-02-01T00:00:00.000000Z', 1, '', '', '')"""
COPY = """INSERT INTO revalued_sale (revaluation_id, sale_id, contract_id, service_day, period_id, input_hash,
          rulebook_hash, outcome, due_before, due_fen, refund_fen, at)
          SELECT {revaluation}, sale_id, contract_id, {day}, {period}, input_hash, rulebook_hash, outcome, due_before,
          {due}, {refund}, at FROM revalued_sale WHERE revaluation_id = 1"""
SAME = {"revaluation": "2", "day": "service_day", "period": "period_id", "due": "due_fen", "refund": "refund_fen"}


@state
def town(app: Flask, session: Session) -> Town:
    """A meal of January, closed and revalued by the first notice; a second one ordered and not run."""
    with clock.at(MADE):
        made = Town(world.make(session), session)
        world.a_rulebook(session)
    made.elder()
    made.sales = made.sell(date(2026, 1, 12), made.cards[0])  # type: ignore[attr-defined]
    made.close("2026-01")
    late.notice(late.SIX, *JAN)
    late.ordered(late.asked(late.SIX.replace("测试", "再试"), *JAN))
    session.rollback()
    return made


def copied(**changed: str) -> str:
    return COPY.format(**{**SAME, **changed})


def test_a_revaluation_is_of_days_that_are_past(session: Session, owner: Engine) -> None:
    world.make(session)
    world.a_rulebook(session)
    session.rollback()
    assert refused(partial(run, owner, ASKED.format(id=7, to="2026-02-10")))
    drop_constraint(owner, "revaluation", "ck_revaluation_wholly_past")
    run(owner, ASKED.format(id=7, to="2026-02-10"))


def test_a_revaluation_is_ordered_by_another_than_its_maker(session: Session, owner: Engine) -> None:
    world.make(session)
    world.a_rulebook(session)
    session.rollback()
    run(owner, ASKED.format(id=7, to="2026-02-09"))
    assert refused(partial(run, owner, ORDERED.format(id=7, made="a", by="a")))
    assert refused(partial(run, owner, ORDERED.format(id=7, made="b", by="a")))
    drop_trigger(owner, "law_revaluation_two_people")
    run(owner, ORDERED.format(id=7, made="b", by="a"))


def test_a_sale_is_revalued_once_by_a_revaluation(town: Town, owner: Engine) -> None:
    run(owner, copied())
    assert refused(partial(run, owner, copied()))


def test_no_difference_is_booked_to_a_closed_period(town: Town, owner: Engine) -> None:
    closed = "(SELECT id FROM period WHERE state = 'closed')"
    assert refused(partial(run, owner, copied(period=closed)))
    drop_trigger(owner, "law_revalued_period")
    run(owner, copied(period=closed))


def test_no_voided_sale_and_no_day_outside_is_revalued(town: Town, owner: Engine) -> None:
    town.void(town.sales[0], at(date(2026, 2, 12), 9))  # type: ignore[attr-defined]
    town.session.rollback()
    assert refused(partial(run, owner, copied()))
    drop_trigger(owner, "law_revalued_not_voided")
    run(owner, copied())


def test_an_elder_is_never_asked_by_a_difference(town: Town, owner: Engine) -> None:
    assert refused(partial(run, owner, copied(due="due_before + 1", refund="-1")))
    assert refused(partial(run, owner, copied(due="due_before + 1", refund="0")))
    if owner.dialect.name == "postgresql":  # on SQLite the table would go with its rows, and there is one to copy
        drop_constraint(owner, "revalued_sale", "ck_revalued_sale_never_asks_the_elder")
        run(owner, copied(due="due_before + 1", refund="-1"))


def test_what_a_revaluation_made_is_neither_changed_nor_removed(town: Town, owner: Engine) -> None:
    elder = town.elders[0]
    given = f"""INSERT INTO refund_given (canteen_id, elder_id, n, fen, meals, "by", at, recorded)
                VALUES ('c1', '{elder}', 1, 100, 1, 'a', '2026-02-01T00:00:00.000000Z', 1)"""
    run(owner, given)
    assert refused(partial(run, owner, given))
    added = f"""INSERT INTO use_change (sale_id, allowance, window_start, cause, person_id, unit, limited_to, amount, rules,
                after_record)
                SELECT sale_id, 'a', '1', '{{cause}}', '{elder}', 'fen', 9, {{amount}}, '', 0 FROM revalued_sale LIMIT 1"""
    assert refused(partial(run, owner, added.format(cause="revaluation:2", amount=1)))
    assert refused(partial(run, owner, added.format(cause="revaluation:1", amount=-1)))
    run(owner, added.format(cause="revaluation:1", amount=1))
    changes = {"revaluation": "reason = 'x'", "revaluation_order": "diff = 'x'", "revalued_sale": "at = at"}
    changes |= {"revalued_share": "reason = 'x'", "refund_given": "meals = 2", "use_change": "amount = 2"}
    for table, change in changes.items():
        with owner.connect() as connection:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() > 0
        assert refused(partial(run, owner, f"UPDATE {table} SET {change}")), table
        assert refused(partial(run, owner, f"DELETE FROM {table}")), table
