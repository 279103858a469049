"""Verify prorated budgets: price again what was asked, and compute parts and losses from it.

The rule is in docs/rulebook.md, `budget`. It is implemented here a second time: nothing of `closing/proration.py` is used.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select

from canteen import clock, keyset
from canteen.events import Event
from canteen.ledger.models import Account, Period, Transfer
from canteen.money import Fen
from canteen.places import Contract
from canteen.policy import budget_ids
from canteen.pos import pricing
from canteen.pos.models import Proration, Sale, SaleUse, Void
from canteen.rulebooks.models import JoinedRulebook
from canteen.settlement.audit.differences import Difference, ShareKey
from canteen.settlement.audit.repriced import Repricer
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import (
    ProratedShare,
    ProrationBooked,
    ProrationPart,
    RevaluedShare,
    WithheldAnswer,
    WithheldMeal,
)

Key = tuple[str, str]  # allowance, window
PRORATED = "budget.prorate"  # the event
REASON = "prorated"  # of the transfers
MONTHS = {"month": 1, "quarter": 3, "year": 12}


@dataclass(frozen=True, slots=True)
class Lost:
    """The losses to budgets that were booked to a period, by share, and the sales concerned."""

    by_share: Mapping[ShareKey, Fen]
    sales: Sequence[Any]  # (id, record, service month, fund, fen, service day)
    first: Any

    def adjusted(self, cut: Cut) -> Counter[tuple[str, str, str]]:
        """Sum what the period's claim takes back of meals claimed earlier, by (kind, fund, service month)."""
        found: Counter[tuple[str, str, str]] = Counter()
        for _, record, month, fund, fen, day in self.sales:
            if day < self.first and record <= cut.records_before:
                found["adjustment", fund, month] -= fen
        return found


def lost(row: Period) -> Lost:
    """Read what the period's close booked as lost to budgets."""
    query = (
        select(
            ProratedShare.sale_id, ProratedShare.share_n, ProratedShare.allowance, ProratedShare.fen, Sale.record_id,
            Sale.service_month, Sale.service_day,
        )
        .join(Sale, Sale.id == ProratedShare.sale_id)
        .where(ProratedShare.period_id == row.id)
    )  # fmt: skip
    rows = keyset.once(query)
    return Lost(
        {(sale, n): fen for sale, n, _, fen, _, _, _ in rows},
        [
            (sale, record, month, budget_ids.fund_of(allowance), fen, day)
            for sale, _, allowance, fen, record, month, day in rows
        ],
        row.from_day,
    )


def of_sales(ids: Sequence[uuid.UUID]) -> dict[ShareKey, Fen]:
    """Read what these sales' shares lost to budgets, whenever it was booked."""
    query = select(ProratedShare.sale_id, ProratedShare.share_n, ProratedShare.fen)
    return {(sale, n): fen for sale, n, fen in keyset.once(query.where(keyset.among(ProratedShare.sale_id, ids)))}


def differences(row: Period, cut: Cut, again: Repricer) -> Iterator[Difference]:
    """Compare the windows that ended by the period, or were booked to it, with what their meals make them."""
    ((canteen,),) = keyset.once(select(Contract.canteen_id).where(Contract.id == row.contract_id))
    counted_for = pricing.budget_uuid(canteen)
    for key, books in sorted(_windows(row, counted_for).items()):
        found = keyset.once(
            select(Proration.limit_fen, Proration.other_fen, Proration.asked_fen, Proration.records).where(
                Proration.allowance == key[0], Proration.window == key[1]
            )
        )
        if not found:
            yield Difference("proration", _subject(key), "", "按比例核减")
            continue
        yield from _shared_out(key, *found[0])
        yield from _of_window(row, cut, counted_for, key, books, found[0][3], again)
    yield from _moved(row)


