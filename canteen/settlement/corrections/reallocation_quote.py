"""Price an excess meal with what is free now, and take the limits that its shares need.

Called under the locks of a reallocation. Raises NothingToGive where the quote bears nothing more, NoRoom where a limit
is full.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.errors import Conflict
from canteen.money import Fen
from canteen.policy import budget_ids, case
from canteen.policy import quote as engine
from canteen.policy.case import Case
from canteen.policy.quote import Quote
from canteen.pos import lesser, pricing, slots
from canteen.pos.models import Sale, SaleUse, Share
from canteen.pos.pricing import Place
from canteen.registry import elders
from canteen.registry.elders import Known
from canteen.rulebooks import layers
from canteen.rulebooks.layers import InForce
from canteen.settlement.claims import review
from canteen.settlement.corrections import repricing
from canteen.settlement.corrections.repricing import Key


class NoRoom(Conflict):
    code = "no_room"
    message = "享受次数或额度仍被占用，不能直接补入；如需转让，请选择由哪一餐转出。"


class NothingToGive(Conflict):
    code = "nothing_to_give"
    message = "这笔就餐没有可以补入的补贴：售出时未按补贴计价，或按当日标准复算不享受。"


@dataclass(frozen=True, slots=True)
class ExcessMeal:
    """An excess meal with all that its price hangs on."""

    sale: Sale
    asked: Case
    book: InForce
    place: Place
    person: Known
    own: dict[Key, repricing.Own]
    lacking: frozenset[Key]

    @property
    def whose(self) -> dict[str, tuple[uuid.UUID, ...]]:
        return pricing.counted_ids(self.person, self.place)


def read_meal(session: Session, sale: Sale) -> ExcessMeal:
    asked = repricing.inputs_of(session, [sale.own_input_hash])[sale.own_input_hash]
    try:
        book = layers.stored(session, sale.own_rulebook_hash)
    except layers.NoRulebook as missing:
        raise NothingToGive from missing
    assert sale.elder_id is not None
    lacking = select(SaleUse.allowance, SaleUse.window).where(
        SaleUse.sale_id == sale.id, SaleUse.granted < SaleUse.asked
    )
    return ExcessMeal(
        sale,
        asked,
        InForce(book, sale.own_rulebook_hash, "", ()),
        pricing.place_at(session, sale.canteen_id, clock.instant(sale.service_day, 12 * 60)),
        elders.known(session, sale.elder_id, sale.service_day),
        repricing.own_uses(session, sale.id),
        frozenset((allowance, window) for allowance, window in session.execute(lacking)),
    )


def hold_amounts(session: Session, meal: ExcessMeal, other: Sale | None) -> None:
    """Hold households, budgets and their rows; after the persons. Raises slots.RetryTransaction."""
    households = {each for sale in (meal.sale, other) if sale for each in slots.counted_for(session, sale.id)[1]}
    if meal.person.household:
        households.add(pricing.household_uuid(meal.person.household))
    limits = {ref.allowance.id: ref.allowance.limit for ref in meal.book.book.limit_refs}
    pots = {
        (want.allowance, want.window): limits.get(want.allowance, limits.get(want.allowance.rpartition("@")[0], 0))
        for want in engine.wanted(meal.book.book, meal.asked.diner, meal.asked.meal)
        if want.scope == "budget"
    }
    slots.lock_names(session, households, pots, meal.sale.list_fen)
    rows, drawn = {pricing.budget_uuid(meal.place.canteen.id)}, set(pots)
    if other is not None:
        theirs = [use for use in slots.current_uses(session, other.id) if budget_ids.is_budget(use.allowance)]
        rows |= {use.person_id for use in theirs}
        drawn |= {(use.allowance, use.window) for use in theirs}
    slots.lock_budget_rows(session, rows, drawn)


def _taken(session: Session, meal: ExcessMeal) -> slots.Usages:
    """What is taken now of every limit that can change the meal's price."""
    book, diner, whose = meal.book, meal.asked.diner, meal.whose
    wants = engine.wanted(book.book, diner, meal.asked.meal)
    pots = {(want.allowance, want.window) for want in wants if want.scope == "budget"}
    rest = [want for want in wants if want.scope != "budget"]
    ids = sorted({each for want in rest for each in whose.get(want.scope, whose["person"])})
    windows = {want.window for want in rest} | pricing.later_windows(book, diner, meal.asked.meal)
    found = slots.read_usages(session, ids, sorted(windows), budgets=pots)
    pricing.count_lent(found, book, diner, meal.asked.meal)
    return found


