"""A canteen on a day, kept in memory until the next event: places and rulebooks change by events alone.

At noon nothing of this changes, and asking the database for it at each scan would cost more than the sale itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from canteen import calendars, events, places
from canteen.calendars import DayKind
from canteen.places import Canteen, Contract, Window
from canteen.pos.flags import DAY_PROVISIONAL, Flag
from canteen.rulebooks import layers
from canteen.rulebooks.layers import InForce


@dataclass(frozen=True, slots=True)
class Here:
    """`contract` is None where none holds; `areas` are the codes the canteen lies in, most general first."""

    canteen: Canteen
    contract: Contract | None
    areas: tuple[str, ...]
    windows: tuple[Window, ...]
    serves: bool
    book: InForce
    day_kind: DayKind
    notes: tuple[Flag, ...]  # what is noted of each meal of the day, without barring it


_kept: events.Kept[Here] = events.Kept(1024)


def here(session: Session, canteen_id: str, day: date, head: tuple[int, str]) -> Here:
    """The canteen as it stands on `day`, as known at the head of the events. Raises NoCanteen."""
    return _kept.get(session, head, (canteen_id, day), lambda: _read(session, canteen_id, day))


def _read(session: Session, canteen_id: str, day: date) -> Here:
    canteen = places.canteen(session, canteen_id)
    contract = places.find_contract(session, canteen_id, day)
    areas = tuple(places.path(session, canteen.area_id, day))
    book = layers.in_force(session, canteen_id, areas, day)
    found = Here(
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
