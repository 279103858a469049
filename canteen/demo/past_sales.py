"""The sales of months over, written many in a transaction: quoted, sealed and judged as a checkout is, but nothing read.

Only for whom nothing has to be read: at the counter's hours, by the price just quoted, the first meal of the day of
somebody who is known from the first day as on the last. The row makers are the checkout's own; that the rows are what
checkouts would have left is shown by the database's constraints and by `canteen period verify`.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime

from sqlalchemy.orm import Session

from canteen import clock, keyset
from canteen.db import intern, transaction
from canteen.demo import bulk
from canteen.demo.bulk import Rows
from canteen.demo.tills import SENDING, DemoFailed, Document, Rung, Till, Wish
from canteen.ledger import periods
from canteen.ledger.models import Period
from canteen.menus import offers
from canteen.menus.offers import Offer
from canteen.pos import (
    checkout_rows,
    envelope,
    orders,
    pricing,
    sale_rows,
    scan_quotes,
    service_time,
    share_terms,
    stamps,
    verdicts,
)
from canteen.pos.arrivals import Arrival
from canteen.pos.checkout_rows import Checked
from canteen.pos.models import QuoteInput, Record
from canteen.pos.orders import Line
from canteen.pos.pricing import Place
from canteen.pos.scan_quotes import Answer, Quoted
from canteen.registry.elders import Known
from canteen.rulebooks import layers


class PastSales:
    """Sales rung up and not yet written. `holders`: elder by the digest of their card."""

    def __init__(self, holders: dict[str, uuid.UUID]) -> None:
        self._holders = holders
        self._known: dict[uuid.UUID, Known] = {}
        self._menus: dict[str, dict[str, Offer]] = {}
        self._waiting: list[tuple[Quoted, Document, Till, datetime]] = []

    def ring(self, till: Till, at: datetime, wishes: Sequence[Wish], *, pays: str, how: str, mode: str) -> Rung:
        """Ring up a checkout as `Till.ring` does; it is in the database after the next `write`."""
        with keyset.reader() as session, clock.at(at):
            quoted = self._quoted(session, till, at, wishes, mode)
        if quoted.place.flags:
            raise DemoFailed(f"{till.tablet} at {at}: {quoted.place.flags}")
        rung = till.sell(quoted, at, pays=pays, how=how)
        (sealed,) = till.taken()
        self._waiting.append((quoted, sealed, till, at + SENDING))
        return rung

    def write(self) -> None:
        """Write all that was rung up since, in its order. Raises DemoFailed, IntegrityError."""
        if not self._waiting:
            return
        with transaction() as session:
            connection = session.connection()
            ids = bulk.record_ids(connection, len(self._waiting))
            rows: Rows = defaultdict(list)
            gates: dict[tuple[str, date], Period] = {}
            for (quoted, sealed, till, at), number in zip(self._waiting, ids, strict=True):
                with clock.at(at):
                    _add(rows, self._checked(session, gates, quoted, sealed, till, at), number)
            intern(session, QuoteInput, rows.pop(QuoteInput))
            bulk.write(connection, rows)
        self._waiting.clear()

    def _quoted(self, session: Session, till: Till, at: datetime, wishes: Sequence[Wish], mode: str) -> Quoted:
        head = (
            self._waiting[-1][0].place.head if self._waiting else None
        )  # what records an event has all written before
        place = pricing.place_at(session, till.canteen, at, head)
        if till.canteen not in self._menus:
            offered = offers.offers_on(session, till.canteen, place.day, place.head)
            self._menus[till.canteen] = {each.id: each for each in offered}
        menu = self._menus[till.canteen]
        return Quoted(at, place, tuple(self._answer(session, till, at, place, menu, wish, mode) for wish in wishes))

    def _answer(
        self, session: Session, till: Till, at: datetime, place: Place, menu: dict[str, Offer], wish: Wish, mode: str
    ) -> Answer:
        person = self._person(session, self._holders[wish.credential], place) if wish.credential else None
        guest = None if person else "guest"
        lines: tuple[Line, ...] = ()
        if wish.item:
            dish = menu[wish.item]
            lines = (Line(dish.id, dish.name, dish.fen, 1, dish.tags),)
        meal = pricing.meal_of(place, mode, lines, wish.amount)
        priced = pricing.price(place.book, pricing.diner_of(person, guest or ""), meal, {})
        today = str(clock.civil(place.day))
        fresh = (today, f"{today}/{place.period}")
        if any(use.scope != "person" or use.window not in fresh for use in priced.quote.uses):
            raise DemoFailed(f"{till.tablet} at {at}: a limit of which somebody may have used something before")
        stamp = scan_quotes.stamp_of(till.tablet, None, at, place, person, wish.credential, priced)
        return Answer(
            person.id if person else None,
            wish.credential,
            None,
            None,
            guest,
            mode,
            lines,
            wish.amount,
            priced,
            place.book.hash,
            stamp,
            "",
        )

    def _person(self, session: Session, elder: uuid.UUID, place: Place) -> Known:
        if elder not in self._known:
            self._known[elder] = pricing.known(session, elder, place)
        return self._known[elder]

    def _checked(
        self,
        session: Session,
        gates: dict[tuple[str, date], Period],
        quoted: Quoted,
        sealed: Document,
        till: Till,
        at: datetime,
    ) -> Checked:
        """Make the rows of one checkout, as `checkout.ring_up` would have at its arrival."""
        place = quoted.place
        arrival = Arrival(envelope.read(sealed), till.tablet, till.canteen, at, place.head)
        order = orders.read_checkout(arrival.envelope.body)
        if place.contract is None:
            raise DemoFailed(f"{till.tablet} at {at}: no contract")
        key = (place.contract.id, place.day)
        if key not in gates:
            gates[key] = periods.gate(session, place.contract, place.day)
        layers.keep(session, place.book)
        share_terms.keep(session, [share_terms.of(answer.priced.quote.shares) for answer in quoted.answers])
        judged = []
        for sale, answer in zip(order.sales, quoted.answers, strict=True):
            times = service_time.of(sale, order, arrival, stamps.read(sale.stamp, tablet=till.tablet))
            person = self._known[answer.elder_id] if answer.elder_id else None
            judged.append(verdicts.agreed(sale, times, place, person, answer.priced))
        return sale_rows.of_checkout(session, order, arrival, judged, place, gates[key])


def _add(rows: Rows, checked: Checked, number: int) -> None:
    rows[Record].append({**checked.record, "id": number})
    for model, some in checked.tables.items():
        rows[model] += [checkout_rows.numbered(model, row, number) for row in some]