def _windows(row: Period, counted_for: uuid.UUID) -> dict[Key, set[str]]:
    """Find prorated windows that ended by the period and were booked to it or had meals of it, with rulebooks."""
    drawn = (
        select(SaleUse.allowance, SaleUse.window, Sale.own_rulebook_hash)
        .join(Sale, Sale.id == SaleUse.sale_id)
        .where(SaleUse.person_id == counted_for, SaleUse.unit == "fen", Sale.contract_id == row.contract_id)
        .distinct()
    )
    uses = [use for use in keyset.once(drawn) if budget_ids.is_budget(use.allowance)]
    kinds = {book: _prorated(book) for book in {use.own_rulebook_hash for use in uses}}
    over: dict[Key, set[str]] = defaultdict(set)
    for allowance, window, book in uses:
        kind = kinds[book].get(budget_ids.fund_of(allowance))
        if kind is not None and _last_day(kind, window) <= row.to_day:
            over[allowance, window].add(book)
    of_meals = (
        select(SaleUse.allowance, SaleUse.window)
        .join(Transfer, Transfer.sale_id == SaleUse.sale_id)
        .where(Transfer.period_id == row.id, Transfer.movement.in_(("meal", "verdict")), SaleUse.unit == "fen")
    )
    booked = select(ProrationBooked.allowance, ProrationBooked.window).where(ProrationBooked.period_id == row.id)
    touched = {tuple(found) for query in (of_meals, booked) for found in keyset.once(query.distinct())}
    return {key: books for key, books in over.items() if key in touched}


def _shared_out(key: Key, limit: Fen, other: Fen, asked: Fen, records: int) -> Iterator[Difference]:
    """Compare a window and its parts with each other and with the event of the sharing."""
    rows = keyset.once(
        select(ProrationPart.contract_id, ProrationPart.asked_fen, ProrationPart.part_fen)
        .where(ProrationPart.allowance == key[0], ProrationPart.window == key[1])
        .order_by(ProrationPart.contract_id)
    )
    subject = _subject(key)
    there = {contract: [fen, part] for contract, fen, part in rows}
    again = _parts(max(0, limit - other), [fen for _, fen, _ in rows])
    expected = {contract: [fen, part] for (contract, fen, _), part in zip(rows, again, strict=True)}
    if there != expected or asked != sum(fen for _, fen, _ in rows):
        yield Difference("proration_parts", subject, f"{asked} {there}", str(expected))
    said = {"limit": limit, "other": other, "asked": asked, "records": records, "parts": there}
    recorded = keyset.once(select(Event.body).where(Event.subject == subject, Event.kind == PRORATED))
    if [json.loads(body) for (body,) in recorded] != [said]:
        yield Difference("proration", subject, str(said), " ".join(body for (body,) in recorded))


def _of_window(
    row: Period, cut: Cut, counted_for: uuid.UUID, key: Key, books: Collection[str], records: int, again: Repricer
) -> Iterator[Difference]:
    """Compute of the contract's meals in a window what they asked, and what each share loses."""
    fund = budget_ids.fund_of(key[0])
    query = (
        select(Sale.id, Sale.record_id, Void.record_id, SaleUse.granted)
        .join(SaleUse, SaleUse.sale_id == Sale.id)
        .outerjoin(Void, Void.sale_id == Sale.id)
        .where(
            SaleUse.person_id == counted_for, SaleUse.allowance == key[0], SaleUse.window == key[1],
            Sale.contract_id == row.contract_id, Sale.own_rulebook_hash.in_(sorted(books)),
            Sale.record_id <= cut.records,
        )
        .order_by(Sale.id)
    )  # fmt: skip
    rows = keyset.once(query)
    asked, late = dict[ShareKey, Fen](), defaultdict[uuid.UUID, dict[ShareKey, Fen]](dict)
    for at in range(0, len(rows), keyset.PAGE):
        came = {sale: (record, void) for sale, record, void, _ in rows[at : at + keyset.PAGE]}
        for (sale, n), (pays, fen) in again.by_share(sorted(came)).items():
            record, void = came[sale]
            if pays == fund and fen and record > records:
                late[sale][sale, n] = fen
            elif pays == fund and fen and (void is None or void > records):
                asked[sale, n] = fen
    part = keyset.once(
        select(ProrationPart.asked_fen, ProrationPart.part_fen).where(
            ProrationPart.allowance == key[0], ProrationPart.window == key[1],
            ProrationPart.contract_id == row.contract_id,
        )
    )  # fmt: skip
    stated, share = part[0] if part else (0, 0)
    if stated != sum(asked.values()):
        yield Difference("proration_asked", _subject(key), str(stated), str(sum(asked.values())))
    expected = _reductions(share, asked, _taken_back(fund, {sale for sale, _ in asked}))
    granted = {sale: given for sale, _, _, given in rows}
    for sale, mine in late.items():
        expected |= _beyond(granted[sale], mine)
    voids = {sale: void for sale, _, void, _ in rows if void is not None}
    yield from _shares(row, cut, key, expected, voids)


