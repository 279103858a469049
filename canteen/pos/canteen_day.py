"""A canteen on one day, cached until an event concerns it: places and rulebooks change only by events.

At noon nothing of this changes, and reading it from the database at each scan would cost more than the sale itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from canteen import calendars, concerns, places
from canteen.calendars import DayKind
from canteen.memory import Head, Kept
from canteen.places import Canteen, Contract, NoCanteen, Window
from canteen.pos.flags import DAY_PROVISIONAL, Flag
from canteen.rulebooks import layers
from canteen.rulebooks.layers import InForce


@dataclass(frozen=True, slots=True)
class CanteenDay:
    """A canteen with its contract (None without a valid one), areas (most general first), windows and rules on one day."""

    canteen: Canteen
    contract: Contract | None
    areas: tuple[str, ...]
    windows: tuple[Window, ...]
    serves: bool
    book: InForce
    day_kind: DayKind
    notes: tuple[Flag, ...]  # noted of each meal of the day; they exclude nothing


_kept: Kept[CanteenDay] = Kept(1024)


def canteen_day(session: Session, canteen_id: str, day: date, head: Head) -> CanteenDay:
    """Return the canteen on `day`, as known at the head of the events. Raises NoCanteen."""
    return _kept.get(session, head, (canteen_id, day), lambda: _read(session, canteen_id, day), _concerns)


def concerns_at(areas: Iterable[str], canteen_id: str) -> Iterator[str]:
    """Name what a canteen in these areas is read from, on whatever day."""
    yield concerns.PLACES
    for node in (*areas, canteen_id):
        yield concerns.node(node)


def _concerns(found: CanteenDay) -> Iterator[str]:
    return concerns_at(found.areas, found.canteen.id)


def _read(session: Session, canteen_id: str, day: date) -> CanteenDay:
    canteen = session.get(Canteen, canteen_id, populate_existing=True)  # not as this session read it before the head
    if canteen is None:
        raise NoCanteen
    contract = places.find_contract(session, canteen_id, day)
    areas = tuple(places.path(session, canteen.area_id, day))
    book = layers.in_force(session, canteen_id, areas, day)
    found = CanteenDay(
        canteen,
        contract,
        areas,
        tuple(places.windows_on(session, canteen_id, day)),
        places.serves_on(session, canteen_id, day),
        book,
        calendars.kind_on(session, day),
        (DAY_PROVISIONAL,) if book.asks_day_kind and calendars.is_provisional(session, day) else (),
    )
    session.expunge(canteen)
    if contract is not None:
        session.expunge(contract)
    return found
