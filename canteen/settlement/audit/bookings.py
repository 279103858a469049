"""Verify what sales booked: transfers share by share, payments, and the money taken from the elders."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from canteen import keyset
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Account, Period, Transfer
from canteen.pos.models import Payment, Sale, Tender, Void
from canteen.settlement.audit.differences import Difference, ShareKey
from canteen.settlement.audit.repriced import RepricedMeal
from canteen.settlement.closing import statement
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import Finding


def of_sales(meals: Sequence[RepricedMeal]) -> Iterator[Difference]:
    """Compare the transfers of each sale and of its void, share by share, with what they should be."""
    booked: dict[ShareKey, Counter[str]] = defaultdict(Counter)
    source, target = aliased(Account), aliased(Account)
    query = (
        select(Transfer.sale_id, Transfer.share_n, Transfer.movement, source.kind, target.kind, func.sum(Transfer.fen))
        .join(source, source.id == Transfer.source_id)
        .join(target, target.id == Transfer.target_id)
        .where(keyset.among(Transfer.sale_id, [meal.id for meal in meals]), Transfer.share_n < FIRST_DIFFERENCE_SHARE)
        .where(Transfer.cause.like("sale:%") | (Transfer.movement == "void"))
        .group_by(Transfer.sale_id, Transfer.share_n, Transfer.movement, source.kind, target.kind)
    )
    for sale, share_n, movement, from_kind, to_kind, fen in keyset.once(query):
        assert sale is not None
        assert share_n is not None
        entry = booked[sale, share_n]
        if movement == "void":
            entry["void"] += int(fen) if to_kind == "granted" else -int(fen)
        else:
            entry[f"{from_kind}>{to_kind}"] += int(fen)
    for meal in meals:
        for n, (part, claimable) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1):
            expected: Counter[str] = Counter()
            if part.payer != "concession":
                expected["granted>open" if part.payer == "subsidy" else "granted>donated"] = part.fen
                expected["open>excluded"] = part.fen - claimable if part.payer == "subsidy" else 0
                expected["void"] = part.fen if meal.voided_at is not None else 0
            there = booked.pop((meal.id, n), Counter())
            if +there != +expected:
                yield Difference("transfer", f"sale:{meal.id}/{n}", str(dict(+there)), str(dict(+expected)))
    for (sale, n), there in booked.items():
        yield Difference("transfer", f"sale:{sale}/{n}", str(dict(+there)), "{}")


def of_payments(ids: Sequence[uuid.UUID], period_id: int, taken: Counter[str]) -> Iterator[Difference]:
    """Check that each payment equals its tenders and what its sales were sold for, unless a finding named it."""
    tenders: dict[uuid.UUID, int] = Counter()
    for payment, kind, fen in keyset.once(
        select(Tender.payment_id, Tender.kind, Tender.fen).where(keyset.among(Tender.payment_id, ids))
    ):
        tenders[payment] += fen
        if kind != "free":
            taken[kind] += fen
    sold = dict[uuid.UUID, int](
        keyset.once(
            select(Payment.id, func.sum(Sale.due_fen))
            .join(Sale, Sale.record_id == Payment.record_id)
            .where(keyset.among(Payment.id, ids))
            .group_by(Payment.id)
        )
    )
    for number, due, fen in keyset.once(
        select(Payment.id, Payment.due, Payment.fen).where(keyset.among(Payment.id, ids))
    ):
        subject = f"payment:{number}"
        if fen == tenders[number] == due == int(sold[number]):
            continue
        body = statement.canonical({"fen": fen, "tendered": tenders[number], "due": due, "sold": int(sold[number])})
        if not _named(period_id, subject, body):
            yield Difference("payment", subject, str(fen), str(int(sold[number])))


def _named(period_id: int, subject: str, body: str) -> bool:
    """Tell whether the close named a finding with these very figures."""
    query = select(Finding.id).where(
        Finding.period_id == period_id,
        Finding.code == "payment_differs",
        Finding.subject == subject,
        Finding.body == body,
    )
    return bool(keyset.once(query))


def money_taken(row: Period, cut: Cut, taken: Counter[str]) -> Iterator[Difference]:
    """Compare the elders' money booked to the period, by kind, with the tenders and refunds."""
    expected = Counter(taken)
    refunds = (
        select(Void.refund_kind, func.sum(Void.refund_fen))
        .join(Sale, Sale.id == Void.sale_id)
        .where(
            Sale.contract_id == row.contract_id,
            Sale.service_day <= row.to_day,
            Void.record_id <= cut.records,
            (Sale.service_day >= row.from_day) | (Void.record_id > cut.records_before),
            Void.refund_kind != "free",
        )
        .group_by(Void.refund_kind)
    )
    for kind, fen in keyset.once(refunds):
        expected[kind] -= int(fen)
    there: Counter[str] = Counter()
    for end, sign in ((Transfer.target_id, 1), (Transfer.source_id, -1)):
        query = (
            select(Account.kind, func.sum(Transfer.fen))
            .join(Account, Account.id == end)
            .where(Transfer.period_id == row.id, Transfer.movement.in_(("payment", "refund")), Account.kind != "elder")
            .group_by(Account.kind)
        )
        for kind, fen in keyset.once(query):
            there[kind] += sign * int(fen)
    for kind in sorted(expected.keys() | there.keys()):
        if expected[kind] != there[kind]:
            yield Difference("money_taken", kind, str(there[kind]), str(expected[kind]))
