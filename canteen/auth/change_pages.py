"""Pages of changes that wait for a second person: the list, one request with before and after, confirm or refuse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from flask import Blueprint, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.auth import change_requests, grant_requests, reach  # noqa: F401 - the kinds of change are made known
from canteen.auth.guard import Permission, allowed
from canteen.auth.models import Person
from canteen.db import db
from canteen.errors import Conflict, Forbidden, Invalid, Refusal
from canteen.web import nav
from canteen.web.errors import status_of

bp = Blueprint("changes", __name__)
nav.add("changes.changes_page", "待复核", position=36, count=change_requests.count)

SHOWN: Final = 100  # requests or lines on a page
REFUSED: Final = (Invalid, Conflict, Forbidden)
DONE: Final = {"confirmed": "已复核通过，立即生效。", "refused": "已退回，没有生效。"}


@bp.get("/desk/changes")
@allowed(Permission.ROSTER, Permission.PLACES, Permission.PEOPLE, Permission.SEE_AUDIT)
def changes_page() -> ResponseReturnValue:
    """Show the changes that wait for a second person in the caller's places, older first."""
    session = db.session()
    every = change_requests.waiting(session, g.person.id)
    waiting = every[:SHOWN]
    requests = [each.request for each in waiting]
    firsts = change_requests.first_lines(session, [each.id for each in requests])
    answerable = change_requests.answerable(session, requests, g.person.id)
    shown: dict[int, change_requests.Shown] = {}
    for kind in dict.fromkeys(each.kind for each in requests):
        of_kind = [each.id for each in requests if each.kind == kind]
        lines = change_requests.kind_of(kind).show(session, [firsts[number] for number in of_kind])
        shown |= dict(zip(of_kind, lines, strict=True))
    rows = [(each, [shown[each.request.id]], each.request.id in answerable) for each in waiting]
    return render_template(
        "auth/changes.html",
        rows=rows,
        more=len(every) - len(waiting),
        people=names_of(session, [each.request.asked_by for each in waiting]),
        done=DONE.get(request.args.get("done", "")),
    )


@bp.get("/desk/changes/<int:request_id>")
@allowed(Permission.ROSTER, Permission.PLACES, Permission.PEOPLE, Permission.SEE_AUDIT)
def change_page(request_id: int) -> ResponseReturnValue:
    return _page(request_id)


@bp.post("/desk/changes/<int:request_id>")
@allowed(Permission.CONFIRM_ELDERS, Permission.PLACES, Permission.PEOPLE)
def answer(request_id: int) -> ResponseReturnValue:
    """Confirm a request, or refuse it with a reason."""
    try:
        if request.form.get("act") == "confirm":
            change_requests.confirm(request_id, by=g.person.id)
            done = "confirmed"
        else:
            change_requests.refuse(request_id, request.form.get("reason", ""), by=g.person.id)
            done = "refused"
    except REFUSED as refusal:
        return _page(request_id, refusal)
    return redirect(url_for("changes.changes_page", done=done))


def _page(request_id: int, refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    asked = change_requests.found(session, request_id, g.person.id)
    start = request.args.get("after", 0, type=int)
    lines = change_requests.lines_of(session, request_id, start=max(0, start), most=SHOWN + 1)
    answered = change_requests.answer_of(session, request_id)
    kind = change_requests.kind_of(asked.kind)
    page = render_template(
        "auth/change.html",
        asked=asked,
        title=kind.title,
        lines=kind.show(session, lines[:SHOWN]) if answered is None else [],
        start=start,
        after=start + SHOWN if len(lines) > SHOWN else None,
        answered=answered,
        answers=answered is None and change_requests.may_answer(session, asked, g.person.id),
        own=asked.asked_by == g.person.id,
        people=names_of(session, [asked.asked_by, *([answered.by] if answered else [])]),
        refusal=refusal,
    )
    return page, status_of(refusal) if refusal else 200


def names_of(session: Session, ids: Iterable[str]) -> dict[str, str]:
    """Return the names of these people, by id."""
    rows = session.execute(select(Person.id, Person.name).where(Person.id.in_(set(ids))))
    return {reach.SYSTEM: "服务器命令行", **dict(rows.all())}
