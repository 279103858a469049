"""Verify differences of revaluations: compute each from the stored quotes and compare with facts and transfers."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from canteen import keyset
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Account, Period, Transfer
from canteen.money import Fen
from canteen.pos.models import Sale, Void
from canteen.settlement.audit.differences import Difference, LineKey
from canteen.settlement.audit.repriced import Repricer
from canteen.settlement.closing import statement
from canteen.settlement.closing.checks import SalePrice
from canteen.settlement.models import RevaluedSale, RevaluedShare


def differences(row: Period, again: Repricer, lines: Counter[LineKey]) -> Iterator[Difference]:
    """Compare what revaluations booked to the period, of any month; adds what the claim should have to `lines`."""
    ids = _sales(row)
    for at in range(0, len(ids), keyset.PAGE):
        page = ids[at : at + keyset.PAGE]
        claimable: dict[uuid.UUID, Counter[str]] = defaultdict(Counter)
        for (sale, _), (fund, fen) in again.by_share(page).items():
            claimable[sale][fund] += fen
        yield from _of_page(row, page, claimable, again, lines)


def _sales(row: Period) -> list[uuid.UUID]:
    """Read the sales with a difference that was booked to the period, moved in it, or waits there for an answer."""
    moved = select(Transfer.sale_id).where(Transfer.period_id == row.id, Transfer.share_n >= FIRST_DIFFERENCE_SHARE)
    named = select(RevaluedSale.sale_id).where(RevaluedSale.period_id == row.id)
    return sorted({sale for query in (moved, named) for (sale,) in keyset.once(query) if sale is not None})


@dataclass
class _Sale:
    """A sale's facts: due as sold, own quote, void, and its revaluations in order."""

    due: Fen
    own: tuple[str, str]
    month: str
    voided: bool
    rows: list[Any] = field(default_factory=list)
    shares: dict[int, Any] = field(default_factory=dict)  # by share_n


def _of_page(
    row: Period,
    ids: Sequence[uuid.UUID],
    claimable: Mapping[uuid.UUID, Mapping[str, Fen]],
    again: Repricer,
    lines: Counter[LineKey],
) -> Iterator[Difference]:
    found = _read(ids)
    keys = {key for sale in found.values() for key in (sale.own, *((r.input_hash, r.rulebook_hash) for r in sale.rows))}
    priced = again.prices.of(keys)
    for number, sale in found.items():
        yield from _of_sale(number, sale, claimable.get(number, {}), priced)
    yield from _transfers(row, found, lines)


def _read(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, _Sale]:
    query = select(
        Sale.id, Sale.due_fen, Sale.own_input_hash, Sale.own_rulebook_hash, Sale.service_month, Void.id
    ).outerjoin(Void, Void.sale_id == Sale.id)
    found = {
        sale: _Sale(due, (input_hash, book), month, void is not None)
        for sale, due, input_hash, book, month, void in keyset.once(query.where(keyset.among(Sale.id, ids)))
    }
    columns = (
        RevaluedSale.sale_id, RevaluedSale.revaluation_id, RevaluedSale.input_hash, RevaluedSale.rulebook_hash,
        RevaluedSale.outcome, RevaluedSale.due_before, RevaluedSale.due_fen, RevaluedSale.refund_fen,
    )  # fmt: skip
    mine = select(*columns).where(keyset.among(RevaluedSale.sale_id, ids)).order_by(RevaluedSale.id)
    for one in keyset.once(mine):
        found[one.sale_id].rows.append(one)
    parts = (
        RevaluedShare.sale_id, RevaluedShare.share_n, RevaluedShare.revaluation_id, RevaluedShare.fund,
        RevaluedShare.before_fen, RevaluedShare.new_fen, RevaluedShare.fen,
    )  # fmt: skip
    for share in keyset.once(select(*parts).where(keyset.among(RevaluedShare.sale_id, ids))):
        found[share.sale_id].shares[share.share_n] = share
    return found


