"""Check values of the installation's secrets, kept in the database: whether a keys folder belongs to a database.

With other keys nothing fails at once and everything goes wrong: an ID number is not found again, so the next roster
enters every elder a second time; no card and no PIN is known any more. So the database keeps an HMAC of a fixed label
under each secret, from which the secret cannot be had, and every process compares it at its start.

The secret `session` has none: replacing it is how everybody is logged out, and loses nothing but open forms,
remembered devices and counters of wrong guesses.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Final

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import Mapped, Session, mapped_column

from canteen import clock
from canteen.config import SECRETS, Config, current
from canteen.db import Base, intern, transaction
from canteen.errors import Conflict

GUARDED: Final = tuple(name for name in SECRETS if name != "session")
UNPROVEN: Final = "canteen-keys-unproven"  # extension of an application: set of names, see `prove`


class WrongKeys(Conflict):
    """The secrets at hand are not those under which the database was written."""

    code = "keys_wrong"
    message = "密钥与数据库不符，系统不能工作，请联系系统运维。"
    status: ClassVar[int] = 503


class KeyCheck(Base):
    """The proof that a secret is the one in use: hex HMAC-SHA-256 of a fixed label under it. Never changed."""

    __tablename__ = "key_check"
    __table_args__ = {"sqlite_strict": True}

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    at: Mapped[datetime]


def value_of(name: str, secret: bytes) -> str:
    """Return the check value of the secret `name`, hex."""
    return hmac.new(secret, f"canteen key check: {name}".encode(), hashlib.sha256).hexdigest()


def read(config: Config, name: str) -> bytes | None:
    """Return the secret in the keys folder now; None when it is not there. Never makes one."""
    path = config.keys_dir / f"{name}.key"
    return path.read_bytes() if path.is_file() else None


def recorded(session: Session) -> dict[str, str]:
    """Return the check values in the database, by name of the secret."""
    return {name: value for name, value in session.execute(select(KeyCheck.name, KeyCheck.value))}  # noqa: C416 - rows are no pairs to mypy


def fault_of(name: str, secret: bytes | None, kept: str) -> str | None:
    """Describe in Chinese how a secret differs from the check value kept of it; None when it does not."""
    if secret is None:
        return missing(name)
    return None if hmac.compare_digest(value_of(name, secret), kept) else wrong(name)


def missing(name: str) -> str:
    return f"缺少 {name}.key"


def wrong(name: str) -> str:
    return f"{name}.key 不是这个数据库的密钥"


def refuse(faults: Iterable[str]) -> None:
    """Raise WrongKeys naming all faults, if there are any."""
    if listed := "；".join(faults):
        raise WrongKeys(
            f"密钥与数据库不符：{listed}。请从密钥备份把原来的文件放回密钥目录（CANTEEN_KEYS）后再试；"
            "不要另造密钥，否则下一份名册会把每位老人重复登记，卡片和口令也全部失效。"
        )


def require(session: Session) -> None:
    """Compare every secret of which the database keeps a check value. Raises WrongKeys."""
    config = current()
    refuse(
        fault for name, kept in sorted(recorded(session).items()) if (fault := fault_of(name, read(config, name), kept))
    )


def record(config: Config, names: Iterable[str]) -> None:
    """Keep the check values of these secrets where they are there; a value that is kept already stays."""
    rows = [
        {"name": name, "value": value_of(name, secret), "at": clock.now()}
        for name in names
        if (secret := read(config, name)) is not None
    ]
    if rows:
        with transaction() as session:
            intern(session, KeyCheck, rows)


def prove(name: str) -> None:
    """Tell that a secret has just matched something stored, so that its check value may be kept at last.

    Of a database older than the check values, some secrets cannot be proved by what is stored alone; such names stand in
    the application's extension UNPROVEN. For all others nothing happens.
    """
    unproven: set[str] = current_app.extensions.get(UNPROVEN, set())
    if name in unproven:
        record(current(), [name])
        unproven.discard(name)
