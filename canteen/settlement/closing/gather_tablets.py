"""Read the tablets that served a contract, and the chains of their records."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta

from sqlalchemy import ColumnElement, and_, false, func, literal, not_, or_, select, tuple_, union_all

from canteen import clock, keyset
from canteen.auth.models import Tablet
from canteen.db import batches
from canteen.places import Contract
from canteen.pos import arrivals
from canteen.pos.lost_numbers import Run
from canteen.pos.models import Record, Sale
from canteen.settlement.closing.checks import Link


def tablets(contract: Contract, first: date, last: date, records: int | None = None) -> list[str]:
    """Read the tablets that are at the contract's canteen or sold under the contract in these days.

    records  the last record id to look at; None for all there are now
    """
    at_canteen = select(Tablet.id).where(
        Tablet.canteen_id == contract.canteen_id,
        Tablet.enrolled_at < clock.instant(last, 24 * 60),
        or_(Tablet.revoked_at.is_(None), Tablet.revoked_at >= clock.instant(first)),
    )
    sold_here = (
        select(Record.tablet_id)
        .join(Sale, Sale.record_id == Record.id)
        .where(Sale.contract_id == contract.id, Sale.service_day >= first, Sale.service_day <= last)
        .where(*_until(records))
        .distinct()
    )
    return sorted({row[0] for query in (at_canteen, sold_here) for row in keyset.once(query)})


def chains(
    tablet_ids: Sequence[str], since: date, records: int | None = None
) -> tuple[Iterator[Link], dict[tuple[str, int], int]]:
    """Read the tablets' chains from the record before the first that arrived since `since`, and their starts.

    records  the last record id to look at; None for all there are now

    Links are read while they are taken, in order of tablet, epoch, number and hash.
    """
    starts: dict[tuple[str, int], int] = {}
    until = _until(records)
    for tablet in sorted(tablet_ids):
        came = keyset.once(
            select(Record.epoch, func.min(Record.number))
            .where(Record.tablet_id == tablet, Record.arrived_at >= clock.instant(since), *until)
            .group_by(Record.epoch)
        )
        for epoch, number in sorted(came):
            ((before,),) = keyset.once(
                select(func.max(Record.number)).where(
                    Record.tablet_id == tablet, Record.epoch == epoch, Record.number < number, *until
                )
            )
            starts[tablet, epoch] = before or 1
    return (link for (tablet, epoch), number in starts.items() for link in _links(tablet, epoch, number, until)), starts


def holes(tablet_ids: Sequence[str], canteen_id: str, since: date) -> list[tuple[str, Run, tuple[date, date]]]:
    """Find as of now the runs of missing numbers, each with the first and last day of the records beside it.

    Looked at are numbers from the last sale that each tablet sent in the week before `since`: a tablet's numbers go with
    its time, so what is missing before that sale lies before its day. Where a tablet sent none, all numbers are.
    """
    starts = _last_sold(tablet_ids, canteen_id, since)
    if not tablet_ids:
        return []
    came = union_all(
        *(
            select(Record.tablet_id, Record.epoch, Record.number)
            .where(Record.tablet_id == tablet)
            .where(tuple_(Record.epoch, Record.number) >= tuple_(*map(literal, starts.get(tablet, (0, 0)))))
            .distinct()
            for tablet in sorted(tablet_ids)
        )
    ).subquery()
    before = func.lag(came.c.number, 1, 0).over(partition_by=(came.c.tablet_id, came.c.epoch), order_by=came.c.number)
    steps = select(came.c.tablet_id, came.c.epoch, before.label("before"), came.c.number).subquery()
    query = select(steps).where(steps.c.number > steps.c.before + 1)
    found = [
        (tablet, epoch, low, high)
        for tablet, epoch, low, high in keyset.once(query.order_by(steps.c.tablet_id, steps.c.epoch, steps.c.number))
        if starts.get(tablet) != (epoch, high)
    ]
    days = _days({(tablet, epoch, number) for tablet, epoch, *both in found for number in both if number})
    runs = []
    for tablet, epoch, low, high in found:
        beside = [*days.get((tablet, epoch, low), ()), *days[tablet, epoch, high]]
        runs.append((tablet, Run(epoch, low + 1, high - 1), (min(beside), max(beside))))
    return runs


def _last_sold(tablet_ids: Sequence[str], canteen_id: str, since: date) -> dict[str, tuple[int, int]]:
    """Read (epoch, number) of the last sale at the canteen that each tablet sent in the week before `since`, eaten at most two weeks before."""
    found: dict[str, tuple[int, int]] = {}
    contracts = select(Contract.id).where(Contract.canteen_id == canteen_id)
    days = Sale.service_day.between(since - timedelta(days=14), since)  # there is no index of instants
    week = Sale.arrived_at.between(clock.instant(since - timedelta(days=7)), clock.instant(since))
    for tablet in tablet_ids:
        query = (
            select(Record.epoch, Record.number)
            .join(Sale, Sale.record_id == Record.id)
            .where(Sale.contract_id.in_(contracts), days, week, Record.tablet_id == tablet)
            .order_by(Sale.arrived_at.desc())
        )
        for epoch, number in keyset.once(query.limit(1)):
            found[tablet] = (epoch, number)
    return found


def _days(numbers: Collection[tuple[str, int, int]]) -> dict[tuple[str, int, int], list[date]]:
    """Read the days of the records with these (tablet, epoch, number)."""
    found: dict[tuple[str, int, int], list[date]] = defaultdict(list)
    key = (Record.tablet_id, Record.epoch, Record.number)
    for some in batches(sorted(numbers), 200):
        query = select(*key, Record.tablet_at, Record.arrived_at).where(tuple_(*key).in_(some))
        for tablet, epoch, number, at, arrived in keyset.once(query):
            found[tablet, epoch, number].append(arrivals.stated_day(at, arrived))
    return found


def _until(records: int | None) -> list[ColumnElement[bool]]:
    return [] if records is None else [Record.id <= records]


def _links(tablet: str, epoch: int, first: int, until: list[ColumnElement[bool]]) -> Iterator[Link]:
    """Yield the records that do not simply follow the one before them, each with the record before it."""
    chain = (Record.number, Record.hash)
    records = (
        select(
            Record.number,
            Record.hash,
            Record.previous,
            Record.tablet_at,
            Record.arrived_at,
            func.lag(Record.number).over(order_by=chain).label("number_before"),
            func.lag(Record.hash).over(order_by=chain).label("hash_before"),
            func.lead(Record.number).over(order_by=chain).label("number_after"),
            func.lead(Record.previous).over(order_by=chain).label("previous_after"),
            func.lead(Record.number, 2).over(order_by=chain).label("second_after"),
        )
        .where(Record.tablet_id == tablet, Record.epoch == epoch, Record.number >= first, *until)
        .subquery()
    ).c
    follows = and_(records.number == records.number_before + 1, records.previous == records.hash_before)
    alone = func.coalesce(records.number_after, 0) != records.number
    alone_after = func.coalesce(records.second_after, 0) != records.number_after
    followed = and_(records.number_after == records.number + 1, records.previous_after == records.hash, alone_after)
    simply = func.coalesce(and_(follows, alone), false()).label("follows")
    query = select(records.number, records.hash, records.previous, records.tablet_at, records.arrived_at, simply).where(
        or_(not_(simply), not_(func.coalesce(followed, records.number_after.is_(None))))
    )
    for number, digest, previous, at, arrived, known in keyset.once(query.order_by(records.number, records.hash)):
        yield Link(tablet, epoch, number, digest, previous, arrivals.stated_day(at, arrived), bool(known))
