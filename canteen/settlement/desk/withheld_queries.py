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
from canteen.settlement.models import Claim, ClaimLine, Statement, WithheldAnswer, WithheldMeal


@dataclass(frozen=True, slots=True)
class WithheldRow:
    """A withheld meal that waits for a decision."""

    withheld: WithheldMeal
    claim: str
    canteen: str
    day: date
    fund: str
    who: str
    facts: int  # the event that the names of its claim are as of


def withheld_rows(session: Session, contracts: Collection[str]) -> list[WithheldRow]:
    """List withheld meals that nobody released or disallowed, oldest first."""
    query = (
        select(WithheldMeal, Claim.number, Sale.service_day, ClaimLine.fund, Statement.facts_at)
        .join(Claim, Claim.id == WithheldMeal.claim_id)
        .join(ClaimLine, and_(ClaimLine.claim_id == WithheldMeal.claim_id, ClaimLine.n == WithheldMeal.line_n))
        .join(Statement, Statement.period_id == Claim.period_id)
        .join(Sale, Sale.id == WithheldMeal.sale_id)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(
            WithheldMeal.outcome == "withheld", WithheldAnswer.withheld_id.is_(None), Claim.contract_id.in_(contracts)
        )
        .order_by(WithheldMeal.claim_id, Sale.service_day, WithheldMeal.sale_id, WithheldMeal.id)
    )
    rows = session.execute(query).all()
    named = parties.of_claims(session, {row[0].claim_id for row in rows})
    staff = names.of(session, "person", {row[0].by for row in rows})
    return [
        WithheldRow(
            withheld, number, named[withheld.claim_id].canteen, day, named[withheld.claim_id].funds.get(fund, fund),
            staff.at(withheld.by, withheld.recorded), facts,
        )
        for withheld, number, day, fund, facts in rows
    ]  # fmt: skip
