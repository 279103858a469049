"""Price sales again from their stored inputs, and compute how much of each share may be claimed."""

from __future__ import annotations

import itertools
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy import select

from canteen import keyset
from canteen.ledger.models import Period
from canteen.money import Fen
from canteen.pos.flags import CLAIMS_NOTHING
from canteen.pos.models import QuoteInput, Record, Sale, ShareTerms, Void
from canteen.settlement.audit.differences import Difference, ShareKey
from canteen.settlement.audit.prices import KEPT, Prices
from canteen.settlement.closing import gather, statement
from canteen.settlement.closing.checks import PricedShare, SalePrice
from canteen.settlement.closing.statement import Cut

KEPT_TEXTS = 2000  # of a kilobyte each
K = TypeVar("K")
T = TypeVar("T")


class RepricedMeal(NamedTuple):
    """One sale as it should be booked: shares as sold and how much of each may be claimed.

    alike      meals of one number have the same parts and may claim the same of them
    """

    id: uuid.UUID
    month: str
    parts: tuple[PricedShare, ...]
    borne: tuple[Counter[str], ...]  # fen of each share that may be claimed, by the rule of our own quote that bears it
    claimable: tuple[Fen, ...]
    voided_at: int | None  # record of the void, up to now
    elder: uuid.UUID | None
    day: date
    alike: int


class _Judged(NamedTuple):
    """What follows from the stored figures of a sale and from its two prices."""

    parts: tuple[PricedShare, ...]
    borne: tuple[Counter[str], ...]
    claimable: tuple[Fen, ...]
    alike: int


class Repricer:
    """Prices sales again; those whose stored figures and prices are alike are judged once while they are remembered."""

    def __init__(self) -> None:
        self.prices = Prices()
        self._lines, self._shares, self._surcharges = Texts(_sum_of_lines), Texts(_parts_of), Texts(_sum_of)
        self._judged: dict[Any, _Judged] = {}
        self._numbers = itertools.count(1)

    def meals_of(self, ids: Sequence[uuid.UUID]) -> tuple[list[RepricedMeal], list[Difference]]:
        """Price these sales again, in the order of their ids; answers them and where what was stored differs."""
        return self.meals(keyset.bare(COLUMNS.where(keyset.among(Sale.id, ids)).order_by(Sale.id)))

    def meals(self, rows: Sequence[Any]) -> tuple[list[RepricedMeal], list[Difference]]:
        """Price sales again, given as rows of COLUMNS; answers them and where what was stored differs."""
        priced = self.prices.alike(
            {(row.sold_input_hash, row.rulebook_hash) for row in rows}
            | {(row.own_input_hash, row.own_rulebook_hash) for row in rows},
            {row.own_input_hash: row.own_input for row in rows if row.own_input is not None},
        )
        meals: list[RepricedMeal] = []
        wrong: list[Difference] = []
        for row in rows:
            sold = priced[row.sold_input_hash, row.rulebook_hash]
            own = priced[row.own_input_hash, row.own_rulebook_hash]
            lines, shares, added = (
                self._lines[row.lines],
                self._shares[row.terms, row.share_fens],
                self._surcharges[row.surcharges],
            )
            key = (
                row.list_fen, row.due_fen, row.surcharge_fen, row.amount, row.flags, row.to_check,
                sold.alike, own.alike, lines[0], shares[0], added[0],
            )  # fmt: skip
            judged = self._judged.get(key)
            if judged is None:
                listed = row.amount if row.amount is not None else lines[1]
                found = _compared(row, listed, shares[1], added[1], sold.price, own.price)
                judged = self._judge(found.parts, row.flags, own.price)
                wrong += found.wrong
                if found.plain:
                    if len(self._judged) >= KEPT:
                        self._judged.clear()
                    self._judged[key] = judged
            meals.append(
                RepricedMeal(
                    row.id, row.service_month, judged.parts, judged.borne, judged.claimable, row.voided_at,
                    row.elder_id, row.service_day, judged.alike,
                )
            )  # fmt: skip
        return meals, wrong

    def by_share(self, ids: Sequence[uuid.UUID]) -> dict[ShareKey, tuple[str, Fen]]:
        """Read fund and claimable fen of each share of these sales."""
        meals, _ = self.meals_of(ids)
        return {
            (meal.id, n): (part.fund, fen)
            for meal in meals
            for n, (part, fen) in enumerate(zip(meal.parts, meal.claimable, strict=True), 1)
        }

    def _judge(self, parts: tuple[PricedShare, ...], flags: str, own: SalePrice | None) -> _Judged:
        unclaimable = not CLAIMS_NOTHING.isdisjoint(flags.split())
        borne = tuple(borne_of(parts, None if unclaimable else own))
        return _Judged(parts, borne, tuple(each.total() for each in borne), next(self._numbers))


class _Compared(NamedTuple):
    parts: tuple[PricedShare, ...]
    wrong: list[Difference]
    plain: bool  # all that was stored is as priced, so whoever stored the same needs no look


