"""Tablet numbers that will never arrive: a run of them is declared lost by one person and confirmed by another.

Only numbers known to be missing now can be declared. Runs are declared one by one, so that numbers that go missing
later in the same epoch are reported again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import func, select
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
    came = select(Record.epoch, Record.number).where(Record.tablet_id == tablet_id).distinct().subquery()
    before = func.lag(came.c.number, 1, 0).over(partition_by=came.c.epoch, order_by=came.c.number)
    steps = select(came.c.epoch, came.c.number, before.label("before")).subquery()
    query = select(steps.c.epoch, steps.c.before, steps.c.number).where(steps.c.number > steps.c.before + 1)
    found = [Run(epoch, low + 1, high - 1) for epoch, low, high in session.execute(query)]
    newest = select(came.c.epoch, func.max(came.c.number)).group_by(came.c.epoch)
    newest_known: dict[int, int] = dict(session.execute(newest).all())
    acknowledged = select(TabletAhead.epoch, TabletAhead.acknowledged).where(TabletAhead.tablet_id == tablet_id)
    for epoch, number in session.execute(acknowledged):
        if number > newest_known.get(epoch, 0):
            found.append(Run(epoch, newest_known.get(epoch, 0) + 1, number))
    return sorted(found)


def confirmed(session: Session, tablet_id: str) -> list[Run]:
    """List the runs that two people declared lost."""
    query = select(LostNumbers.epoch, LostNumbers.first_number, LostNumbers.last_number).where(
        LostNumbers.tablet_id == tablet_id, LostNumbers.confirmed_by.is_not(None)
    )
    return sorted(Run(*row) for row in session.execute(query))


def epochs_cut(session: Session, tablet_id: str) -> list[int]:
    """List epochs whose end is lost: numbers after the newest that arrived, which the tablet may use once more."""
    newest = dict[int, int](
        session.execute(
            select(Record.epoch, func.max(Record.number)).where(Record.tablet_id == tablet_id).group_by(Record.epoch)
        ).all()
    )
    return sorted({run.epoch for run in confirmed(session, tablet_id) if run.last > newest.get(run.epoch, 0)})


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
