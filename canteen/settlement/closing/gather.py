"""Read a closed period's sales and payments as values that the checks compare.

Everything is read up to a cut: facts by event number, records by id. So a close that was killed and runs again
reads the same.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased

from canteen import clock, keyset
from canteen.db import db
from canteen.ledger.models import Period
from canteen.places import Canteen, Contract
from canteen.pos.checkout_rows import of_record
from canteen.pos.models import Payment, Sale, Share, Tender, Void
from canteen.settlement.closing.checks import Paid, PricedShare, SalePrice, Sold
from canteen.settlement.closing.statement import Cut


def belongs(period: Period, cut: Cut) -> ColumnElement[bool]:
    """Select the period's sales: of its days and arrived before its close, or earlier and arrived since the last."""
    return and_(
        Sale.contract_id == period.contract_id,
        Sale.service_day <= period.to_day,
        Sale.record_id <= cut.records,
        or_(Sale.service_day >= period.from_day, Sale.record_id > cut.records_before),
    )


def sales(period: Period, cut: Cut, *chosen: Any) -> Iterator[Sequence[Any]]:
    """Yield pages of the period's sales, by day and id, each row with the arrival of its void (None for none).

    chosen  conditions that the sales satisfy besides
    """
    void = aliased(Void)
    query = (
        select(
            Sale.service_day,
            Sale.id,
            Sale.elder_id,
            Sale.tablet_at,
            Sale.arrived_at,
            Sale.skew_ms,
            Sale.flags,
            Sale.list_fen,
            Sale.due_fen,
            Sale.surcharge_fen,
            Sale.own_input_hash,
            Sale.own_rulebook_hash,
            Sale.payment_id,
            Sale.rulebook_hash,
            Sale.arrival,
            void.record_id.label("void_record"),
        )
        .outerjoin(void, and_(void.sale_id == Sale.id, void.record_id <= cut.records))
        .where(belongs(period, cut), *chosen)
    )
    return keyset.rows(query, (Sale.service_day, Sale.id))


def sold(rows: Iterable[Any], turns_at: int) -> list[Sold]:
    """Convert a page of sales to values, with their shares as sold. `turns_at`: minute after midnight the day turns."""
    rows = list(rows)
    parts: dict[uuid.UUID, list[PricedShare]] = defaultdict(list)
    shares = select(Share.sale_id, Share.fund, Share.payer, Share.rule, Share.fen).where(
        keyset.among(Share.sale_id, [row.id for row in rows])
    )
    for sale, fund, payer, rule, fen in keyset.once(shares.order_by(Share.sale_id, Share.n)):
        parts[sale].append(PricedShare(fund, payer, rule, fen))
    return [
        Sold(
            id=str(row.id),
            elder=str(row.elder_id) if row.elder_id else None,
            day=row.service_day,
            tablet_day=clock.business_day(row.tablet_at, turns_at=turns_at),
            skew_ms=row.skew_ms,
            flags=tuple(row.flags.split()),
            priced=SalePrice(row.list_fen, row.due_fen, tuple(parts[row.id]), row.surcharge_fen),
            own=(row.own_input_hash, row.own_rulebook_hash),
            voided=row.void_record is not None,
            arrived=clock.business_day(row.arrived_at, turns_at=turns_at),
        )
        for row in rows
    ]


def by_id(ids: Collection[uuid.UUID], turns_at: int) -> list[Sold]:
    """Read sales by id, as if not voided."""
    found: list[Sold] = []
    for some in batches(sorted(ids), 500):
        query = select(
            Sale.service_day,
            Sale.id,
            Sale.elder_id,
            Sale.tablet_at,
            Sale.arrived_at,
            Sale.skew_ms,
            Sale.flags,
            Sale.list_fen,
            Sale.due_fen,
            Sale.surcharge_fen,
            Sale.own_input_hash,
            Sale.own_rulebook_hash,
            func.nullif(Sale.record_id, Sale.record_id).label("void_record"),
        ).where(keyset.among(Sale.id, some))
        found += sold(keyset.once(query.order_by(Sale.id)), turns_at)
    return found


def payments(payment_ids: Sequence[uuid.UUID]) -> list[Paid]:
    """Read payments with the sums of their tenders and of their sales."""
    found: list[Paid] = []
    for some in batches(payment_ids, 500):
        tendered = dict[uuid.UUID, int](
            keyset.once(
                select(Tender.payment_id, func.sum(Tender.fen))
                .where(keyset.among(Tender.payment_id, some))
                .group_by(Tender.payment_id)
            )
        )
        dues: dict[uuid.UUID, list[tuple[str, int]]] = defaultdict(list)
        for payment, sale, due in keyset.once(
            select(Payment.id, Sale.id, Sale.due_fen)
            .join(Sale, of_record(Payment.record_id))
            .where(keyset.among(Payment.id, some))
            .order_by(Sale.id)
        ):
            dues[payment].append((str(sale), due))
        for number, due, fen in keyset.once(
            select(Payment.id, Payment.due, Payment.fen).where(keyset.among(Payment.id, some)).order_by(Payment.id)
        ):
            mine = dues[number]
            sales_of = tuple(sale for sale, _ in mine)
            found.append(Paid(str(number), due, int(tendered.get(number, 0)), fen, sum(f for _, f in mine), sales_of))
    return found


def content_hashes(period: Period, cut: Cut) -> Iterator[str]:
    """Yield the content hashes of the period's sales, sorted; PostgreSQL sorts and streams, SQLite is read in pages."""
    query = select(Sale.service_day, Sale.id, Sale.content_hash)
    query = query.where(belongs(period, cut))
    if db.engine.dialect.name == "postgresql":
        in_order = query.order_by(Sale.content_hash).execution_options(yield_per=5000)
        with keyset.reader() as session:
            for row in session.execute(in_order):
                yield row[2]
        return
    pages = keyset.rows(query, (Sale.service_day, Sale.id), page=5000)
    yield from sorted(row[2] for page in pages for row in page)


def day_turns_at(contract: Contract) -> int:
    """Return the minutes after midnight at which the canteen's day turns."""
    ((minutes,),) = keyset.once(select(Canteen.day_turns_at).where(Canteen.id == contract.canteen_id))
    return int(minutes)


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield slices of `items`, each of `size` at most."""
    for at in range(0, len(items), size):
        yield items[at : at + size]
