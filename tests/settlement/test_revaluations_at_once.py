"""Real processes revaluing the same meals at once, and one killed with SIGKILL in between: each difference once."""

from __future__ import annotations

import signal
from datetime import date

from sqlalchemy import func, select

from canteen import clock
from canteen.db import db
from canteen.ledger.models import Transfer
from canteen.pos.models import UseChange
from canteen.settlement.audit import trial_balance, verify
from canteen.settlement.corrections import revaluations
from canteen.settlement.models import RevaluedShare
from tests.rigs.programs import Begin
from tests.rigs.states import state
from tests.settlement import late
from tests.settlement.conftest import Town, at
from tests.settlement.test_revaluation import JAN, LIMIT, verified

RUN = """
import os, signal, sys
from canteen.app import create_app
from canteen import jobs
from canteen.settlement.corrections import revaluation_booking, revaluation_run, revaluations
number, last = int(sys.argv[1]), int(sys.argv[2])
revaluation_run.BATCH = 2
write, written = revaluation_booking.write, []
def counted(*args):
    written.append(write(*args))
    if len(written) == last:
        os.kill(os.getpid(), signal.SIGKILL)
revaluation_booking.write = counted
with create_app().app_context():
    print(revaluations.run(number, jobs.holder_name()))
"""
MEALS = 12


@state
def asked(town: Town) -> int:
    """A notice of one yuan more, ten meals a month, over twelve meals of a settled month; ordered, its run not begun."""
    for day in range(5, 5 + MEALS):
        town.sell(date(2026, 1, day), town.cards[0])
    town.close("2026-01")
    rule = late.SIX[late.SIX.index("      - id: aged") :].replace("id: aged", "id: extra").replace("6.00", "1.00")
    base = late.world.GUARDED.replace("    title: 补贴\n", "    title: 补贴\n    pick: sum\n")
    return late.asked(base + rule + LIMIT.replace("limit: 2", "limit: 10"), *JAN)


def again(number: int) -> int:
    with clock.at(at(late.LATER_ON)):
        return revaluations.request(number, preview=False, by="p-chief")


def sums() -> tuple[int, int, int]:
    """Fen of the differences, of their transfers, and slots added."""
    db.session.rollback()
    fen = db.session.execute(select(func.coalesce(func.sum(RevaluedShare.fen), 0))).scalar_one()
    moved = select(func.coalesce(func.sum(Transfer.fen), 0)).where(Transfer.movement == "revalue")
    booked = db.session.execute(moved).scalar_one()
    uses = db.session.execute(select(func.count()).select_from(UseChange).where(UseChange.allowance == "late.month"))
    found = int(fen), int(booked), uses.scalar_one()
    db.session.rollback()
    return found


def test_three_runs_at_once_book_each_difference_once(town: Town, asked: int, begin: Begin) -> None:
    runs = [late.ordered(asked), again(asked), again(asked)]
    db.session.rollback()
    for process in [begin(str(run), "0", text=RUN) for run in runs]:
        _, said, errors = process.end()
        assert said.strip() == "done", errors
    assert sums() == (1000, 1000, 10)
    town.close("2026-02")
    assert verified(town, "2026-02").differences == ()


def test_a_run_killed_in_between_is_finished_by_the_next(town: Town, asked: int, begin: Begin) -> None:
    assert begin(str(late.ordered(asked)), "5", text=RUN).end()[0] == -signal.SIGKILL
    assert sums() == (400, 400, 4), "two whole batches of two; the third was rolled back"
    late.done(again(asked))
    assert sums() == (1000, 1000, 10)
    assert trial_balance.differences("k1") == []
    town.close("2026-02")
    assert verify.period(town.period("2026-02").id).differences == ()
