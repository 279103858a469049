"""Verify a claim's lines and total, computed from its meals and from what was taken back of earlier ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import aliased

from canteen import keyset
from canteen.ledger.models import Period, Transfer
from canteen.money import Fen
from canteen.pos.models import Sale, Share, Void
from canteen.settlement.audit import brought_forward, documents, proration, repriced
from canteen.settlement.audit.differences import Difference, LineKey, ShareKey
from canteen.settlement.audit.repriced import RepricedMeal
from canteen.settlement.closing.requote import Quotes
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import Claim, ClaimLine, Finding, FindingAnswer, WithheldAnswer, WithheldMeal


def add_meals(
    lines: Counter[LineKey],
    counted: documents.Counted,
    row: Period,
    page: Sequence[Any],
    meals: Sequence[RepricedMeal],
    cut: Cut,
    moved: Mapping[ShareKey, Fen],
) -> None:
    """Add what a page of the period's sales may claim to the expected lines, and count their meals and persons."""
    days = {sale.id: sale.service_day for sale in page}
    elders = {sale.id: sale.elder_id for sale in page}
    for meal in meals:
        if meal.voided_at is not None and meal.voided_at <= cut.records:
            continue
        kind = "meals" if days[meal.id] >= row.from_day else "supplement"
        funds = set[str]()
        for n, (part, claimable) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1):
            if fen := claimable + moved.get((meal.id, n), 0):
                lines[kind, part.fund, meal.month] += fen
                funds.add(part.fund)
        counted.add(elders[meal.id], {(kind, fund, meal.month) for fund in funds})


def add_taken_back(
    lines: Counter[LineKey], row: Period, cut: Cut, quotes: Quotes, moved: Mapping[ShareKey, Fen]
) -> None:
    """Add to the expected lines what later voids and judgements took from earlier claims."""
    earlier = and_(
        Sale.contract_id == row.contract_id, Sale.service_day < row.from_day, Sale.record_id <= cut.records_before
    )
    voided = select(Sale.id).join(Void, Void.sale_id == Sale.id).where(
        earlier, Void.record_id > cut.records_before, Void.record_id <= cut.records
    )  # fmt: skip
    judged = (
        select(Sale.id)
        .join(Finding, Finding.sale_id == Sale.id)
        .join(FindingAnswer, FindingAnswer.finding_id == Finding.id)
        .where(
            earlier,
            FindingAnswer.outcome == "disallowed",
            FindingAnswer.recorded > cut.facts_before,
            FindingAnswer.recorded <= cut.facts,
            ~_own_claim(),
        )
    )
    gone = _gone_before(row, cut)
    for query in (voided, judged):
        ids = sorted({found[0] for found in keyset.once(query)})
        for at in range(0, len(ids), keyset.PAGE):
            page = ids[at : at + keyset.PAGE]
            meals, _ = repriced.meals_of(page, quotes)
            for meal in repriced.less(meals, proration.of_sales(page)):
                for n, (part, claimable) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1):
                    fen = claimable + moved.get((meal.id, n), 0)
                    if fen and (meal.id, n) not in gone:
                        lines["adjustment", part.fund, meal.month] -= fen
                        gone.add((meal.id, n))


def _own_claim() -> Any:
    """Tell whether the finding was made in the period that its sale was booked to: then its own claim was reduced."""
    booked = aliased(Transfer)
    return (
        select(booked.id)
        .where(booked.sale_id == Finding.sale_id, booked.movement == "meal", booked.period_id == Finding.period_id)
        .exists()
    )


def _gone_before(row: Period, cut: Cut) -> set[ShareKey]:
    """Read shares of earlier meals that had left `open` before: disallowed in their claim, or excluded."""
    struck = (
        select(WithheldMeal.sale_id, WithheldMeal.share_n)
        .join(Claim, Claim.id == WithheldMeal.claim_id)
        .join(Transfer, and_(Transfer.sale_id == WithheldMeal.sale_id, Transfer.share_n == WithheldMeal.share_n))
        .outerjoin(Void, Void.sale_id == WithheldMeal.sale_id)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(
            Claim.contract_id == row.contract_id,
            Transfer.movement == "disallow",
            (WithheldAnswer.outcome.is_(None)) | (WithheldAnswer.outcome != "released"),
            func.coalesce(Void.record_id, cut.records + 1) > cut.records_before,
        )
    )
    judged = (
        select(Share.sale_id, Share.n)
        .join(Finding, Finding.sale_id == Share.sale_id)
        .join(FindingAnswer, FindingAnswer.finding_id == Finding.id)
        .join(Sale, Sale.id == Share.sale_id)
        .where(
            Sale.contract_id == row.contract_id,
            FindingAnswer.outcome == "disallowed",
            FindingAnswer.recorded <= cut.facts_before,
            ~_own_claim(),
        )
    )
    return {(sale, n) for query in (struck, judged) for sale, n in keyset.once(query)}


def differences(row: Period, expected: Counter[LineKey]) -> Iterator[Difference]:
    """Compare each line's money and the total with the claim; `brought_forward` compares released and carried lines."""
    there: Counter[LineKey] = Counter()
    query = (
        select(ClaimLine.kind, ClaimLine.fund, ClaimLine.service_month, ClaimLine.fen)
        .join(Claim, Claim.id == ClaimLine.claim_id)
        .where(Claim.period_id == row.id)
    )
    for kind, fund, month, fen in keyset.once(query):
        there[kind, fund, month] += fen
    for key in sorted(there.keys() | expected.keys()):
        if key[0] not in brought_forward.KINDS and there[key] != expected[key]:
            yield Difference("claim_line", "/".join(key), str(there[key]), str(expected[key]))
    total = keyset.once(select(Claim.number, Claim.fen).where(Claim.period_id == row.id))
    if not total:
        yield Difference("claim", f"period:{row.id}", "", str(sum(expected.values())))
    elif total[0][1] != sum(expected.values()):
        yield Difference("claim", total[0][0], str(total[0][1]), str(sum(expected.values())))
