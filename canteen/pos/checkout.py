"""Booking of a checkout in one transaction (decisions 0003, 0005 and 0006). The hot path.

The price is the one quoted at the scan; nothing here changes what the elder paid. What our own quote or a
taken slot does not cover is excluded from the claim in the same transaction, with its reason.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import events, memory, places
from canteen.errors import Conflict, Invalid
from canteen.ledger.models import Transfer
from canteen.money import Fen
from canteen.policy.case import Meal
from canteen.pos import (
    checkout_reads,
    checkout_rows,
    evidence,
    pricing,
    sale_rows,
    service_time,
    share_terms,
    slots,
    stamps,
    verdicts,
)
from canteen.pos.arrivals import Arrival
from canteen.pos.checkout_reads import UnderLocks
from canteen.pos.orders import Checkout, SaleOrder
from canteen.pos.pricing import Place
from canteen.registry.elders import Known, NoElder
from canteen.rulebooks import layers


class SaleConflict(Conflict):
    code = "sale_conflict"
    message = "这笔就餐与先前的记录编号相同而内容不同，已单独保存，请联系系统运维处理。"


class ElderUnknown(Invalid):
    code = "elder_unknown"
    message = "记录中的老人不在名册中，已单独保存，请联系社区核对。"


class ForeignCanteen(Invalid):
    code = "foreign_canteen"
    message = "这条记录属于别的食堂，已单独保存，请联系系统运维核对。"


@dataclass(frozen=True, slots=True)
class Booked:
    """Outcome 'created', 'kept' (booked, with fen excluded from the claim) or 'have' (booked before); the exclusions."""

    outcome: str
    excluded: tuple[tuple[uuid.UUID, Fen, str], ...]


def ring_up(session: Session, order: Checkout, arrival: Arrival) -> Booked:
    """Book one checkout: its sales, slots and transfers, all or nothing, inside the caller's transaction.

    Idempotent (P1). Raises SaleConflict: same id, other content (P2); ElderUnknown, QuoteInconsistent, NoCanteen,
    NoContract: the record waits in quarantine. Raises slots.RetryTransaction.
    """
    if order.sales[0].canteen != arrival.canteen_id:
        raise ForeignCanteen
    given = [stamps.read(sale.stamp, tablet=arrival.tablet_id) for sale in order.sales]
    stamped = [s if s and _fits(s, sale) else None for sale, s in zip(order.sales, given, strict=True)]
    times = [service_time.of(sale, order, arrival, stamp) for sale, stamp in zip(order.sales, stamped, strict=True)]
    place = pricing.place_at(session, order.sales[0].canteen, times[0].scanned_at, arrival.head)
    contract = place.contract or places.last_contract(session, place.canteen.id, place.day)
    persons = _persons(session, order, place)
    unproven = evidence.flags(session, order, arrival, place, times, stamped)

    eaten = [_eaten(sale, place, persons) for sale in order.sales]
    roots = {person.root for person in persons.values()}
    period, locked = checkout_reads.lock(session, contract, place.day, roots)
    if locked != roots:
        raise ElderUnknown
    found = _look(session, order, place, eaten)
    before, place = _before(session, order, place, persons.values(), found)
    if before:
        return before
    meals = ((place.book, pricing.diner_of(person), meal, person) for person, meal in eaten)
    pricing.lock_limits(session, meals, most=sum(meal.list_fen for _, meal in eaten))

    rows = None if pricing.has_shared(place.book) else found.slots
    judged = verdicts.judge_all(session, order, times, place, eaten, unproven, rows)
    layers.keep(session, place.book)
    share_terms.keep(session, [share_terms.of(j.sold.shares) for j in judged])
    slots.write_draws(session, (draw for j in judged for draw in j.draws))
    checkout_rows.write(session, sale_rows.of_checkout(session, order, arrival, judged, place, period))
    excluded = tuple((j.order.id, v.excluded, v.reason) for j in judged for v in j.verdicts if v.excluded)
    return Booked("kept" if excluded else "created", excluded)


def _fits(stamp: stamps.Stamp, sale: SaleOrder) -> bool:
    """Tell whether the stamp was issued for what was sold."""
    return (
        stamp.canteen == sale.canteen
        and stamp.input_hash == sale.input_hash
        and stamp.rulebook == sale.rulebook
        and stamp.due == sale.quote.get("due")
        and stamp.elder == (str(sale.elder) if sale.elder else None)
        and stamp.credential == sale.credential
    )


def _persons(session: Session, order: Checkout, place: Place) -> dict[uuid.UUID, Known]:
    """Read what is known of each elder of the checkout. Raises ElderUnknown."""
    try:
        return {sale.elder: pricing.known(session, sale.elder, place) for sale in order.sales if sale.elder}
    except NoElder as error:
        raise ElderUnknown from error


def _look(session: Session, order: Checkout, place: Place, eaten: Iterable[tuple[Known | None, Meal]]) -> UnderLocks:
    """Look under the locks of the persons: for these sales, and for the slots that their prices depend on."""
    counted_for, windows = set[uuid.UUID](), set[str]()
    for person, meal in eaten:
        need = pricing.needed(place.book, pricing.diner_of(person), meal, pricing.counted_ids(person, place))
        counted_for |= {*need.counted_for}
        windows |= {*need.windows}
    return checkout_reads.look(session, [sale.id for sale in order.sales], sorted(counted_for), sorted(windows))


def _before(
    session: Session, order: Checkout, place: Place, persons: Iterable[Known], found: UnderLocks
) -> tuple[Booked | None, Place]:
    """Return the earlier answer if these sales arrived before, and the place as known now.

    Looked up after the locks: two tabs may race. Raises slots.RetryTransaction if an event recorded since the place was
    read concerns the place or a person, since a merge may change whom to lock.
    """
    wanted = {sale.id: sale.content_hash for sale in order.sales}
    if found.head != place.head[0]:
        head = events.head(session)
        if memory.concerned_since(session, place.head, head, pricing.concerns_of(place, persons)):
            raise slots.RetryTransaction
        place = replace(place, head=head)
    known = found.sales
    if not known:
        return None, place
    if known != wanted:
        raise SaleConflict
    verdicts = session.execute(
        select(Transfer.sale_id, func.sum(Transfer.fen), func.min(Transfer.reason))
        .where(Transfer.sale_id.in_(wanted), Transfer.movement == "verdict", Transfer.cause.like("sale:%"))
        .group_by(Transfer.sale_id, Transfer.share_n)
        .order_by(Transfer.sale_id)
    )
    excluded = tuple((sale, int(fen), reason) for sale, fen, reason in verdicts if sale)
    return Booked("have", excluded), place


def _eaten(sale: SaleOrder, place: Place, persons: dict[uuid.UUID, Known]) -> tuple[Known | None, Meal]:
    """Return who ate what, as the rules see it."""
    meal = pricing.meal_of(place, sale.mode, sale.lines, sale.amount)
    return persons.get(sale.elder) if sale.elder else None, meal
