"""Claims: one for its key, over whole closed periods, moved in turn by two people, paid by a checked payout (P16, P18, P23)."""

from __future__ import annotations

from datetime import date
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock
from tests import world
from tests.invariants.test_constraints import drop_constraint, drop_trigger, owner, refused, run
from tests.rigs.states import state
from tests.settlement.conftest import MADE, Town

__all__ = ["owner"]

CLAIM = """INSERT INTO claim (number, contract_id, district_id, kind, from_day, to_day, period_id, statement_hash, meals,
           persons, fen, made_at) SELECT '{number}', contract_id, district_id, kind, '{first}', '{last}', {period},
           statement_hash, meals, persons, fen, made_at FROM claim LIMIT 1"""
DECIDED = """INSERT INTO decision (claim_id, n, move, from_state, to_state, "by", reason, at, recorded)
             VALUES (1, {n}, '{move}', '{before}', '{after}', '{by}', '', '2026-02-05T00:00:00.000000Z', 1)"""
ENTERED = """INSERT INTO payout (id, claim_id, attempt, fen, voucher, paid_on, payee_name, bank, account_tail, entered_by,
             entered_at, recorded)
             VALUES (1, 1, 1, 500, 'v', '2026-02-05', 'x', 'x', '1', 'payer', '2026-02-05T00:00:00.000000Z', 0)"""
CHECKED = """INSERT INTO payout_check (payout_id, outcome, reason, entered_by, checked_by, checked_at, recorded)
             VALUES (1, '{outcome}', '', '{entered}', '{checked}', '2026-02-05T00:00:00.000000Z', 1)"""
JANUARY, FEBRUARY = "(SELECT min(id) FROM period)", "(SELECT max(id) FROM period)"


@state
def town(app: Flask, session: Session) -> Town:
    """A meal in January, closed and claimed; February is open."""
    with clock.at(MADE):
        made = Town(world.make(session), session)
        world.a_rulebook(session)
    made.elder()
    made.sell(date(2026, 1, 12), made.cards[0])
    made.close("2026-01")
    made.sell(date(2026, 2, 2), made.cards[0])
    session.rollback()
    return made


def decided(n: int, move: str, before: str, after: str, by: str = "maker") -> str:
    return DECIDED.format(n=n, move=move, before=before, after=after, by=by)


SUBMITTED = decided(1, "submit", "draft", "submitted")
DETERMINED = decided(2, "determine", "submitted", "determined", "finance")


def test_a_claim_is_made_once_for_its_contract_and_days(town: Town, owner: Engine) -> None:
    again = CLAIM.format(number="again", first="2026-01-01", last="2026-01-31", period=JANUARY)
    drop_trigger(owner, "law_claim_whole_periods")
    if owner.dialect.name == "sqlite":
        drop_trigger(owner, "law_claim_no_replace")
    assert refused(partial(run, owner, again))
    if owner.dialect.name == "postgresql":  # on SQLite the table would go with its rows, and there is one to copy
        drop_constraint(owner, "claim", "uq_claim_contract_id_kind_from_day_to_day")
        run(owner, again)


@pytest.mark.parametrize(
    ("first", "last", "period"),
    [
        ("2026-02-01", "2026-02-28", FEBRUARY),  # open
        ("2026-01-02", "2026-01-31", JANUARY),  # begins within a period
        ("2026-01-01", "2026-01-30", JANUARY),  # ends within one
        ("2026-01-01", "2026-02-28", FEBRUARY),  # covers what is claimed already
    ],
)
def test_a_claim_covers_whole_closed_periods_of_its_own(
    town: Town, owner: Engine, first: str, last: str, period: str
) -> None:
    other = CLAIM.format(number="other", first=first, last=last, period=period)
    assert refused(partial(run, owner, other))
    drop_trigger(owner, "law_claim_whole_periods")
    run(owner, other)


@pytest.mark.parametrize(
    "wrong", [decided(3, "determine", "submitted", "determined"), decided(2, "submit", "draft", "submitted")]
)
def test_decisions_of_a_claim_follow_one_another(town: Town, owner: Engine, wrong: str) -> None:
    run(owner, SUBMITTED)
    assert refused(partial(run, owner, wrong))
    drop_trigger(owner, "law_decision_in_turn")
    run(owner, wrong)


