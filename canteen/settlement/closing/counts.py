"""Count a closed period set by set: meals, persons, sums, tenders, and the meals and persons of each claim line.

PostgreSQL counts a period in one statement a figure; SQLite counts day by day, so that no read keeps a till waiting.
"""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from sqlalchemy import ColumnElement, func, select

from canteen import keyset
from canteen.db import db
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Period, Transfer
from canteen.ledger.queries import account_ids, signed_at, touching
from canteen.pos.checkout_rows import PLACES
from canteen.pos.models import Sale, Share, Tender, Void
from canteen.settlement.closing import gather, gather_persons
from canteen.settlement.closing.lines import CLAIMABLE
from canteen.settlement.closing.statement import Cut, Key

Days = list[ColumnElement[bool]]  # conditions on sales


@dataclass(slots=True)
class Counts:
    """The counts of a period's statement.

    totals        meals, guests, persons, list, due and surcharge in fen, and fen by payer, of valid sales
    elders        who ate the valid ones
    line_persons  elders by line, each by the root of the entries merged into one
    span          first and last service day of the sales; None where there are none
    """

    sales: int = 0
    totals: Counter[str] = field(default_factory=Counter)
    elders: set[uuid.UUID] = field(default_factory=set)
    line_meals: Counter[Key] = field(default_factory=Counter)
    line_persons: dict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))
    rulebooks: set[str] = field(default_factory=set)
    tenders: Counter[str] = field(default_factory=Counter)
    span: tuple[date, date] | None = None


def count(period: Period, known: gather_persons.Clusters, cut: Cut) -> Counts:
    """Count the period's sales up to the cut-off; two entries known to be one person count as one (人数)."""
    counts = Counts()
    for days in _spans(period, cut):
        _sales(counts, days, cut)
        _payers(counts, days, cut)
        _tenders(counts, days)
        _lines(counts, period, known, days, cut)
    if counts.elders:
        counts.totals["persons"] = len({known.root(str(elder)) for elder in counts.elders})
    return counts


def _spans(period: Period, cut: Cut) -> Iterator[Days]:
    """Yield conditions that part the period's sales: all at once on PostgreSQL, each day by itself on SQLite."""
    theirs = gather.belongs(period, cut)
    if db.engine.dialect.name == "postgresql":
        yield [theirs]
        return
    earlier = select(Sale.service_day).where(theirs, Sale.service_day < period.from_day).distinct()
    days = [day for (day,) in keyset.once(earlier)]
    days += [period.from_day + timedelta(days=n) for n in range((period.to_day - period.from_day).days + 1)]
    for day in days:
        yield [theirs, Sale.service_day == day]


def _valid(cut: Cut) -> ColumnElement[bool]:
    return ~select(Void.id).where(Void.sale_id == Sale.id, Void.record_id <= cut.records).exists()


def _sales(counts: Counts, days: Days, cut: Cut) -> None:
    """Count all sales, and sum the valid ones by elder."""
    valid = _valid(cut).label("valid")
    query = select(
        Sale.elder_id,
        Sale.rulebook_hash,
        valid,
        func.count(),
        func.sum(Sale.list_fen),
        func.sum(Sale.due_fen),
        func.sum(Sale.surcharge_fen),
        func.min(Sale.service_day, type_=Sale.service_day.type),
        func.max(Sale.service_day, type_=Sale.service_day.type),
    ).where(*days)
    by = (Sale.elder_id, Sale.rulebook_hash, valid)
    for elder, rulebook, stands, sales, list_fen, due, surcharge, first, last in keyset.once(query.group_by(*by)):
        counts.sales += sales
        counts.rulebooks.add(rulebook)
        counts.span = (min(first, counts.span[0]), max(last, counts.span[1])) if counts.span else (first, last)
        if not stands:
            continue
        counts.totals["guests" if elder is None else "meals"] += sales
        counts.totals.update({"list": int(list_fen), "due": int(due), "surcharge": int(surcharge)})
        if elder is not None:
            counts.elders.add(elder)


def _payers(counts: Counts, days: Days, cut: Cut) -> None:
    query = (
        select(Share.payer, func.sum(Share.fen)).join(Sale, Sale.id == Share.sale_id).where(*days, _valid(cut))
    ).group_by(Share.payer)
    counts.totals.update({payer: int(fen) for payer, fen in keyset.once(query)})


def _tenders(counts: Counts, days: Days) -> None:
    """Sum each payment once, with the first of its sales."""
    query = (
        select(Tender.kind, func.sum(Tender.fen))
        .join(Sale, Sale.payment_id == Tender.payment_id)
        .where(*days, Sale.arrival % PLACES == 0)
        .group_by(Tender.kind)
    )
    counts.tenders.update({kind: int(fen) for kind, fen in keyset.once(query)})


def _lines(counts: Counts, period: Period, known: gather_persons.Clusters, days: Days, cut: Cut) -> None:
    """Count, by line, the valid meals of the period's own days that have money in it, and who ate them."""
    accounts = [number for (number,) in keyset.once(account_ids(period.contract_id, "open"))]
    by = (Sale.id, Sale.elder_id, Transfer.fund, Transfer.service_month)
    meals = (
        select(*by)
        .join(Transfer, Transfer.sale_id == Sale.id)
        .where(*days, Sale.elder_id.is_not(None), _valid(cut))
        .where(_booked_to(period), Transfer.movement.in_(CLAIMABLE), touching(accounts))
        .where(Transfer.share_n < FIRST_DIFFERENCE_SHARE, Transfer.service_day >= period.from_day)
        .group_by(*by)
        .having(func.sum(signed_at(accounts)) > 0)
    ).subquery()
    line = (meals.c.fund, meals.c.service_month, meals.c.elder_id)
    for fund, month, elder, number in keyset.once(select(*line, func.count()).group_by(*line)):
        key = Key("meals", fund, month)
        counts.line_meals[key] += number
        counts.line_persons[key].add(known.root(str(elder)))


def _booked_to(period: Period) -> ColumnElement[bool]:
    """Select the period's transfers; where a day is read by itself, not by their index, which leads to all its days."""
    if db.engine.dialect.name == "postgresql":
        return Transfer.period_id == period.id
    return Transfer.period_id + 0 == period.id
