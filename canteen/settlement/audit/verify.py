"""`period verify`: a closed period reckoned a second way (P19), from sale lines, payments, voids and adjustments.

List prices come from the trays, shares from pricing the stored inputs under the stored rulebooks again, verdicts
from comparing the two quotes, slots from the uses and voids. Only then are transfers, claim lines and statement
looked at, and every difference named.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import aliased

from canteen import keyset
from canteen.ledger.models import LATER, Account, Period, Transfer
from canteen.money import Fen
from canteen.pos.flags import CLAIMS_NOTHING
from canteen.pos.models import Payment, Record, Sale, SaleLine, Share, Surcharge, Tender, Void
from canteen.settlement.audit import documents, limits, proration, reallocations, revaluations, trial_balance
from canteen.settlement.closing import carry_over, close, gather, statement
from canteen.settlement.closing.checks import Part, Priced
from canteen.settlement.closing.requote import Quotes
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import Claim, ClaimLine, Finding, FindingAnswer, Held, HeldAnswer

LineKey = tuple[str, str, str]  # kind, fund, service month


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the second reckoning disagrees: what, of whom, what stands there and what should."""

    code: str
    subject: str
    there: str
    expected: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and every difference."""

    period_id: int
    sales: int
    fen: Fen
    differences: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class _Meal:
    """One sale as it should stand: shares as sold and how much of each may be claimed."""

    id: uuid.UUID
    month: str
    parts: tuple[Part, ...]
    borne: tuple[Counter[str], ...]  # fen of each share that may be claimed, by the rule of our own quote that bears it
    claimable: tuple[Fen, ...]
    voided_at: int | None  # record of the void, up to now


def period(period_id: int) -> Verified:
    """Reckon the period again and name every difference. Raises NoPeriod, PeriodNotOver."""
    row = close.load(period_id)
    cut, _ = close.cut_of(row)
    quotes = Quotes()
    found: list[Difference] = []
    lines: Counter[LineKey] = Counter()
    taken: Counter[str] = Counter()
    counted = documents.Counted(gather.clusters(cut))
    slots = limits.Slots()
    moved = reallocations.moved(row, cut, quotes, lambda ids: _by_id(ids, quotes), _lesser)
    found += [Difference(*one) for one in moved.wrong]
    lost = proration.lost(row)
    sales = 0
    for page in gather.sales(row, cut):
        sales += len(page)
        meals, wrong = _meals(page, quotes)
        found += wrong
        found += _transfers(meals)
        found += [Difference(*one) for one in slots.differences([meal.id for meal in meals])]
        payments = [sale.payment_id for sale in page if sale.arrival % 16 == 0]
        found += _payments(payments, row.id, taken)
        _add_lines(lines, counted, row, page, _less(meals, lost.here), cut, moved.fen)
    found += [Difference(*one) for one in proration.differences(row, cut, lambda ids: _by_share(ids, quotes))]
    lines.update(lost.adjusted(cut))
    _add_taken_back(lines, row, cut, quotes, moved.fen)
    for (fund, month), fen in moved.adjusted.items():
        lines["adjustment", fund, month] += fen
    found += _differences(row, quotes, lines)
    found += _lines(row, lines)
    found += _money_taken(row, taken)
    found += [Difference(*one) for one in documents.differences(row, cut, counted)]
    found += [Difference(*one) for one in trial_balance.differences(row.contract_id)]
    return Verified(row.id, sales, sum(lines.values()), tuple(found))


def _differences(row: Period, quotes: Quotes, lines: Counter[LineKey]) -> Iterator[Difference]:
    """What revaluations booked to the period, whatever month its sales are of."""
    ids = revaluations.sales(row)
    for at in range(0, len(ids), keyset.PAGE):
        page = ids[at : at + keyset.PAGE]
        claimable: dict[uuid.UUID, Counter[str]] = defaultdict(Counter)
        meals, _ = _meals([_Ref(number) for number in page], quotes)
        for meal in meals:
            for part, fen in zip(meal.parts, meal.claimable, strict=True):
                claimable[meal.id][part.fund] += fen
        for told in revaluations.check(row, page, claimable, quotes, lines):
            yield Difference(*told)


# --- sales ---


def _meals(page: Sequence[Any], quotes: Quotes) -> tuple[list[_Meal], list[Difference]]:
    ids = [sale.id for sale in page]
    raw = {row.id: row for row in _raw(ids)}
    trays = _trays(ids)
    stored, added = _shares(ids), _surcharges(ids)
    priced = quotes.of({(row.sold_input_hash, row.rulebook_hash) for row in raw.values()} | {
        (row.own_input_hash, row.own_rulebook_hash) for row in raw.values()
    })  # fmt: skip
    voids = _voids(ids)
    meals: list[_Meal] = []
    wrong: list[Difference] = []
    for row in raw.values():
        subject = f"sale:{row.id}"
        listed = row.amount if row.amount is not None else trays.get(row.id, 0)
        there = Priced(row.list_fen, row.due_fen, tuple(stored.get(row.id, ())), row.surcharge_fen)
        sold = priced[row.sold_input_hash, row.rulebook_hash]
        if listed != row.list_fen:
            wrong.append(Difference("list_price", subject, str(row.list_fen), str(listed)))
        if not there.adds_up:
            adds_up_to = listed - _all(there) + there.surcharge_fen
            wrong.append(Difference("shares_do_not_add_up", subject, str(there.due_fen), str(adds_up_to)))
        if added.get(row.id, 0) != row.surcharge_fen:
            wrong.append(Difference("surcharge", subject, str(row.surcharge_fen), str(added.get(row.id, 0))))
        if there != sold and (as_sent := _as_sent(row)) != there:
            expected = as_sent or sold
            wrong.append(Difference("share", subject, _said(there), _said(expected) if expected else ""))
            there = expected or there
        own = priced[row.own_input_hash, row.own_rulebook_hash]
        barred = not set(row.flags.split()).isdisjoint(CLAIMS_NOTHING)
        borne = tuple(_borne(there.parts, None if barred else own))
        claimable = tuple(each.total() for each in borne)
        meals.append(_Meal(row.id, row.service_month, there.parts, borne, claimable, voids.get(row.id)))
    return meals, wrong


def _less(meals: Sequence[_Meal], lost: Mapping[tuple[uuid.UUID, int], Fen]) -> list[_Meal]:
    """The meals with what their shares lost to budgets taken off what may be claimed."""
    return [
        replace(meal, claimable=tuple(fen - lost.get((meal.id, n), 0) for n, fen in enumerate(meal.claimable, 1)))
        for meal in meals
    ]


def _by_share(ids: Sequence[uuid.UUID], quotes: Quotes) -> dict[tuple[uuid.UUID, int], tuple[str, Fen]]:
    """Fund and claimable fen of each share of these sales, reckoned the second way."""
    meals, _ = _meals([_Ref(number) for number in ids], quotes)
    return {
        (meal.id, n): (part.fund, fen)
        for meal in meals
        for n, (part, fen) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1)
    }


def _all(priced: Priced) -> Fen:
    return sum(part.fen for part in priced.parts)


def _said(priced: Priced) -> str:
    return statement.canonical(
        [[part.fund, part.rule, part.fen] for part in priced.parts] + [priced.due_fen, priced.surcharge_fen]
    )


def _raw(ids: Sequence[uuid.UUID]) -> Sequence[Any]:
    return keyset.once(
        select(
            Sale.id, Sale.amount, Sale.list_fen, Sale.due_fen, Sale.surcharge_fen, Sale.service_month, Sale.flags, Sale.record_id,
            Sale.sold_input_hash, Sale.rulebook_hash, Sale.own_input_hash, Sale.own_rulebook_hash,
        ).where(keyset.among(Sale.id, ids)).order_by(Sale.id)
    )  # fmt: skip


def _trays(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Fen]:
    query = select(SaleLine.sale_id, func.sum(SaleLine.fen * SaleLine.quantity)).where(
        keyset.among(SaleLine.sale_id, ids)
    )
    return {sale: int(fen) for sale, fen in keyset.once(query.group_by(SaleLine.sale_id))}


def _shares(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Part]]:
    found: dict[uuid.UUID, list[Part]] = defaultdict(list)
    query = select(Share.sale_id, Share.fund, Share.payer, Share.rule, Share.fen).where(
        keyset.among(Share.sale_id, ids)
    )
    for sale, fund, payer, rule, fen in keyset.once(query.order_by(Share.sale_id, Share.n)):
        found[sale].append(Part(fund, payer, rule, fen))
    return found


def _surcharges(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Fen]:
    query = select(Surcharge.sale_id, func.sum(Surcharge.fen)).where(keyset.among(Surcharge.sale_id, ids))
    return {sale: int(fen) for sale, fen in keyset.once(query.group_by(Surcharge.sale_id))}


def _voids(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    return {
        row[0]: row[1]
        for row in keyset.once(select(Void.sale_id, Void.record_id).where(keyset.among(Void.sale_id, ids)))
    }


def _as_sent(row: Any) -> Priced | None:
    """The quote as the tablet sent it, where what it sold under cannot be priced the same again."""
    ((body,),) = keyset.once(select(Record.body).where(Record.id == row.record_id))
    try:
        sent = next(sale for sale in json.loads(body)["sales"] if sale["id"] == str(row.id))["quote"]
        parts = tuple(Part(one["fund"], one["payer"], one["rule"], one["fen"]) for one in sent["shares"])
        return Priced(sent["list"], sent["due"], parts, sum(one["fen"] for one in sent.get("surcharges", ())))
    except (KeyError, ValueError, TypeError, StopIteration):
        return None


def _borne(sold: Sequence[Part], own: Priced | None) -> list[Counter[str]]:
    """Of each subsidy share as sold, what our own quote bears, by our rule: fund by fund the lesser; nothing without one."""
    found = [Counter[str]() for _ in sold]
    given = [part for part in own.parts if part.payer == "subsidy"] if own else []
    for fund in {part.fund for part in given}:
        left = Counter[str]()
        for part in given:
            left[part.rule] += part.fen if part.fund == fund else 0
        open_ = [n for n, part in enumerate(sold) if part.payer == "subsidy" and part.fund == fund]
        wanted = [(n, sold[n].rule) for n in open_]
        for n, rule in [*wanted, *((n, rule) for n in open_ for rule in left)]:
            fen = min(left[rule], sold[n].fen - found[n].total())
            found[n][rule] += fen
            left[rule] -= fen
    return found


def _lesser(parts: Sequence[Part], own: Priced | None) -> Iterable[Fen]:
    return [each.total() for each in _borne(parts, own)]


def _by_id(ids: Sequence[uuid.UUID], quotes: Quotes) -> dict[uuid.UUID, _Meal]:
    meals, _ = _meals([_Ref(number) for number in ids], quotes)
    return {meal.id: meal for meal in meals}


# --- transfers and payments of the sales ---


def _transfers(meals: Sequence[_Meal]) -> Iterator[Difference]:
    """What was booked when the sale came, and when it was voided, share by share."""
    booked: dict[tuple[uuid.UUID, int], Counter[str]] = defaultdict(Counter)
    source, target = aliased(Account), aliased(Account)
    query = (
        select(Transfer.sale_id, Transfer.share_n, Transfer.movement, source.kind, target.kind, func.sum(Transfer.fen))
        .join(source, source.id == Transfer.source_id)
        .join(target, target.id == Transfer.target_id)
        .where(keyset.among(Transfer.sale_id, [meal.id for meal in meals]), Transfer.share_n < LATER)
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


def _payments(ids: Sequence[uuid.UUID], period_id: int, taken: Counter[str]) -> Iterator[Difference]:
    """A payment is what its tenders come to and what its sales were sold for, or was named by a finding."""
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
    """Whether the close named these very figures."""
    query = select(Finding.id).where(
        Finding.period_id == period_id,
        Finding.code == "payment_differs",
        Finding.subject == subject,
        Finding.body == body,
    )
    return bool(keyset.once(query))


def _money_taken(row: Period, taken: Counter[str]) -> Iterator[Difference]:
    """Money of the elders as booked to the period, by kind, against the tenders and refunds."""
    cut, _ = close.cut_of(row)
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


# --- claim lines ---


def _add_lines(
    lines: Counter[LineKey],
    counted: documents.Counted,
    row: Period,
    page: Sequence[Any],
    meals: Sequence[_Meal],
    cut: Cut,
    moved: Mapping[tuple[uuid.UUID, int], Fen],
) -> None:
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


def _add_taken_back(
    lines: Counter[LineKey], row: Period, cut: Cut, quotes: Quotes, moved: Mapping[tuple[uuid.UUID, int], Fen]
) -> None:
    """What later voids and judgements took from earlier claims, and what was released or carried on."""
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
            page = [_Ref(number) for number in ids[at : at + keyset.PAGE]]
            meals, _ = _meals(page, quotes)
            for meal in _less(meals, proration.of_sales([ref.id for ref in page])):
                for n, (part, claimable) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1):
                    fen = claimable + moved.get((meal.id, n), 0)
                    if fen and (meal.id, n) not in gone:
                        lines["adjustment", part.fund, meal.month] -= fen
                        gone.add((meal.id, n))
    for kind, fund, month, fen in _handed_on(row, cut):
        lines[kind, fund, month] += fen


@dataclass(frozen=True, slots=True)
class _Ref:
    """Enough of a sale for _meals to read the rest."""

    id: uuid.UUID


def _own_claim() -> Any:
    """Whether the finding was made in the period that its sale was booked to: then its claim was cut instead."""
    booked = aliased(Transfer)
    return (
        select(booked.id)
        .where(booked.sale_id == Finding.sale_id, booked.movement == "meal", booked.period_id == Finding.period_id)
        .exists()
    )


def _gone_before(row: Period, cut: Cut) -> set[tuple[uuid.UUID, int]]:
    """Shares of earlier meals that had left `open` before: struck out of their claim, or excluded by a judgement."""
    struck = (
        select(Held.sale_id, Held.share_n)
        .join(Claim, Claim.id == Held.claim_id)
        .join(Transfer, and_(Transfer.sale_id == Held.sale_id, Transfer.share_n == Held.share_n))
        .outerjoin(Void, Void.sale_id == Held.sale_id)
        .outerjoin(HeldAnswer, HeldAnswer.held_id == Held.id)
        .where(
            Claim.contract_id == row.contract_id,
            Transfer.movement == "disallow",
            (HeldAnswer.outcome.is_(None)) | (HeldAnswer.outcome != "released"),
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


def _handed_on(row: Period, cut: Cut) -> Iterator[tuple[str, str, str, Fen]]:
    """Released and carried fen, from answers and decisions."""
    for key, (_, _, fen) in carry_over.lines(row, cut).items():
        yield key.kind, key.fund, key.service_month, fen


def _lines(row: Period, expected: Counter[LineKey]) -> Iterator[Difference]:
    there: Counter[LineKey] = Counter()
    query = (
        select(ClaimLine.kind, ClaimLine.fund, ClaimLine.service_month, ClaimLine.fen)
        .join(Claim, Claim.id == ClaimLine.claim_id)
        .where(Claim.period_id == row.id)
    )
    for kind, fund, month, fen in keyset.once(query):
        there[kind, fund, month] += fen
    for key in sorted(there.keys() | expected.keys()):
        if there[key] != expected[key]:
            yield Difference("claim_line", "/".join(key), str(there[key]), str(expected[key]))
    total = keyset.once(select(Claim.number, Claim.fen).where(Claim.period_id == row.id))
    if not total:
        yield Difference("claim", f"period:{row.id}", "", str(sum(expected.values())))
    elif total[0][1] != sum(expected.values()):
        yield Difference("claim", total[0][0], str(total[0][1]), str(sum(expected.values())))
