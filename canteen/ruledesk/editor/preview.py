"""Preview a price: what an invented elder of an age, class and home would pay under a rulebook not in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.orm import Session

from canteen import calendars, clock, money, places
from canteen.errors import Invalid
from canteen.places import Canteen
from canteen.policy import case
from canteen.policy import quote as engine
from canteen.policy.quote import Quote
from canteen.rulebooks.models import LAYERS
from canteen.ruledesk.proposal import Layers, Proposal, on_any_day
from canteen.web.days import required_day


class BadPreview(Invalid):
    code = "try_invalid"
    message = "试算请填写年龄（0 到 150）、餐价（元）和就餐日期。"


@dataclass(frozen=True, slots=True)
class Asked:
    """The input of a preview, as a clerk types it.

    day    when the meal is eaten, like 2026-12-07; '' for today
    alone  this rulebook by itself, not joined with the other layers in force
    """

    age: str = "75"
    classes: tuple[str, ...] = ()
    home: str = ""
    price: str = "12.00"
    period: str = "lunch"
    day: str = ""
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Preview:
    """The quote and both sentences; `above`: what the elder would pay under the more general layers alone, in fen."""

    quote: Quote
    counter: str
    audit: str
    above: int | None = None


def preview_meal(session: Session, proposal: Proposal, canteen: Canteen | None, asked: Asked, on: date) -> Preview:
    """Quote one meal of an invented elder at a canteen, on the day asked for, else on `on`. Raises BadPreview."""
    try:
        years, fen = int(asked.age), money.yuan(asked.price)
    except ValueError as error:
        raise BadPreview from error
    on = required_day(asked.day, BadPreview()) if asked.day else on
    if not 0 <= years <= 150 or not 0 < fen <= 1_000_000 or not 2000 <= on.year < 2100:
        raise BadPreview
    day = clock.civil(on)
    home = tuple(places.path(session, asked.home, on)) if asked.home else ()
    areas = tuple(places.path(session, canteen.area_id, on)) if canteen else ()
    born = _born(on, years)
    diner = case.Diner(
        birth_day=clock.civil(born), hukou=home, residence=home, residence_since=clock.civil(born),
        classes=tuple(sorted(asked.classes)),
    )  # fmt: skip
    contract = places.find_contract(session, canteen.id, on) if canteen else None
    where = case.MealCanteen(
        id=canteen.id if canteen else "any",
        class_=contract.canteen_class if contract else "public_private",
        grade=contract.grade if contract else "",
        areas=areas,
    )
    meal = case.Meal(day=day, period=asked.period, canteen=where, day_kind=calendars.kind_on(session, on), amount=fen)
    nodes = (*areas, where.id)
    begun = on_any_day(dict(proposal.document), day)
    if asked.alone or proposal.node_id not in nodes:
        alone = Layers(session, Proposal(proposal.layer, "*", begun))
        return _preview_of(engine.quote(alone.at(("*",), on).book, diner, meal, ()), None)
    layers = Layers(session, Proposal(proposal.layer, proposal.node_id, begun))
    quoted = engine.quote(layers.at(nodes, on).book, diner, meal, ())
    if proposal.layer == LAYERS[0]:
        return _preview_of(quoted, None)
    return _preview_of(quoted, engine.quote(layers.above(nodes, on, proposal.layer).book, diner, meal, ()).due)


def _preview_of(quoted: Quote, above: int | None) -> Preview:
    said = engine.say(quoted)
    return Preview(quoted, said.counter, said.audit, above)


def _born(on: date, years: int) -> date:
    """Return a birth date that makes `years` completed half a year ago, so that every way to count ages agrees."""
    before = on - timedelta(days=183)
    return date(before.year - years, before.month, min(before.day, 28))
