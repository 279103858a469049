"""A job runs once, however often it is asked for: a row with a unique key, a lease and a fencing token (P18).

APScheduler only ticks. The holder of the lease may work; one that was paused past its lease finds its token
overtaken and must not report success. A lease is a time, so a host whose clock is not the database's takes none: a
day ahead it would end every other's lease, and its own would outlast it by a day.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import CheckConstraint, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from canteen import clock
from canteen.db import Base, retried, time_at, transaction

LEASE = timedelta(minutes=10)
BACK_OFF = timedelta(minutes=1)  # doubled at each failure, an hour at most
LONGEST = timedelta(hours=1)
CLOCKS_AGREE = timedelta(minutes=5)

log = logging.getLogger("canteen.scheduler")


class JobRun(Base):
    """The row that makes a job run once: unique (job, key), a lease, and a fencing token that only grows (P18)."""

    __tablename__ = "job_run"
    __table_args__ = (
        CheckConstraint("state IN ('running', 'done', 'failed')", name="state"),
        {"sqlite_strict": True},
    )

    job: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    token: Mapped[int]
    holder: Mapped[str]
    lease_until: Mapped[datetime]
    tries: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    error: Mapped[str] = mapped_column(default="")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to run a job until it ends; `token` only grows, so that an older holder is recognised."""

    job: str
    key: str
    token: int
    holder: str
    lasts: timedelta = LEASE


def holder_name() -> str:
    """Return a name for this process that no other has."""
    return f"{socket.gethostname()}/{os.getpid()}/{secrets.token_hex(4)}"


@retried
def take(job: str, key: str, holder: str, lasts: timedelta = LEASE) -> Lease | None:
    """Take the lease of a job neither done nor leased, else return None. A failed one is taken again after a while."""
    now = clock.now()
    try:
        with transaction() as session:
            if abs(off := ahead(session)) > CLOCKS_AGREE:
                log.error("this host's clock is %+.0f s from the database's: no job is taken", off.total_seconds())
                return None
            row = session.execute(
                select(JobRun).where(JobRun.job == job, JobRun.key == key).with_for_update()
            ).scalar_one_or_none()
            if row is None:
                session.add(
                    JobRun(
                        job=job, key=key, state="running", token=1, holder=holder, lease_until=now + lasts, tries=1,
                        started_at=now, finished_at=None,
                    )
                )  # fmt: skip
                return Lease(job, key, 1, holder, lasts)
            if row.state == "done" or row.lease_until > now:
                return None
            row.state, row.token, row.holder = "running", row.token + 1, holder
            row.lease_until, row.started_at, row.tries = now + lasts, now, row.tries + 1
            return Lease(job, key, row.token, holder, lasts)
    except IntegrityError:  # another process made the row in the same moment
        return None


def ahead(session: Session) -> timedelta:
    """Return how far this host's clock is ahead of the database's; on one host there is only one clock."""
    if session.get_bind().dialect.name != "postgresql" or clock.moved():
        return timedelta(0)
    return clock.now() - time_at(session)


def renew(lease: Lease) -> bool:
    """Hold a long job for another while; False when another holder has overtaken us."""
    return _change(lease, lease_until=clock.now() + lease.lasts)


def finish(lease: Lease) -> bool:
    """Mark the job done; False when another holder has overtaken us."""
    return _change(lease, state="done", finished_at=clock.now(), error="")


def fail(lease: Lease, error: str, tries: int) -> bool:
    """Mark the job failed, to be tried again after a pause that grows."""
    pause = min(BACK_OFF * 2 ** min(tries - 1, 10), LONGEST)
    now = clock.now()
    return _change(lease, state="failed", finished_at=now, lease_until=now + pause, error=error[:500])


@retried
def _change(lease: Lease, **values: object) -> bool:
    with transaction() as session:
        changed = session.execute(
            update(JobRun)
            .where(
                JobRun.job == lease.job,
                JobRun.key == lease.key,
                JobRun.token == lease.token,
                JobRun.holder == lease.holder,
            )
            .values(**values)
            .returning(JobRun.key)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        return changed is not None


def run_once(job: str, key: str, work: Callable[[Lease], None], holder: str, lasts: timedelta = LEASE) -> str:
    """Run `work` if it is ours to run: 'done', 'failed', 'overtaken', or 'not_ours'. `work` must be safe to repeat.

    lasts  how long a holder that was killed keeps others away; longer than the longest silence between two `renew`
    """
    lease = take(job, key, holder, lasts)
    if lease is None:
        return "not_ours"
    try:
        work(lease)
    except Exception as error:  # noqa: BLE001 - whatever went wrong is kept beside the job and tried again
        fail(lease, f"{type(error).__name__}: {error}", lease.token)
        return "failed"
    return "done" if finish(lease) else "overtaken"
