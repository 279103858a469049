"""What a canteen offers on a day, kept in memory until an event concerns its menu; prices as they are on any day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
    return read_days(session, canteen_id, [day])[day]


def read_days(session: Session, canteen_id: str, days: Sequence[date]) -> dict[date, tuple[Offer, ...]]:
    """Read what is on offer on each of these days, in four statements."""
    items = items_of(session, canteen_id, min(days))
    ids = [item.id for item in items]
    prices = select(MenuPrice.item_id, MenuPrice.from_day, MenuPrice.fen).where(MenuPrice.item_id.in_(ids))
    priced = session.execute(prices.order_by(MenuPrice.from_day, MenuPrice.n)).all()
    plans = select(MenuPlan.day, MenuPlan.period, MenuPlan.item_id)
    planned: dict[tuple[date, str], set[str]] = {}
    for day, period, item_id in session.execute(plans.where(MenuPlan.day.in_(days), MenuPlan.item_id.in_(ids))):
        planned.setdefault((day, period), set()).add(item_id)
    out = select(SoldOut.day, SoldOut.period, SoldOut.item_id)
    out = out.where(SoldOut.day.in_(days), SoldOut.item_id.in_(ids), SoldOut.gone)
    gone = {(day, period, item_id) for day, period, item_id in session.execute(out)}

    def of(day: date) -> Iterator[Offer]:
        fen = {item_id: price for item_id, from_day, price in priced if from_day <= day}
        for meal in MEALS:
            plan = planned.get((day, meal))
            for item in items:
                serves = meal in item.periods.split() if plan is None else item.id in plan
                if serves and item.id in fen and (item.ended_on is None or item.ended_on > day):
                    tags = tuple(item.tags.split())
                    yield Offer(item.id, item.name, fen[item.id], tags, meal, (day, meal, item.id) in gone)

    return {day: tuple(of(day)) for day in days}


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
