"""The auditor's page of accounts that may be one human's."""

from __future__ import annotations

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select

from canteen.auth import guard, pairs, people, reach
from canteen.auth.guard import Permission, allowed
from canteen.auth.models import Person
from canteen.db import db
from canteen.web import nav
from canteen.web.numbers import whole

bp = Blueprint("audit", __name__)
nav.add("audit.accounts", "账号核查", position=55)

SIZE = 100  # pairs on a page: they are ordered by what was found of all, not by a key of their own


@bp.get("/desk/audit/accounts")
@allowed(Permission.SEE_AUDIT)
def accounts() -> ResponseReturnValue:
    """Show the pairs of accounts of which at least one works in the caller's places."""
    session = db.session()
    every = pairs.pairs(session)
    scope, named = guard.scope(Permission.SEE_AUDIT), {one for pair in every for one in pair.ids}
    seen = people.seen_among(session, named, [scope])
    within = [pair for pair in every if not seen.isdisjoint(pair.ids)]
    start = whole(request.args.get("after", ""), 0)
    found = within[start : start + SIZE]
    ids = {one for pair in found for one in pair.ids}
    rows = session.execute(select(Person.id, Person.name, Person.login).where(Person.id.in_(ids)))
    return render_template(
        "auth/accounts.html",
        pairs=found,
        after=start + SIZE if start + SIZE < len(within) else None,
        start=start,
        count=len(within),
        people={person_id: f"{name}（{login}）" for person_id, name, login in rows} | {reach.SYSTEM: "服务器命令行"},
    )
