"""Read which meals use the limits not granted to an excess meal, and what a reviewer has moved. Reads only."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import names
from canteen.policy import budget_ids
from canteen.pos import slots
from canteen.pos.models import Sale, SaleUse
from canteen.registry import elders
from canteen.settlement.models import BenefitReallocation


def donors(session: Session, sale_id: uuid.UUID) -> list[uuid.UUID]:
    """Return the meals that now use the limits not granted to this one, budgets left out: those are shared by all."""
    ungranted = session.execute(
        select(Sale.elder_id, SaleUse.person_id, SaleUse.allowance, SaleUse.window)
        .join(SaleUse, SaleUse.sale_id == Sale.id)
        .where(
            Sale.id == sale_id,
            Sale.elder_id.is_not(None),
            SaleUse.granted < SaleUse.asked,
            SaleUse.allowance.not_like(budget_ids.PREFIX + "%"),
        )
    ).all()
    eaters = {elder for elder, _, _, _ in ungranted if elder is not None}
    persons = {person for elder in eaters for person in elders.cluster(session, elder)[1]}
    persons |= {person for _, person, _, _ in ungranted}
    found = set[uuid.UUID]()
    for _, _, allowance, window in ungranted:
        found |= slots.current_users(session, persons, (allowance, window), but=sale_id)
    return sorted(found)


@dataclass(frozen=True, slots=True)
class MovedBenefit:
    """A benefit that a meal received or gave up, with the other meal, the reason and the reviewer."""

    received: bool
    other: uuid.UUID | None
    where: str  # the other meal's canteen
    row: BenefitReallocation


def of_sale(session: Session, sale_id: uuid.UUID, *, named: int | None = None) -> MovedBenefit | None:
    """Return the benefit moved to or from this meal. `named`: the event that names are as of; None for the present."""
    mine = (BenefitReallocation.sale_id == sale_id) | (BenefitReallocation.from_sale_id == sale_id)
    row = session.execute(select(BenefitReallocation).where(mine)).scalar_one_or_none()
    if row is None:
        return None
    received = row.sale_id == sale_id
    other = row.from_sale_id if received else row.sale_id
    where = session.get_one(Sale, other).canteen_id if other else ""
    return MovedBenefit(received, other, names.of(session, "canteen", [where]).at(where, named), row)
