"""Records that were acknowledged to tablets but are missing here: the database was restored from an older backup.

At each contact a tablet sends, for each epoch of its numbers, the highest that this incarnation acknowledged. If that
is more than the database has, a row of `tablet_ahead` keeps it until the numbers have arrived: a later sale would
hide the gap before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from flask import g, request
from sqlalchemy import bindparam, delete, func, literal, select, true
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth.models import Tablet
from canteen.auth.tablets import KnownTablet
from canteen.db import db, transaction
from canteen.memory import Head
from canteen.places import Installation
from canteen.pos import incarnation, lost_numbers
from canteen.pos.models import Record, TabletAhead
from canteen.prepared import Prepared

MOST_EPOCHS = 8  # of one tablet that are remembered: each was declared lost by two people before the next began
MOST_NUMBER = 2**53  # as of a record's number
FOREIGN = "foreign_tablet"  # why a record that another tablet numbered was set aside: it is no number of this one
CODE = "database_behind_tablets"

_SAID = re.compile(rf"[0-9]{{1,10}}/[0-9]{{1,16}}(?:,[0-9]{{1,10}}/[0-9]{{1,16}}){{0,{MOST_EPOCHS - 1}}}", re.ASCII)
_log = structlog.get_logger()

_OWN = (Record.tablet_id == bindparam("tablet")) & (Record.epoch == bindparam("epoch")) & (Record.reason != FOREIGN)
_HIGHEST = select(Record.number).where(_OWN).order_by(Record.number.desc()).limit(1).scalar_subquery()
_ONE = select(literal(1).label("n")).subquery()
_AHEAD = (TabletAhead.epoch, TabletAhead.received, TabletAhead.acknowledged, TabletAhead.incarnation)
_NEWEST = events.NEWEST.subquery()
_STATE = Prepared(
    select(_NEWEST.c.number, _NEWEST.c.hash, Installation.incarnation, _HIGHEST, *_AHEAD)
    .select_from(
        _ONE.outerjoin(_NEWEST, true())
        .outerjoin(Installation, true())
        .outerjoin(TabletAhead, TabletAhead.tablet_id == bindparam("tablet"))
    )
    .order_by(TabletAhead.epoch)
)
"""Newest event, incarnation, highest number of an epoch, rows of `tablet_ahead`, in one statement: asked at each contact."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run of acknowledged numbers of one epoch, both ends included."""

    epoch: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Heard:
    """Answer to a contact: the incarnation, and the runs missing in this database; None for a revoked tablet."""

    incarnation: str
    behind: list[Run] | None


@dataclass(frozen=True, slots=True)
class Ahead:
    """A tablet that is ahead of the database: `missing` numbers of `run` never arrived, known since `since` (UTC).

    renewed  the incarnation was renewed after that, so the tablet sends them again at its next contact
    """

    tablet: str
    name: str
    canteen: str
    revoked: bool
    run: Run
    missing: int
    since: datetime
    renewed: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.tablet}) {self.run.epoch}/{self.run.first}-{self.run.last}"


def newest(session: Session) -> Head:
    """Return the newest event of a request that brings records; what `hear` needs is read with it."""
    acknowledged = _read(request.args)
    asked = {"tablet": request.headers.get("X-Tablet", "")[:64], "epoch": max(acknowledged, default=0)}
    g.contact = _STATE.rows(session, asked)
    number, digest = g.contact[0][:2]
    return number or 0, digest or events.FIRST


def hear(tablet: Tablet | KnownTablet, said: Mapping[str, str]) -> Heard:
    """Record what a tablet says was acknowledged to it, and return the runs that are missing here.

    said    `incarnation`, and `acknowledged` as 'epoch/number,epoch/number'. What cannot be read, or was
            acknowledged by another incarnation, is ignored: no statement of a tablet may stop a sale.
    """
    session, acknowledged = db.session(), _read(said)
    epoch = max(acknowledged, default=0)
    rows = g.pop("contact", None) or _STATE.rows(session, {"tablet": tablet.id, "epoch": epoch})
    current, highest = rows[0][2] or "", rows[0][3] or 0
    if tablet.revoked_at is not None:
        return Heard(current, None)
    noted = _runs(row[4:] for row in rows if row[4] is not None)
    if current and said.get("incarnation") == current:
        beyond = _beyond(session, tablet.id, acknowledged, {epoch: highest})
        more = [run for run in beyond if not _covers(noted, run, current)]
        if more:
            _note(tablet.id, more, current)
            noted = _noted(session, tablet.id)
    if noted:
        _forget_what_came(tablet.id, noted)
    behind = [run for run, by in noted.values() if by == current and _count_missing(session, tablet.id, run)]
    return Heard(current, behind)


