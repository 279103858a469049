"""Verify benefits that reviewers moved: compute them from the stored quotes and compare with the transfers."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import and_, select
from sqlalchemy.orm import aliased

from canteen import keyset
from canteen.ledger.models import Account, Period, Transfer
from canteen.money import Fen
from canteen.pos.flags import UNCLAIMABLE
from canteen.pos.models import Sale, SaleUse, UseChange
from canteen.settlement.audit import repriced
from canteen.settlement.audit.differences import Difference, ShareKey
from canteen.settlement.audit.repriced import Repricer
from canteen.settlement.closing.statement import Cut
from canteen.settlement.models import BenefitReallocation

REASON = "reallocated"  # of the transfers


@dataclass(frozen=True, slots=True)
class _End:
    """One of the two meals of a reallocation, at this contract."""

    sale: uuid.UUID
    received: bool
    fen: Fen
    key: tuple[str, str]
    day: date
    record_id: int
    recorded: int
    unclaimable: bool


@dataclass(slots=True)
class Moved:
    """The benefits moved up to a close, by share, negative where given up; and which of them are adjustments here."""

    fen: Counter[ShareKey] = field(default_factory=Counter)
    adjusted: Counter[tuple[str, str]] = field(default_factory=Counter)  # fund, service month
    wrong: list[Difference] = field(default_factory=list)


def moved(row: Period, cut: Cut, again: Repricer) -> Moved:
    """Compute everything that reviewers moved of the contract's meals up to the period's close."""
    found = Moved()
    adjustments: dict[tuple[uuid.UUID, int, str], Fen] = {}
    ends = [*_ends(row, cut, received=True), *_ends(row, cut, received=False)]
    for at in range(0, len(ends), keyset.PAGE):
        page = ends[at : at + keyset.PAGE]
        meals = {meal.id: meal for meal in again.meals_of([end.sale for end in page])[0]}
        priced = again.prices.of({end.key for end in page if end.received})
        rules, wrong = _given_up([end.sale for end in page if not end.received])
        found.wrong += wrong
        for end in page:
            meal, name = meals[end.sale], f"event:{end.recorded}"
            if end.received:
                newly = repriced.borne_of(meal.parts, None if end.unclaimable else priced[end.key])
                shares = [new.total() - old for new, old in zip(newly, meal.claimable, strict=True)]
                if sum(shares) != end.fen:
                    found.wrong.append(Difference("reallocation", f"sale:{end.sale}", str(end.fen), str(sum(shares))))
            else:
                gone = rules.get(end.sale, frozenset())
                shares = [-sum(borne[rule] for rule in gone) for borne in meal.borne]
            for n, (part, fen) in enumerate(zip(meal.parts, shares, strict=True), 1):
                if not fen:
                    continue
                found.fen[end.sale, n] += fen
                if end.day >= row.from_day or end.recorded > cut.facts_before:
                    adjustments[end.sale, n, name] = fen
                    if end.day < row.from_day and end.record_id <= cut.records_before:
                        found.adjusted[part.fund, meal.month] += fen
    found.wrong += _transfers(row, adjustments)
    return found


def _ends(row: Period, cut: Cut, *, received: bool) -> Iterator[_End]:
    end = BenefitReallocation.sale_id if received else BenefitReallocation.from_sale_id
    query = (
        select(
            Sale.id, BenefitReallocation.fen, BenefitReallocation.input_hash, Sale.own_rulebook_hash, Sale.service_day, Sale.record_id,
            BenefitReallocation.recorded, Sale.flags,
        )
        .join(BenefitReallocation, end == Sale.id)
        .where(Sale.contract_id == row.contract_id, Sale.service_day <= row.to_day, BenefitReallocation.recorded <= cut.facts)
        .order_by(BenefitReallocation.recorded)
    )  # fmt: skip
    for sale, fen, input_hash, book, day, record_id, recorded, flags in keyset.once(query):
        unclaimable = not UNCLAIMABLE.isdisjoint(flags.split())
        yield _End(sale, received, fen, (input_hash, book), day, record_id, recorded, unclaimable)


def _given_up(ids: Sequence[uuid.UUID]) -> tuple[dict[uuid.UUID, frozenset[str]], list[Difference]]:
    """Read the rules whose shares went with the uses that these sales gave up, and uses that do not fit."""
    query = (
        select(SaleUse.sale_id, SaleUse.allowance, SaleUse.window, SaleUse.rules, UseChange.sale_id)
        .outerjoin(
            UseChange,
            and_(
                UseChange.sale_id == SaleUse.sale_id,
                UseChange.allowance == SaleUse.allowance,
                UseChange.window == SaleUse.window,
                UseChange.amount < 0,
            ),
        )
        .where(keyset.among(SaleUse.sale_id, ids), SaleUse.granted > 0)
    )
    gone: dict[uuid.UUID, set[str]] = defaultdict(set)
    kept: list[tuple[uuid.UUID, str, frozenset[str]]] = []
    for sale, allowance, window, rules, up in keyset.once(query):
        if up is None:
            kept.append((sale, f"{allowance}/{window}", frozenset(rules.split())))
        else:
            gone[sale] |= set(rules.split())
    wrong = [
        Difference("given_up", f"sale:{sale}", "", name)
        for sale, name, rules in kept
        if not rules.isdisjoint(gone.get(sale, ()))
    ]
    return {sale: frozenset(rules) for sale, rules in gone.items()}, wrong


def _transfers(row: Period, expected: Mapping[tuple[uuid.UUID, int, str], Fen]) -> Iterator[Difference]:
    """Sum what was booked to the period between `excluded` and `open`, share by share."""
    source, target = aliased(Account), aliased(Account)
    query = (
        select(Transfer.sale_id, Transfer.share_n, Transfer.cause, source.kind, target.kind, Transfer.fen)
        .join(source, source.id == Transfer.source_id)
        .join(target, target.id == Transfer.target_id)
        .where(Transfer.period_id == row.id, Transfer.movement == "verdict", Transfer.reason == REASON)
    )
    there: Counter[tuple[uuid.UUID, int, str]] = Counter()
    for sale, n, name, from_kind, to_kind, fen in keyset.once(query):
        assert sale is not None
        there[sale, n or 0, name] += {("excluded", "open"): fen, ("open", "excluded"): -fen}.get(
            (from_kind, to_kind), 0
        )
    for key in sorted(there.keys() | expected.keys(), key=str):
        if there[key] != expected.get(key, 0):
            sale, n, name = key
            yield Difference("transfer", f"sale:{sale}/{n}/{name}", str(there[key]), str(expected.get(key, 0)))
