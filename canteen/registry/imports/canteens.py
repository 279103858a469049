"""Canteens by template: their places and when they serve."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import ClassVar, Final, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import places
from canteen.places import Area, Canteen, MealWindow, ServingDays
from canteen.registry.imports.columns import (
    BadCell,
    Column,
    Row,
    Template,
    code,
    day,
    one_of,
    quantity,
    text,
    whole,
    written_day,
)
from canteen.registry.labels import PROFILES
from canteen.registry.text_forms import close_up

GRACE: Final = 15  # minutes
_SPAN: Final = re.compile(r"(\d{1,2}):(\d{2})[-–—~至到](\d{1,2}):(\d{2})", re.ASCII)
_WEEK: Final = "一二三四五六日"
_MEALS: Final = {"breakfast": "早餐时间", "lunch": "午餐时间", "dinner": "晚餐时间"}


def span(cell: str) -> tuple[int, int] | Literal["none"]:
    """Read '10:30-13:00' as minutes of the day; 不供应 says that this meal is not served, from the row's day on."""
    if close_up(cell) in {"不供应", "无", "停供"}:
        return "none"
    found = _SPAN.fullmatch(close_up(cell))
    if found is None:
        raise BadCell("时间请写成 10:30-13:00 的样子。")
    starts, ends = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if not 0 <= starts < ends <= 24 * 60 or int(found[2]) > 59 or int(found[4]) > 59:
        raise BadCell("结束时间应晚于开始时间，请核对。")
    return starts, ends


def week(cell: str) -> str:
    """Read seven characters from Monday, '1' serves: from 每天, 周一至周五, 一三五, or 1111100."""
    cell = close_up(cell).replace("周", "").replace("星期", "").replace("天", "日").replace("、", "")
    if cell == "每日":
        return "1" * 7
    if re.fullmatch(r"[01]{7}", cell) and "1" in cell:
        return cell
    if found := re.fullmatch(f"([{_WEEK}])[至到-]([{_WEEK}])", cell):
        first, last = _WEEK.index(found[1]), _WEEK.index(found[2])
        if first <= last:
            return "".join("1" if first <= at <= last else "0" for at in range(7))
    if cell and set(cell) <= set(_WEEK):
        return "".join("1" if each in cell else "0" for each in _WEEK)
    raise BadCell("请写成 每天、周一至周五 或 一三五 的样子。")


