"""Gathers from the database the values that `reconcile` judges: sales, uses, payments, chains, deaths.

Everything is read up to a cut: facts by event number, records by id. So a close that was killed and runs again
reads the same.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import aliased

from canteen import clock, keyset
from canteen.auth.models import Tablet
from canteen.db import db
from canteen.ledger.models import Period
from canteen.money import Fen
from canteen.places import Canteen, Contract
from canteen.pos import arrivals
from canteen.pos.checkout_rows import PLACES
from canteen.pos.models import (
    AddedUse,
    AmountUsed,
    GivenUpUse,
    Payment,
    Record,
    Sale,
    SaleKey,
    SaleUse,
    Share,
    Tender,
    Void,
)
from canteen.registry import facts as dated
from canteen.registry import likely_same
from canteen.registry.models import ElderFact
from canteen.settlement.closing import budgets
from canteen.settlement.closing.checks import Link, Paid, Part, Priced, Sold, Use
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import Regrant


def belongs(period: Period, cut: Cut) -> ColumnElement[bool]:
    """Sales booked to the period: of its days and come before its close, or earlier days and come after the close before."""
    return and_(
        Sale.contract_id == period.contract_id,
        Sale.service_day <= period.to_day,
        Sale.record_id <= cut.records,
        or_(Sale.service_day >= period.from_day, Sale.record_id > cut.records_before),
    )


def sales(period: Period, cut: Cut) -> Iterator[Sequence[Any]]:
    """Pages of the period's sales, by day and id, each row with the arrival of its void (None while it stands)."""
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
        .where(belongs(period, cut))
    )
    return keyset.rows(query, (Sale.service_day, Sale.id))


def sold(rows: Iterable[Any], turns_at: int) -> list[Sold]:
    """One page of sales as values, with their shares as sold. `turns_at`: minutes after midnight the day turns."""
    rows = list(rows)
    parts: dict[uuid.UUID, list[Part]] = defaultdict(list)
    shares = select(Share.sale_id, Share.fund, Share.payer, Share.rule, Share.fen).where(
        keyset.among(Share.sale_id, [row.id for row in rows])
    )
    for sale, fund, payer, rule, fen in keyset.once(shares.order_by(Share.sale_id, Share.n)):
        parts[sale].append(Part(fund, payer, rule, fen))
    return [
        Sold(
            id=str(row.id),
            elder=str(row.elder_id) if row.elder_id else None,
            day=row.service_day,
            tablet_day=clock.business_day(row.tablet_at, turns_at=turns_at),
            skew_ms=row.skew_ms,
            flags=tuple(row.flags.split()),
            priced=Priced(row.list_fen, row.due_fen, tuple(parts[row.id]), row.surcharge_fen),
            own=(row.own_input_hash, row.own_rulebook_hash),
            voided=row.void_record is not None,
            arrived=clock.business_day(row.arrived_at, turns_at=turns_at),
        )
        for row in rows
    ]


