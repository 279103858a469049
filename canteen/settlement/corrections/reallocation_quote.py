"""Price an excess meal with what is free now, and find what it can be given of the benefit.

Called under the locks of a reallocation. Raises NothingToGive where the quote bears nothing more, NoRoom where a limit
is full.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.errors import Conflict
from canteen.money import Fen
from canteen.policy import case
from canteen.policy.quote import Quote
from canteen.pos import lesser, pricing
from canteen.pos.models import Sale, SaleUse, Share
from canteen.pos.slots import Key, LimitRequest, Usage
from canteen.registry import elders
from canteen.rulebooks import layers
from canteen.rulebooks.layers import InForce
from canteen.settlement.claims import withheld_meals
from canteen.settlement.corrections import sale_history
from canteen.settlement.corrections.repricing import Granted, Listed, Repricing, SaleInputs, has_room


class NoRoom(Conflict):
    code = "no_room"
    message = "享受次数或额度仍被占用，不能直接补入；如需转让，请选择由哪一餐转出。"


class NothingToGive(Conflict):
    code = "nothing_to_give"
    message = "这笔就餐没有可以补入的补贴：售出时未按补贴计价，或按当日标准复算不享受。"


@dataclass(frozen=True, slots=True)
class ExcessMeal:
    """An excess meal with all that its price depends on; `usage`: the usage our own quote was made with."""

    inputs: SaleInputs
    usage: tuple[case.Taken, ...]
    ungranted: tuple[SaleUse, ...]
    shares: tuple[Share, ...]


def read_meal(session: Session, sale: Sale) -> ExcessMeal:
    """Read a meal as it was priced. Raises NothingToGive where its rulebook is not stored."""
    asked = sale_history.inputs_of(session, [sale.own_input_hash])[sale.own_input_hash]
    try:
        book = layers.stored(session, sale.own_rulebook_hash)
    except layers.NoRulebook as missing:
        raise NothingToGive from missing
    assert sale.elder_id is not None
    inputs = SaleInputs(
        sale.id,
        sale.service_day,
        InForce(book, sale.own_rulebook_hash, "", ()),
        asked.diner,
        asked.meal,
        pricing.place_at(session, sale.canteen_id, clock.instant(sale.service_day, 12 * 60)),
        elders.known(session, sale.elder_id, sale.service_day),
    )
    ungranted = select(SaleUse).where(SaleUse.sale_id == sale.id, SaleUse.granted < SaleUse.asked)
    shares = select(Share).where(Share.sale_id == sale.id).order_by(Share.n)
    return ExcessMeal(
        inputs, asked.taken, tuple(session.execute(ungranted).scalars()), tuple(session.execute(shares).scalars())
    )


def quote_now(meal: ExcessMeal, repricing: Repricing) -> tuple[Quote, Listed]:
    """Price the meal by its stored input and rulebook, with today's usage of the limits not granted; return both."""
    return repricing.quote(meal.usage, {(use.allowance, use.window) for use in meal.ungranted})


def full_limits(meal: ExcessMeal, repricing: Repricing) -> set[Key]:
    """Return the limits that were not granted to the meal and are still used up now."""
    found = set[Key]()
    for use in meal.ungranted:
        key = (use.allowance, use.window)
        least = LimitRequest(*key, use.unit, use.limited_to, 1, ())
        if not has_room(repricing.usages.get(key, Usage()), use.person_id, least, meal.inputs.day):
            found.add(key)
    return found


def given_now(session: Session, meal: ExcessMeal, quoted: Quote) -> dict[tuple[str, int], Fen]:
    """Return the fen by (fund, share) that the quote adds to `open`. Raises NothingToGive if a share would fall."""
    open_fen = withheld_meals.open_shares(session, meal.inputs.id)
    found: dict[tuple[str, int], Fen] = {}
    for share, borne in zip(meal.shares, lesser.borne(meal.shares, quoted.shares), strict=True):
        more = borne.total() - open_fen.get((share.fund, share.n), 0) if share.payer == "subsidy" else 0
        if more < 0:
            raise NothingToGive("补入后本餐的另一项补贴会减少，不能直接补入；请按当日标准另行办理。")
        if more:
            found[share.fund, share.n] = more
    return found


def grant_now(session: Session, meal: ExcessMeal, repricing: Repricing, quoted: Quote) -> Granted:
    """Grant the further uses of limits that the shares need. Raises NoRoom unless all of them are free."""
    requests = pricing.requests_for(quoted, meal.shares, lesser.borne(meal.shares, quoted.shares))
    if not all(repricing.fits(request) for request in requests):
        raise NoRoom
    return repricing.grant(session, requests)
