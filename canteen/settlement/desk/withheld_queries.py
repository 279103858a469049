"""Read the withheld meals that nobody has released or disallowed yet."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from canteen import names
from canteen.pos.models import Sale
from canteen.settlement.closing import parties
from canteen.settlement.models import Claim, ClaimLine, Held, HeldAnswer, Statement


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A held meal that waits for a word."""

    held: Held
    claim: str
    canteen: str
    day: date
    fund: str
    who: str
    facts: int  # the event that the names of its claim are as of


def held_rows(session: Session, contracts: Collection[str]) -> list[HeldRow]:
    """Held meals nobody cleared, oldest first."""
    query = (
        select(Held, Claim.number, Sale.service_day, ClaimLine.fund, Statement.facts_at)
        .join(Claim, Claim.id == Held.claim_id)
        .join(ClaimLine, and_(ClaimLine.claim_id == Held.claim_id, ClaimLine.n == Held.line_n))
        .join(Statement, Statement.period_id == Claim.period_id)
        .join(Sale, Sale.id == Held.sale_id)
        .outerjoin(HeldAnswer, HeldAnswer.held_id == Held.id)
        .where(Held.outcome == "held", HeldAnswer.held_id.is_(None), Claim.contract_id.in_(contracts))
        .order_by(Held.claim_id, Sale.service_day, Held.sale_id, Held.id)
    )
    rows = session.execute(query).all()
    told = parties.of_claims({row[0].claim_id for row in rows})
    staff = names.of(session, "person", {row[0].by for row in rows})
    return [
        HeldRow(
            held, number, told[held.claim_id].canteen, day, told[held.claim_id].funds.get(fund, fund),
            staff.at(held.by, held.recorded), facts,
        )
        for held, number, day, fund, facts in rows
    ]  # fmt: skip
