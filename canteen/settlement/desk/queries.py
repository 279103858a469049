"""What the desk's pages show of claims: lists, lines drilled to meals, meals to their explanation. Reads only."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from canteen import clock, names
from canteen.ledger.models import LATER, Account, Period, Transfer
from canteen.money import Fen
from canteen.places import Canteen, Contract, Payee
from canteen.pos.models import Sale
from canteen.settlement.claims import payouts, steps
from canteen.settlement.claims.claims import LineStanding
from canteen.settlement.closing import adjustments, close, gather, parties
from canteen.settlement.closing import lines as claim_lines
from canteen.settlement.closing.statement import Key
from canteen.settlement.desk import meal_queries
from canteen.settlement.desk.meal_queries import Meal
from canteen.settlement.models import (
    Claim,
    ClaimLine,
    Decision,
    Finding,
    FindingAnswer,
    Held,
    HeldAnswer,
    Payout,
    PayoutCheck,
    Statement,
)

SIZE = 50


@dataclass(frozen=True, slots=True)
class Row:
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
    rows: list[Row]
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
    """The claims of a month, newest month unless told, by number; with sums over all of them, not just this page."""
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
    rows = _rows(session, page[:SIZE], states)
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
        fund_names=parties.fund_names(newest),
    )


_STATES = ("draft", "returned", "submitted", "reviewed", "determined", "approved", "paid", "carried", "settled")


def states_of(session: Session, claim_ids: Collection[int]) -> dict[int, str]:
    """State of each claim."""
    newest = select(Decision.claim_id, func.max(Decision.n).label("n")).group_by(Decision.claim_id).subquery()
    query = (
        select(Decision.claim_id, Decision.to_state)
        .join(newest, (newest.c.claim_id == Decision.claim_id) & (newest.c.n == Decision.n))
        .where(Decision.claim_id.in_(claim_ids))
    )
    known = dict(session.execute(query).all())
    return {claim_id: known.get(claim_id, steps.START) for claim_id in claim_ids}


def _rows(session: Session, page: Sequence[Claim], states: dict[int, str]) -> list[Row]:
    ids = [claim.id for claim in page]
    told = parties.of_claims(ids)
    funds: dict[int, dict[str, Fen]] = {number: {} for number in ids}
    for number, fund, fen in session.execute(
        select(ClaimLine.claim_id, ClaimLine.fund, func.sum(ClaimLine.fen))
        .where(ClaimLine.claim_id.in_(ids))
        .group_by(ClaimLine.claim_id, ClaimLine.fund)
    ):
        funds[number][fund] = int(fen)
    answered = select(FindingAnswer.finding_id).distinct().subquery()
    counts = {
        period: (int(all_), int(open_), int(gaps))
        for period, all_, open_, gaps in session.execute(
            select(
                Finding.period_id,
                func.count(),
                func.sum(case((and_(answered.c.finding_id.is_(None), Finding.code != "gap"), 1), else_=0)),
                func.sum(case((Finding.code == "gap", 1), else_=0)),
            )
            .outerjoin(answered, answered.c.finding_id == Finding.id)
            .where(Finding.period_id.in_([claim.period_id for claim in page]))
            .group_by(Finding.period_id)
        )
    }
    return [
        Row(
            claim, told[claim.id].canteen, states[claim.id], funds[claim.id], *counts.get(claim.period_id, (0, 0, 0)),
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
    """The moves of a claim, by the names that people had when they made them."""
    rows = session.execute(select(Decision).where(Decision.claim_id == claim_id).order_by(Decision.n)).scalars().all()
    staff = names.of(session, "person", {row.by for row in rows})
    return [Step(row.n, row.move, row.to_state, staff.at(row.by, row.recorded), row.reason, row.at) for row in rows]


@dataclass(frozen=True, slots=True)
class LineMeals:
    """A page of a line's meals, with the fen that this line holds of each."""

    rows: list[tuple[Meal, Fen]]
    after: str | None
    kept: dict[uuid.UUID, tuple[Fen, Fen, tuple[str, ...]]]  # of each meal kept out of the claim: held, disallowed, why


