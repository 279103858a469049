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
from canteen.pos.models import AmountUsed, Sale, SaleUse, UseChange, Void
from canteen.settlement.closing import budgets
from canteen.settlement.closing.checks import LimitUse
from canteen.settlement.closing.gather import batches
from canteen.settlement.closing.gather_persons import Clusters
from canteen.settlement.closing.statement import Cut


class Budgets:
    """The draws on budgets by canteen, up to a cut-off; each budget is summed once in a close."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._drawn: dict[tuple[str, str], dict[uuid.UUID, Fen]] = {}

    def elsewhere(self, allowance: str, window: str, own: uuid.UUID) -> Fen | None:
        """Return the fen that others than `own` drew, of valid meals; None for a limit that is no budget."""
        if not budget_ids.is_budget(allowance):
            return None
        key = (allowance, window)
        if key not in self._drawn:
            self._drawn[key] = self._sum(*key)
        return sum(fen for counted_for, fen in self._drawn[key].items() if counted_for != own)

    def _sum(self, allowance: str, window: str) -> dict[uuid.UUID, Fen]:
        budget_rows = select(AmountUsed.person_id).where(AmountUsed.allowance == allowance, AmountUsed.window == window)
        query = (
            select(SaleUse.person_id, func.sum(SaleUse.granted))
            .join(Sale, Sale.id == SaleUse.sale_id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= self._cut.records))
            .where(SaleUse.person_id.in_(budget_rows), SaleUse.allowance == allowance, SaleUse.window == window)
            .where(Sale.record_id <= self._cut.records, Void.id.is_(None))
            .group_by(SaleUse.person_id)
        )
        drawn = {counted_for: int(fen) for counted_for, fen in keyset.once(query)}
        for counted_for, fen in _moved_of_budget(allowance, window, self._cut):
            drawn[counted_for] = drawn.get(counted_for, 0) + fen
        return drawn


def _moved_of_budget(allowance: str, window: str, cut: Cut) -> Iterator[tuple[uuid.UUID, Fen]]:
    """Sum what was added to a budget's uses up to a cut-off, less what was given up of them, of valid meals."""
    query = (
        select(UseChange.person_id, func.sum(UseChange.amount))
        .outerjoin(Void, and_(Void.sale_id == UseChange.sale_id, Void.record_id <= cut.records))
        .where(UseChange.allowance == allowance, UseChange.window == window, Void.id.is_(None), _changed_before(cut))
        .group_by(UseChange.person_id)
    )
    for counted_for, fen in keyset.once(query):
        yield counted_for, int(fen)


def _changed_before(cut: Cut) -> ColumnElement[bool]:
    """Tell whether a use changed before a cut-off: by its event a reviewer's, by the next records a revaluation's."""
    by_revaluation = and_(UseChange.recorded.is_(None), UseChange.after_record < cut.records)
    return or_(UseChange.recorded <= cut.facts, by_revaluation)


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
        changed = _changed(ids, windows, cut)
        added, moved = [row for row in changed if row.granted > 0], _moved(changed)
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


def _changed(persons: Sequence[uuid.UUID], windows: Collection[str], cut: Cut) -> Sequence[Any]:
    """Read changes of uses after the sale, each with the arrival of the sale's void."""
    query = (
        select(*_CHANGE, Sale.service_day, Sale.own_rulebook_hash, Void.record_id.label("void_record"))
        .join(Sale, Sale.id == UseChange.sale_id)
        .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
        .where(
            keyset.among(UseChange.person_id, persons),
            keyset.among(UseChange.window, windows),
            Sale.record_id <= cut.records,
            _changed_before(cut),
        )
    )
    return keyset.once(query)


def _moved(changed: Sequence[Any]) -> _Moved:
    """Sort out what reviewers changed."""
    by_reviewer = {(str(row.sale_id), row.allowance, row.window): row for row in changed if row.recorded is not None}
    return _Moved(
        {key: row.after_record for key, row in by_reviewer.items() if row.granted < 0},
        {key: row.granted for key, row in by_reviewer.items() if row.granted > 0},
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


_CHANGE = (
    UseChange.sale_id,
    UseChange.person_id,
    UseChange.allowance,
    UseChange.window,
    UseChange.unit,
    UseChange.limited_to,
    UseChange.amount.label("asked"),
    UseChange.amount.label("granted"),
    UseChange.rules,
    UseChange.after_record,
    UseChange.recorded,
    arrival_of(UseChange.after_record, PLACES - 1).label("arrival"),
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
