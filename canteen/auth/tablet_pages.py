"""Pages of the tablets: one-time codes, the list, shutting one out."""

from __future__ import annotations

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import guard, tablets
from canteen.auth.guard import Permission, allowed
from canteen.auth.models import EnrolmentCode, Person, Tablet
from canteen.auth.tablets import NoTablet
from canteen.db import db
from canteen.errors import Conflict, Forbidden, Invalid, Refusal
from canteen.places import Canteen
from canteen.web import nav
from canteen.web.errors import status_of

bp = Blueprint("tablet_desk", __name__, url_prefix="/desk/tablets")
nav.add("tablet_desk.tablet_list", "平板", position=55)

DONE = {
    "revoked": "平板已停用，立即生效。",
}
REFUSED = (Invalid, Conflict, Forbidden)


@bp.get("")
@allowed(Permission.SEE_TABLETS, Permission.ENROL_TABLET)
def tablet_list() -> ResponseReturnValue:
    """Show the tablets of the caller's canteens, those in use first."""
    return _list_page()


@bp.post("/codes")
@allowed(Permission.ENROL_TABLET)
def make_code() -> ResponseReturnValue:
    """Make a one-time code, shown this once."""
    canteen_id = request.form.get("canteen", "")
    guard.require(Permission.ENROL_TABLET, canteen_id)
    try:
        made = tablets.make_code(canteen_id, request.form.get("name", ""), by=g.person.id)
    except REFUSED as refusal:
        return _list_page(refusal)
    canteen = db.session.get_one(Canteen, canteen_id)
    return render_template("auth/tablet_code.html", made=made, canteen=canteen, name=request.form["name"].strip())


@bp.get("/<tablet_id>")
@allowed(Permission.SEE_TABLETS, Permission.ENROL_TABLET)
def tablet_page(tablet_id: str) -> ResponseReturnValue:
    return _tablet_page(tablet_id)


@bp.post("/<tablet_id>/revoke")
@allowed(Permission.ENROL_TABLET)
def revoke(tablet_id: str) -> ResponseReturnValue:
    """Shut the tablet out."""
    _within(tablet_id, Permission.ENROL_TABLET)
    try:
        tablets.revoke(tablet_id, by=g.person.id, reason=request.form.get("reason", ""))
    except REFUSED as refusal:
        return _tablet_page(tablet_id, refusal)
    return redirect(url_for("tablet_desk.tablet_page", tablet_id=tablet_id, done="revoked"))


def _list_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    query = (
        select(Tablet, Canteen)
        .join(Canteen, Canteen.id == Tablet.canteen_id)
        .where(Tablet.canteen_id.in_(_seen(session)))
        .order_by(Tablet.revoked_at.is_not(None), Canteen.name, Tablet.name, Tablet.id)
    )
    enrols = guard.scope(Permission.ENROL_TABLET).canteens(session)
    canteens = session.execute(select(Canteen).where(Canteen.id.in_(enrols)).order_by(Canteen.name)).scalars()
    waiting = (
        select(EnrolmentCode, Canteen)
        .join(Canteen, Canteen.id == EnrolmentCode.canteen_id)
        .where(EnrolmentCode.canteen_id.in_(_seen(session)), EnrolmentCode.tablet_id.is_(None))
        .where(EnrolmentCode.expires_at > clock.now())
        .order_by(EnrolmentCode.made_at)
    )
    return render_template(
        "auth/tablets.html",
        rows=session.execute(query).all(),
        waiting=session.execute(waiting).all(),
        canteens=[(each.id, each.name) for each in canteens],
        form=request.form,
        refusal=refusal,
    ), (status_of(refusal) if refusal else 200)


def _tablet_page(tablet_id: str, refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    tablet = session.get(Tablet, tablet_id)
    if tablet is None or tablet.canteen_id not in _seen(session):
        raise NoTablet
    names = session.execute(select(Person.id, Person.name).where(Person.id == tablet.enrolled_by)).all()
    return render_template(
        "auth/tablet.html",
        tablet=tablet,
        canteen=session.get_one(Canteen, tablet.canteen_id),
        names={"system": "系统安装", **dict(names)},
        reasons=list(tablets.REVOKED.items()),
        may_revoke=guard.may(Permission.ENROL_TABLET, tablet.canteen_id) and tablet.revoked_at is None,
        may_see_numbers=guard.may(Permission.SEE_TABLETS, tablet.canteen_id),
        refusal=refusal,
        done=DONE.get(request.args.get("done", "")),
    ), (status_of(refusal) if refusal else 200)


def _seen(session: Session) -> set[str]:
    """Return the ids of the canteens whose tablets the caller sees."""
    return guard.scope(Permission.SEE_TABLETS).canteens(session) | guard.scope(Permission.ENROL_TABLET).canteens(
        session
    )


def _within(tablet_id: str, permission: Permission) -> None:
    """Raise NoTablet unless the tablet is where the caller has the permission."""
    tablet = db.session.get(Tablet, tablet_id)
    if tablet is None or not guard.may(permission, tablet.canteen_id):
        raise NoTablet
