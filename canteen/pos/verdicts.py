"""What our own quote bears of each share of a sale as sold, and what the sale takes of the limits.

Values in, values out but for reads under the caller's locks; nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from canteen.errors import Invalid
from canteen.money import Fen
from canteen.policy.case import Meal
from canteen.policy.outcome import Share
from canteen.policy.quote import Quote
from canteen.policy.refusals import Refused
from canteen.pos import cashiers, flags, lesser, pricing, slots
from canteen.pos.flags import Flag, FlagOrNone
from canteen.pos.orders import Checkout, SaleOrder
from canteen.pos.pricing import Place, Priced
from canteen.pos.service_time import Times
from canteen.pos.slots import Draw
from canteen.registry.elders import Known


class QuoteInconsistent(Invalid):
    code = "quote_inconsistent"
    message = "记录中的金额前后不符，已单独保存，请联系系统运维处理。"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A share as sold and what our own quote bears of it, by our rules: so much counts in their limits, and may be
    claimed of a subsidy. `reason` says why not all.
    """

    n: int
    share: Share
    borne: lesser.Borne
    reason: str

    @property
    def excluded(self) -> Fen:
        return self.share.fen - self.borne.total() if self.share.payer == "subsidy" else 0


@dataclass(frozen=True, slots=True)
class Judged:
    """One sale with everything that will be written of it."""

    order: SaleOrder
    times: Times
    sold: Quote
    own: Priced
    verdicts: tuple[Verdict, ...]
    uses: tuple[dict[str, Any], ...]
    slots: tuple[dict[str, Any], ...]
    draws: tuple[Draw, ...]
    person: Known | None
    sold_input: tuple[str, str]
    flags: tuple[Flag, ...]


def judge_all(
    session: Session,
    order: Checkout,
    times: Sequence[Times],
    place: Place,
    eaten: Sequence[tuple[Known | None, Meal]],
    unproven: Sequence[tuple[Flag, ...]],
) -> list[Judged]:
    """Judge the sales in their order; a later one sees what the earlier ones took."""
    judged: list[Judged] = []
    for sale, timed, (person, meal), doubts in zip(order.sales, times, eaten, unproven, strict=True):
        odd = (cashiers.odd(session, order.cashier, place, timed.estimated_at), *doubts)
        judged.append(_judge(session, sale, timed, place, person, meal, judged, odd))
    return judged


def _judge(
    session: Session,
    sale: SaleOrder,
    times: Times,
    place: Place,
    person: Known | None,
    meal: Meal,
    earlier: Sequence[Judged],
    noted: Sequence[FlagOrNone],
) -> Judged:
    sold = _sold(sale)
    before = pricing.taken_now(session, place, person, meal)
    mine = {each for some in pricing.holders(person, place).values() for each in some} if earlier else set()
    for one in earlier:
        slots.add_unwritten(before, one.slots, one.draws, mine)
    own = pricing.price(place.book, pricing.diner_of(person, sale.guest or "guest"), meal, before)
    sold_input = _sold_input(sale, own)
    for_good = _barred(session, sale, times, place, person)
    barred = next((flag for flag in noted if flag in flags.RELEASABLE), for_good)
    verdicts = tuple(_verdicts(sold, own.quote, barred))
    new: list[dict[str, Any]] = []
    draws: list[Draw] = []
    uses = tuple(_take(sale, sold, own.quote, verdicts, barred, person, before, place, new, draws))
    odd: FlagOrNone = flags.INPUT_DIFFERS if sold_input[0] != sale.input_hash else ""
    told = (*times.flags, *place.flags, *place.notes, odd, *noted, for_good)
    all_noted = tuple(dict.fromkeys(flag for flag in told if flag))
    return Judged(sale, times, sold, own, verdicts, uses, tuple(new), tuple(draws), person, sold_input, all_noted)


