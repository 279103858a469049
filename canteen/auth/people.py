"""Accounts of people and the roles granted to them: each act by someone named, none on one's own behalf (P23).

A role of the bureau takes two administrators: one asks, another confirms (`auth.grant_requests`). It is the bureau's
when it has a right that a canteen's own staff never has: all but cashier and manager. The command line gives one
alone only while fewer than two administrators could: that is how the first two are made. An account is made at once, since
without a role it may do nothing.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import ColumnElement, and_, exists, false, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events, places
from canteen.auth import change_requests, guard, pins, sessions
from canteen.auth.change_requests import RequestLine
from canteen.auth.guard import NotCovered, Permission, Scope
from canteen.auth.models import NODES, ROLES, Grant, Person
from canteen.auth.reach import SYSTEM, Reach
from canteen.db import transaction
from canteen.errors import Conflict, Forbidden, Invalid, Missing
from canteen.places import Area, Canteen, Contract, Operator
from canteen.web.security import settings

DEMO = "demo-"  # production does not start while such an account can log in
LISTED = 200
GRANT, ENABLE = "person.grant", "person.enable"  # kinds of change that a second administrator confirms
AT_CANTEEN = ("cashier", "manager")
BUREAU = frozenset(role for role, granted in guard.ROLES.items() if not granted <= guard.permissions_of(AT_CANTEEN))
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{1,31}")
_KINDS: dict[str, type[Area | Operator | Canteen]] = {
    "area": Area,
    "operator": Operator,
    "canteen": Canteen,
}


class NoPerson(Missing):
    code = "person_not_found"
    message = "没有找到这个账号，或不在您负责的范围内。"


class LoginTaken(Conflict):
    code = "login_taken"
    message = "这个登录名已有人使用，请换一个。"


class BadLogin(Invalid):
    code = "bad_login"
    message = "登录名为 2 至 32 位小写字母、数字、点或短横线。"


class OwnAccount(Forbidden):
    code = "own_account"
    message = "不能给自己授权、停用或重置，请另一位管理员办理。"


class AuditorApart(Conflict):
    code = "auditor_apart"
    message = "审计人员不能同时担任其他角色：请先结束原有角色，或为审计另建账号。"


def listed(session: Session, scopes: Sequence[Scope], *, every: bool = False, search: str = "") -> list[Person]:
    """Return the accounts that have or had a role in the scopes, open ones first, by login; at most LISTED.

    every    those that never had any role too
    """
    query = select(Person).where(_seen(session, scopes, every=every))
    if search := search.strip():
        like = (Person.login.contains(search.lower(), autoescape=True), Person.name.contains(search, autoescape=True))
        query = query.where(or_(*like))
    query = query.order_by(Person.disabled_at.is_not(None), Person.login).limit(LISTED)
    return list(session.execute(query).scalars())


def seen(session: Session, person_id: str, scopes: Sequence[Scope], *, every: bool = False) -> Person:
    """Return the account, if `listed` would list it. Raises NoPerson."""
    query = select(Person).where(Person.id == person_id, _seen(session, scopes, every=every))
    found = session.execute(query).scalar_one_or_none()
    if found is None:
        raise NoPerson
    return found


def seen_among(session: Session, person_ids: Collection[str], scopes: Sequence[Scope]) -> set[str]:
    """Return which of these accounts `listed` would list."""
    query = select(Person.id).where(Person.id.in_(person_ids), _seen(session, scopes, every=False))
    return set(session.execute(query).scalars())


def _seen(session: Session, scopes: Sequence[Scope], *, every: bool) -> ColumnElement[bool]:
    nodes = [node for scope in scopes for node in _reached(session, scope)]
    shown: ColumnElement[bool] = false()
    if nodes:
        shown = exists().where(Grant.person_id == Person.id, or_(*nodes))
    return or_(shown, ~exists().where(Grant.person_id == Person.id)) if every else shown


def _reached(session: Session, scope: Scope) -> list[ColumnElement[bool]]:
    ids = {
        "area": scope.areas(session),
        "canteen": scope.canteens(session),
        "operator": {node_id for kind, node_id in scope.nodes if kind == "operator"},
    }
    return [and_(Grant.node_kind == kind, Grant.node_id.in_(there)) for kind, there in ids.items() if there]


def create(
    login: str,
    name: str,
    *,
    password: str | None = None,
    pin: str | None = None,
    grants: Iterable[tuple[str, str, str]] = (),
    must_change: bool = True,
    by: str,
    asked: list[RequestLine] | None = None,
) -> str:
    """Make an account with its first roles (role, kind of node, node) and return its id.

    must_change    the password is someone else's choice and is changed at the first login
    asked          takes the roles that need a second administrator, for a request of the caller's own
    Raises BadLogin, LoginTaken, WeakPassword, WeakPin, Invalid, and what `grant` raises.
    """
    login, name = login.strip().lower(), name.strip()
    if not _LOGIN.fullmatch(login):
        raise BadLogin
    if settings().production and login.startswith(DEMO):
        raise BadLogin(f"{DEMO} 开头的登录名只用于演示，生产环境请换一个。")
    if not 1 <= len(name) <= 40:
        raise Invalid("请填写姓名（1 至 40 个字）。")
    if not password and not pin:
        raise Invalid("请设置初始密码，或收银用的 6 位数字口令。")
    hashed = pins.hash_password(password, login) if password else None
    hashed_pin = pins.hash_pin(pin) if pin else None
    person = Person(
        id=secrets.token_hex(8),
        login=login,
        name=name,
        password_hash=hashed,
        pin_hash=hashed_pin,
        disabled_at=None,
        changed_at=clock.now(),
        must_change=bool(password) and must_change,
    )
    with transaction() as session:
        session.add(person)
        try:
            session.flush()
        except IntegrityError as error:
            raise LoginTaken from error
        person_id = person.id
        if not (first := list(grants)) and by != SYSTEM:
            raise Invalid("请选择角色和范围。")
        given, lines = list[tuple[str, str, str]](), list[RequestLine]()
        for each in first:
            if _may_get(session, person_id, *each, by) and waits(session, *each, by):
                lines.append(line_of(person_id, *each))
            elif _grant(session, person_id, *each, by):
                given.append(each)
        events.record(session, "person.create", person_id, by=by, body={"grants": [list(each) for each in given]})
        _ask(session, person_id, lines, by, asked)
    return person_id


def grant(
    person_id: str, role: str, kind: str, node_id: str, *, by: str, asked: list[RequestLine] | None = None
) -> bool:
    """Give a role at a node, or ask a second administrator for it; return whether it waits.

    A role in force already changes nothing. `asked`: see `create`.
    Raises NoPerson, NotCovered, OwnAccount, Forbidden, AuditorApart.
    """
    with transaction() as session:
        _managed(session, person_id, by, whole=False)
        if _may_get(session, person_id, role, kind, node_id, by) and waits(session, role, kind, node_id, by):
            _ask(session, person_id, [line_of(person_id, role, kind, node_id)], by, asked)
            return True
        give(session, person_id, role, kind, node_id, by=by)
    return False


def give(
    session: Session, person_id: str, role: str, kind: str, node_id: str, *, by: str, confirmed_by: str = ""
) -> None:
    """Write a role that `by` may give, and a second administrator confirmed where one is needed. Raises as `grant`."""
    _managed(session, person_id, by, whole=False)
    if _grant(session, person_id, role, kind, node_id, by):
        body = {"role": role, "kind": kind, "node": node_id}
        body |= {"confirmed_by": confirmed_by} if confirmed_by else {}
        events.record(session, "person.grant", person_id, by=by, body=body)


def waits(session: Session, role: str, kind: str, node_id: str, by: str) -> bool:
    """Return whether a role needs a second administrator when `by` gives it at the node."""
    return role in BUREAU and not (by == SYSTEM and _administrators(session, kind, node_id) < 2)


def line_of(person_id: str, role: str, kind: str, node_id: str) -> RequestLine:
    """Return a role for an account as a line of a change request."""
    return RequestLine(person_id, {"role": role, "kind": kind, "node": node_id})


def places_of(lines: Iterable[RequestLine]) -> list[tuple[str, str]]:
    """Return the nodes at which lines ask for roles."""
    return [(str(line.asked["kind"]), str(line.asked["node"])) for line in lines]


def _ask(session: Session, person_id: str, lines: list[RequestLine], by: str, asked: list[RequestLine] | None) -> None:
    if asked is not None:
        asked += lines
    elif lines:
        change_requests.ask(session, GRANT, person_id, lines, places_of(lines), by=by)


def _administrators(session: Session, kind: str, node_id: str) -> int:
    """Count the open accounts that decide over people at the node."""
    live = (
        select(Grant.person_id)
        .join(Person, Person.id == Grant.person_id)
        .where(
            Grant.role.in_(guard.roles_with(Permission.PEOPLE)), Grant.ended_at.is_(None), Person.disabled_at.is_(None)
        )
    )
    holders = session.execute(live.distinct()).scalars().all()
    scopes = [guard.scope_of(session, each, Permission.PEOPLE) for each in holders]
    return sum(scope.covers_node(session, kind, node_id) for scope in scopes)


def end_grant(person_id: str, grant_id: int, *, by: str) -> None:
    """Take a role back, from the person's next request on. Safe to repeat. Raises NoPerson, NotCovered, OwnAccount."""
    with transaction() as session:
        _managed(session, person_id, by, whole=False)
        grant = session.get(Grant, grant_id, with_for_update=True)
        reach = Reach.of(session, by)
        if grant is None or grant.person_id != person_id:
            raise NotCovered
        if not reach.grants(session, grant.role, grant.node_kind, grant.node_id):
            raise NotCovered
        if grant.ended_at is None:
            grant.ended_at, grant.ended_by = clock.now(), by
            body = {"role": grant.role, "kind": grant.node_kind, "node": grant.node_id}
            events.record(session, "person.end_grant", person_id, by=by, body=body)


