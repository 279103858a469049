"""Usage of limits: what keeps "one free meal a day" true under any number of tablets (P11).

A sale sends a LimitRequest for each limit that its shares depend on, and receives a Grant: a numbered slot (one meal or
day), or an amount in fen. Lock the person's row, read the usage in a *later* statement than the lock, then grant the
lowest free number. The primary key of `slot` and its CHECK refuse whatever code would get wrong.

Households and budgets have no row of a person: `lock_names` takes an advisory lock on their name instead. Every sale
draws on a budget, so a budget has one row per canteen, and while it is far from its end many sales draw side by side.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, bindparam, delete, func, select, text, tuple_, union_all, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from canteen.policy import budget_ids
from canteen.pos.models import AmountUsed, Proration, SaleUse, Slot, UseChange, Void
from canteen.prepared import Prepared, connection_of
from canteen.registry.models import Elder

SIDE_BY_SIDE = 1000  # sales that may draw on a budget at the same time: more than a database has connections
LAST_PART = 20  # in the last twentieth of a budget, sales draw on it one at a time

Key = tuple[str, str]  # allowance, window


class RetryTransaction(Exception):
    """Something that was read before the locks has changed: the whole transaction must run again."""


@dataclass(frozen=True, slots=True)
class LimitRequest:
    """Request of a sale to one limit in one window: one meal or day (`amount` 1), or an amount in fen."""

    allowance: str
    window: str
    unit: str
    limited_to: int
    amount: int
    rules: tuple[str, ...]
    scope: str = "person"

    @property
    def key(self) -> Key:
        return self.allowance, self.window


def counts_fund(request: LimitRequest, fund: str) -> bool:
    """Tell whether the limit counts shares of `fund`: the limit or the budget of a fund counts that fund only."""
    if request.scope == "fund":
        return request.allowance.endswith(f"#{fund}")
    if request.scope == "budget":
        return budget_ids.is_budget(request.allowance) and budget_ids.fund_of(request.allowance) == fund
    return True


@dataclass(frozen=True, slots=True)
class Grant:
    """Answer to a LimitRequest: `granted` fen, or 1 with slot number `n`, or 0; `new` if the slot's row is to be written."""

    counted_for: uuid.UUID  # the person, household or budget in whose rows it is counted
    granted: int
    n: int | None = None
    new: bool = False


@dataclass(slots=True)
class Usage:
    """Usage of one limit in one window: slots as (counted for, number), the slot of each civil day, and fen."""

    slots: set[tuple[uuid.UUID, int]] = field(default_factory=set)
    days: dict[date, tuple[uuid.UUID, int]] = field(default_factory=dict)
    fen: int = 0

    @property
    def count(self) -> int:
        return len(self.slots)

    def free(self, counted_for: uuid.UUID, request: LimitRequest) -> int | None:
        """Return the lowest free number of `counted_for`; None when the limit of meals or civil days is reached."""
        if (len(self.days) if request.unit == "day" else self.count) >= request.limited_to:
            return None
        own = {n for each, n in self.slots if each == counted_for}
        return next((n for n in range(1, request.limited_to + 1) if n not in own), None)

    def grant(self, counted_for: uuid.UUID, request: LimitRequest, day: date) -> Grant:
        """Grant what is free and add it to this usage: an amount possibly in part, a used civil day again as it is."""
        if request.unit == "fen":
            granted = max(0, min(request.amount, request.limited_to - self.fen))
            self.fen += granted
            return Grant(counted_for, granted)
        if request.unit == "day" and day in self.days:
            return Grant(self.days[day][0], 1, self.days[day][1])
        free = self.free(counted_for, request)
        if free is None:
            return Grant(counted_for, 0)
        self.slots.add((counted_for, free))
        if request.unit == "day":
            self.days[day] = (counted_for, free)
        return Grant(counted_for, 1, free, new=True)


Usages = dict[Key, Usage]
SlotRow = tuple[uuid.UUID, str, str, int, date | None]  # counted for, allowance, window, number, civil day

_LOCKED = Prepared(
    select(Elder.id)
    .where(Elder.id.in_(bindparam("ids", expanding=True)))
    .order_by(Elder.id)
    .with_for_update(key_share=True)
)
_SLOTS = Prepared(
    select(Slot.person_id, Slot.allowance, Slot.window, Slot.n, Slot.unit_day).where(
        Slot.person_id.in_(bindparam("counted_for", expanding=True)),
        Slot.window.in_(bindparam("windows", expanding=True)),
    )
)
_AMOUNTS = Prepared(
    select(AmountUsed.allowance, AmountUsed.window, AmountUsed.used).where(
        AmountUsed.person_id.in_(bindparam("counted_for", expanding=True)),
        AmountUsed.window.in_(bindparam("windows", expanding=True)),
    )
)