def _sold(sale: SaleOrder) -> Quote:
    """The quote the sale was made under. Raises QuoteInconsistent where figures do not agree."""
    with _readable():
        sold = pricing.sold_quote(sale.quote)
    if sold.list != sale.list_fen or not sold.adds_up:
        raise QuoteInconsistent
    return sold


def _sold_input(sale: SaleOrder, own: Priced) -> tuple[str, str]:
    """The input the sale was quoted from: hash and text. Raises QuoteInconsistent."""
    with _readable():
        return pricing.sold_input(sale.input, own)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except Refused as error:
        raise QuoteInconsistent(details={"reason": error.code}) from error
    except RecursionError as error:
        raise QuoteInconsistent(details={"reason": "too_deep"}) from error


def _barred(session: Session, sale: SaleOrder, times: Times, place: Place, person: Known | None) -> FlagOrNone:
    """A reason why nothing of the sale may be claimed, or ''."""
    if person is None:
        return ""
    if place.flags:
        return place.flags[-1]
    if sale.credential is None:
        return flags.NO_CREDENTIAL
    holder = pricing.holder_of(session, sale.credential, place, times.estimated_at)
    if holder is None:
        return flags.CARD_DEAD
    return "" if holder in person.ids else flags.CARD_OF_ANOTHER


def _verdicts(sold: Quote, own: Quote, barred: FlagOrNone) -> Iterator[Verdict]:
    """What our own quote bears of each share, fund by fund.

    When barred no fund of the public bears anything; what the canteen or a donor gave was given.
    """
    ours = [] if barred in flags.NOT_THEIRS else [one for one in own.shares if not (barred and one.payer == "subsidy")]
    why = {passed.rule: passed.why for passed in own.passed}
    for n, (share, borne) in enumerate(zip(sold.shares, lesser.borne(sold.shares, ours), strict=True), 1):
        whole = borne.total() == share.fen
        yield Verdict(n, share, borne, "" if whole else barred or why.get(share.rule, "price_differs"))


def _take(
    sale: SaleOrder,
    sold: Quote,
    own: Quote,
    verdicts: Sequence[Verdict],
    barred: FlagOrNone,
    person: Known | None,
    before: slots.Taken,
    place: Place,
    new: list[dict[str, Any]],
    draws: list[Draw],
) -> Iterator[dict[str, Any]]:
    """Take what the shares draw on, whoever pays them; note what was asked and granted.

    A rule may count a meal for which it gives nothing: that is taken too. What is to be written of it goes into `new`,
    the rows of slots, and `draws`, the amounts.
    """
    counted = set() if barred else {rule for use in own.uses for rule in use.rules} - {one.rule for one in own.shares}
    drawn = {(ask.allowance, ask.window): ask for ask in pricing.asks(own)}
    asks = {(ask.allowance, ask.window): ask for ask in pricing.asks(sold)} | drawn
    whose = pricing.holders(person, place)
    for key, ask in sorted(asks.items()):
        fen = sum(lesser.by_rules(v.borne, ask.rules) for v in verdicts if slots.counts(ask, v.share.fund))
        holder = pricing.holder(ask.scope, whose)
        if holder is None:
            continue
        taking = slots.Taking(holder, 0)
        if key in drawn and (fen or not counted.isdisjoint(ask.rules)):
            wanted = replace(ask, amount=min(ask.amount, fen)) if ask.unit == "fen" else ask
            taking = slots.take(holder, wanted, before, place.day)
            if ask.unit == "fen" and taking.granted:
                draws.append((holder, ask, taking.granted))
            if taking.new and taking.n is not None:
                new.append(slots.row(holder, ask, taking.n, place.day, sale.id))
        yield {
            "sale_id": sale.id,
            "allowance": ask.allowance,
            "window": ask.window,
            "person_id": taking.holder,
            "unit": ask.unit,
            "limited_to": ask.limited_to,
            "asked": max(ask.amount, taking.granted),
            "granted": taking.granted,
            "n": taking.n,
            "rules": " ".join(ask.rules),
        }
