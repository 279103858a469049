"""Close a period: flip the row, commit, then compute. Safe to repeat, also after a kill; eight at once make one claim.

The flip's event carries where reading stops (decision 0004: cut-offs are event numbers), so that whoever computes
later, after more sales and facts have come, gives the same bytes (P16, P18).
"""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, String, and_, cast, func, insert, literal, select, text
from sqlalchemy.orm import Session

from canteen import clock, events, keyset
from canteen.auth.models import Tablet
from canteen.db import db, retried, transaction
from canteen.keyset import reader
from canteen.ledger import periods
from canteen.ledger.models import Period
from canteen.money import Fen
from canteen.places import Contract, NoContract
from canteen.pos.models import Record
from canteen.settlement.closing import (
    adjustments,
    carry_over,
    checks,
    gather,
    gather_persons,
    parties,
    proration,
    statement,
)
from canteen.settlement.closing import lines as claim_lines
from canteen.settlement.closing.checks import Finding
from canteen.settlement.closing.counts import Counts
from canteen.settlement.closing.period_checks import judge
from canteen.settlement.closing.statement import Cut, Figures
from canteen.settlement.models import Claim, ClaimedDay, ClaimLine, Statement
from canteen.settlement.models import Finding as FindingRow

CLOSED = "period.close"
LONGEST = timedelta(days=800)  # a year's budget, and time to close after it
SETTLING = 0.05  # seconds between two looks at records under way


@dataclass(frozen=True, slots=True)
class Closed:
    """The result of a close, the same for every caller except `flipped`: true for the one that closed the period."""

    period_id: int
    claim: str
    hash: str
    flipped: bool


def close(contract_id: str, day: date, *, by: str) -> Closed:
    """Close the contract's period that contains `day`, store its statement and findings, and draft its claim.

    What was flipped before and without statement is computed first, so that where that fails nothing more is flipped.
    Raises NoContract, PeriodNotOver, EarlierPeriodOpen.
    """
    for earlier in _without_statement_until(contract_id, day):
        settle(earlier, by=by)
    period_id, flipped = _flip(contract_id, day, by)
    number, digest = settle(period_id, by=by)
    return Closed(period_id, number, digest, flipped)


@retried
def _flip(contract_id: str, day: date, by: str) -> tuple[int, bool]:
    """Flip the period, the only part that keeps sales waiting: one row, one event, and the loss of ended budgets."""
    with transaction() as session:
        period = _period_of(session, contract_id, day)
        locked = periods.lock_for_close(session, period.id)
        if locked is None:
            return period.id, False
        proration.book(session, locked, by=by)  # while the period is open: its own claim shows what is left
        periods.flip(session, period.id)
        body = {
            "contract": contract_id,
            "from": period.from_day.isoformat(),
            "to": period.to_day.isoformat(),
            "records": session.execute(select(func.coalesce(func.max(Record.id), 0))).scalar_one(),
            "silent": _silent(session, period),
        }
        events.record(session, CLOSED, f"period:{period.id}", by=by, body=body)
        return period.id, True


def _period_of(session: Session, contract_id: str, day: date) -> Period:
    """Return the period that contains `day`; the chain is extended for a contract that sold nothing yet."""
    contract = session.get(Contract, contract_id)
    if contract is None or day < contract.from_day:
        raise NoContract
    on_day = select(Period).where(Period.contract_id == contract_id, Period.from_day <= day, Period.to_day >= day)
    found = session.execute(on_day).scalar_one_or_none()
    if found is None:
        if day >= clock.today():
            raise periods.PeriodNotOver
        periods.gate(session, contract, day)
        found = session.execute(on_day).scalar_one()
    return found


def _silent(session: Session, period: Period) -> list[str]:
    """List the canteen's tablets not heard from since the period's last day ended: they may have unsent sales."""
    over = clock.instant(period.to_day, 24 * 60)
    query = (
        select(Tablet.id)
        .join(Contract, Contract.canteen_id == Tablet.canteen_id)
        .where(
            Contract.id == period.contract_id,
            Tablet.enrolled_at < over,
            Tablet.revoked_at.is_(None),
            func.coalesce(Tablet.seen_at, Tablet.enrolled_at) < over,
        )
    )
    return list(session.execute(query.order_by(Tablet.id)).scalars())


def settle(period_id: int, *, by: str) -> tuple[str, str]:
    """Compute a closed period unless that was done: (claim number, statement hash). Same period, same bytes."""
    with reader() as session:
        if done := _done(session, period_id):
            return done
    period = load(period_id)
    for earlier in _without_statement_until(period.contract_id, period.from_day):  # its lines name the claims of these
        _store(earlier, compute(earlier), by)
    return _store(period_id, compute(period_id), by)


