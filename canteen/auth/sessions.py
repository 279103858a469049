"""Logins kept on the server, so that logout is real and changes take effect with the next request (P21).

The browser has a random token; the table has its SHA-256. A desk session lives in the cookie 'desk' and idles
out; a till session lives in the cookie 'till', belongs to one tablet, and is worth nothing without its signature.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Update, bindparam, delete, literal, select, true, update
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response as BaseResponse

from canteen import clock, events
from canteen.auth import contacts
from canteen.auth.models import DeskLogin, Grant, Person, WebSession
from canteen.db import transaction
from canteen.memory import Head
from canteen.prepared import Prepared
from canteen.web import security

IDLE = timedelta(minutes=15)  # desk; a tablet locks its own screen
LONGEST = timedelta(hours=12)
TOUCH = timedelta(seconds=60)  # how stale `seen_at` may be: a read request seldom writes
KEPT = timedelta(days=30)  # how long a dead session's row is kept
DEVICE_LIFE = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of this request."""

    id: str
    login: str
    name: str
    must_change: bool
    session_id: str
    csrf: str
    tablet_id: str | None
    seen_at: datetime
    grants: tuple[tuple[str, str, str], ...]  # in force now: role, kind of node, node


def start(session: Session, person_id: str, tablet_id: str | None = None) -> str:
    """Open a login of `person_id` and answer its new token: never one that the browser brought."""
    token, now = secrets.token_urlsafe(32), clock.now()
    if tablet_id is not None:
        contacts.log(session, tablet_id, person_id, opens=True)
    session.execute(delete(WebSession).where(WebSession.person_id == person_id, WebSession.made_at < now - KEPT))
    session.add(
        WebSession(
            id=_digest(token),
            person_id=person_id,
            tablet_id=tablet_id,
            csrf=secrets.token_urlsafe(32),
            made_at=now,
            seen_at=now,
            ended_at=None,
        )
    )
    return token


def find(session: Session, token: str | None, *, tablet_id: str | None = None) -> Caller | None:
    """Return the caller behind a token: of a desk when `tablet_id` is None, else of that tablet alone.

    None when the token is unknown, ended, too old, left idle, of another tablet, or its person disabled or changed.
    """
    return caller(_rows(session, token)[1], tablet_id=tablet_id)


Login = Sequence[tuple[Any, ...]]
"""Rows of a login, one for each grant of its person, as `find_with_head` reads and `caller` judges them."""


def find_with_head(session: Session, token: str | None) -> tuple[Head, Login]:
    """Read the newest event, and the login of a token, in one statement: each request of a till needs both."""
    return _rows(session, token)


def _rows(session: Session, token: str | None) -> tuple[Head, Login]:
    if not token or len(token) > 128:
        return events.head(session), ()
    rows = _FOUND.rows(session, {"id": _digest(token)})
    number, digest = rows[0][:2]
    return (number or 0, digest or events.FIRST), [row[2:] for row in rows if row[2] is not None]


def caller(login: Login, *, tablet_id: str | None = None) -> Caller | None:
    """Return the caller of a login, judged as `find` says."""
    if not login:
        return None
    session_id, of_tablet, made_at, seen_at, disabled_at, changed_at, *who = login[0][:-3]
    person_id, name_of, name, must_change, csrf = who
    if of_tablet != tablet_id or disabled_at is not None or made_at < changed_at:
        return None
    now = clock.now()
    if now - made_at > LONGEST or (of_tablet is None and now - seen_at > IDLE):
        return None
    grants = tuple(row[-3:] for row in login if row[-1] is not None)
    return Caller(person_id, name_of, name, must_change, session_id, csrf, of_tablet, seen_at, grants)


_ONE = select(literal(1).label("n")).subquery()
_NEWEST = events.NEWEST.subquery()
_LIVE = (
    select(
        WebSession.id, WebSession.tablet_id, WebSession.made_at, WebSession.seen_at, Person.disabled_at,
        Person.changed_at, Person.id.label("person"), Person.login, Person.name, Person.must_change, WebSession.csrf,
        Grant.id.label("grant_id"), Grant.role, Grant.node_kind, Grant.node_id,
    )
    .join(Person, Person.id == WebSession.person_id)
    .outerjoin(Grant, (Grant.person_id == Person.id) & Grant.ended_at.is_(None))
    .where(WebSession.id == bindparam("id"), WebSession.ended_at.is_(None))
    .subquery()
)  # fmt: skip
_FOUND = Prepared(
    select(_NEWEST.c.number, _NEWEST.c.hash, *(column for column in _LIVE.c if column.name != "grant_id"))
    .select_from(_ONE.outerjoin(_NEWEST, true()).outerjoin(_LIVE, true()))
    .order_by(_LIVE.c.grant_id)
)


def touch(caller: Caller) -> None:
    """Note that the session was used, at most once a minute."""
    now = clock.now()
    if now - caller.seen_at > TOUCH:
        with transaction() as session:
            session.execute(update(WebSession).where(WebSession.id == caller.session_id).values(seen_at=now))


def end(session: Session, session_id: str) -> None:
    """Log out: the token is dead on every host."""
    session.execute(_ending().where(WebSession.id == session_id))


def end_all(session: Session, person_id: str) -> None:
    """Log a person out everywhere."""
    session.execute(_ending().where(WebSession.person_id == person_id))


def end_at_tills(session: Session, person_id: str) -> None:
    """Log a person out of every tablet."""
    session.execute(_ending().where(WebSession.person_id == person_id, WebSession.tablet_id.is_not(None)))


def end_on_tablet(session: Session, tablet_id: str) -> None:
    """Log everyone out of a tablet."""
    session.execute(_ending().where(WebSession.tablet_id == tablet_id))


def known_device(login: str) -> str:
    """Return the id of this browser if `login` has logged in from it, else '': strangers share one count (P22)."""
    name, _, seal = (security.cookie("device") or "").partition(".")
    return name if name and hmac.compare_digest(seal, _device_seal(name, login)) else ""


def remember_device(response: BaseResponse, login: str) -> None:
    """Let this browser be counted apart from strangers the next time `login` is tried."""
    name = known_device(login) or secrets.token_hex(12)
    security.set_cookie(
        response, "device", f"{name}.{_device_seal(name, login)}", seconds=int(DEVICE_LIFE.total_seconds())
    )


def note_browser(response: BaseResponse, person_id: str) -> None:
    """Record that a person logged in from this browser, which has one random id for all its users."""
    name, _, seal = (security.cookie("browser") or "").partition(".")
    if not (name and hmac.compare_digest(seal, security.keyed("browser", name))):
        name = secrets.token_hex(12)
    value = f"{name}.{security.keyed('browser', name)}"
    security.set_cookie(response, "browser", value, seconds=int(DEVICE_LIFE.total_seconds()))
    with transaction() as session:
        key = {"browser": name, "person_id": person_id, "at": clock.now()}
        if session.get(DeskLogin, key) is None:
            session.add(DeskLogin(**key))


def _device_seal(name: str, login: str) -> str:
    return security.keyed("known device", name, login.casefold())


def _ending() -> Update:
    return update(WebSession).where(WebSession.ended_at.is_(None)).values(ended_at=clock.now())


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
