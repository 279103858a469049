"""For tests alone: a server started with this folder on its PYTHONPATH lacks what WITHOUT names, by default `locks`.

locks   nothing is locked before it is counted
rows    an amount is added whatever the row says

It shows that the races can fail: what the locks and the constraints are for. The product has no such switch.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Iterable, Mapping
from datetime import date

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from canteen.ledger import periods
from canteen.ledger.models import Period
from canteen.places import Contract
from canteen.pos import checkout_reads, slots
from canteen.pos.models import AmountUsed
from canteen.registry.models import Elder


def _look(session: Session, persons: Iterable[uuid.UUID]) -> set[uuid.UUID]:
    return set(session.execute(select(Elder.id).where(Elder.id.in_(set(persons)))).scalars())


def _gate_alone(
    session: Session, contract: Contract, day: date, persons: Iterable[uuid.UUID]
) -> tuple[Period, set[uuid.UUID]]:
    return periods.gate(session, contract, day), _look(session, persons)


def _lock_nothing(session: Session, names: Collection[uuid.UUID], budgets: Mapping[slots.Key, int], most: int) -> None:
    return


def _add_blindly(session: Session, counted_for: uuid.UUID, request: slots.LimitRequest, fen: int) -> None:
    row = {
        "person_id": counted_for,
        "allowance": request.allowance,
        "window": request.window,
        "limited_to": request.limited_to,
    }
    more = {"used": AmountUsed.used + fen}
    key = ["person_id", "allowance", "window_start"]
    session.execute(insert(AmountUsed).values(**row, used=fen).on_conflict_do_update(index_elements=key, set_=more))


WITHOUT = os.environ.get("WITHOUT", "locks").split()
if "locks" in WITHOUT:
    slots.lock_persons = _look
    checkout_reads.lock = _gate_alone
    slots.lock_names = _lock_nothing
if "rows" in WITHOUT:
    slots._add_amount = _add_blindly
