"""Ask for, watch, cancel, read and export simulations. No elder is named in full.

Readers of rulebooks may read simulations of their places; only those who draft may ask and cancel.
"""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import events
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db, transaction
from canteen.policy.canonical import Document
from canteen.registry.labels import CLASSES
from canteen.rulebooks.models import RulebookVersion, Simulation
from canteen.ruledesk.desk.blueprint import REFUSED, covers, document_of, done, need, reachable
from canteen.ruledesk.editor import drafts
from canteen.ruledesk.publication.gate import names
from canteen.ruledesk.simulation import charts, reports, simulation_jobs
from canteen.settlement.closing import parties
from canteen.web.errors import status_of
from canteen.web.numbers import whole

bp = Blueprint("simulations", __name__)

WHY = {
    "birth_day": "没有出生日期",
    "level": "没有所要求的评定记录",
    "residence_since": "没有居住起始日期",
    "household": "当天没有这位老人的家庭编号，按户限额无从核对",
    "ordered_at": "当时没有记录预订时间",
    "lines": "仅核销的就餐没有餐品明细",
    "used_before": "限额的期间在所选月份以前已经开始，那时没有这项限额的记录（从期间的第一个月起选，就能算全）",
}
STATES = {"waiting": "等待开始", "running": "正在模拟", "done": "已完成", "failed": "未完成", "cancelled": "已取消"}


@bp.get("/desk/ruledesk/simulations")
@allowed(Permission.SEE_RULEBOOKS)
def simulations() -> ResponseReturnValue:
    return _simulations()


def _simulations(refusal: Any = None) -> ResponseReturnValue:
    session = db.session()
    rows = session.execute(select(Simulation).order_by(Simulation.id.desc()).limit(100)).scalars()
    sent = request.values
    place = sent.get("place", "")
    if not place and whole(sent.get("draft", "")) >= 0:
        row = drafts.find(session, whole(sent["draft"]))
        if row.by != g.person.id:
            raise drafts.NoDraft
        place = f"{row.layer}/{row.node_id}"
    page = render_template(
        "ruledesk/simulations.html",
        rows=[row for row in rows if covers(Permission.SEE_RULEBOOKS, row.layer, row.node_id)],
        states=STATES,
        months=simulation_jobs.months(session),
        places=reachable(Permission.RULEBOOKS),
        drafts=drafts.open_ones(session, g.person.id),
        versions=[(one.hash, f"{document_of(one)['title']} 第 {one.version} 版") for one in _versions(session)],
        chosen=f"version:{sent['version']}"
        if "version" in sent
        else f"draft:{sent['draft']}"
        if "draft" in sent
        else "",
        place=place,
        names=names(),
        done=done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _versions(session: Session) -> list[RulebookVersion]:
    return list(
        session.execute(select(RulebookVersion).order_by(RulebookVersion.drafted_at.desc()).limit(50)).scalars()
    )


@bp.post("/desk/ruledesk/simulations")
@allowed(Permission.RULEBOOKS)
def ask() -> ResponseReturnValue:
    """Ask for a replay of chosen months."""
    layer, _, node = request.form.get("place", "").partition("/")
    need(Permission.RULEBOOKS, layer, node)
    try:
        number = simulation_jobs.ask(
            _chosen(request.form.get("rulebook", "")), layer=layer, node_id=node,
            over=request.form.getlist("month"), by=g.person.id,
        )  # fmt: skip
    except REFUSED as refusal:
        return _simulations(refusal)
    return redirect(url_for("simulations.simulation", number=number, done="asked"))


def _chosen(text: str) -> Document:
    kind, _, key = text.partition(":")
    if kind == "version":
        return document_of(drafts.version(db.session(), key))
    row = drafts.find(db.session(), whole(key))
    if row.by != g.person.id:
        raise drafts.NoDraft
    document, _ = drafts.check(row.yaml)
    if document is None:
        raise simulation_jobs.FaultyRulebook
    return document


def _of_place(number: int, permission: Permission) -> Simulation:
    row = simulation_jobs.find(db.session(), number)
    if not covers(permission, row.layer, row.node_id):
        raise NotCovered
    return row


@bp.get("/desk/ruledesk/simulations/<int:number>")
@allowed(Permission.SEE_RULEBOOKS)
def simulation(number: int) -> ResponseReturnValue:
    """Show progress, and when done the result."""
    row = _of_place(number, Permission.SEE_RULEBOOKS)
    found = simulation_jobs.result(row)
    called = names()
    days = reports.by_day(found) if found else []
    return render_template(
        "ruledesk/simulation.html",
        row=row,
        states=STATES,
        place=called.get(row.node_id, row.node_id),
        found=found,
        ahead=simulation_jobs.ahead(db.session(), row) if row.state == "waiting" else 0,
        why=WHY,
        drawn=[(one, charts.bars(one.rows)) for one in reports.tables(found, called)] if found else [],
        days=days,
        lines=charts.lines(days),
        people=_people(found) if found else {},
        classes=CLASSES,
        names=called,
        fund_names=parties.fund_names(db.session()),
        may_cancel=covers(Permission.RULEBOOKS, row.layer, row.node_id),
        may_export=guard.may(Permission.EXPORT),
        done=done(),
    )


def _people(found: dict[str, Any]) -> dict[str, str]:
    """Return masked names of the elders in the lists: the surname alone."""
    wanted = [uuid.UUID(one["elder"]) for one in (*found["most_gain"], *found["most_lose"])]
    return {str(elder): name for elder, name in reports.masked(db.session(), wanted).items()} if wanted else {}


@bp.post("/desk/ruledesk/simulations/<int:number>/cancel")
@allowed(Permission.RULEBOOKS)
def cancel(number: int) -> ResponseReturnValue:
    _of_place(number, Permission.RULEBOOKS)
    try:
        simulation_jobs.cancel(number)
    except simulation_jobs.IsOver:
        return redirect(url_for("simulations.simulation", number=number))
    return redirect(url_for("simulations.simulation", number=number, done="cancelled"))


@bp.get("/desk/ruledesk/simulations/<int:number>/export.xlsx")
@allowed(Permission.EXPORT)
def export(number: int) -> ResponseReturnValue:
    """Export the whole result as a workbook; who took it is logged."""
    row = _of_place(number, Permission.EXPORT)
    found = simulation_jobs.result(row)
    if found is None:
        raise NotCovered
    with transaction() as session:
        events.record(session, "simulation.export", f"simulation:{number}", by=g.person.id)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "simulation.xlsx"
        reports.workbook(row, found, names(), _people(found), WHY, path)
        file = path.open("rb")  # stays readable after the folder is gone, and is closed with the answer
    return send_file(
        file,
        mimetype="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        as_attachment=True,
        download_name=f"模拟测算-{number}.xlsx",
        max_age=0,
    )
