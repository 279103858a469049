"""Ask for, preview, confirm, run and read revaluations; each is visible only to those who may see its place."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.auth.models import Person
from canteen.db import db
from canteen.errors import Conflict, Forbidden, Invalid, Missing, Refusal
from canteen.registry import lookup
from canteen.rulebooks import layers
from canteen.rulebooks.late_notices import find
from canteen.rulebooks.models import Revaluation, RevaluationOrder
from canteen.ruledesk.desk.blueprint import covers, need
from canteen.ruledesk.editor import comparison, drafts
from canteen.ruledesk.publication import gate
from canteen.ruledesk.publication.gate import names
from canteen.ruledesk.simulation import reports
from canteen.settlement.closing import parties
from canteen.settlement.corrections import revaluations
from canteen.settlement.corrections.revaluations import NotWhollyPast
from canteen.web import nav
from canteen.web.days import required_day
from canteen.web.errors import status_of

bp = Blueprint("revaluations", __name__)
nav.add("revaluations.home", "重估", position=24)

REFUSED = (Invalid, Conflict, Forbidden, Missing)
STATES = {"waiting": "等待开始", "running": "正在计算", "done": "已完成", "failed": "未完成", "cancelled": "已取消"}
LEFT = {
    "done": "本次重估已入账",
    "superseded": "该日已由以后的重估文件代替",
    "judged": "审核人员已暂缓或核减，或已按预算比例核减",
    "budget_over": "按比例核减的预算已不够，不再追加",
    "unclaimable": "当时即不予申报（如无卡、卡已停用、不在供餐时段）",
    "unpriced": "当时的标准已无法复算",
    "elsewhere": "当日不在重估范围内",
    "voided": "已撤单",
}
WHY = {
    "due_rises": "重估后老人应付上升：不向老人追缴，不调整资金，结账时列为待核实事项",
    "other_payer": "重估后食堂或捐赠承担增加：不由系统入账，结账时列为待核实事项",
}
DONE = {
    "asked": "已提出，正在预览；预览只计算，不入账。",
    "confirmed": "已确认，正在后台入账。",
    "again": "已开始再次运行，只补上还没有入账的就餐。",
    "previewed": "已开始重新预览。",
}
ASKS = (Permission.PUBLISH, Permission.RULEBOOKS, Permission.CONFIRM_ELDERS)


def _done() -> str:
    return DONE.get(request.args.get("done", ""), "")


def _may(row: Revaluation, *permissions: Permission) -> bool:
    """Tell whether the caller has one of the permissions over the whole of what is revalued."""
    session = db.session()
    if row.cause == "notice":
        return any(covers(permission, row.layer, row.node_id) for permission in permissions)
    assert row.elder_id is not None
    areas = set[str]().union(*(guard.scope(permission).areas(session) for permission in permissions))
    return lookup.reached(session, row.elder_id, areas)


def _seen(row: Revaluation) -> bool:
    return _may(row, Permission.SEE_RULEBOOKS if row.cause == "notice" else Permission.SEE_ELDERS)


def _own(number: int, *permissions: Permission) -> Revaluation:
    row = find(db.session(), number)
    if not _seen(row) or (permissions and not _may(row, *permissions)):
        raise NotCovered
    return row


def _day(name: str) -> date:
    return required_day(request.form.get(name, ""), NotWhollyPast())


# --- all of them ---


@bp.get("/desk/revaluations")
@allowed(Permission.SEE_RULEBOOKS)
def home() -> ResponseReturnValue:
    return _home()


def _home(refusal: Refusal | None = None) -> ResponseReturnValue:
    """List revaluations within reach; with an elder named, show the form for facts registered late."""
    session = db.session()
    rows = session.execute(
        select(Revaluation, RevaluationOrder)
        .outerjoin(RevaluationOrder, RevaluationOrder.revaluation_id == Revaluation.id)
        .order_by(Revaluation.id.desc())
        .limit(100)
    ).all()
    elder, called = _elder(session), names()
    elders = [row.elder_id for row, _ in rows if row.elder_id is not None]
    reached = lookup.reached_among(session, elders, guard.scope(Permission.SEE_ELDERS).areas(session))
    seen = [(row, order) for row, order in rows if (row.elder_id in reached if row.elder_id else _seen(row))]
    masked = reports.masked(session, {one for one in (elder, *(row.elder_id for row, _ in seen)) if one})
    page = render_template(
        "ruledesk/revaluations.html",
        rows=[(row, order, _about(row, called, masked)) for row, order in seen],
        elder=elder,
        elder_name=masked.get(elder, "＊＊") if elder else "",
        yesterday=date.fromordinal(clock.today().toordinal() - 1),
        sent=request.form,
        done=_done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _elder(session: Session) -> uuid.UUID | None:
    """Return the elder named in the address, within the caller's reach."""
    try:
        elder = uuid.UUID(request.values.get("elder", ""))
    except ValueError:
        return None
    if not guard.may(Permission.CONFIRM_ELDERS):
        return None
    return elder if lookup.reached(session, elder, guard.scope(Permission.CONFIRM_ELDERS).areas(session)) else None


