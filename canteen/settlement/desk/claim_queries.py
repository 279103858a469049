"""Read claims for the desk: a month's list, a claim's history, periods that wait for their close or their claim."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import and_, case, func, select
from sqlalchemy.orm import Session, aliased

from canteen import clock, names
from canteen.ledger.models import Period
from canteen.money import Fen
from canteen.places import Canteen, Contract
from canteen.pos.models import Sale
from canteen.settlement.claims import claims, steps
from canteen.settlement.closing import close, parties
from canteen.settlement.models import Claim, ClaimLine, Decision, Finding, FindingAnswer, Statement

SIZE = 50


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """One claim in a list."""

    claim: Claim
    canteen: str
    state: str
    by_fund: dict[str, Fen]
    findings: int
    unanswered: int
    gaps: int


@dataclass(frozen=True, slots=True)
class Month:
    """All claims of a month within reach."""

    month: str
    months: list[str]
    rows: list[ClaimRow]
    after: str | None
    funds: list[str]
    totals: dict[str, Fen]
    states: dict[str, int]
    meals: int
    fen: Fen
    fund_names: dict[str, str] = field(default_factory=dict)  # of the month's newest close


def month(
    session: Session, contracts: Collection[str], wanted: str | None, *, state: str | None, after: str | None
) -> Month:
    """Read the claims of a month, by default the newest, by number; sums are over all of them, not just this page."""
    reach = Claim.contract_id.in_(contracts)
    days = session.execute(select(Claim.from_day).where(reach).distinct()).scalars()
    months = sorted({clock.month_of(day) for day in days}, reverse=True)
    chosen = wanted if wanted in months else (months[0] if months else "")
    if not chosen:
        return Month("", [], [], None, [], {}, {}, 0, 0)
    span = clock.Span.month(date.fromisoformat(f"{chosen}-01"))
    inside = and_(reach, Claim.from_day >= span.first, Claim.from_day <= span.last)
    every = list(session.execute(select(Claim).where(inside).order_by(Claim.number)).scalars())
    states = states_of(session, [claim.id for claim in every])
    shown = [claim for claim in every if state in {None, states[claim.id]}]
    page = [claim for claim in shown if after is None or claim.number > after]
    rest = page[SIZE:]
    rows = _claim_rows(session, page[:SIZE], states)
    totals = {
        fund: int(fen)
        for fund, fen in session.execute(
            select(ClaimLine.fund, func.sum(ClaimLine.fen))
            .join(Claim, Claim.id == ClaimLine.claim_id)
            .where(inside)
            .group_by(ClaimLine.fund)
            .order_by(ClaimLine.fund)
        )
    }
    facts = select(func.max(Statement.facts_at)).join(Claim, Claim.period_id == Statement.period_id).where(inside)
    newest = session.execute(facts).scalar_one()
    return Month(
        month=chosen,
        months=months,
        rows=rows,
        after=rows[-1].claim.number if rest else None,
        funds=list(totals),
        totals=totals,
        states={code: count for code in _STATES if (count := Counter(states.values())[code])},
        meals=sum(claim.meals for claim in every),
        fen=sum(claim.fen for claim in every),
        fund_names=parties.fund_names(session, newest),
    )


_STATES = ("draft", "returned", "submitted", "reviewed", "determined", "approved", "paid", "carried", "settled")


def states_of(session: Session, claim_ids: Collection[int]) -> dict[int, str]:
    """Return the state of each claim."""
    other = aliased(Decision)
    newest = select(func.max(other.n)).where(other.claim_id == Decision.claim_id).correlate(Decision).scalar_subquery()
    query = select(Decision.claim_id, Decision.to_state).where(Decision.claim_id.in_(claim_ids), Decision.n == newest)
    known = dict(session.execute(query).all())
    return {claim_id: known.get(claim_id, steps.START) for claim_id in claim_ids}


def _claim_rows(session: Session, page: Sequence[Claim], states: dict[int, str]) -> list[ClaimRow]:
    ids = [claim.id for claim in page]
    named = parties.of_claims(session, ids)
    funds: dict[int, dict[str, Fen]] = {number: {} for number in ids}
    for number, fund, fen in session.execute(
        select(ClaimLine.claim_id, ClaimLine.fund, func.sum(ClaimLine.fen))
        .where(ClaimLine.claim_id.in_(ids))
        .group_by(ClaimLine.claim_id, ClaimLine.fund)
    ):
        funds[number][fund] = int(fen)
    answered = select(FindingAnswer.id).where(FindingAnswer.finding_id == Finding.id).exists()
    counts = {
        period: (int(all_), int(open_), int(gaps))
        for period, all_, open_, gaps in session.execute(
            select(
                Finding.period_id,
                func.count(),
                func.sum(case((and_(~answered, Finding.code != "gap"), 1), else_=0)),
                func.sum(case((Finding.code == "gap", 1), else_=0)),
            )
            .where(Finding.period_id.in_([claim.period_id for claim in page]))
            .group_by(Finding.period_id)
        )
    }
    return [
        ClaimRow(
            claim, named[claim.id].canteen, states[claim.id], funds[claim.id], *counts.get(claim.period_id, (0, 0, 0)),
        )
        for claim in page
    ]  # fmt: skip


# --- one claim ---


@dataclass(frozen=True, slots=True)
class Step:
    """A decision as people read it."""

    n: int
    move: str
    to_state: str
    who: str
    reason: str
    at: datetime


def history(session: Session, claim_id: int) -> list[Step]:
    """Return the moves of a claim, with the names that people had when they made them."""
    return steps_of(session, claims.decisions(session, claim_id))


def steps_of(session: Session, rows: Sequence[Decision]) -> list[Step]:
    """Put decisions into words, with the names that people had when they made them."""
    staff = names.of(session, "person", {row.by for row in rows})
    return [Step(row.n, row.move, row.to_state, staff.at(row.by, row.recorded), row.reason, row.at) for row in rows]


def facts_at(session: Session, claim_id: int) -> int:
    """Return the event that a claim's close read up to: the names on its pages are as of that."""
    query = select(Statement.facts_at).join(Claim, Claim.period_id == Statement.period_id).where(Claim.id == claim_id)
    return session.execute(query).scalar_one()


