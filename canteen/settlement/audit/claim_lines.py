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
from canteen.settlement.audit.prices import KEPT
from canteen.settlement.audit.repriced import RepricedMeal, Repricer
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import Claim, ClaimLine, Finding, FindingAnswer, WithheldAnswer, WithheldMeal


class MealLines:
    """Adds up what the period's sales may claim, line by line, and counts their meals and persons."""

    def __init__(self, row: Period, cut: Cut, counted: documents.Counted, moved: Mapping[ShareKey, Fen]) -> None:
        self._row, self._cut, self._counted, self._moved = row, cut, counted, moved
        self._movers = {sale for sale, _ in moved}
        self._alike: dict[tuple[int, str, str], dict[LineKey, Fen]] = {}

    def add(self, lines: Counter[LineKey], meals: Sequence[RepricedMeal]) -> None:
        """Add meals; voided ones claim nothing and are not counted."""
        for meal in meals:
            if meal.voided_at is not None and meal.voided_at <= self._cut.records:
                continue
            claimed = self._of(meal, "meals" if meal.day >= self._row.from_day else "supplement")
            for key, fen in claimed.items():
                lines[key] += fen
            self._counted.add(meal.elder, claimed)

    def _of(self, meal: RepricedMeal, kind: str) -> dict[LineKey, Fen]:
        """Return what a meal claims in each line; of meals that are alike it is computed once."""
        if not meal.alike or meal.id in self._movers:
            return self._claimed(meal, kind)
        key = meal.alike, kind, meal.month
        found = self._alike.get(key)
        if found is None:
            if len(self._alike) >= KEPT:
                self._alike.clear()
            found = self._alike[key] = self._claimed(meal, kind)
        return found

    def _claimed(self, meal: RepricedMeal, kind: str) -> dict[LineKey, Fen]:
        found: dict[LineKey, Fen] = {}
        for n, (part, claimable) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1):
            if fen := claimable + self._moved.get((meal.id, n), 0):
                key = kind, part.fund, meal.month
                found[key] = found.get(key, 0) + fen
        return found


def add_taken_back(
    lines: Counter[LineKey], row: Period, cut: Cut, again: Repricer, moved: Mapping[ShareKey, Fen]
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
            meals, _ = again.meals_of(page)
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
