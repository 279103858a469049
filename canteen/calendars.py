"""Kinds of day: workday, weekend, statutory holiday, make-up workday (调休).

The State Council announces each year's days late in the year before; a library's data is the default. What the bureau
enters itself stands over it, day by day; each word is a fact, the newest counts, and an empty one gives the day back
to the default. Years not announced go by weekday and are provisional.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
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
    message = "只能安排今天以后的日期：当日已经发生的就餐按当时的类别计价，不能再改。"


class CalendarDay(Base):
    """The bureau's word about a day: its kind, or '' to go back to the default. The newest row of a day counts."""

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
class Told:
    """A day as it counts. `origin`: 'bureau', 'library', or 'provisional' where nobody announced the year."""

    day: date
    kind: DayKind
    name: str
    origin: str


def kind_on(session: Session, day: date) -> DayKind:
    """The kind of `day` by the bureau's table, else by the default. Callers on the hot path keep it by event head."""
    newest = select(CalendarDay.kind).where(CalendarDay.day == day).order_by(CalendarDay.id.desc()).limit(1)
    said = session.execute(newest).scalar_one_or_none()
    return _known(said) or day_kind(day)


def year(session: Session, wanted: int) -> list[Told]:
    """The days of a year that are anything but plain workdays and weekends, or that the bureau spoke of."""
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
            found.append(Told(day, own, row.name, "bureau"))
        elif (default := day_kind(day)) in ("holiday", "makeup"):
            found.append(Told(day, default, festival(day), "library"))
        day += timedelta(days=1)
    return found


def provisional(session: Session, wanted: int) -> bool:
    """Whether a year goes by weekdays alone so far: not in the library's data, and the bureau entered nothing."""
    return not announced(wanted) and not any(told.origin == "bureau" for told in year(session, wanted))


def arrange(first: date, last: date, kind: str, name: str, *, by: str) -> int:
    """Say of the days from `first` to `last` what they are ('' for the default again); answers how many.

    Raises BadDay, DayPassed.
    """
    if kind not in ("", *KINDS) or last < first or (last - first).days > 60 or len(name) > 20:
        raise BadDay
    if first <= clock.today():
        raise DayPassed
    count = (last - first).days + 1
    with transaction() as session:
        body = {"from": first.isoformat(), "to": last.isoformat(), "kind": kind, "name": name}
        recorded = events.record(session, "calendar.arrange", first.isoformat(), by=by, body=body)
        now = clock.now()
        session.add_all(
            CalendarDay(day=first + timedelta(days=n), kind=kind, name=name, by=by, at=now, recorded=recorded)
            for n in range(count)
        )
    return count


@lru_cache(maxsize=4096)
def day_kind(day: date) -> DayKind:
    """The default kind of `day`; for a year not yet announced, by weekday alone (see `announced`)."""
    weekend = day.weekday() >= 5
    if not announced(day.year):
        return "weekend" if weekend else "workday"
    off, name = chinese_calendar.get_holiday_detail(day)
    if off and name:
        return "holiday"
    if off:
        return "weekend"
    return "makeup" if weekend else "workday"


def festival(day: date) -> str:
    """The festival that a holiday or a make-up workday belongs to; '' where the library knows none."""
    name = chinese_calendar.get_holiday_detail(day)[1] if announced(day.year) else None
    return _FESTIVALS.get(name or "", "")


def announced(year: int) -> bool:
    """Whether the State Council's arrangement of `year` is in the library's data."""
    try:
        chinese_calendar.is_holiday(date(year, 1, 1))
    except NotImplementedError:
        return False
    return True


def _known(kind: str | None) -> DayKind | None:
    return next((one for one in KINDS if one == kind), None)
