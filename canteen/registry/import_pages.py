"""Pages of imports: a template to fill in, a file checked first and then applied, and the results of earlier ones."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed, takes
from canteen.auth.models import Person
from canteen.db import db, transaction
from canteen.errors import Conflict, Invalid, Refusal
from canteen.places import Area
from canteen.registry.imports import import_runs, import_undo, known_layouts, templates
from canteen.registry.imports.bounds import USUAL, BadFile
from canteen.registry.imports.import_report import ImportReport
from canteen.registry.imports.layouts import NO_ANSWERS, Answers
from canteen.registry.models import ImportRun
from canteen.web import nav
from canteen.web.errors import status_of

bp = Blueprint("imports", __name__)
nav.add("imports.imports_page", "导入", position=34)

NEEDS: Final = {
    **dict.fromkeys(("roster", "classes", "levels", "deaths", "residents", "households", "agents"), Permission.ROSTER),
    "areas": Permission.PLACES,
    "canteens": Permission.PLACES,
    "closures": Permission.PLACES,
    "contracts": Permission.PLACES,
    "staff": Permission.PEOPLE,
    "menus": Permission.MENUS,
    "points": Permission.MENUS,
}
BY_CANTEEN: Final = frozenset({"menus", "points"})  # their rows are judged by canteen, all others by area
FAULTS_SHOWN: Final = 200
TITLE: Final = 200  # characters of a column's title or of what fills it


@bp.get("/desk/imports")
@allowed(Permission.ROSTER, Permission.PLACES, Permission.PEOPLE, Permission.MENUS)
def imports_page() -> ResponseReturnValue:
    return _page(_kind(request.args.get("kind", "")))


@bp.get("/desk/imports/<kind>.<ending>")
@allowed(Permission.ROSTER, Permission.PLACES, Permission.PEOPLE, Permission.MENUS)
def template(kind: str, ending: str) -> Response:
    """Send the empty template of a kind."""
    guard.require(NEEDS.get(kind, Permission.ROSTER))
    made = import_runs.template_of(kind)
    if ending == "xlsx":
        body, mimetype = templates.workbook(db.session(), made), templates.XLSX
    elif ending == "csv":
        body, mimetype = templates.separated(made), "text/csv; charset=utf-8"
    else:
        raise NotCovered
    return Response(
        body, mimetype=mimetype, headers={"Content-Disposition": f'attachment; filename="{kind}-template.{ending}"'}
    )


@bp.post("/desk/imports")
@allowed(Permission.ROSTER, Permission.PLACES, Permission.PEOPLE, Permission.MENUS)
@takes(USUAL.file + 1024 * 1024)  # the form's fields beside the file
def take() -> ResponseReturnValue:
    """Check a file, or apply it when the form says so; with the hash that the check showed, no other file passes."""
    asked, applying = request.form.get("kind", ""), request.form.get("act") == "apply"
    kind = asked if asked in NEEDS else _kind(asked)
    guard.require(NEEDS[kind])
    answers, sender = NO_ANSWERS, ""
    try:
        within, by = _within(db.session(), kind), g.person.id
        sender = _sender(guard.scope(NEEDS[kind]).within(db.session()))
        answers = _answers(db.session(), kind, sender or by)
        db.session.rollback()  # reading the file takes long: this request's read ends before it
        with _uploaded() as (path, name):
            if applying:
                expect = request.form.get("expect") or None
                report = import_runs.apply(path, kind, by, name=name, within=within, expect=expect, answers=answers)
            else:
                report = import_runs.check(path, kind, by, within=within, answers=answers)
        if applying:
            with transaction() as session:
                known_layouts.remember(session, kind, sender or by, answers, by)
    except (Invalid, Conflict) as refusal:
        return _answer(kind, refusal=refusal, answers=answers, sender=sender)
    return _answer(kind, report=report, applied=applying, answers=answers, sender=sender)


@bp.post("/desk/imports/<run>/accept")
@allowed(Permission.ROSTER)
def accept(run: str) -> ResponseReturnValue:
    """Accept a roster that was broken off and is lost, as far as it was applied: others wait for it."""
    session = db.session()
    known = session.get(ImportRun, run)
    if known is None or not (known.by == g.person.id or _within(session, "roster") is None):
        raise import_runs.NoRun
    with transaction() as writing:
        import_runs.accept(writing, run, g.person.id)
    return redirect(url_for("imports.imports_page", kind="roster"))


@bp.post("/desk/imports/<run>/undo")
@allowed(Permission.ROSTER)
def undo(run: str) -> ResponseReturnValue:
    """Take back an import of people within a day: one's own, or anybody's for who answers for all areas."""
    session = db.session()
    known = session.get(ImportRun, run)
    if known is None or not (known.by == g.person.id or _within(session, "roster") is None):
        raise import_undo.NoRun
    kind = known.kind
    session.rollback()
    try:
        return _page(kind, undone=import_undo.undo(run, by=g.person.id))
    except (Invalid, Conflict) as refusal:
        return _page(kind, refusal=refusal)


@contextmanager
def _uploaded() -> Iterator[tuple[Path, str]]:
    """Yield the form's file while the block lasts. It has no name on disk: a killed process leaves nothing (P28)."""
    sent = request.files.get("file")
    if sent is None or not sent.filename:
        raise BadFile("请先选择文件。")
    with tempfile.TemporaryFile() as kept:
        sent.save(kept)
        kept.flush()
        yield Path(f"/proc/{os.getpid()}/fd/{kept.fileno()}"), sent.filename


