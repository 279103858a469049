"""Find the past sales that a revaluation changes, and price each again (decision 0013; rulings 18 and 19).

A new benefit takes only what is still free of a limit, earlier meals first; uses granted before are never freed.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import calendars, clock, keyset
from canteen.money import Fen
from canteen.policy import quote as engine
from canteen.policy.case import Case, Diner
from canteen.policy.case import Meal as CaseMeal
from canteen.policy.quote import Quote
from canteen.policy.rules import Rulebook
from canteen.pos import pricing, slots
from canteen.pos.models import Void
from canteen.pos.slots import Key
from canteen.registry import elders
from canteen.rulebooks import late_notices, layers
from canteen.rulebooks.late_notices import Books
from canteen.rulebooks.layers import InForce
from canteen.rulebooks.models import Revaluation
from canteen.settlement.claims import withheld_meals
from canteen.settlement.closing import budgets
from canteen.settlement.closing.requote import of_quote
from canteen.settlement.corrections import delta, sale_history
from canteen.settlement.corrections.delta import BOOKED, Changed
from canteen.settlement.corrections.repricing import Granted, Repricing, SaleInputs, Supposed
from canteen.settlement.corrections.sale_history import Earlier


@dataclass(frozen=True, slots=True)
class PastSale:
    """A sale to be looked at again."""

    id: uuid.UUID
    arrival: int
    day: date
    contract: str
    canteen: str
    elder: uuid.UUID | None
    due: Fen
    own: tuple[str, str]  # hash of the input and of the rulebook of our own quote


@dataclass(frozen=True, slots=True)
class Before:
    """A sale as booked so far: the newest quote, the claimable fen by fund, and what the elder has paid."""

    asked: Case
    meal: CaseMeal  # as sold, on the kind of day that is known now
    diner: Diner  # as known when it was last priced
    reference: Quote
    booked: dict[str, Fen]
    due: Fen


@dataclass(frozen=True, slots=True)
class RepricedSale:
    """A sale priced again: what changes, the input and rulebook of the quote, and the added uses of limits."""

    sale: PastSale
    changed: Changed
    book: InForce
    input_hash: str
    input_body: str
    granted: Granted


class Repricer:
    """Prices the sales of one revaluation.

    known_at  the event up to which facts and the calendar are read; None reads all
    """

    def __init__(self, session: Session, row: Revaluation, known_at: int | None, *, preview: bool) -> None:
        self._row, self._known_at = row, known_at
        self._books = Books(session, row if preview else None)
        self._stored: dict[str, Rulebook | None] = {}
        self._kinds: dict[date, str] = {}

    def refresh(self, session: Session) -> bool:
        """Read the notices again if one was ordered since they were read; tell whether that was so."""
        if self._books.is_current(session):
            return False
        self._books = Books(session)
        return True

    # --- which sales ---

    def gather(
        self, session: Session, sales: Sequence[PastSale], left: Counter[str]
    ) -> Iterator[tuple[PastSale, Before]]:
        """Yield the bookings of these sales; sales that must be left as they are, are counted in `left` by reason."""
        ids = [sale.id for sale in sales]
        earlier = sale_history.earlier(session, ids)
        judged = sale_history.judged_of(session, ids)
        voided = set(session.execute(select(Void.sale_id).where(keyset.among(Void.sale_id, ids))).scalars())
        open_fen = withheld_meals.open_by_share(session, ids)
        hashes = {sale.own[0] for sale in sales} | {key[0] for key in earlier.last.values()}
        inputs = sale_history.inputs_of(session, hashes)
        for sale in sales:
            asked, now = inputs.get(sale.own[0]), earlier.last.get(sale.id, sale.own)
            before = None if asked is None else self._before(session, asked, inputs[now[0]], now[1])
            if why := self._skip_reason(sale, before, earlier, judged, voided):
                left[why] += 1
                continue
            assert before is not None
            for (fund, _), fen in open_fen.get(sale.id, ()):
                before.booked[fund] = before.booked.get(fund, 0) + fen
            for fund, fen in earlier.booked.get(sale.id, {}).items():
                before.booked[fund] = before.booked.get(fund, 0) + fen
            meal = replace(before.meal, day_kind=self._day_kind(session, sale.day))
            yield sale, replace(before, meal=meal, due=sale.due - earlier.refunds[sale.id])

    def _day_kind(self, session: Session, day: date) -> str:
        """Return the kind of a day as known now: a calendar may be entered after its days."""
        if day not in self._kinds:
            self._kinds[day] = calendars.kind_on(session, day, self._known_at)
        return self._kinds[day]

    def _skip_reason(
        self, sale: PastSale, before: Before | None, earlier: Earlier, judged: set[uuid.UUID], voided: set[uuid.UUID]
    ) -> str:
        """Return why the sale is left unchanged, or '' if it is to be priced again."""
        if (self._row.id, sale.id) in earlier.done:
            return "done"
        if sale.id in voided:
            return "voided"
        if sale.id in judged:
            return "judged"
        if before is None:
            return "unpriced"
        if not late_notices.covers(self._row, (*before.meal.canteen.areas, sale.canteen)):
            return "elsewhere"
        return "" if self._row.cause == "facts" or self._books.is_newest(self._row.id, sale.day) else "superseded"

    def _before(self, session: Session, asked: Case, newest: Case, book_hash: str) -> Before | None:
        """Return the sale as booked; None where the stored rulebooks cannot price it any more."""
        book = self._stored_book(session, book_hash)
        try:
            reference = None if book is None else engine.quote(book, newest.diner, newest.meal, newest.taken)
        except ValueError:
            return None
        return None if reference is None else Before(asked, asked.meal, newest.diner, reference, {}, 0)

    def _stored_book(self, session: Session, digest: str) -> Rulebook | None:
        if digest not in self._stored:
            try:
                self._stored[digest] = layers.stored(session, digest)
            except layers.NoRulebook:
                self._stored[digest] = None
        return self._stored[digest]

    def is_touched(self, session: Session, sale: PastSale, before: Before) -> bool:
        """Return whether the price changed or the sale asks more of a limit, so it must be priced under the locks."""
        book, diner = self._book_of(session, sale, before), self._diner(session, sale, before)
        new = engine.quote(book.book, diner, before.meal, before.asked.taken)
        if not delta.same(of_quote(new), of_quote(before.reference)):
            return True
        known = {(use.allowance, use.window): use.amount for use in before.reference.uses}
        return any(known.get((use.allowance, use.window), 0) < use.amount for use in new.uses)

    def _book_of(self, session: Session, sale: PastSale, before: Before) -> InForce:
        return self._books.at(session, (*before.meal.canteen.areas, sale.canteen), sale.day)

    def _diner(self, session: Session, sale: PastSale, before: Before) -> Diner:
        """Return who ate: as known when last priced, or for facts known late as known now."""
        if self._row.cause != "facts" or sale.elder is None:
            return before.diner
        return elders.as_diner(session, sale.elder, sale.day, self._known_at)

    # --- one sale ---

    def inputs(self, session: Session, sale: PastSale, before: Before) -> SaleInputs:
        """Return all that the new price depends on."""
        place = pricing.place_at(session, sale.canteen, clock.instant(sale.day, 12 * 60))
        person = elders.known(session, sale.elder, sale.day) if sale.elder else None
        book, diner = self._book_of(session, sale, before), self._diner(session, sale, before)
        return SaleInputs(sale.id, sale.day, book, diner, before.meal, place, person)

    def reprice(
        self, session: Session, sale: PastSale, before: Before, inputs: SaleInputs, supposed: Supposed | None
    ) -> RepricedSale | str:
        """Price a sale again and grant it limits; return why it is left as it is ('' if nothing changes).

        Limits that the original quote asked use their usage of that time; limits new to the rules use today's.
        supposed  what a preview would have granted so far, added to instead of granting
        """
        repricing = Repricing(session, inputs, supposed)
        wanted = {(want.allowance, want.window) for want in engine.wanted(inputs.book.book, inputs.diner, inputs.meal)}
        quoted, listed = repricing.quote(before.asked.taken, wanted - self._asked_then(session, sale, before))
        wished = engine.quote(inputs.book.book, inputs.diner, inputs.meal, before.asked.taken)
        changed = delta.changed(
            reference=of_quote(before.reference),
            new=of_quote(quoted),
            wished=of_quote(wished),
            before=before.booked,
            due_before=before.due,
        )
        requests = pricing.limit_requests(quoted)
        if (
            changed is not None
            and changed.outcome == BOOKED
            and _beyond(inputs.book, requests, changed, repricing.usages)
        ):
            return "budget_over"
        if changed is None and not repricing.needs_more(requests):
            return ""
        changed = changed or Changed(BOOKED, before.due, before.due, ())  # only a limit that counts it from now on
        granted = Granted()
        if changed.outcome == BOOKED and supposed is None:
            granted = repricing.grant(session, requests)
        elif changed.outcome == BOOKED and supposed is not None:
            repricing.suppose(requests, supposed)
        return RepricedSale(sale, changed, inputs.book, *repricing.document(listed), granted)

    def _asked_then(self, session: Session, sale: PastSale, before: Before) -> set[Key]:
        """Return the limits that the original quote asked; their usage of that time is in the stored input."""
        book = self._stored_book(session, sale.own[1])
        wanted = engine.wanted(book, before.asked.diner, before.asked.meal) if book else []
        return {(want.allowance, want.window) for want in wanted}


def _beyond(book: InForce, requests: Sequence[slots.LimitRequest], changed: Changed, usages: slots.Usages) -> bool:
    """Return whether the meal would get more of a prorated budget than is left of it."""
    for request in requests:
        if request.scope == "budget" and budgets.prorated_by(book.body, request.allowance):
            used = usages.get(request.key, slots.Usage()).fen
            more = sum(one.fen for one in changed.funds if one.fen > 0 and slots.counts_fund(request, one.fund))
            if more > max(0, request.limited_to - used):
                return True
    return False
