"""Locking whom a booked sale concerns, before its money or its uses are moved.

A new sale locks its eaters by itself (`checkout`): it has no uses yet. So does a revaluation, which books many meals
at once and only adds uses, in the rows of the eaters themselves.
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
    """Run a correction again, whole, when a merge, a sale or another correction came between; twenty times at most."""
    overtaken = retried_when(lambda error: isinstance(error, slots.Again | IntegrityError), tries=20)
    return overtaken(retried(use_case))


def lock_sale_parties(session: Session, sales: Collection[Sale]) -> set[uuid.UUID]:
    """Lock who ate these meals and in whose rows their uses stand; return the households whose slots they have.

    After the period gates, before claims and amounts. After a merge or a correction meanwhile, who is new is locked
    too; what is read of the sales after this call stands until the transaction ends. A guest is no person: who moves
    a guest's money locks the sale itself by `slots.hold`.
    """
    locked = set[uuid.UUID]()
    while True:
        persons, households = _parties(session, sales)
        if persons <= locked:
            return households
        slots.lock(session, persons - locked)
        locked |= persons


def _parties(session: Session, sales: Collection[Sale]) -> tuple[set[uuid.UUID], set[uuid.UUID]]:
    """Persons by the id that stands for each, and households."""
    persons = {elders.cluster(session, elder)[0] for elder in {sale.elder_id for sale in sales} if elder is not None}
    households = set[uuid.UUID]()
    for sale in sales:
        holders, theirs = slots.holders(session, sale.id)
        persons |= holders
        households |= theirs
    return persons, households