def _compared(
    row: Any, listed: Fen, parts: tuple[PricedShare, ...], added: Fen, sold: SalePrice | None, own: SalePrice | None
) -> _Compared:
    """Compare what a sale stored with its tray and its price; answers the shares that should stand there."""
    subject, wrong = f"sale:{row.id}", list[Difference]()
    there = SalePrice(row.list_fen, row.due_fen, parts, row.surcharge_fen)
    if listed != row.list_fen:
        wrong.append(Difference("list_price", subject, str(row.list_fen), str(listed)))
    if not there.adds_up:
        adds_up_to = listed - _all(there) + there.surcharge_fen
        wrong.append(Difference("shares_do_not_add_up", subject, str(there.due_fen), str(adds_up_to)))
    if added != row.surcharge_fen:
        wrong.append(Difference("surcharge", subject, str(row.surcharge_fen), str(added)))
    if there != sold and (as_sent := _as_sent(row)) != there:
        expected = as_sent or sold
        wrong.append(Difference("share", subject, _described(there), _described(expected) if expected else ""))
        there = expected or there
    if own != there and not row.to_check:  # then the close has not compared it
        wrong.append(Difference("to_check", subject, "no", "yes"))
    return _Compared(there.parts, wrong, not wrong and there == sold)


def less(meals: Sequence[RepricedMeal], lost: Mapping[ShareKey, Fen]) -> list[RepricedMeal]:
    """Take what shares lost to budgets off what the meals may claim."""
    losers = {sale for sale, _ in lost}
    return [_less(meal, lost) if losers and meal.id in losers else meal for meal in meals]


def _less(meal: RepricedMeal, lost: Mapping[ShareKey, Fen]) -> RepricedMeal:
    left = tuple(fen - lost.get((meal.id, n), 0) for n, fen in enumerate(meal.claimable, 1))
    return meal._replace(claimable=left, alike=0)


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


COLUMNS = select(
    Sale.service_day, Sale.id, Sale.elder_id, Sale.payment_id, Sale.arrival, Sale.record_id, Sale.service_month, Sale.flags,
    Sale.amount, Sale.list_fen, Sale.due_fen, Sale.surcharge_fen, Sale.lines, ShareTerms.terms, Sale.share_fens, Sale.surcharges,
    Sale.sold_input_hash, Sale.rulebook_hash, Sale.own_input_hash, Sale.own_rulebook_hash, Sale.to_check,
    Void.record_id.label("voided_at"), QuoteInput.body.label("own_input"),
).outerjoin(ShareTerms, ShareTerms.hash == Sale.share_terms).outerjoin(QuoteInput, QuoteInput.hash == Sale.own_input_hash).outerjoin(Void, Void.sale_id == Sale.id)  # fmt: skip
"""What `Repricer.meals` reads of a sale."""


def pages(row: Period, cut: Cut) -> Iterator[Sequence[Any]]:
    """Yield pages of the period's sales as rows of COLUMNS, by day and id."""
    query = COLUMNS.where(gather.belongs(row, cut))
    return keyset.rows(query, (Sale.service_day, Sale.id), read=keyset.bare)


class Texts(Generic[K, T]):
    """Reads each distinct text (or texts together) once while it is remembered: text -> (its number, never given twice; what it says)."""

    def __init__(self, read: Callable[[K], T]) -> None:
        self._read = read
        self._known: dict[K, tuple[int, T]] = {}
        self._numbers = itertools.count()

    def __getitem__(self, text: K) -> tuple[int, T]:
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= KEPT_TEXTS:
                self._known.clear()
            found = self._known[text] = next(self._numbers), self._read(text)
        return found


def _sum_of_lines(text: str) -> Fen:
    return sum(fen * quantity for _, _, fen, quantity, _ in json.loads(text))


def _parts_of(texts: tuple[str, str]) -> tuple[PricedShare, ...]:
    terms, fens = (json.loads(text) for text in texts)
    return tuple(PricedShare(fund, payer, rule, fen) for (fund, payer, rule, *_), fen in zip(terms, fens, strict=True))


def _sum_of(text: str) -> Fen:
    return sum(fen for _, _, _, fen, _, _ in json.loads(text))


def _as_sent(row: Any) -> SalePrice | None:
    """Read the quote as the tablet sent it, for sales whose rulebook cannot price them the same again."""
    ((body,),) = keyset.once(select(Record.body).where(Record.id == row.record_id))
    try:
        sent = next(sale for sale in json.loads(body)["sales"] if sale["id"] == str(row.id))["quote"]
        parts = tuple(PricedShare(one["fund"], one["payer"], one["rule"], one["fen"]) for one in sent["shares"])
        return SalePrice(sent["list"], sent["due"], parts, sum(one["fen"] for one in sent.get("surcharges", ())))
    except (KeyError, ValueError, TypeError, StopIteration):
        return None
