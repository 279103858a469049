"""Ringing up: one checkout, one transaction, by decisions 0003, 0005 and 0006. The hot path.

The price is the one quoted at the scan; nothing here changes what the elder paid. What our own quote or a
taken slot does not cover is excluded from the claim in the same transaction, with its reason.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from canteen import clock, events, places
from canteen.db import Base
from canteen.errors import Conflict, Invalid
from canteen.ledger import periods, transfers
from canteen.ledger.models import Period, Transfer
from canteen.ledger.transfers import Move
from canteen.money import Fen
from canteen.policy.case import Meal
from canteen.policy.outcome import Share
from canteen.policy.quote import Quote
from canteen.policy.refusals import Refused
from canteen.pos import arrivals, cashiers, checkout_rows, evidence, flags, lesser, pricing, service_time, slots, stamps
from canteen.pos.arrivals import Arrival
from canteen.pos.checkout_rows import Checked, Row
from canteen.pos.flags import Flag, FlagOrNone
from canteen.pos.models import Payment, QuoteInput, Sale, SaleKey, SaleLine, SaleUse, Slot, Surcharge, Tender
from canteen.pos.models import Share as ShareRow
from canteen.pos.orders import Checkout, SaleOrder
from canteen.pos.pricing import Place, Priced
from canteen.pos.service_time import Times
from canteen.pos.slots import Draw
from canteen.prepared import Prepared
from canteen.registry.elders import Known, NoElder
from canteen.rulebooks import layers


class SaleConflict(Conflict):
    code = "sale_conflict"
    message = "这笔就餐与先前的记录编号相同而内容不同，已单独保存，请联系系统运维处理。"


class ElderUnknown(Invalid):
    code = "elder_unknown"
    message = "记录中的老人不在名册中，已单独保存，请联系社区核对。"


class ForeignCanteen(Invalid):
    code = "foreign_canteen"
    message = "这条记录属于别的食堂，已单独保存，请联系系统运维核对。"


class QuoteInconsistent(Invalid):
    code = "quote_inconsistent"
    message = "记录中的金额前后不符，已单独保存，请联系系统运维处理。"


@dataclass(frozen=True, slots=True)
class Booked:
    """'created', 'kept' (booked, with fen excluded from the claim) or 'have' (booked before); what was excluded."""

    outcome: str
    excluded: tuple[tuple[uuid.UUID, Fen, str], ...]


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


def ring_up(session: Session, order: Checkout, arrival: Arrival) -> Booked:
    """Book one checkout: its sales, slots and transfers, all or nothing, inside the caller's transaction.

    Safe to repeat for ever (P1). Raises SaleConflict: same id, other content (P2); ElderUnknown, QuoteInconsistent,
    NoCanteen, NoContract: the record waits in quarantine. Raises slots.Again: run it again, whole.
    """
    if order.sales[0].canteen != arrival.canteen_id:
        raise ForeignCanteen
    given = [stamps.read(sale.stamp, tablet=arrival.tablet_id) for sale in order.sales]
    stamped = [s if s and _fits(s, sale) else None for sale, s in zip(order.sales, given, strict=True)]
    times = [service_time.of(sale, order, arrival, stamp) for sale, stamp in zip(order.sales, stamped, strict=True)]
    place = pricing.place_at(session, order.sales[0].canteen, times[0].scanned_at)
    contract = place.contract or places.last_contract(session, place.canteen.id, place.day)
    persons = _persons(session, order, place)
    unproven = evidence.flags(session, order, arrival, place, times, stamped)

    period = periods.gate(session, contract, place.day)
    if slots.lock(session, {person.root for person in persons.values()}) != {p.root for p in persons.values()}:
        raise ElderUnknown
    if before := _before(session, order, place):
        return before
    eaten = [_eaten(sale, place, persons) for sale in order.sales]
    pricing.hold(session, place, eaten)

    judged = _judge_all(session, order, times, place, eaten, unproven)
    layers.keep(session, place.book)
    slots.draw(session, (draw for j in judged for draw in j.draws))
    checkout_rows.write(session, _rows(session, order, arrival, judged, place, period))
    excluded = tuple((j.order.id, v.excluded, v.reason) for j in judged for v in j.verdicts if v.excluded)
    return Booked("kept" if excluded else "created", excluded)


def _fits(stamp: stamps.Stamp, sale: SaleOrder) -> bool:
    """Whether the stamp was given for what was sold."""
    return (
        stamp.canteen == sale.canteen
        and stamp.input_hash == sale.input_hash
        and stamp.rulebook == sale.rulebook
        and stamp.due == sale.quote.get("due")
        and stamp.elder == (str(sale.elder) if sale.elder else None)
        and stamp.credential == sale.credential
    )


def _persons(session: Session, order: Checkout, place: Place) -> dict[uuid.UUID, Known]:
    """What is known of each elder of the checkout. Raises ElderUnknown."""
    try:
        return {sale.elder: pricing.known(session, sale.elder, place) for sale in order.sales if sale.elder}
    except NoElder as error:
        raise ElderUnknown from error


_HEAD = select(func.coalesce(func.max(events.Event.number), 0).label("head")).subquery()
_HEAD_AND_KEYS = Prepared(
    select(_HEAD.c.head, SaleKey.sale_id, SaleKey.content_hash).select_from(
        _HEAD.outerjoin(SaleKey, SaleKey.sale_id.in_(bindparam("ids", expanding=True)))
    )
)


def _before(session: Session, order: Checkout, place: Place) -> Booked | None:
    """What was answered when these sales came before. Looked up after the locks: two tabs may race.

    Raises slots.Again when something happened since the place was read: a merge may have changed whose locks to hold.
    """
    wanted = {sale.id: sale.content_hash for sale in order.sales}
    rows = _HEAD_AND_KEYS.rows(session, {"ids": list(wanted)})
    if rows[0][0] != place.head[0]:
        raise slots.Again
    known = {sale: content for _, sale, content in rows if sale is not None}
    if not known:
        return None
    if known != wanted:
        raise SaleConflict
    verdicts = session.execute(
        select(Transfer.sale_id, func.sum(Transfer.fen), func.min(Transfer.reason))
        .where(Transfer.sale_id.in_(wanted), Transfer.movement == "verdict", Transfer.cause.like("sale:%"))
        .group_by(Transfer.sale_id, Transfer.share_n)
        .order_by(Transfer.sale_id)
    )
    return Booked("have", tuple((sale, int(fen), reason) for sale, fen, reason in verdicts if sale))


def _eaten(sale: SaleOrder, place: Place, persons: dict[uuid.UUID, Known]) -> tuple[Known | None, Meal]:
    """Who ate what, as the rules see it."""
    meal = pricing.meal_of(place, sale.mode, sale.lines, sale.amount)
    return persons.get(sale.elder) if sale.elder else None, meal


def _judge_all(
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
    """Take what the shares lean on, whoever pays them; note what was asked and granted.

    A rule may count a meal for which it gives nothing: that is taken too. What is to be written of it goes into `new`,
    the rows of slots, and `draws`, the amounts.
    """
    counted = set() if barred else {rule for use in own.uses for rule in use.rules} - {one.rule for one in own.shares}
    leaning = {(ask.allowance, ask.window): ask for ask in pricing.asks(own)}
    asks = {(ask.allowance, ask.window): ask for ask in pricing.asks(sold)} | leaning
    whose = pricing.holders(person, place)
    for key, ask in sorted(asks.items()):
        fen = sum(lesser.by_rules(v.borne, ask.rules) for v in verdicts if slots.counts(ask, v.share.fund))
        holder = pricing.holder(ask.scope, whose)
        if holder is None:
            continue
        taking = slots.Taking(holder, 0)
        if key in leaning and (fen or not counted.isdisjoint(ask.rules)):
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


def _rows(
    session: Session,
    order: Checkout,
    arrival: Arrival,
    judged: Sequence[Judged],
    place: Place,
    period: Period,
) -> Checked:
    """Everything that will stand of this checkout, by table."""
    keys = {"service_month": clock.month_of(place.day), "district_id": place.canteen.district_id}
    month = {"service_month": keys["service_month"]}
    inputs = {hash_: body for j in judged for hash_, body in ((j.own.hash, j.own.body), j.sold_input)}
    payment = {"id": order.payment_id, "contract_id": period.contract_id, "due": order.due, "fen": order.paid, **keys}
    tables: dict[type[Base], Sequence[Row]] = {
        SaleKey: [{"sale_id": j.order.id, "content_hash": j.order.content_hash, **month} for j in judged],
        QuoteInput: [{"hash": hash_, "body": body} for hash_, body in sorted(inputs.items())],
        Payment: [payment],
        Tender: [{"payment_id": order.payment_id, "n": n, **asdict(t)} for n, t in enumerate(order.tenders, 1)],
        Sale: [_sale(n, j, order, arrival, place, period.contract_id) | keys for n, j in enumerate(judged)],
        SaleLine: [row for j in judged for row in _lines(j.order)],
        ShareRow: [_share(j.order.id, verdict) | keys for j in judged for verdict in j.verdicts],
        Surcharge: [
            {"sale_id": j.order.id, "n": n, **s._asdict()} for j in judged for n, s in enumerate(j.sold.surcharges, 1)
        ],
        SaleUse: [use for j in judged for use in j.uses],
        Slot: [slot for j in judged for slot in j.slots],
        Transfer: transfers.rows(session, period, list(_moves(order, judged, place))),
    }
    return Checked(arrivals.row(arrival), tables)


def _sale(n: int, j: Judged, order: Checkout, arrival: Arrival, place: Place, contract_id: str) -> dict[str, Any]:
    return {
        "id": j.order.id,
        "payment_id": order.payment_id,
        "arrival": n,
        "contract_id": contract_id,
        "canteen_id": place.canteen.id,
        "point_id": j.order.point,
        "elder_id": j.order.elder,
        "guest": j.order.guest,
        "credential": j.order.credential,
        "how_read": j.order.how,
        "cashier_id": order.cashier,
        "service_day": place.day,
        "period": place.period,
        "mode": j.order.mode,
        "tablet_at": arrival.envelope.at,
        "estimated_at": j.times.estimated_at,
        "arrived_at": arrival.at,
        "skew_ms": j.times.skew_ms,
        "online": j.times.online,
        "amount": j.order.amount,
        "list_fen": j.sold.list,
        "due_fen": j.sold.due,
        "surcharge_fen": j.sold.surcharge_fen,
        "rulebook_hash": j.order.rulebook,
        "own_rulebook_hash": place.book.hash,
        "sold_input_hash": j.sold_input[0],
        "own_input_hash": j.own.hash,
        "known_at": place.head[0],
        "explanation": pricing.explain(j.sold),
        "flags": " ".join(j.flags),
    }


def _lines(sale: SaleOrder) -> Iterator[dict[str, Any]]:
    for n, line in enumerate(sale.lines, 1):
        yield {
            "sale_id": sale.id,
            "n": n,
            "item_id": line.item,
            "name": line.name,
            "fen": line.fen,
            "quantity": line.quantity,
            "tags": " ".join(line.tags),
        }


def _share(sale_id: uuid.UUID, verdict: Verdict) -> dict[str, Any]:
    share = verdict.share
    return {
        "sale_id": sale_id,
        "n": verdict.n,
        "fund": share.fund,
        "payer": share.payer,
        "rule": share.rule,
        "clause": share.clause,
        "stage": share.stage,
        "fen": share.fen,
        "label": share.label,
        "reason": share.reason,
    }


def _moves(order: Checkout, judged: Sequence[Judged], place: Place) -> Iterator[Move]:
    """Subsidies granted -> open, what may not be claimed open -> excluded, donations, and the elders' own money."""
    for j in judged:
        for verdict in j.verdicts:
            share = verdict.share
            if share.payer == "concession":
                continue
            target = "open" if share.payer == "subsidy" else "donated"
            about = {
                "cause": f"sale:{j.order.id}",
                "service_day": place.day,
                "sale_id": j.order.id,
                "share_n": verdict.n,
            }
            yield Move(share.fund, "granted", target, share.fen, "meal", share.rule, **about)  # type: ignore[arg-type]
            if verdict.excluded:
                yield Move(share.fund, "open", "excluded", verdict.excluded, "verdict", verdict.reason, **about)  # type: ignore[arg-type]
    for tender in order.tenders:
        if tender.fen and tender.kind != "free":
            cause = f"payment:{order.payment_id}"
            yield Move("", "elder", tender.kind, tender.fen, "payment", "paid", cause, place.day)
