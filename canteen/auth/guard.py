"""Permissions and the places where they are valid. Deny by default: a route without a door stops the start, a door without a right refuses.

A person has roles at nodes (area, operator, canteen); a role is a set of permissions; a node covers all below
it. `scope(permission)` is the one function that limits every query to the caller's places (P20).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog
from flask import Flask, current_app, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, events, places
from canteen.auth import sessions, tablets
from canteen.auth.models import Grant
from canteen.auth.sessions import Caller
from canteen.db import db, reading
from canteen.errors import Forbidden, Missing
from canteen.places import Area, Canteen, Contract
from canteen.web import nav, security
from canteen.web.doors import (
    Door,
    allowed,
    door_of,
    even_revoked,
    newest_read_by,
    own_account,
    public,
    reads_only,
    tablet_signed,
    takes,
    undoored,
)
from canteen.web.errors import LoginNeeded, NotFound, for_programs

__all__ = [
    "READING", "ROLES", "Permission", "Scope", "allowed", "enforce", "even_revoked", "may", "newest_read_by", "own_account", "permissions_of", "public",
    "reads_only", "register", "require", "roles_with", "scope", "scope_of", "tablet_signed", "takes",
]  # fmt: skip

_log = structlog.get_logger()


class Permission(StrEnum):
    """SEE_… and EXPORT read; all others, and SEE_ID_NUMBERS, act."""

    SELL = "sell"
    VOID_OWN = "void_own"
    VOID_ANY = "void_any"
    CARD_COUNTER = "card_counter"  # bind a blank card, report loss and found, at the counter or by phone
    STAFF = "staff"  # cashiers of one's own canteens: add, set PIN, unlock, end
    ENROL_TABLET = "enrol_tablet"
    DECLARE_LOST = "declare_lost"
    CONFIRM_LOST = "confirm_lost"
    SUBMIT_CLAIM = "submit_claim"
    REVIEW_CLAIM = "review_claim"
    RETURN = "return"
    DETERMINE = "determine"
    APPROVE_CLAIM = "approve_claim"
    PAY_ENTER = "pay_enter"
    PAY_CHECK = "pay_check"
    CLOSE_PERIOD = "close_period"
    PEOPLE = "people"
    PLACES = "places"
    MENUS = "menus"
    SETTINGS = "settings"  # of the whole installation
    RULEBOOKS = "rulebooks"  # draft
    PUBLISH = "publish"  # of what another drafted
    CARDS = "cards"
    ROSTER = "roster"
    CONFIRM_ELDERS = "confirm_elders"  # what another asked for of an elder, and meals revalued for it
    TAKE_APPLICATION = "take_application"
    COMMUNITY_OPINION = "community_opinion"
    STREET_OPINION = "street_opinion"  # at the whole street, by another than took it or spoke for the community
    COMPLAINTS = "complaints"  # register, assign, send back, close
    ANSWER_COMPLAINTS = "answer_complaints"
    SEE_CLAIMS = "see_claims"
    SEE_SALES = "see_sales"
    EXPORT = "export"  # read, and taken away
    SEE_ELDERS = "see_elders"
    SEE_ID_NUMBERS = "see_id_numbers"  # unmasked, each time with a recorded reason
    SEE_APPLICATIONS = "see_applications"
    SEE_CARDS = "see_cards"
    SEE_PLACES = "see_places"
    SEE_RULEBOOKS = "see_rulebooks"
    SEE_PEOPLE = "see_people"
    SEE_TABLETS = "see_tablets"
    SEE_COMPLAINTS = "see_complaints"
    SEE_AUDIT = "see_audit"
    SEE_SYSTEM = "see_system"  # metrics, doctor


P = Permission
READING = frozenset({p for p in P if p.startswith("see_")} | {P.EXPORT}) - {P.SEE_ID_NUMBERS}
READS: Final = frozenset({"GET", "HEAD"})
_COMPLAINTS = frozenset({P.COMPLAINTS, P.ANSWER_COMPLAINTS, P.SEE_COMPLAINTS})
_COUNTER = frozenset({P.SELL, P.VOID_OWN, P.CARD_COUNTER})
_APPLICATIONS = frozenset({P.SEE_APPLICATIONS, P.TAKE_APPLICATION, P.COMMUNITY_OPINION, P.STREET_OPINION})
_BUREAU = frozenset(
    {P.SEE_CLAIMS, P.SEE_SALES, P.SEE_ELDERS, P.SEE_CARDS, P.SEE_PLACES, P.SEE_RULEBOOKS, P.SEE_TABLETS, P.EXPORT}
)

ROLES: dict[str, frozenset[Permission]] = {
    "cashier": _COUNTER,
    "manager": _COUNTER
    | {P.VOID_ANY, P.STAFF, P.ENROL_TABLET, P.SEE_TABLETS, P.DECLARE_LOST, P.SUBMIT_CLAIM, P.MENUS}
    | {P.TAKE_APPLICATION, P.SEE_APPLICATIONS, P.SEE_COMPLAINTS, P.ANSWER_COMPLAINTS}
    | {P.SEE_CLAIMS, P.SEE_SALES, P.SEE_PLACES, P.EXPORT},
    "reviewer": _BUREAU
    | _APPLICATIONS
    | _COMPLAINTS
    | {P.REVIEW_CLAIM, P.RETURN, P.CARD_COUNTER, P.ROSTER, P.DECLARE_LOST, P.CONFIRM_LOST},
    "finance": _BUREAU - {P.SEE_ELDERS, P.SEE_CARDS, P.SEE_TABLETS}
    | {P.RETURN, P.DETERMINE, P.APPROVE_CLAIM, P.PAY_ENTER, P.PAY_CHECK, P.CLOSE_PERIOD},
    "admin": _BUREAU
    | _APPLICATIONS
    | _COMPLAINTS
    | {P.PEOPLE, P.PLACES, P.MENUS, P.SETTINGS, P.RULEBOOKS, P.PUBLISH, P.CARDS, P.CARD_COUNTER, P.ROSTER, P.SEE_PEOPLE}
    | {P.CONFIRM_ELDERS, P.ENROL_TABLET, P.DECLARE_LOST, P.CONFIRM_LOST, P.SEE_AUDIT, P.SEE_ID_NUMBERS},
    "auditor": READING - {P.SEE_SYSTEM},
    "operator_it": frozenset({P.ENROL_TABLET, P.SEE_TABLETS, P.DECLARE_LOST, P.SEE_PLACES, P.SEE_SYSTEM}),
}
ROLE_NAMES = {
    "cashier": "收银员",
    "manager": "食堂负责人",
    "reviewer": "街道审核",
    "finance": "财务",
    "admin": "管理员",
    "auditor": "审计",
    "operator_it": "系统运维",
}


class NotCovered(Missing):
    code = "not_found"
    message = "没有找到，或不在您负责的范围内。"


@dataclass(slots=True)
class Scope:
    """The places where someone has a permission; each set is read once."""

    nodes: frozenset[tuple[str, str]]  # (kind, id)
    _areas: set[str] | None = field(default=None, repr=False)
    _canteens: set[str] | None = field(default=None, repr=False)
    _contracts: set[str] | None = field(default=None, repr=False)

    def __bool__(self) -> bool:
        return bool(self.nodes)

    def areas(self, session: Session) -> set[str]:
        """Return the codes of all areas covered, from the area nodes down."""
        if self._areas is None:
            self._areas = places.below_all(session, self._ids("area"), clock.today())
        return self._areas

    def canteens(self, session: Session) -> set[str]:
        """Return the ids of the canteens covered: named, in a covered area, or run today by a covered operator."""
        if self._canteens is None:
            found = self._ids("canteen")
            if areas := self.areas(session):
                found |= set(session.execute(select(Canteen.id).where(Canteen.area_id.in_(areas))).scalars())
            if operators := self._ids("operator"):
                run = select(Contract.canteen_id).where(Contract.operator_id.in_(operators))
                found |= set(session.execute(run.where(places.valid_on(Contract, clock.today()))).scalars())
            self._canteens = found
        return self._canteens

    def within(self, session: Session) -> frozenset[str] | None:
        """Return the codes of all areas covered; None for everywhere."""
        covered = self.areas(session)
        return None if set(session.execute(select(Area.id)).scalars()) <= covered else frozenset(covered)

    def contracts(self, session: Session) -> set[str]:
        """Return the ids of the contracts covered: an operator sees its own, also ended ones, never its successor's."""
        if self._contracts is None:
            there, named, operators = self.areas(session), self._ids("canteen"), self._ids("operator")
            found = set[str]()
            if there or named:
                of_places = select(Contract.id).join(Canteen, Canteen.id == Contract.canteen_id)
                of_places = of_places.where(Canteen.area_id.in_(there) | Canteen.id.in_(named))
                found |= set(session.execute(of_places).scalars())
            if operators:
                own = select(Contract.id).where(Contract.operator_id.in_(operators))
                found |= set(session.execute(own).scalars())
            self._contracts = found
        return self._contracts

    def covers(self, canteen_id: str) -> bool:
        named = ("canteen", canteen_id) in self.nodes  # the cashier's case, at every quote: no look into the tree
        return named or canteen_id in self.canteens(db.session())

    def covers_area(self, area_id: str) -> bool:
        return area_id in self.areas(db.session())

    def covers_node(self, session: Session, kind: str, node_id: str) -> bool:
        """Return whether the scope covers all that a grant at the node would reach."""
        if (kind, node_id) in self.nodes:
            return True
        if kind == "area":
            return node_id in self.areas(session)
        if kind == "canteen":
            return node_id in self.canteens(session)
        run = select(Contract.canteen_id).where(Contract.operator_id == node_id)
        return bool(self._ids("area")) and set(session.execute(run).scalars()) <= self.canteens(session)

    def need(self, canteen_id: str | None) -> None:
        """Raise NotCovered, as if it did not exist, when the canteen lies outside."""
        if canteen_id is None or not self.covers(canteen_id):
            raise NotCovered

    def _ids(self, kind: str) -> set[str]:
        return {node_id for node_kind, node_id in self.nodes if node_kind == kind}


