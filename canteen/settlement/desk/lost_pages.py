"""Show the numbers that tablets still owe: what is missing, declaring a run lost, and the second person's list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.auth import guard, humans
from canteen.auth.guard import Permission, allowed
from canteen.auth.models import LostNumbers, Person, Tablet
from canteen.auth.tablets import NoTablet
from canteen.db import db
from canteen.errors import Conflict, Forbidden, Invalid, Refusal
from canteen.places import Canteen
from canteen.pos import lost_numbers
from canteen.pos.lost_numbers import Run
from canteen.settlement.claims import missing_records
from canteen.web import nav
from canteen.web.errors import status_of

bp = Blueprint("lost_numbers", __name__, url_prefix="/desk")
nav.add("lost_numbers.lost_list", "缺号", position=56)

REFUSED = (Invalid, Conflict, Forbidden)
DONE = {"declared": "已登记遗失，须另一人确认后生效。", "confirmed": "遗失已确认。"}
MOST_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Declared:
    """A run declared lost, as the pages show it; `releases` are the claims that wait until it is confirmed."""

    row: LostNumbers
    tablet: str
    canteen: str
    declared_by: str
    confirmed_by: str
    releases: list[str]
    may_confirm: bool


@bp.get("/lost")
@allowed(Permission.SEE_TABLETS)
def lost_list() -> ResponseReturnValue:
    """Show runs declared lost that wait for a second person, within the caller's reach."""
    session = db.session()
    seen = guard.scope(Permission.SEE_TABLETS).canteens(session)
    query = (
        select(LostNumbers)
        .join(Tablet, Tablet.id == LostNumbers.tablet_id)
        .where(Tablet.canteen_id.in_(seen), LostNumbers.confirmed_by.is_(None))
        .order_by(LostNumbers.declared_at, LostNumbers.id)
    )
    rows = _declared(session, list(session.execute(query).scalars()))
    return render_template("settlement/lost.html", rows=rows)


@bp.get("/tablets/<tablet_id>/lost")
@allowed(Permission.SEE_TABLETS)
def tablet_numbers(tablet_id: str) -> ResponseReturnValue:
    """Show what one tablet still owes; a link may fill in the numbers to declare."""
    return _page(tablet_id)


@bp.post("/tablets/<tablet_id>/lost")
@allowed(Permission.DECLARE_LOST)
def declare(tablet_id: str) -> ResponseReturnValue:
    """Declare a run of numbers lost, as the first person."""
    _within(tablet_id, Permission.DECLARE_LOST)
    try:
        run = Run(*(_number(name) for name in ("epoch", "first", "last")))
        lost_numbers.declare(tablet_id, run, request.form.get("reason", ""), by=g.person.id)
    except REFUSED as refusal:
        return _page(tablet_id, refusal)
    return redirect(url_for("lost_numbers.tablet_numbers", tablet_id=tablet_id, done="declared"))


@bp.post("/lost/<int:lost_id>/confirm")
@allowed(Permission.CONFIRM_LOST)
def confirm(lost_id: int) -> ResponseReturnValue:
    """Confirm a declared loss, as the second person."""
    row = db.session.get(LostNumbers, lost_id)
    if row is None:
        raise NoTablet
    tablet_id = row.tablet_id
    _within(tablet_id, Permission.CONFIRM_LOST)
    try:
        lost_numbers.confirm(lost_id, by=g.person.id)
    except REFUSED as refusal:
        return _page(tablet_id, refusal)
    return redirect(url_for("lost_numbers.tablet_numbers", tablet_id=tablet_id, done="confirmed"))


def _page(tablet_id: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    tablet = session.get(Tablet, tablet_id)
    if tablet is None or tablet.canteen_id not in guard.scope(Permission.SEE_TABLETS).canteens(session):
        raise NoTablet
    query = select(LostNumbers).where(LostNumbers.tablet_id == tablet_id).order_by(LostNumbers.id.desc())
    declared = _declared(session, list(session.execute(query).scalars()))
    said = [Run(one.row.epoch, one.row.first_number, one.row.last_number) for one in declared]
    runs = [left for run in lost_numbers.missing(session, tablet_id) for left in lost_numbers.without(run, said)]
    waiting = missing_records.claims_waiting_for(session, [(tablet_id, run) for run in runs])
    filled = request.form if refusal else request.args
    return render_template(
        "settlement/tablet_numbers.html",
        tablet=tablet,
        canteen=session.get_one(Canteen, tablet.canteen_id),
        missing=list(zip(runs, waiting, strict=True)),
        declared=declared,
        filled={name: filled.get(name, "") for name in ("epoch", "first", "last", "reason")},
        may_declare=guard.may(Permission.DECLARE_LOST, tablet.canteen_id),
        refusal=refusal,
        done=DONE.get(request.args.get("done", "")),
    ), (status_of(refusal) if refusal else 200)


def _declared(session: Session, rows: Sequence[LostNumbers]) -> list[Declared]:
    tablets = {row.tablet_id: session.get_one(Tablet, row.tablet_id) for row in rows}
    ids = {row.declared_by for row in rows} | {row.confirmed_by for row in rows if row.confirmed_by}
    people = dict(session.execute(select(Person.id, Person.name).where(Person.id.in_(ids))).all())
    open_ = [row for row in rows if not row.confirmed_by]
    runs = [(row.tablet_id, Run(row.epoch, row.first_number, row.last_number)) for row in open_]
    waiting = dict(zip((row.id for row in open_), missing_records.claims_waiting_for(session, runs), strict=True))
    me, found = humans.accounts(session, g.person.id), []
    for row in rows:
        tablet = tablets[row.tablet_id]
        mine = row.declared_by in me
        found.append(
            Declared(
                row,
                tablet.name,
                session.get_one(Canteen, tablet.canteen_id).name,
                people.get(row.declared_by, row.declared_by),
                people.get(row.confirmed_by or "", row.confirmed_by or ""),
                waiting.get(row.id, []),
                row.confirmed_by is None and not mine and guard.may(Permission.CONFIRM_LOST, tablet.canteen_id),
            )
        )
    return found


def _within(tablet_id: str, permission: Permission) -> None:
    """Refuse a tablet outside the places where the caller has the permission. Raises NoTablet."""
    tablet = db.session.get(Tablet, tablet_id)
    if tablet is None or not guard.may(permission, tablet.canteen_id):
        raise NoTablet


def _number(name: str) -> int:
    text = request.form.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS and int(text) >= 1):
        raise Invalid("编号段、起号、止号都是 1 起的整数，请按缺号表填写。")
    return int(text)