def disable(person_id: str, *, by: str) -> None:
    """Shut an account, from its next request on. Raises NoPerson, OwnAccount."""
    with transaction() as session:
        person = _managed(session, person_id, by)
        if person.disabled_at is None:
            person.disabled_at = person.changed_at = clock.now()
            sessions.end_all(session, person_id)
            events.record(session, "person.disable", person_id, by=by)


def enable(person_id: str, *, by: str) -> bool:
    """Open a shut account again, or ask a second administrator where it has a role of the bureau; return whether it waits.

    Raises NoPerson, OwnAccount, Invalid (it has neither password nor PIN).
    """
    with transaction() as session:
        person = _managed(session, person_id, by)
        if person.password_hash is None and person.pin_hash is None:
            raise Invalid("请先设置密码或口令，再启用账号。")
        if person.disabled_at is None:
            return False
        live = [(grant.role, grant.node_kind, grant.node_id) for grant in guard.live_grants(session, person_id)]
        if any(waits(session, *each, by) for each in live):
            places = [(kind, node_id) for _, kind, node_id in live]
            change_requests.ask(session, ENABLE, person_id, [RequestLine(person_id, {})], places, by=by)
            return True
        reopen(session, person_id, by=by)
    return False


def reopen(session: Session, person_id: str, *, by: str, confirmed_by: str = "") -> None:
    """Open a shut account that `by` may open, and a second administrator confirmed where one is needed."""
    person = _managed(session, person_id, by)
    person.disabled_at, person.changed_at = None, clock.now()
    body = {"confirmed_by": confirmed_by} if confirmed_by else {}
    events.record(session, "person.enable", person_id, by=by, body=body)


