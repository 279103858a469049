"""Recompute a closed period from sale lines, payments, voids and adjustments (`period verify`).

List prices come from the trays, shares from pricing the stored inputs under the stored rulebooks again, verdicts
from comparing the two quotes, slots from the uses and voids. Only then are transfers, claim lines and statement
looked at, and every difference named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from canteen import keyset
from canteen.money import Fen
from canteen.pos.checkout_rows import is_first
from canteen.settlement.audit import (
    bookings,
    brought_forward,
    claim_lines,
    claimed_days,
    documents,
    limits,
    proration,
    reallocations,
    repriced,
    revaluations,
    trial_balance,
)
from canteen.settlement.audit.differences import Difference, LineKey
from canteen.settlement.audit.repriced import Repricer
from canteen.settlement.closing import close, gather, gather_persons


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of an audit: how much was examined, and every difference."""

    period_id: int
    sales: int
    fen: Fen
    differences: tuple[Difference, ...]


def sales_of(period_id: int) -> int:
    """Count the sales that `period` will go through. Raises NoPeriod, PeriodNotOver."""
    row = close.load(period_id)
    cut, _ = close.cut_of(row)
    ((sales,),) = keyset.bare(select(func.count()).where(gather.belongs(row, cut)))
    return int(sales)


def period(period_id: int, *, done: Callable[[int], object] = int) -> Verified:
    """Compute the period again and name every difference. Raises NoPeriod, PeriodNotOver.

    done  is called after each page with the number of its sales
    """
    row = close.load(period_id)
    cut, _ = close.cut_of(row)
    again = Repricer()
    lines: Counter[LineKey] = Counter()
    taken: Counter[str] = Counter()
    counted = documents.Counted(gather_persons.clusters(cut))
    slots = limits.Slots()
    moved = reallocations.moved(row, cut, again)
    found: list[Difference] = list(moved.wrong)
    lost = proration.lost(row)
    booked, claimed = bookings.Bookings(), claim_lines.MealLines(row, cut, counted, moved.fen)
    sales = 0
    for page in repriced.pages(row, cut):
        sales += len(page)
        meals, wrong = again.meals(page)
        found += wrong
        found += booked.of_sales(meals)
        found += slots.differences([meal.id for meal in meals])
        payments = [sale.payment_id for sale in page if is_first(sale.arrival)]
        found += bookings.of_payments(payments, row.id, taken)
        claimed.add(lines, repriced.less(meals, lost.by_share))
        done(len(page))
    found += proration.differences(row, cut, again)
    lines.update(lost.adjusted(cut))
    claim_lines.add_taken_back(lines, row, cut, again, moved.fen)
    brought = brought_forward.lines(row, cut)
    for (kind, fund, month, _), line in brought.items():
        lines[kind, fund, month] += line.fen
    for (fund, month), fen in moved.adjusted.items():
        lines["adjustment", fund, month] += fen
    found += revaluations.differences(row, again, lines)
    found += claim_lines.differences(row, lines)
    found += claimed_days.differences(row)
    found += brought_forward.differences(row, brought)
    found += bookings.money_taken(row, cut, taken)
    found += documents.differences(row, cut, counted)
    found += trial_balance.differences(row.contract_id)
    return Verified(row.id, sales, sum(lines.values()), tuple(found))
