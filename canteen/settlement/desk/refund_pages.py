"""Show refunds of differences (退差): the list to sign, by canteen; handed back by a manager; taken away."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

from flask import Blueprint, g, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from canteen import events
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db, transaction
from canteen.errors import Conflict, Invalid, Missing, Refusal
from canteen.places import Canteen
from canteen.settlement.corrections import refunds
from canteen.web import nav
from canteen.web.errors import status_of
from canteen.web.numbers import whole

bp = Blueprint("refunds", __name__)
nav.add("refunds.home", "退差", position=16)

REFUSED = (Invalid, Conflict, Missing)
SHOWN = 500


def _reach(permission: Permission = Permission.SEE_SALES) -> set[str]:
    return guard.scope(permission).canteens(db.session())


@bp.get("/desk/refunds")
@allowed(Permission.SEE_SALES)
def home() -> ResponseReturnValue:
    return _home()


def _home(refusal: Refusal | None = None) -> ResponseReturnValue:
    """Show what is owed to whom, and what was handed back."""
    reach, wanted = _reach(), request.values.get("canteen", "")
    chosen = {wanted} & reach or reach
    rows = refunds.owed(db.session(), chosen)
    session = db.session()
    page = render_template(
        "settlement/refunds.html",
        rows=rows[:SHOWN],
        all=len(rows),
        fen=sum(row.fen for row in rows),
        meals=sum(row.meals for row in rows),
        given=refunds.given(session, chosen),
        canteens=session.execute(
            select(Canteen.id, Canteen.name).where(Canteen.id.in_(reach)).order_by(Canteen.id)
        ).all(),
        chosen=wanted if wanted in reach else "",
        gives=_reach(Permission.VOID_ANY) if guard.may(Permission.VOID_ANY) else set(),
        may_export=guard.may(Permission.EXPORT),
        done="已登记退差。" if request.args.get("done") else "",
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


@bp.post("/desk/refunds/<canteen>/<uuid:elder>")
@allowed(Permission.VOID_ANY)
def give(canteen: str, elder: uuid.UUID) -> ResponseReturnValue:
    """Record a manager's statement that the elder was handed the money and signed."""
    if canteen not in _reach(Permission.VOID_ANY):
        raise NotCovered
    fen = request.form.get("fen", "")
    try:
        refunds.give(canteen, elder, whole(fen), by=g.person.id)
    except REFUSED as refusal:
        return _home(refusal)
    return redirect(url_for("refunds.home", canteen=canteen, done="given"))


@bp.get("/desk/refunds/export.xlsx")
@allowed(Permission.EXPORT)
def export() -> ResponseReturnValue:
    """Send the list to be signed as a workbook, and record who took it."""
    reach = _reach(Permission.EXPORT) & _reach()
    wanted = request.args.get("canteen", "")
    if wanted and wanted not in reach:
        raise NotCovered
    rows = [row for row in refunds.owed(db.session(), {wanted} if wanted else reach) if row.fen > 0]
    with transaction() as session:
        body = {"rows": len(rows), "canteen": wanted}
        events.record(session, "refund.export", "refunds", by=g.person.id, body=body)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "refunds.xlsx"
        refunds.workbook(rows, path)
        file = path.open("rb")  # stays readable after the folder is gone, and is closed with the answer
    return send_file(
        file,
        mimetype="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        as_attachment=True,
        download_name="退差清单.xlsx",
        max_age=0,
    )