def tablets_ahead(session: Session) -> list[Ahead]:
    """List every tablet that is ahead of the database, by canteen and name."""
    current = incarnation.current(session)
    query = select(TabletAhead, Tablet).join(Tablet, Tablet.id == TabletAhead.tablet_id)
    query = query.order_by(Tablet.canteen_id, Tablet.name, Tablet.id, TabletAhead.epoch)
    found = []
    for row, tablet in session.execute(query).all():
        run = Run(row.epoch, row.received + 1, row.acknowledged)
        if missing := _count_missing(session, tablet.id, run):
            known = (tablet.id, tablet.name, tablet.canteen_id, tablet.revoked_at is not None)
            found.append(Ahead(*known, run, missing, row.since, row.incarnation != current))
    return found


def calling(found: Iterable[Ahead]) -> list[Ahead]:
    """Select those that need a new incarnation: in use, and acknowledged by the present one."""
    return [each for each in found if not each.renewed and not each.revoked]


def trouble() -> str | None:
    """Return CODE if a tablet needs a new incarnation: for /healthz."""
    return CODE if calling(tablets_ahead(db.session())) else None


def _read(said: Mapping[str, str]) -> dict[int, int]:
    """Parse the highest acknowledged number of each epoch; of an epoch named twice, the higher one."""
    text, acknowledged = said.get("acknowledged", ""), dict[int, int]()
    if len(text) > 256 or not _SAID.fullmatch(text):
        return acknowledged
    for pair in text.split(","):
        epoch, number = (int(part) for part in pair.split("/"))
        if 1 <= epoch <= 2**31 and 1 <= number <= MOST_NUMBER:
            acknowledged[epoch] = max(number, acknowledged.get(epoch, 0))
    return acknowledged


def _beyond(
    session: Session, tablet_id: str, acknowledged: Mapping[int, int], highest: Mapping[int, int]
) -> Iterable[Run]:
    """Yield the runs of `acknowledged` that are missing in the database; of some epochs the highest number is known."""
    for epoch, number in acknowledged.items():
        received = highest.get(epoch)
        if received is None:
            rows = _STATE.rows(session, {"tablet": tablet_id, "epoch": epoch})
            received = rows[0][3] or 0
        if number > received:
            yield Run(epoch, received + 1, number)


def _noted(session: Session, tablet_id: str) -> dict[int, tuple[Run, str]]:
    """Read the known missing run of each epoch of a tablet, and the incarnation that acknowledged it."""
    rows = _STATE.rows(session, {"tablet": tablet_id, "epoch": 0})
    return _runs(row[4:] for row in rows if row[4] is not None)


def _runs(rows: Iterable[tuple[Any, ...]]) -> dict[int, tuple[Run, str]]:
    return {epoch: (Run(epoch, received + 1, acknowledged), by) for epoch, received, acknowledged, by in rows}


def _covers(noted: Mapping[int, tuple[Run, str]], run: Run, current: str) -> bool:
    known, by = noted.get(run.epoch, (None, ""))
    return known is not None and by == current and known.first <= run.first and known.last >= run.last


def _note(tablet_id: str, runs: Iterable[Run], current: str) -> None:
    """Store missing runs; a stored one is widened, and keeps its first time while the incarnation is the same."""
    with transaction() as session:
        session.get_one(Tablet, tablet_id, with_for_update=True)  # one at a time for each tablet
        query = select(TabletAhead).where(TabletAhead.tablet_id == tablet_id)
        there = {row.epoch: row for row in session.execute(query).scalars()}
        for run in runs:
            row = there.get(run.epoch)
            if row is not None:
                row.received = min(row.received, run.first - 1)
                row.acknowledged = max(row.acknowledged, run.last)
                if row.incarnation != current:
                    row.incarnation, row.since = current, clock.now()
            elif len(there) < MOST_EPOCHS:
                values = {
                    "received": run.first - 1,
                    "acknowledged": run.last,
                    "incarnation": current,
                    "since": clock.now(),
                }
                there[run.epoch] = TabletAhead(tablet_id=tablet_id, epoch=run.epoch, **values)
                session.add(there[run.epoch])
            _log.warning(
                "database.behind", tablet=tablet_id, epoch=run.epoch, received=run.first - 1, acknowledged=run.last
            )


def _forget_what_came(tablet_id: str, noted: Mapping[int, tuple[Run, str]]) -> None:
    whole = [epoch for epoch, (run, _) in noted.items() if not _count_missing(db.session(), tablet_id, run)]
    if whole:
        with transaction() as session:
            rows = (TabletAhead.tablet_id == tablet_id) & TabletAhead.epoch.in_(whole)
            session.execute(delete(TabletAhead).where(rows))
        _log.info("database.caught_up", tablet=tablet_id, epochs=whole)


def _count_missing(session: Session, tablet_id: str, run: Run) -> int:
    """Count the numbers of `run` that are missing, without those that two people declared lost."""
    left = list(
        lost_numbers.without(
            lost_numbers.Run(run.epoch, run.first, run.last), lost_numbers.confirmed(session, tablet_id)
        )
    )
    there = 0
    for one in left:
        numbers = select(func.count(Record.number.distinct())).where(_OWN, Record.number.between(one.first, one.last))
        there += session.execute(numbers, {"tablet": tablet_id, "epoch": run.epoch}).scalar_one()
    return sum(one.last - one.first + 1 for one in left) - there
