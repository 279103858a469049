"""Taking back an import of people within a day: what it wrote is answered by counter-facts, nothing is deleted.

Elders that it created are taken out of use. Whoever has eaten, or was changed or given a card since, is left as they
are and named.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import batches, insert_many, retried, transaction
from canteen.errors import Conflict, Missing
from canteen.registry import elders
from canteen.registry.elders import NewFact
from canteen.registry.facts import WITHDRAWN
from canteen.registry.imports.import_runs import KINDS
from canteen.registry.imports.roster import SOURCE, Roster
from canteen.registry.models import CredentialFact, Elder, ElderFact, ElderIdentity, ElderPhoto, ImportRun

WITHIN: Final = timedelta(days=1)
KEPT: Final = ("birth", "sex")  # of an elder taken out of use: they come from the number
EATEN, CHANGED, CARDED = "已就餐", "之后又有改动", "已发卡"

Eaters = Callable[[Session, Collection[uuid.UUID], datetime], set[uuid.UUID]]


class NoRun(Missing):
    code = "import_not_found"
    message = "没有这次导入，请刷新后再看。"


class TooLate(Conflict):
    code = "undo_too_late"
    message = "这次导入已超过一天，不能整批撤回；请在老人页面逐人更正，或导入改正后的文件。"


class CannotUndo(Conflict):
    code = "undo_kind"
    message = "这种导入不能撤回；请导入改正后的文件。"


@dataclass(frozen=True, slots=True)
class Left:
    """Somebody left as they are, and why."""

    elder_id: uuid.UUID
    name: str = field(repr=False)
    number: str  # masked
    reason: str


@dataclass(slots=True)
class UndoReport:
    """What taking back came to. already: it was taken back before, and nothing was done now."""

    run: str
    already: bool = False
    withdrawn: int = 0  # elders taken out of use
    restored: int = 0  # elders known before, as before the import again
    left: list[Left] = field(default_factory=list)

    def doc(self) -> dict[str, Any]:
        left = [{"elder": str(one.elder_id), "number": one.number, "reason": one.reason} for one in self.left]
        return {
            "run": self.run, "already": self.already, "withdrawn": self.withdrawn, "restored": self.restored,
            "left": left,
        }  # fmt: skip


_eaters: list[Eaters] = []


def ask_who_ate(eaters: Eaters) -> None:
    """Name the function that says who of these elders ate, by meals that arrived since a moment."""
    _eaters[:] = [eaters]


def undoable(run: ImportRun, now: datetime) -> bool:
    """Return whether an import can still be taken back."""
    return run.state == "applied" and _of_facts(run.kind) and now - run.at <= WITHIN


def _of_facts(kind: str) -> bool:
    """Return whether a kind of file writes facts of elders alone."""
    return issubclass(KINDS[kind], Roster) and kind != "agents"


@retried
def undo(run_id: str, *, by: str) -> UndoReport:
    """Take back an import, wholly or not at all; a second time changes nothing. Raises NoRun, CannotUndo, TooLate."""
    with transaction() as session:
        events.wait(session)  # no other act changes these elders meanwhile
        run = session.get(ImportRun, run_id, with_for_update=True, populate_existing=True)
        if run is None:
            raise NoRun
        report = UndoReport(run.id)
        if run.state == "undone":
            report.already = True
            return report
        if run.state != "applied" or not _of_facts(run.kind):
            raise CannotUndo
        if clock.now() - run.at > WITHIN:
            raise TooLate
        _take_back(session, run, report, by)
        run.state = "undone"
    return report


def _take_back(session: Session, run: ImportRun, report: UndoReport, by: str) -> None:
    under = {number for number in (run.begun_event, run.applied_event) if number is not None}
    created = set(session.execute(select(Elder.id).where(Elder.recorded.in_(under))).scalars())
    written = list(session.execute(select(ElderFact).where(ElderFact.recorded.in_(under))).scalars())
    renamed = set(session.execute(select(ElderIdentity.elder_id).where(ElderIdentity.recorded.in_(under))).scalars())
    touched = created | renamed | {fact.elder_id for fact in written}
    reasons = _reasons(session, touched, created, run, max(under))
    mine = touched - reasons.keys()
    recorded = events.record(
        session, "import.undo", run.id, by=by,
        body={"withdrawn": len(created & mine), "restored": len(mine - created), "left": sorted(map(str, reasons))},
    )  # fmt: skip
    rows = [_counter(fact) for fact in written if fact.elder_id in mine and not _stays(fact, created)]
    today = clock.today()
    rows += [(each, NewFact("status", WITHDRAWN, today)) for each in sorted(created & mine)]
    if rows:
        insert_many(session, ElderFact, [elders.fact_values(each, fact, SOURCE, recorded) for each, fact in rows])
    _name_as_before(session, (renamed - created) & mine, under, recorded)
    report.withdrawn, report.restored = len(created & mine), len(mine - created)
    report.left = _named(session, reasons)


def _stays(fact: ElderFact, created: Collection[uuid.UUID]) -> bool:
    return fact.elder_id in created and fact.kind in KEPT


def _counter(fact: ElderFact) -> tuple[uuid.UUID, NewFact]:
    """Return the fact that takes a fact back; what that one had answered counts again."""
    return fact.elder_id, NewFact(fact.kind, "", fact.from_day, None, retracts=fact.id)


def _reasons(
    session: Session, touched: set[uuid.UUID], created: set[uuid.UUID], run: ImportRun, last: int
) -> dict[uuid.UUID, str]:
    """Return who is left as they are, and why."""
    found: dict[uuid.UUID, str] = {}
    for some in map(list, batches(touched)):
        for model, reason in (
            (CredentialFact, CARDED), (ElderPhoto, CHANGED), (ElderIdentity, CHANGED), (ElderFact, CHANGED),
        ):  # fmt: skip
            query = select(model.elder_id).where(model.elder_id.in_(some), model.recorded > last)
            if model in {CredentialFact, ElderPhoto}:
                query = query.where(model.elder_id.in_(created.intersection(some)))
            found |= {each: reason for each in session.execute(query).scalars() if each is not None}
        for eaters in _eaters:
            found |= dict.fromkeys(eaters(session, some, run.at), EATEN)
    return found


def _name_as_before(session: Session, renamed: Iterable[uuid.UUID], under: set[int], recorded: int) -> None:
    """Enter name and phone again as they were before the import."""
    copied = [column.key for column in ElderIdentity.__table__.columns if column.key not in {"id", "recorded"}]
    rows = []
    for some in batches(sorted(renamed)):
        older = select(ElderIdentity).where(ElderIdentity.elder_id.in_(some), ElderIdentity.recorded.not_in(under))
        newest = {row.elder_id: row for row in session.execute(older.order_by(ElderIdentity.id)).scalars()}
        rows += [{key: getattr(row, key) for key in copied} | {"recorded": recorded} for row in newest.values()]
    if rows:
        insert_many(session, ElderIdentity, rows)


def _named(session: Session, reasons: dict[uuid.UUID, str]) -> list[Left]:
    found: dict[uuid.UUID, Left] = {}
    for some in batches(reasons):
        rows = select(ElderIdentity.elder_id, ElderIdentity.name, ElderIdentity.number_masked)
        for each, name, masked in session.execute(
            rows.where(ElderIdentity.elder_id.in_(some)).order_by(ElderIdentity.id)
        ):
            found[each] = Left(each, name, masked, reasons[each])
    return sorted(found.values(), key=lambda one: (one.reason, one.name))
