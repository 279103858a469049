"""Coming in: by password at a desk, by PIN at a tablet. Every wrong guess is counted before it is looked at (P22)."""

from __future__ import annotations

from dataclasses import dataclass

import structlog
from sqlalchemy import select

from canteen import clock, keychecks
from canteen.auth import guard, pins, sessions
from canteen.auth.guard import Permission
from canteen.auth.models import Person
from canteen.auth.tablets import KnownTablet
from canteen.db import db, transaction
from canteen.errors import Forbidden

_log = structlog.get_logger()


class WrongPassword(Forbidden):
    """One answer, whether the account is unknown, shut, or the password wrong."""

    code = "wrong_password"
    message = "登录名或密码不正确，请检查后再试。"


class WrongPin(Forbidden):
    code = "pin_wrong"
    message = "口令不正确，请重新输入。"


@dataclass(frozen=True, slots=True)
class Entered:
    """The person, and the token of the new login; '' where none was opened."""

    person_id: str
    name: str
    token: str = ""


def by_password(login: str, password: str, *, device: str) -> Entered:
    """Open a desk login. `device` tells a known browser from strangers. Raises WrongPassword, Locked."""
    login = login.strip().lower()[:64]
    person = db.session.execute(select(Person).where(Person.login == login)).scalar_one_or_none()
    known = (person.id, person.name, person.password_hash, person.disabled_at) if person else None
    pins.reserve(login, device)
    if not pins.password_fits(known[2] if known else None, password) or known is None or known[3] is not None:
        _log.warning("login.refused", how="password", person=known[0] if known else None)
        raise WrongPassword
    pins.forgive(login, device)
    _log.info("login", how="password", person=known[0])
    with transaction() as session:
        if session.get_one(Person, known[0], with_for_update=True).password_hash != known[2]:
            raise WrongPassword  # changed while it was looked at
        return Entered(known[0], known[1], sessions.start(session, known[0]))


def by_pin(person_id: str, pin: str, tablet: KnownTablet, permission: Permission, *, opens: bool = True) -> Entered:
    """Prove by PIN that it is someone with `permission` at the tablet's canteen; open a till login if `opens`.

    Raises WrongPin, Locked.
    """
    tablet_id, canteen_id = tablet.id, tablet.canteen_id
    person = db.session.get(Person, person_id[:64])
    stored = person.pin_hash if person is not None and person.disabled_at is None else None
    name = person.name if person is not None else ""
    pins.reserve(person_id[:64], tablet_id)
    works_here = guard.scope_of(db.session(), person_id[:64], permission).covers(canteen_id)
    if not pins.pin_fits(stored, pin) or not works_here:
        _log.warning("login.refused", how="pin", person=person_id if name else None, tablet=tablet_id)
        raise WrongPin
    pins.forgive(person_id, tablet_id)
    keychecks.prove("pepper")
    _log.info("login" if opens else "approval", how="pin", person=person_id, tablet=tablet_id)
    if not opens:
        return Entered(person_id, name)
    with transaction() as session:
        if session.get_one(Person, person_id, with_for_update=True).pin_hash != stored:
            raise WrongPin  # changed while it was looked at
        return Entered(person_id, name, sessions.start(session, person_id, tablet_id))


def confirm_password(person_id: str, password: str, *, device: str) -> None:
    """Ask a logged-in person for the password again before something that matters. Raises WrongPassword, Locked."""
    person = db.session.get_one(Person, person_id)
    login, stored = person.login, person.password_hash
    pins.reserve(login, device)
    if not pins.password_fits(stored, password):
        raise WrongPassword("原密码不正确，请重新输入。")
    pins.forgive(login, device)


def until() -> str:
    """Return when a login opened now ends at the latest, as ISO text."""
    return clock.local(clock.now() + sessions.LONGEST).isoformat(timespec="seconds")
