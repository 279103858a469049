"""Compute what an earlier claim hands on to the next one: withheld meals that were released, and totals below zero.

Each is due to exactly one claim: the one whose close is the first after the event that released it. Nothing is
marked; the cut-offs of two neighbouring closes are the marks.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import and_, select
from sqlalchemy.orm import Session

from canteen import keyset
from canteen.ledger.models import Period, Transfer
from canteen.ledger.queries import SOURCE, from_source
from canteen.money import Fen
from canteen.pos.models import Sale
from canteen.settlement.closing.statement import Cut, Key
from canteen.settlement.models import Claim, ClaimLine, Decision, WithheldAnswer, WithheldMeal


def lines(period: Period, cut: Cut) -> dict[Key, tuple[int, int, Fen]]:
    """Return the lines 'released' and 'carried' of the claim that the period's close drafts: (meals, persons, fen)."""
    return released(period, cut) | carried(period, cut)


def released(period: Period, cut: Cut) -> dict[Key, tuple[int, int, Fen]]:
    """Sum withheld fen released since the close before, by the line it was withheld from.

    A withheld meal that was voided meanwhile comes back too: its void is among the adjustments, and together
    they are zero.
    """
    fen: dict[Key, Fen] = defaultdict(int)
    meals: dict[Key, set[Any]] = defaultdict(set)
    persons: dict[Key, set[Any]] = defaultdict(set)
    for number, line_n, fund, month, sale, elder, amount in (*_cleared(period, cut), *_voided(period, cut)):
        key = Key("released", fund, month, f"{number}/{line_n}")
        fen[key] += amount
        meals[key].add(sale)
        persons[key].add(elder)
    return {key: (len(meals[key]), len(persons[key]), fen[key]) for key in fen}


_WITHHELD = (
    Claim.number,
    WithheldMeal.line_n,
    ClaimLine.fund,
    ClaimLine.service_month,
    WithheldMeal.sale_id,
    Sale.elder_id,
    WithheldMeal.fen,
)


def _withheld(period: Period) -> Any:
    return (
        select(*_WITHHELD)
        .select_from(WithheldMeal)
        .join(Claim, Claim.id == WithheldMeal.claim_id)
        .join(ClaimLine, and_(ClaimLine.claim_id == WithheldMeal.claim_id, ClaimLine.n == WithheldMeal.line_n))
        .join(Sale, Sale.id == WithheldMeal.sale_id)
        .where(Claim.contract_id == period.contract_id)
        .order_by(WithheldMeal.id)
    )


def _cleared(period: Period, cut: Cut) -> Any:
    return keyset.once(
        _withheld(period)
        .join(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(
            WithheldAnswer.outcome == "released",
            WithheldAnswer.recorded > cut.facts_before,
            WithheldAnswer.recorded <= cut.facts,
        )
    )


def _voided(period: Period, cut: Cut) -> Any:
    """Read withheld meals of an earlier claim whose void, booked here, took their fen from `open` all the same."""
    of_void = and_(
        Transfer.sale_id == WithheldMeal.sale_id, Transfer.share_n == WithheldMeal.share_n, Transfer.movement == "void"
    )
    return keyset.once(
        from_source(_withheld(period).join(Transfer, of_void))
        .outerjoin(
            WithheldAnswer, and_(WithheldAnswer.withheld_id == WithheldMeal.id, WithheldAnswer.recorded <= cut.facts)
        )
        .where(SOURCE.kind == "open", Transfer.period_id == period.id, WithheldAnswer.withheld_id.is_(None))
    )


def carried(period: Period, cut: Cut) -> dict[Key, tuple[int, int, Fen]]:
    """Sum totals below zero that an approval handed on since the close before, by fund and month (ruling 10)."""
    query = (
        select(Claim.id, Claim.number)
        .join(Decision, Decision.claim_id == Claim.id)
        .where(
            Claim.contract_id == period.contract_id,
            Decision.to_state == "carried",
            Decision.recorded > cut.facts_before,
            Decision.recorded <= cut.facts,
        )
    )
    sums: dict[Key, tuple[int, int, Fen]] = {}
    with keyset.reader() as session:
        for claim_id, number in session.execute(query.order_by(Claim.id)).all():
            for (fund, month), fen in approved_by_fund(session, claim_id).items():
                sums[Key("carried", fund, month, number)] = (0, 0, fen)
    return sums


def approved_by_fund(session: Session, claim_id: int) -> dict[tuple[str, str], Fen]:
    """Sum a claim's lines less what was withheld or disallowed, by (fund, service month); may be below zero."""
    sums: dict[tuple[str, str], Fen] = defaultdict(int)
    where: dict[int, tuple[str, str]] = {}
    for n, fund, month, fen in session.execute(
        select(ClaimLine.n, ClaimLine.fund, ClaimLine.service_month, ClaimLine.fen).where(
            ClaimLine.claim_id == claim_id
        )
    ):
        where[n] = (fund, month)
        sums[fund, month] += fen
    for n, fen in session.execute(
        select(WithheldMeal.line_n, WithheldMeal.fen).where(WithheldMeal.claim_id == claim_id)
    ):
        sums[where[n]] -= fen
    return {key: fen for key, fen in sorted(sums.items()) if fen}
