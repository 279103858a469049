"""Show a canteen's day, for its manager first of all; whoever may see sales sees it within reach."""

from __future__ import annotations

from datetime import date, timedelta

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from canteen import clock
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.db import db
from canteen.pos import notices
from canteen.settlement.desk import day_queries
from canteen.web import nav
from canteen.web.days import read_day

bp = Blueprint("serving_day", __name__)
nav.add("serving_day.home", "食堂一日", position=11)


@bp.get("/desk/canteen/day")
@allowed(Permission.SEE_SALES)
def home() -> ResponseReturnValue:
    """Show a day's meals at one canteen, by default today's at the first within reach. Raises NotCovered beyond it."""
    session = db.session()
    contracts = guard.scope(Permission.SEE_SALES).contracts(session)
    within = day_queries.canteens(session, contracts)
    wanted = request.args.get("canteen", "")
    if wanted and wanted not in dict(within):
        raise NotCovered
    chosen = wanted or (within[0][0] if within else "")
    day = _asked_day(request.args.get("day", ""))
    found = day_queries.on(chosen, day, contracts, after=request.args.get("after")) if chosen else None
    return render_template(
        "settlement/day.html",
        canteens=within,
        chosen=chosen,
        name=dict(within).get(chosen, ""),
        day=day,
        before=day - timedelta(days=1) if day > date.min else None,
        following=day + timedelta(days=1) if day < clock.today() else None,
        today=clock.today(),
        found=found,
        first="after" not in request.args,
        what=notices.what,
    )


def _asked_day(text: str) -> date:
    """Read the day asked for; today for anything that is none, or none of the past."""
    return min(read_day(text) or clock.today(), clock.today())
