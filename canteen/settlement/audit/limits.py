"""Verify limits: rebuild slots and amounts in use from the uses of valid sales (decision 0005)."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, tuple_, union
from sqlalchemy.dialects.postgresql import ARRAY

from canteen import keyset
from canteen.db import db
from canteen.pos.models import AmountUsed, Proration, SaleUse, Slot, UseChange, Void
from canteen.settlement.audit.differences import Difference

Key = tuple[uuid.UUID, str, str]  # counted_for, allowance, window
BATCH = 1000  # keys of three columns in one list of parameters


class Slots:
    """Compares each amount once, however many pages of sales draw on it: a budget is drawn on by all of them."""

    def __init__(self) -> None:
        self._seen: set[Key] = set()

    def differences(self, ids: Sequence[uuid.UUID]) -> Iterator[Difference]:
        """Compare what is in use of all limits that these sales draw on with what their uses and voids add up to."""
        if _may_differ(ids):
            yield from _seen_twice(lambda: _slots(ids))
        fresh = sorted(_amount_keys(ids) - self._seen)
        self._seen.update(fresh)
        for at in range(0, len(fresh), BATCH):
            batch = fresh[at : at + BATCH]
            yield from _seen_twice(lambda batch=batch: _amounts(batch))  # type: ignore[misc]


def _seen_twice(look: Callable[[], Iterable[Difference]]) -> list[Difference]:
    """Return the differences of a look; a till may have sold between two reads: what a second look does not see was that."""
    found = set(look())
    return sorted(found & set(look())) if found else []


def _amount_keys(ids: Sequence[uuid.UUID]) -> set[Key]:
    """Collect the keys of fen that sales draw on."""
    found: set[Key] = set()
    for use, amount in _signed():
        query = select(use.person_id, use.allowance, use.window).distinct()
        drawn = keyset.bare(query.where(keyset.among(use.sale_id, ids), use.unit == "fen", amount != 0))
        found |= {(counted_for, allowance, window) for counted_for, allowance, window in drawn}
    return found


def _may_differ(ids: Sequence[uuid.UUID]) -> bool:
    """Tell whether any slot is not that of a valid use with its limit, or any valid use has none; changes need a look."""
    if keyset.bare(_CHANGES) and keyset.bare(_CHANGES.where(_drawn(UseChange, ids))):
        return True
    same = and_(
        SaleUse.person_id == Slot.person_id, SaleUse.allowance == Slot.allowance, SaleUse.window == Slot.window,
        SaleUse.n == Slot.n,
    )  # fmt: skip
    void = select(Void.id).where(Void.sale_id == SaleUse.sale_id).exists()
    used = select(SaleUse.sale_id).where(
        same, SaleUse.sale_id == Slot.sale_id, SaleUse.limited_to == Slot.limited_to, SaleUse.granted > 0, ~void
    )
    stray = select(Slot.sale_id).where(_drawn(Slot, ids, changed=False), ~used.exists())
    taken = select(Slot.sale_id).where(same)
    missing = select(SaleUse.sale_id).where(
        _drawn(SaleUse, ids, changed=False), SaleUse.granted > 0, ~void, ~taken.exists()
    )
    return any(keyset.bare(query.limit(1)) for query in (stray, missing))


def _slots(ids: Sequence[uuid.UUID]) -> Iterator[Difference]:
    """Check that each slot named by a valid use is taken by such a use within its limit, and that no other is taken.

    Looked at are the keys that the sales draw on, and those of slots that they occupy without drawing on them.
    """
    limits: set[tuple[uuid.UUID, str, str, int]] = set()
    used: dict[tuple[uuid.UUID, str, str, int, uuid.UUID], int] = {}
    for use, amount in _signed():
        columns = (use.person_id, use.allowance, use.window, use.n, use.limited_to, use.sale_id, Void.id, amount)
        query = select(*columns).outerjoin(Void, Void.sale_id == use.sale_id)
        for counted_for, allowance, window, n, limit, sale, void, change in keyset.bare(query.where(_drawn(use, ids))):
            limits.add((counted_for, allowance, window, limit))  # a voided one's too: another meal's day keeps it
            if void is None:
                one = (counted_for, allowance, window, n or 0, sale)
                used[one] = used.get(one, 0) + change
    users: dict[tuple[uuid.UUID, str, str, int], list[uuid.UUID]] = {}
    for (counted_for, allowance, window, n, sale), change in used.items():
        if change > 0:
            users.setdefault((counted_for, allowance, window, n), []).append(sale)
    taken = select(Slot.person_id, Slot.allowance, Slot.window, Slot.n, Slot.limited_to, Slot.sale_id)
    for counted_for, allowance, window, n, limit, sale in keyset.bare(taken.where(_drawn(Slot, ids))):
        key = counted_for, allowance, window
        if (*key, limit) not in limits:
            right = sorted(one for *of, one in limits if tuple(of) == key)
            yield Difference("slot_limit", _named(key), str(limit), str(right))
        if sale not in (named := users.pop((*key, n), [])):
            yield Difference("slot", f"{_named(key)}/{n}", str(sale), " ".join(sorted(map(str, named))))
    for (counted_for, allowance, window, n), sales in users.items():
        missing = " ".join(sorted(map(str, sales)))
        yield Difference("slot", f"{_named((counted_for, allowance, window))}/{n}", "", missing)


def _drawn(model: Any, ids: Sequence[uuid.UUID], *, changed: bool = True) -> ColumnElement[bool]:
    """Build the condition that a row has a key that one of the sales draws on or occupies a slot of."""
    keys = [select(Slot.person_id, Slot.allowance, Slot.window).where(keyset.among(Slot.sale_id, ids))]
    keys += [
        select(use.person_id, use.allowance, use.window).where(
            keyset.among(use.sale_id, ids), use.unit != "fen", amount != 0
        )
        for use, amount in (_signed() if changed else [(SaleUse, SaleUse.granted)])
    ]
    return tuple_(model.person_id, model.allowance, model.window).in_(union(*keys))


def _amounts(keys: Sequence[Key]) -> Iterator[Difference]:
    """Check that each amount in use equals the sum granted to valid sales."""
    expected: Counter[Key] = Counter()
    for use, amount in _signed():
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


def _signed() -> list[tuple[Any, Any]]:
    """Return grants of sales and, where there are any, their changes, each with its amount: below zero if given up."""
    return [(SaleUse, SaleUse.granted), *([(UseChange, UseChange.amount)] if keyset.bare(_CHANGES) else [])]


_CHANGES = select(UseChange.sale_id).limit(1)


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