# --- rights of a person ---


def live_grants(session: Session, person_id: str) -> list[Grant]:
    """Return the grants in force now, read from the table at this very request."""
    return live_grants_of(session, [person_id])[person_id]


def live_grants_of(session: Session, person_ids: Sequence[str]) -> dict[str, list[Grant]]:
    """Return the same of many people, by person; an empty list for who has none."""
    found: dict[str, list[Grant]] = {person_id: [] for person_id in person_ids}
    query = select(Grant).where(Grant.person_id.in_(person_ids), Grant.ended_at.is_(None)).order_by(Grant.id)
    for grant in session.execute(query).scalars():
        found[grant.person_id].append(grant)
    return found


def permissions_of(roles: Iterable[str]) -> frozenset[Permission]:
    """Return the permissions of a set of roles together. Auditors only read, whatever else was granted (P27)."""
    roles = set(roles)
    together = frozenset[Permission]().union(*(ROLES[role] for role in roles))
    return together & READING if "auditor" in roles else together


def roles_with(permission: str) -> list[str]:
    """Return the roles that include a permission."""
    return [role for role, granted in ROLES.items() if permission in granted]


def scope_of(session: Session, person_id: str, permission: str) -> Scope:
    """Return the places where a person has a permission."""
    return _scope(live_grants(session, person_id), permission)