def _about(row: Revaluation, called: Mapping[str, str], masked: Mapping[uuid.UUID, str]) -> str:
    """Name the meals it is about: a place, or the surname of an elder."""
    if row.cause == "notice":
        return called.get(row.node_id, row.node_id)
    assert row.elder_id is not None
    return masked.get(row.elder_id, "＊＊")


# --- asked for ---


@bp.post("/desk/ruledesk/versions/<digest>/revalue")
@allowed(Permission.PUBLISH, Permission.RULEBOOKS)
def ask_notice(digest: str) -> ResponseReturnValue:
    """Ask that past days be revalued under this version; the preview begins at once."""
    layer, _, node = request.form.get("place", "").partition("/")
    need(Permission.PUBLISH if guard.may(Permission.PUBLISH) else Permission.RULEBOOKS, layer, node)
    drafts.version(db.session(), digest)
    try:
        number = revaluations.ask_notice(
            digest, layer=layer, node_id=node, from_day=_day("first"),
            to_day=_day("last"), reason=request.form.get("reason", ""), by=g.person.id,
        )  # fmt: skip
    except REFUSED as refusal:
        return _home(refusal)
    return _previewing(number, "asked")


@bp.post("/desk/revaluations")
@allowed(Permission.CONFIRM_ELDERS)
def ask_facts() -> ResponseReturnValue:
    """Ask that one elder's past meals be revalued with the facts known now."""
    elder = _elder(db.session())
    if elder is None:
        raise NotCovered
    try:
        number = revaluations.ask_facts(
            elder, from_day=_day("first"), to_day=_day("last"),
            reason=request.form.get("reason", ""), by=g.person.id,
        )  # fmt: skip
    except REFUSED as refusal:
        return _home(refusal)
    return _previewing(number, "asked")


def _previewing(number: int, done: str) -> ResponseReturnValue:
    revaluations.request(number, preview=True, by=g.person.id)
    return redirect(url_for("revaluations.one", number=number, done=done))


# --- one ---


@bp.get("/desk/revaluations/<int:number>")
@allowed(Permission.SEE_RULEBOOKS, Permission.SEE_ELDERS)
def one(number: int) -> ResponseReturnValue:
    return _one(number)


def _one(number: int, refusal: Refusal | None = None) -> ResponseReturnValue:
    """Show what a revaluation is, what it books, and what the caller may do next."""
    row, session = _own(number), db.session()
    order = session.get(RevaluationOrder, number)
    shown = revaluations.newest(session, number, preview=order is None)
    people = dict(session.execute(select(Person.id, Person.name)).all())
    page = render_template(
        "ruledesk/revaluation.html",
        row=row,
        about=_about(row, names(), reports.masked(db.session(), [row.elder_id] if row.elder_id else [])),
        order=order,
        run=shown,
        found=revaluations.result(shown),
        differences=json.loads(order.diff) if order else _differences(row),
        states=STATES,
        left=LEFT,
        why=WHY,
        may_confirm=order is None and _may(row, Permission.PUBLISH),
        may_run=order is not None and _may(row, Permission.PUBLISH),
        same=g.person.id in {row.made_by, row.asked_by},
        refunds=guard.may(Permission.SEE_SALES),
        people=people,
        names=names(),
        fund_names=parties.fund_names(db.session()),
        done=_done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _differences(row: Revaluation) -> list[dict[str, Any]]:
    """Return what differs in meaning from what was in force at the place on the first day."""
    if row.rulebook_hash is None:
        return []
    session = db.session()
    before = gate.in_force_at(session, row.scheme, row.layer, row.node_id, row.from_day)
    old = layers.document(before.body) if before else None
    new = layers.document(drafts.version(session, row.rulebook_hash).body)
    return [difference.doc for difference in comparison.compare(old, new, names())]


@bp.post("/desk/revaluations/<int:number>/confirm")
@allowed(Permission.PUBLISH)
def confirm(number: int) -> ResponseReturnValue:
    """Confirm a revaluation as second person: it counts from now on, and the run begins."""
    row = _own(number, Permission.PUBLISH)
    try:
        revaluations.order(number, by=g.person.id, diff=json.dumps(_differences(row), ensure_ascii=False))
    except REFUSED as refusal:
        return _one(number, refusal)
    return redirect(url_for("revaluations.one", number=number, done="confirmed"))


@bp.post("/desk/revaluations/<int:number>/preview")
@allowed(*ASKS)
def preview(number: int) -> ResponseReturnValue:
    _own(number, *ASKS)
    return _previewing(number, "previewed")


@bp.post("/desk/revaluations/<int:number>/run")
@allowed(Permission.PUBLISH)
def run(number: int) -> ResponseReturnValue:
    """Run once more, for meals that arrived meanwhile."""
    _own(number, Permission.PUBLISH)
    try:
        revaluations.request(number, preview=False, by=g.person.id)
    except REFUSED as refusal:
        return _one(number, refusal)
    return redirect(url_for("revaluations.one", number=number, done="again"))
