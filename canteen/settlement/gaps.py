"""What tablets still owe a period: numbers missing now, and tablets not heard from since it ended.

A gap holds the submission of the claim, never the close: until the numbers come, or two people declare the epoch lost.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select

from canteen import clock
from canteen.auth.models import LostEpoch, Tablet
from canteen.db import db
from canteen.ledger.models import Period
from canteen.places import Contract
from canteen.pos import arrivals
from canteen.pos.models import Record
from canteen.settlement import closing, paging, reading


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of numbers that a tablet gave and we do not have. `declared_by` is set while a second person is awaited."""

    tablet: str
    tablet_name: str
    epoch: int
    first: int
    last: int
    between: tuple[str, str]
    declared_by: str | None


@dataclass(frozen=True, slots=True)
class Silent:
    """A tablet that was not heard from since the period ended; `seen` in Shanghai time, '' if never."""

    tablet: str
    name: str
    seen: str


def missing(period: Period) -> list[Gap]:
    """Gaps of the period as of now, without those of epochs declared lost by two people."""
    contract = db.session.get(Contract, period.contract_id)
    assert contract is not None
    found = [finding for finding in closing.of_tablets(period, contract) if finding.code == "gap"]
    lost = {
        (tablet, epoch): (declared, confirmed)
        for tablet, epoch, declared, confirmed in paging.once(
            select(LostEpoch.tablet_id, LostEpoch.epoch, LostEpoch.declared_by, LostEpoch.confirmed_by)
        )
    }
    names = dict(paging.once(select(Tablet.id, Tablet.name)))
    gaps: list[Gap] = []
    for finding in found:
        tablet, epoch, _ = finding.subject.removeprefix("tablet:").rsplit("/", 2)
        declared, confirmed = lost.get((tablet, int(epoch)), (None, None))
        if confirmed is None:
            first, last, between = finding.body["from"], finding.body["to"], finding.body["between"]
            assert isinstance(first, int)
            assert isinstance(last, int)
            assert isinstance(between, list)
            gaps.append(
                Gap(tablet, names.get(tablet, tablet), int(epoch), first, last, (between[0], between[1]), declared)
            )
    return gaps


def quarantined(period: Period) -> int:
    """Records of the period's days that its tablets sent and nobody could book yet: kept whole, to be looked into."""
    contract = db.session.get(Contract, period.contract_id)
    assert contract is not None
    tablets = reading.tablets(contract, period.from_day, period.to_day)
    resolved = select(Record.resolves).where(Record.resolves.is_not(None))
    query = select(Record.tablet_at, Record.arrived_at).where(
        Record.state == "quarantined",
        Record.tablet_id.in_(tablets),
        Record.arrived_at >= clock.instant(period.from_day),
        Record.id.not_in(resolved),
    )
    days = [arrivals.day_told(at, arrived) for at, arrived in paging.once(query)]
    return sum(period.from_day <= day <= period.to_day for day in days)


def silent(period: Period) -> list[Silent]:
    """Tablets of the canteen not heard from since the period's last day ended, as of now."""
    over = clock.instant(period.to_day, 24 * 60)
    query = (
        select(Tablet.id, Tablet.name, Tablet.seen_at)
        .join(Contract, Contract.canteen_id == Tablet.canteen_id)
        .where(
            Contract.id == period.contract_id,
            Tablet.enrolled_at < over,
            Tablet.revoked_at.is_(None),
            func.coalesce(Tablet.seen_at, Tablet.enrolled_at) < over,
        )
        .order_by(Tablet.id)
    )
    return [
        Silent(tablet, name, f"{clock.local(seen):%Y-%m-%d %H:%M}" if seen else "")
        for tablet, name, seen in paging.once(query)
    ]