def reset_password(person_id: str, password: str, *, by: str, must_change: bool = True) -> None:
    """Set someone else's password; it is changed at the next login. Ends all logins. Raises WeakPassword, NoPerson."""
    with transaction() as session:
        person = _managed(session, person_id, by)
        person.password_hash = pins.hash_password(password, person.login)
        person.must_change = must_change
        _changed(session, person)
        events.record(session, "person.password", person_id, by=by)


def reset_pin(person_id: str, pin: str, *, by: str) -> None:
    """Set someone else's PIN, which also ends a lock. Ends all logins. Raises WeakPin, NoPerson."""
    with transaction() as session:
        person = _managed(session, person_id, by)
        person.pin_hash = pins.hash_pin(pin)
        _changed(session, person)
        events.record(session, "person.pin", person_id, by=by)


def unlock(person_id: str, *, by: str) -> None:
    """End the lock that wrong guesses put on an account. Raises NoPerson."""
    with transaction() as session:
        person = _managed(session, person_id, by)
        _unlock(session, person)
        events.record(session, "person.unlock", person_id, by=by)


def set_own_password(session: Session, person_id: str, password: str) -> None:
    """Set the person's own password; the caller has checked the old one. Ends all logins. Raises WeakPassword."""
    person = session.get_one(Person, person_id, with_for_update=True)
    if pins.password_fits(person.password_hash, password):
        raise Invalid("新密码不能与原密码相同。")
    person.password_hash, person.must_change = pins.hash_password(password, person.login), False
    _changed(session, person)
    events.record(session, "person.password", person_id, by=person_id)


