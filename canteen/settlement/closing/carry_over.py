"""What an earlier claim hands on to the next one: held meals that were cleared, and totals below zero.

Each is due to exactly one claim: the one whose close is the first after the event that released it. Nothing is
marked; the cut-offs of two neighbouring closes are the marks.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import and_, select

from canteen import keyset
from canteen.ledger.models import Period, Transfer
from canteen.ledger.queries import SOURCE, from_source
from canteen.money import Fen
from canteen.pos.models import Sale
from canteen.settlement.closing.statement import Cut, Key
from canteen.settlement.models import Claim, ClaimLine, Decision, Held, HeldAnswer


def lines(period: Period, cut: Cut) -> dict[Key, tuple[int, int, Fen]]:
    """Lines 'released' and 'carried' of the claim that the period's close makes: (meals, persons, fen)."""
    return released(period, cut) | carried(period, cut)


def released(period: Period, cut: Cut) -> dict[Key, tuple[int, int, Fen]]:
    """Held fen cleared since the close before, by the line it was held from.

    A held meal that was voided meanwhile comes back too: its void stands among the adjustments, and together
    they come to nothing.
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


_HELD = (
    Claim.number,
    Held.line_n,
    ClaimLine.fund,
    ClaimLine.service_month,
    Held.sale_id,
    Sale.elder_id,
    Held.fen,
)


def _held(period: Period) -> Any:
    return (
        select(*_HELD)
        .select_from(Held)
        .join(Claim, Claim.id == Held.claim_id)
        .join(ClaimLine, and_(ClaimLine.claim_id == Held.claim_id, ClaimLine.n == Held.line_n))
        .join(Sale, Sale.id == Held.sale_id)
        .where(Claim.contract_id == period.contract_id)
        .order_by(Held.id)
    )


def _cleared(period: Period, cut: Cut) -> Any:
    return keyset.once(
        _held(period)
        .join(HeldAnswer, HeldAnswer.held_id == Held.id)
        .where(
            HeldAnswer.outcome == "released",
            HeldAnswer.recorded > cut.facts_before,
            HeldAnswer.recorded <= cut.facts,
        )
    )


def _voided(period: Period, cut: Cut) -> Any:
    """Meals kept out of an earlier claim whose void, booked here, took their fen from `open` all the same."""
    of_void = and_(Transfer.sale_id == Held.sale_id, Transfer.share_n == Held.share_n, Transfer.movement == "void")
    return keyset.once(
        from_source(_held(period).join(Transfer, of_void))
        .outerjoin(HeldAnswer, and_(HeldAnswer.held_id == Held.id, HeldAnswer.recorded <= cut.facts))
        .where(SOURCE.kind == "open", Transfer.period_id == period.id, HeldAnswer.held_id.is_(None))
    )


def carried(period: Period, cut: Cut) -> dict[Key, tuple[int, int, Fen]]:
    """Totals below zero that an approval handed on since the close before, by fund and month (ruling 10)."""
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
    for claim_id, number in keyset.once(query.order_by(Claim.id)):
        for (fund, month), fen in approved_by_fund(claim_id).items():
            sums[Key("carried", fund, month, number)] = (0, 0, fen)
    return sums


def approved_by_fund(claim_id: int) -> dict[tuple[str, str], Fen]:
    """Fen of a claim's lines less what was held or disallowed, by (fund, service month); may be below zero."""
    sums: dict[tuple[str, str], Fen] = defaultdict(int)
    where: dict[int, tuple[str, str]] = {}
    for n, fund, month, fen in keyset.once(
        select(ClaimLine.n, ClaimLine.fund, ClaimLine.service_month, ClaimLine.fen).where(
            ClaimLine.claim_id == claim_id
        )
    ):
        where[n] = (fund, month)
        sums[fund, month] += fen
    for n, fen in keyset.once(select(Held.line_n, Held.fen).where(Held.claim_id == claim_id)):
        sums[where[n]] -= fen
    return {key: fen for key, fen in sorted(sums.items()) if fen}
