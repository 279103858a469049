"""What stands of a sale that is reckoned again: quotes, differences and refunds of before, and what it has of limits."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, keyset
from canteen.ledger.models import Transfer
from canteen.money import Fen
from canteen.policy import case
from canteen.policy.case import Case, Diner
from canteen.policy.case import Meal as CaseMeal
from canteen.policy.quote import Quote
from canteen.pos import slots
from canteen.pos.models import AddedUse, QuoteInput, SaleUse
from canteen.rulebooks.layers import InForce
from canteen.settlement.corrections.delta import BOOKED, Changed
from canteen.settlement.models import RevaluedSale, RevaluedShare, WithheldAnswer, WithheldMeal

Key = tuple[str, str]  # allowance, window


@dataclass(frozen=True, slots=True)
class Meal:
    """A sale to be looked at again."""

    id: uuid.UUID
    arrival: int
    day: date
    contract: str
    canteen: str
    elder: uuid.UUID | None
    due: Fen
    own: tuple[str, str]  # hash of the input and of the rulebook of our own quote


@dataclass(frozen=True, slots=True)
class Before:
    """What stands of a sale: our newest quote of it, fen by fund that may be claimed, what the elder has paid."""

    asked: Case
    meal: CaseMeal  # as sold, on the kind of day that is known now
    diner: Diner  # as known when it was last reckoned
    reference: Quote
    booked: dict[str, Fen]
    due: Fen


@dataclass(frozen=True, slots=True)
class Again:
    """A sale reckoned again: what becomes of it, the whole input, and what it takes of limits besides."""

    meal: Meal
    changed: Changed
    book: InForce
    input_hash: str
    input_body: str
    uses: tuple[dict[str, Any], ...]
    slots: tuple[dict[str, object], ...]


@dataclass
class Tally:
    """Sums of a run or a preview."""

    meals: int = 0
    changed: int = 0
    funds: dict[str, list[int]] = field(default_factory=dict)  # fund -> [added, taken back]
    canteens: dict[str, dict[str, int]] = field(default_factory=dict)  # canteen -> fund or '' (refunds) -> fen
    refund: int = 0
    elders: set[uuid.UUID] = field(default_factory=set)
    findings: Counter[str] = field(default_factory=Counter)
    lacking: list[int] = field(default_factory=lambda: [0, 0])  # meals, fen
    left: Counter[str] = field(default_factory=Counter)  # why meals were left as they are

    def add(self, again: Again) -> None:
        changed, canteen = again.changed, self.canteens.setdefault(again.meal.canteen, {"": 0})
        if changed.outcome != BOOKED:
            self.findings[changed.outcome] += 1
            return
        self.changed += any(fund.fen for fund in changed.funds) or changed.refund > 0
        for fund in changed.funds:
            row = self.funds.setdefault(fund.fund, [0, 0])
            row[fund.fen < 0] += fund.fen
            canteen[fund.fund] = canteen.get(fund.fund, 0) + fund.fen
        if short := sum(fund.lacking for fund in changed.funds):
            self.lacking[0] += 1
            self.lacking[1] += short
        if changed.refund and again.meal.elder:
            self.refund += changed.refund
            canteen[""] += changed.refund
            self.elders.add(again.meal.elder)

    def doc(self) -> dict[str, Any]:
        """As JSON, for pages and commands."""
        return {
            "meals": self.meals,
            "changed": self.changed,
            "funds": {fund: row for fund, row in sorted(self.funds.items()) if any(row)},
            "canteens": {key: row for key, row in sorted(self.canteens.items()) if any(row.values())},
            "refund": self.refund,
            "elders": len(self.elders),
            "findings": dict(sorted(self.findings.items())),
            "lacking": self.lacking,
            "left": dict(sorted(self.left.items())),
        }


# --- what a sale has of limits ---


@dataclass(slots=True)
class Own:
    """What a sale was granted of one limit: fen, and slots as (holder, number)."""

    fen: int = 0
    slots: set[tuple[uuid.UUID, int]] = field(default_factory=set)


def own_uses(session: Session, sale_id: uuid.UUID) -> dict[Key, Own]:
    found: dict[Key, Own] = defaultdict(Own)
    for use in (SaleUse, AddedUse):
        query = select(use.allowance, use.window, use.unit, use.person_id, use.granted, use.n)
        for allowance, window, unit, person, granted, n in session.execute(
            query.where(use.sale_id == sale_id, use.granted > 0)
        ):
            own = found[allowance, window]
            if unit == "fen":
                own.fen += granted
            elif n is not None:
                own.slots.add((person, n))
    return dict(found)


def more(ask: slots.LimitRequest, own: dict[Key, Own]) -> int:
    """What is asked besides what the sale has."""
    has = own.get((ask.allowance, ask.window), Own())
    if ask.unit == "fen":
        return max(0, ask.amount - has.fen)
    return 0 if has.slots else 1


def is_free(used: slots.Usage, holder: uuid.UUID, ask: slots.LimitRequest, day: date) -> bool:
    return (ask.unit == "day" and day in used.days) or used.free(holder, ask) is not None


def usage_now(key: Key, taken: slots.Usages, own: dict[Key, Own]) -> case.Taken:
    """Return how much of a limit the person's other meals use now, as the engine reads it."""
    used, has = taken.get(key, slots.Usage()), own.get(key, Own())
    rest = used.slots - has.slots
    days = tuple(sorted(clock.civil(day) for day, slot in used.days.items() if slot not in has.slots))
    return case.Taken(key[0], key[1], len(rest), used.fen - has.fen, days)


