"""What a bureau decides of its installation, by form or command instead of the environment: dated, never edited.

A value counts from its day on; the newest of those entered for one day counts. A claim keeps the steps that were known
when it was made, and a closed period is never closed again: a change is for what is still open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import CheckConstraint, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from canteen import clock, concerns, events, memory
from canteen.db import Base
from canteen.errors import Invalid, Missing

KEYS: Final = (
    "card_brand", "card_name", "claim_steps", "close_day", "close_hour", "contact_phone", "posting_days",
    "retention_years",
)  # fmt: skip
FURTHEST: Final = date(2100, 12, 31)
_PHONE: Final = re.compile(r"\+?[0-9]{3,4}(-?[0-9]{1,8}){0,2}")


class NoSetting(Missing):
    code = "setting_not_found"
    message = "没有这项设置，请刷新后再试。"


class BadValue(Invalid):
    code = "setting_invalid"
    message = "这项设置的内容不对，请改正后再保存。"


class Setting(Base):
    """The value of a setting from a day on.

    n         counts the values entered for one day, from 1; the last counts
    entered   the day on which it was entered: no value is valid before
    """

    __tablename__ = "setting"
    __table_args__ = (
        CheckConstraint(f"key IN {KEYS}", name="key"),
        CheckConstraint("from_day >= entered", name="not_backdated"),
        {"sqlite_strict": True},
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    from_day: Mapped[date] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    value: Mapped[str]
    entered: Mapped[date]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


@dataclass(frozen=True, slots=True)
class Kind:
    """A setting as people meet it.

    normal       brings a typed value into the form that is stored; raises Invalid with the remedy
    takes_effect what a new value is for, said beside the form
    """

    key: str
    label: str
    default: str
    hint: str
    normal: Callable[[str], str]
    unit: str = ""
    takes_effect: str = "从所填日期起使用。"
    older: str = ""  # the environment variable that decided it before


def _whole(low: int, high: int, unit: str) -> Callable[[str], str]:
    def normal(text: str) -> str:
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and low <= int(text) <= high):
            raise BadValue(f"请填 {low} 到 {high} 的整数（{unit}）。")
        return str(int(text))

    return normal


def _line(most: int) -> Callable[[str], str]:
    def normal(text: str) -> str:
        if not 0 < len(text) <= most or not text.isprintable():
            raise BadValue(f"请填 1 到 {most} 个字，不要换行。")
        return text

    return normal


def _phone(text: str) -> str:
    if text and (len(text) < 3 or _PHONE.fullmatch(text) is None):
        raise BadValue("电话只填数字和短横，如 0431-12345、12345；没有就留空。")
    return text


_KINDS: Final[dict[str, Kind]] = {}


def define(kind: Kind) -> None:
    """Add a kind of setting; naming it again replaces it. Its key must be one of KEYS."""
    _KINDS[kind.key] = kind


def kinds() -> list[Kind]:
    """Return the kinds of settings, in the order in which pages show them."""
    return [_KINDS[key] for key in ORDER if key in _KINDS]


def kind_of(key: str) -> Kind:
    """Return a kind of setting. Raises NoSetting."""
    if key not in _KINDS:
        raise NoSetting
    return _KINDS[key]


ORDER: Final = (
    "card_name", "card_brand", "contact_phone", "close_day", "close_hour", "claim_steps", "posting_days",
    "retention_years",
)  # fmt: skip
_OPEN: Final = "用于还没有结账的所属期；已结账的不变。"
for each in (
    Kind("card_name", "卡的名称", "助餐卡", "收银平板和打印件上怎样称呼老人的卡，如“助餐卡”“敬老卡”。", _line(8)),
    Kind(
        "card_brand", "卡面抬头", "敬老餐厅助餐卡", "印在每张卡最上面的一行。", _line(24), older="CANTEEN_CARD_BRAND",
        takes_effect="用于所填日期起打印的卡；已经印好的卡不变。",
    ),
    Kind("contact_phone", "咨询电话", "", "印在卡面下方和发卡清单上，遗失挂失时拨打。可以留空。", _phone),
    Kind(
        "close_day", "结账日", "3", "所属期结束后第几天自动结账。", _whole(1, 28, "天"), "天", _OPEN, "CANTEEN_CLOSE_DAY"
    ),
    Kind(
        "close_hour", "结账时间", "6", "自动结账的钟点（北京时间）。", _whole(0, 23, "点"), "点", _OPEN,
        "CANTEEN_CLOSE_HOUR",
    ),
    Kind("posting_days", "公示天数", "7", "补贴公示表张贴多少天。", _whole(1, 60, "天"), "天"),
    Kind("retention_years", "资料保存年限", "10", "就餐和补贴资料保存多少年，写在告知书上。", _whole(1, 100, "年"), "年"),
):  # fmt: skip
    define(each)


@dataclass(frozen=True, slots=True)
class Entered:
    """One value as it was entered."""

    key: str
    value: str
    from_day: date
    by: str
    at: datetime


class Settings:
    """The settings of an installation as read from its database, for any day and as known at any moment."""

    def __init__(self, rows: list[Entered]) -> None:
        self.rows = rows  # the one that counts last

    def text(self, key: str, *, at: datetime | None = None) -> str:
        """Return the value in force now, or as it was known and in force at a moment; else the default."""
        moment = clock.now() if at is None else at
        day = clock.business_day(moment)
        found = [row for row in self.rows if row.key == key and row.from_day <= day and row.at <= moment]
        return found[-1].value if found else kind_of(key).default

    def number(self, key: str) -> int:
        return int(self.text(key))

    def coming(self, key: str) -> list[Entered]:
        """Return the values that count from a later day on: the last of each day."""
        later = {row.from_day: row for row in self.rows if row.key == key and row.from_day > clock.today()}
        return list(later.values())

    def history(self, key: str) -> list[Entered]:
        """Return all values entered, newest first."""
        return sorted((row for row in self.rows if row.key == key), key=lambda row: row.at, reverse=True)


def read(session: Session) -> Settings:
    """Read all settings. The table has a row a change, so it stays small."""
    query = select(Setting.key, Setting.value, Setting.from_day, Setting.by, Setting.at)
    return Settings([Entered(*row) for row in session.execute(query.order_by(Setting.from_day, Setting.n))])


_kept: memory.Kept[Settings] = memory.Kept(8)


def kept(session: Session, head: memory.Head) -> Settings:
    """Return the settings from memory, as of the newest event."""
    return _kept.get(session, head, "settings", lambda: read(session), lambda _: (concerns.SETTINGS,))


def put(session: Session, key: str, value: str, since: date | None, *, by: str) -> bool:
    """Enter a value from a day on, by default today; False when it is so already and nothing was entered.

    Raises NoSetting, BadValue.
    """
    kind, today = kind_of(key), clock.today()
    value, since = kind.normal(value.strip()), since or today
    if not today <= since <= FURTHEST:
        raise BadValue("起用日期应为今天或以后；过去的设置不能改。")
    events.wait(session)
    if _value_on(session, key, since) == value:
        return False
    body = {"value": value, "from": since.isoformat()}
    _enter(session, key, value, since, by, events.record(session, "setting.set", key, by=by, body=body))
    return True


def begin(session: Session, *, by: str) -> None:
    """Enter the default of every setting that has no value yet. Safe to repeat."""
    events.wait(session)
    missing = set(_KINDS) - set(session.execute(select(Setting.key)).scalars())
    first: Mapping[str, str] = {key: _KINDS[key].default for key in sorted(missing)}
    if not first:
        return
    number = events.record(session, "setting.begin", "settings", by=by, body=first)
    for key, value in first.items():
        _enter(session, key, value, clock.today(), by, number)


def _enter(session: Session, key: str, value: str, since: date, by: str, recorded: int) -> None:
    n = select(func.coalesce(func.max(Setting.n), 0) + 1).where(Setting.key == key, Setting.from_day == since)
    row = Setting(
        key=key, from_day=since, n=session.execute(n).scalar_one(), value=value, entered=clock.today(), by=by,
        at=clock.now(), recorded=recorded,
    )  # fmt: skip
    session.add(row)
    session.flush()


def _value_on(session: Session, key: str, day: date) -> str | None:
    """Return the value stored for a day; None where none is stored."""
    rows = [row for row in read(session).rows if row.key == key and row.from_day <= day]
    return rows[-1].value if rows else None