def _sender(within: frozenset[str] | None) -> str:
    """Return the area that the file is said to come from, '' for none. Raises NotCovered outside the caller's areas."""
    area = request.form.get("sender", "")
    if area and ((within is not None and area not in within) or db.session().get(Area, area) is None):
        raise NotCovered
    return area


def _answers(session: Session, kind: str, sender: str) -> Answers:
    """Return what is known of the columns of this sender's files, and above it what the form says now."""
    columns, fill = dict(known_layouts.remembered(session, kind, sender).columns), dict[str, str]()
    keys = {column.key for column in import_runs.template_of(kind).every}
    for name, said in request.form.items():
        what, _, title = name.partition(":")
        if what == "column" and said in keys | {known_layouts.LEAVE}:
            columns[title[:TITLE]] = said.removeprefix(known_layouts.LEAVE)
        elif what == "fill" and title in keys and said:
            fill[title] = said[:TITLE]
    ticks = {question: request.form.get(question) == "yes" for question in ("others", "moved", "full")}
    return Answers(columns, fill, sender if sender != g.person.id else "", **ticks)


def _senders(session: Session, within: frozenset[str] | None) -> list[tuple[str, str]]:
    """Return the districts and streets that a file may come from; for who answers for communities alone, these."""
    areas = select(Area).where(Area.level.in_(("district", "street", "community"))).order_by(Area.id)
    found = [area for area in session.execute(areas).scalars() if within is None or area.id in within]
    above = [area for area in found if area.level != "community"]
    return [(area.id, area.name) for area in above or found]


def _kind(asked: str) -> str:
    """Return the kind asked for, or the first that the caller may import."""
    if asked in NEEDS and guard.may(NEEDS[asked]):
        return asked
    return next(kind for kind, permission in NEEDS.items() if guard.may(permission))


def _within(session: Session, kind: str) -> frozenset[str] | None:
    """Return the areas, or canteens, that the caller answers for in files of a kind; None for everywhere."""
    scope = guard.scope(NEEDS[kind])
    if kind not in BY_CANTEEN:
        return scope.within(session)
    covered = frozenset(scope.canteens(session))
    return None if scope.within(session) is None else covered


def _answer(
    kind: str,
    *,
    report: ImportReport | None = None,
    refusal: Refusal | None = None,
    applied: bool = False,
    answers: Answers = NO_ANSWERS,
    sender: str = "",
) -> ResponseReturnValue:
    """Answer the result alone where the page asked for it beside its form, else the whole page."""
    result: dict[str, Any] = {
        "report": report,
        "refusal": refusal,
        "applied": applied,
        "answers": answers,
        "sender": sender,
        "work_list": base64.b64encode(report.work_list).decode() if report else "",
    }
    if request.headers.get("HX-Request") == "true":
        page = render_template("registry/_import_result.html", **_shown(kind), **result)
        return page, 200  # the browser shows a fragment only when all went well
    return _page(kind, **result)


def _shown(kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "template": import_runs.template_of(kind),
        "shown": FAULTS_SHOWN,
        "leave": known_layouts.LEAVE,
        "today": clock.today().isoformat(),
    }


def _page(kind: str, **result: Any) -> ResponseReturnValue:
    session, refusal = db.session(), result.get("refusal")
    kinds = [(each, import_runs.template_of(each).title) for each, permission in NEEDS.items() if guard.may(permission)]
    allowed_kinds = {each for each, _ in kinds}
    all_seen = {each for each in allowed_kinds if _within(session, each) is None}
    runs = [run for run in import_runs.runs(session) if run.kind in all_seen or run.by == g.person.id]
    names = select(Person.id, Person.name).where(Person.id.in_({run.by for run in runs}))
    page = render_template(
        "registry/imports.html",
        **_shown(kind),
        senders=_senders(session, _within(session, kind)) if NEEDS[kind] == Permission.ROSTER else [],
        kinds=kinds,
        titles=dict(kinds),
        runs=runs,
        undoable={run.id for run in runs if import_undo.undoable(run, clock.now())},
        people=dict(session.execute(names).all()),
        **(
            {
                "report": None,
                "refusal": None,
                "applied": False,
                "answers": NO_ANSWERS,
                "sender": "",
                "work_list": "",
                "undone": None,
            }
            | result
        ),
    )
    return page, status_of(refusal) if refusal else 200