def _shares(
    row: Period, cut: Cut, key: Key, expected: Mapping[ShareKey, Fen], voids: Mapping[uuid.UUID, int]
) -> Iterator[Difference]:
    """Compare what each share lost with what it should have lost; nothing where its money had left before."""
    there = {
        (sale, n): fen
        for sale, n, fen in keyset.once(
            select(ProratedShare.sale_id, ProratedShare.share_n, ProratedShare.fen)
            .join(Sale, Sale.id == ProratedShare.sale_id)
            .where(
                ProratedShare.allowance == key[0], ProratedShare.window == key[1], Sale.contract_id == row.contract_id,
                Sale.record_id <= cut.records,
            )
        )
    }  # fmt: skip
    missing = {sale for sale, n in expected if (sale, n) not in there}
    before = {sale for sale in missing if voids.get(sale, cut.records + 1) <= cut.records}
    excused = before | _withheld(missing - {sale for sale, _ in there}) | _struck(missing - voids.keys())
    for sale, n in sorted(expected.keys() | there.keys()):
        fen, wanted = there.get((sale, n), 0), expected.get((sale, n), 0)
        if fen != wanted and not (fen == 0 and sale in excused):
            yield Difference("prorated", f"sale:{sale}/{n}", str(fen), str(wanted))


def _moved(row: Period) -> Iterator[Difference]:
    """Check that the transfers out of the period's claim as prorated equal what its meals lose, share by share."""
    moved = {
        (sale, n): int(fen)
        for sale, n, fen in keyset.once(
            select(Transfer.sale_id, Transfer.share_n, func.sum(Transfer.fen))
            .where(Transfer.period_id == row.id, Transfer.movement == "verdict", Transfer.reason == REASON)
            .group_by(Transfer.sale_id, Transfer.share_n)
        )
        if sale is not None and n is not None
    }
    facts = lost(row).by_share
    for sale, n in sorted(moved.keys() | facts.keys()):
        if moved.get((sale, n), 0) != facts.get((sale, n), 0):
            yield Difference("transfer", f"sale:{sale}/{n}", str(moved.get((sale, n), 0)), str(facts.get((sale, n), 0)))


# --- the rule ---


def _parts(room: Fen, asked: Sequence[Fen]) -> list[Fen]:
    """Share `room` out: what was asked where it suffices, else pro rata by largest remainder, ties to the earlier."""
    total = sum(asked)
    if total <= room:
        return list(asked)
    floors = [divmod(room * fen, total) for fen in asked]
    spare = room - sum(whole for whole, _ in floors)
    larger = set(sorted(range(len(asked)), key=lambda n: -floors[n][1])[:spare])
    return [whole + (n in larger) for n, (whole, _) in enumerate(floors)]


