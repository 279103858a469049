"""Kinds of day: workday, weekend, statutory holiday, make-up workday (调休).

The State Council announces each year's days late in the year before; a library's data is the default. Entries of the
bureau override it, day by day; each entry is a fact, the newest counts, and an empty one restores the default. In a
year that is neither in the library nor entered, the days that the regulation on holidays fixes
(全国年节及纪念日放假办法, as in force from 2025) are holidays, all others go by weekday, and days without an entry are
provisional: bridging days and make-up workdays are not known yet.

`festivals.csv` gives the lunar festivals and 清明 for 2026 to 2035; borax 4.1.3, lunar-python 1.4.8 and sxtwl 2.0.7
compute the same days.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, get_args

import chinese_calendar
from sqlalchemy import CheckConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from canteen import clock, events
from canteen.db import Base, transaction
from canteen.errors import Conflict, Invalid

DayKind = Literal["workday", "weekend", "holiday", "makeup"]
KINDS: tuple[DayKind, ...] = get_args(DayKind)
WORDS: Mapping[str, str] = {"workday": "工作日", "weekend": "周末", "holiday": "法定节假日", "makeup": "调休上班"}
_FESTIVALS = {
    "New Year's Day": "元旦",
    "Spring Festival": "春节",
    "Tomb-sweeping Day": "清明节",
    "Labour Day": "劳动节",
    "Dragon Boat Festival": "端午节",
    "National Day": "国庆节",
    "Mid-autumn Festival": "中秋节",
    "Anti-Fascist 70th Day": "抗战胜利纪念日",
}


class BadDay(Invalid):
    code = "calendar_day_invalid"
    message = "日期或类别填写有误，请选择日期和当日类别。"


class DayPassed(Conflict):
    code = "calendar_day_passed"
    message = "只能安排今天以后的日期：当日已经发生的就餐按当时的类别计价，不能再改。全年安排录入以前暂定的日期除外。"


FROM_MONTH = 11  # a year not entered is named from this month of the year before
FESTIVALS = Path(__file__).with_name("festivals.csv")


class CalendarDay(Base):
    """The bureau's entry for a day: its kind, or '' to restore the default. The newest row of a day counts."""

    __tablename__ = "calendar_day"
    __table_args__ = (
        CheckConstraint("kind IN ('workday', 'weekend', 'holiday', 'makeup', '')", name="kind"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(index=True)
    kind: Mapped[str]
    name: Mapped[str]  # the festival
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


@dataclass(frozen=True, slots=True)
class YearDay:
    """A day of a year as it counts. `origin`: 'bureau', 'library', or 'provisional' where the year is not announced.

    A provisional holiday is one that the regulation fixes.
    """

    day: date
    kind: DayKind
    name: str
    origin: str


def kind_on(session: Session, day: date, upto: int | None = None) -> DayKind:
    """Return the kind of `day` by the bureau's table, else the default. Hot paths keep it in memory.

    upto  the last event to read; None for all there are now
    """
    return _newest_entry(session, day, upto) or day_kind(day)


def is_provisional(session: Session, day: date, upto: int | None = None) -> bool:
    """Tell whether the kind of `day` is known by weekday and regulation alone, while its year is not entered."""
    if announced(day.year) or _newest_entry(session, day, upto):
        return False
    return not _entered(session, day.year, upto)


def _newest_entry(session: Session, day: date, upto: int | None) -> DayKind | None:
    """Return the bureau's newest entry."""
    newest = select(CalendarDay.kind).where(CalendarDay.day == day).order_by(CalendarDay.id.desc()).limit(1)
    if upto is not None:
        newest = newest.where(CalendarDay.recorded <= upto)
    return _known(session.execute(newest).scalar_one_or_none())


def _entered(session: Session, wanted: int, upto: int | None = None) -> bool:
    """Tell whether the bureau entered a year: every day that the regulation makes a holiday has an entry."""
    fixed = set(statutory(wanted))
    rows = select(CalendarDay.day, CalendarDay.kind).where(CalendarDay.day.in_(fixed)).order_by(CalendarDay.id)
    if upto is not None:
        rows = rows.where(CalendarDay.recorded <= upto)
    said = dict(session.execute(rows).all())
    return all(_known(said.get(day)) for day in fixed)


def year(session: Session, wanted: int) -> list[YearDay]:
    """Return the days of a year that are not plain workdays or weekends, or that the bureau entered."""
    newest = select(func.max(CalendarDay.id)).where(
        CalendarDay.day >= date(wanted, 1, 1), CalendarDay.day <= date(wanted, 12, 31)
    )
    rows = session.execute(select(CalendarDay).where(CalendarDay.id.in_(newest.group_by(CalendarDay.day)))).scalars()
    said = {row.day: row for row in rows}
    found, day = [], date(wanted, 1, 1)
    while day.year == wanted:
        row = said.get(day)
        own = _known(row.kind) if row else None
        if row is not None and own is not None:
            found.append(YearDay(day, own, row.name, "bureau"))
        elif (default := day_kind(day)) in ("holiday", "makeup"):
            found.append(YearDay(day, default, festival(day), "library" if announced(wanted) else "provisional"))
        day += timedelta(days=1)
    return found


def provisional(session: Session, wanted: int) -> bool:
    """Tell whether a year goes by weekday and regulation so far: neither in the library's data nor entered."""
    return not announced(wanted) and not _entered(session, wanted)


def missing_years(session: Session, today: date) -> list[int]:
    """Return the years that must be entered by now and are not: this one, and from November on the next."""
    years = [today.year] + ([today.year + 1] if today.month >= FROM_MONTH else [])
    return [one for one in years if provisional(session, one)]


def arrange(first: date, last: date, kind: str, name: str, *, by: str) -> int:
    """Enter the kind of the days from `first` to `last` ('' for the default again); return how many.

    A day that has begun may be entered only while it is provisional, or to correct an entry made after it had passed:
    this reprices no meal (a revaluation is asked for), and no meal was priced by an entry made too late.

    Raises BadDay, DayPassed.
    """
    if kind not in ("", *KINDS) or last < first or (last - first).days > 60 or len(name) > 20:
        raise BadDay
    count = (last - first).days + 1
    with transaction() as session:
        events.wait(session)
        if not all(_open(session, first + timedelta(days=n)) for n in range(count)):
            raise DayPassed
        body = {"from": first.isoformat(), "to": last.isoformat(), "kind": kind, "name": name}
        recorded = events.record(session, "calendar.arrange", first.isoformat(), by=by, body=body)
        now = clock.now()
        session.add_all(
            CalendarDay(day=first + timedelta(days=n), kind=kind, name=name, by=by, at=now, recorded=recorded)
            for n in range(count)
        )
    return count


def _open(session: Session, day: date) -> bool:
    """Tell whether the bureau may enter the kind of a day."""
    if day > clock.today() or is_provisional(session, day):
        return True
    newest = select(CalendarDay.at).where(CalendarDay.day == day).order_by(CalendarDay.id.desc()).limit(1)
    said = session.execute(newest).scalar_one_or_none()
    return said is not None and not announced(day.year) and clock.business_day(said) > day


@lru_cache(maxsize=4096)
def day_kind(day: date) -> DayKind:
    """Return the default kind of `day`; for a year not yet announced by regulation and weekday alone (see `announced`)."""
    weekend = day.weekday() >= 5
    if not announced(day.year):
        return "holiday" if day in statutory(day.year) else "weekend" if weekend else "workday"
    off, name = chinese_calendar.get_holiday_detail(day)
    if off and name:
        return "holiday"
    if off:
        return "weekend"
    return "makeup" if weekend else "workday"


def festival(day: date) -> str:
    """Return the festival that a holiday or a make-up workday belongs to; '' where none is known."""
    if not announced(day.year):
        return statutory(day.year).get(day, "")
    return _FESTIVALS.get(chinese_calendar.get_holiday_detail(day)[1] or "", "")


@lru_cache(maxsize=64)
def statutory(wanted: int) -> Mapping[date, str]:
    """Return the days of a year that are holidays by regulation, without any notice, with their festivals.

    Beyond the years of the table only those of the civil calendar are known.
    """
    found = {date(wanted, 1, 1): "元旦", date(wanted, 5, 1): "劳动节", date(wanted, 5, 2): "劳动节"}
    moving = _moving().get(wanted)
    if moving is not None:
        eve, *others = moving
        found |= {eve + timedelta(days=n): "春节" for n in range(4)}
        found |= dict(zip(others, ("清明节", "端午节", "中秋节"), strict=True))
    return dict(sorted((found | {date(wanted, 10, n): "国庆节" for n in (1, 2, 3)}).items()))


@cache
def _moving() -> Mapping[int, list[date]]:
    """Return by year New Year's eve of the lunar calendar, 清明, 端午 and 中秋."""
    with FESTIVALS.open(encoding="utf-8", newline="") as file:
        _, *rows = csv.reader(file)
    return {int(wanted): [date.fromisoformat(day) for day in days] for wanted, *days in rows}


def announced(year: int) -> bool:
    """Tell whether the State Council's arrangement of `year` is in the library's data."""
    try:
        chinese_calendar.is_holiday(date(year, 1, 1))
    except NotImplementedError:
        return False
    return True


def _known(kind: str | None) -> DayKind | None:
    return next((one for one in KINDS if one == kind), None)