def listed(usage: dict[Key, case.Taken]) -> tuple[case.Taken, ...]:
    """In one order, without what nobody used."""
    return tuple(one for _, one in sorted(usage.items()) if one.count or one.fen or one.days)


# --- what was booked of sales before ---


def earlier(
    session: Session, ids: Sequence[uuid.UUID]
) -> tuple[
    set[tuple[int, uuid.UUID]], dict[uuid.UUID, tuple[str, str]], dict[uuid.UUID, Counter[str]], Counter[uuid.UUID]
]:
    """Earlier revaluations of these sales: which, the newest booked (input, rulebook), fen by fund, refunds."""
    done: set[tuple[int, uuid.UUID]] = set()
    last: dict[uuid.UUID, tuple[str, str]] = {}
    refunds: Counter[uuid.UUID] = Counter()
    query = select(RevaluedSale).where(keyset.among(RevaluedSale.sale_id, ids)).order_by(RevaluedSale.id)
    for row in session.execute(query).scalars():
        done.add((row.revaluation_id, row.sale_id))
        refunds[row.sale_id] += row.refund_fen
        if row.outcome == BOOKED:
            last[row.sale_id] = (row.input_hash, row.rulebook_hash)
    booked: dict[uuid.UUID, Counter[str]] = defaultdict(Counter)
    shares = select(RevaluedShare.sale_id, RevaluedShare.fund, RevaluedShare.fen)
    for sale, fund, fen in session.execute(shares.where(keyset.among(RevaluedShare.sale_id, ids))):
        booked[sale][fund] += fen
    return done, last, booked, refunds


def judged_of(session: Session, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Sales that a person keeps out of a claim, or struck out: their money is left to that person."""
    held = (
        select(WithheldMeal.sale_id)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(
            keyset.among(WithheldMeal.sale_id, ids),
            (WithheldAnswer.outcome.is_(None)) | (WithheldAnswer.outcome != "released"),
        )
    )
    struck = select(Transfer.sale_id).where(
        keyset.among(Transfer.sale_id, ids),
        (Transfer.movement == "disallow") | ((Transfer.movement == "verdict") & Transfer.cause.not_like("sale:%")),
    )
    return {sale for query in (held, struck) for sale in session.execute(query).scalars() if sale is not None}


def inputs_of(session: Session, hashes: Iterable[str]) -> dict[str, Case]:
    rows = session.execute(
        select(QuoteInput.hash, QuoteInput.body).where(keyset.among(QuoteInput.hash, sorted(hashes)))
    )
    return {digest_: case.known_case(json.loads(body)) for digest_, body in rows}
