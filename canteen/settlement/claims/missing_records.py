"""Find what tablets still owe a period: missing numbers, and tablets not heard from since it ended.

A gap stops the submission of the claim, never the close: until the numbers come, or two people declare them lost.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from canteen import clock, keyset
from canteen.auth.models import LostNumbers, Tablet
from canteen.ledger.models import Period
from canteen.places import Contract
from canteen.pos import arrivals, lost_numbers
from canteen.pos.lost_numbers import Run
from canteen.pos.models import Record
from canteen.settlement.closing import gather_tablets
from canteen.settlement.models import Claim, Decision


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
    """Find the gaps of the period as of now, without the numbers that two people declared lost."""
    contract = _contract(period)
    gone: dict[str, list[Run]] = defaultdict(list)
    waiting: dict[str, list[tuple[Run, str]]] = defaultdict(list)
    for tablet, epoch, low, high, declared, confirmed in keyset.once(
        select(
            LostNumbers.tablet_id, LostNumbers.epoch, LostNumbers.first_number, LostNumbers.last_number,
            LostNumbers.declared_by, LostNumbers.confirmed_by,
        )
    ):  # fmt: skip
        if confirmed is None:
            waiting[tablet].append((Run(epoch, low, high), declared))
        else:
            gone[tablet].append(Run(epoch, low, high))
    names = dict(keyset.once(select(Tablet.id, Tablet.name)))
    gaps: list[Gap] = []
    tablets = gather_tablets.tablets(contract, period.from_day, period.to_day)
    for name, hole, between in gather_tablets.holes(tablets, contract.canteen_id, period.from_day - timedelta(days=1)):
        if between[0] > period.to_day or between[1] < period.from_day:
            continue
        for left in lost_numbers.without(hole, gone[name]):
            by = next((who for run, who in waiting[name] if _meet(run, left)), None)
            days = (between[0].isoformat(), between[1].isoformat())
            gaps.append(Gap(name, names.get(name, name), left.epoch, left.first, left.last, days, by))
    return gaps


def _meet(one: Run, other: Run) -> bool:
    return one.epoch == other.epoch and one.first <= other.last and one.last >= other.first


def _contract(period: Period) -> Contract:
    with keyset.reader() as session:
        return session.get_one(Contract, period.contract_id)


def claims_waiting_for(session: Session, tablet_id: str, run: Run) -> list[str]:
    """List the numbers of unsubmitted claims that a run of missing numbers can touch, as of now."""
    mine = (Record.tablet_id == tablet_id, Record.epoch == run.epoch)
    before = select(func.max(Record.number)).where(*mine, Record.number < run.first).scalar_subquery()
    after = select(func.min(Record.number)).where(*mine, Record.number > run.last).scalar_subquery()
    beside = session.execute(
        select(Record.tablet_at, Record.arrived_at).where(*mine, or_(Record.number == before, Record.number == after))
    )
    days = [arrivals.stated_day(at, arrived) for at, arrived in beside]
    if not days:
        return []
    newest = select(func.max(Decision.n)).where(Decision.claim_id == Claim.id).correlate(Claim).scalar_subquery()
    query = (
        select(Claim.number)
        .join(Contract, Contract.id == Claim.contract_id)
        .join(Tablet, Tablet.canteen_id == Contract.canteen_id)
        .outerjoin(Decision, and_(Decision.claim_id == Claim.id, Decision.n == newest))
        .where(Tablet.id == tablet_id, Claim.from_day <= max(days), Claim.to_day >= min(days))
        .where(or_(Decision.to_state.is_(None), Decision.to_state == "returned"))
        .order_by(Claim.from_day)
    )
    return list(session.execute(query).scalars())


def quarantined(period: Period) -> int:
    """Count records of the period's days that arrived and could not be booked yet: kept whole, to be looked into."""
    contract = _contract(period)
    tablets = gather_tablets.tablets(contract, period.from_day, period.to_day)
    resolved = select(Record.resolves).where(Record.resolves.is_not(None))
    query = select(Record.tablet_at, Record.arrived_at).where(
        Record.state == "quarantined",
        Record.tablet_id.in_(tablets),
        Record.arrived_at >= clock.instant(period.from_day),
        Record.id.not_in(resolved),
    )
    days = [arrivals.stated_day(at, arrived) for at, arrived in keyset.once(query)]
    return sum(period.from_day <= day <= period.to_day for day in days)


def silent(period: Period) -> list[Silent]:
    """List the canteen's tablets not heard from since the period's last day ended, as of now."""
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
        for tablet, name, seen in keyset.once(query)
    ]
