"""Close periods by themselves: APScheduler ticks, `job_run` makes each close happen once (P18).

A tick looks at what is due now, so a scheduler that was away catches up at its first tick, oldest period first.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import partial
from types import FrameType

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers import SchedulerNotRunningError
from apscheduler.schedulers.blocking import BlockingScheduler
from flask import Flask

from canteen import clock, heartbeats, jobs, keyset, settings
from canteen.db import db, is_away
from canteen.errors import Refusal
from canteen.ledger.models import Period
from canteen.settings import Settings
from canteen.settlement.closing import close

TICK = 60  # seconds
OFTEN = 2  # seconds between two looks for what people wait for at a page
SYSTEM = "system"
JOB = "period.close"

log = logging.getLogger("canteen.scheduler")

_asked: list[Callable[[str], dict[str, str]]] = []


def also(work: Callable[[str], dict[str, str]]) -> None:
    """Have the scheduler also do what people ask for at a page; `work(holder)` answers the outcome of each job.

    Each work ticks by itself, one at a time: a long simulation keeps neither an export nor a close waiting.
    """
    if work not in _asked:
        _asked.append(work)


def on_request(holder: str) -> dict[str, str]:
    """Do what people asked for, each job once. Must run in an application context."""
    return {key: outcome for work in _asked for key, outcome in work(holder).items()}


def due_at(last_day: date, decided: Settings) -> datetime:
    """Return when the period that ended on `last_day` is closed: days later, at an hour of Shanghai, as set today."""
    return clock.instant(last_day + timedelta(days=decided.number("close_day")), decided.number("close_hour") * 60)


def waiting() -> list[tuple[str, date]]:
    """List (contract, last day) of the closes that should have happened by now, oldest first; killed ones too."""
    now = clock.now()
    with keyset.reader() as session:
        decided = settings.read(session)
        due = close.due(session, clock.today())
        over = [(contract, last) for contract, last in due if due_at(last, decided) <= now]
        unfinished = [session.get_one(Period, number) for number in close.unfinished(session)]
        killed = [(period.contract_id, period.to_day) for period in unfinished]
    return [*killed, *over]


def tick(holder: str) -> dict[str, str]:
    """Close what is due, each in its own job; answers the outcome of each. Must run in an application context.

    A contract whose earlier period is another's work, or failed, waits for the next tick: its chain closes in order.
    """
    outcomes: dict[str, str] = {}
    behind: set[str] = set()
    for contract, last in waiting():
        if contract in behind:
            continue
        key = f"{contract}/{last.isoformat()}"

        def work(_: jobs.Lease, contract: str = contract, last: date = last) -> None:
            close.close(contract, last, by=SYSTEM)

        outcomes[key] = jobs.run_once(JOB, key, work, holder)
        heartbeats.beat(holder)  # many closes in one look may take minutes
        if outcomes[key] != "done":
            behind.add(contract)
        if outcomes[key] != "not_ours":
            log.info("close %s: %s", key, outcomes[key])
    heartbeats.beat(holder)
    return outcomes


def run(app: Flask, *, every: int = TICK, first: Callable[[], None] = lambda: None) -> None:
    """Tick until SIGTERM or Ctrl-C; an away database is waited for.

    first   called before each look: what may have changed under us. Raises the Refusal that it raises, having stopped.
    """
    holder = jobs.holder_name()
    threads = ThreadPoolExecutor(1 + len(_asked))  # one for each job, so that none waits for another
    scheduler = BlockingScheduler(timezone=clock.SHANGHAI, executors={"default": threads})
    refusals: list[Refusal] = []
    one_at_a_time = threading.Lock()

    def may_go_on() -> bool:
        with one_at_a_time:
            try:
                if not refusals:
                    first()
            except Refusal as refusal:
                refusals.append(refusal)
                _stop(scheduler)
        return not refusals

    def patiently(work: Callable[[], object]) -> None:
        _patiently(app, lambda: may_go_on() and work())

    def beat() -> None:
        patiently(lambda: tick(holder))

    def stop(_signal: int, _frame: FrameType | None) -> None:
        # The main thread, in which this runs, may be amid starting jobs: only another thread waits until it is not
        threading.Thread(target=_stop, args=(scheduler,), name="stop scheduler").start()

    signal.signal(signal.SIGTERM, stop)
    patiently(lambda: heartbeats.beat(holder, begins=True))
    scheduler.add_job(
        beat, "interval", seconds=every, next_run_time=clock.local(clock.now()), max_instances=1, coalesce=True,
        misfire_grace_time=None,
    )  # fmt: skip
    for work in _asked:
        scheduler.add_job(
            partial(patiently, partial(work, holder)), "interval", seconds=min(OFTEN, every), max_instances=1,
            coalesce=True, misfire_grace_time=None, name=work.__module__,
        )  # fmt: skip
    try:
        scheduler.start()
    except KeyboardInterrupt:
        _stop(scheduler)
    for refusal in refusals:
        raise refusal


def _stop(scheduler: BlockingScheduler) -> None:
    with suppress(SchedulerNotRunningError):  # it was stopped a second time
        scheduler.shutdown(wait=False)


def _patiently(app: Flask, work: Callable[[], object]) -> None:
    """Work in a context of its own; when the database is away nothing is done, until the next time."""
    with app.app_context():
        try:
            work()
        except Exception as error:
            if not is_away(error):
                raise
            log.warning("the database is away; trying again later")
        finally:
            db.session.remove()
