"""`period verify` of prorated budgets: what was asked is priced again, parts and losses computed from it."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from canteen import keyset
from canteen.db import db
from canteen.events import Event
from canteen.ledger.models import Period, Transfer
from canteen.money import Fen
from canteen.places import Contract
from canteen.pos import pricing
from canteen.pos.models import Prorating, Sale, SaleUse, Void
from canteen.settlement.audit import repriced
from canteen.settlement.audit.differences import Difference, ShareKey
from canteen.settlement.closing import budgets, proration
from canteen.settlement.closing.proration import Key
from canteen.settlement.closing.requote import Quotes
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import ProratedShare, ProratingBooked, ProratingPart


@dataclass(frozen=True, slots=True)
class Lost:
    """What was booked to a period as lost to budgets, by share, and the sales it is of."""

    here: Mapping[ShareKey, Fen]
    sales: Sequence[Any]  # (id, record, service month, fund, fen, service day)
    first: Any

    def adjusted(self, cut: Cut) -> Counter[tuple[str, str, str]]:
        """What the period's claim takes back of meals that earlier claims hold, by (kind, fund, service month)."""
        found: Counter[tuple[str, str, str]] = Counter()
        for _, record, month, fund, fen, day in self.sales:
            if day < self.first and record <= cut.records_before:
                found["adjustment", fund, month] -= fen
        return found


def lost(row: Period) -> Lost:
    """What the period's close booked."""
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
            (sale, record, month, budgets.fund_of(allowance), fen, day)
            for sale, _, allowance, fen, record, month, day in rows
        ],
        row.from_day,
    )


def of_sales(ids: Sequence[uuid.UUID]) -> dict[ShareKey, Fen]:
    """What these sales' shares lost, whenever it was booked."""
    query = select(ProratedShare.sale_id, ProratedShare.share_n, ProratedShare.fen)
    return {(sale, n): fen for sale, n, fen in keyset.once(query.where(keyset.among(ProratedShare.sale_id, ids)))}


def differences(row: Period, cut: Cut, quotes: Quotes) -> Iterator[Difference]:
    """Where windows that were over by the period, or booked to it, are not what their meals make them."""
    ((canteen,),) = keyset.once(select(Contract.canteen_id).where(Contract.id == row.contract_id))
    for key, books in sorted(_windows(row, canteen).items()):
        found = keyset.once(
            select(Prorating.limit_fen, Prorating.other_fen, Prorating.asked_fen, Prorating.records).where(
                Prorating.allowance == key[0], Prorating.window == key[1]
            )
        )
        if not found:
            yield Difference("prorating", proration.subject(key), "", "按比例核减")
            continue
        yield from _shared_out(key, *found[0])
        yield from _of_window(row, cut, canteen, key, books, found[0][3], quotes)
    yield from _moved(row)


def _windows(row: Period, canteen: str) -> dict[Key, set[str]]:
    """Prorated windows that were over by the period and that it booked, or had meals of; with the rulebooks that say so."""
    over = proration.over(db.session(), row, canteen)
    db.session.rollback()
    of_meals = (
        select(SaleUse.allowance, SaleUse.window)
        .join(Transfer, Transfer.sale_id == SaleUse.sale_id)
        .where(Transfer.period_id == row.id, Transfer.movement.in_(("meal", "verdict")), SaleUse.unit == "fen")
    )
    booked = select(ProratingBooked.allowance, ProratingBooked.window).where(ProratingBooked.period_id == row.id)
    here = {tuple(found) for query in (of_meals, booked) for found in keyset.once(query.distinct())}
    return {key: books for key, books in over.items() if key in here}


def _shared_out(key: Key, limit: Fen, other: Fen, asked: Fen, records: int) -> Iterator[Difference]:
    """Window and parts against each other and against what the log was told."""
    rows = keyset.once(
        select(ProratingPart.contract_id, ProratingPart.asked_fen, ProratingPart.part_fen)
        .where(ProratingPart.allowance == key[0], ProratingPart.window == key[1])
        .order_by(ProratingPart.contract_id)
    )
    subject = proration.subject(key)
    there = {contract: [fen, part] for contract, fen, part in rows}
    again = proration.parts(max(0, limit - other), [fen for _, fen, _ in rows])
    expected = {contract: [fen, part] for (contract, fen, _), part in zip(rows, again, strict=True)}
    if there != expected or asked != sum(fen for _, fen, _ in rows):
        yield Difference("prorating_parts", subject, f"{asked} {there}", str(expected))
    said = {"limit": limit, "other": other, "asked": asked, "records": records, "parts": there}
    told = keyset.once(select(Event.body).where(Event.subject == subject, Event.kind == proration.PRORATED))
    if [json.loads(body) for (body,) in told] != [said]:
        yield Difference("prorating", subject, str(said), " ".join(body for (body,) in told))


