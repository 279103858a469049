"""Real processes closing one period at once, and one killed with SIGKILL inside its close."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.config import ROOT, Config
from canteen.db import db
from canteen.pos.models import Proration
from canteen.settlement.audit import verify
from canteen.settlement.claims import workflow
from canteen.settlement.closing import close as period_close
from canteen.settlement.closing import statement
from canteen.settlement.models import (
    Claim,
    Decision,
    Finding,
    ProratedShare,
    ProrationBooked,
    ProrationPart,
    Statement,
)
from tests import world
from tests.auth.house import PASSWORD, a_person
from tests.pos.books import book
from tests.rigs.programs import PATIENCE, Begin, environment_of
from tests.rigs.states import state
from tests.settlement.conftest import MADE, Town, at

JAN5 = date(2026, 1, 5)
CLOSE = ("period", "close", "k1", "2026-01", "--json")

# A close that kills its own process at a named point, as a power cut would.
DIES = """
import os, signal, sys
from canteen.app import create_app
from canteen.settlement.closing import close as closing, period_checks
def die(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
where = sys.argv[1]
if where == "after the flip":
    closing.settle = die
elif where == "while computing":
    period_checks.of_tablets = die
else:
    closing._claim = die
with create_app().app_context():
    closing.close("k1", __import__("datetime").date(2026, 1, 5), by="system")
"""


def count(table: type) -> int:
    db.session.rollback()
    return int(db.session.execute(select(func.count()).select_from(table)).scalar_one())


@state
def sold(town: Town) -> Town:
    """A January with eight meals and a gap, so that there is a finding too."""
    for day in range(5, 13):
        town.sell(date(2026, 1, day), town.cards[0])
    town.kept = town.sealed(date(2026, 1, 13), None)  # type: ignore[attr-defined]
    town.sell(date(2026, 1, 14), None)
    db.session.rollback()
    return town


def test_eight_closes_at_once_make_one_claim(sold: Town, begin: Begin):
    running = [begin(*CLOSE) for _ in range(8)]
    answers = []
    for process in running:
        code, out, err = process.end()
        assert code == 0, err
        answers += json.loads(out)

    assert {answer["claim"] for answer in answers} == {"k1-202601"}
    assert len({answer["statement"] for answer in answers}) == 1
    assert sorted(answer["closed_now"] for answer in answers) == [False] * 7 + [True]
    assert (count(Claim), count(Statement), count(Finding)) == (1, 1, 1)
    kinds = select(func.count()).where(events.Event.kind.in_((period_close.CLOSED, "claim.draft")))
    assert db.session.execute(kinds).scalar_one() == 2
    assert sold.claim("2026-01").fen == 4000


def test_closes_at_once_of_two_canteens_share_out_a_budget_once(app: Flask, session: Session, begin: Begin):
    with clock.at(MADE):
        tills = [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in (1, 2)]
        world.a_rulebook(session, book(budget="limit: 12.00, window: month, at_end: prorate"))
    towns = [Town(till, session) for till in tills]
    for town in (towns[0], *towns, *towns):
        town.sell(JAN5, town.elder())
    db.session.rollback()
    running = [begin("period", "close", town.till.contract, "2026-01", "--json") for town in towns * 3]
    for process in running:
        code, _, err = process.end()
        assert code == 0, err

    assert (count(Proration), count(ProrationPart), count(ProrationBooked), count(ProratedShare)) == (1, 2, 2, 5)
    assert [town.claim("2026-01").fen for town in towns] == [720, 480]
    for town in towns:
        assert verify.period(town.period("2026-01").id).differences == ()


@pytest.mark.parametrize("where", ["after the flip", "while computing", "while storing"])
def test_a_killed_close_resumes_to_the_bytes_of_a_clean_one(sold: Town, begin: Begin, where: str):
    assert begin(where, text=DIES).end()[0] == -signal.SIGKILL
    assert (count(Claim), count(Statement), count(Finding)) == (0, 0, 0)
    clean = statement.digest(statement.body(period_close.compute(sold.period("2026-01").id)))
    sold.sell(date(2026, 2, 2), sold.cards[0])
    db.session.rollback()

    code, out, err = begin(*CLOSE).end()

    assert code == 0, err
    (answer,) = json.loads(out)
    assert (answer["claim"], answer["statement"], answer["closed_now"]) == ("k1-202601", clean, False)
    assert (count(Claim), count(Statement)) == (1, 1)
    assert sold.claim("2026-01").fen == 4000


def test_four_schedulers_at_once_close_each_period_once(sold: Town, begin: Begin):
    running = [begin("scheduler", "--once", "--json") for _ in range(4)]
    outcomes: list[tuple[str, str]] = []
    for process in running:
        code, out, err = process.end()
        assert code == 0, err
        outcomes += json.loads(out).items()

    done = [key for key, outcome in outcomes if outcome == "done"]
    assert "k1/2026-01-31" in done
    assert all(outcome in {"done", "not_ours"} for _, outcome in outcomes)
    assert len(done) == len(set(done)) == count(Claim)
    flips = select(func.count()).where(events.Event.kind == period_close.CLOSED)
    assert db.session.execute(flips).scalar_one() == count(Claim)


def test_of_people_who_move_one_claim_at_once_one_does(sold: Town, begin: Begin):
    makers = [f"maker{n}" for n in range(4)]
    for login in makers:
        a_person(login, ("finance", "area", world.DISTRICT))
    assert begin(*CLOSE).end()[0] == 0
    sold.bring(at(date(2026, 2, 6)), sold.kept)  # type: ignore[attr-defined]
    claim_id = sold.claim("2026-01").id
    workflow.move(claim_id, "submit", by="p-manager")
    workflow.move(claim_id, "review", by="p-street")

    move = ("claims", "move", "k1-202601", "determine", "--as")
    running = [begin(*move, login, CANTEEN_PASSWORD=PASSWORD) for login in makers]
    ends = [process.end() for process in running]

    assert sorted(code for code, _, _ in ends) == [0, 1, 1, 1]
    assert all(err.startswith("move_not_open") for code, _, err in ends if code)
    assert count(Decision) == 3


def test_a_scheduler_closes_what_is_due_and_ends_on_sigterm(sold: Town, config: Config):
    command = [sys.executable, "-m", "canteen", "scheduler", "--every", "1"]
    with subprocess.Popen(
        command, env={**os.environ, **environment_of(config)}, cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "close k1/2026-01-31" in line)
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=PATIENCE)[1]

    assert said.strip().endswith("done")
    assert process.returncode == 0, rest
    assert sold.claim("2026-01").fen == 4000
