"""When tablets were heard and what they reported of themselves, and who was logged in: evidence to judge records by.

A tablet reports with each request how far its chain of records is and what its monotonic clock says; that is
noted once a minute, and kept for ever where the tablet was not heard for longer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth.models import Tablet, TabletSilence, TillLogin
from canteen.db import Instant, transaction
from canteen.prepared import Prepared, database_of

TOUCH = timedelta(seconds=60)  # how stale `seen_at` may be
SILENCE = timedelta(minutes=3)  # a tablet asks for the time every quarter of a minute
SLACK = timedelta(minutes=5)  # between the clocks by which a sale and a log-in are dated
LONGEST = timedelta(hours=12)  # of a log-in at a tablet that can reach us

_REPORT = re.compile(r"([^;]{0,64});([1-9][0-9]{0,9});([0-9]{1,15});([0-9]{1,15});([0-9A-Za-z-]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class TabletReport:
    """A tablet's report with a request: epoch and number of its newest record, its monotonic clock and page load."""

    epoch: int
    number: int
    mono_ms: int
    boot: str


def read(header: str) -> tuple[str, TabletReport | None]:
    """Return the tablet's clock and its report, from 'clock;epoch;number;mono;boot' or from the clock alone."""
    found = _REPORT.fullmatch(header)
    if found is None:
        return header.partition(";")[0], None
    return found[1], TabletReport(int(found[2]), int(found[3]), int(found[4]), found[5])


_heard: dict[tuple[str, str], datetime] = {}  # by database and tablet: `seen_at` as this process knows it, or earlier


def note(session: Session, tablet_id: str, report: TabletReport | None, skew_ms: int | None) -> None:
    """Note that a tablet is heard, at most once a minute; and the silence before, if there was one."""
    key, now = (database_of(session), tablet_id), clock.now()
    if key in _heard and now - _heard[key] <= TOUCH:
        return
    ((seen, *before),) = _SEEN.rows(session, {"tablet": tablet_id})
    if seen is not None and now - seen <= TOUCH:
        _heard[key] = seen
        return
    silence = None
    if seen is not None and now - seen > SILENCE:
        silence = {
            "tablet_id": tablet_id,
            "from_at": seen,
            **dict(zip(("epoch", "number", "mono_ms", "boot", "skew_ms"), before, strict=True)),
            "until_at": now,
            "until_epoch": report.epoch if report else None,
            "until_number": report.number if report else None,
            "until_skew_ms": skew_ms,
        }
    news = {
        "seen_at": now,
        "skew_ms": skew_ms,
        "epoch": report.epoch if report else None,
        "number": report.number if report else None,
        "mono_ms": report.mono_ms if report else None,
        "boot": report.boot if report else None,
    }
    with transaction():
        as_read = Tablet.seen_at.is_(None) if seen is None else Tablet.seen_at == seen
        first = session.execute(
            update(Tablet).where(Tablet.id == tablet_id, as_read).values(news).returning(Tablet.id)
        ).first()
        if first is not None and silence is not None:  # of several requests at once one notes it; the rest wait for it
            session.execute(insert(TabletSilence), silence)
    _heard[key] = now


_SEEN = Prepared(
    select(Tablet.seen_at, Tablet.epoch, Tablet.number, Tablet.mono_ms, Tablet.boot, Tablet.skew_ms).where(
        Tablet.id == bindparam("tablet")
    )
)


def silences(session: Session, tablet_id: str, since: datetime) -> list[TabletSilence]:
    """Return the silences of a tablet that ended at `since` or later, oldest first."""
    query = select(TabletSilence).where(TabletSilence.tablet_id == tablet_id, TabletSilence.until_at >= since)
    return list(session.execute(query.order_by(TabletSilence.until_at)).scalars())


def log(session: Session, tablet_id: str, person_id: str, *, opens: bool) -> None:
    """Note that a cashier logged in at a tablet, or out."""
    session.add(TillLogin(tablet_id=tablet_id, person_id=person_id, opens=opens, at=clock.now()))


_LOGINS = Prepared(
    select(TillLogin.person_id, TillLogin.opens, TillLogin.at)
    .where(TillLogin.tablet_id == bindparam("tablet"), TillLogin.at <= bindparam("until", type_=Instant()))
    .order_by(TillLogin.at.desc(), TillLogin.id.desc())
    .limit(20)
)


def on_duty(session: Session, tablet_id: str, person_id: str, at: datetime) -> bool:
    """Return whether the cashier was logged in at the tablet at `at`, five minutes more or less.

    A log-in ends with the next one's or when the cashier leaves. After twelve hours it goes on only for as long as
    the tablet cannot reach us: its cashier goes on selling.
    """
    for person, opens, since in _LOGINS.rows(session, {"tablet": tablet_id, "until": at + SLACK}):
        if person == person_id and opens and not _lapsed(session, tablet_id, since, at):
            return True
        if since <= at - SLACK:
            return False
    return False


def _lapsed(session: Session, tablet_id: str, since: datetime, at: datetime) -> bool:
    """Return whether the tablet contacted the server after the log-in had reached its maximum length, but before `at`."""
    ends = since + LONGEST + SLACK
    if at <= ends:
        return False
    return any(silence.until_at < at - SLACK for silence in silences(session, tablet_id, ends))