def _reductions(part: Fen, asked: Mapping[ShareKey, Fen], taken_back: Mapping[uuid.UUID, Fen]) -> dict[ShareKey, Fen]:
    """Compute what each share loses of a contract's part; less what a revaluation already took back of its sale."""
    keys, credit, found = sorted(asked), dict(taken_back), dict[ShareKey, Fen]()
    for key, fen in zip(keys, _parts(part, [asked[key] for key in keys]), strict=True):
        short, free = asked[key] - fen, credit.get(key[0], 0)
        credit[key[0]] = max(0, free - short)
        if short > free:
            found[key] = short - free
    return found


def _beyond(granted: Fen, asked: Mapping[ShareKey, Fen]) -> dict[ShareKey, Fen]:
    """Compute what a late meal's shares lose: all that its budget did not grant, the first share served first."""
    found, before = dict[ShareKey, Fen](), 0
    for key in sorted(asked):
        over = min(asked[key], max(0, before + asked[key] - granted))
        before += asked[key]
        if over:
            found[key] = over
    return found


def _subject(key: Key) -> str:
    return f"budget:{key[0].removeprefix(budget_ids.PREFIX)}/{clock.day_of(int(key[1])).isoformat()}"


def _prorated(book: str) -> dict[str, str]:
    """Read which funds a stored rulebook prorates at the end of their budget: fund -> kind of its window."""
    found: dict[str, str] = {}
    for (body,) in keyset.once(select(JoinedRulebook.body).where(JoinedRulebook.hash == book)):
        for layer in json.loads(body)["layers"]:
            for fund in layer.get("funds", ()):
                if fund.get("budget", {}).get("at_end") == "prorate":
                    found[fund["id"]] = fund["budget"]["window"]
    return found


def _last_day(kind: str, window: str) -> date:
    """Return the last day of a window, which is named by its first day and counted in months."""
    first = clock.day_of(int(window))
    months = first.year * 12 + first.month - 1 + MONTHS[kind]
    return date(months // 12, months % 12 + 1, 1) - timedelta(days=1)


# --- what became of single meals ---


def _taken_back(fund: str, sales: Collection[uuid.UUID]) -> dict[uuid.UUID, Fen]:
    """Read what revaluations took back from the fund of each of these sales."""
    found = Counter[uuid.UUID]()
    for page in _pages(sales):
        query = select(RevaluedShare.sale_id, RevaluedShare.fen).where(
            keyset.among(RevaluedShare.sale_id, page), RevaluedShare.fund == fund, RevaluedShare.fen < 0
        )
        for sale, fen in keyset.once(query):
            found[sale] -= fen
    return found


def _withheld(sales: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Read which of these sales reviewers keep out of a claim."""
    found = set[uuid.UUID]()
    for page in _pages(sales):
        query = (
            select(WithheldMeal.sale_id)
            .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
            .where(
                keyset.among(WithheldMeal.sale_id, page),
                or_(WithheldAnswer.outcome.is_(None), WithheldAnswer.outcome != "released"),
            )
        )
        found |= {sale for (sale,) in keyset.once(query)}
    return found


def _struck(sales: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Read which of these sales a person judged unclaimable."""
    by_person = and_(Transfer.movement == "verdict", Transfer.cause.not_like("sale:%"), Transfer.reason != REASON)
    disallowed = and_(Transfer.movement == "disallow", Account.kind == "disallowed")
    found = set[uuid.UUID]()
    for page in _pages(sales):
        query = (
            select(Transfer.sale_id)
            .join(Account, Account.id == Transfer.target_id)
            .where(keyset.among(Transfer.sale_id, page), or_(by_person, disallowed))
        )
        found |= {sale for (sale,) in keyset.once(query) if sale is not None}
    return found


def _pages(ids: Collection[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    ordered = sorted(ids)
    for at in range(0, len(ordered), keyset.PAGE):
        yield ordered[at : at + keyset.PAGE]
