"""The scheduler's heartbeat: one row that each scheduler rewrites when it has looked, on whichever host it runs.

So any host can tell that no scheduler looks any more: its pages work, and no period is closed.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import CheckConstraint, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from canteen import clock, jobs
from canteen.db import Base, db, retried, transaction

CODE: Final = "scheduler_silent"
SILENT: Final = timedelta(minutes=5)  # five times the pause between two looks


class SchedulerBeat(Base):
    """When a scheduler last looked at what is due: one row, rewritten by whichever looks. State."""

    __tablename__ = "scheduler_beat"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"), {"sqlite_strict": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    holder: Mapped[str]
    at: Mapped[datetime]  # by the database's clock
    starts: Mapped[int]  # schedulers that have begun, ever


@retried
def beat(holder: str, *, begins: bool = False) -> None:
    """Tell that the scheduler `holder` has just looked at what is due, or begins to look."""
    try:
        with transaction() as session:
            now = clock.now() - jobs.ahead(session)
            row = session.get(SchedulerBeat, 1, with_for_update=True)
            if row is None:
                session.add(SchedulerBeat(id=1, holder=holder, at=now, starts=1))
                return
            row.holder, row.at, row.starts = holder, now, row.starts + begins
    except IntegrityError:
        return  # another scheduler made the row in the same moment


def last(session: Session) -> SchedulerBeat | None:
    """Return the newest heartbeat; None where no scheduler has run yet."""
    return session.execute(select(SchedulerBeat)).scalar_one_or_none()


def age(session: Session) -> timedelta | None:
    """Return the time since a scheduler last looked, by the database's clock; None where none has run yet."""
    row = last(session)
    return None if row is None else clock.now() - jobs.ahead(session) - row.at


def trouble() -> str | None:
    """Return CODE when a scheduler has run and none looks any more: for /healthz."""
    since = age(db.session())
    return CODE if since is not None and since > SILENT else None


def figures() -> dict[str, tuple[str, float]]:
    """Return the metrics by name: help text and value of each."""
    session = db.session()
    since, row = age(session), last(session)
    metrics = {"canteen_scheduler_starts": ("Schedulers that have begun to look, counted in the database.", 0.0)}
    if since is not None and row is not None:
        metrics["canteen_scheduler_starts"] = (metrics["canteen_scheduler_starts"][0], float(row.starts))
        metrics["canteen_scheduler_age_seconds"] = ("Seconds since a scheduler last looked.", since.total_seconds())
    return metrics
