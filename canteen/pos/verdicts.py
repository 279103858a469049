"""Verdicts on a sale: what our own quote bears of each share as sold, and what the sale uses of the limits.

Values in, values out, except for reads under the caller's locks; nothing is written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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
    """A share as sold and what our own quote bears of it, by our rules.

    That amount counts in their limits, and of a subsidy it may be claimed; `reason` says why the rest may not.
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
    rows: Collection[slots.SlotRow] | None = None,
) -> list[Judged]:
    """Judge the sales in their order; a later one sees what the earlier ones used.

    rows    as `pricing.usages_now`
    """
    judged: list[Judged] = []
    for sale, timed, (person, meal), doubts in zip(order.sales, times, eaten, unproven, strict=True):
        noted = (cashiers.cashier_flag(session, order.cashier, place, timed.estimated_at), *doubts)
        judged.append(_judge(session, sale, timed, place, person, meal, judged, noted, rows))
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
    rows: Collection[slots.SlotRow] | None,
) -> Judged:
    sold = _sold(sale)
    usages = pricing.usages_now(session, place, person, meal, rows)
    mine = {each for some in pricing.counted_ids(person, place).values() for each in some} if earlier else set()
    for one in earlier:
        slots.add_unwritten(usages, one.slots, one.draws, mine)
    own = pricing.price(place.book, pricing.diner_of(person, sale.guest or "guest"), meal, usages)
    unclaimable = _unclaimable(session, sale, times, place, person)
    return _judged(sale, times, place, person, (sold, own), _sold_input(sale, own), usages, noted, unclaimable)


def agreed(sale: SaleOrder, times: Times, place: Place, person: Known | None, own: Priced) -> Judged:
    """Judge a sale at the price that we quoted, of whose limits nothing was used before: no row needs to be read."""
    return _judged(sale, times, place, person, (own.quote, own), (own.hash, own.body), {}, (), "")


def _judged(
    sale: SaleOrder,
    times: Times,
    place: Place,
    person: Known | None,
    quotes: tuple[Quote, Priced],
    sold_input: tuple[str, str],
    usages: slots.Usages,
    noted: Sequence[FlagOrNone],
    unclaimable: FlagOrNone,
) -> Judged:
    sold, own = quotes
    blocked = next((flag for flag in noted if flag in flags.RELEASABLE), unclaimable)
    verdicts = tuple(_verdicts(sold, own.quote, blocked))
    new: list[dict[str, Any]] = []
    draws: list[Draw] = []
    uses = tuple(_uses(sale, sold, own.quote, verdicts, blocked, person, usages, place, new, draws))
    differs: FlagOrNone = flags.INPUT_DIFFERS if sold_input[0] != sale.input_hash else ""
    found = (*times.flags, *place.flags, *place.notes, differs, *noted, unclaimable)
    all_noted = tuple(dict.fromkeys(flag for flag in found if flag))
    return Judged(sale, times, sold, own, verdicts, uses, tuple(new), tuple(draws), person, sold_input, all_noted)


def _sold(sale: SaleOrder) -> Quote:
    """Read the quote the sale was made under. Raises QuoteInconsistent if its figures do not agree."""
    with _readable():
        sold = pricing.sold_quote(sale.quote)
    if sold.list != sale.list_fen or not sold.adds_up:
        raise QuoteInconsistent
    return sold


def _sold_input(sale: SaleOrder, own: Priced) -> tuple[str, str]:
    """Return hash and text of the input the sale was quoted from. Raises QuoteInconsistent."""
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


def _unclaimable(session: Session, sale: SaleOrder, times: Times, place: Place, person: Known | None) -> FlagOrNone:
    """Return why nothing of the sale may ever be claimed, or ''."""
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


def _verdicts(sold: Quote, own: Quote, blocked: FlagOrNone) -> Iterator[Verdict]:
    """Yield what our own quote bears of each share, fund by fund.

    With a reason in `blocked` no public fund bears anything; what the canteen or a donor gave stays given.
    """
    ours = (
        [] if blocked in flags.NOT_THEIRS else [one for one in own.shares if not (blocked and one.payer == "subsidy")]
    )
    why = {passed.rule: passed.why for passed in own.passed}
    for n, (share, borne) in enumerate(zip(sold.shares, lesser.borne(sold.shares, ours), strict=True), 1):
        whole = borne.total() == share.fen
        yield Verdict(n, share, borne, "" if whole else blocked or why.get(share.rule, "price_differs"))


def _uses(
    sale: SaleOrder,
    sold: Quote,
    own: Quote,
    verdicts: Sequence[Verdict],
    blocked: FlagOrNone,
    person: Known | None,
    usages: slots.Usages,
    place: Place,
    new: list[dict[str, Any]],
    draws: list[Draw],
) -> Iterator[dict[str, Any]]:
    """Request the limits that the shares depend on, whoever pays them; yield a row for each use: asked and granted.

    A rule may count a meal for which it gives nothing: that is requested too. Rows of new slots are appended to `new`,
    granted amounts to `draws`.
    """
    borne = [each.borne for each in verdicts]
    needed = {one.key: one for one in pricing.requests_for(own, sold.shares, borne, counting=not blocked)}
    requests = {one.key: one for one in (*pricing.limit_requests(sold), *pricing.limit_requests(own))}
    ids = pricing.counted_ids(person, place)
    for key, request in sorted(requests.items()):
        counted_for = pricing.counted_for(request.scope, ids)
        if counted_for is None:
            continue
        grant = slots.Grant(counted_for, 0)
        if key in needed:
            grant = slots.grant(counted_for, needed[key], usages, place.day)
            if request.unit == "fen" and grant.granted:
                draws.append((counted_for, request, grant.granted))
            if grant.new and grant.n is not None:
                new.append(slots.slot_row(counted_for, request, grant.n, place.day, sale.id))
        yield {
            "sale_id": sale.id,
            "allowance": request.allowance,
            "window": request.window,
            "person_id": grant.counted_for,
            "unit": request.unit,
            "limited_to": request.limited_to,
            "asked": max(request.amount, grant.granted),
            "granted": grant.granted,
            "n": grant.n,
            "rules": " ".join(request.rules),
        }
