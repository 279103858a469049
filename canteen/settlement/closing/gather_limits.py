"""Read the uses of limits and the draws on budgets up to a cut, with those added or given up after the sale."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select

from canteen import keyset
from canteen.money import Fen
from canteen.policy import budget_ids
from canteen.pos.checkout_rows import PLACES, arrival_of
from canteen.pos.models import AddedUse, AmountUsed, GivenUpUse, Sale, SaleUse, Void
from canteen.settlement.closing import budgets
from canteen.settlement.closing.checks import LimitUse
from canteen.settlement.closing.gather import batches
from canteen.settlement.closing.gather_persons import Clusters
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import BenefitReallocation


class Budgets:
    """The draws on budgets by canteen, up to a cut-off; each budget is summed once in a close."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._drawn: dict[tuple[str, str], dict[uuid.UUID, Fen]] = {}

    def elsewhere(self, allowance: str, window: str, here: uuid.UUID) -> Fen | None:
        """Return the fen that others than `here` drew, of valid meals; None for a limit that is no budget."""
        if not budget_ids.is_budget(allowance):
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
    """Sum what was added to a budget's uses up to a cut-off, less what was given up of them, of valid meals."""
    for use, there, sign in ((GivenUpUse, GivenUpUse.recorded <= cut.facts, -1), (AddedUse, _added_before(cut), 1)):
        query = (
            select(use.person_id, use.granted)
            .join(Sale, Sale.id == use.sale_id)
            .outerjoin(BenefitReallocation, BenefitReallocation.sale_id == use.sale_id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
            .where(use.allowance == allowance, use.window == window, Void.id.is_(None), there)
        )
        for holder, fen in keyset.once(query):
            yield holder, sign * int(fen)


def _added_before(cut: Cut) -> ColumnElement[bool]:
    """Tell whether a use was added before a cut-off: a reviewer's by its event, a revaluation's by the next records."""
    return or_(
        BenefitReallocation.recorded <= cut.facts,
        and_(BenefitReallocation.sale_id.is_(None), AddedUse.after_record < cut.records),
    )


def uses(sale_ids: Collection[uuid.UUID], clusters: Clusters, cut: Cut, pots: Budgets) -> list[LimitUse]:
    """Read all uses, anywhere in the city, of the persons and windows that these sales drew on."""
    mine = keyset.once(
        select(SaleUse.person_id, SaleUse.allowance, SaleUse.window)
        .where(keyset.among(SaleUse.sale_id, sale_ids))
        .distinct()
    )
    keys = {(clusters.root(str(person)), allowance, window) for person, allowance, window in mine}
    persons = {member for person, _, _ in mine for member in clusters.members(str(person))}
    windows = {window for _, _, window in mine}
    found: list[LimitUse] = []
    for some in batches(sorted(persons), 500):
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
    """Read uses added later, each with the arrival of its void."""
    query = (
        select(
            *_ADDED,
            Sale.service_day,
            Sale.own_rulebook_hash,
            BenefitReallocation.sale_id.label("reallocated"),
            Void.record_id.label("void_record"),
        )
        .join(Sale, Sale.id == AddedUse.sale_id)
        .outerjoin(BenefitReallocation, BenefitReallocation.sale_id == AddedUse.sale_id)
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
        {(str(row.sale_id), row.allowance, row.window): row.granted for row in added if row.reallocated is not None},
    )


def _after_moves(use: LimitUse, moved: _Moved) -> Iterator[LimitUse]:
    """Return the use as asked at the sale, less what a reviewer added to it: that arrived when it was decided.

    A use given up leaves just before the other is added, in whose place it stands.
    """
    key = (use.sale, use.allowance, use.window)
    if (after := moved.given_up.get(key)) is not None:
        up = arrival_of(after, PLACES - 2)
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
    arrival_of(AddedUse.after_record, PLACES - 1).label("arrival"),
)


def _use(row: Any, elsewhere: Fen | None) -> LimitUse:
    return LimitUse(
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
        left=None if row.void_record is None else arrival_of(row.void_record),  # as sales count their arrival
        elsewhere=elsewhere,
        prorated=elsewhere is not None and _prorated(row.own_rulebook_hash, row.allowance),
    )


def _prorated(book: str, allowance: str) -> bool:
    with keyset.reader() as session:
        return budgets.prorated(session, book, allowance)
