"""Days as whole numbers: civil days since 1970-01-01, their years and months, ages, and the windows of limits.

The arithmetic is our own, so that the tablet's engine computes exactly the same. A week begins on Monday.
"""

from __future__ import annotations

from canteen.policy.refusals import Problem, Refused

EARLIEST = -36_524  # 1870-01-01
LATEST = 84_005  # 2199-12-31

RECKONINGS = ("birthday", "day_after", "month_first", "next_month_first", "year_difference")
LEAP_DAYS = ("mar1", "feb28")
APPROVALS = ("same_day", "next_day", "next_month")
DEATHS = ("date", "month_end")
WINDOWS = ("period", "day", "week", "month", "quarter", "year", "ever")

_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def civil(year: int, month: int, day: int) -> int:
    """Return the civil number of a day; the month's length is not checked here."""
    shifted = year - 1 if month <= 2 else year
    era = shifted // 400
    of_era = shifted - era * 400
    of_year = (153 * (month - 3 if month > 2 else month + 9) + 2) // 5 + day - 1
    return era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468


def ymd(number: int) -> tuple[int, int, int]:
    """Return the year, month and day of a civil-day number."""
    shifted = number + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted_month = (5 * of_year + 2) // 153
    day = of_year - (153 * shifted_month + 2) // 5 + 1
    month = shifted_month + 3 if shifted_month < 10 else shifted_month - 9
    return era * 400 + year_of_era + (1 if month <= 2 else 0), month, day


def is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def of_iso(text: str) -> int:
    """Turn '2026-11-22' into its civil number. Raises ValueError for anything that is not a day."""
    parts = text.split("-")
    if [len(part) for part in parts] != [4, 2, 2] or not text.isascii() or not "".join(parts).isdigit():
        raise ValueError(text)
    year, month, day = (int(part) for part in parts)
    if not 1 <= month <= 12:
        raise ValueError(text)
    longest = 29 if month == 2 and is_leap(year) else _MONTH_DAYS[month - 1]
    if not 1 <= day <= longest:
        raise ValueError(text)
    return civil(year, month, day)


def iso(number: int) -> str:
    """Write a civil number as 2026-11-22."""
    year, month, day = ymd(number)
    return f"{year:04d}-{month:02d}-{day:02d}"


def weekday(number: int) -> int:
    """Return 1 for Monday to 7 for Sunday."""
    return (number + 3) % 7 + 1


def age(birth: int, on: int, reckoning: str = "birthday", leap_day: str = "mar1") -> int:
    """Return completed years on a day, negative before birth; `reckoning` says when a year is complete."""
    born, month, day = ymd(birth)
    year = ymd(on)[0]
    years = year - born
    if reckoning == "year_difference":
        return years
    return years if on >= _reached(year, month, day, reckoning, leap_day) else years - 1


def _reached(year: int, month: int, day: int, reckoning: str, leap_day: str) -> int:
    """Return the day in (or just after) `year` on which the year's age is reached."""
    if reckoning == "month_first":
        return civil(year, month, 1)
    if reckoning == "next_month_first":
        return next_month(civil(year, month, 1))
    if month == 2 and day == 29 and not is_leap(year):
        birthday = civil(year, 3, 1) if leap_day == "mar1" else civil(year, 2, 28)
    else:
        birthday = civil(year, month, day)
    return birthday + 1 if reckoning == "day_after" else birthday


def birthday(birth: int, year: int, leap_day: str) -> int:
    """Return the birthday in a year, as a civil number."""
    _, month, day = ymd(birth)
    return _reached(year, month, day, "birthday", leap_day)


def whole_months(since: int, on: int) -> int:
    """Count whole months from `since` to `on`; a month that has no such day is whole on its last."""
    from_year, from_month, from_day = ymd(since)
    year, month, day = ymd(on)
    is_last = ymd(on + 1)[1] != month
    return (year - from_year) * 12 + month - from_month - (1 if day < from_day and not is_last else 0)


def starts(approved: int, approval: str) -> int:
    """Return the first day on which an approval of a given day counts."""
    if approval == "same_day":
        return approved
    return approved + 1 if approval == "next_day" else next_month(approved)


def next_month(day: int) -> int:
    """Return the first day of the next month."""
    year, month, _ = ymd(day)
    return civil(year, month + 1, 1) if month < 12 else civil(year + 1, 1, 1)


def first_of(window: str, day: int) -> int:
    """Return the first day of the window that contains `day`."""
    if window in ("day", "period"):
        return day
    if window == "week":
        return day - weekday(day) + 1
    if window == "ever":
        return 0
    year, month, _ = ymd(day)
    if window == "month":
        return civil(year, month, 1)
    if window == "quarter":
        return civil(year, (month - 1) // 3 * 3 + 1, 1)
    if window == "year":
        return civil(year, 1, 1)
    raise Refused(Problem("not_a_choice", "window", "没有这种期限", window, " / ".join(WINDOWS)))


def window_name(window: str, day: int, period: str) -> str:
    """Name a window: the civil number of its first day, with the meal period where it is one."""
    return f"{day}/{period}" if window == "period" else str(first_of(window, day))