def lock_persons(session: Session, persons: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Lock the rows of these persons, ordered by id, until the transaction ends; return the ids that exist."""
    wanted = sorted(set(persons))
    if not wanted:
        return set()
    return {found for (found,) in _LOCKED.rows(session, {"ids": wanted})}


def lock_names(session: Session, names: Collection[uuid.UUID], budgets: Mapping[Key, int], most: int) -> None:
    """Lock what has no row of its own, after the persons: `names` exclusively, `budgets` (with their limits) as needed.

    names  ids of households and of guests' sales
    most   fen that this transaction may draw at most

    A budget is locked in shared mode while more is left than all concurrent sales could draw, else exclusively, so
    that the sum over its canteens is exact. SQLite has a single writer and needs no lock. Raises RetryTransaction if
    a budget came near its end while waiting for the lock.
    """
    if not (names or budgets) or connection_of(session).dialect.name != "postgresql":
        return
    used = fen_drawn(session, budgets)
    shared = {key for key, limit in budgets.items() if _is_ample(limit, used.get(key, 0), most)}
    locks = {_lock_number("household", str(each)): False for each in names}
    locks |= {_lock_number("budget", *key): key in shared for key in budgets}
    for number in sorted(locks):
        function = "pg_advisory_xact_lock_shared" if locks[number] else "pg_advisory_xact_lock"
        session.execute(text(f"SELECT {function}(:number)"), {"number": number})
    used = fen_drawn(session, shared)
    if not all(_is_ample(budgets[key], used.get(key, 0), most) for key in shared):
        raise RetryTransaction


def lock_budgets(session: Session, budgets: Collection[Key]) -> None:
    """Lock these budgets exclusively, so that their totals can be read: sales and voids that draw on them wait."""
    if connection_of(session).dialect.name == "postgresql":
        for number in sorted(_lock_number("budget", *key) for key in budgets):
            session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def budgets_of(session: Session, sale_id: uuid.UUID) -> dict[Key, int]:
    """Return the budgets that a sale drew on or asked, with their limits in fen."""
    found: dict[Key, int] = {}
    for use in (UseChange, SaleUse):
        query = select(use.allowance, use.window, use.limited_to)
        rows = session.execute(query.where(use.sale_id == sale_id, use.allowance.startswith(budget_ids.PREFIX)))
        found |= {(allowance, window): limit for allowance, window, limit in rows}
    return found


def _is_ample(limit: int, used: int, most: int) -> bool:
    """Tell whether a draw of `most` fen is small and the rest holds as many of them as can run at the same time."""
    return most * SIDE_BY_SIDE * LAST_PART <= limit and (limit - used) * LAST_PART >= limit


def _lock_number(*name: str) -> int:
    """Hash a name to the 64-bit number of an advisory lock."""
    return int.from_bytes(hashlib.sha256("\n".join(name).encode()).digest()[:8], signed=True)


def fen_drawn(session: Session, budgets: Collection[Key]) -> dict[Key, int]:
    """Return the fen drawn on these budgets, summed over all canteens."""
    if not budgets:
        return {}
    rows = session.execute(
        select(AmountUsed.allowance, AmountUsed.window, func.sum(AmountUsed.used))
        .where(tuple_(AmountUsed.allowance, AmountUsed.window).in_(sorted(budgets)))
        .group_by(AmountUsed.allowance, AmountUsed.window)
    )
    return {(allowance, window): int(fen) for allowance, window, fen in rows}


def read_usages(
    session: Session,
    counted_for: Sequence[uuid.UUID],
    windows: Sequence[str],
    *,
    amounts: bool = True,
    budgets: Collection[Key] = (),
    rows: Collection[SlotRow] | None = None,
) -> Usages:
    """Read the usage counted for these persons and households in these windows, and the totals of the budgets.

    Call it after `lock_persons` and `lock_names`, in a later statement. `rows`: what was read of slots under the locks.
    """
    result: Usages = {key: Usage(fen=fen) for key, fen in fen_drawn(session, budgets).items()}
    if not counted_for:
        return result
    values = {"counted_for": list(counted_for), "windows": list(windows)}
    for each, allowance, window, n, unit_day in _SLOTS.rows(session, values) if rows is None else rows:
        if rows is not None and (each not in counted_for or window not in windows):
            continue
        usage = result.setdefault((allowance, window), Usage())
        usage.slots.add((each, n))
        if unit_day is not None:
            usage.days[unit_day] = (each, n)
    if not amounts:
        return result
    for allowance, window, fen in _AMOUNTS.rows(session, values):
        result.setdefault((allowance, window), Usage()).fen += fen
    return result


def grant(counted_for: uuid.UUID, request: LimitRequest, usages: Usages, day: date) -> Grant:
    """Grant what is free of the requested limit and add it to `usages`.

    Nothing is written: the caller writes `slot_row` for a new slot and `write_draws` for amounts.
    """
    return usages.setdefault((request.allowance, request.window), Usage()).grant(counted_for, request, day)


Draw = tuple[uuid.UUID, LimitRequest, int]
"""An amount to be written: whom it is counted for, the request, and the fen granted."""


def slot_row(counted_for: uuid.UUID, request: LimitRequest, n: int, day: date, sale_id: uuid.UUID) -> dict[str, object]:
    """Make the row of a slot newly granted to a sale."""
    return {
        "person_id": counted_for,
        "allowance": request.allowance,
        "window": request.window,
        "n": n,
        "limited_to": request.limited_to,
        "unit_day": day if request.unit == "day" else None,
        "sale_id": sale_id,
    }


def write_draws(session: Session, draws: Iterable[Draw]) -> None:
    """Write granted amounts in the order of their keys: no other order is common to all writers (decision 0005).

    Raises RetryTransaction if another transaction drew the rest after the usage was read.
    """
    sums: dict[tuple[str, str, uuid.UUID], tuple[LimitRequest, int]] = {}
    for counted_for, request, fen in draws:
        key = (request.allowance, request.window, counted_for)
        sums[key] = (request, fen + (sums[key][1] if key in sums else 0))
    for (_, _, counted_for), (request, fen) in sorted(sums.items(), key=lambda one: one[0]):
        _add_amount(session, counted_for, request, fen)


def lock_budget_rows(session: Session, counted_for: Collection[uuid.UUID], budgets: Collection[Key]) -> None:
    """Lock the rows of these budgets, ordered by key, before drawing on them more than once in a transaction."""
    if counted_for and budgets and connection_of(session).dialect.name == "postgresql":
        key = (AmountUsed.allowance, AmountUsed.window)
        query = select(AmountUsed.used).where(tuple_(*key).in_(sorted(budgets)), AmountUsed.person_id.in_(counted_for))
        session.execute(query.order_by(*key, AmountUsed.person_id).with_for_update(key_share=True)).all()


def _add_amount(session: Session, counted_for: uuid.UUID, request: LimitRequest, fen: int) -> None:
    """Add to the row if the limit allows it. Raises RetryTransaction if another transaction drew the rest."""
    key = {"person_id": counted_for, "allowance": request.allowance, "window": request.window}
    upsert = pg_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    done = session.execute(
        upsert(AmountUsed)
        .values(**key, used=fen, limited_to=request.limited_to)
        .on_conflict_do_update(
            index_elements=["person_id", "allowance", "window_start"],
            set_={"used": AmountUsed.used + fen, "limited_to": request.limited_to},
            where=AmountUsed.used + fen <= request.limited_to,
        )
        .returning(AmountUsed.used)
    ).scalar_one_or_none()
    if done is None:
        raise RetryTransaction


def add_unwritten(
    usages: Usages, rows: Iterable[Mapping[str, Any]], draws: Iterable[Draw], counted_for: Collection[uuid.UUID]
) -> None:
    """Add to `usages` what earlier sales of this checkout were granted: it is written with the whole checkout."""
    for each, request, fen in draws:
        if each in counted_for:
            usages.setdefault((request.allowance, request.window), Usage()).fen += fen
    for row in rows:
        if row["person_id"] in counted_for:
            usage = usages.setdefault((row["allowance"], row["window"]), Usage())
            usage.slots.add((row["person_id"], row["n"]))
            if row["unit_day"] is not None:
                usage.days[row["unit_day"]] = (row["person_id"], row["n"])


@dataclass(frozen=True, slots=True)
class Use:
    """What a sale uses of one limit now: an amount in fen, or the slot `n` (amount 1), by which rules."""

    sale_id: uuid.UUID
    allowance: str
    window: str
    person_id: uuid.UUID
    unit: str
    limited_to: int
    amount: int
    n: int | None
    rules: tuple[str, ...]

    @property
    def key(self) -> Key:
        return self.allowance, self.window


def _all_uses(condition: Callable[[type[SaleUse | UseChange]], ColumnElement[bool]]) -> Subquery:
    """Select what sales were granted and the changes of it, with signs, that meet the condition."""
    parts = (
        select(
            use.sale_id.label("sale_id"),
            use.allowance.label("allowance"),
            use.window.label("of_window"),
            use.person_id.label("person_id"),
            use.unit.label("unit"),
            use.limited_to.label("limited_to"),
            amount.label("amount"),
            use.n.label("n"),
            use.rules.label("rules"),
        ).where(condition(use), amount != 0)
        for use, amount in ((SaleUse, SaleUse.granted), (UseChange, UseChange.amount))
    )
    return union_all(*parts).subquery()


def counted_for(session: Session, sale_id: uuid.UUID) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
    """Return whom the uses of a sale are counted for: persons, and households in which it has slots.

    The person may differ from the eater: it is the elder that the eater was taken for at the sale.
    """
    persons, others = set[uuid.UUID](), set[uuid.UUID]()
    uses = _all_uses(lambda use: use.sale_id == sale_id)
    query = select(uses.c.person_id, Elder.id, uses.c.n).outerjoin(Elder, Elder.id == uses.c.person_id)
    for each, elder, n in session.execute(query):
        if elder is not None:
            persons.add(each)
        elif n is not None:
            others.add(each)
    return persons, others


def current_uses(session: Session, sale_id: uuid.UUID) -> list[Use]:
    """Return what a sale was granted, at its booking or later, and has not given up; in a fixed order."""
    together: dict[tuple[str, str, uuid.UUID, int], list[Any]] = {}
    for row in session.execute(select(_all_uses(lambda use: use.sale_id == sale_id))):
        together.setdefault((row.allowance, row.of_window, row.person_id, row.n or 0), []).append(row)
    return [
        Use(
            sale_id, allowance, window, person, rows[0].unit, rows[0].limited_to, amount, rows[0].n,
            tuple(dict.fromkeys(rule for row in rows for rule in row.rules.split())),
        )
        for (allowance, window, person, _), rows in sorted(together.items())
        if (amount := sum(row.amount for row in rows)) > 0
    ]  # fmt: skip


def current_users(
    session: Session, counted_for: Collection[uuid.UUID], key: Key, *, n: int | None = None, but: uuid.UUID
) -> set[uuid.UUID]:
    """Return the sales, not voided and other than `but`, that use this limit, or its slot `n`, now."""

    def condition(use: type[SaleUse | UseChange]) -> ColumnElement[bool]:
        same = and_(use.person_id.in_(counted_for), use.allowance == key[0], use.window == key[1], use.sale_id != but)
        return same if n is None else and_(same, use.n == n)

    uses = _all_uses(condition)
    query = select(uses.c.sale_id).outerjoin(Void, Void.sale_id == uses.c.sale_id).where(Void.id.is_(None))
    return set(session.execute(query.group_by(uses.c.sale_id).having(func.sum(uses.c.amount) > 0)).scalars())


def release_sale(session: Session, sale_id: uuid.UUID) -> None:
    """Free what a voided sale used, at its booking or later. A day that another meal also uses stays used.

    A prorated budget is not given back: it has been shared out already, and the part of a voided sale stays unclaimed.
    Call it under the locks of `counted_for` and `budgets_of` this sale.
    """
    prorated = _prorated(session, budgets_of(session, sale_id))
    release_uses(session, (use for use in current_uses(session, sale_id) if use.key not in prorated))


def release_uses(session: Session, uses: Iterable[Use]) -> None:
    """Free what these uses took, under the locks of whom they are counted for."""
    for use in uses:
        if use.unit == "fen":
            session.execute(
                update(AmountUsed)
                .where(
                    AmountUsed.person_id == use.person_id,
                    AmountUsed.allowance == use.allowance,
                    AmountUsed.window == use.window,
                )
                .values(used=AmountUsed.used - use.amount)
                .execution_options(synchronize_session=False)
            )
        else:
            _release_slot(session, use)


def _prorated(session: Session, budgets: Collection[Key]) -> set[Key]:
    """Select those of these budgets that were prorated."""
    if not budgets:
        return set()
    key = (Proration.allowance, Proration.window)
    rows = session.execute(select(*key).where(tuple_(*key).in_(sorted(budgets))))
    return {(allowance, window) for allowance, window in rows}


def _release_slot(session: Session, use: Use) -> None:
    """Delete the slot, or hand it to another meal that uses the same day."""
    key = (
        Slot.person_id == use.person_id,
        Slot.allowance == use.allowance,
        Slot.window == use.window,
        Slot.n == use.n,
    )
    other = min(current_users(session, [use.person_id], use.key, n=use.n, but=use.sale_id), default=None)
    if other is not None:
        session.execute(update(Slot).where(*key).values(sale_id=other).execution_options(synchronize_session=False))
    else:
        session.execute(delete(Slot).where(*key).execution_options(synchronize_session=False))
