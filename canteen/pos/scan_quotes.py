"""Quotes at the scan, read only. The answer carries a stamp that the sale sends back (decision 0003)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from canteen import clock
from canteen.errors import Invalid
from canteen.memory import Head
from canteen.menus import offers
from canteen.menus.offers import Offer
from canteen.money import Fen
from canteen.pos import pricing, repeats, stamps
from canteen.pos.orders import Line
from canteen.pos.pricing import Place, Priced
from canteen.registry import elder_titles
from canteen.registry.credentials import UnknownCard
from canteen.registry.elders import Known
from canteen.registry.titles import Title


class ItemUnknown(Invalid):
    code = "item_unknown"
    message = "所选套餐今天没有供应，请刷新菜单后重选。"


@dataclass(frozen=True, slots=True)
class Asked:
    """One sale to be quoted: a scan, a credential from an earlier answer, or a guest; and what is on the tray."""

    scan: str | None
    credential: str | None
    guest: str | None
    mode: str
    items: tuple[tuple[str, int], ...]  # (menu item, quantity)
    amount: Fen | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One sale quoted. `repeat`: the message to the counter if limits leave no subsidy for it; '' for most."""

    elder_id: uuid.UUID | None
    credential: str | None
    title: Title | None
    photo: bytes | None  # JPEG
    guest: str | None
    mode: str
    lines: tuple[Line, ...]
    amount: Fen | None
    priced: Priced
    rulebook: str
    stamp: str
    repeat: str


@dataclass(frozen=True, slots=True)
class Quoted:
    """A whole checkout quoted at `at`; the place's flags say what is unusual about it."""

    at: datetime
    place: Place
    answers: tuple[Answer, ...]


def quote(
    session: Session,
    canteen_id: str,
    asked: Sequence[Asked],
    *,
    tablet_id: str,
    cashier: str | None = None,
    head: Head | None = None,
) -> Quoted:
    """Quote a checkout as if sold now, the sales in their order; a person's second meal sees the first.

    cashier  who is logged in at the tablet and asks: the stamps prove it
    head     the newest event, if it was read just now

    Raises NoCanteen, ScanMalformed, ScanForeign, UnknownCard, BlockedCard, UnboundCard, ItemUnknown, CannotPrice.
    """
    at = stamps.instant(clock.now())
    place = pricing.place_at(session, canteen_id, at, head)
    menu = {item.id: item for item in offers.offers_on(session, canteen_id, place.day, place.head)}
    supposed: pricing.Supposed = []
    answers = []
    for each in asked:
        who = _who(session, each, place)
        lines = tuple(_line(menu, item, quantity) for item, quantity in each.items)
        meal = pricing.meal_of(place, each.mode, lines, each.amount)
        known, digest = who or (None, None)
        ids = pricing.counted_ids(known, place)
        usages = pricing.usages_now(session, place, known, meal)
        usages = pricing.with_supposed(usages, supposed, ids, place.day)
        priced = pricing.price(place.book, pricing.diner_of(known, each.guest or "guest"), meal, usages)
        stamp = stamp_of(tablet_id, cashier, at, place, known, digest, priced)
        title = pricing.title(session, known, place) if known is not None else None
        answers.append(
            Answer(
                known.id if known else None,
                digest,
                title,
                elder_titles.photo(session, known.ids) if known and title and title.photo else None,
                None if known else each.guest or "guest",
                each.mode,
                lines,
                each.amount,
                priced,
                place.book.hash,
                stamp,
                repeats.message(place.book.book, priced),
            )
        )
        pricing.suppose(supposed, priced.quote, ids)
    return Quoted(at, place, tuple(answers))


def _who(session: Session, asked: Asked, place: Place) -> tuple[Known, str] | None:
    if asked.scan is not None:
        return pricing.scanned(session, asked.scan, place)
    if asked.credential is not None:
        holder = pricing.holder_of(session, asked.credential, place, clock.now())
        if holder is None:
            raise UnknownCard
        return pricing.known(session, holder, place), asked.credential
    return None


def _line(menu: dict[str, Offer], item_id: str, quantity: int) -> Line:
    item = menu.get(item_id)
    if item is None:
        raise ItemUnknown
    return Line(item.id, item.name, item.fen, quantity, item.tags)


def stamp_of(
    tablet_id: str,
    cashier: str | None,
    at: datetime,
    place: Place,
    known: Known | None,
    digest: str | None,
    priced: Priced,
) -> str:
    """Issue the stamp on the quote of one sale: of whom, by which card (`digest`), at which price."""
    return stamps.issue(
        stamps.Stamp(
            tablet=tablet_id,
            at_ms=round(at.timestamp() * 1000),
            canteen=place.canteen.id,
            elder=str(known.id) if known else None,
            credential=digest,
            input_hash=priced.hash,
            rulebook=place.book.hash,
            due=priced.quote.due,
            cashier=cashier,
        )
    )
