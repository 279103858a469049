"""A district raises and never lowers its city's: elders invented over a grid must not pay more than without its rules."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from canteen import calendars, clock, money, places
from canteen.places import Canteen
from canteen.policy import case
from canteen.policy import quote as engine
from canteen.policy.case import PERIODS, Diner, Meal
from canteen.policy.rules import Rulebook
from canteen.rulebooks.models import LAYERS
from canteen.ruledesk.proposing import Layers, Proposal, on_any_day

AGES = (59, 60, 65, 70, 75, 80, 85, 90, 95, 100)
PRICES = (300, 500, 800, 1000, 1200, 1500, 2000, 3000)  # fen
SHOWN = 3


def lowered(session: Session, proposal: Proposal, canteens: Sequence[Canteen], on: date) -> list[str]:
    """Who would pay more than under the more general layers alone, in a sentence each, three at most."""
    if proposal.layer == LAYERS[0]:
        return []
    layers = Layers(session, Proposal(proposal.layer, proposal.node_id, on_any_day(proposal.document, clock.civil(on))))
    classes = [(), *((code,) for code in sorted(_classes(proposal.document)))]
    found: dict[str, None] = {}
    for canteen in canteens:
        areas = tuple(places.path(session, canteen.area_id, on))
        nodes = (*areas, canteen.id)
        books = layers.above(nodes, on, proposal.layer), layers.at(nodes, on)
        contract = places.find_contract(session, canteen.id, on)
        where = case.MealCanteen(
            id=canteen.id,
            class_=contract.canteen_class if contract else "none",
            grade=contract.grade if contract else "",
            areas=areas,
        )
        kind = calendars.kind_on(session, on)
        for diner, meal in _grid(where, areas, clock.civil(on), kind, classes):
            if (told := _more(books[0].book, books[1].book, diner, meal)) and told not in found:
                found[told] = None
                if len(found) == SHOWN:
                    return list(found)
    return list(found)


def _grid(
    where: case.MealCanteen, areas: tuple[str, ...], day: int, kind: str, classes: Sequence[tuple[str, ...]]
) -> Iterator[tuple[Diner, Meal]]:
    for age, some, price, period in itertools.product(AGES, classes, PRICES, PERIODS[1:]):
        born = day - age * 366 - 180
        diner = Diner(birth_day=born, hukou=areas, residence=areas, residence_since=born, classes=some)
        yield diner, Meal(day=day, period=period, canteen=where, day_kind=kind, amount=price)


def _more(general: Rulebook, joined: Rulebook, diner: Diner, meal: Meal) -> str:
    without, with_all = (engine.quote(book, diner, meal, ()).due for book in (general, joined))
    if with_all <= without:
        return ""
    years = (meal.day - (diner.birth_day or 0)) // 366
    return (
        f"下级标准只能加、不能减：约 {years} 岁{'（' + '、'.join(diner.classes) + '）' if diner.classes else ''}老人吃 "
        f"{money.show(meal.list_fen)} 元的餐，只按上级标准付 {money.show(without)} 元，加上本标准反要付 {money.show(with_all)} 元"
    )


def _classes(value: Any) -> set[str]:
    """Classes that a document speaks of."""
    if isinstance(value, list):
        return {code for one in value for code in _classes(one)}
    if not isinstance(value, dict):
        return set()
    own = {str(code) for code in value.get("class", ()) if isinstance(value.get("class"), list)}
    return own | {code for one in value.values() for code in _classes(one)}
