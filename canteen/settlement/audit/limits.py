"""Verify limits: rebuild slots and amounts in use from the uses of valid sales (decision 0005)."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import and_, func, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from canteen import keyset
from canteen.db import db
from canteen.pos.models import AmountUsed, Proration, SaleUse, Slot, UseChange, Void
from canteen.settlement.audit.differences import Difference

Key = tuple[uuid.UUID, str, str]  # counted_for, allowance, window
BATCH = 1000  # keys of three columns in one list of parameters


class Slots:
    """Compares each key once, however many pages of sales draw on it: a budget is drawn on by all of them."""

    def __init__(self) -> None:
        self._seen: set[Key] = set()

    def differences(self, ids: Sequence[uuid.UUID]) -> Iterator[Difference]:
        """Compare what is in use of all limits that these sales draw on with what their uses and voids add up to."""
        keys = _keys(ids)
        for unit in ("slot", "amount"):
            fresh = sorted(keys[unit] - self._seen)
            self._seen |= keys["amount"] if unit == "amount" else set()
            for at in range(0, len(fresh), BATCH):
                batch = fresh[at : at + BATCH]
                differences = set(_compared(unit, batch))
                if differences:  # a till may have sold between two reads: what a second look does not see was that
                    differences &= set(_compared(unit, batch))
                yield from sorted(differences)


def _keys(ids: Sequence[uuid.UUID]) -> dict[str, set[Key]]:
    """Collect the keys that sales draw on, by kind of state; also slots they occupy without drawing on them."""
    found: dict[str, set[Key]] = {"slot": set(), "amount": set()}
    for use, amount in _SIGNED:
        query = select(use.person_id, use.allowance, use.window, use.unit)
        rows = keyset.once(query.where(keyset.among(use.sale_id, ids), amount != 0).distinct())
        for counted_for, allowance, window, unit in rows:
            found["amount" if unit == "fen" else "slot"].add((counted_for, allowance, window))
    slots = select(Slot.person_id, Slot.allowance, Slot.window).where(keyset.among(Slot.sale_id, ids))
    found["slot"] |= {(counted_for, allowance, window) for counted_for, allowance, window in keyset.once(slots)}
    return found


def _compared(unit: str, keys: Sequence[Key]) -> Iterator[Difference]:
    yield from _slots(keys) if unit == "slot" else _amounts(keys)


def _slots(keys: Sequence[Key]) -> Iterator[Difference]:
    """Check that each slot named by a valid use is taken by such a use within its limit, and that no other is taken."""
    used: Counter[tuple[Key, int, str]] = Counter()
    limits: dict[Key, set[int]] = defaultdict(set)
    for use, amount in _SIGNED:
        for counted_for, allowance, window, n, limit, sale, void, change in keyset.once(
            _changes(use, keys, use.n, use.limited_to, use.sale_id, Void.id, amount)
        ):
            # a voided one's too: a day that another meal shares keeps it
            limits[counted_for, allowance, window].add(limit)
            used[(counted_for, allowance, window), n or 0, str(sale)] += change if void is None else 0
    users: dict[Key, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for key, n, name in +used:
        users[key][n].add(name)
    columns = (Slot.person_id, Slot.allowance, Slot.window, Slot.n, Slot.limited_to, Slot.sale_id)
    there: dict[Key, dict[int, str]] = defaultdict(dict)
    for counted_for, allowance, window, n, limit, sale in keyset.once(select(*columns).where(_of(Slot, keys))):
        there[counted_for, allowance, window][n] = str(sale)
        if limit not in limits[counted_for, allowance, window]:
            yield Difference(
                "slot_limit",
                _named((counted_for, allowance, window)),
                str(limit),
                str(sorted(limits[counted_for, allowance, window])),
            )
    for key in keys:
        for n in sorted(users[key].keys() | there[key].keys()):
            named, sale = users[key].get(n, set()), there[key].get(n, "")
            if sale not in named:
                yield Difference("slot", f"{_named(key)}/{n}", sale, " ".join(sorted(named)))


def _amounts(keys: Sequence[Key]) -> Iterator[Difference]:
    """Check that each amount in use equals the sum granted to valid sales."""
    expected: Counter[Key] = Counter()
    for use, amount in _SIGNED:
        kept = and_(Proration.allowance == use.allowance, Proration.window == use.window)
        summed = _changes(use, keys, func.sum(amount)).outerjoin(Proration, kept)
        summed = summed.where(or_(Void.id.is_(None), Void.record_id > Proration.records))
        for counted_for, allowance, window, fen in keyset.once(
            summed.group_by(use.person_id, use.allowance, use.window)
        ):
            expected[counted_for, allowance, window] += int(fen)
    query = select(AmountUsed.person_id, AmountUsed.allowance, AmountUsed.window, AmountUsed.used)
    there = {
        (counted_for, allowance, window): used
        for counted_for, allowance, window, used in keyset.once(query.where(_of(AmountUsed, keys)))
    }
    for key in keys:
        if there.get(key, 0) != expected[key]:
            yield Difference("amount", _named(key), str(there.get(key, 0)), str(expected[key]))


_SIGNED: tuple[tuple[Any, Any], ...] = ((SaleUse, SaleUse.granted), (UseChange, UseChange.amount))
"""Grants of sales and their changes, each with its amount: above zero for a use, below zero for one given up."""


def _changes(use: Any, keys: Sequence[Key], *columns: Any) -> Any:
    """Select all uses or changes of them, of voided sales too: (counted_for, allowance, window, columns)."""
    found = select(use.person_id, use.allowance, use.window, *columns).outerjoin(Void, Void.sale_id == use.sale_id)
    return found.where(_of(use, keys))


def _of(model: Any, keys: Sequence[Key]) -> Any:
    """Build the condition that a row has one of the keys; on PostgreSQL they are passed as three arrays."""
    columns = (model.person_id, model.allowance, model.window)
    if db.engine.dialect.name != "postgresql":
        return tuple_(*columns).in_(keys)
    arrays = (
        literal(list(values), ARRAY(column.type))
        for column, values in zip(columns, zip(*keys, strict=True), strict=True)
    )
    asked = func.unnest(*arrays).table_valued("counted_for", "allowance", "of_window").render_derived()
    return tuple_(*columns).in_(select(*asked.c))


def _named(key: Key) -> str:
    counted_for, allowance, window = key
    return f"{allowance}/{window}/{counted_for}"
