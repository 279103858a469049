"""Importing a file in two steps: `check` writes nothing, `apply` makes all good rows visible at once.

The same file a second time changes nothing (P31). Bad rows are named by number, field and reason, and left out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Final, Protocol, runtime_checkable

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events, keychecks
from canteen.auth import change_requests
from canteen.auth.change_requests import RequestLine
from canteen.db import db, retried, transaction
from canteen.errors import Conflict, Invalid, Missing
from canteen.keyset import reader
from canteen.registry.imports import tables, work_list
from canteen.registry.imports.agent_lists import Agents
from canteen.registry.imports.areas import Areas
from canteen.registry.imports.bounds import USUAL, Limits
from canteen.registry.imports.canteens import Canteens
from canteen.registry.imports.closures import Closures
from canteen.registry.imports.columns import Row, Template
from canteen.registry.imports.contracts import Contracts
from canteen.registry.imports.import_report import FAULTS_KEPT, LISTED, ImportReport
from canteen.registry.imports.layouts import NO_ANSWERS, Answers, Layout, laid, unanswered
from canteen.registry.imports.menus import Menus
from canteen.registry.imports.points import Points
from canteen.registry.imports.roster import Ready, Roster
from canteen.registry.imports.staff import Staff
from canteen.registry.imports.typed_lists import Classes, Deaths, Households, Levels, Residents
from canteen.registry.models import Elder, ImportRun

AT_ONCE: Final = 2000  # elders that are read, judged and written in one transaction: a fraction of a second
PASSES: Final = 3  # through a large roster, when somebody changes one of its elders meanwhile

Within = frozenset[str] | None


class NothingToApply(Invalid):
    code = "import_nothing"
    message = "没有一行可以导入，请按列出的问题修改后再试。"


class Changed(Conflict):
    code = "import_changed"
    message = "文件内容与检查时不同，请重新检查后再导入。"


class Unfinished(Conflict):
    code = "import_unfinished"
    message = "另一份名册正在导入，或导入时中断：请等它完成，或先重新导入那份文件，再导入这一份。"


class Overtaken(Conflict):
    code = "import_overtaken"
    message = "导入期间，名册中的老人正被他人修改，没有导入，请稍后再试。"


class NoRun(Missing):
    code = "import_not_found"
    message = "没有这次未完成的导入，请刷新后再看。"


class UnknownKind(Invalid):
    code = "import_kind"
    message = "没有这种导入模板。"


class Importer(Protocol):
    """One run over a file of one kind. `plan` names faults on the rows and answers changes; `write` writes them."""

    template: ClassVar[Template]
    chunk: ClassVar[int]

    def __init__(self, session: Session, within: Within, by: str) -> None: ...

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Any]: ...

    def write(self, session: Session, changes: Sequence[Any], recorded: int, by: str) -> None: ...


@runtime_checkable
class Asking(Protocol):
    """An importer whose rows may need a second person: their questions are one change request of the whole run.

    waiting   how many lines `plan` found to be asked for
    asked     the lines, whole once all is written; places: the nodes they touch
    """

    asks: ClassVar[str]
    asked: list[RequestLine]
    places: set[tuple[str, str]]

    @property
    def waiting(self) -> int: ...


KINDS: Final[dict[str, type[Importer]]] = {
    "roster": Roster,
    **{each.template.kind: each for each in (Classes, Levels, Deaths, Residents, Households, Agents)},
    "areas": Areas,
    "canteens": Canteens,
    "closures": Closures,
    "contracts": Contracts,
    "staff": Staff,
    "menus": Menus,
    "points": Points,
}


def check(
    path: Path,
    kind: str,
    by: str,
    *,
    within: Within = None,
    others: bool = False,
    answers: Answers = NO_ANSWERS,
    limits: Limits = USUAL,
) -> ImportReport:
    """Read a file and report what applying it would do. Writes nothing.

    answers  what the sender's columns are
    others   entries of a roster that are likely somebody known are said to be other people
    Raises BadFile and its kin (UnknownColumns of a file laid out otherwise), UnknownKind, WrongKeys.
    """
    with reader() as session:
        keychecks.require(session)
    with tables.opened(path, limits) as table:
        layout = laid(table, template_of(kind), replace(answers, others=others or answers.others))
        return _noticed(_looked_through(layout, kind, by, within), layout)


def apply(
    path: Path,
    kind: str,
    by: str,
    *,
    name: str = "",
    within: Within = None,
    expect: str | None = None,
    others: bool = False,
    answers: Answers = NO_ANSWERS,
    limits: Limits = USUAL,
) -> ImportReport:
    """Write the good rows of a file, visible all at once or not at all; a file applied before changes nothing.

    expect   the hash from `check`: another content raises Changed
    others   entries of a roster that are likely somebody known are said to be other people; the file is read again
    Raises BadFile and its kin, UnknownKind, NothingToApply, WrongKeys.
    """
    with reader() as session:
        keychecks.require(session)
    with tables.opened(path, limits) as table:
        layout = laid(table, template_of(kind), replace(answers, others=others or answers.others))
        if expect is not None and unanswered(expect) != unanswered(layout.hash):
            raise Changed
        return _noticed(_applied_file(layout, kind, by, name or path.name, within), layout)


def _noticed(report: ImportReport, layout: Layout) -> ImportReport:
    if not report.already:
        report.notices += layout.notices()
        report.sheets = [each.doc() for each in layout.sheets]
    return report


def _applied_file(table: Layout, kind: str, by: str, name: str, within: Within) -> ImportReport:
    if _unfinished(db.session(), kind, table.hash):
        return _in_steps(table, kind, by, name, within)
    report = _looked_through(table, kind, by, within, most=AT_ONCE if issubclass(KINDS[kind], Roster) else None)
    if not report.already and report.rows == report.bad:
        _something(report)
    if report.already or report.changing == 0:
        return report
    if issubclass(KINDS[kind], Roster) and report.changing > AT_ONCE:
        return _in_steps(table, kind, by, name, within)
    return _at_once(table, kind, by, name, within)


def accept(session: Session, run_id: str, by: str) -> ImportRun:
    """Accept a broken-off import as far as it was applied, when its file is lost. Raises NoRun.

    The people added stay; classes are asked for by a whole file alone.
    """
    run = session.get(ImportRun, run_id, with_for_update=True)
    if run is None or run.state != "staged":
        raise NoRun
    run.applied_event = events.record(session, "import.accept", run.id, by=by, body={"begun": run.begun_event})
    run.state, run.at = "applied", clock.now()
    session.flush()
    return run


def _unfinished(session: Session, kind: str, file_hash: str) -> bool:
    """Return whether this very file was broken off before. Raises Unfinished when another one was."""
    query = select(ImportRun.file_hash, ImportRun.id, ImportRun.file_name).where(
        ImportRun.state == "staged", ImportRun.kind == kind
    )
    for staged, run, name in session.execute(query):
        if staged != file_hash:
            raise Unfinished(details={"run": run, "file": name})
        return True
    return False


def _looked_through(table: Layout, kind: str, by: str, within: Within, *, most: int | None = None) -> ImportReport:
    """Plan the rows of a file. With `most` it stops behind so many changes: of a large file nothing else is asked."""
    session = db.session()
    if (before := _applied(session, kind, table.hash)) is not None:
        return _already_applied(ImportReport(kind, table.hash), before)
    report, importer = ImportReport(kind, table.hash), _importer(session, table, kind, within, by)
    wrong = list[work_list.WrongRow]()
    for rows in _chunks(importer, table):
        _count(report, rows, importer.plan(session, rows))
        session.rollback()  # on SQLite no reader outlives a page of rows
        wrong += work_list.wrong(rows) if len(wrong) <= LISTED else ()
        if most is not None and report.changing > most:
            return report
    _rest(session, importer, report)
    session.rollback()
    if 0 < len(wrong) <= LISTED:
        report.work_list = work_list.workbook(table, wrong)
    report.lines = importer.lines if isinstance(importer, Roster) else []
    report.waiting = importer.waiting if isinstance(importer, Asking) else 0
    return report


@retried
def _at_once(table: Layout, kind: str, by: str, name: str, within: Within) -> ImportReport:
    with transaction() as session:
        events.wait(session)  # of two files at once, the second is judged by what the first left
        report, importer = ImportReport(kind, table.hash), _importer(session, table, kind, within, by)
        if (before := _applied(session, kind, table.hash)) is not None:
            return _already_applied(report, before)
        run = ImportRun(id=str(uuid.uuid4()), kind=kind, file_hash=table.hash, file_name=name[:200], by=by)
        recorded = events.record(session, f"import.{kind}", run.id, by=by, body={"file": table.hash})
        for rows in _chunks(importer, table):
            changes = importer.plan(session, rows)
            _count(report, rows, changes)
            importer.write(session, [change for change in changes if change.kind != "same"], recorded, by)
        importer.write(session, _rest(session, importer, report), recorded, by)
        _something(report)  # meanwhile another file may have brought it all, or made every row impossible
        report.secrets = getattr(importer, "secrets", {})
        _ask(session, importer, report, run.id, by)
        session.add(_applied_run(run, report, recorded))
    return report


def _rest(session: Session, importer: Importer, report: ImportReport) -> list[Any]:
    """Return the changes of those whom a full list lacks, once all its rows are planned; none for other files."""
    if not isinstance(importer, Roster):
        return []
    changes = importer.rest(session)
    report.gone = len(changes)
    if importer.unread:
        report.notices.append(
            f"有 {importer.unread} 行认不出证件号码，所以没有比对名单里少了谁，也不终止任何人：改正这些行后再检查。"
        )
    return changes


def _ask(session: Session, importer: Importer, report: ImportReport, run_id: str, by: str) -> None:
    """Ask for all that needs a second person, as one request."""
    if isinstance(importer, Asking) and importer.asked:
        report.waiting = len(importer.asked)
        report.request = change_requests.ask(session, importer.asks, run_id, importer.asked, importer.places, by=by)


def _something(report: ImportReport) -> None:
    """Raise NothingToApply when the report has no change."""
    if report.changing == 0:
        rows = [f"{fault.sheet}第 {fault.row} 行 {fault.field}：{fault.reason}" for fault in report.faults[:20]]
        raise NothingToApply(details={"rows": rows})


def _in_steps(table: Layout, kind: str, by: str, name: str, within: Within) -> ImportReport:
    """Apply a large roster in short transactions, judged without locks and made visible by one flip; no till waits.

    New elders are staged, unseen; what changes of elders known before is made ready and written with the flip, under
    its event: what was known when stays exact. Broken off, the same file goes on where it stopped: those staged are
    found by their numbers.
    """
    run = _begun(table, kind, by, name) if _unfinished(db.session(), kind, table.hash) else None
    staged = set[uuid.UUID]()
    for _ in range(PASSES):
        report, importer = ImportReport(kind, table.hash), _importer(db.session(), table, kind, within, by)
        if not isinstance(importer, Roster):
            raise UnknownKind
        head, ready = events.head(db.session())[0], importer.ready(())
        for rows in _chunks(importer, table):
            changes = importer.plan(db.session(), rows)
            changes = [replace(each, kind="same") if each.elder_id in staged else each for each in changes]
            db.session().rollback()  # on SQLite no reader outlives a page of rows
            _count(report, rows, changes)
            fresh, known = (
                importer.ready(each for each in changes if each.kind == kind) for kind in ("new", "changed")
            )
            if fresh[Elder]:
                run = run or _begun(table, kind, by, name)
                _stage(importer, fresh, run[1])
                staged |= {row["id"] for row in fresh[Elder]}
            for model, made in known.items():
                ready[model] += made
        for model, made in importer.ready(_rest(db.session(), importer, report)).items():
            ready[model] += made
        db.session().rollback()
        report.new, report.same = len(staged), report.same - (len(staged) - report.new)
        flip = _Flip(run or (str(uuid.uuid4()), None), head, staged, by, name)
        if done := _flipped(importer, ready, report, flip):
            return done
    raise Overtaken


def _stage(importer: Roster, fresh: Ready, begun: int) -> None:
    try:
        with transaction() as session:
            importer.put(session, fresh, begun)
    except IntegrityError as error:  # the same file in two hands, or one of its elders registered just now
        raise Unfinished from error


@dataclass(frozen=True, slots=True)
class _Flip:
    """The data that the flip of a large roster needs. `head`: the event up to which its rows were judged."""

    run: tuple[str, int | None]
    head: int
    staged: set[uuid.UUID]
    by: str
    name: str


@retried
def _flipped(importer: Roster, ready: Ready, report: ImportReport, flip: _Flip) -> ImportReport | None:
    """Make all of it visible; None when somebody changed one of these elders since the rows were judged."""
    by = flip.by
    with transaction() as session:
        events.wait(session)
        if (before := _applied(session, report.kind, report.file_hash)) is not None:
            return _already_applied(ImportReport(report.kind, report.file_hash), before)
        if importer.overtaken(session, ready, flip.head, flip.staged):
            return None
        run_id, begun = flip.run
        if begun is None:
            _something(report)
        body = {"file": report.file_hash} | ({"begun": begun} if begun else {})
        flipped = events.record(session, f"import.{report.kind}", run_id, by=by, body=body)
        importer.put(session, ready, flipped)
        _ask(session, importer, report, run_id, by)
        known = session.get(ImportRun, run_id)
        if known is None:
            known = ImportRun(id=run_id, kind=report.kind, file_hash=report.file_hash, file_name=flip.name[:200], by=by)
            session.add(known)
        _applied_run(known, report, flipped)
    return report


@retried
def _begun(table: Layout, kind: str, by: str, name: str) -> tuple[str, int]:
    """Return the staged run of this file, made or found again, and the event under which its new elders are written."""
    with transaction() as session:
        events.wait(session)
        staged = select(ImportRun).where(ImportRun.file_hash == table.hash, ImportRun.state == "staged")
        run = session.execute(staged).scalar_one_or_none()
        if run is None:
            run = ImportRun(id=str(uuid.uuid4()), kind=kind, file_hash=table.hash, file_name=name[:200], by=by)
            run.state, run.at, run.rows, run.bad_rows, run.report = "staged", clock.now(), 0, 0, "{}"
            run.begun_event = events.record(session, "import.begin", run.id, by=by, body={"file": table.hash})
            session.add(run)
        if run.begun_event is None:
            raise Changed
        return run.id, run.begun_event


def template_of(kind: str) -> Template:
    """Return the template of a kind. Raises UnknownKind."""
    if kind not in KINDS:
        raise UnknownKind
    return KINDS[kind].template


def runs(session: Session, limit: int = 50) -> list[ImportRun]:
    """Return the newest imports."""
    return list(session.execute(select(ImportRun).order_by(ImportRun.at.desc(), ImportRun.id).limit(limit)).scalars())


def _importer(session: Session, table: Layout, kind: str, within: Within, by: str) -> Importer:
    if kind not in KINDS:
        raise UnknownKind
    importer = KINDS[kind](session, within, by)
    if isinstance(importer, Roster):
        importer.answers = table.answers
    return importer


def _chunks(importer: Importer, table: Layout) -> Iterator[list[Row]]:
    rows = table.rows()
    while part := list(islice(rows, importer.chunk)):
        yield part


def _count(report: ImportReport, rows: Sequence[Row], changes: Sequence[Any]) -> None:
    report.rows += len(rows)
    for change in changes:
        setattr(report, change.kind, getattr(report, change.kind) + 1)
    for row in rows:
        report.bad += bool(row.faults)
        report.refolded += row.refolded
        report.faults += row.faults
        report.remarks += row.remarks if not row.faults else []


def _applied(session: Session, kind: str, file_hash: str) -> ImportRun | None:
    query = select(ImportRun).where(ImportRun.file_hash == file_hash, ImportRun.kind == kind)
    return session.execute(query.where(ImportRun.state == "applied").limit(1)).scalar_one_or_none()


def _already_applied(report: ImportReport, before: ImportRun) -> ImportReport:
    report.already, report.run = True, before.id
    report.rows, report.bad = before.rows, before.bad_rows
    report.same = before.rows - before.bad_rows
    return report


def _applied_run(run: ImportRun, report: ImportReport, recorded: int) -> ImportRun:
    report.run = run.id
    run.state, run.at, run.applied_event = "applied", clock.now(), recorded
    run.rows, run.bad_rows, run.report = (
        report.rows,
        report.bad,
        json.dumps(report.doc(FAULTS_KEPT), ensure_ascii=False),
    )
    return run
