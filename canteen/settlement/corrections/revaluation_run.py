"""Run a revaluation, or a preview of one: price past sales again page by page, and book the differences (decision 0013).

Each unvoided sale of the revaluation's places and days is looked at without any lock; what it changes is priced under
the locks of a sale and booked once for a sale and revaluation, to the period that is open.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TypeVarTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from canteen import keyset, places
from canteen.db import transaction
from canteen.keyset import reader
from canteen.ledger import periods
from canteen.ledger.models import Period
from canteen.places import Contract
from canteen.pos import slots
from canteen.pos.flags import CLAIMS_NOTHING
from canteen.pos.models import Sale, Void
from canteen.pos.sale_locks import retried_if_overtaken
from canteen.registry import elders
from canteen.rulebooks import late_notices
from canteen.rulebooks.models import Revaluation
from canteen.settlement.corrections import repricing, revaluation_booking
from canteen.settlement.corrections.repricing import SaleInputs, Supposed
from canteen.settlement.corrections.revaluation_repricing import Before, PastSale, RepricedSale, Repricer
from canteen.settlement.corrections.revaluation_tally import Tally

Ts = TypeVarTuple("Ts")
PAGE = 1000
BATCH = 40  # sales booked in one transaction: their elders wait so long at most


class RevaluationRunner:
    """One revaluation at work. `known_at`: the event up to which facts and calendar are read; None reads all."""

    def __init__(self, revaluation_id: int, known_at: int | None, *, preview: bool) -> None:
        with reader() as session:
            self._row = row = late_notices.find(session, revaluation_id)
            self._repricer = Repricer(session, row, known_at, preview=preview)
            self._persons = list(elders.cluster(session, row.elder_id)[1]) if row.elder_id else []
            self._contracts = _contracts(session, row)
        self._supposed: Supposed | None = {} if preview else None
        self.tally = Tally()

    def count(self) -> int:
        """Return how many sales there are to look at."""
        among = self._mine(select(func.count()).select_from(Sale))
        within = among.where(Sale.service_day >= self._row.from_day, Sale.service_day <= self._row.to_day)
        return int(keyset.once(within)[0][0])

    def _mine(self, query: Select[*Ts]) -> Select[*Ts]:
        """Restrict to the unvoided sales of the revaluation's places, or of its elder."""
        found = query.outerjoin(Void, Void.sale_id == Sale.id).where(Void.id.is_(None))
        if self._persons:
            return found.where(Sale.elder_id.in_(self._persons))
        return found.where(Sale.contract_id.in_(self._contracts))

    def days(self) -> Iterator[date]:
        day = self._row.from_day
        while day <= self._row.to_day:
            yield day
            day += timedelta(days=1)

    def pages(self, day: date) -> Iterator[list[PastSale]]:
        """Yield the day's unvoided sales in order of arrival."""
        query = self._mine(
            select(
                Sale.arrival, Sale.id, Sale.service_day, Sale.contract_id, Sale.canteen_id, Sale.elder_id, Sale.due_fen,
                Sale.own_input_hash, Sale.own_rulebook_hash, Sale.flags,
            )
        ).where(Sale.service_day == day)  # fmt: skip
        for page in keyset.rows(query, (Sale.arrival,), page=PAGE):
            found = []
            for arrival, sale, on, contract, canteen, elder, due, input_hash, book, flags in page:
                self.tally.meals += 1
                if CLAIMS_NOTHING.isdisjoint(flags.split()):
                    found.append(PastSale(sale, arrival, on, contract, canteen, elder, due, (input_hash, book)))
                else:
                    self.tally.left["unclaimable"] += 1
            yield found

    def page(self, sales: Sequence[PastSale]) -> None:
        """Price a page of sales again: booked unless this is a preview."""
        with reader() as session:
            gathered = self._repricer.gather(session, sales, self.tally.left)
            changed = [sale for sale, before in gathered if self._repricer.is_touched(session, sale, before)]
        for at in range(0, len(changed), BATCH):
            batch = changed[at : at + BATCH]
            found, left = self._book(batch) if self._supposed is None else self._preview(batch)
            self.tally.left += left
            for repriced in found:
                self.tally.add(repriced)

    # --- a batch, under its locks or supposed ---

    def _gather(self, session: Session, batch: Sequence[PastSale]) -> dict[PastSale, tuple[Before, SaleInputs]]:
        """Return the bookings of sales gathered before: those left as they are were counted then."""
        found = self._repricer.gather(session, batch, Counter())
        return {sale: (before, self._repricer.inputs(session, sale, before)) for sale, before in found}

    def _preview(self, batch: Sequence[PastSale]) -> tuple[list[RepricedSale], Counter[str]]:
        """Return what would be booked; write nothing, but remember the limits that would be granted."""
        with reader() as session:
            return self._reprice(session, self._gather(session, batch))

    @retried_if_overtaken
    def _book(self, batch: Sequence[PastSale]) -> tuple[list[RepricedSale], Counter[str]]:
        """Return one transaction, by the order of locks: period gates, persons by id, amounts by key."""
        with transaction() as session:
            gates = _gates(session, batch)
            locked = _lock_eaters(session, batch)
            self._repricer.refresh(session)  # a newer notice may have been run on these meals
            gathered = self._gather(session, batch)
            if any(inputs.person is not None and inputs.person.root not in locked for _, inputs in gathered.values()):
                raise slots.RetryTransaction  # an eater was merged into another entry meanwhile
            self._lock_limits(session, gathered)
            if any(sale.elder is None for sale in batch):  # a guest's sale is locked only now
                if self._repricer.refresh(session):
                    raise slots.RetryTransaction
                gathered = self._gather(session, batch)
            found, left = self._reprice(session, gathered)
            for repriced in found:
                sale = repriced.sale
                revaluation_booking.write(session, self._row.id, repriced, gates[sale.contract, sale.day])
            return found, left

    def _lock_limits(self, session: Session, gathered: Mapping[PastSale, tuple[Before, SaleInputs]]) -> None:
        """Lock households, budgets and guests' sales; after the persons."""
        repricing.lock_for_repricing(
            session,
            [inputs for _, inputs in gathered.values()],
            most=sum(before.reference.list for before, _ in gathered.values()),
            names=[sale.id for sale in gathered if sale.elder is None],
        )

    def _reprice(
        self, session: Session, gathered: Mapping[PastSale, tuple[Before, SaleInputs]]
    ) -> tuple[list[RepricedSale], Counter[str]]:
        found, left = list[RepricedSale](), Counter[str]()
        for sale, (before, inputs) in gathered.items():
            repriced = self._repricer.reprice(session, sale, before, inputs, self._supposed)
            if isinstance(repriced, RepricedSale):
                found.append(repriced)
            elif repriced:
                left[repriced] += 1
        return found, left


def _contracts(session: Session, row: Revaluation) -> list[str]:
    """Return the contracts whose canteen lay within the place on some day; each meal is checked by its own areas."""
    query = select(Contract.id, places.Canteen.area_id, places.Canteen.id).join(
        places.Canteen, places.Canteen.id == Contract.canteen_id
    )
    return [
        contract
        for contract, area, canteen in session.execute(query).all()
        if row.cause == "facts"
        or any(
            late_notices.covers(row, (*places.path(session, area, day), canteen)) for day in (row.from_day, row.to_day)
        )
    ]


def _gates(session: Session, batch: Sequence[PastSale]) -> dict[tuple[str, date], Period]:
    wanted = sorted({(sale.contract, sale.day) for sale in batch})
    return {key: periods.gate(session, session.get_one(Contract, key[0]), key[1]) for key in wanted}


def _lock_eaters(session: Session, batch: Sequence[PastSale]) -> set[uuid.UUID]:
    """Lock who ate these meals, each by the id that stands for the merged entries; return these ids."""
    eaters = {sale.elder for sale in batch if sale.elder is not None}
    return slots.lock_persons(session, {elders.cluster(session, elder)[0] for elder in eaters})