def _without_statement_until(contract_id: str, day: date) -> list[int]:
    """List the contract's periods that ended before `day` and have no statement yet, oldest first."""
    query = _without_statement().where(Period.contract_id == contract_id, Period.to_day < day)
    return [number for (number,) in keyset.once(query)]


def _without_statement() -> Select[int]:
    return (
        select(Period.id)
        .outerjoin(Statement, Statement.period_id == Period.id)
        .where(Period.state == "closed", Statement.period_id.is_(None))
        .order_by(Period.from_day, Period.id)
    )


def _done(session: Session, period_id: int) -> tuple[str, str] | None:
    query = select(Claim.number, Statement.hash).join(Statement, Statement.period_id == Claim.period_id)
    found = session.execute(query.where(Claim.period_id == period_id)).one_or_none()
    return (found[0], found[1]) if found else None


def compute(period_id: int) -> Figures:
    """Compute the figures of a closed period, from transfers, sales and facts up to its cut-off. Writes nothing."""
    _arrived()
    period = load(period_id)
    with reader() as session:
        contract = session.get_one(Contract, period.contract_id)
    cut, silent = cut_of(period)
    known = gather_persons.clusters(cut)
    counts, findings = judge(period, contract, known, cut)
    days = claim_lines.by_day(period)
    own, earlier = claim_lines.booked(period, days, known.root)
    lines = {key: (counts.line_meals[key], len(counts.line_persons.get(key, ())), fen) for key, fen in own.items()}
    lines |= earlier | carry_over.lines(period, cut) | adjustments.lines(period)
    sales, sales_hash = statement.sales_hash(gather.content_hashes(period, cut))
    numbered = statement.numbered(lines)
    return Figures(
        contract=period.contract_id,
        district=period.district_id,
        first=period.from_day,
        last=period.to_day,
        cut=cut,
        lines=numbered,
        totals=dict(sorted((+counts.totals).items())),
        excluded=claim_lines.excluded(period),
        tenders=dict(sorted(counts.tenders.items())),
        sales=sales,
        sales_hash=sales_hash,
        rulebooks=tuple(sorted(counts.rulebooks)),
        silent=silent,
        findings=tuple(checks.ordered(findings)),
        names=_named(period, cut, counts, numbered),
        days=days,
    )


def _named(period: Period, cut: Cut, counts: Counts, lines: tuple[statement.Line, ...]) -> dict[str, Any]:
    """Return the statement's parties and names of funds, as of the flip."""
    funds = {line.key.fund for line in lines} | set(claim_lines.funds(period))
    asked = parties.PartiesAt(period.contract_id, period.district_id, cut.facts, counts.rulebooks, funds)
    with reader() as session:
        return parties.at(session, asked).document()


def _arrived() -> None:
    """Wait for records that other tills are writing this instant: they may carry numbers below our cut.

    SQLite has one writer, so nothing is under way there. Ours are kept out by the gate already.
    """
    if db.engine.dialect.name != "postgresql":
        return
    under_way = text(
        """SELECT DISTINCT virtualtransaction FROM pg_locks
           WHERE relation = 'record'::regclass AND mode = 'RowExclusiveLock' AND database =
                 (SELECT oid FROM pg_database WHERE datname = current_database())"""
    )

    def writing() -> set[Any]:
        with reader() as session:
            return set(session.execute(under_way).scalars())

    waited_for = writing()
    while waited_for:
        time.sleep(SETTLING)
        waited_for &= writing()


def load(period_id: int) -> Period:
    """Read a period as it is now. Raises NoPeriod."""
    with reader() as session:
        found = session.get(Period, period_id)
    if found is None:
        raise periods.NoPeriod
    return found


def cut_of(period: Period) -> tuple[Cut, tuple[str, ...]]:
    """Return where the reading of a closed period stops, and the silent tablets. Raises PeriodNotOver while open."""
    query = (
        select(Period.id, events.Event.number, events.Event.body)
        .outerjoin(
            events.Event,
            and_(events.Event.subject == literal("period:") + cast(Period.id, String), events.Event.kind == CLOSED),
        )
        .where(Period.contract_id == period.contract_id, Period.from_day <= period.from_day)
        .order_by(Period.from_day.desc())
        .limit(2)
    )
    (facts, last), *before = [_flipped(number, body) for _, number, body in keyset.once(query)]
    facts_before, earlier = before[0] if before else (0, {"records": 0})
    return Cut(facts, int(last["records"]), facts_before, int(earlier["records"])), tuple(last["silent"])


