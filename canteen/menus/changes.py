"""Changing a menu: dishes, prices from a day on, the plan of a day, sold out. Each act is one event, heard by the tills.

All run inside the caller's transaction. The caller has checked that `by` may change the canteen's menu.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.errors import Conflict, Invalid, Missing
from canteen.menus import offers
from canteen.menus.models import CATEGORIES, MenuItem, MenuPlan, MenuPrice, SoldOut
from canteen.money import Fen
from canteen.places import MEALS

DEAREST: Final = 100_000  # fen
LONGEST: Final = 30  # characters of a name
AHEAD: Final = 60  # days that a plan may lie ahead


class NoItem(Missing):
    code = "menu_item_not_found"
    message = "没有找到这个菜品，请刷新后再试。"


class BadItem(Invalid):
    code = "menu_item_invalid"
    message = f"请填写菜品名称（最多 {LONGEST} 个字）并选择类别。"


class BadPrice(Invalid):
    code = "menu_price_invalid"
    message = "价格请填 0 到 1000 元之间的金额，最多两位小数，如 12.50。"


class PricePassed(Conflict):
    code = "menu_price_passed"
    message = "价格只能从今天或以后的日期起改：已经卖出的按当时的价格，不能改。"


class BadPlan(Invalid):
    code = "menu_plan_invalid"
    message = f"菜单只能安排今天起 {AHEAD} 天以内的早餐、午餐或晚餐，请核对日期。"


class NothingToCopy(Invalid):
    code = "menu_plan_empty"
    message = "上一周没有安排过菜单，没有可以复制的内容。"


@dataclass(frozen=True, slots=True)
class NewItem:
    """A dish as entered: `periods` in which it is sold on days without a plan, `tags` that rules speak of."""

    name: str
    category: str = "set"
    periods: tuple[str, ...] = ("lunch",)
    tags: tuple[str, ...] = ()
    position: int = 0


def item_of(session: Session, item_id: str) -> MenuItem:
    """Return an item. Raises NoItem."""
    found = session.get(MenuItem, item_id)
    if found is None:
        raise NoItem
    return found


def add(session: Session, canteen_id: str, new: NewItem, fen: Fen, from_day: date, *, by: str) -> str:
    """Add an item with its first price and return its id, numbered within the canteen. Raises BadItem and of `price`."""
    events.wait(session)
    count = session.execute(select(func.count()).where(MenuItem.canteen_id == canteen_id)).scalar_one()
    item_id = f"{canteen_id}-{count + 1:03d}"
    while session.get(MenuItem, item_id) is not None:
        count += 1
        item_id = f"{canteen_id}-{count + 1:03d}"
    recorded = events.record(session, "menu.item", canteen_id, by=by, body={"item": item_id, "new": True})
    write_item(session, canteen_id, item_id, new)
    write_price(session, item_id, fen, from_day, by=by, recorded=recorded)
    return item_id


def amend(session: Session, item_id: str, new: NewItem, *, by: str) -> None:
    """Change what an item is called and when it is sold. Its price is none of this. Raises NoItem, BadItem."""
    item = item_of(session, item_id)
    events.record(session, "menu.item", item.canteen_id, by=by, body={"item": item_id})
    write_item(session, item.canteen_id, item_id, new)


def end(session: Session, item_id: str, *, on: date | None, by: str) -> None:
    """Sell an item no longer from a day on, or with None again. Raises NoItem."""
    item = item_of(session, item_id)
    ended = on.isoformat() if on else None
    events.record(session, "menu.item", item.canteen_id, by=by, body={"item": item_id, "ended": ended})
    item.ended_on = on
    session.flush()


def price(session: Session, item_id: str, fen: Fen, from_day: date, *, by: str) -> None:
    """Give an item a price from a day on, today at the earliest. Raises NoItem, BadPrice, PricePassed."""
    item = item_of(session, item_id)
    body = {"item": item_id, "fen": fen, "from": from_day.isoformat()}
    recorded = events.record(session, "menu.price", item.canteen_id, by=by, body=body)
    write_price(session, item_id, fen, from_day, by=by, recorded=recorded)


def plan(session: Session, canteen_id: str, meals: Iterable[tuple[date, str, Collection[str]]], *, by: str) -> None:
    """Plan meals, each as day, period and items, replacing what was planned; no items: as on days without a plan.

    Raises BadPlan, NoItem.
    """
    planned = [(day, period, sorted(set(items))) for day, period, items in meals]
    own = set(session.execute(select(MenuItem.id).where(MenuItem.canteen_id == canteen_id)).scalars())
    today = clock.today()
    for day, period, items in planned:
        if period not in MEALS or not today <= day <= today + timedelta(days=AHEAD):
            raise BadPlan
        if not own.issuperset(items):
            raise NoItem
    body = {"meals": [[day.isoformat(), period, items] for day, period, items in planned]}
    events.record(session, "menu.plan", canteen_id, by=by, body=body)
    for day, period, items in planned:
        session.execute(
            delete(MenuPlan).where(MenuPlan.day == day, MenuPlan.period == period, MenuPlan.item_id.in_(own))
        )
        if items:
            session.execute(insert(MenuPlan), [{"item_id": item, "day": day, "period": period} for item in items])


def planned(session: Session, canteen_id: str, days: Sequence[date]) -> dict[tuple[date, str], set[str]]:
    """Return the items planned for each meal of these days that has a plan."""
    query = (
        select(MenuPlan.day, MenuPlan.period, MenuPlan.item_id)
        .join(MenuItem, MenuItem.id == MenuPlan.item_id)
        .where(MenuItem.canteen_id == canteen_id, MenuPlan.day.in_(days))
    )
    found: dict[tuple[date, str], set[str]] = {}
    for day, period, item_id in session.execute(query):
        found.setdefault((day, period), set()).add(item_id)
    return found


def copy_week(session: Session, canteen_id: str, monday: date, *, by: str) -> int:
    """Plan the days of the week from `monday` that are not over as those seven days before; return how many meals.

    Items that are sold no longer are left out. Raises NothingToCopy.
    """
    today, week = clock.today(), timedelta(days=7)
    days = [monday + timedelta(days=n) for n in range(7)]
    before = planned(session, canteen_id, [day - week for day in days])
    live = {day: {item.id for item in offers.items_of(session, canteen_id, day)} for day in days}
    meals = [
        (day + week, period, items & live[day + week]) for (day, period), items in before.items() if day + week >= today
    ]
    if not meals:
        raise NothingToCopy
    plan(session, canteen_id, meals, by=by)
    return len(meals)


def sold_out(session: Session, item_id: str, day: date, period: str, *, gone: bool, by: str) -> None:
    """Mark an item as sold out at a meal, or as on sale again. Nothing new: nothing happens. Raises NoItem, BadPlan."""
    if period not in MEALS:
        raise BadPlan
    item = item_of(session, item_id)
    events.wait(session)
    known = session.get(SoldOut, (item_id, day, period), populate_existing=True)
    if gone == (known is not None and known.gone):
        return
    body = {"item": item_id, "day": day.isoformat(), "period": period, "gone": gone}
    events.record(session, "menu.sold_out", item.canteen_id, by=by, body=body)
    if known is None:
        session.add(SoldOut(item_id=item_id, day=day, period=period, gone=gone))
    else:
        known.gone = gone
    session.flush()


def write_item(session: Session, canteen_id: str, item_id: str, new: NewItem) -> None:
    """Write an item, under an event of the caller's. Raises BadItem."""
    name = new.name.strip()
    if not 0 < len(name) <= LONGEST or not name.isprintable() or new.category not in CATEGORIES:
        raise BadItem
    item = session.get(MenuItem, item_id)
    if item is None:
        item = MenuItem(id=item_id, canteen_id=canteen_id)
        session.add(item)
    item.name, item.category, item.position = name, new.category, new.position
    item.periods = " ".join(meal for meal in MEALS if meal in new.periods)
    item.tags = " ".join(sorted(set(new.tags)))
    session.flush()


def write_price(session: Session, item_id: str, fen: Fen, from_day: date, *, by: str, recorded: int) -> None:
    """Write a price, under an event of the caller's. Raises BadPrice, PricePassed."""
    today = clock.today()
    if not 0 <= fen <= DEAREST:
        raise BadPrice
    if from_day < today:
        raise PricePassed
    same = select(func.count()).where(MenuPrice.item_id == item_id, MenuPrice.from_day == from_day)
    n = session.execute(same).scalar_one() + 1
    session.add(
        MenuPrice(
            item_id=item_id, from_day=from_day, n=n, fen=fen, entered=today, by=by, at=clock.now(), recorded=recorded
        )
    )
    session.flush()