CANTEENS: Final = Template(
    "canteens",
    "食堂",
    (
        Column("id", "食堂编号", code, "自编，登记后不变", required=True),
        Column("name", "食堂名称", text(40), "", required=True, width=24),
        Column("area", "所在区划代码", code, "所在社区或街道的区划代码", required=True, width=18),
        Column("profile", "类型", one_of(PROFILES), "、".join(PROFILES.values()), required=True),
        Column("seats", "座位数", whole(0, 5000), "", required=True, width=8, numeric=quantity),
        Column("opened", "开业日期", day, "", required=True, numeric=written_day),
        Column("breakfast", "早餐时间", span, "06:30-08:30；空着不改动；停供填“不供应”"),
        Column("lunch", "午餐时间", span, "10:30-13:00；空着不改动；停供填“不供应”"),
        Column("dinner", "晚餐时间", span, "16:30-18:30；空着不改动；停供填“不供应”"),
        Column("grace", "前后宽限分钟", whole(0, 120), f"空着不改动；新食堂即 {GRACE}", numeric=quantity),
        Column("week", "营业日", week, "每天、周一至周五、一三五；空着不改动；新食堂即每天"),
        Column(
            "offline",
            "可断网天数",
            whole(0, 60),
            "断网期间的就餐几天内上传有效；空着不改动；新食堂空着即村级助餐点 14 天、其他 3 天",
            numeric=quantity,
        ),
        Column(
            "since",
            "生效日期",
            day,
            "时间和营业日从哪一天起；新食堂空着即开业日期；已登记的食堂改时间、营业日时必填",
            numeric=written_day,
        ),
    ),
    rows=5_000,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One canteen. `windows`: meal period, start and end, grace; only those that differ from the valid ones.

    `stops`: meal periods that are served no longer
    """

    kind: str
    canteen_id: str
    name: str
    area: str
    district: str
    profile: str
    seats: int
    offline: int
    opened: date
    since: date
    windows: tuple[tuple[str, int, int, int], ...]
    week: str | None
    stops: tuple[str, ...]


class Canteens:
    """One run over a file of canteens. `within`: the areas that the importer answers for; None is everywhere."""

    template: ClassVar = CANTEENS
    chunk: ClassVar = CANTEENS.rows

    def __init__(self, session: Session, within: frozenset[str] | None, by: str) -> None:
        self._within = within
        self._areas = dict(session.execute(select(Area.id, Area.level)).all())
        self._seen: dict[str, str] = {}

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        changes = []
        for row in rows:
            if row.faults:
                continue
            values = row.values
            if (first := self._seen.setdefault(values["id"], row.place)) != row.place:
                row.refuse("食堂编号", BadCell(f"与{first}相同，请只保留一行。"))
            if values["area"] not in self._areas:
                row.refuse("所在区划代码", BadCell("区划表中没有这个代码，请先导入区划。"))
            elif self._within is not None and values["area"] not in self._within:
                row.refuse("所在区划代码", BadCell("不在您负责的区域内，请交由上级管理员导入。"))
            if not row.faults and (change := self._change(session, row)) is not None and not row.faults:
                changes.append(change)
        return changes

    def write(self, session: Session, changes: Sequence[Change], recorded: int, by: str) -> None:
        for change in changes:
            known = session.get(Canteen, change.canteen_id)
            if known is None:
                session.add(
                    Canteen(
                        id=change.canteen_id,
                        name=change.name,
                        area_id=change.area,
                        district_id=change.district,
                        profile=change.profile,
                        seats=change.seats,
                        opened_on=change.opened,
                        offline_days=change.offline,
                    )
                )
            else:
                known.name, known.profile, known.seats = change.name, change.profile, change.seats
                known.offline_days = change.offline
            session.flush()
            self._serve(session, change)
        session.flush()

    def _serve(self, session: Session, change: Change) -> None:
        """Write the new windows and week; those from the same day on are replaced."""
        for period in change.stops:
            self._stop(session, change, period)
        for period, starts, ends, grace in change.windows:
            same = select(MealWindow).filter_by(canteen_id=change.canteen_id, period=period, from_day=change.since)
            window = session.execute(same).scalar_one_or_none()
            if window is None:
                window = MealWindow(canteen_id=change.canteen_id, period=period, from_day=change.since, to_day=None)
                session.add(window)
            window.starts, window.ends, window.grace = starts, ends, grace
        if change.week is not None:
            same_week = select(ServingDays).filter_by(canteen_id=change.canteen_id, from_day=change.since)
            days = session.execute(same_week).scalar_one_or_none()
            if days is None:
                days = ServingDays(canteen_id=change.canteen_id, from_day=change.since, to_day=None)
                session.add(days)
            days.week = change.week

    def _stop(self, session: Session, change: Change, period: str) -> None:
        """End the windows of a meal period with the day before."""
        own = select(MealWindow).filter_by(canteen_id=change.canteen_id, period=period)
        for window in session.execute(own.where(places.valid_on(MealWindow, change.since))).scalars():
            window.to_day = change.since - timedelta(days=1)

    def _change(self, session: Session, row: Row) -> Change | None:
        values = row.values
        since = values.get("since", values["opened"])
        known = session.get(Canteen, values["id"])
        if known is not None and (known.area_id, known.opened_on) != (values["area"], values["opened"]):
            row.refuse("所在区划代码", BadCell("食堂已登记，所在区划和开业日期不能改；迁址请登记为新食堂。"))
            return None
        district = self._district(session, values["area"], since)
        if district is None:
            row.refuse("所在区划代码", BadCell("这个区划在生效日期不属于任何区县，请先补全区划。"))
            return None
        windows, days = self._differing(session, values, since, new=known is None)
        stops = () if known is None else self._stopping(session, row, since)
        current = places.days_alone(values["profile"]) if known is None else known.offline_days
        offline = values.get("offline", current)
        kind = "new" if known is None else "same"
        if known is not None and "since" not in values and (windows or stops or days is not None):
            row.refuse("生效日期", BadCell("已登记的食堂改供餐时间、营业日，须写明从哪一天起。"))
            return None
        if known is not None:
            before = (known.name, known.profile, known.seats, known.offline_days)
            stated = (values["name"], values["profile"], values["seats"], offline)
            if before != stated or windows or stops or days is not None:
                kind = "changed"
        return Change(
            kind,
            values["id"],
            values["name"],
            values["area"],
            district,
            values["profile"],
            values["seats"],
            offline,
            values["opened"],
            since,
            windows,
            days,
            stops,
        )

    def _stopping(self, session: Session, row: Row, since: date) -> tuple[str, ...]:
        """Return the meal periods valid on the day that the row says are served no longer."""
        values, found = row.values, list[str]()
        for period, title in _MEALS.items():
            if values.get(period) != "none":
                continue
            begun = select(MealWindow.from_day).filter_by(canteen_id=values["id"], period=period)
            starts = session.execute(begun.where(places.valid_on(MealWindow, since))).scalars().all()
            if since in starts:
                row.refuse(title, BadCell("这一餐正是从生效日期起供应的，停供日期应更晚，请核对。"))
            elif starts:
                found.append(period)
        return tuple(found)

    def _differing(
        self, session: Session, values: dict[str, object], since: date, *, new: bool
    ) -> tuple[tuple[tuple[str, int, int, int], ...], str | None]:
        """Return the stated windows and week that are not valid yet."""
        current = {} if new else {w.period: w for w in places.windows_on(session, str(values["id"]), since)}
        grace = values.get("grace")
        windows = []
        for period in _MEALS:
            stated = values.get(period)
            if not isinstance(stated, tuple):
                continue
            now = current.get(period)
            wanted = (*stated, grace if isinstance(grace, int) else now.grace if now else GRACE)
            if now is None or (now.starts, now.ends, now.grace) != wanted:
                windows.append((period, *wanted))
        days = values.get("week")
        if not isinstance(days, str):
            return tuple(windows), None
        query = select(ServingDays.week).where(
            ServingDays.canteen_id == values["id"], places.valid_on(ServingDays, since)
        )
        now_week = session.execute(query.order_by(ServingDays.from_day.desc()).limit(1)).scalar_one_or_none()
        return tuple(windows), None if days == now_week else days

    def _district(self, session: Session, area: str, on: date) -> str | None:
        above = places.path(session, area, on)
        return next((each for each in above if self._areas.get(each) == "district"), None)
