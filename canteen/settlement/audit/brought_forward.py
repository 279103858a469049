"""Compute the lines 'released' and 'carried' of a claim from withheld meals, their answers, voids and decisions alone.

Nothing of `closing/carry_over.py` is used here: a fault there must not hide itself.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import and_, func, select

from canteen import keyset
from canteen.ledger.models import Period, Transfer
from canteen.money import Fen
from canteen.pos.models import Void
from canteen.settlement.audit.differences import Difference
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import Claim, ClaimLine, Decision, WithheldAnswer, WithheldMeal

KINDS = ("released", "carried")
OriginKey = tuple[str, str, str, str]  # kind, fund, service month, claim (and line) that it follows


@dataclass(slots=True)
class Line:
    """One expected line: its money, and the meals that were withheld."""

    fen: Fen = 0
    meals: set[Any] = field(default_factory=set)


def lines(row: Period, cut: Cut) -> dict[OriginKey, Line]:
    """Compute what earlier claims hand to this period's claim, each amount under the line that it was withheld from."""
    found: dict[OriginKey, Line] = defaultdict(Line)
    for one in _withheld(row.contract_id):
        if _freed(one, cut):
            line = found["released", one.fund, one.service_month, f"{one.number}/{one.line_n}"]
            line.fen += one.fen
            line.meals.add(one.sale_id)
    sums = approved(row.contract_id)
    carried = (
        select(Claim.id, Claim.number, Decision.recorded)
        .join(Decision, Decision.claim_id == Claim.id)
        .where(Claim.contract_id == row.contract_id, Decision.to_state == "carried")
    )
    for claim, number, recorded in keyset.once(carried):
        if cut.facts_before < recorded <= cut.facts:
            for (fund, month), fen in sums[claim].items():
                found["carried", fund, month, number].fen += fen
    return {key: line for key, line in found.items() if line.fen}


def _withheld(contract_id: str) -> Iterator[Any]:
    """Read every share that was ever withheld from the contract's claims, with what became of it."""
    struck = select(Transfer.id).where(
        Transfer.sale_id == WithheldMeal.sale_id,
        Transfer.share_n == WithheldMeal.share_n,
        Transfer.movement == "disallow",
    )
    query = (
        select(
            Claim.number, WithheldMeal.line_n, ClaimLine.fund, ClaimLine.service_month, WithheldMeal.sale_id, WithheldMeal.fen,
            WithheldAnswer.outcome, WithheldAnswer.recorded, Void.record_id.label("voided_at"), struck.exists().label("struck"),
        )
        .join(Claim, Claim.id == WithheldMeal.claim_id)
        .join(ClaimLine, and_(ClaimLine.claim_id == WithheldMeal.claim_id, ClaimLine.n == WithheldMeal.line_n))
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .outerjoin(Void, Void.sale_id == WithheldMeal.sale_id)
        .where(Claim.contract_id == contract_id)
    )  # fmt: skip
    yield from keyset.once(query)


def _freed(one: Any, cut: Cut) -> bool:
    """Tell whether a withheld share was freed between the two cut-offs: released, or voided before anybody decided.

    The void takes its money back as an adjustment of the same claim; together they are zero. What was disallowed
    out for good is taken back from there, so nothing is released.
    """
    if one.recorded is not None and one.recorded <= cut.facts:
        return bool(one.outcome == "released" and one.recorded > cut.facts_before)
    return one.voided_at is not None and cut.records_before < one.voided_at <= cut.records and not one.struck


def approved(contract_id: str) -> dict[int, Counter[tuple[str, str]]]:
    """Sum each claim's lines less what was withheld of them: claim -> (fund, service month) -> fen."""
    line = (ClaimLine.claim_id, ClaimLine.fund, ClaimLine.service_month)
    claimed = select(*line, func.sum(ClaimLine.fen)).join(Claim, Claim.id == ClaimLine.claim_id)
    withheld = (
        select(*line, -func.sum(WithheldMeal.fen))
        .join(Claim, Claim.id == ClaimLine.claim_id)
        .join(WithheldMeal, and_(WithheldMeal.claim_id == ClaimLine.claim_id, WithheldMeal.line_n == ClaimLine.n))
    )
    found: dict[int, Counter[tuple[str, str]]] = defaultdict(Counter)
    for query in (claimed, withheld):
        for claim, fund, month, fen in keyset.once(query.where(Claim.contract_id == contract_id).group_by(*line)):
            found[claim][fund, month] += int(fen)
    return found


def differences(row: Period, expected: Mapping[OriginKey, Line]) -> Iterator[Difference]:
    """Compare each released or carried line of the period's claim with the expected one: its money and its meals."""
    query = (
        select(
            ClaimLine.kind, ClaimLine.fund, ClaimLine.service_month, ClaimLine.origin, ClaimLine.fen, ClaimLine.meals
        )
        .join(Claim, Claim.id == ClaimLine.claim_id)
        .where(Claim.period_id == row.id, ClaimLine.kind.in_(KINDS))
    )
    there = {(kind, fund, month, origin): (fen, meals) for kind, fund, month, origin, fen, meals in keyset.once(query)}
    for key in sorted(there.keys() | expected.keys()):
        fen, meals = there.get(key, (0, 0))
        line = expected.get(key, Line())
        if fen != line.fen:
            yield Difference("claim_line", "/".join(key), str(fen), str(line.fen))
        if key in there and meals != len(line.meals):
            yield Difference("line_counts", "/".join(key), str(meals), str(len(line.meals)))
