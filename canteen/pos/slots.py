"""Slots and amounts in use: what keeps "one free meal a day" true under any number of tablets (P11).

Under the person's row lock, read what is taken in a *later* statement than the lock, then take the least free
number. The primary key of `slot` and its CHECK refuse whatever code would get wrong.

A household and a budget have no person's row: `hold` takes a lock of their name instead. A budget is drawn on by
every sale, so it has one row a canteen, and while it is far from its end many draw on it side by side.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from canteen.pos.models import AddedUse, AmountUsed, GivenUpUse, Prorating, SaleUse, Slot, Void
from canteen.prepared import Prepared, connection_of
from canteen.registry.models import Elder

SIDE_BY_SIDE = 1000  # sales that may draw on a budget at one time: more than a database has connections
LAST_PART = 20  # the last twentieth of a budget is drawn on by one sale at a time

Key = tuple[str, str]  # allowance, window


class Again(Exception):
    """What the sale drew on changed before its locks were held: run the transaction again, whole."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a sale asks of an allowance: one meal or day, or an amount of fen, in a window."""

    allowance: str
    window: str
    unit: str
    limited_to: int
    amount: int
    rules: tuple[str, ...]
    scope: str = "person"


def counts(ask: Ask, fund: str) -> bool:
    """Whether a share of `fund` is counted by the limit: one of a fund, or its budget, counts that fund's alone."""
    if ask.scope == "fund":
        return ask.allowance.endswith(f"#{fund}")
    if ask.scope == "budget":
        return ask.allowance == f"budget.{fund}" or ask.allowance.startswith(f"budget.{fund}@")
    return True


@dataclass(slots=True)
class Used:
    """What is taken of one (allowance, window): slots as (holder, number), the slot of each civil day, or fen."""

    slots: set[tuple[uuid.UUID, int]] = field(default_factory=set)
    days: dict[date, tuple[uuid.UUID, int]] = field(default_factory=dict)
    fen: int = 0

    @property
    def count(self) -> int:
        return len(self.slots)

    def free(self, holder: uuid.UUID, ask: Ask) -> int | None:
        """The holder's least free number; None when all have as many meals or civil days as the limit says."""
        if (len(self.days) if ask.unit == "day" else self.count) >= ask.limited_to:
            return None
        own = {n for each, n in self.slots if each == holder}
        return next((n for n in range(1, ask.limited_to + 1) if n not in own), None)


Taken = dict[Key, Used]


_LOCKED = Prepared(
    select(Elder.id)
    .where(Elder.id.in_(bindparam("ids", expanding=True)))
    .order_by(Elder.id)
    .with_for_update(key_share=True)
)
_TAKEN = Prepared(
    select(Slot.person_id, Slot.allowance, Slot.window, Slot.n, Slot.unit_day).where(
        Slot.person_id.in_(bindparam("holders", expanding=True)), Slot.window.in_(bindparam("windows", expanding=True))
    )
)
_SPENT = Prepared(
    select(AmountUsed.allowance, AmountUsed.window, AmountUsed.used).where(
        AmountUsed.person_id.in_(bindparam("holders", expanding=True)),
        AmountUsed.window.in_(bindparam("windows", expanding=True)),
    )
)