def test_who_submitted_a_claim_does_not_approve_it(town: Town, owner: Engine) -> None:
    run(owner, SUBMITTED, DETERMINED)
    own = decided(3, "approve", "determined", "approved", "maker")
    assert refused(partial(run, owner, own))
    drop_trigger(owner, "law_decision_two_people")
    run(owner, own)


@pytest.mark.parametrize(
    "wrong",
    [
        decided(1, "approve", "draft", "approved"),  # nobody submitted it
        decided(1, "submit", "draft", "approved"),  # called a submission
        decided(1, "wave_through", "draft", "approved"),
    ],
)
def test_a_claim_is_approved_only_after_a_submission(town: Town, owner: Engine, wrong: str) -> None:
    assert refused(partial(run, owner, wrong))
    drop_trigger(owner, "law_decision_known_move")
    run(owner, wrong)


def test_a_claim_that_has_ended_moves_no_more(town: Town, owner: Engine) -> None:
    run(owner, SUBMITTED, DETERMINED, decided(3, "approve", "determined", "settled", "chief"))
    assert refused(partial(run, owner, decided(4, "return", "settled", "returned")))


def test_a_claim_is_paid_only_by_a_payout_another_confirmed(town: Town, owner: Engine) -> None:
    run(owner, SUBMITTED, DETERMINED, decided(3, "approve", "determined", "approved", "chief"))
    paid = decided(4, "pay", "approved", "paid", "payer")
    assert refused(partial(run, owner, paid))
    run(owner, ENTERED)
    assert refused(partial(run, owner, paid))
    assert refused(partial(run, owner, CHECKED.format(outcome="confirmed", entered="payer", checked="payer")))
    assert refused(partial(run, owner, CHECKED.format(outcome="confirmed", entered="other", checked="payer")))
    drop_trigger(owner, "law_decision_paid_by_two")
    run(owner, paid)


def test_a_checked_payout_pays(town: Town, owner: Engine) -> None:
    run(owner, SUBMITTED, DETERMINED, decided(3, "approve", "determined", "approved", "chief"))
    run(owner, ENTERED, CHECKED.format(outcome="confirmed", entered="payer", checked="checker"))
    run(owner, decided(4, "pay", "approved", "paid", "payer"))


def test_trigger_and_check_refuse_a_checker_who_entered(town: Town, owner: Engine) -> None:
    run(owner, ENTERED)
    disguised = CHECKED.format(outcome="confirmed", entered="other", checked="payer")
    assert refused(partial(run, owner, disguised))
    drop_trigger(owner, "law_payout_two_people")
    run(owner, disguised)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_closed_period_is_not_replaced_even_without_the_pragma(town: Town, owner: Engine) -> None:
    """On PostgreSQL there is no such statement: an insert that meets a row refuses or does nothing."""
    replace = """INSERT OR REPLACE INTO period (id, contract_id, district_id, from_day, to_day, state)
                 VALUES (1, 'k1', '220104', '2026-03-01', '2026-03-31', 'open')"""
    with owner.connect() as connection:
        connection.exec_driver_sql("PRAGMA recursive_triggers = OFF")
        connection.commit()
        with pytest.raises(IntegrityError, match="law: period_no_replace"):
            connection.exec_driver_sql(replace)
    drop_trigger(owner, "law_period_no_replace")
    with owner.connect() as connection:
        connection.exec_driver_sql("PRAGMA recursive_triggers = OFF")
        connection.commit()
        connection.exec_driver_sql(replace)
        assert connection.execute(text("SELECT state FROM period WHERE id = 1")).scalar_one() == "open"


def test_claimed_days_are_whole_and_never_changed(town: Town, owner: Engine) -> None:
    day = "INSERT INTO claimed_day (period_id, service_day, fund, fen) VALUES ({}, '2026-01-13', 'city', 500)"
    for period in (JANUARY, FEBRUARY):
        assert refused(partial(run, owner, day.format(period)))
    assert refused(partial(run, owner, "UPDATE claimed_day SET fen = fen + 1"))
    assert refused(partial(run, owner, "DELETE FROM claimed_day"))
    drop_trigger(owner, "law_claimed_days_whole")
    for period in (JANUARY, FEBRUARY):
        run(owner, day.format(period))
