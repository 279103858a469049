"""Pages of complaints: the list, one complaint with its steps and its sheet for the file, registration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from canteen import clock, places
from canteen.auth import guard
from canteen.auth.guard import Permission, allowed
from canteen.auth.models import Grant, Person
from canteen.db import db, transaction
from canteen.errors import Conflict, Invalid, Missing, Refusal
from canteen.places import Canteen, Contract, valid_on
from canteen.services import complaints
from canteen.services.complaints import NewComplaint, NoComplaint, Standing
from canteen.services.models import CATEGORIES, CHANNELS, STEPS
from canteen.web import nav
from canteen.web.days import required_day
from canteen.web.errors import status_of
from canteen.web.numbers import whole

bp = Blueprint("complaints", __name__, url_prefix="/desk/complaints")
nav.add("complaints.complaint_list", "投诉", position=18)

REFUSED: Final = (Invalid, Conflict, Missing)
CHANNEL_WORDS: Final = dict(
    zip(CHANNELS, ("电话", "当面", "信件", "12345 政务热线", "12349 养老服务热线"), strict=True)
)
CATEGORY_WORDS: Final = dict(
    zip(CATEGORIES, ("饭菜质量", "卫生", "价格收费", "补贴", "服务态度", "送餐", "其他"), strict=True)
)
STEP_WORDS: Final = dict(zip(STEPS, ("登记", "交办", "答复", "退回重办", "办结"), strict=True))
STANDING_WORDS: Final = dict(zip(STEPS, ("待答复", "已交办", "已答复", "退回重办", "已办结"), strict=True))
STATES: Final = {"open": "办理中", "overdue": "超期未答复", "closed": "已办结", "all": "全部"}
DONE: Final = {
    "register": "已登记，食堂负责人可以看到并答复。",
    "assign": "已交办。",
    "answer": "答复已登记，等另一位工作人员办结。",
    "return": "已退回，请食堂重新答复。",
    "close": "已办结。",
}


@bp.get("")
@allowed(Permission.SEE_COMPLAINTS)
def complaint_list() -> ResponseReturnValue:
    """Show the complaints about the canteens within reach, newest first, a page at a time."""
    session = db.session()
    state = request.args.get("state", "open")
    state = state if state in STATES else "open"
    before = whole(request.args.get("before", ""), 0) or None
    rows, rest = complaints.standing(session, _reach(session), state, before)
    return render_template("services/complaints.html", rows=rows, rest=rest, state=state, states=STATES, **_words())


@bp.get("/new")
@allowed(Permission.COMPLAINTS)
def form() -> ResponseReturnValue:
    """Show the form of a new complaint."""
    return _form()


@bp.post("/new")
@allowed(Permission.COMPLAINTS)
def register() -> ResponseReturnValue:
    """Register a complaint."""
    sent, by = request.form, g.person.id
    canteen = sent.get("canteen", "")
    try:
        if canteen not in guard.scope(Permission.COMPLAINTS).canteens(db.session()):
            raise complaints.BadComplaint
        new = NewComplaint(
            canteen,
            required_day(sent.get("received_on", ""), complaints.BadComplaint()),
            sent.get("channel", ""),
            sent.get("category", ""),
            sent.get("words", ""),
            sent.get("caller_name", ""),
            sent.get("contact", ""),
        )
        with transaction() as session:
            number = complaints.register(session, new, by=by)
    except REFUSED as refusal:
        return _form(refusal)
    return redirect(url_for("complaints.complaint", number=number, done="register"))


@bp.get("/<int:number>")
@allowed(Permission.SEE_COMPLAINTS)
def complaint(number: int) -> ResponseReturnValue:
    """Show one complaint with all its steps; printed, it is the sheet for the file."""
    return _page(number)


@bp.post("/<int:number>/<step>")
@allowed(Permission.COMPLAINTS, Permission.ANSWER_COMPLAINTS)
def take_step(number: int, step: str) -> ResponseReturnValue:
    """Assign, answer, send back or close a complaint."""
    session, by = db.session(), g.person.id
    found = _within(session, number)
    wanted = Permission.ANSWER_COMPLAINTS if step == "answer" else Permission.COMPLAINTS
    guard.require(wanted, found.complaint.canteen_id)
    assignee = request.form.get("assignee", "") if step == "assign" else ""
    try:
        if step == "assign" and assignee not in answerers(session, found.complaint.canteen_id):
            raise Invalid("请选择由谁答复。")
        with transaction() as writing:
            complaints.take_step(writing, number, step, request.form.get("words", ""), by=by, assignee=assignee)
    except REFUSED as refusal:
        return _page(number, refusal)
    return redirect(url_for("complaints.complaint", number=number, done=step))


def answerers(session: Session, canteen_id: str) -> dict[str, str]:
    """Return id and name of the people who may answer for a canteen today."""
    canteen, today = places.canteen(session, canteen_id), clock.today()
    operators = select(Contract.operator_id).where(Contract.canteen_id == canteen_id, valid_on(Contract, today))
    areas = places.path(session, canteen.area_id, today)
    query = (
        select(Person.id, Person.name)
        .join(Grant, Grant.person_id == Person.id)
        .where(Grant.ended_at.is_(None), Person.disabled_at.is_(None))
        .where(Grant.role.in_(guard.roles_with(Permission.ANSWER_COMPLAINTS)))
        .where(
            or_(
                and_(Grant.node_kind == "canteen", Grant.node_id == canteen_id),
                and_(Grant.node_kind == "operator", Grant.node_id.in_(operators)),
                and_(Grant.node_kind == "area", Grant.node_id.in_(areas)),
            )
        )
        .distinct()
        .order_by(Person.name, Person.id)
        .limit(100)
    )
    return dict(session.execute(query).all())


def _page(number: int, refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    found = _within(session, number)
    row, canteen = found.complaint, found.complaint.canteen_id
    steps = complaints.steps_of(session, number)
    known = {step.by for step in steps} | {step.assignee for step in steps}
    answers = guard.may(Permission.ANSWER_COMPLAINTS, canteen)
    decides = guard.may(Permission.COMPLAINTS, canteen)
    ready = [
        step for step in complaints.next_steps(found.step.kind) if (answers if step == "answer" else decides)
    ]  # in the order of work
    own = "close" in ready and complaints.answered_by_same(session, steps, g.person.id)
    page = render_template(
        "services/complaint.html",
        found=found,
        row=row,
        steps=steps,
        people=dict(session.execute(select(Person.id, Person.name).where(Person.id.in_(known))).all()),
        contact=complaints.contact_of(row) if answers or decides else None,
        ready=[step for step in ready if not (own and step == "close")],
        own=own,
        answerers=answerers(session, canteen) if "assign" in ready else {},
        form=request.form,
        done=DONE.get(request.args.get("done", "")),
        refusal=refusal,
        **_words(),
    )
    return page, status_of(refusal) if refusal else 200


def _form(refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    within = guard.scope(Permission.COMPLAINTS).canteens(session)
    query = select(Canteen.id, Canteen.name).where(Canteen.id.in_(within)).order_by(Canteen.name, Canteen.id)
    page = render_template(
        "services/complaint_new.html",
        canteens=[(row.id, row.name) for row in session.execute(query)],
        form=request.form,
        today=clock.today(),
        within=complaints.ANSWER_WITHIN,
        refusal=refusal,
        **_words(),
    )
    return page, status_of(refusal) if refusal else 200


def _words() -> dict[str, dict[str, str]]:
    return {
        "channels": CHANNEL_WORDS,
        "categories": CATEGORY_WORDS,
        "step_words": STEP_WORDS,
        "standing_words": STANDING_WORDS,
    }


def _reach(session: Session) -> set[str]:
    return guard.scope(Permission.SEE_COMPLAINTS).canteens(session)


def _within(session: Session, number: int) -> Standing:
    """Return a complaint about a canteen within reach. Raises NoComplaint."""
    found = complaints.one(session, number)
    if found.complaint.canteen_id not in _reach(session):
        raise NoComplaint
    return found


def _notices() -> Iterator[nav.Notice]:
    """Name how many answers are overdue at the caller's canteens."""
    scope = guard.scope(Permission.ANSWER_COMPLAINTS)
    if not scope:
        return
    session = db.session()
    late = complaints.overdue_counts(session, scope.canteens(session))
    if late:
        named = "、".join(f"{name} {count} 件" for name, count in list(late.items())[:3])
        more = "等" if len(late) > 3 else ""
        yield nav.Notice("bad", f"投诉超期未答复：{named}{more}。", "complaints.complaint_list", "打开投诉")


nav.add_notices("complaints", _notices)