class Budgets:
    """What was drawn on budgets, up to a cut, by the canteen that drew: each is summed once in a close."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._drawn: dict[tuple[str, str], dict[uuid.UUID, Fen]] = {}

    def elsewhere(self, allowance: str, window: str, here: uuid.UUID) -> Fen | None:
        """Fen that others than `here` drew, of meals that stand; None for a limit that is no budget."""
        if not allowance.startswith("budget."):
            return None
        key = (allowance, window)
        if key not in self._drawn:
            self._drawn[key] = self._sum(*key)
        return sum(fen for holder, fen in self._drawn[key].items() if holder != here)

    def _sum(self, allowance: str, window: str) -> dict[uuid.UUID, Fen]:
        holders = select(AmountUsed.person_id).where(AmountUsed.allowance == allowance, AmountUsed.window == window)
        query = (
            select(SaleUse.person_id, func.sum(SaleUse.granted))
            .join(Sale, Sale.id == SaleUse.sale_id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= self._cut.records))
            .where(SaleUse.person_id.in_(holders), SaleUse.allowance == allowance, SaleUse.window == window)
            .where(Sale.record_id <= self._cut.records, Void.id.is_(None))
            .group_by(SaleUse.person_id)
        )
        drawn = {holder: int(fen) for holder, fen in keyset.once(query)}
        for holder, fen in _moved_of_budget(allowance, window, self._cut):
            drawn[holder] = drawn.get(holder, 0) + fen
        return drawn


def _moved_of_budget(allowance: str, window: str, cut: Cut) -> Iterator[tuple[uuid.UUID, Fen]]:
    """What was added to a budget's uses up to a cut, and given up of them, of meals that stand."""
    for use, there, sign in ((GivenUpUse, GivenUpUse.recorded <= cut.facts, -1), (AddedUse, _added_before(cut), 1)):
        query = (
            select(use.person_id, use.granted)
            .join(Sale, Sale.id == use.sale_id)
            .outerjoin(Regrant, Regrant.sale_id == use.sale_id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
            .where(use.allowance == allowance, use.window == window, Void.id.is_(None), there)
        )
        for holder, fen in keyset.once(query):
            yield holder, sign * int(fen)


def _added_before(cut: Cut) -> ColumnElement[bool]:
    """Whether a use was added before a cut: a reviewer's by its event, a revaluation's by the records that followed it."""
    return or_(Regrant.recorded <= cut.facts, and_(Regrant.sale_id.is_(None), AddedUse.after_record < cut.records))


def uses(sale_ids: Collection[uuid.UUID], clusters: Clusters, cut: Cut, pots: Budgets) -> list[Use]:
    """All uses, anywhere in the city, of the persons and windows that these sales leaned on."""
    mine = keyset.once(
        select(SaleUse.person_id, SaleUse.allowance, SaleUse.window)
        .where(keyset.among(SaleUse.sale_id, sale_ids))
        .distinct()
    )
    keys = {(clusters.root(str(person)), allowance, window) for person, allowance, window in mine}
    persons = {member for person, _, _ in mine for member in clusters.members(str(person))}
    windows = {window for _, _, window in mine}
    found: list[Use] = []
    for some in _batches(sorted(persons), 500):
        ids = [uuid.UUID(person) for person in some]
        added = _added(ids, windows, cut)
        moved = _moved(ids, windows, cut, added)
        query = (
            select(*_USE, Sale.service_day, Sale.arrival, Sale.own_rulebook_hash, Void.record_id.label("void_record"))
            .join(Sale, Sale.id == SaleUse.sale_id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
            .where(
                keyset.among(SaleUse.person_id, [uuid.UUID(person) for person in some]),
                keyset.among(SaleUse.window, windows),
                Sale.record_id <= cut.records,
            )
        )
        found += [
            use
            for row in keyset.once(query)
            if (clusters.root(str(row.person_id)), row.allowance, row.window) in keys
            for use in _after_moves(_use(row, pots.elsewhere(row.allowance, row.window, row.person_id)), moved)
        ]
        found += [
            _use(row, pots.elsewhere(row.allowance, row.window, row.person_id))
            for row in added
            if (clusters.root(str(row.person_id)), row.allowance, row.window) in keys
        ]
    return found


@dataclass(frozen=True, slots=True)
class _Moved:
    """Up to a cut, by (sale, allowance, window): the newest record when a use was given up, and what was added."""

    given_up: dict[tuple[str, str, str], int]
    added: dict[tuple[str, str, str], int]


def _added(persons: Sequence[uuid.UUID], windows: Collection[str], cut: Cut) -> Sequence[Any]:
    """Uses added later, each with the arrival of its void."""
    query = (
        select(
            *_ADDED,
            Sale.service_day,
            Sale.own_rulebook_hash,
            Regrant.sale_id.label("regranted"),
            Void.record_id.label("void_record"),
        )
        .join(Sale, Sale.id == AddedUse.sale_id)
        .outerjoin(Regrant, Regrant.sale_id == AddedUse.sale_id)
        .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
        .where(
            keyset.among(AddedUse.person_id, persons),
            keyset.among(AddedUse.window, windows),
            Sale.record_id <= cut.records,
            _added_before(cut),
        )
    )
    return keyset.once(query)


def _moved(persons: Sequence[uuid.UUID], windows: Collection[str], cut: Cut, added: Sequence[Any]) -> _Moved:
    gone = select(GivenUpUse.sale_id, GivenUpUse.allowance, GivenUpUse.window, GivenUpUse.after_record).where(
        keyset.among(GivenUpUse.person_id, persons),
        keyset.among(GivenUpUse.window, windows),
        GivenUpUse.recorded <= cut.facts,
    )
    return _Moved(
        {(str(sale), allowance, window): after for sale, allowance, window, after in keyset.once(gone)},
        {(str(row.sale_id), row.allowance, row.window): row.granted for row in added if row.regranted is not None},
    )


def _after_moves(use: Use, moved: _Moved) -> Iterator[Use]:
    """The use as asked at the sale, less what a reviewer added to it: that came when it was decided.

    A use given up leaves just before the other is added, in whose place it stands.
    """
    key = (use.sale, use.allowance, use.window)
    if (after := moved.given_up.get(key)) is not None:
        up = after * PLACES + PLACES - 2
        use = replace(use, left=up if use.left is None else min(use.left, up))
    granted = moved.added.get(key, 0)
    if not granted or use.asked > granted:
        yield replace(use, asked=use.asked - granted)


# Columns, not objects: an object read in a transaction that ended is read again, one by one, at its first use.
_USE = (
    SaleUse.sale_id,
    SaleUse.person_id,
    SaleUse.allowance,
    SaleUse.window,
    SaleUse.unit,
    SaleUse.limited_to,
    SaleUse.asked,
    SaleUse.granted,
    SaleUse.rules,
)


_ADDED = (
    AddedUse.sale_id,
    AddedUse.person_id,
    AddedUse.allowance,
    AddedUse.window,
    AddedUse.unit,
    AddedUse.limited_to,
    AddedUse.granted.label("asked"),
    AddedUse.granted,
    AddedUse.rules,
    (AddedUse.after_record * PLACES + PLACES - 1).label("arrival"),
)


def _use(row: Any, elsewhere: Fen | None) -> Use:
    return Use(
        sale=str(row.sale_id),
        person=str(row.person_id),
        allowance=row.allowance,
        window=row.window,
        unit=row.unit,
        limit=row.limited_to,
        asked=row.asked,
        granted=row.granted,
        day=row.service_day,
        rules=tuple(row.rules.split()),
        arrival=row.arrival,
        left=None if row.void_record is None else row.void_record * PLACES,  # as sales count their arrival
        elsewhere=elsewhere,
        prorated=elsewhere is not None and budgets.prorated(row.own_rulebook_hash, row.allowance),
    )


class Clusters:
    """Which elders are known, up to a cut, to be one person (ruling 42)."""

    def __init__(self, parents: Mapping[str, str]) -> None:
        self._parents = parents
        self._members: dict[str, set[str]] = defaultdict(set)
        for person in {*parents, *parents.values()}:
            self._members[self.root(person)].add(person)

    def root(self, person: str) -> str:
        seen = {person}
        while (parent := self._parents.get(person)) is not None and parent not in seen:
            person = parent
            seen.add(person)
        return person

    def members(self, person: str) -> set[str]:
        return self._members.get(self.root(person)) or {person}

    def roots(self) -> dict[str, str]:
        """Everyone who is part of a cluster, with its root."""
        return {person: self.root(person) for members in self._members.values() for person in members}


def clusters(cut: Cut) -> Clusters:
    """Merges as recorded up to the cut."""
    return Clusters(dated.merged_into(dated.standing(_facts("merged"), cut.facts)))


def deaths(elders: Collection[str], known: Clusters, cut: Cut) -> dict[str, date]:
    """Elder -> day of death as recorded up to the cut, also when recorded under an id merged with theirs."""
    asked = {member for elder in elders for member in known.members(elder)}
    days: dict[str, date] = {}
    for some in _batches(sorted(asked), 500):
        for fact in dated.standing(_facts("status", [uuid.UUID(elder) for elder in some]), cut.facts):
            if fact.value == "deceased":
                root = known.root(str(fact.elder_id))
                days[root] = min(days.get(root, date.max), fact.from_day)
    return {elder: days[known.root(elder)] for elder in elders if known.root(elder) in days}


def twins(elders: Collection[str], known: Clusters, cut: Cut, first: date, last: date) -> dict[str, list[str]]:
    """Standing sale -> those of the same day and meal, anywhere, to an entry that is likely the same person.

    elders       whose sales are asked for, on the days from `first` to `last`
    Two entries that are known to be one are none: their limits are one already.
    """
    alike = {
        str(each): [str(one.id) for one in others if known.root(str(each)) != known.root(str(one.id))]
        for each, others in likely_same.twins(db.session(), [uuid.UUID(each) for each in elders], cut.facts).items()
    }
    db.session.rollback()
    eaten: dict[tuple[date, str], list[tuple[str, str]]] = defaultdict(list)
    for some in _batches(sorted({*alike, *(other for others in alike.values() for other in others)}), 500):
        query = (
            select(Sale.service_day, Sale.period, Sale.id, Sale.elder_id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
            .where(
                keyset.among(Sale.elder_id, [uuid.UUID(elder) for elder in some]),
                Sale.service_day.between(first, last),
                Sale.record_id <= cut.records,
                Void.id.is_(None),
            )
        )
        for day, meal, sale, elder in keyset.once(query):
            eaten[day, meal].append((str(sale), str(elder)))
    found: dict[str, list[str]] = {}
    for together in eaten.values():
        for mine, eater in together:
            if also := sorted(other for other, whose in together if whose in alike.get(eater, ())):
                found[mine] = also
    return found


def known_late(period: Period, known: Clusters, cut: Cut) -> list[uuid.UUID]:
    """Standing sales of the contract's earlier periods, of whom a death or a merge became known since the close before."""
    told = keyset.once(
        select(ElderFact.elder_id)
        .where(
            ElderFact.kind.in_(("status", "merged")),
            ElderFact.recorded > cut.facts_before,
            ElderFact.recorded <= cut.facts,
        )
        .distinct()
    )
    asked = {uuid.UUID(member) for (elder,) in told for member in known.members(str(elder))}
    found: list[uuid.UUID] = []
    for some in _batches(sorted(asked), 500):
        query = (
            select(Sale.id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
            .where(
                keyset.among(Sale.elder_id, some),
                Sale.contract_id == period.contract_id,
                Sale.service_day < period.from_day,
                Sale.record_id <= cut.records_before,
                Void.id.is_(None),
            )
        )
        found += [sale for (sale,) in keyset.once(query)]
    return sorted(found)


def _facts(kind: str, elders: Collection[uuid.UUID] | None = None) -> list[dated.Fact]:
    """Facts of a kind with their retractions, which are of the same kind; the registry says which of them count."""
    query = select(
        ElderFact.id,
        ElderFact.elder_id,
        ElderFact.kind,
        ElderFact.value,
        ElderFact.from_day,
        ElderFact.to_day,
        ElderFact.recorded,
        ElderFact.source,
        ElderFact.retracts,
    ).where(ElderFact.kind == kind)
    if elders is not None:
        query = query.where(keyset.among(ElderFact.elder_id, elders))
    return [dated.Fact(*row) for row in keyset.once(query)]


def by_id(ids: Collection[uuid.UUID], turns_at: int) -> list[Sold]:
    """Sales by id, as values that stand."""
    found: list[Sold] = []
    for some in _batches(sorted(ids), 500):
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
    """Payments with what their tenders and their sales come to."""
    found: list[Paid] = []
    for some in _batches(payment_ids, 500):
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
            .join(Sale, Sale.record_id == Payment.record_id)
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


def tenders(payment_ids: Sequence[uuid.UUID]) -> dict[str, int]:
    """Fen by kind of tender over some payments."""
    sums: dict[str, int] = defaultdict(int)
    for some in _batches(payment_ids, 500):
        query = (
            select(Tender.kind, func.sum(Tender.fen)).where(keyset.among(Tender.payment_id, some)).group_by(Tender.kind)
        )
        for kind, fen in keyset.once(query):
            sums[kind] += int(fen)
    return sums


def tablets(contract: Contract, first: date, last: date, records: int | None = None) -> list[str]:
    """Tablets that stand at the contract's canteen or sold under the contract in these days.

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
    """Links of the tablets' chains from the record before the first that came since `since`, and where each starts.

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
            yield Link(tablet, epoch, number, digest, previous, arrivals.day_told(at, arrived))


def content_hashes(period: Period, cut: Cut) -> Iterator[str]:
    """Content hashes of the period's sales in sorted order; PostgreSQL sorts and streams, SQLite is read in pages."""
    query = select(Sale.service_day, Sale.id, SaleKey.content_hash).join(SaleKey, SaleKey.sale_id == Sale.id)
    query = query.where(belongs(period, cut))
    if db.engine.dialect.name == "postgresql":
        in_order = query.order_by(SaleKey.content_hash.collate("C")).execution_options(yield_per=5000)
        for row in db.session.execute(in_order):
            yield row[2]
        db.session.rollback()
        return
    pages = keyset.rows(query, (Sale.service_day, Sale.id), page=5000)
    yield from sorted(row[2] for page in pages for row in page)


def day_turns_at(contract: Contract) -> int:
    """Minutes after midnight at which the canteen's day turns."""
    ((minutes,),) = keyset.once(select(Canteen.day_turns_at).where(Canteen.id == contract.canteen_id))
    return int(minutes)


def _batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]