def scope(permission: str) -> Scope:
    """Return the places where the caller of this request has a permission; empty when nowhere.

    A request that only reads looks up what a set of nodes covers once, whatever permissions it asks for.
    """
    where = _scope(_grants(), permission)
    if request.method not in READS:
        return where
    scopes: dict[frozenset[tuple[str, str]], Scope] = g.setdefault("scopes", {})
    return scopes.setdefault(where.nodes, where)


def may(permission: str, canteen_id: str | None = None) -> bool:
    """Return whether the caller has a permission: anywhere, or at the canteen named."""
    where = scope(permission)
    return bool(where) if canteen_id is None else where.covers(canteen_id)


def require(permission: str, canteen_id: str | None = None) -> None:
    """Raise Forbidden when the caller has the permission nowhere, NotCovered when not at that canteen."""
    where = scope(permission)
    if not where:
        raise Forbidden
    if canteen_id is not None:
        where.need(canteen_id)


def _scope(grants: list[tuple[str, str, str]] | list[Grant], permission: str) -> Scope:
    rows = [(each.role, each.node_kind, each.node_id) if isinstance(each, Grant) else each for each in grants]
    if permission not in permissions_of(role for role, _, _ in rows):
        return Scope(frozenset())
    return Scope(frozenset((kind, node) for role, kind, node in rows if permission in ROLES[role]))