def _of_window(
    row: Period, cut: Cut, canteen: str, key: Key, books: Collection[str], records: int, quotes: Quotes
) -> Iterator[Difference]:
    """The contract's meals of a window: what they asked, and what each share loses."""
    fund = budgets.fund_of(key[0])
    query = (
        select(Sale.id, Sale.record_id, Void.record_id, SaleUse.granted)
        .join(SaleUse, SaleUse.sale_id == Sale.id)
        .outerjoin(Void, Void.sale_id == Sale.id)
        .where(
            SaleUse.person_id == pricing.budget_holder(canteen), SaleUse.allowance == key[0], SaleUse.window == key[1],
            Sale.contract_id == row.contract_id, Sale.own_rulebook_hash.in_(sorted(books)),
            Sale.record_id <= cut.records,
        )
        .order_by(Sale.id)
    )  # fmt: skip
    rows = keyset.once(query)
    asked, late = dict[ShareKey, Fen](), defaultdict[uuid.UUID, dict[ShareKey, Fen]](dict)
    for at in range(0, len(rows), keyset.PAGE):
        came = {sale: (record, void) for sale, record, void, _ in rows[at : at + keyset.PAGE]}
        for (sale, n), (pays, fen) in repriced.by_share(sorted(came), quotes).items():
            record, void = came[sale]
            if pays == fund and fen and record > records:
                late[sale][sale, n] = fen
            elif pays == fund and fen and (void is None or void > records):
                asked[sale, n] = fen
    part = keyset.once(
        select(ProratingPart.asked_fen, ProratingPart.part_fen).where(
            ProratingPart.allowance == key[0], ProratingPart.window == key[1],
            ProratingPart.contract_id == row.contract_id,
        )
    )  # fmt: skip
    stated, share = part[0] if part else (0, 0)
    if stated != sum(asked.values()):
        yield Difference("prorating_asked", proration.subject(key), str(stated), str(sum(asked.values())))
    back = proration.taken_back(db.session(), key[0], {sale for sale, _ in asked})
    db.session.rollback()
    expected = proration.reductions(share, asked, back)
    granted = {sale: given for sale, _, _, given in rows}
    for sale, mine in late.items():
        expected |= proration.beyond(granted[sale], mine)
    voids = {sale: void for sale, _, void, _ in rows if void is not None}
    yield from _shares(row, cut, key, expected, voids)


def _shares(
    row: Period, cut: Cut, key: Key, expected: Mapping[ShareKey, Fen], voids: Mapping[uuid.UUID, int]
) -> Iterator[Difference]:
    """What each share lost against what it should have; nothing where its money had left before."""
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
    waiting, _ = proration.kept_out(db.session(), key, row.contract_id)
    struck = proration.gone(db.session(), missing - voids.keys())
    db.session.rollback()
    excused = before | ((waiting | struck) & missing)
    for sale, n in sorted(expected.keys() | there.keys()):
        fen, wanted = there.get((sale, n), 0), expected.get((sale, n), 0)
        if fen != wanted and not (fen == 0 and sale in excused):
            yield Difference("prorated", f"sale:{sale}/{n}", str(fen), str(wanted))


def _moved(row: Period) -> Iterator[Difference]:
    """What was moved out of the period's claim as prorated is what its meals lost, share by share."""
    moved = {
        (sale, n): int(fen)
        for sale, n, fen in keyset.once(
            select(Transfer.sale_id, Transfer.share_n, func.sum(Transfer.fen))
            .where(Transfer.period_id == row.id, Transfer.movement == "verdict", Transfer.reason == proration.REASON)
            .group_by(Transfer.sale_id, Transfer.share_n)
        )
        if sale is not None and n is not None
    }
    facts = lost(row).here
    for sale, n in sorted(moved.keys() | facts.keys()):
        if moved.get((sale, n), 0) != facts.get((sale, n), 0):
            yield Difference("transfer", f"sale:{sale}/{n}", str(moved.get((sale, n), 0)), str(facts.get((sale, n), 0)))
