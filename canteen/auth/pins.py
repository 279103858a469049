"""Passwords, PINs, and the counting of wrong guesses in one place for all workers and hosts (P22)."""

from __future__ import annotations

import functools
import hashlib
import hmac
import itertools
import secrets
import threading
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import bindparam, delete, select, text
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth.models import Attempts
from canteen.db import Instant, retried, transaction
from canteen.errors import Invalid
from canteen.web.errors import Locked
from canteen.web.security import keyed, settings

PAIR, ACCOUNT, DEVICE = 5, 25, 40  # wrong guesses before a lock: account on one device, account, device
FIRST_LOCK = timedelta(minutes=15)  # doubled by each lock that follows
LONGEST_LOCK = timedelta(hours=12)
FORGET = timedelta(hours=24)  # without a guess, the count of an account on one device starts anew
SHED = timedelta(hours=1)  # the counts that many share lose one guess in this time: slips of honest people never add up
PIN_DIGITS = 6
PASSWORD_LENGTH = (10, 128)
COMMON = frozenset(
    {
        "1234567890", "0123456789", "0987654321", "1111111111", "0000000000", "8888888888", "6666666666",
        "password12", "password123", "passw0rd123", "qwertyuiop", "1qaz2wsx3edc", "qwer123456", "abc1234567",
        "a123456789", "admin12345", "admin123456", "administrator", "iloveyou123", "woaini1314", "woaini520520",
    }
)  # fmt: skip

_strong = PasswordHasher()  # argon2id; parameters of RFC 9106 for servers with little memory to spare
_quick = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1)  # for tests, which make hundreds
_at_once = threading.BoundedSemaphore(4)  # 64 MiB each: a flood of guesses waits instead of eating the memory


class WeakPassword(Invalid):
    code = "weak_password"
    message = "密码至少 10 位，不能是常见密码，也不能包含登录名。"


class WeakPin(Invalid):
    code = "weak_pin"
    message = "口令为 6 位数字，不能是同一数字或连续数字。"


def _hasher() -> PasswordHasher:
    return _quick if settings().testing else _strong


def hash_password(password: str, login: str) -> str:
    """Hash a password. Raises WeakPassword."""
    low, high = PASSWORD_LENGTH
    folded = password.casefold()
    if not low <= len(password) <= high or folded in COMMON or login.casefold() in folded or len(set(password)) < 4:
        raise WeakPassword
    return _hasher().hash(password)


def hash_pin(pin: str) -> str:
    """Hash a PIN. It is short, so a key kept outside the database is mixed in first. Raises WeakPin."""
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(pin)} if _digits(pin) else {0}
    if len(pin) != PIN_DIGITS or not _digits(pin) or (len(steps) == 1 and steps <= {0, 1, 9}):
        raise WeakPin
    return _hasher().hash(_peppered(pin))


def password_fits(stored: str | None, password: str) -> bool:
    """Return whether it is the password. An account without one takes as long to say no."""
    return _fits(stored, password[: PASSWORD_LENGTH[1] + 1])


def pin_fits(stored: str | None, pin: str) -> bool:
    """Return whether it is the PIN. An account without one takes as long to say no."""
    return _fits(stored, _peppered(pin[:64]))


@retried
def reserve(account: str, device: str) -> None:
    """Count a guess of `account` on `device` as wrong before it is looked at, so that a burst cannot outrun the count.

    Raises Locked, for the right guess too. The guess that proves right is taken back by `forgive`.
    """
    with transaction() as session:
        counters = [(_row(session, key), limit) for key, limit in _keys(account, device)]
        now = clock.now()
        ends = [row.locked_until for row, _ in counters if row.locked_until is not None and row.locked_until > now]
        if ends:
            minutes = -(-int((max(ends) - now).total_seconds()) // 60) or 1
            raise Locked(f"输错次数过多，已暂时锁定，请 {minutes} 分钟后再试。", details={"minutes": minutes})
        for n, (row, limit) in enumerate(counters):
            _forget(row, now, shared=n > 0)
            row.failures += 1
            if row.failures % limit == 0:
                row.locked_until = now + min(FIRST_LOCK * 2 ** (row.failures // limit - 1), LONGEST_LOCK)


def _forget(row: Attempts, now: datetime, *, shared: bool) -> None:
    """Let go of what is long past. `since` is the last guess of a pair; of a shared count, up to when it was shed."""
    if not shared:
        row.failures, row.since = (0 if now - row.since > FORGET else row.failures), now
        return
    shed = max(0, (now - row.since) // SHED)
    row.since = row.since + shed * SHED if shed < row.failures else now
    row.failures = max(0, row.failures - shed)


@retried
def forgive(account: str, device: str) -> None:
    """End the account's count on this device after a right guess, and take back what it added elsewhere."""
    with transaction() as session:
        for n, (key, limit) in enumerate(_keys(account, device)):
            row = _row(session, key)
            if row.failures and row.failures % limit == 0:
                row.locked_until = None
            row.failures = 0 if n == 0 else max(0, row.failures - 1)
        _prune(session)


def unlock(session: Session, account: str) -> None:
    """End the account's own lock on all devices, after someone with the right has vouched for it."""
    name = keyed("account", account)
    for row in session.execute(select(Attempts).where(Attempts.key.like(f"{name}%"))).scalars():
        row.failures, row.locked_until = 0, None


def _keys(account: str, device: str) -> list[tuple[str, int]]:
    """Return the counters of a guess, always in this order; names in them are keyed hashes."""
    name, where = keyed("account", account), keyed("device", device)
    return [(f"{name}:{where}", PAIR), (f"{name}:", ACCOUNT)] + ([(f":{where}", DEVICE)] if device else [])


_INSERT = text(
    "INSERT INTO attempts (key, failures, since, locked_until) VALUES (:key, 0, :since, NULL) ON CONFLICT DO NOTHING"
).bindparams(bindparam("since", type_=Instant()))


def _row(session: Session, key: str) -> Attempts:
    """Return the counter's row, locked to the end of the transaction."""
    session.execute(_INSERT, {"key": key, "since": clock.now()})
    return session.execute(select(Attempts).where(Attempts.key == key).with_for_update()).scalar_one()


def _prune(session: Session) -> None:
    """Delete counters of long ago, most of them of logins that never existed."""
    old = clock.now() - 2 * FORGET
    session.execute(delete(Attempts).where(Attempts.since < old))


def _fits(stored: str | None, given: str) -> bool:
    try:
        with _at_once:
            right = _hasher().verify(stored or _nobodys(), given)
    except (VerificationError, InvalidHashError):
        return False
    return right and stored is not None


@functools.cache
def _nobodys() -> str:
    """Return a hash that no guess fits, with the cost of a real one."""
    return _hasher().hash(secrets.token_hex(32))


def warm_up() -> None:
    """Make nobody's hash beforehand, so that the first unknown account is no slower than the next."""
    _nobodys()


def _peppered(pin: str) -> str:
    return hmac.new(settings().secret("pepper"), pin.encode(), hashlib.sha256).hexdigest()


def _digits(text_of: str) -> bool:
    return text_of.isascii() and text_of.isdigit()
