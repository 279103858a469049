"""What a canteen offers on a day, kept in memory until an event concerns its menu; prices as they are on any day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import concerns
from canteen.memory import Head, Kept
from canteen.menus.models import MenuItem, MenuPlan, MenuPrice, SoldOut
from canteen.money import Fen
from canteen.places import MEALS


@dataclass(frozen=True, slots=True)
class Offer:
    """An item on offer at a meal of a day, with its price; `tags` name the item sets that rules speak of."""

    id: str
    name: str
    fen: Fen
    tags: tuple[str, ...]
    period: str
    sold_out: bool = False


_kept: Kept[tuple[Offer, ...]] = Kept(1024)


def offers_on(session: Session, canteen_id: str, day: date, head: Head) -> tuple[Offer, ...]:
    """Return what is on offer on `day`, by meal and in the order of the menu; an item of two meals twice."""
    concerned = (concerns.MENUS, concerns.menu(canteen_id))
    return _kept.get(
        session, head, (canteen_id, day), lambda: read_offers(session, canteen_id, day), lambda _: concerned
    )


def read_offers(session: Session, canteen_id: str, day: date) -> tuple[Offer, ...]:
    """Read the same from the database."""
    items = items_of(session, canteen_id, day)
    ids = [item.id for item in items]
    fen = prices_on(session, ids, day)
    rows = session.execute(
        select(MenuPlan.period, MenuPlan.item_id).where(MenuPlan.day == day, MenuPlan.item_id.in_(ids))
    )
    planned: dict[str, set[str]] = {}
    for period, item_id in rows:
        planned.setdefault(period, set()).add(item_id)
    out = select(SoldOut.period, SoldOut.item_id).where(SoldOut.day == day, SoldOut.item_id.in_(ids), SoldOut.gone)
    gone = {(period, item_id) for period, item_id in session.execute(out)}
    return tuple(
        Offer(item.id, item.name, fen[item.id], tuple(item.tags.split()), meal, (meal, item.id) in gone)
        for meal in MEALS
        for item in items
        if item.id in fen and (item.id in planned[meal] if meal in planned else meal in item.periods.split())
    )


def items_of(session: Session, canteen_id: str, day: date) -> list[MenuItem]:
    """Return the items of a canteen that are not ended on `day`, in the order of the menu."""
    lives = MenuItem.ended_on.is_(None) | (MenuItem.ended_on > day)
    query = select(MenuItem).where(MenuItem.canteen_id == canteen_id, lives)
    return list(session.execute(query.order_by(MenuItem.position, MenuItem.id)).scalars())


def prices_on(session: Session, item_ids: Iterable[str], day: date) -> dict[str, Fen]:
    """Return the list price on `day` of each of these items that has one."""
    query = (
        select(MenuPrice.item_id, MenuPrice.fen)
        .where(MenuPrice.item_id.in_(list(item_ids)), MenuPrice.from_day <= day)
        .order_by(MenuPrice.from_day, MenuPrice.n)
    )
    return dict(session.execute(query).all())


def prices_of(session: Session, item_id: str) -> list[MenuPrice]:
    """Return every price that an item ever had or will have, the newest day first."""
    query = select(MenuPrice).where(MenuPrice.item_id == item_id)
    return list(session.execute(query.order_by(MenuPrice.from_day.desc(), MenuPrice.n.desc())).scalars())