def line_meals(
    session: Session, claim: Claim, line: LineStanding, after: str | None, *, insider: bool = True
) -> LineMeals:
    """One page of the meals behind a line, by day and id; a carried line has none of its own."""
    claim_id, facts = claim.id, facts_at(session, claim.id)
    if line.kind in {"meals", "supplement"}:
        found = _of_period(session, claim, line, after)
    elif line.kind == "adjustment":
        found = _taken_back(claim, line, after)
    elif line.kind == "revaluation":
        found = _revalued(claim, line, after)
    else:
        found = _released(session, claim, line, after)
    page, more = found[:SIZE], len(found) > SIZE
    kept = meal_queries.kept(claim_id, [number for _, number, _ in page])
    meals = {
        meal.id: meal for meal in meal_queries.by_ids([number for _, number, _ in page], named=facts, insider=insider)
    }
    last = f"{page[-1][0].isoformat()}~{page[-1][1]}" if more else None
    return LineMeals([(meals[number], fen) for _, number, fen in page], last, kept)


def facts_at(session: Session, claim_id: int) -> int:
    """The event that a claim's close read up to: the names on its pages are as of that."""
    query = select(Statement.facts_at).join(Claim, Claim.period_id == Statement.period_id).where(Claim.id == claim_id)
    return session.execute(query).scalar_one()


Ref = tuple[date, uuid.UUID, Fen]


def _of_period(session: Session, claim: Claim, line: LineStanding, after: str | None) -> list[Ref]:
    accounts = [
        row[0]
        for row in session.execute(
            select(Account.id).where(
                Account.contract_id == claim.contract_id, Account.fund == line.fund, Account.kind == "open"
            )
        )
    ]
    signed = case((Transfer.target_id.in_(accounts), Transfer.fen), else_=-Transfer.fen)
    net = (
        select(func.sum(signed))
        .where(
            Transfer.sale_id == Sale.id,
            Transfer.period_id == claim.period_id,
            Transfer.movement.in_(claim_lines.CLAIMABLE),
            Transfer.share_n < LATER,
            or_(Transfer.target_id.in_(accounts), Transfer.source_id.in_(accounts)),
        )
        .correlate(Sale)
        .scalar_subquery()
    )
    period = close.load(claim.period_id)
    cut, _ = close.cut_of(period)
    late = line.kind == "supplement"
    query = (
        select(Sale.service_day, Sale.id, net)
        .where(gather.belongs(period, cut), Sale.service_month == line.service_month, net > 0)
        .where(Sale.service_day < claim.from_day if late else Sale.service_day >= claim.from_day)
    )
    if (start := _start(after)) is not None:
        day, number = start
        query = query.where(or_(Sale.service_day > day, and_(Sale.service_day == day, Sale.id > number)))
    if late:
        query = query.where(_days_of(claim.contract_id, line.origin))
    rows = session.execute(query.order_by(Sale.service_day, Sale.id).limit(SIZE + 1))
    return [(day, number, int(fen)) for day, number, fen in rows]


def _days_of(contract_id: str, origin: str) -> ColumnElement[bool]:
    """Days that an earlier claim of the contract covers; those before its first period for ''."""
    there = select(Claim.id).where(Claim.contract_id == contract_id, Claim.number == origin)
    covered = select(Period.id).join(Claim, Claim.period_id == Period.id).where(Claim.contract_id == contract_id)
    inside = and_(Sale.service_day >= Period.from_day, Sale.service_day <= Period.to_day)
    if origin:
        return covered.where(Claim.id.in_(there), inside).exists()
    return ~covered.where(inside).exists()


def _start(after: str | None) -> tuple[date, uuid.UUID] | None:
    try:
        day, _, number = (after or "").partition("~")
        return date.fromisoformat(day), uuid.UUID(number)
    except ValueError:
        return None


def _past(found: list[Ref], after: str | None) -> list[Ref]:
    ordered = sorted(found)
    start = _start(after)
    return ordered if start is None else [one for one in ordered if one[:2] > start]


def _taken_back(claim: Claim, line: LineStanding, after: str | None) -> list[Ref]:
    key = Key(line.kind, line.fund, line.service_month, line.origin)
    period = close.load(claim.period_id)
    return _past([(day, sale, fen) for of, sale, day, fen in claim_lines.late(period) if of == key and fen], after)


def _revalued(claim: Claim, line: LineStanding, after: str | None) -> list[Ref]:
    key = Key(line.kind, line.fund, line.service_month, line.origin)
    period = close.load(claim.period_id)
    return _past(
        [(one.day, one.sale, one.fen) for one in adjustments.booked(period) if one.key == key and one.fen], after
    )