def open_periods(session: Session, contracts: Collection[str], today: date) -> list[tuple[Period, str]]:
    """List periods that are over and not closed, oldest first, with the canteen's name."""
    rows = session.execute(
        select(Period, Canteen.name)
        .join(Contract, Contract.id == Period.contract_id)
        .join(Canteen, Canteen.id == Contract.canteen_id)
        .where(Period.contract_id.in_(contracts), Period.state == "open", Period.to_day < today)
        .order_by(Period.from_day, Period.contract_id)
    )
    return [(period, name) for period, name in rows]


def without_statement(session: Session, contracts: Collection[str]) -> list[tuple[Period, str]]:
    """List periods that are closed and have no claim yet, oldest first, with the canteen's name."""
    numbers = close.unfinished(session)
    rows = session.execute(
        select(Period, Canteen.name)
        .join(Contract, Contract.id == Period.contract_id)
        .join(Canteen, Canteen.id == Contract.canteen_id)
        .where(Period.contract_id.in_(contracts), Period.id.in_(numbers))
        .order_by(Period.from_day, Period.contract_id)
    )
    return [(period, name) for period, name in rows]


def contracts_of_sales(session: Session, sales: Collection[uuid.UUID]) -> list[tuple[uuid.UUID, str]]:
    """Return (sale, contract) of these sales."""
    query = select(Sale.id, Sale.contract_id).where(Sale.id.in_(sales))
    return [(sale, contract) for sale, contract in session.execute(query)]
