"""Requests of administrators to confirm: a role of the bureau, or a shut account that has one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import select
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
    return _in_words(session, lines, lambda line, called: f"增加 {_words(*_role(line), called)}")


def _shut(session: Session, lines: Sequence[RequestLine]) -> list[Shown]:
    return _in_words(session, lines, lambda _line, _called: "启用账号，角色照旧")


Called = Mapping[tuple[str, str], str]


def _in_words(
    session: Session, lines: Sequence[RequestLine], after: Callable[[RequestLine, Called], str]
) -> list[Shown]:
    ids = [line.subject for line in lines]
    persons = {one.id: one for one in session.execute(select(Person).where(Person.id.in_(ids))).scalars()}
    grants = guard.live_grants_of(session, ids)
    nodes = {(each.node_kind, each.node_id) for some in grants.values() for each in some}
    nodes |= {_role(line)[1:] for line in lines if "role" in line.asked}
    called, found = people.node_names(session, nodes), []
    for line in lines:
        person = persons[line.subject]
        had = [_words(each.role, each.node_kind, each.node_id, called) for each in grants[person.id]]
        before = "、".join(had) or "没有角色"
        if person.disabled_at is not None:
            before = f"已停用；{before}"
        path = f"/desk/people/{person.id}"
        found.append(Shown(person.name, person.login, before, after(line, called), "复核通过时", path=path))
    return found


def _role(line: RequestLine) -> tuple[str, str, str]:
    return str(line.asked["role"]), str(line.asked["kind"]), str(line.asked["node"])


def _words(role: str, kind: str, node_id: str, called: Called) -> str:
    return f"{ROLE_NAMES.get(role, role)}（{called[kind, node_id]}）"


change_requests.register(Kind(people.GRANT, "授予角色", Permission.PEOPLE, _give, _shown))
change_requests.register(Kind(people.ENABLE, "启用账号", Permission.PEOPLE, _enable, _shut))
