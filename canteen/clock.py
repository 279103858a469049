"""The one now(), business days in Asia/Shanghai, and whole runs of days.

An instant is an aware datetime in UTC. A day is a date in Asia/Shanghai. Ranges of days include both ends.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

SHANGHAI = ZoneInfo("Asia/Shanghai")
EPOCH = date(1970, 1, 1)
YEARS = range(1970, 3000)  # that a device may send: one with a flat battery restarts in 1970

_moved = threading.local()
_frozen_allowed = True


def forbid_moving() -> None:
    """Refuse `at` in this process from now on: production has only the true time."""
    global _frozen_allowed  # noqa: PLW0603 - one switch a process, thrown once at start
    _frozen_allowed = False


def now() -> datetime:
    """Return the present instant, in UTC. This is the only place that reads the wall clock."""
    fixed: datetime | None = getattr(_moved, "instant", None)
    return fixed if fixed is not None else datetime.now(UTC)


@contextmanager
def at(instant: datetime) -> Iterator[None]:
    """Let now() answer `instant` inside the block, for this thread. Raises RuntimeError in production."""
    if not _frozen_allowed:
        raise RuntimeError("clock.at is refused in production")
    before = getattr(_moved, "instant", None)
    _moved.instant = instant.astimezone(UTC)
    try:
        yield
    finally:
        _moved.instant = before


def moved() -> bool:
    """Tell whether now() is moved in this thread, so that no other clock can agree with it."""
    return getattr(_moved, "instant", None) is not None


def local(instant: datetime) -> datetime:
    """Return the same instant in Asia/Shanghai."""
    return instant.astimezone(SHANGHAI)


def possible(instant: datetime) -> bool:
    """Tell whether an instant lies in years for which days and skews can be computed."""
    try:
        return local(instant).year in YEARS
    except OverflowError:
        return False


def read(text: object) -> datetime | None:
    """Read an instant that a device wrote (ISO 8601 with its UTC offset); None for no possible time.

    All code that reads a device's clock, received or stored, uses this function.
    """
    return _read(text) if isinstance(text, str) else None


@lru_cache(1000)
def _read(text: str) -> datetime | None:
    """Read it once for all that ask about one record."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.utcoffset() is not None and possible(found) else None


def business_day(instant: datetime, *, turns_at: int = 0) -> date:
    """Return the service day of an instant; the day turns `turns_at` minutes after midnight in Asia/Shanghai."""
    return (local(instant) - timedelta(minutes=turns_at)).date()


def minute_of_day(instant: datetime) -> int:
    """Return minutes since midnight in Asia/Shanghai, 0 to 1439."""
    there = local(instant)
    return there.hour * 60 + there.minute


def instant(day: date, minute: int = 0) -> datetime:
    """Return the UTC instant of `minute` minutes after midnight of `day` in Asia/Shanghai."""
    return (datetime(day.year, day.month, day.day, tzinfo=SHANGHAI) + timedelta(minutes=minute)).astimezone(UTC)


def today() -> date:
    """Return the business day of now()."""
    return business_day(now())


def civil(day: date) -> int:
    """Return days since 1970-01-01: the number the engines compute with."""
    return (day - EPOCH).days


def day_of(civil_day: int) -> date:
    """Return the date of a civil-day number."""
    return EPOCH + timedelta(days=civil_day)


def month_of(day: date) -> str:
    """Return '2026-11', the service month used in keys."""
    return f"{day.year:04d}-{day.month:02d}"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A run of days, both ends included."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def __str__(self) -> str:
        return f"{self.first.isoformat()}..{self.last.isoformat()}"

    @classmethod
    def month(cls, day: date, *, begins: int = 1) -> Span:
        """Return the month that contains `day`: a calendar month, or one that begins on another of its first 28 days."""
        first = day.replace(day=begins)
        if day < first:
            first = (day.replace(day=1) - timedelta(days=1)).replace(day=begins)
        following = (first.replace(day=1) + timedelta(days=32)).replace(day=begins)
        return cls(first, following - timedelta(days=1))