def _grants() -> list[tuple[str, str, str]]:
    caller: Caller | None = g.get("person")
    if caller is None:
        return []
    return list(caller.grants)


# --- at every request ---


def register(app: Flask) -> None:
    """Let nothing through that names no door."""
    app.before_request(enforce)
    app.context_processor(
        lambda: {"may": may, "person": g.get("person"), "nav_entries": nav_entries, "front_notices": front_notices}
    )


def refuse_undoored(app: Flask) -> None:
    """Raise RuntimeError naming the routes without a door. Call it once all routes are added."""
    if missing := list(undoored(app)):
        raise RuntimeError("routes without a door: " + "; ".join(missing))


def enforce() -> ResponseReturnValue | None:
    """Find the caller and check their right, before any view, schema or body is looked at."""
    g.person, g.tablet, g.csrf, g.scopes = None, None, None, {}
    endpoint, method = request.endpoint, request.method
    if request.url_rule is None or endpoint is None or method == "OPTIONS":
        return None  # the error pages answer 404 and 405; OPTIONS lists only the methods
    door = door_of(current_app, endpoint, method if method != "HEAD" else "GET")
    if door is None:
        raise NotFound
    if endpoint == "static":
        return None
    if door.most:
        request.max_content_length = door.most
    _identify(door)
    if (detour := _pass(door)) is not None:
        return detour
    security.check_source(door)
    security.check_text()
    return None


def nav_entries() -> list[nav.MenuEntry]:
    """Return the pages this caller may open, for the menu."""
    if g.get("person") is None:
        return []
    return [entry for entry in nav.entries() if _opens(door_of(current_app, entry.endpoint, "GET"))]


def front_notices() -> list[nav.Notice]:
    """Return the caller's notices for the desk's front page; none on other pages."""
    entries = nav_entries()
    return nav.notices() if entries and request.endpoint == entries[0].endpoint else []


def _identify(door: Door) -> None:
    if door.tablet:
        session = reading()
        login: sessions.Login = ()
        if door.newest is not None:
            g.head = door.newest(session)
        elif door.revoked:  # what a revoked tablet may bring names its cashiers by itself
            g.head = events.head(session)
        else:
            g.head, login = sessions.find_with_head(session, security.cookie("till"))
        tablet = g.tablet = tablets.verify(session, g.head, request, revoked=door.revoked)
        g.person = sessions.caller(login, tablet_id=tablet.id)
        tablets.touch(session, tablet.id, request.headers.get("X-Tablet-At", ""))
        return
    session = db.session()
    if (token := security.cookie("desk")) is not None:
        g.person = sessions.find(session, token)
    if g.person is not None:
        g.csrf = g.person.csrf
        sessions.touch(g.person)


def _pass(door: Door) -> ResponseReturnValue | None:
    if door.public or (door.loopback and security.from_loopback()):
        return None
    if door.tablet and not door.permissions:
        return None
    if g.person is None:
        raise LoginNeeded("请收银员先输入口令登录。" if door.tablet else None)
    if g.person.must_change and not door.account and not door.tablet:
        if for_programs():
            raise Forbidden("请先登录页面修改初始密码。")
        return redirect(url_for("auth.account"))
    canteen_id = g.tablet.canteen_id if door.tablet else None
    if not (door.account or any(may(permission, canteen_id) for permission in door.permissions)):
        _log.warning("door.refused", person=g.person.id, endpoint=request.endpoint, method=request.method)
        raise Forbidden
    return None


def _opens(door: Door | None) -> bool:
    return door is not None and (bool(door.account) or any(may(permission) for permission in door.permissions))
