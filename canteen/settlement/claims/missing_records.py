"""Find what tablets still owe a period: missing numbers, and tablets not heard from since it ended.

A gap stops the submission of the claim, never the close: until the numbers come, or two people declare them lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import and_, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from canteen import clock, keyset
from canteen.auth.models import LostNumbers, Tablet
from canteen.db import batches
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

    @property
    def span(self) -> tuple[date, date]:
        """Return the first and last day of the records beside it."""
        first, last = map(date.fromisoformat, self.between)
        return first, last


@dataclass(frozen=True, slots=True)
class Silent:
    """A tablet that was not heard from since the period ended; `seen` in Shanghai time, '' if never."""

    tablet: str
    name: str
    seen: str


@dataclass(frozen=True, slots=True)
class Owed:
    """All that is awaited of a period's tablets: runs of missing numbers, records not booked, tablets not heard from."""

    missing: list[Gap]
    quarantined: int
    silent: list[Silent]


NOTHING = Owed([], 0, [])
Days = Period | Claim
"""A contract's days: of a period, or of the claim over it."""


def owed(days: Days) -> Owed:
    """Find as of now all that a contract's tablets owe to these days."""
    tablets, canteen = _tablets(days)
    return Owed(_missing(days, tablets, canteen), _quarantined(days, tablets), silent(days))


def missing(days: Days) -> list[Gap]:
    """Find the gaps of the days as of now, without the numbers that two people declared lost."""
    return _missing(days, *_tablets(days))


def _missing(days: Days, tablets: Sequence[str], canteen_id: str) -> list[Gap]:
    holes = [
        (tablet, hole, between)
        for tablet, hole, between in gather_tablets.holes(tablets, canteen_id, days.from_day - timedelta(days=1))
        if between[0] <= days.to_day and between[1] >= days.from_day
    ]
    if not holes:
        return []
    gone: dict[str, list[Run]] = defaultdict(list)
    waiting: dict[str, list[tuple[Run, str]]] = defaultdict(list)
    of = {tablet for tablet, _, _ in holes}
    for tablet, epoch, low, high, declared, confirmed in keyset.once(
        select(
            LostNumbers.tablet_id, LostNumbers.epoch, LostNumbers.first_number, LostNumbers.last_number,
            LostNumbers.declared_by, LostNumbers.confirmed_by,
        ).where(LostNumbers.tablet_id.in_(of))
    ):  # fmt: skip
        if confirmed is None:
            waiting[tablet].append((Run(epoch, low, high), declared))
        else:
            gone[tablet].append(Run(epoch, low, high))
    names = dict(keyset.once(select(Tablet.id, Tablet.name).where(Tablet.id.in_(of))))
    gaps: list[Gap] = []
    for tablet, hole, between in holes:
        for left in lost_numbers.without(hole, gone[tablet]):
            by = next((who for run, who in waiting[tablet] if _meet(run, left)), None)
            beside = (between[0].isoformat(), between[1].isoformat())
            gaps.append(Gap(tablet, names.get(tablet, tablet), left.epoch, left.first, left.last, beside, by))
    return gaps


def _meet(one: Run, other: Run) -> bool:
    return one.epoch == other.epoch and one.first <= other.last and one.last >= other.first


def _tablets(days: Days) -> tuple[list[str], str]:
    """Return the tablets that served the contract in these days, and its canteen."""
    with keyset.reader() as session:
        contract = session.get_one(Contract, days.contract_id)
    return gather_tablets.tablets(contract, days.from_day, days.to_day), contract.canteen_id


def claims_waiting_for(session: Session, runs: Sequence[tuple[str, Run]]) -> list[list[str]]:
    """List for each (tablet, run of missing numbers) the numbers of unsubmitted claims that it can touch, as of now."""
    beside = _beside(session, runs)
    return claims_waiting_between(session, [(tablet, beside.get(n)) for n, (tablet, _) in enumerate(runs)])


def _beside(session: Session, runs: Sequence[tuple[str, Run]]) -> dict[int, tuple[date, date]]:
    """Return by place in `runs` the first and last day of the records beside a run; nothing where there are none."""
    found: dict[int, list[date]] = defaultdict(list)
    for some in batches(list(enumerate(runs)), 100):
        parts = []
        for n, (tablet_id, run) in some:
            mine = (Record.tablet_id == tablet_id, Record.epoch == run.epoch)
            before = select(func.max(Record.number)).where(*mine, Record.number < run.first).scalar_subquery()
            after = select(func.min(Record.number)).where(*mine, Record.number > run.last).scalar_subquery()
            numbers = or_(Record.number == before, Record.number == after)
            parts.append(select(literal(n), Record.tablet_at, Record.arrived_at).where(*mine, numbers))
        for n, at, arrived in session.execute(union_all(*parts)):
            found[n].append(arrivals.stated_day(at, arrived))
    return {n: (min(days), max(days)) for n, days in found.items()}


def claims_waiting_between(session: Session, spans: Sequence[tuple[str, tuple[date, date] | None]]) -> list[list[str]]:
    """List for each tablet and its (first, last) day the numbers of unsubmitted claims over such days, oldest first."""
    known = [(tablet, span) for tablet, span in spans if span is not None]
    if not known:
        return [[] for _ in spans]
    newest = select(func.max(Decision.n)).where(Decision.claim_id == Claim.id).correlate(Claim).scalar_subquery()
    query = (
        select(Tablet.id, Claim.number, Claim.from_day, Claim.to_day)
        .select_from(Claim)
        .join(Contract, Contract.id == Claim.contract_id)
        .join(Tablet, Tablet.canteen_id == Contract.canteen_id)
        .outerjoin(Decision, and_(Decision.claim_id == Claim.id, Decision.n == newest))
        .where(Tablet.id.in_({tablet for tablet, _ in known}))
        .where(Claim.from_day <= max(last for _, (_, last) in known))
        .where(Claim.to_day >= min(first for _, (first, _) in known))
        .where(or_(Decision.to_state.is_(None), Decision.to_state == "returned"))
        .order_by(Claim.from_day)
    )
    claims: dict[str, list[tuple[str, date, date]]] = defaultdict(list)
    for tablet, number, first, last in session.execute(query):
        claims[tablet].append((number, first, last))
    return [
        [] if span is None else [no for no, first, last in claims[tablet] if first <= span[1] and last >= span[0]]
        for tablet, span in spans
    ]


def quarantined(days: Days) -> int:
    """Count records of the days that arrived and could not be booked yet: kept whole, to be looked into."""
    return _quarantined(days, _tablets(days)[0])


def _quarantined(days: Days, tablets: Sequence[str]) -> int:
    resolved = select(Record.resolves).where(Record.resolves.is_not(None))
    query = select(Record.tablet_at, Record.arrived_at).where(
        Record.state == "quarantined",
        Record.tablet_id.in_(tablets),
        Record.arrived_at >= clock.instant(days.from_day),
        Record.id.not_in(resolved),
    )
    stated = [arrivals.stated_day(at, arrived) for at, arrived in keyset.once(query)]
    return sum(days.from_day <= day <= days.to_day for day in stated)


def silent(days: Days) -> list[Silent]:
    """List the canteen's tablets not heard from since the last of these days ended, as of now."""
    over = clock.instant(days.to_day, 24 * 60)
    query = (
        select(Tablet.id, Tablet.name, Tablet.seen_at)
        .join(Contract, Contract.canteen_id == Tablet.canteen_id)
        .where(
            Contract.id == days.contract_id,
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
