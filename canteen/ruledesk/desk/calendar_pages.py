"""Show the calendar of holidays and change it; warn of a year that is not entered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from canteen import calendars, clock
from canteen.auth import guard
from canteen.auth.guard import Permission, allowed
from canteen.db import db
from canteen.errors import Forbidden, Refusal
from canteen.rulebooks import layers
from canteen.ruledesk.desk.blueprint import REFUSED, bp, done, reachable
from canteen.web import nav
from canteen.web.days import read_day
from canteen.web.errors import status_of
from canteen.web.numbers import whole


def _calendar_lacks() -> Iterator[nav.Notice]:
    """Warn readers of rulebooks of a year whose days are not entered."""
    if not guard.may(Permission.SEE_RULEBOOKS):
        return
    session, today = db.session(), clock.today()
    for year in calendars.missing_years(session, today):
        asking = layers.asking_day_kind(session, today)
        text = f"{year} 年放假安排尚未录入：该年日期只按星期和法定节日暂定，调休等按公布的安排录入后才准确。"
        if asking:
            text += f"“{'”“'.join(asking[:3])}”按日期类别计算补贴，未录入会算错，请立即录入。"
        yield nav.Notice("bad" if asking else "warn", text, "ruledesk.calendar", "录入节假日")


nav.add_notices("calendar", _calendar_lacks)


@bp.get("/desk/calendar")
@allowed(Permission.SEE_RULEBOOKS)
def calendar() -> ResponseReturnValue:
    return _calendar()


def _calendar(refusal: Refusal | None = None) -> ResponseReturnValue:
    today = clock.today()
    wanted = request.args.get("year", "")
    session = db.session()
    due = next(iter(calendars.missing_years(session, today)), today.year)
    year = whole(wanted) if 2004 <= whole(wanted) <= today.year + 2 else due
    page = render_template(
        "ruledesk/calendar.html",
        year=year,
        years=range(today.year - 1, today.year + 3),
        days=calendars.year(session, year),
        provisional=calendars.provisional(session, year),
        kinds=calendars.WORDS,
        may_arrange=_arranges(),
        today=today,
        form=request.form,
        done=done(),
        refusal=refusal,
    )
    return page, 200 if refusal is None else status_of(refusal)


def _arranges() -> bool:
    """Tell whether the caller may change the city's one calendar: those who draft for a city may."""
    return any(place.startswith("city/") for place, _ in reachable(Permission.RULEBOOKS))


@bp.post("/desk/calendar")
@allowed(Permission.RULEBOOKS)
def arrange() -> ResponseReturnValue:
    """Enter what kind of day some days are."""
    if not _arranges():
        raise Forbidden
    first = read_day(request.form.get("first", "")) or date.min
    last = read_day(request.form.get("last", "")) or first
    try:
        calendars.arrange(
            first, last, request.form.get("kind", ""), request.form.get("name", "").strip(), by=g.person.id
        )
    except REFUSED as refusal:
        return _calendar(refusal)
    return redirect(url_for("ruledesk.calendar", year=first.year, done="arranged"))