def _flipped(number: int | None, body: str | None) -> tuple[int, dict[str, Any]]:
    """Read the event by which a period was closed. Raises PeriodNotOver where there is none."""
    if number is None or body is None:
        raise periods.PeriodNotOver
    return number, json.loads(body)


@retried
def _store(period_id: int, figures: Figures, by: str) -> tuple[str, str]:
    """Store statement, findings, claim and lines, all or none; a second caller gets what the first one stored."""
    with transaction() as session:
        session.execute(select(Period.id).where(Period.id == period_id).with_for_update())
        if done := _done(session, period_id):
            return done
        body_text = statement.body(figures)
        digest, now = statement.digest(body_text), clock.now()
        if days := [_day_row(period_id, *one) for one in sorted(figures.days.items()) if one[1]]:
            session.execute(insert(ClaimedDay), days)
        session.add(
            Statement(
                period_id=period_id,
                body=body_text,
                hash=digest,
                sales_hash=figures.sales_hash,
                facts_at=figures.cut.facts,
                computed_at=now,
            )
        )
        session.flush()
        if figures.findings:
            session.execute(
                insert(FindingRow), [_finding_row(period_id, one) | {"found_at": now} for one in figures.findings]
            )
        claim = _claim(period_id, figures, digest)
        session.add(claim)
        session.flush()
        if figures.lines:
            session.execute(insert(ClaimLine), [_line_row(claim.id, line) for line in figures.lines])
        body = {"statement": digest, "fen": figures.fen, "findings": len(figures.findings)}
        events.record(session, "claim.draft", f"claim:{claim.number}", by=by, body=body)
        return claim.number, digest


def _day_row(period_id: int, of: statement.DayFund, fen: Fen) -> dict[str, object]:
    return {"period_id": period_id, "service_day": of[0], "fund": of[1], "fen": fen}


def _finding_row(period_id: int, finding: Finding) -> dict[str, object]:
    return {
        "period_id": period_id,
        "code": finding.code,
        "subject": finding.subject,
        "sale_id": uuid.UUID(finding.sale) if finding.sale else None,
        "fen": finding.fen,
        "body": statement.canonical(finding.body),
    }


def _claim(period_id: int, figures: Figures, digest: str) -> Claim:
    month = clock.Span(figures.first, figures.last) == clock.Span.month(figures.first)
    return Claim(
        number=statement.claim_number(figures.contract, figures.first, figures.last, whole_month=month),
        contract_id=figures.contract,
        district_id=figures.district,
        kind="meal",
        from_day=figures.first,
        to_day=figures.last,
        period_id=period_id,
        statement_hash=digest,
        meals=figures.totals.get("meals", 0),
        persons=figures.totals.get("persons", 0),
        fen=figures.fen,
        made_at=clock.now(),
    )


def _line_row(claim_id: int, line: statement.Line) -> dict[str, object]:
    return {
        "claim_id": claim_id,
        "n": line.n,
        "kind": line.key.kind,
        "fund": line.key.fund,
        "service_month": line.key.service_month,
        "origin": line.key.origin,
        "meals": line.meals,
        "persons": line.persons,
        "fen": line.fen,
    }


def due(session: Session, today: date) -> list[tuple[str, date]]:
    """List (contract, last day) of every period that is over and not closed yet, oldest first; creates no rows."""
    result: list[tuple[str, date]] = []
    for contract in session.execute(select(Contract).order_by(Contract.id)).scalars().all():
        chain = periods.chain(session, contract.id)
        result += [(contract.id, one.to_day) for one in chain if one.state == "open" and one.to_day < today]
        last = chain[-1].to_day if chain else contract.from_day - timedelta(days=1)
        end = contract.to_day or date.max
        if end < today <= end + LONGEST:  # a budget that ends after the contract is shared out with it all the same
            end = max(end, proration.until(session, contract))
        while last < min(end, today) and (coming := periods.span_from(last + timedelta(days=1))).last < today:
            result.append((contract.id, coming.last))
            last = coming.last
    return sorted(result, key=lambda item: (item[1], item[0]))


def unfinished(session: Session) -> list[int]:
    """List closed periods without statement: their close was killed in between, or failed."""
    return list(session.execute(_without_statement()).scalars())


def unclaimed(session: Session, *, before: datetime) -> list[Period]:
    """List periods closed before an instant and without claim, oldest first. Closing them again makes it."""
    query = _without_statement().where(Period.closed_at < before)
    return [session.get_one(Period, number) for number in session.execute(query).scalars()]
