"""Requests of administrators to confirm: a role of the bureau, or a shut account that has one."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from canteen.auth import change_requests, guard, humans, people
from canteen.auth.change_requests import Kind, Overtaken, RequestLine, Shown
from canteen.auth.guard import ROLE_NAMES, Permission
from canteen.auth.models import ChangeRequest, Person


def _give(session: Session, request: ChangeRequest, lines: Sequence[RequestLine], by: str) -> None:
    """Give the roles, in the asker's name. Raises OwnAccount, Overtaken, and what `people.grant` raises."""
    for line in lines:
        _keep_apart(session, request, line.subject, by)
        if session.get_one(Person, line.subject).disabled_at is not None:
            raise Overtaken("账号已停用，不能授予角色：请先启用账号，或不予通过。")
        people.give(session, line.subject, *_role(line), by=request.asked_by, confirmed_by=by)


def _enable(session: Session, request: ChangeRequest, lines: Sequence[RequestLine], by: str) -> None:
    """Open the accounts, in the asker's name. Raises OwnAccount, NoPerson, Forbidden."""
    for line in lines:
        _keep_apart(session, request, line.subject, by)
        people.reopen(session, line.subject, by=request.asked_by, confirmed_by=by)


def _keep_apart(session: Session, request: ChangeRequest, person_id: str, by: str) -> None:
    """Raise OwnAccount when either of the two is the human who would get the rights."""
    if any(humans.same(session, one, {person_id}) for one in (by, request.asked_by)):
        raise people.OwnAccount


def _shown(session: Session, lines: Sequence[RequestLine]) -> list[Shown]:
    """Return each role in words, beside the roles that the account has now."""
    return [_in_words(session, line, f"增加 {_words(session, *_role(line))}") for line in lines]


def _shut(session: Session, lines: Sequence[RequestLine]) -> list[Shown]:
    return [_in_words(session, line, "启用账号，角色照旧") for line in lines]


def _in_words(session: Session, line: RequestLine, after: str) -> Shown:
    person = session.get_one(Person, line.subject)
    grants = guard.live_grants(session, person.id)
    before = "、".join(_words(session, each.role, each.node_kind, each.node_id) for each in grants) or "没有角色"
    if person.disabled_at is not None:
        before = f"已停用；{before}"
    return Shown(person.name, person.login, before, after, "复核通过时", path=f"/desk/people/{person.id}")


def _role(line: RequestLine) -> tuple[str, str, str]:
    return str(line.asked["role"]), str(line.asked["kind"]), str(line.asked["node"])


def _words(session: Session, role: str, kind: str, node_id: str) -> str:
    return f"{ROLE_NAMES.get(role, role)}（{people.node_name(session, kind, node_id)}）"


change_requests.register(Kind(people.GRANT, "授予角色", Permission.PEOPLE, _give, _shown))
change_requests.register(Kind(people.ENABLE, "启用账号", Permission.PEOPLE, _enable, _shut))