def set_own_pin(session: Session, person_id: str, pin: str) -> None:
    """Set the person's own PIN, once the old one or the password is checked. Ends till logins. Raises WeakPin."""
    person = session.get_one(Person, person_id, with_for_update=True)
    person.pin_hash = pins.hash_pin(pin)
    sessions.end_at_tills(session, person_id)
    events.record(session, "person.pin", person_id, by=person_id)


def find(session: Session, login: str) -> Person:
    """Return the account of a login. Raises NoPerson."""
    found = session.execute(select(Person).where(Person.login == login.strip().lower())).scalar_one_or_none()
    if found is None:
        raise NoPerson
    return found


def working_at(session: Session, canteen_id: str, permission: Permission) -> list[Person]:
    """Return, by name, those who have a permission at a canteen, can enter by PIN, and are not shut out."""
    there = places.canteen(session, canteen_id)
    today = clock.today()
    run = select(Contract.operator_id).where(Contract.canteen_id == canteen_id, places.valid_on(Contract, today))
    covering = or_(
        (Grant.node_kind == "canteen") & (Grant.node_id == canteen_id),
        (Grant.node_kind == "area") & Grant.node_id.in_(places.path(session, there.area_id, today)),
        (Grant.node_kind == "operator") & Grant.node_id.in_(run),
    )
    granted = select(Grant.person_id).where(Grant.ended_at.is_(None), Grant.role.in_(guard.roles_with(permission)))
    able = Person.disabled_at.is_(None) & Person.pin_hash.is_not(None)
    query = select(Person).where(able, Person.id.in_(granted.where(covering)))
    return sorted(session.execute(query).scalars(), key=lambda one: one.name)


def node_name(session: Session, kind: str, node_id: str) -> str:
    """Return the name of a node; its id when it is gone."""
    return node_names(session, [(kind, node_id)])[kind, node_id]


def node_names(session: Session, nodes: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the name of each of these nodes (kind, id); its id when it is gone."""
    found = {node: node[1] for node in nodes}
    for kind, model in _KINDS.items():
        if ids := {node_id for of_kind, node_id in nodes if of_kind == kind}:
            rows = session.execute(select(model.id, model.name).where(model.id.in_(ids)))
            found |= {(kind, node_id): name for node_id, name in rows if name}
    return found


def _grant(session: Session, person_id: str, role: str, kind: str, node_id: str, by: str) -> bool:
    if not _may_get(session, person_id, role, kind, node_id, by):
        return False
    session.add(
        Grant(
            person_id=person_id,
            role=role,
            node_kind=kind,
            node_id=node_id,
            granted_by=by,
            granted_at=clock.now(),
            ended_at=None,
            ended_by=None,
        )
    )
    session.flush()
    return True


def _may_get(session: Session, person_id: str, role: str, kind: str, node_id: str, by: str) -> bool:
    """Return whether the role is new to the account. Raises Invalid, NotCovered or AuditorApart when not allowed."""
    if role not in ROLES or kind not in NODES:
        raise Invalid("请选择角色和范围。")
    if session.get(_KINDS[kind], node_id) is None:
        raise NotCovered("没有找到这个区域、运营方或食堂，请核对。")
    if not Reach.of(session, by).grants(session, role, kind, node_id):
        raise NotCovered
    live = guard.live_grants(session, person_id)
    if any((grant.role, grant.node_kind, grant.node_id) == (role, kind, node_id) for grant in live):
        return False
    if any((grant.role == "auditor") != (role == "auditor") for grant in live):
        raise AuditorApart
    return True


def _managed(session: Session, person_id: str, by: str, *, whole: bool = True) -> Person:
    """Return the account, locked, if `by` decides over it. Raises OwnAccount, NoPerson, Forbidden."""
    if person_id == by:
        raise OwnAccount
    person = session.get(Person, person_id, with_for_update=True)
    if person is None:
        raise NoPerson
    reach = Reach.of(session, by)
    if not reach.all:
        seen(session, person_id, (reach.people, reach.staff), every=bool(reach.people))
    if whole and not reach.manages(session, person_id):
        raise Forbidden("此账号还有您范围以外的角色，请上级管理员办理。")
    return person


def _changed(session: Session, person: Person) -> None:
    person.changed_at = clock.now()
    sessions.end_all(session, person.id)
    _unlock(session, person)


def _unlock(session: Session, person: Person) -> None:
    pins.unlock(session, person.login)
    pins.unlock(session, person.id)
