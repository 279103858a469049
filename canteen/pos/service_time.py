"""When a meal was served: by the server's stamp if there is one, else by the tablet's clock, corrected (decision 0003).

A meal is never moved for a wrong clock: the estimate is booked, and doubts become flags for the close.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from canteen import clock
from canteen.places import Window
from canteen.pos.arrivals import Arrival
from canteen.pos.flags import CLOCK, CLOCK_DAY, CLOCK_UNMEASURED, SKEW_NOTED, Flag
from canteen.pos.orders import Checkout, SaleOrder
from canteen.pos.stamps import Stamp

ONLINE_WITHIN = timedelta(minutes=15)  # from the quote to the arrival
LONGEST_SCAN = timedelta(minutes=30)  # from the quote to the payment, by the tablet's monotonic clock


@dataclass(frozen=True, slots=True)
class Times:
    """`scanned_at` decides day and meal period; `estimated_at` is the payment. `skew_ms` = tablet minus estimate."""

    scanned_at: datetime
    estimated_at: datetime
    skew_ms: int
    online: bool
    flags: tuple[Flag, ...]


def of(sale: SaleOrder, order: Checkout, arrival: Arrival, stamp: Stamp | None) -> Times:
    """Estimate the times of one sale. Flags: clock (over 5 minutes off), clock_day, clock_unmeasured."""
    sent = arrival.envelope
    flags: list[Flag] = []
    if stamp is not None:
        since = (
            timedelta(milliseconds=max(0, sent.mono_ms - sale.quoted_mono)) if sale.quoted_mono is not None else None
        )
        estimated = stamp.at + min(since or timedelta(0), LONGEST_SCAN)
        scanned = stamp.at
    elif order.offset_boot == sent.boot and (shifted := _shifted(sent.at, order.offset_ms)) is not None:
        estimated = scanned = shifted
    else:
        estimated = scanned = sent.at
        flags.append(CLOCK_UNMEASURED)
    if estimated > arrival.at:
        estimated, scanned = arrival.at, min(scanned, arrival.at)
        if stamp is None:
            flags.append(CLOCK)
    skew = sent.at - estimated
    if abs(skew) > SKEW_NOTED and CLOCK not in flags:
        flags.append(CLOCK)
    if clock.business_day(sent.at) != clock.business_day(estimated):
        flags.append(CLOCK_DAY)
    online = stamp is not None and arrival.at - stamp.at <= ONLINE_WITHIN
    return Times(scanned, estimated, round(skew.total_seconds() * 1000), online, tuple(flags))


def _shifted(at: datetime, offset_ms: int | None) -> datetime | None:
    """Correct the tablet's time by the offset it measured; None without an offset, or if the time is impossible."""
    try:
        shifted = None if offset_ms is None else at + timedelta(milliseconds=offset_ms)
    except OverflowError:
        return None
    return shifted if shifted is not None and clock.possible(shifted) else None


def meal_period(windows: Sequence[Window], minute: int) -> tuple[str, bool]:
    """Return the meal period at `minute` of the day (outside all windows, the nearest) and whether it lies in a window."""
    for window in windows:
        if window.contains(minute):
            return window.period, True
    if not windows:
        return ("breakfast" if minute < 10 * 60 else "lunch" if minute < 15 * 60 else "dinner"), False
    nearest = min(windows, key=lambda w: min(abs(w.starts - minute), abs(w.ends - minute)))
    return nearest.period, False
