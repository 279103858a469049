"""Read the meals behind a line of a claim, page by page."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date

from sqlalchemy import ColumnElement, and_, func, or_, select

from canteen import clock, keyset
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Period, Transfer
from canteen.ledger.queries import account_ids, signed_at, touching
from canteen.money import Fen
from canteen.pos.models import Sale
from canteen.settlement.claims.claims import LineAmounts
from canteen.settlement.closing import adjustments, close, gather
from canteen.settlement.closing import lines as claim_lines
from canteen.settlement.closing.statement import Key
from canteen.settlement.desk import meal_queries
from canteen.settlement.desk.claim_queries import SIZE, facts_at
from canteen.settlement.desk.meal_queries import MealRow
from canteen.settlement.models import Claim, ClaimedDay, WithheldAnswer, WithheldMeal

BEFORE_ALL = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class LineMeals:
    """A page of a line's meals, with the fen that this line includes of each."""

    rows: list[tuple[MealRow, Fen]]
    after: str | None
    kept: dict[
        uuid.UUID, tuple[Fen, Fen, tuple[str, ...]]
    ]  # of each meal kept out of the claim: withheld, disallowed, why


def line_meals(claim: Claim, line: LineAmounts, after: str | None, *, insider: bool = True) -> LineMeals:
    """Read one page of the meals behind a line, by day and id; a carried line has none of its own."""
    if line.kind in {"meals", "supplement"}:
        found = _of_period(claim, line, after)
    elif line.kind == "adjustment":
        found = _taken_back(claim, line, after)
    elif line.kind == "revaluation":
        found = _revalued(claim, line, after)
    else:
        found = _released(claim, line, after)
    with keyset.reader() as session:
        facts = facts_at(session, claim.id)
    page, more = found[:SIZE], len(found) > SIZE
    kept = meal_queries.kept(claim.id, [number for _, number, _ in page])
    meals = {
        meal.id: meal for meal in meal_queries.by_ids([number for _, number, _ in page], named=facts, insider=insider)
    }
    last = _place(page[-1][0], page[-1][1]) if more else None
    return LineMeals([(meals[number], fen) for _, number, fen in page], last, kept)


def line_days(claim: Claim, line: LineAmounts) -> list[tuple[date, Fen, str]]:
    """List what each day put into a line of more than one page, and the `after` of its meals: (day, fen, after).

    Lines of other kinds than the period's own meals have none.
    """
    if line.kind != "meals" or line.meals <= SIZE:
        return []
    query = select(ClaimedDay.service_day, ClaimedDay.fen).where(
        ClaimedDay.period_id == claim.period_id, ClaimedDay.fund == line.fund, ClaimedDay.service_day >= claim.from_day
    )
    days = keyset.once(query.order_by(ClaimedDay.service_day))
    return [(day, fen, _place(day, BEFORE_ALL)) for day, fen in days if clock.month_of(day) == line.service_month]


Ref = tuple[date, uuid.UUID, Fen]


def _of_period(claim: Claim, line: LineAmounts, after: str | None) -> list[Ref]:
    accounts = [row[0] for row in keyset.once(account_ids(claim.contract_id, "open", fund=line.fund))]
    net = (
        select(func.sum(signed_at(accounts)))
        .where(
            Transfer.sale_id == Sale.id,
            Transfer.period_id == claim.period_id,
            Transfer.movement.in_(claim_lines.CLAIMABLE),
            Transfer.share_n < FIRST_DIFFERENCE_SHARE,
            touching(accounts),
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
    rows = keyset.once(query.order_by(Sale.service_day, Sale.id).limit(SIZE + 1))
    return [(day, number, int(fen)) for day, number, fen in rows]


def _days_of(contract_id: str, origin: str) -> ColumnElement[bool]:
    """Select the days that an earlier claim of the contract covers; those before its first period for ''."""
    there = select(Claim.id).where(Claim.contract_id == contract_id, Claim.number == origin)
    covered = select(Period.id).join(Claim, Claim.period_id == Period.id).where(Claim.contract_id == contract_id)
    inside = and_(Sale.service_day >= Period.from_day, Sale.service_day <= Period.to_day)
    if origin:
        return covered.where(Claim.id.in_(there), inside).exists()
    return ~covered.where(inside).exists()


def _place(day: date, number: uuid.UUID) -> str:
    return f"{day.isoformat()}~{number}"


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


def _taken_back(claim: Claim, line: LineAmounts, after: str | None) -> list[Ref]:
    key = Key(line.kind, line.fund, line.service_month, line.origin)
    period = close.load(claim.period_id)
    return _past([(day, sale, fen) for of, sale, day, fen in claim_lines.late(period) if of == key and fen], after)


def _revalued(claim: Claim, line: LineAmounts, after: str | None) -> list[Ref]:
    key = Key(line.kind, line.fund, line.service_month, line.origin)
    period = close.load(claim.period_id)
    return _past(
        [(one.day, one.sale, one.fen) for one in adjustments.booked(period) if one.key == key and one.fen], after
    )


def _released(claim: Claim, line: LineAmounts, after: str | None) -> list[Ref]:
    number, _, n = line.origin.rpartition("/")
    rows = keyset.once(
        select(Sale.service_day, Sale.id, func.sum(WithheldMeal.fen))
        .join(WithheldMeal, WithheldMeal.sale_id == Sale.id)
        .join(Claim, Claim.id == WithheldMeal.claim_id)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(Claim.number == number, Claim.contract_id == claim.contract_id)
        .where(WithheldMeal.line_n == int(n) if n.isdigit() else WithheldMeal.line_n < 0)
        .where(or_(WithheldAnswer.outcome == "released", WithheldAnswer.withheld_id.is_(None)))
        .group_by(Sale.service_day, Sale.id)
    )
    return _past([(day, sale, int(fen)) for day, sale, fen in rows], after)