def _released(session: Session, claim: Claim, line: LineStanding, after: str | None) -> list[Ref]:
    number, _, n = line.origin.rpartition("/")
    rows = session.execute(
        select(Sale.service_day, Sale.id, func.sum(Held.fen))
        .join(Held, Held.sale_id == Sale.id)
        .join(Claim, Claim.id == Held.claim_id)
        .outerjoin(HeldAnswer, HeldAnswer.held_id == Held.id)
        .where(Claim.number == number, Claim.contract_id == claim.contract_id)
        .where(Held.line_n == int(n) if n.isdigit() else Held.line_n < 0)
        .where(or_(HeldAnswer.outcome == "released", HeldAnswer.held_id.is_(None)))
        .group_by(Sale.service_day, Sale.id)
    )
    return _past([(day, sale, int(fen)) for day, sale, fen in rows], after)


# --- held meals and payouts over all claims within reach ---


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


@dataclass(frozen=True, slots=True)
class PaidTo:
    """Who is paid where, as much as pages tell."""

    name: str
    bank: str
    tail: str


@dataclass(frozen=True, slots=True)
class PayRow:
    """A claim to be paid, or a payout with what was said of it."""

    claim: Claim
    canteen: str
    approved: Fen
    payout: Payout | None
    check: PayoutCheck | None
    entered_by: str
    checked_by: str
    payee: PaidTo
    funds: dict[str, Fen]
    before: PaidTo | None  # where the canteen was paid last, if that was elsewhere
    fund_names: Mapping[str, str]  # as its statement names them
    stated: PaidTo | None = None  # who the statement says is paid, if that is another than will be


@dataclass(slots=True)
class Paying:
    """Claims waiting for a voucher, vouchers waiting for a second person, and what is done, newest first."""

    to_enter: list[PayRow] = field(default_factory=list)
    to_check: list[PayRow] = field(default_factory=list)
    done: list[PayRow] = field(default_factory=list)


def paying(session: Session, contracts: Collection[str]) -> Paying:
    """Everything about payouts within reach; of what is done the newest hundred."""
    paid = select(Decision.claim_id).where(Decision.to_state == "paid")
    approved = select(Decision.claim_id).where(Decision.to_state == "approved", Decision.claim_id.not_in(paid))
    found = Paying()
    for row in _pay_rows(session, contracts, Claim.id.in_(approved), most=None):
        if row.payout is not None and row.check is None:
            found.to_check.append(row)
    waiting = {row.claim.id for row in found.to_check}
    query = select(Claim, Payee).join(Contract, Contract.id == Claim.contract_id)
    query = query.join(Payee, Payee.id == Contract.payee_id).where(
        Claim.contract_id.in_(contracts), Claim.id.in_(approved), Claim.id.not_in(waiting)
    )
    rows = session.execute(query.order_by(Claim.from_day, Claim.number)).all()
    funds = _approved(session, [claim.id for claim, _ in rows])
    paid_to = _paid_to(session, {claim.contract_id for claim, _ in rows})
    told = parties.of_claims([claim.id for claim, _ in rows])
    for claim, payee in rows:
        mine = told[claim.id]
        stated = PaidTo(mine.payee, mine.bank, mine.account_tail)
        to, last = PaidTo(payee.name, payee.bank, payee.account_tail), paid_to.get(claim.contract_id)
        of = funds.get(claim.id, {})
        elsewhere = last if last != to else None
        found.to_enter.append(
            PayRow(
                claim, mine.canteen, sum(of.values()), None, None, "", "", to, of, elsewhere, mine.funds,
                stated if stated != to else None,
            )
        )  # fmt: skip
    found.done = _pay_rows(session, contracts, PayoutCheck.payout_id.is_not(None), most=100)
    return found


def _approved(session: Session, claim_ids: Collection[int]) -> dict[int, dict[str, Fen]]:
    """What of each claim is approved, by fund: its lines less what was kept out."""
    found: dict[int, dict[str, Fen]] = defaultdict(dict)
    lines = select(ClaimLine.claim_id, ClaimLine.fund, func.sum(ClaimLine.fen)).where(ClaimLine.claim_id.in_(claim_ids))
    for number, fund, fen in session.execute(
        lines.group_by(ClaimLine.claim_id, ClaimLine.fund).order_by(ClaimLine.fund)
    ):
        found[number][fund] = int(fen)
    kept = (
        select(Held.claim_id, ClaimLine.fund, func.sum(Held.fen))
        .join(ClaimLine, and_(ClaimLine.claim_id == Held.claim_id, ClaimLine.n == Held.line_n))
        .where(Held.claim_id.in_(claim_ids))
        .group_by(Held.claim_id, ClaimLine.fund)
    )
    for number, fund, fen in session.execute(kept):
        found[number][fund] -= int(fen)
    return found


