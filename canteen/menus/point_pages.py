"""The page of a canteen's serving points."""

from __future__ import annotations

from typing import Final

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db, transaction
from canteen.errors import Refusal
from canteen.menus import pages, points
from canteen.menus.pages import REFUSED, bp
from canteen.places import POINTS, ServingPoint
from canteen.web.errors import status_of

KIND_WORDS: Final = dict(zip(POINTS, ("堂食窗口", "送餐", "助餐点"), strict=True))


@bp.get("/points")
@allowed(Permission.MENUS)
def serving_points() -> ResponseReturnValue:
    """Show the serving points of a canteen."""
    return _page()


@bp.post("/points")
@allowed(Permission.MENUS)
def add_point() -> ResponseReturnValue:
    """Add a serving point."""
    canteen, by = pages.chosen(db.session()), g.person.id
    try:
        with transaction() as session:
            points.add(session, canteen, request.form.get("name", ""), request.form.get("kind", ""), by=by)
    except REFUSED as refusal:
        return _page(refusal)
    return redirect(url_for("menus.serving_points", canteen=canteen))


@bp.post("/points/<point>/<act>")
@allowed(Permission.MENUS)
def change_point(point: str, act: str) -> ResponseReturnValue:
    """Rename a serving point, or end its use or take it up again."""
    found, by = db.session().get(ServingPoint, point), g.person.id
    if found is None or not guard.may(Permission.MENUS, found.canteen_id) or act not in ("amend", "end", "resume"):
        raise NotCovered
    canteen = found.canteen_id
    try:
        with transaction() as session:
            if act == "amend":
                points.amend(session, point, request.form.get("name", ""), request.form.get("kind", ""), by=by)
            else:
                points.end(session, point, ended=act == "end", by=by)
    except REFUSED as refusal:
        return _page(refusal)
    return redirect(url_for("menus.serving_points", canteen=canteen))


def _page(refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    canteen = pages.chosen(session)
    page = render_template(
        "menus/points.html",
        **pages.common(session, canteen, refusal),
        points=points.points_of(session, canteen),
        kinds=KIND_WORDS,
    )
    return page, status_of(refusal) if refusal else 200
