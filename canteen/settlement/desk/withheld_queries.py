"""Read the withheld meals that nobody has released or disallowed yet."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from sqlalchemy import and_, distinct, func, select
from sqlalchemy.orm import Session

from canteen import keyset, names
from canteen.money import Fen
from canteen.pos.models import Sale
from canteen.settlement.closing import parties
from canteen.settlement.models import Claim, ClaimLine, Statement, WithheldAnswer, WithheldMeal

SIZE = 200  # shares of meals on a page


@dataclass(frozen=True, slots=True)
class WithheldRow:
    """A withheld meal that waits for a decision."""

    withheld: WithheldMeal
    claim: str
    contract: str
    canteen: str
    day: date
    fund: str
    who: str
    facts: int  # the event that the names of its claim are as of


@dataclass(frozen=True, slots=True)
class Waiting:
    """A page of withheld meals, all shares of a meal on one; `meals` and `fen` are of all pages."""

    rows: list[WithheldRow]
    after: str | None
    meals: int
    fen: Fen


def waiting(session: Session, contracts: Collection[str], after: str | None) -> Waiting:
    """Read one page of the withheld meals that nobody released or disallowed, by claim and day.

    after  where the page before ended, as its `after` said; None for the first
    """
    unanswered = (
        WithheldMeal.outcome == "withheld", WithheldAnswer.withheld_id.is_(None), Claim.contract_id.in_(contracts),
    )  # fmt: skip
    meals, fen = session.execute(
        select(func.count(distinct(WithheldMeal.sale_id)), func.coalesce(func.sum(WithheldMeal.fen), 0))
        .join(Claim, Claim.id == WithheldMeal.claim_id)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(*unanswered)
    ).one()
    query = (
        select(WithheldMeal, Claim.number, Claim.contract_id, Sale.service_day, ClaimLine.fund, Statement.facts_at)
        .join(Claim, Claim.id == WithheldMeal.claim_id)
        .join(ClaimLine, and_(ClaimLine.claim_id == WithheldMeal.claim_id, ClaimLine.n == WithheldMeal.line_n))
        .join(Statement, Statement.period_id == Claim.period_id)
        .join(Sale, Sale.id == WithheldMeal.sale_id)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(*unanswered)
        .order_by(*_ORDER, WithheldMeal.id)
        .limit(SIZE + 1)
    )
    if (start := _start(after)) is not None:
        query = query.where(keyset.beyond(_ORDER, start))
    rows, more = list(session.execute(query).all()), False
    if len(rows) > SIZE:  # the last meal may have more shares than were read
        last = rows[-1][0].claim_id, rows[-1][0].sale_id
        rows, more = [row for row in rows if (row[0].claim_id, row[0].sale_id) != last], True
    named = parties.of_claims(session, {row[0].claim_id for row in rows})
    staff = names.of(session, "person", {row[0].by for row in rows})
    shown = [
        WithheldRow(
            withheld, number, contract, named[withheld.claim_id].canteen, day, named[withheld.claim_id].funds.get(fund, fund),
            staff.at(withheld.by, withheld.recorded), facts,
        )
        for withheld, number, contract, day, fund, facts in rows
    ]  # fmt: skip
    end = f"{rows[-1][0].claim_id}~{rows[-1][3].isoformat()}~{rows[-1][0].sale_id}" if more else None
    return Waiting(shown, end, meals, int(fen))


_ORDER = (WithheldMeal.claim_id, Sale.service_day, WithheldMeal.sale_id)


def _start(after: str | None) -> tuple[int, date, uuid.UUID] | None:
    try:
        claim, day, sale = (after or "").split("~")
        return int(claim), date.fromisoformat(day), uuid.UUID(sale)
    except ValueError:
        return None
