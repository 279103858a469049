"""The checks before a process begins to work: is the schema this program's, do the keys belong to the database.

`check` is called by every web worker (wsgi.py), by the scheduler, and by each command that opens the installation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from flask import Flask, current_app
from sqlalchemy import exists, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from canteen import config, keychecks
from canteen.auth.models import Person
from canteen.config import Config
from canteen.db import DatabaseAway, db, is_away, refuse_schema, revision_of
from canteen.registry import proofs
from canteen.web import security

# By name of a secret: whether it opens what is stored; None when nothing depends on it yet.
PROOFS: Final[dict[str, Callable[[Session, bytes | None], bool | None]]] = {
    "identity": proofs.identity,
    "identity-lookup": proofs.identity_lookup,
    "card-wrap": proofs.card_wrap,
    "card-salt": proofs.card_salt,
}
# `stamp` has no proof: nothing stored depends on it, a stamp lives no longer than the outbox of a tablet. Nothing stored
# tells whether `pepper` is right without a PIN, so where there are PINs it is proved by the first that fits.
PINS: Final = Person.pin_hash.is_not(None)


@dataclass(slots=True)
class Keys:
    """The state of the secrets beside a database.

    faults    Chinese, what is missing or wrong
    ours      names to keep a check value of: proved by what is stored, or nothing depends on them yet
    unproven  names of which a check value can be kept only when they have matched something in use
    """

    faults: list[str] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)
    unproven: set[str] = field(default_factory=set)


def check(*, keys: bool = True) -> None:
    """Refuse to begin on a database that this program, these settings or these keys do not fit.

    Check values of keys are kept here, once the keys have proved themselves. Outside production a secret that nothing
    depends on is made. Must run in an application context.
    keys   False for a process that only reads what is not sealed
    Raises WrongSchema, WrongKeys, UnsafeStart, DatabaseAway.
    """
    settings = config.current()
    try:
        refuse_schema(schema(settings))
        if keys:
            _need_keys(settings)
        if settings.production:
            security.refuse_unsafe(settings, db.session(), debug=current_app.debug)
    except SQLAlchemyError as error:
        if is_away(error):
            raise DatabaseAway from error
        raise
    finally:
        db.session.rollback()


def recheck() -> None:
    """Check what may have changed under a running process: schema and keys. Raises as `check` does; writes nothing."""
    try:
        refuse_schema(revision_of(db.session.connection()))
        keychecks.require(db.session())
    finally:
        db.session.rollback()


def begin(app: Flask) -> None:
    """Check at the start of a web worker. While the database is away requests are refused, and each asks anew."""
    waiting = True

    def first() -> None:
        nonlocal waiting
        if waiting:
            check()
            waiting = False

    with app.app_context():
        try:
            first()
        except DatabaseAway:
            app.before_request(first)
        finally:
            db.session.remove()
            db.engine.dispose()  # a connection opened before the server forks must not be shared


def schema(settings: Config) -> str | None:
    """Return the revision of the database's schema, None when there is no database yet. Raises DatabaseAway."""
    if settings.sqlite and not _file_there(settings):
        return None  # to connect would make an empty file
    try:
        return revision_of(db.session.connection())
    except SQLAlchemyError as error:
        if is_away(error):
            raise DatabaseAway from error
        raise
    finally:
        db.session.rollback()


def _file_there(settings: Config) -> bool:
    place = make_url(settings.database_url).database or ""
    return place.startswith("file:") or Path(place).is_file()


def _need_keys(settings: Config) -> None:
    keys = compare_keys(db.session(), settings)
    db.session.rollback()
    keychecks.refuse(keys.faults)
    for name in keys.ours:
        if not settings.production:
            settings.secret(name)  # made at first use
    keychecks.record(settings, keys.ours)
    current_app.extensions[keychecks.UNPROVEN] = keys.unproven


def compare_keys(session: Session, settings: Config) -> Keys:
    """Compare the secrets in the keys folder with the database. Reads only; the schema may be older than key_check."""
    found = Keys()
    kept = keychecks.recorded(session) if inspect(session.connection()).has_table("key_check") else {}
    for name in keychecks.GUARDED:
        secret = keychecks.read(settings, name)
        if name in kept:
            found.faults += filter(None, [keychecks.fault_of(name, secret, kept[name])])
            continue
        opens = PROOFS[name](session, secret) if name in PROOFS else None
        by_use = name == "pepper" and bool(session.execute(select(exists().where(PINS))).scalar())
        if secret is None and (by_use or opens is not None):
            found.faults.append(keychecks.missing(name))
        elif opens is False:
            found.faults.append(keychecks.wrong(name))
        elif by_use:
            found.unproven.add(name)
        else:
            found.ours.append(name)
    return found
