"""Price sales again from their stored inputs, and compute how much of each share may be claimed."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select

from canteen import keyset
from canteen.money import Fen
from canteen.pos.flags import CLAIMS_NOTHING
from canteen.pos.models import Record, Sale, SaleLine, Share, Surcharge, Void
from canteen.settlement.audit.differences import Difference, ShareKey
from canteen.settlement.closing import statement
from canteen.settlement.closing.checks import PricedShare, SalePrice
from canteen.settlement.closing.requote import Quotes


@dataclass(frozen=True, slots=True)
class RepricedMeal:
    """One sale as it should be booked: shares as sold and how much of each may be claimed."""

    id: uuid.UUID
    month: str
    parts: tuple[PricedShare, ...]
    borne: tuple[Counter[str], ...]  # fen of each share that may be claimed, by the rule of our own quote that bears it
    claimable: tuple[Fen, ...]
    voided_at: int | None  # record of the void, up to now


def meals_of(ids: Sequence[uuid.UUID], quotes: Quotes) -> tuple[list[RepricedMeal], list[Difference]]:
    """Price these sales again, in the order of their ids; answers them and where what was stored differs."""
    raw = {row.id: row for row in _raw(ids)}
    trays = _trays(ids)
    stored, added = _shares(ids), _surcharges(ids)
    priced = quotes.of({(row.sold_input_hash, row.rulebook_hash) for row in raw.values()} | {
        (row.own_input_hash, row.own_rulebook_hash) for row in raw.values()
    })  # fmt: skip
    voids = _voids(ids)
    meals: list[RepricedMeal] = []
    wrong: list[Difference] = []
    for row in raw.values():
        subject = f"sale:{row.id}"
        listed = row.amount if row.amount is not None else trays.get(row.id, 0)
        there = SalePrice(row.list_fen, row.due_fen, tuple(stored.get(row.id, ())), row.surcharge_fen)
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
            wrong.append(Difference("share", subject, _described(there), _described(expected) if expected else ""))
            there = expected or there
        own = priced[row.own_input_hash, row.own_rulebook_hash]
        if own != there and not row.to_check:  # then the close has not compared it
            wrong.append(Difference("to_check", subject, "no", "yes"))
        unclaimable = not CLAIMS_NOTHING.isdisjoint(row.flags.split())
        borne = tuple(borne_of(there.parts, None if unclaimable else own))
        claimable = tuple(each.total() for each in borne)
        meals.append(RepricedMeal(row.id, row.service_month, there.parts, borne, claimable, voids.get(row.id)))
    return meals, wrong


def less(meals: Sequence[RepricedMeal], lost: Mapping[ShareKey, Fen]) -> list[RepricedMeal]:
    """Take what shares lost to budgets off what the meals may claim."""
    return [
        replace(meal, claimable=tuple(fen - lost.get((meal.id, n), 0) for n, fen in enumerate(meal.claimable, 1)))
        for meal in meals
    ]


def by_share(ids: Sequence[uuid.UUID], quotes: Quotes) -> dict[ShareKey, tuple[str, Fen]]:
    """Read fund and claimable fen of each share of these sales."""
    meals, _ = meals_of(ids, quotes)
    return {
        (meal.id, n): (part.fund, fen)
        for meal in meals
        for n, (part, fen) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1)
    }


def borne_of(sold: Sequence[PricedShare], own: SalePrice | None) -> list[Counter[str]]:
    """Compute what our own quote bears of each subsidy share: per fund the lesser of both; nothing without a quote."""
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


# --- what was stored of the sales ---


def _all(priced: SalePrice) -> Fen:
    return sum(part.fen for part in priced.parts)


def _described(priced: SalePrice) -> str:
    return statement.canonical(
        [[part.fund, part.rule, part.fen] for part in priced.parts] + [priced.due_fen, priced.surcharge_fen]
    )


def _raw(ids: Sequence[uuid.UUID]) -> Sequence[Any]:
    return keyset.once(
        select(
            Sale.id, Sale.amount, Sale.list_fen, Sale.due_fen, Sale.surcharge_fen, Sale.service_month, Sale.flags, Sale.record_id,
            Sale.sold_input_hash, Sale.rulebook_hash, Sale.own_input_hash, Sale.own_rulebook_hash, Sale.to_check,
        ).where(keyset.among(Sale.id, ids)).order_by(Sale.id)
    )  # fmt: skip


def _trays(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Fen]:
    query = select(SaleLine.sale_id, func.sum(SaleLine.fen * SaleLine.quantity)).where(
        keyset.among(SaleLine.sale_id, ids)
    )
    return {sale: int(fen) for sale, fen in keyset.once(query.group_by(SaleLine.sale_id))}


def _shares(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[PricedShare]]:
    found: dict[uuid.UUID, list[PricedShare]] = defaultdict(list)
    query = select(Share.sale_id, Share.fund, Share.payer, Share.rule, Share.fen).where(
        keyset.among(Share.sale_id, ids)
    )
    for sale, fund, payer, rule, fen in keyset.once(query.order_by(Share.sale_id, Share.n)):
        found[sale].append(PricedShare(fund, payer, rule, fen))
    return found


def _surcharges(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Fen]:
    query = select(Surcharge.sale_id, func.sum(Surcharge.fen)).where(keyset.among(Surcharge.sale_id, ids))
    return {sale: int(fen) for sale, fen in keyset.once(query.group_by(Surcharge.sale_id))}


def _voids(ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, int]:
    return {
        row[0]: row[1]
        for row in keyset.once(select(Void.sale_id, Void.record_id).where(keyset.among(Void.sale_id, ids)))
    }


def _as_sent(row: Any) -> SalePrice | None:
    """Read the quote as the tablet sent it, for sales whose rulebook cannot price them the same again."""
    ((body,),) = keyset.once(select(Record.body).where(Record.id == row.record_id))
    try:
        sent = next(sale for sale in json.loads(body)["sales"] if sale["id"] == str(row.id))["quote"]
        parts = tuple(PricedShare(one["fund"], one["payer"], one["rule"], one["fen"]) for one in sent["shares"])
        return SalePrice(sent["list"], sent["due"], parts, sum(one["fen"] for one in sent.get("surcharges", ())))
    except (KeyError, ValueError, TypeError, StopIteration):
        return None
