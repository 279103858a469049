"""Menus by template: dishes and set meals of canteens with their prices from a day on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, money
from canteen.menus import changes, offers
from canteen.menus.changes import NewItem
from canteen.menus.models import MenuItem, MenuPrice
from canteen.money import Fen
from canteen.places import Canteen
from canteen.registry.imports.columns import (
    BadCell,
    Column,
    Row,
    Template,
    code,
    day,
    listed,
    one_of,
    quantity,
    text,
    whole,
    written_day,
)
from canteen.registry.labels import CATEGORIES, MEALS
from canteen.registry.text_forms import close_up

STATES: Final = {"on": "在售", "off": "停售"}


def amount(cell: str) -> Fen:
    """Read an amount in yuan as fen: 12, 12.5, 12.50元."""
    try:
        fen = money.yuan(close_up(cell).removesuffix("元"))
    except ValueError as error:
        raise changes.BadPrice from error
    if not 0 <= fen <= changes.DEAREST:
        raise changes.BadPrice
    return fen


MENUS: Final = Template(
    "menus",
    "菜单",
    (
        Column("canteen", "食堂编号", code, "", required=True),
        Column("id", "菜品编号", code, "自编，同一食堂内不重复，登记后不变，如 001", required=True),
        Column("name", "名称", text(changes.LONGEST), "收银按钮上显示的名称", required=True, width=24),
        Column("category", "类别", one_of(CATEGORIES), "、".join(CATEGORIES.values()), required=True),
        Column(
            "periods",
            "餐次",
            listed(one_of(MEALS)),
            "没有另排每日菜单时哪几餐供应：早餐、午餐、晚餐，可填多个；只按每日菜单供应的填“无”；新菜品空着即午餐",
        ),
        Column("price", "价格（元）", amount, "原价，补贴前的价格，如 12.50", required=True, numeric=quantity),
        Column("since", "价格起始日", day, "这个价格从哪一天起，今天或以后；空着即今天起", numeric=written_day),
        Column("tags", "补贴标签", listed(code), "补贴标准里提到的菜品类别标签，可填多个；没有的填“无”"),
        Column("position", "顺序", whole(0, 999), "收银按钮的先后；空着不改动", width=8, numeric=quantity),
        Column("state", "状态", one_of(STATES), "在售、停售；空着不改动", width=8),
    ),
    rows=20_000,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One dish. `fen` is its new price from `since` on, None where it has that price already; `ends`: None for no change."""

    kind: str
    canteen: str
    item_id: str
    item: NewItem
    fen: Fen | None
    since: date
    ends: bool | None


class Menus:
    """One run over a file of menus. `within`: the canteens that the importer answers for; None is everywhere."""

    template: ClassVar = MENUS
    chunk: ClassVar = MENUS.rows

    def __init__(self, session: Session, within: frozenset[str] | None, by: str) -> None:
        self._within = within
        self._today = clock.today()
        self._canteens = set(session.execute(select(Canteen.id)).scalars())
        self._known = {each.id: each for each in session.execute(select(MenuItem)).scalars()}
        self._prices: dict[str, list[tuple[date, Fen]]] = {}
        prices = select(MenuPrice.item_id, MenuPrice.from_day, MenuPrice.fen)
        for item_id, from_day, fen in session.execute(prices.order_by(MenuPrice.from_day, MenuPrice.n)):
            self._prices.setdefault(item_id, []).append((from_day, fen))

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        seen, found = dict[tuple[str, date], int](), list[Change]()
        for row in rows:
            if row.faults:
                continue
            item_id = full_id(row.values["canteen"], row.values["id"])
            since = row.values.get("since", self._today)
            if (before := seen.setdefault((item_id, since), row.number)) != row.number:
                row.refuse("菜品编号", BadCell(f"与第 {before} 行相同，请只保留一行。"))
            self._check(row, item_id)
            if not row.faults and (change := self._change(row, item_id, since)) is not None:
                found.append(change)
        return found

    def write(self, session: Session, changed: Sequence[Change], recorded: int, by: str) -> None:
        for each in changed:
            changes.write_item(session, each.canteen, each.item_id, each.item)
            if each.fen is not None:
                changes.write_price(session, each.item_id, each.fen, each.since, by=by, recorded=recorded)
            if each.ends is not None:
                session.get_one(MenuItem, each.item_id).ended_on = self._today if each.ends else None
        session.flush()

    def _check(self, row: Row, item_id: str) -> None:
        canteen = row.values["canteen"]
        if canteen not in self._canteens or (self._within is not None and canteen not in self._within):
            row.refuse("食堂编号", BadCell("没有这个食堂，或不在您负责的范围内，请核对。"))
        known = self._known.get(item_id)
        if known is not None and known.canteen_id != canteen:
            row.refuse("菜品编号", BadCell("与另一食堂的菜品编号重复，请换一个编号。"))

    def _change(self, row: Row, item_id: str, since: date) -> Change | None:
        values, known = row.values, self._known.get(item_id)
        item = NewItem(
            values["name"],
            values["category"],
            values.get("periods", tuple(known.periods.split()) if known else ("lunch",)),
            values.get("tags", tuple(known.tags.split()) if known else ()),
            values.get("position", known.position if known else 0),
        )
        own = self._prices.get(item_id, [])
        current = next((fen for from_day, fen in reversed(own) if from_day <= since), None)
        fen = None if current == values["price"] else values["price"]
        if fen is not None and since < self._today:
            row.refuse("价格起始日", changes.PricePassed())
            return None
        ended = known is not None and known.ended_on is not None
        stated = values.get("state")
        ends = (stated == "off") if stated is not None and (stated == "off") != ended else None
        same = known is not None and fen is None and ends is None and _as_entered(known) == _stored(item)
        kind = "same" if same else "changed" if known else "new"
        if fen is not None:
            self._prices[item_id] = sorted([*(one for one in own if one[0] != since), (since, fen)])
        return Change(kind, values["canteen"], item_id, item, fen, since, ends)


def full_id(canteen: str, number: str) -> str:
    """Return the id of a dish by its number within the canteen, or by that id itself."""
    return number if number.startswith(f"{canteen}-") else f"{canteen}-{number}"


def rows_of_menus(session: Session, canteens: Iterable[str]) -> list[list[str]]:
    """Return the menus as they are today, as rows of the template: to change and hand in again."""
    today, found = clock.today(), list[list[str]]()
    for canteen in sorted(canteens):
        items = offers.items_of(session, canteen, today)
        fen = offers.prices_on(session, [item.id for item in items], today)
        for item in items:
            words: dict[str, Any] = {
                "canteen": canteen,
                "id": item.id.removeprefix(f"{canteen}-"),
                "name": item.name,
                "category": CATEGORIES[item.category],
                "periods": "、".join(MEALS[meal] for meal in item.periods.split()) or "无",
                "price": money.show(fen[item.id]) if item.id in fen else "",
                "tags": "、".join(item.tags.split()) or "无",
                "position": str(item.position),
                "state": STATES["on"],
            }
            found.append([words.get(column.key, "") for column in MENUS.columns])
    return found


def _as_entered(item: MenuItem) -> tuple[object, ...]:
    return item.name, item.category, item.periods, item.tags, item.position


def _stored(item: NewItem) -> tuple[object, ...]:
    periods = " ".join(meal for meal in MEALS if meal in item.periods)
    return item.name, item.category, periods, " ".join(sorted(set(item.tags))), item.position
