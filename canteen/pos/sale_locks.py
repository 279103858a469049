"""Locks of the persons and households that a booked sale concerns, taken before its money or its uses are moved.

A new sale has no uses yet and locks its eaters by itself (`checkout`). So does a revaluation: it books many meals at
once and only adds uses that are counted for the eaters themselves.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen.db import retried, retried_when
from canteen.pos import slots
from canteen.pos.models import Sale
from canteen.registry import elders

P = ParamSpec("P")
T = TypeVar("T")


def retried_if_overtaken(use_case: Callable[P, T]) -> Callable[P, T]:
    """Run a correction again from the start if a merge, a sale or another correction interfered; at most twenty times."""
    overtaken = retried_when(lambda error: isinstance(error, slots.RetryTransaction | IntegrityError), tries=20)
    return overtaken(retried(use_case))


def lock_sale_parties(session: Session, sales: Collection[Sale]) -> set[uuid.UUID]:
    """Lock the eaters of these meals and the persons their uses are counted for; return the households with slots.

    Call it after the period gates, before claims and amounts. Persons added by a merge or a correction meanwhile are
    locked too: what is read of the sales afterwards cannot change until the transaction ends. A guest has no row: to
    move a guest's money, lock the sale itself by `slots.lock_names`.
    """
    locked = set[uuid.UUID]()
    while True:
        persons, households = _parties(session, sales)
        if persons <= locked:
            return households
        slots.lock_persons(session, persons - locked)
        locked |= persons


def _parties(session: Session, sales: Collection[Sale]) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
    """Return the persons, each by the root id of the merged entries, and the households."""
    persons = {elders.cluster(session, elder)[0] for elder in {sale.elder_id for sale in sales} if elder is not None}
    households = set[uuid.UUID]()
    for sale in sales:
        own, shared = slots.counted_for(session, sale.id)
        persons |= own
        households |= shared
    return persons, households