def _paid_to(session: Session, contracts: Collection[str]) -> dict[str, PaidTo]:
    """Where the canteen of each contract was paid last, by whatever contract: a new account is looked at twice."""
    mine, theirs = aliased(Contract), aliased(Contract)
    query = (
        select(mine.id, Payout.payee_name, Payout.bank, Payout.account_tail)
        .join(theirs, theirs.canteen_id == mine.canteen_id)
        .join(Claim, Claim.contract_id == theirs.id)
        .join(Payout, Payout.claim_id == Claim.id)
        .join(PayoutCheck, and_(PayoutCheck.payout_id == Payout.id, PayoutCheck.outcome == "confirmed"))
        .where(mine.id.in_(contracts))
        .order_by(Payout.id)
    )
    return {contract: PaidTo(name, bank, tail) for contract, name, bank, tail in session.execute(query)}


def _pay_rows(
    session: Session, contracts: Collection[str], which: ColumnElement[bool], *, most: int | None
) -> list[PayRow]:
    """Payouts within reach, newest first."""
    query = (
        select(Claim, Payout, PayoutCheck)
        .join(Payout, Payout.claim_id == Claim.id)
        .outerjoin(PayoutCheck, PayoutCheck.payout_id == Payout.id)
        .where(Claim.contract_id.in_(contracts), which)
        .order_by(Payout.id.desc())
        .limit(most)
    )
    rows = session.execute(query).all()
    waiting = [claim for claim, _, check in rows if check is None]
    told = parties.of_claims({claim.id for claim, _, _ in rows})
    doers = payouts.doers(payouts.Standing(payout, check) for _, payout, check in rows)
    staff = names.of(session, "person", doers)
    funds = _approved(session, [claim.id for claim in waiting])
    paid_to = _paid_to(session, {claim.contract_id for claim in waiting})
    found = []
    for claim, payout, check in rows:
        to, last = PaidTo(payout.payee_name, payout.bank, payout.account_tail), paid_to.get(claim.contract_id)
        elsewhere = last if check is None and last != to else None
        of = funds.get(claim.id, {})
        by = staff.at(payout.entered_by, payout.recorded)
        checked_by = staff.at(check.checked_by, check.recorded) if check else ""
        mine = told[claim.id]
        found.append(
            PayRow(claim, mine.canteen, payout.fen, payout, check, by, checked_by, to, of, elsewhere, mine.funds)
        )
    return found


def unchecked(session: Session, claim_ids: Collection[int]) -> set[int]:
    """Those of the claims whose voucher waits for a second person."""
    query = (
        select(Payout.claim_id)
        .outerjoin(PayoutCheck, PayoutCheck.payout_id == Payout.id)
        .where(Payout.claim_id.in_(claim_ids), PayoutCheck.payout_id.is_(None))
    )
    return set(session.execute(query).scalars())


def open_periods(session: Session, contracts: Collection[str], today: date) -> list[tuple[Period, str]]:
    """Periods that are over and not closed, oldest first, with the canteen's name."""
    rows = session.execute(
        select(Period, Canteen.name)
        .join(Contract, Contract.id == Period.contract_id)
        .join(Canteen, Canteen.id == Contract.canteen_id)
        .where(Period.contract_id.in_(contracts), Period.state == "open", Period.to_day < today)
        .order_by(Period.from_day, Period.contract_id)
    )
    return [(period, name) for period, name in rows]


def unreckoned(session: Session, contracts: Collection[str]) -> list[tuple[Period, str]]:
    """Periods that are closed and have no claim yet, oldest first, with the canteen's name."""
    numbers = close.unfinished(session)
    rows = session.execute(
        select(Period, Canteen.name)
        .join(Contract, Contract.id == Period.contract_id)
        .join(Canteen, Canteen.id == Contract.canteen_id)
        .where(Period.contract_id.in_(contracts), Period.id.in_(numbers))
        .order_by(Period.from_day, Period.contract_id)
    )
    return [(period, name) for period, name in rows]


def contracts_of(session: Session, numbers: Collection[str]) -> list[tuple[str, str]]:
    """(claim number, contract) of these claims."""
    query = select(Claim.number, Claim.contract_id).where(Claim.number.in_(numbers))
    return [(number, contract) for number, contract in session.execute(query)]


def contracts_of_sales(session: Session, sales: Collection[uuid.UUID]) -> list[tuple[uuid.UUID, str]]:
    """(sale, contract) of these sales."""
    query = select(Sale.id, Sale.contract_id).where(Sale.id.in_(sales))
    return [(sale, contract) for sale, contract in session.execute(query)]
