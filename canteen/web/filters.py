"""How values are written for people: amounts, days, instants, words of the domain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime

from flask import Flask

from canteen import clock, money

WEEKDAYS = "一二三四五六日"

_labels: dict[str, str] = {
    "breakfast": "早餐",
    "lunch": "午餐",
    "dinner": "晚餐",
    "dine_in": "堂食",
    "take_away": "打包",
    "delivered": "送餐",
    "collected": "代领",
    "cash": "现金",
    "mobile": "手机支付",
    "free": "免费",
    "counter": "城市食堂",
    "partner": "社会合作餐厅",
    "village": "村级助餐点",
    "area": "区域",
    "operator": "运营方",
    "canteen": "食堂",
    "province": "省",
    "city": "市",
    "district": "区县",
    "street": "街道（乡镇）",
    "community": "社区（村）",
    "functional": "功能区",
}


def add_labels(words: Mapping[str, str]) -> None:
    """Add the Chinese words of a package's codes; a code that means two things is given as 'kind.code'."""
    _labels.update(words)


def label(code: str | None, kind: str = "") -> str:
    """Return the Chinese word of a code; the code itself when it has none."""
    if code is None:
        return ""
    return _labels.get(f"{kind}.{code}") or _labels.get(code, code)


def yuan(fen: int | None) -> str:
    """Format fen as yuan: 1234567 -> '12,345.67'; '' for None."""
    if fen is None:
        return ""
    text = money.show(fen)
    sign, digits = ("-", text[1:]) if text.startswith("-") else ("", text)
    whole, part = digits.split(".")
    return f"{sign}{int(whole):,}.{part}"


def day(value: date | None) -> str:
    """Format a date: 2026-11-22 -> '2026年11月22日'."""
    return "" if value is None else f"{value.year}年{value.month}月{value.day}日"


def weekday(value: date) -> str:
    return f"星期{WEEKDAYS[value.weekday()]}"


def at(instant: datetime | None) -> str:
    """Format an instant as local time in Asia/Shanghai: '2026-11-22 11:40'."""
    return "" if instant is None else clock.local(instant).strftime("%Y-%m-%d %H:%M")


def register(app: Flask) -> None:
    """Give the templates of `app` these filters."""
    app.jinja_env.filters.update(yuan=yuan, label=label, day=day, weekday=weekday, at=at)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
