"""Whether a record proves the past day that it claims. PURE: evidence in, a reason to doubt out.

What a tablet did online carries the server's stamp. What it did alone is believed when it is all of one piece: it was
not heard at the time stated, its clock was measured before and ran on without a break, the chain of its records has
no gap, at the first contact afterwards it reported that the record existed, and it was not alone for too long.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from canteen.pos import flags
from canteen.pos.flags import FlagOrNone

GRACE = timedelta(minutes=15)  # from the meal to the arrival: a sale on its way over midnight
STAMP_LIFE = timedelta(days=400)  # the accounts of the year before are settled by then
SLACK = timedelta(minutes=1)  # how often contacts are noted
STEP_MS = 300_000  # between two contacts: a clock that moved by more was set, though it may never be off by SKEW_NOTED
PASSING = timedelta(minutes=10)  # a contact so short may have ended before all was brought
BRINGING = timedelta(hours=1)  # from the first contact to the last record of what waited


@dataclass(frozen=True, slots=True)
class Mark:
    """State that a tablet sent at a contact: its newest record, its monotonic clock, how far its clock was ahead of ours."""

    epoch: int
    number: int
    mono_ms: int
    boot: str
    skew_ms: int


@dataclass(frozen=True, slots=True)
class Silence:
    """A time in which the tablet was not heard, with the states it sent before and after; None where it sent none."""

    from_at: datetime
    until_at: datetime
    before: Mark | None
    epoch: int | None
    number: int | None
    skew_ms: int | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Facts about one sale that claims an earlier day than that of its arrival.

    stated      the instant of the meal by the tablet's clock, corrected by what it measured
    same_day    whether that lies on the day the sale is booked on
    stamp_age   from the server's stamp to the arrival; None without a stamp that fits
    measured    whether the tablet's clock was measured in the record's page load
    silences    those that ended after the time stated, until the arrival, oldest first
    chained     the least number from which on all records up to this one are here; its own where the one before is not
    days        for how many days the canteen's tablets may be alone
    """

    stated: datetime
    arrived: datetime
    same_day: bool
    stamp_age: timedelta | None
    measured: bool
    epoch: int
    number: int
    mono_ms: int
    boot: str
    silences: tuple[Silence, ...]
    chained: int
    days: int


def doubt(sale: Evidence) -> FlagOrNone:
    """Return why the day is not proven, one of flags.DATED; '' if it is proven."""
    age = sale.arrived - sale.stated
    if not sale.same_day:
        return flags.DATED_OTHERWISE
    if sale.stamp_age is not None:
        return "" if sale.stamp_age <= STAMP_LIFE else flags.DATED_LONG_AGO
    if age <= GRACE:
        return ""
    if not sale.measured:
        return flags.DATED_UNMEASURED
    if age > timedelta(days=sale.days):
        return flags.DATED_TOO_LONG
    within = [n for n, one in enumerate(sale.silences) if one.from_at - SLACK <= sale.stated <= one.until_at + SLACK]
    found = [_of_silence(sale, sale.silences[n:]) for n in within]
    return min(found, key=bool) if found else flags.DATED_IN_CONTACT


def _of_silence(sale: Evidence, since: Sequence[Silence]) -> FlagOrNone:
    """Return the same for a sale made in the first of these silences."""
    alone = since[0]
    before = alone.before
    if before is None or alone.number is None or alone.skew_ms is None:
        return flags.DATED_UNREPORTED
    elapsed = timedelta(milliseconds=max(0, sale.mono_ms - before.mono_ms))
    if before.boot != sale.boot or sale.mono_ms < before.mono_ms or alone.from_at + elapsed > sale.stated + SLACK:
        return flags.DATED_RESTARTED
    if not before.epoch == sale.epoch == alone.epoch or not before.number < sale.number <= alone.number:
        return flags.DATED_NUMBERS
    if abs(alone.skew_ms - before.skew_ms) > STEP_MS:
        return flags.DATED_CLOCK_SET
    if sale.chained > max(1, before.number):
        return flags.DATED_GAP
    passing = all(later.from_at - earlier.until_at <= PASSING for earlier, later in pairwise(since))
    return "" if passing and sale.arrived - since[-1].until_at <= BRINGING else flags.DATED_LATER_CONTACT
