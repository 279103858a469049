"""A benefit is moved once a meal and for ever: what the database refuses whatever code would get wrong."""

from __future__ import annotations

from datetime import date
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from canteen import clock
from tests import world
from tests.invariants.test_constraints import drop_constraint, drop_trigger, owner, refused, run
from tests.settlement.conftest import MADE, Town, at
from tests.settlement.test_reallocations import reallocate, two

__all__ = ["owner"]

COPY = """INSERT INTO benefit_reallocation (sale_id, from_sale_id, finding_id, input_hash, fen, reason, "by", at, recorded)
          SELECT {to}, {source}, finding_id, input_hash, {fen}, reason, "by", at, recorded FROM benefit_reallocation"""
CHANGE = """INSERT INTO use_change (sale_id, allowance, window_start, cause, person_id, unit, limited_to, amount, n, rules,
            after_record, recorded)
            SELECT {sale}, allowance, 'other', cause, person_id, unit, limited_to, {amount}, n, rules, after_record,
            recorded FROM use_change WHERE amount < 0"""


@pytest.fixture
def town(app: Flask, session: Session) -> Town:
    """An excess meal that was given the benefit of the first, and a third meal on another day."""
    with clock.at(MADE):
        made = Town(world.make(session), session)
        world.a_rulebook(session)
    made.elder()
    first, second = two(made)
    (third,) = made.sell(date(2026, 1, 12), made.cards[0])
    (fourth,) = made.sell(date(2026, 1, 13), made.cards[0])
    made.close("2026-01")
    reallocate(made, from_=first)
    made.named = {"first": f"'{first}'", "second": f"'{second}'", "third": f"'{third}'", "fourth": f"'{fourth}'"}  # type: ignore[attr-defined]
    session.rollback()
    return made


def copied(town: Town, to: str, source: str = "", fen: str = "fen") -> str:
    named = town.named  # type: ignore[attr-defined]
    return COPY.format(to=named[to], source=named[source] if source else "NULL", fen=fen)


def test_a_meal_is_given_the_benefit_once_and_gives_it_up_once(town: Town, owner: Engine) -> None:
    assert refused(partial(run, owner, copied(town, "second")))
    assert refused(partial(run, owner, copied(town, "third", "first")))
    assert refused(partial(run, owner, copied(town, "third", fen="0")))
    assert refused(partial(run, owner, copied(town, "third", "third")))


def test_a_receiver_never_gives_and_a_giver_never_receives(town: Town, owner: Engine) -> None:
    assert refused(partial(run, owner, copied(town, "third", "second")))
    assert refused(partial(run, owner, copied(town, "first")))
    drop_trigger(owner, "law_reallocation_not_voided")
    run(owner, copied(town, "third", "second"))


def changed(town: Town, sale: str, amount: int) -> str:
    """A change of a use in another window, by the event that moved the benefit."""
    return CHANGE.format(sale=town.named[sale], amount=amount)  # type: ignore[attr-defined]


def test_no_voided_meal_takes_part(town: Town, owner: Engine) -> None:
    town.void(town.named["third"].strip("'"), at(date(2026, 2, 12), 9))  # type: ignore[attr-defined]
    town.session.rollback()
    assert refused(partial(run, owner, copied(town, "third")))
    assert refused(partial(run, owner, copied(town, "fourth", "third")))
    run(owner, copied(town, "fourth"))


def test_no_more_of_a_use_is_given_up_than_was_granted(town: Town, owner: Engine) -> None:
    assert refused(partial(run, owner, changed(town, "first", -1)))
    drop_trigger(owner, "law_use_change_covered")
    run(owner, changed(town, "first", -1))


def test_a_change_of_a_use_has_a_cause(town: Town, owner: Engine) -> None:
    assert refused(partial(run, owner, changed(town, "third", 1)))
    assert refused(partial(run, owner, changed(town, "first", 1)))
    drop_trigger(owner, "law_use_change_caused")
    run(owner, changed(town, "third", 1))


def test_a_slot_changes_hands_as_a_whole(town: Town, owner: Engine) -> None:
    assert refused(partial(run, owner, changed(town, "second", 2)))
    assert refused(partial(run, owner, changed(town, "second", 0)))
    drop_constraint(owner, "use_change", "ck_use_change_amount")
    run(owner, changed(town, "second", 2))


def test_no_use_of_a_voided_meal_changes(town: Town, owner: Engine) -> None:
    town.void(town.named["second"].strip("'"), at(date(2026, 2, 12), 9))  # type: ignore[attr-defined]
    town.session.rollback()
    assert refused(partial(run, owner, changed(town, "second", 1)))
    drop_trigger(owner, "law_use_change_not_voided")
    run(owner, changed(town, "second", 1))


def test_what_was_moved_is_neither_changed_nor_removed(town: Town, owner: Engine) -> None:
    for table, change in {"benefit_reallocation": "fen = fen + 1", "use_change": "amount = 2"}.items():
        with owner.connect() as connection:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() > 0
        assert refused(partial(run, owner, f"UPDATE {table} SET {change}")), table
        assert refused(partial(run, owner, f"DELETE FROM {table}")), table
