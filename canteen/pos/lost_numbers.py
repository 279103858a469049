"""Tablet numbers that will never arrive: a run of them is declared lost by one person and confirmed by another.

Only numbers known to be missing now can be declared. Runs are declared one by one, so that numbers that go missing
later in the same epoch are reported again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ScalarSelect, func, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth import humans
from canteen.auth.models import LostNumbers, Tablet
from canteen.auth.tablets import NoTablet
from canteen.db import transaction
from canteen.errors import Conflict, Invalid
from canteen.pos.models import Record, TabletAhead


class LostRefused(Conflict):
    code = "lost_refused"
    message = "这些号已登记过遗失，或须由另一人确认。"


class NotMissing(Conflict):
    code = "numbers_not_missing"
    message = "所填的号不全是缺号，请按缺号表逐段登记。"


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """Run of numbers of one epoch, both ends included."""

    epoch: int
    first: int
    last: int


def missing(session: Session, tablet_id: str) -> list[Run]:
    """List runs of numbers that a tablet is known to have used and that have not arrived; lost ones too.

    Known from a later number that arrived, or from numbers acknowledged before the database was restored.
    """
    before = func.lag(Record.number, 1, 0).over(partition_by=Record.epoch, order_by=Record.number)
    steps = select(Record.epoch, Record.number, before.label("before")).where(Record.tablet_id == tablet_id).subquery()
    query = select(steps.c.epoch, steps.c.before, steps.c.number).where(steps.c.number > steps.c.before + 1)
    found = [Run(epoch, low + 1, high - 1) for epoch, low, high in session.execute(query)]
    acknowledged = select(
        TabletAhead.epoch, TabletAhead.acknowledged, _newest(TabletAhead.tablet_id, TabletAhead.epoch)
    )
    for epoch, number, newest in session.execute(acknowledged.where(TabletAhead.tablet_id == tablet_id)):
        if number > newest:
            found.append(Run(epoch, newest + 1, number))
    return sorted(found)


def _newest(tablet_id: Any, epoch: Any) -> ScalarSelect[int]:
    """Select the newest number of a tablet's epoch, 0 for none: one look into the index, where a group would read all."""
    newest = select(func.coalesce(func.max(Record.number), 0))
    return newest.where(Record.tablet_id == tablet_id, Record.epoch == epoch).scalar_subquery()


def confirmed(session: Session, tablet_id: str) -> list[Run]:
    """List the runs that two people declared lost."""
    query = select(LostNumbers.epoch, LostNumbers.first_number, LostNumbers.last_number).where(
        LostNumbers.tablet_id == tablet_id, LostNumbers.confirmed_by.is_not(None)
    )
    return sorted(Run(*row) for row in session.execute(query))


def epochs_cut(session: Session, tablet_id: str) -> list[int]:
    """List epochs whose end is lost: numbers after the newest that arrived, which the tablet may use once more."""
    query = select(LostNumbers.epoch).where(
        LostNumbers.tablet_id == tablet_id, LostNumbers.confirmed_by.is_not(None),
        LostNumbers.last_number > _newest(LostNumbers.tablet_id, LostNumbers.epoch),
    )  # fmt: skip
    return sorted(set(session.execute(query).scalars()))


def without(run: Run, gone: Iterable[Run]) -> Iterator[Run]:
    """Return the parts of a run that are not covered by other runs of its epoch."""
    first = run.first
    for other in sorted(one for one in gone if one.epoch == run.epoch and one.last >= run.first):
        if other.first > run.last:
            break
        if other.first > first:
            yield Run(run.epoch, first, other.first - 1)
        first = max(first, other.last + 1)
    if first <= run.last:
        yield Run(run.epoch, first, run.last)


def declare(tablet_id: str, run: Run, reason: str, *, by: str) -> None:
    """Declare a run of missing numbers lost. It takes effect when a second person confirms.

    Raises NoTablet, NotMissing, LostRefused, Invalid.
    """
    if not 4 <= len(reason := reason.strip()) <= 500:
        raise Invalid("请写明遗失原因（至少 4 个字），例如“平板进水，无法开机”。")
    with transaction() as session:
        if session.get(Tablet, tablet_id, with_for_update=True) is None:
            raise NoTablet
        gaps = missing(session, tablet_id)
        if not any(gap.epoch == run.epoch and gap.first <= run.first <= run.last <= gap.last for gap in gaps):
            raise NotMissing
        overlapping = select(LostNumbers.id).where(
            LostNumbers.tablet_id == tablet_id, LostNumbers.epoch == run.epoch,
            LostNumbers.first_number <= run.last, LostNumbers.last_number >= run.first,
        )  # fmt: skip
        if session.execute(overlapping).first():
            raise LostRefused("这些号已登记过遗失，等待另一人确认或已确认。")
        session.add(
            LostNumbers(
                tablet_id=tablet_id, epoch=run.epoch, first_number=run.first, last_number=run.last, reason=reason,
                declared_by=by, declared_at=clock.now(), confirmed_by=None, confirmed_at=None,
            )
        )  # fmt: skip
        said = hashlib.sha256(reason.encode()).hexdigest()  # free words stay out of the chain
        body = {"epoch": run.epoch, "from": run.first, "to": run.last, "reason": said}
        events.record(session, "tablet.declare_lost", tablet_id, by=by, body=body)


def confirm(lost_id: int, *, by: str) -> None:
    """Confirm a declaration as the second person. Raises NoTablet, LostRefused (done already, or the same person)."""
    with transaction() as session:
        lost = session.get(LostNumbers, lost_id, with_for_update=True)
        if lost is None:
            raise NoTablet
        if lost.confirmed_by is not None:
            raise LostRefused("这些号的遗失已经确认。")
        if humans.same(session, by, {lost.declared_by}):
            raise LostRefused("登记人不能自己确认，请另一人办理。")
        lost.confirmed_by, lost.confirmed_at = by, clock.now()
        body = {"epoch": lost.epoch, "from": lost.first_number, "to": lost.last_number}
        events.record(session, "tablet.confirm_lost", lost.tablet_id, by=by, body=body)
