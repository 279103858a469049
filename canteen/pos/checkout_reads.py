"""Read what a checkout must know of the database, in two statements: one takes the locks, the next looks under them.

The second begins when the locks are held, so it sees whatever was committed before them (decision 0005).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Integer, bindparam, cast, func, literal_column, null, select, true, union_all
from sqlalchemy.orm import Session

from canteen import events
from canteen.db import Big, Day, Digest, Uid
from canteen.ledger import periods
from canteen.ledger.models import Period
from canteen.places import Contract
from canteen.pos import slots
from canteen.pos.models import Sale, Slot
from canteen.prepared import Prepared
from canteen.registry.models import Elder


@dataclass(frozen=True, slots=True)
class UnderLocks:
    """What was there when the locks were held: the newest event, the sales by id with their hash, and rows of slots."""

    head: int
    sales: dict[uuid.UUID, str]
    slots: tuple[slots.SlotRow, ...]


_GATE = periods.OPEN_FROM.cte("gate")
_PERSONS = (  # the count makes the gate's row be locked before the first of theirs
    select(Elder.id)
    .where(
        Elder.id.in_(bindparam("ids", expanding=True)), select(func.count()).select_from(_GATE).scalar_subquery() > 0
    )
    .order_by(Elder.id)
    .with_for_update(key_share=True)
    .cte("person")
)
_LOCKED = Prepared(select(*_GATE.c, _PERSONS.c.id).select_from(_GATE.outerjoin(_PERSONS, true())))


def lock(
    session: Session, contract: Contract, day: date, persons: Iterable[uuid.UUID]
) -> tuple[Period, set[uuid.UUID]]:
    """Lock the period for bookings of `day` as `periods.gate` does, then the rows of these persons, ordered by id.

    Returns the period, not attached to the session, and the ids of the persons that exist.
    """
    wanted = sorted(set(persons))
    rows = _LOCKED.rows(session, {"contract": contract.id, "day": day, "ids": wanted})
    if not rows:
        return periods.gate(session, contract, day), slots.lock_persons(session, wanted)
    return periods.locked(contract, *rows[0][:4]), {row[4] for row in rows if row[4] is not None}


_NO_TEXT, _NO_NUMBER, _NO_DAY = cast(null(), Slot.window.type), cast(null(), Big), cast(null(), Day)
_NO_ID, _NO_DIGEST = cast(null(), Uid), cast(null(), Digest)
_FOUND = Prepared(
    union_all(
        select(
            literal_column("0", Integer).label("part"), _NO_ID.label("id"), _NO_DIGEST.label("digest"),
            _NO_TEXT.label("allowance"), _NO_TEXT.label("of_window"),
            func.coalesce(func.max(events.Event.number), literal_column("0", Integer)).label("n"), _NO_DAY.label("day"),
        ),
        select(literal_column("1", Integer), Sale.id, Sale.content_hash, _NO_TEXT, _NO_TEXT, _NO_NUMBER, _NO_DAY).where(
            Sale.id.in_(bindparam("sales", expanding=True))
        ),
        select(
            literal_column("2", Integer), Slot.person_id, _NO_DIGEST, Slot.allowance, Slot.window, Slot.n, Slot.unit_day
        ).where(
            Slot.person_id.in_(bindparam("persons", expanding=True)),
            Slot.window.in_(bindparam("windows", expanding=True)),
        ),
    )
)  # fmt: skip


def look(
    session: Session, sales: Collection[uuid.UUID], persons: Sequence[uuid.UUID], windows: Sequence[str]
) -> UnderLocks:
    """Look up the newest event, which of these sales are there, and the slots counted for these persons in these windows."""
    rows = _FOUND.rows(session, {"sales": list(sales), "persons": list(persons), "windows": list(windows)})
    head, there, taken = 0, dict[uuid.UUID, str](), list[slots.SlotRow]()
    for part, each, digest, allowance, window, n, day in rows:
        if part == 0:
            head = n
        elif part == 1:
            there[each] = digest
        else:
            taken.append((each, allowance, window, n, day))
    return UnderLocks(head, there, tuple(taken))
