"""The page of the bureau's settings: values in force, coming and past, and a form for each. Steps of claims are among them."""

from __future__ import annotations

from itertools import combinations
from typing import Final

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from canteen import clock, settings
from canteen.auth import guard, reach
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.auth.models import Person
from canteen.db import db, transaction
from canteen.errors import Conflict, Invalid, Missing, Refusal
from canteen.settings import BadValue, Settings
from canteen.settlement.claims import steps
from canteen.settlement.labels import say
from canteen.web import nav
from canteen.web.days import required_day
from canteen.web.errors import status_of

bp = Blueprint("settings", __name__)
nav.add("settings.home", "设置", position=58)

OPTIONAL: Final = ("review", "determine")
PAIRS: Final = tuple(
    pair for pair in combinations(steps.ORDER, 2) if pair not in steps.FLOOR
)  # those of the floor are not asked


@bp.get("/desk/settings")
@allowed(Permission.SETTINGS, Permission.SEE_AUDIT)
def home() -> ResponseReturnValue:
    """Show the settings of the installation, in force, coming and past."""
    return _page()


@bp.post("/desk/settings/<key>")
@allowed(Permission.SETTINGS)
def put(key: str) -> ResponseReturnValue:
    """Enter a value from a day on. Settings are one for all places: only who administers all of them may."""
    if not _decides():
        raise NotCovered
    by = g.person.id
    try:
        settings.kind_of(key)
        value = _steps() if key == steps.KEY else request.form.get("value", "")
        since = required_day(request.form.get("since", ""), BadValue("请填起用日期。"))
        with transaction() as session:
            changed = settings.put(session, key, value, since, by=by)
    except (Invalid, Conflict, Missing) as refusal:
        return _page(key, refusal)
    return redirect(url_for("settings.home", done="set" if changed else "same", key=key, _anchor=key))


def _steps() -> str:
    """Read the form of a claim's steps."""
    order = [step for step in steps.ORDER if step not in OPTIONAL or step in request.form]
    apart = [pair for pair in PAIRS if "-".join(pair) in request.form and set(pair) <= set(order)]
    return steps.write(order, apart)


def _decides() -> bool:
    return guard.may(Permission.SETTINGS) and guard.scope(Permission.SETTINGS).within(db.session()) is None


def shown(key: str, value: str) -> str:
    """Say a stored value in words."""
    if key == steps.KEY:
        found = steps.read(value)
        apart = [f"{say('move', a)}与{say('move', b)}" for a, b in PAIRS if frozenset((a, b)) in found.apart]
        order = " → ".join(say("move", step) for step in found.order)
        return f"{order}；另须不同人办理：{'、'.join(apart) if apart else '无'}"
    if not value:
        return "未填写"
    return f"{value} {settings.kind_of(key).unit}".rstrip()


def _page(key: str = "", refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    found: Settings = settings.read(session)
    ids = {row.by for row in found.rows}
    names = dict(session.execute(select(Person.id, Person.name).where(Person.id.in_(ids))).all())
    page = render_template(
        "settlement/settings.html",
        kinds=settings.kinds(),
        found=found,
        shown=shown,
        word=say,
        steps_key=steps.KEY,
        steps_now=steps.of(found, clock.now()),
        optional=OPTIONAL,
        pairs=PAIRS,
        names=names | {reach.SYSTEM: "系统初始值或服务器命令行"},
        decides=_decides(),
        today=clock.today(),
        form=request.form if refusal else {},
        refused=key,
        refusal=refusal,
        done=request.args.get("done", ""),
        done_key=request.args.get("key", ""),
    )
    return page, status_of(refusal) if refusal else 200
