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
from tests.invariants.test_constraints import drop_trigger, owner, refused, run
from tests.settlement.conftest import MADE, Town, at
from tests.settlement.test_reallocations import reallocate, two

__all__ = ["owner"]

COPY = """INSERT INTO regrant (sale_id, from_sale_id, finding_id, input_hash, fen, reason, "by", at, recorded)
          SELECT {to}, {source}, finding_id, input_hash, {fen}, reason, "by", at, recorded FROM regrant"""


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
    drop_trigger(owner, "law_regrant_standing")
    run(owner, copied(town, "third", "second"))


def test_no_voided_meal_takes_part(town: Town, owner: Engine) -> None:
    town.void(town.named["third"].strip("'"), at(date(2026, 2, 12), 9))  # type: ignore[attr-defined]
    town.session.rollback()
    assert refused(partial(run, owner, copied(town, "third")))
    assert refused(partial(run, owner, copied(town, "fourth", "third")))
    run(owner, copied(town, "fourth"))


def test_only_a_use_that_was_granted_is_given_up(town: Town, owner: Engine) -> None:
    third = town.named["third"]  # type: ignore[attr-defined]
    new = f"""INSERT INTO given_up_use (sale_id, allowance, window_start, person_id, granted, after_record, recorded)
              SELECT sale_id, allowance, window_start, person_id, {{granted}}, 1, 1 FROM sale_use
              WHERE sale_id = {third} AND granted > 0"""
    assert refused(partial(run, owner, new.format(granted="granted + 1")))
    run(owner, new.format(granted="granted"))
    assert refused(partial(run, owner, new.format(granted="granted")))


def test_what_was_moved_is_neither_changed_nor_removed(town: Town, owner: Engine) -> None:
    for table, change in {"regrant": "fen = fen + 1", "given_up_use": "granted = 2"}.items():
        with owner.connect() as connection:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() > 0
        assert refused(partial(run, owner, f"UPDATE {table} SET {change}")), table
        assert refused(partial(run, owner, f"DELETE FROM {table}")), table
