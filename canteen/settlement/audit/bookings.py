"""Verify what sales booked: transfers share by share, payments, and the money taken from the elders."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import String, cast, func, literal, select

from canteen import keyset
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Account, Period, Transfer
from canteen.money import Fen
from canteen.pos.checkout_rows import of_record
from canteen.pos.models import Record, Sale, Void
from canteen.settlement.audit.differences import Difference
from canteen.settlement.audit.prices import KEPT
from canteen.settlement.audit.repriced import RepricedMeal, Texts
from canteen.settlement.closing import statement
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import Finding

Booked = Mapping[tuple[int, str], Fen]  # number of the share, what was moved -> fen


class Bookings:
    """Compares what sales booked with what they should have, a page of them at a time."""

    def __init__(self) -> None:
        self._kinds = _Kinds()
        self._booked = Texts(self._sums)
        self._expected: dict[tuple[int, bool], Booked] = {}

    def of_sales(self, meals: Sequence[RepricedMeal]) -> Iterator[Difference]:
        """Compare the transfers of each sale and of its void, share by share, with what they should be."""
        of_sales = keyset.among(Transfer.sale_id, [meal.id for meal in meals])
        booked = dict[uuid.UUID | None, str](keyset.bare(_MOVED.where(of_sales)))
        for meal in meals:
            there, expected = self._booked[booked.get(meal.id, "")][1], self._of(meal)
            if there != expected:
                yield from _shares(meal, there, expected)

    def _sums(self, text: str) -> Booked:
        """Read what _MOVED answers of a sale."""
        found: dict[tuple[int, str], Fen] = {}
        for share_n, movement, source, target, fen in (one.split() for one in text.split(",") if one):
            ends = self._kinds[int(source)], self._kinds[int(target)]
            sign = -1 if movement == "void" and ends[1] != "granted" else 1
            key = int(share_n), "void" if movement == "void" else f"{ends[0]}>{ends[1]}"
            found[key] = found.get(key, 0) + sign * int(fen)
        return {key: fen for key, fen in found.items() if fen > 0}

    def _of(self, meal: RepricedMeal) -> Booked:
        """Return what a meal should have booked; meals that are alike have booked the same."""
        key = meal.alike, meal.voided_at is not None
        found = self._expected.get(key) if meal.alike else None
        if found is None:
            found = _expected(meal)
            if len(self._expected) >= KEPT:
                self._expected.clear()
            self._expected[key] = found
        return found


class _Kinds(dict[int, str]):
    """The kind of each account, read when first asked for."""

    def __missing__(self, account: int) -> str:
        ((kind,),) = keyset.bare(select(Account.kind).where(Account.id == account))
        self[account] = kind
        return str(kind)


def _expected(meal: RepricedMeal) -> Booked:
    found: dict[tuple[int, str], Fen] = {}
    for n, (part, claimable) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1):
        if part.payer != "concession":
            subsidy = part.payer == "subsidy"
            found[n, "granted>open" if subsidy else "granted>donated"] = part.fen
            found[n, "open>excluded"] = part.fen - claimable if subsidy else 0
            found[n, "void"] = part.fen if meal.voided_at is not None else 0
    return {key: fen for key, fen in found.items() if fen > 0}


def _shares(meal: RepricedMeal, booked: Booked, expected: Booked) -> Iterator[Difference]:
    """Name the shares of which something else was booked."""
    by_share: dict[int, tuple[dict[str, Fen], dict[str, Fen]]] = defaultdict(lambda: ({}, {}))
    for place, entries in enumerate((booked, expected)):
        for (n, moved), fen in entries.items():
            by_share[n][place][moved] = fen
    for n, (there, wanted) in sorted(by_share.items()):
        if there != wanted:
            yield Difference("transfer", f"sale:{meal.id}/{n}", str(there), str(wanted))


def _in_text(*columns: Any) -> Any:
    """Write columns as text with blanks between them."""
    text: Any = literal("")
    for column in columns:
        text = text + cast(column, String) + " "
    return text


_MOVED = (
    select(
        Transfer.sale_id,
        func.aggregate_strings(
            _in_text(Transfer.share_n, Transfer.movement, Transfer.source_id, Transfer.target_id, Transfer.fen), ","
        ),
    )
    .where(
        Transfer.share_n < FIRST_DIFFERENCE_SHARE,
        Transfer.cause.like("sale:%") | (Transfer.movement == "void"),
    )
    .group_by(Transfer.sale_id)
)
"""What was moved of each sale's own shares, as one text: alike sales have few different ones."""


def of_payments(ids: Sequence[uuid.UUID], period_id: int, taken: Counter[str]) -> Iterator[Difference]:
    """Check that each payment equals its tenders and what its sales were sold for, unless a finding named it."""
    sold = select(func.sum(Sale.due_fen)).where(of_record(Record.id)).scalar_subquery()
    query = select(Record.payment_id, Record.payment_due, Record.payment_fen, Record.tenders, sold)
    for number, due, fen, tenders, dues in keyset.bare(query.where(keyset.among(Record.payment_id, ids))):
        given: dict[str, Fen] = Counter()
        for kind, part, *_ in json.loads(tenders):
            given[kind] += part
        for kind, part in given.items():
            if kind != "free":
                taken[kind] += part
        tendered = sum(given.values())
        if fen == tendered == due == int(dues):
            continue
        subject = f"payment:{number}"
        body = statement.canonical({"fen": fen, "tendered": tendered, "due": due, "sold": int(dues)})
        if not _named(period_id, subject, body):
            yield Difference("payment", subject, str(fen), str(int(dues)))


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
