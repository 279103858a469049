"""Read the tablets that served a contract, and the chains of their records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from sqlalchemy import ColumnElement, func, or_, select

from canteen import clock, keyset
from canteen.auth.models import Tablet
from canteen.places import Contract
from canteen.pos import arrivals
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


def _until(records: int | None) -> list[ColumnElement[bool]]:
    return [] if records is None else [Record.id <= records]


def _links(tablet: str, epoch: int, first: int, until: list[ColumnElement[bool]]) -> Iterator[Link]:
    query = select(Record.number, Record.hash, Record.previous, Record.tablet_at, Record.arrived_at).where(
        Record.tablet_id == tablet, Record.epoch == epoch, Record.number >= first, *until
    )
    for page in keyset.rows(query, (Record.number, Record.hash), page=5000):
        for number, digest, previous, at, arrived in page:
            yield Link(tablet, epoch, number, digest, previous, arrivals.stated_day(at, arrived))
