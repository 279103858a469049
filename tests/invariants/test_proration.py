"""A budget is shared out once, all parts together never pass it, and no share loses twice or more than it is."""

from __future__ import annotations

from datetime import date
from functools import partial

from flask import Flask
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from canteen import clock
from tests import world
from tests.invariants.test_constraints import drop_trigger, owner, refused, run
from tests.pos.books import book
from tests.rigs.states import state
from tests.settlement.conftest import MADE, Town

__all__ = ["owner"]

PART = """INSERT INTO proration_part (allowance, window_start, contract_id, asked_fen, part_fen)
          SELECT allowance, window_start, 'k2', 500, {fen} FROM proration"""
SHARE = """INSERT INTO prorated_share (sale_id, share_n, allowance, window_start, period_id, fen)
           SELECT s.sale_id, s.n, p.allowance, p.window_start, (SELECT id FROM period WHERE state = '{state}'), {fen}
           FROM proration p, share s WHERE s.sale_id NOT IN (SELECT sale_id FROM prorated_share)"""


@state
def town(app: Flask, session: Session) -> Town:
    """Fifteen yuan asked of twelve in January, shared out; a meal of February that lost nothing."""
    with clock.at(MADE):
        made = Town(world.make(session), session)
        world.make(session, canteen="c2", contract="k2", tablet="t2")
        world.a_rulebook(session, book(budget="limit: 12.00, window: month, at_end: prorate"))
    for _ in range(3):
        made.sell(date(2026, 1, 12), made.elder())
    made.close("2026-01")
    made.sell(date(2026, 2, 12), made.elder())
    session.rollback()
    return made


def test_the_parts_of_a_budget_together_never_pass_it(town: Town, owner: Engine) -> None:
    assert refused(partial(run, owner, PART.format(fen=1)))
    drop_trigger(owner, "law_proration_within_limit")
    run(owner, PART.format(fen=1))


def test_a_prorated_part_is_never_negative_or_above_the_request(town: Town, owner: Engine) -> None:
    assert refused(partial(run, owner, PART.format(fen=-1)))
    assert refused(partial(run, owner, PART.format(fen=501)))
    run(owner, PART.format(fen=0))
    assert refused(partial(run, owner, PART.format(fen=0)))


def test_a_share_loses_at_most_itself_and_in_an_open_period(town: Town, owner: Engine) -> None:
    for status, fen in (("open", 501), ("open", 0), ("closed", 100)):
        assert refused(partial(run, owner, SHARE.format(state=status, fen=fen))), (status, fen)
    drop_trigger(owner, "law_prorated_within_share")
    run(owner, SHARE.format(state="open", fen=501))


def test_proration_rows_are_booked_once_and_never_change(town: Town, owner: Engine) -> None:
    columns = {
        "proration": ("allowance, window_start, limit_fen, other_fen, asked_fen, records, recorded, at", "limit_fen"),
        "proration_part": ("allowance, window_start, contract_id, asked_fen, part_fen", "asked_fen"),
        "proration_booked": ("allowance, window_start, contract_id, period_id", "period_id"),
        "prorated_share": ("sale_id, share_n, allowance, window_start, period_id, fen", "fen"),
    }
    for table, (names, one) in columns.items():
        with owner.connect() as connection:
            assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() > 0
        assert refused(partial(run, owner, f"INSERT INTO {table} ({names}) SELECT {names} FROM {table}")), table
        assert refused(partial(run, owner, f"UPDATE {table} SET {one} = {one} + 1")), table
        assert refused(partial(run, owner, f"DELETE FROM {table}")), table