def lock(session: Session, persons: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    """Hold the rows of these persons to the end of the transaction, by id, and answer which of them exist."""
    wanted = sorted(set(persons))
    if not wanted:
        return set()
    return {found for (found,) in _LOCKED.rows(session, {"ids": wanted})}


def hold(session: Session, households: Collection[uuid.UUID], budgets: Mapping[Key, int], most: int) -> None:
    """Hold, after the persons, what has no row of its own: households alone, budgets (with their limits) as needed.

    most  the fen that this transaction may draw at most. Raises Again where a budget came near its end meanwhile.

    A budget is held in common while more is left than all who may draw side by side could take; then by one sale
    at a time, so that the sum over its canteens is exact. On SQLite there is one writer, and nothing to hold.
    """
    if not (households or budgets) or connection_of(session).dialect.name != "postgresql":
        return
    used = drawn(session, budgets)
    common = {key for key, limit in budgets.items() if _ample(limit, used.get(key, 0), most)}
    names = {_number("household", str(each)): False for each in households}
    names |= {_number("budget", *key): key in common for key in budgets}
    for number in sorted(names):
        how = "pg_advisory_xact_lock_shared" if names[number] else "pg_advisory_xact_lock"
        session.execute(text(f"SELECT {how}(:number)"), {"number": number})
    used = drawn(session, common)
    if not all(_ample(budgets[key], used.get(key, 0), most) for key in common):
        raise Again


def hold_alone(session: Session, budgets: Collection[Key]) -> None:
    """Hold these budgets against every sale and void that draws on them, so that what they come to can be read."""
    if connection_of(session).dialect.name == "postgresql":
        for number in sorted(_number("budget", *key) for key in budgets):
            session.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": number})


def budgets_of(session: Session, sale_id: uuid.UUID) -> dict[Key, int]:
    """The budgets that a sale drew on, with their limits."""
    found: dict[Key, int] = {}
    for use in (AddedUse, SaleUse):
        query = select(use.allowance, use.window, use.limited_to)
        rows = session.execute(query.where(use.sale_id == sale_id, use.allowance.startswith("budget.")))
        found |= {(allowance, window): limit for allowance, window, limit in rows}
    return found


def _ample(limit: int, used: int, most: int) -> bool:
    """Whether this draw is small, and what is left holds as many such draws as there can be at one time."""
    return most * SIDE_BY_SIDE * LAST_PART <= limit and (limit - used) * LAST_PART >= limit


def _number(*name: str) -> int:
    return int.from_bytes(hashlib.sha256("\n".join(name).encode()).digest()[:8], signed=True)


def drawn(session: Session, budgets: Collection[Key]) -> dict[Key, int]:
    """Fen drawn on these budgets, over all canteens."""
    if not budgets:
        return {}
    rows = session.execute(
        select(AmountUsed.allowance, AmountUsed.window, func.sum(AmountUsed.used))
        .where(tuple_(AmountUsed.allowance, AmountUsed.window).in_(sorted(budgets)))
        .group_by(AmountUsed.allowance, AmountUsed.window)
    )
    return {(allowance, window): int(fen) for allowance, window, fen in rows}


def taken(
    session: Session,
    holders: Sequence[uuid.UUID],
    windows: Sequence[str],
    *,
    amounts: bool = True,
    budgets: Collection[Key] = (),
) -> Taken:
    """What these holders have taken in these windows, and what all have of the budgets.

    Read it after `lock` and `hold`, in a later statement.
    """
    result: Taken = {key: Used(fen=fen) for key, fen in drawn(session, budgets).items()}
    if not holders:
        return result
    asked = {"holders": list(holders), "windows": list(windows)}
    for holder, allowance, window, n, unit_day in _TAKEN.rows(session, asked):
        used = result.setdefault((allowance, window), Used())
        used.slots.add((holder, n))
        if unit_day is not None:
            used.days[unit_day] = (holder, n)
    if not amounts:
        return result
    for allowance, window, fen in _SPENT.rows(session, asked):
        result.setdefault((allowance, window), Used()).fen += fen
    return result


@dataclass(frozen=True, slots=True)
class Taking:
    """What was granted of an ask: fen, or 1 with the slot `n` of `holder`; `new` where its row is yet to be written."""

    holder: uuid.UUID
    granted: int
    n: int | None = None
    new: bool = False


def take(holder: uuid.UUID, ask: Ask, before: Taken, day: date) -> Taking:
    """Take what is asked and note it in `before`; nothing is granted when nothing is left, an amount also in part.

    To write what was taken is the caller's: `row` for a new number, `draw` for amounts.
    """
    return note(before.setdefault((ask.allowance, ask.window), Used()), holder, ask, day)


def note(used: Used, holder: uuid.UUID, ask: Ask, day: date) -> Taking:
    """What `used` still grants, noted in it. A civil day taken before is shared with the meal that took it."""
    if ask.unit == "fen":
        granted = max(0, min(ask.amount, ask.limited_to - used.fen))
        used.fen += granted
        return Taking(holder, granted)
    if ask.unit == "day" and day in used.days:
        return Taking(used.days[day][0], 1, used.days[day][1])
    free = used.free(holder, ask)
    if free is None:
        return Taking(holder, 0)
    used.slots.add((holder, free))
    if ask.unit == "day":
        used.days[day] = (holder, free)
    return Taking(holder, 1, free, new=True)


Draw = tuple[uuid.UUID, Ask, int]
"""In whose row an amount is drawn, of what, and how many fen."""


def row(holder: uuid.UUID, ask: Ask, n: int, day: date, sale_id: uuid.UUID) -> dict[str, object]:
    """The row of a slot newly taken by a sale."""
    return {
        "person_id": holder,
        "allowance": ask.allowance,
        "window": ask.window,
        "n": n,
        "limited_to": ask.limited_to,
        "unit_day": day if ask.unit == "day" else None,
        "sale_id": sale_id,
    }


def draw(session: Session, draws: Iterable[Draw]) -> None:
    """Write amounts taken, by key: the rows of a budget have no other order that all keep (decision 0005).

    Raises Again when somebody drew the rest between reading and this.
    """
    sums: dict[tuple[str, str, uuid.UUID], tuple[Ask, int]] = {}
    for holder, ask, fen in draws:
        key = (ask.allowance, ask.window, holder)
        sums[key] = (ask, fen + (sums[key][1] if key in sums else 0))
    for (_, _, holder), (ask, fen) in sorted(sums.items(), key=lambda one: one[0]):
        _add_amount(session, holder, ask, fen)


def hold_drawn(session: Session, holders: Collection[uuid.UUID], budgets: Collection[Key]) -> None:
    """Hold the rows of these budgets, by key, for who draws on them more than once in a transaction."""
    if holders and budgets and connection_of(session).dialect.name == "postgresql":
        key = (AmountUsed.allowance, AmountUsed.window)
        query = select(AmountUsed.used).where(tuple_(*key).in_(sorted(budgets)), AmountUsed.person_id.in_(holders))
        session.execute(query.order_by(*key, AmountUsed.person_id).with_for_update(key_share=True)).all()


def _add_amount(session: Session, holder: uuid.UUID, ask: Ask, fen: int) -> None:
    """Add to the one row, conditionally. Raises Again when somebody drew the rest between reading and this."""
    key = {"person_id": holder, "allowance": ask.allowance, "window": ask.window}
    upsert = pg_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    done = session.execute(
        upsert(AmountUsed)
        .values(**key, used=fen, limited_to=ask.limited_to)
        .on_conflict_do_update(
            index_elements=["person_id", "allowance", "window_start"],
            set_={"used": AmountUsed.used + fen, "limited_to": ask.limited_to},
            where=AmountUsed.used + fen <= ask.limited_to,
        )
        .returning(AmountUsed.used)
    ).scalar_one_or_none()
    if done is None:
        raise Again


def add_unwritten(
    before: Taken, rows: Iterable[Mapping[str, Any]], draws: Iterable[Draw], holders: Collection[uuid.UUID]
) -> None:
    """Note what earlier sales of this checkout took: it is written with the whole."""
    for holder, ask, fen in draws:
        if holder in holders:
            before.setdefault((ask.allowance, ask.window), Used()).fen += fen
    for each in rows:
        if each["person_id"] in holders:
            used = before.setdefault((each["allowance"], each["window"]), Used())
            used.slots.add((each["person_id"], each["n"]))
            if each["unit_day"] is not None:
                used.days[each["unit_day"]] = (each["person_id"], each["n"])


def holders(session: Session, sale_id: uuid.UUID) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
    """In whose rows a sale's uses stand: persons, and households whose slots it has.

    A person may be another than who ate: one that the eater was taken for when it was sold.
    """
    persons, others = set[uuid.UUID](), set[uuid.UUID]()
    for use in (SaleUse, AddedUse):
        query = select(use.person_id, Elder.id, use.n).outerjoin(Elder, Elder.id == use.person_id)
        for holder, elder, n in session.execute(query.where(use.sale_id == sale_id, use.granted > 0)):
            if elder is not None:
                persons.add(holder)
            elif n is not None:
                others.add(holder)
    return persons, others


def standing(session: Session, sale_id: uuid.UUID) -> list[SaleUse | AddedUse]:
    """What a sale was granted, then or later, and has not given up; in one order."""
    gone = select(GivenUpUse.allowance, GivenUpUse.window).where(GivenUpUse.sale_id == sale_id)
    given_up = {tuple(row) for row in session.execute(gone)}
    uses = list[SaleUse | AddedUse](
        session.execute(select(SaleUse).where(SaleUse.sale_id == sale_id, SaleUse.granted > 0)).scalars()
    )
    uses += session.execute(select(AddedUse).where(AddedUse.sale_id == sale_id)).scalars()
    found = (use for use in uses if (use.allowance, use.window) not in given_up)
    return sorted(found, key=lambda use: (use.allowance, use.window, use.person_id))


def release(session: Session, sale_id: uuid.UUID) -> None:
    """Give back what a voided sale took, then or added later. A day that another meal still uses stays taken.

    A budget that was prorated keeps what it was found to bear: it is shared out, and a void leaves its part unclaimed.
    Call it under the locks of its `holders` and `budgets_of`.
    """
    over = _prorated(session, budgets_of(session, sale_id))
    give_back(session, (use for use in standing(session, sale_id) if (use.allowance, use.window) not in over))


def give_back(session: Session, uses: Iterable[SaleUse | AddedUse]) -> None:
    """Free what these uses took; under the locks of their holders."""
    for use in uses:
        if use.unit == "fen":
            session.execute(
                update(AmountUsed)
                .where(
                    AmountUsed.person_id == use.person_id,
                    AmountUsed.allowance == use.allowance,
                    AmountUsed.window == use.window,
                )
                .values(used=AmountUsed.used - use.granted)
                .execution_options(synchronize_session=False)
            )
        else:
            _release_slot(session, use)


def _prorated(session: Session, budgets: Collection[Key]) -> set[Key]:
    """Those of these budgets that were prorated."""
    if not budgets:
        return set()
    key = (Prorating.allowance, Prorating.window)
    rows = session.execute(select(*key).where(tuple_(*key).in_(sorted(budgets))))
    return {(allowance, window) for allowance, window in rows}


def _release_slot(session: Session, use: SaleUse | AddedUse) -> None:
    key = (
        Slot.person_id == use.person_id,
        Slot.allowance == use.allowance,
        Slot.window == use.window,
        Slot.n == use.n,
    )
    other = _another_use(session, use)
    if other is not None:
        session.execute(update(Slot).where(*key).values(sale_id=other).execution_options(synchronize_session=False))
    else:
        session.execute(delete(Slot).where(*key).execution_options(synchronize_session=False))


def given_up(use: type[SaleUse | AddedUse]) -> ColumnElement[bool]:
    """Joins a use with its having been given up."""
    return and_(
        GivenUpUse.sale_id == use.sale_id, GivenUpUse.allowance == use.allowance, GivenUpUse.window == use.window
    )


def _another_use(session: Session, use: SaleUse | AddedUse) -> uuid.UUID | None:
    """A sale not voided that draws on the same slot: dinner on the day that lunch took."""
    found: set[uuid.UUID] = set()
    for other in (SaleUse, AddedUse):
        query = (
            select(other.sale_id)
            .outerjoin(Void, Void.sale_id == other.sale_id)
            .outerjoin(GivenUpUse, given_up(other))
            .where(
                other.person_id == use.person_id,
                other.allowance == use.allowance,
                other.window == use.window,
                other.n == use.n,
                other.granted > 0,
                other.sale_id != use.sale_id,
                Void.id.is_(None),
                GivenUpUse.sale_id.is_(None),
            )
        )
        found |= set(session.execute(query).scalars())
    return min(found, default=None)