def quoted_now(session: Session, meal: ExcessMeal) -> tuple[Quote, tuple[case.Taken, ...]]:
    """The meal priced by its own input and rulebook: what it lacked is read as it stands now, the rest as it stood.

    A use that it did not have and that finds no room is read as it stands now too, and the meal priced once more.
    """
    taken = _taken(session, meal)
    usage = {(one.allowance, one.window): one for one in meal.asked.taken}
    seen, fresh = set[Key](), set(meal.lacking)
    while True:
        seen |= fresh
        usage |= {key: repricing.usage_now(key, taken, meal.own) for key in fresh}
        listed = repricing.listed(usage)
        quoted = engine.quote(meal.book.book, meal.asked.diner, meal.asked.meal, listed)
        fresh = {
            (ask.allowance, ask.window) for ask in pricing.limit_requests(quoted) if not _fits(meal, ask, taken)
        } - seen
        if not fresh:
            return quoted, listed


def _fits(meal: ExcessMeal, ask: slots.LimitRequest, taken: slots.Usages) -> bool:
    holder, more = pricing.counted_for(ask.scope, meal.whose), repricing.more(ask, meal.own)
    used = taken.get((ask.allowance, ask.window), slots.Usage())
    if holder is None or not more:
        return True
    if ask.unit == "fen":
        return ask.limited_to - used.fen >= more
    return repricing.is_free(used, holder, ask, meal.sale.service_day)


def full_limits(session: Session, meal: ExcessMeal) -> set[Key]:
    """Limits that the meal lacks and that have no room at all now."""
    taken, found = _taken(session, meal), set[Key]()
    uses = select(SaleUse).where(SaleUse.sale_id == meal.sale.id, SaleUse.granted < SaleUse.asked)
    for use in session.execute(uses).scalars():
        used = taken.get((use.allowance, use.window), slots.Usage())
        ask = slots.LimitRequest(use.allowance, use.window, use.unit, use.limited_to, use.asked, ())
        free = used.fen < use.limited_to if use.unit == "fen" else repricing.is_free(
            used, use.person_id, ask, meal.sale.service_day
        )  # fmt: skip
        found |= set() if free else {(use.allowance, use.window)}
    return found


def shares_of(session: Session, sale: Sale) -> list[Share]:
    return list(session.execute(select(Share).where(Share.sale_id == sale.id).order_by(Share.n)).scalars())


def given_now(session: Session, meal: ExcessMeal, quoted: Quote) -> dict[tuple[str, int], Fen]:
    """Fen by (fund, share) that the quote bears besides what stands. Raises NothingToGive where any would sink."""
    standing, shares = review.open_shares(session, meal.sale.id), shares_of(session, meal.sale)
    found: dict[tuple[str, int], Fen] = {}
    for share, borne in zip(shares, lesser.borne(shares, quoted.shares), strict=True):
        more = borne.total() - standing.get((share.fund, share.n), 0) if share.payer == "subsidy" else 0
        if more < 0:
            raise NothingToGive("补入后本餐的另一项补贴会减少，不能直接补入；请按当日标准另行办理。")
        if more:
            found[share.fund, share.n] = more
    return found


def take_limits(
    session: Session, meal: ExcessMeal, quoted: Quote
) -> tuple[list[dict[str, Any]], list[dict[str, object]]]:
    """Take what the shares draw on besides what the meal has; the rows of uses and of new slots. Raises NoRoom."""
    taken, shares = _taken(session, meal), shares_of(session, meal.sale)
    bears = lesser.borne(shares, quoted.shares)
    counted = {rule for use in quoted.uses for rule in use.rules} - {share.rule for share in quoted.shares}
    uses, rows, draws = list[dict[str, Any]](), list[dict[str, object]](), list[slots.Draw]()
    for ask in sorted(pricing.limit_requests(quoted), key=lambda ask: (ask.allowance, ask.window)):
        counted_by = (each for share, each in zip(shares, bears, strict=True) if slots.counts_fund(ask, share.fund))
        borne = (lesser.by_rules(each, ask.rules) for each in counted_by)
        fen, holder = sum(borne), pricing.counted_for(ask.scope, meal.whose)
        if holder is None or not (fen or not counted.isdisjoint(ask.rules)):
            continue
        wanted = replace(ask, amount=min(ask.amount, fen)) if ask.unit == "fen" else ask
        more = repricing.more(wanted, meal.own)
        if not more:
            continue
        taking = slots.grant(holder, replace(wanted, amount=more), taken, meal.sale.service_day)
        if taking.granted < more:
            raise NoRoom
        if ask.unit == "fen":
            draws.append((holder, ask, taking.granted))
        if taking.new and taking.n is not None:
            rows.append(slots.slot_row(holder, ask, taking.n, meal.sale.service_day, meal.sale.id))
        uses.append(
            {
                "sale_id": meal.sale.id,
                "allowance": ask.allowance,
                "window": ask.window,
                "person_id": taking.counted_for,
                "unit": ask.unit,
                "limited_to": ask.limited_to,
                "granted": taking.granted,
                "n": taking.n,
                "rules": " ".join(ask.rules),
            }
        )
    slots.write_draws(session, draws)
    return uses, rows
