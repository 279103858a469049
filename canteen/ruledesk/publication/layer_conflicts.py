"""Check that a district never lowers its city's benefits: no invented elder may pay more with its rules than without.

Elders are invented over a grid of the bounds that the rulebooks name: a year of age, a fen of the bill and a kind of
day on either side of each. Where a lower layer counts a limit of a higher one, whole days of meals are compared,
because a limit used up at breakfast is missing at lunch.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy.orm import Session

from canteen import calendars, clock, money, places
from canteen.places import Canteen
from canteen.policy import case
from canteen.policy import quote as engine
from canteen.policy.case import DAY_KINDS, MODES, PERIODS, Diner, Meal
from canteen.policy.lint import stable_id
from canteen.policy.rules import Rulebook
from canteen.registry.labels import CLASSES
from canteen.rulebooks.models import LAYERS
from canteen.ruledesk.proposal import Joined, Layers, Proposal, on_any_day
from canteen.ruledesk.simulation.missing_facts import words_of
from canteen.ruledesk.simulation.usage_replay import CountedFor, UsageReplay

AGES = frozenset((59, 60, 65, 70, 75, 80, 85, 90, 95, 100))
PRICES = frozenset((300, 500, 800, 1000, 1200, 1500, 2000, 3000))  # fen
FEW = frozenset((500, 1200, 2000))  # prices where something else than the price is varied
WORDS = {"city": "市级", "district": "区县级", "street": "街道级", "canteen": "食堂级"}
SHOWN = 3
_SOMEBODY = CountedFor(uuid.UUID(int=1), uuid.UUID(int=1))
_LATER = 3 * 366  # days ahead within which a rule's own first day is tried


def lowered(session: Session, proposal: Proposal, canteens: Sequence[Canteen], on: date) -> list[str]:
    """Say who would pay more under a layer than under the more general ones alone: a sentence each, three at most.

    Checks the proposal's own layer and those below it, because a district's benefits build on its city's.
    """
    begun = on_any_day(proposal.document, clock.civil(on))
    layers = Layers(session, Proposal(proposal.layer, proposal.node_id, begun))
    found: dict[str, None] = {}
    seen = set[object]()
    for canteen in canteens:
        areas = tuple(places.path(session, canteen.area_id, on))
        contract = places.find_contract(session, canteen.id, on)
        where = case.MealCanteen(
            id=canteen.id,
            class_=contract.canteen_class if contract else "none",
            grade=contract.grade if contract else "",
            areas=areas,
        )
        nodes = (*areas, canteen.id)
        for layer in LAYERS[max(LAYERS.index(proposal.layer), 1) :]:
            general, joined = layers.above(nodes, on, layer), layers.through(nodes, on, layer)
            if general.parts == joined.parts:
                continue
            spoken = _Spoken.of([layers.document(part) for part in joined.parts])
            key = (joined.parts, where.class_, where.grade, spoken.codes & {*nodes})
            if key in seen:
                continue  # the rules treat this canteen like one already checked
            seen.add(key)
            shared = _shared(layers, general, joined)
            for sentence in _worse(session, (general, joined), where, on, spoken, shared=shared):
                found[f"下级标准只能加、不能减（{WORDS[layer]}）：{sentence}"] = None
                if len(found) == SHOWN:
                    return list(found)
    return list(found)


# --- the bounds in the rulebooks -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spoken:
    """The bounds in the rulebooks that the grid must cover on both sides."""

    words: frozenset[str]
    codes: frozenset[str]
    ages: frozenset[int]
    prices: frozenset[int]
    classes: tuple[str, ...]
    benefits: tuple[str, ...]
    levels: Mapping[str, int]
    days: frozenset[int]
    month_days: frozenset[int]

    @classmethod
    def of(cls, documents: Iterable[Mapping[str, Any]]) -> _Spoken:
        found = list(words_of(list(documents)))
        ages = {n for word, value in found if word == "age" for n in _numbers(value)}
        ages |= {n for word, value in found if word == "by_age" for n in _tiers(value)}
        prices = {n for word, value in found if word in ("bill", "menu") for n in _numbers(value)}
        levels = {
            value["scale"]: value.get("from", 0) for word, value in found if word == "level" and isinstance(value, dict)
        }
        return cls(
            frozenset(word for word, _ in found),
            frozenset(code for _, value in found for code in _texts(value)),
            frozenset(n + step for n in ages for step in (-1, 0) if 0 <= n + step <= 120),
            frozenset(n + step for n in prices for step in (-1, 0, 1) if 0 < n + step <= 1_000_000),
            tuple(sorted({code for word, value in found if word == "class" for code in _texts(value)})),
            tuple(sorted({code for word, value in found if word == "draws" for code in _texts(value)})),
            levels,
            frozenset(n + (word == "to") for word, n in found if word in ("from", "to") and isinstance(n, int)),
            frozenset(n for word, value in found if word == "month_day" for n in _numbers(value)),
        )


def _numbers(value: object) -> Iterator[int]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _numbers(inner)


def _tiers(value: object) -> Iterator[int]:
    for tier in value if isinstance(value, list) else ():
        yield from (tier[word] for word in ("from", "below") if isinstance(tier.get(word), int))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _shared(layers: Layers, general: Joined, joined: Joined) -> bool:
    """Tell whether the lower layer counts or reads a limit of a higher one, so that meals of a day interact."""
    above = [layers.document(part) for part in general.parts]
    below = [layers.document(part) for part in joined.parts if part not in general.parts]
    known = {stable_id(one) for document in above for one in document.get("allowances", ())}
    mine = {stable_id(one) for document in below for one in document.get("allowances", ())}
    return bool(known & mine) or any(word == "used" for word, _ in words_of(below))


# --- the grid --------------------------------------------------------------------------------------------------------


def _worse(
    session: Session, books: tuple[Joined, Joined], where: case.MealCanteen, on: date, spoken: _Spoken, *, shared: bool
) -> Iterator[str]:
    """Yield who pays more under the second book than under the first."""
    for diner, meals in _grid(session, where, on, spoken, shared=shared):
        without, with_all = (_paid(one.book, diner, meals) for one in books)
        if with_all > without:
            yield _sentence(diner, meals, without, with_all)


def _grid(
    session: Session, where: case.MealCanteen, on: date, spoken: _Spoken, *, shared: bool
) -> Iterator[tuple[Diner, Sequence[Meal]]]:
    classes = [(), *((code,) for code in spoken.classes)]
    days = list(_days(session, on, spoken))
    plain = Meal(day=days[0][0], period="lunch", canteen=where, day_kind=days[0][1], amount=0)
    for years, some in itertools.product(sorted(AGES | spoken.ages), classes):
        diner = _elder(plain.day, years, some, where.areas)
        for price in sorted(PRICES | spoken.prices):
            yield from ((diner, (replace(plain, amount=price, period=period),)) for period in PERIODS)
        others = [replace(diner, **home) for home in _homes(where, spoken)]
        for price in FEW | spoken.prices:
            meal = replace(plain, amount=price)
            yield from ((other, (meal,)) for other in others)
            yield from ((diner, (replace(meal, mode=mode),)) for mode in MODES[1:] if "mode" in spoken.words)
            for day, kind in days[1:]:
                other = _elder(day, years, some, where.areas)
                yield from ((other, (replace(meal, day=day, day_kind=kind, period=one),)) for one in PERIODS)
            if shared:
                for some_periods in (PERIODS, PERIODS[:2], PERIODS[1:], PERIODS[::2]):
                    yield diner, tuple(replace(meal, period=period) for period in some_periods)


def _elder(day: int, years: int, classes: tuple[str, ...], areas: tuple[str, ...]) -> Diner:
    born = day - years * 366 - 180
    return Diner(birth_day=born, hukou=areas, residence=areas, residence_since=born, classes=classes)


def _homes(where: case.MealCanteen, spoken: _Spoken) -> Iterator[dict[str, Any]]:
    """Return variants of an elder: from elsewhere, and one who meets everything that the rules ask for."""
    if spoken.words & {"hukou", "lives", "lived", "lived_months", "same"}:
        yield {"hukou": ()}
        yield {"residence": ()}
        yield {"hukou": (), "residence": ()}
    if spoken.words & {"level", "draws", "enrolled"} or len(spoken.classes) > 1:
        yield {
            "classes": spoken.classes,
            "levels": spoken.levels,
            "benefits": spoken.benefits,
            "enrolled": tuple(sorted((*where.areas, where.id))),
        }


def _days(session: Session, on: date, spoken: _Spoken) -> Iterator[tuple[int, str]]:
    """Return `on` and the other days that the rules distinguish from it, with their kinds."""
    first = clock.civil(on)
    usual = calendars.kind_on(session, on)
    yield first, usual
    others = {on + timedelta(days=ahead) for ahead in range(1, 7) if spoken.words & {"weekday", "day_kind"}}
    others |= {day for ahead in range(1, 32) if (day := on + timedelta(days=ahead)).day in spoken.month_days}
    others |= {clock.day_of(n) for n in spoken.days if first < n <= first + _LATER}
    for day in sorted(others):
        yield clock.civil(day), calendars.kind_on(session, day)
    if "day_kind" in spoken.words:
        yield from ((first, kind) for kind in DAY_KINDS if kind != usual)


# --- what is paid ----------------------------------------------------------------------------------------------------


def _paid(book: Rulebook, diner: Diner, meals: Sequence[Meal]) -> int:
    """Compute what an elder pays for meals eaten one after the other, nothing used before."""
    if len(meals) == 1:
        return engine.quote(book, diner, meals[0], ()).due
    usage, paid = UsageReplay(), 0
    usage.begin(meals[0].day)
    for number, meal in enumerate(meals):
        outcome = usage.price(book, diner, meal, ("", str(number)), _SOMEBODY)
        usage.use(outcome.uses, _SOMEBODY, meal.day)
        paid += outcome.due
    return paid


def _sentence(diner: Diner, meals: Sequence[Meal], without: int, with_all: int) -> str:
    years = (meals[0].day - (diner.birth_day or 0)) // 366
    classes = f"（{'、'.join(CLASSES.get(code, code) for code in diner.classes)}）" if diner.classes else ""
    eats = f"{money.show(meals[0].list_fen)} 元的餐" + (f" {len(meals)} 餐" if len(meals) > 1 else "")
    return (
        f"约 {years} 岁{classes}老人 {clock.day_of(meals[0].day).isoformat()} 吃 {eats}，"
        f"只按上级标准付 {money.show(without)} 元，加上这一级标准反要付 {money.show(with_all)} 元"
    )