def _of_sale(
    number: uuid.UUID, sale: _Sale, claimable: Mapping[str, Fen], priced: Mapping[tuple[str, str], SalePrice | None]
) -> Iterator[Difference]:
    """Compute each revaluation of a sale, oldest first: new value less all booked before."""
    booked, due, reference = Counter(claimable), sale.due, priced[sale.own]
    for row in sale.rows:
        subject = f"sale:{number}/R{row.revaluation_id}"
        new = priced[row.input_hash, row.rulebook_hash]
        if new is None:
            yield Difference("revaluation_quote", subject, row.rulebook_hash, "")
            continue
        unchanged = reference is not None and _said(reference) == _said(new)
        expected_due = due if unchanged else new.due_fen
        refund = due - expected_due if row.outcome == "booked" else 0
        if row.refund_fen != refund:
            yield Difference("refund", subject, str(row.refund_fen), str(refund))
        if (row.due_before, row.due_fen) != (due, expected_due):
            yield Difference("revaluation_due", subject, str((row.due_before, row.due_fen)), str((due, expected_due)))
        shares = [share for share in sale.shares.values() if share.revaluation_id == row.revaluation_id]
        there = {share.fund: (share.before_fen, share.new_fen, share.fen) for share in shares}
        values = dict(booked) if unchanged else new.by_fund()
        for fund in sorted({*booked, *values, *there}):
            before, value = booked[fund], values.get(fund, 0)
            expected = (before, value, value - before if row.outcome == "booked" else 0)
            if there.get(fund, (before, before, 0)) != expected:
                yield Difference("revaluation", f"{subject}/{fund}", str(there.get(fund)), str(expected))
        if row.outcome == "booked":
            reference, due = new, due - row.refund_fen
            booked.update({fund: fen for fund, (_, _, fen) in there.items()})


def _said(priced: SalePrice) -> str:
    parts = sorted([part.payer, part.fund, part.fen] for part in priced.parts)
    return statement.canonical([priced.due_fen, priced.surcharge_fen, _summed(parts)])


def _summed(parts: Iterable[Sequence[Any]]) -> list[list[Any]]:
    sums: Counter[tuple[str, str]] = Counter()
    for payer, fund, fen in parts:
        sums[payer, fund] += fen
    return [[payer, fund, fen] for (payer, fund), fen in sorted(sums.items()) if fen]


def _transfers(row: Period, found: Mapping[uuid.UUID, _Sale], lines: Counter[LineKey]) -> Iterator[Difference]:
    """Compare what was booked, voided and struck of each difference, and add it to the expected lines."""
    source, target = aliased(Account), aliased(Account)
    query = (
        select(
            Transfer.sale_id, Transfer.share_n, Transfer.movement, Transfer.period_id, source.kind, target.kind,
            func.sum(Transfer.fen),
        )
        .join(source, source.id == Transfer.source_id)
        .join(target, target.id == Transfer.target_id)
        .where(keyset.among(Transfer.sale_id, list(found)), Transfer.share_n >= FIRST_DIFFERENCE_SHARE)
        .group_by(
            Transfer.sale_id, Transfer.share_n, Transfer.movement, Transfer.period_id, source.kind, target.kind
        )
    )  # fmt: skip
    moved: dict[tuple[uuid.UUID, int], Counter[str]] = defaultdict(Counter)
    for sale, share_n, movement, period_id, from_kind, to_kind, fen in keyset.once(query):
        assert sale is not None
        assert share_n is not None
        outward = "granted" if movement in {"revalue", "void"} else "excluded"
        sign = (to_kind == outward) - (from_kind == outward)
        moved[sale, share_n][movement] += sign * int(fen)
        share = found[sale].shares.get(share_n)
        if period_id == row.id and "open" in (from_kind, to_kind) and share is not None:
            signed = share.fen if movement == "revalue" else -share.fen
            lines["revaluation", share.fund, found[sale].month] += signed
    for number, sale_row in found.items():
        for share_n, share in sale_row.shares.items():
            there = moved.pop((number, share_n), Counter())
            wanted = {"revalue": -share.fen, "void": share.fen if sale_row.voided else 0}
            wanted["verdict"] = share.fen if there["verdict"] else 0
            if {name: there[name] for name in wanted} != wanted:
                yield Difference("transfer", f"sale:{number}/{share_n}", str(dict(+there)), str(wanted))
    for (number, share_n), there in moved.items():
        yield Difference("transfer", f"sale:{number}/{share_n}", str(dict(there)), "{}")
