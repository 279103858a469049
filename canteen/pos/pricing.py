"""The server's own quote of a sale: gathers what the engine needs, asks it, and keeps the whole input beside it.

Values in, a Quote out; what was taken of the limits is read by the caller, under its locks (decision 0005).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.errors import Invalid
from canteen.places import Canteen, Contract
from canteen.policy import carry_over, case
from canteen.policy import quote as engine
from canteen.policy.case import Diner, Meal
from canteen.policy.quote import Quote
from canteen.policy.refusals import Refused
from canteen.policy.rulebook import canonical, digest
from canteen.pos import service_time, slots
from canteen.pos.canteen_day import here
from canteen.pos.flags import CLOSED_DAY, NO_CONTRACT, OUTSIDE_WINDOW, Flag
from canteen.pos.orders import Line
from canteen.registry import credentials, elders
from canteen.registry.elders import Known
from canteen.rulebooks.layers import InForce

_LATER = uuid.UUID("5f0c1f52-6c0e-4a0c-8b43-0f7f6f1f9a2d")  # holds what later windows used of this one's leavings
_HOLDERS = uuid.UUID("0d4b9f0e-7a63-4d0b-9f5e-2c1d7a6e4b11")  # namespace of holders of limits that are no persons


class CannotPrice(Invalid):
    code = "cannot_price"
    message = "这份餐无法计价，请核对所选套餐或金额。"


@dataclass(frozen=True, slots=True)
class Place:
    """Where and when: all that the sales of one checkout have in common. `contract` is None where none holds."""

    canteen: Canteen
    contract: Contract | None
    areas: tuple[str, ...]
    book: InForce
    day: date
    period: str
    in_window: bool
    flags: tuple[Flag, ...]
    head: tuple[int, str]  # of the events, as all this is known
    day_kind: str = "workday"
    notes: tuple[Flag, ...] = ()  # noted of the sale, without barring it: day_provisional


@dataclass(frozen=True, slots=True)
class Priced:
    """A quote with its whole input: `body` is the canonical JSON that `hash` names."""

    quote: Quote
    document: dict[str, Any]
    hash: str
    body: str


def place_at(session: Session, canteen_id: str, at: datetime) -> Place:
    """Where and when a meal scanned at `at` belongs. Flags: outside_window, closed_day, no_contract. Raises NoCanteen."""
    head = events.head(session)
    found = here(session, canteen_id, clock.business_day(at), head)
    day = clock.business_day(at, turns_at=found.canteen.day_turns_at)
    if day != clock.business_day(at):
        found = here(session, canteen_id, day, head)
    period, in_window = service_time.meal_period(found.windows, clock.minute_of_day(at))
    odd = ((OUTSIDE_WINDOW, not in_window), (CLOSED_DAY, not found.serves), (NO_CONTRACT, found.contract is None))
    flags = tuple(name for name, holds in odd if holds)
    served = in_window and found.serves
    return Place(
        found.canteen,
        found.contract,
        found.areas,
        found.book,
        day,
        period,
        served,
        flags,
        head,
        found.day_kind,
        found.notes,
    )


_known: events.Kept[Known] = events.Kept(20_000)
_lives: events.Kept[credentials.Life] = events.Kept(20_000)


def known(session: Session, elder_id: uuid.UUID, place: Place) -> Known:
    """What is known of an elder on the place's day: most often read at the scan a moment before. Raises NoElder."""
    return _known.get(session, place.head, (elder_id, place.day), lambda: elders.known(session, elder_id, place.day))


def holder_of(session: Session, credential: str, place: Place, at: datetime) -> uuid.UUID | None:
    """Whose credential this was at an instant; None when it was nobody's or dead then."""
    life = _lives.get(session, place.head, credential, lambda: credentials.life(session, credential))
    return credentials.holder(life, at=at)


def meal_of(place: Place, mode: str, lines: Sequence[Line], amount: int | None) -> Meal:
    """The meal as the rules see it."""
    contract = place.contract
    return case.Meal(
        day=clock.civil(place.day),
        period=place.period,
        mode=mode,
        canteen=case.MealCanteen(
            id=place.canteen.id,
            class_=contract.canteen_class if contract else "none",
            grade=contract.grade if contract else "",
            level=0,
            areas=place.areas,
        ),
        day_kind=place.day_kind,
        lines=tuple(case.Line(line.item, line.fen, line.quantity, tuple(sorted(line.tags))) for line in lines),
        amount=amount,
        flags=() if place.in_window else (OUTSIDE_WINDOW,),
    )


def holders(person: Known | None, place: Place) -> dict[str, tuple[uuid.UUID, ...]]:
    """Whose rows a limit of each scope is counted in; the first of each is where a new use is written.

    A guest has no rows; a budget has one at each canteen, and counts them all. What somebody used of a household's
    limit before the household was known counts on.
    """
    budget: dict[str, tuple[uuid.UUID, ...]] = {"budget": budget_holders(place)}
    if person is None:
        return budget
    ids = (person.id, *(each for each in person.ids if each != person.id))
    home = (household_holder(person.household),) if person.household else ()
    return budget | {"person": ids, "household": (*home, *ids)}


def budget_holders(place: Place) -> tuple[uuid.UUID, ...]:
    """In whose name this canteen's part of every budget is counted."""
    return (budget_holder(place.canteen.id),)


def budget_holder(canteen: str) -> uuid.UUID:
    """In whose name a canteen's part of every budget is counted."""
    return uuid.uuid5(_HOLDERS, f"budget:{canteen}")


PRORATED = uuid.uuid5(_HOLDERS, "prorated")
"""In whose name a budget that was prorated counts what no canteen has drawn of what it bears."""


def household_holder(household: str) -> uuid.UUID:
    """In whose name the limits of a household are counted."""
    return uuid.uuid5(_HOLDERS, f"household:{household}")


def holder(scope: str, of: dict[str, tuple[uuid.UUID, ...]]) -> uuid.UUID | None:
    """In whose rows a new use of this scope is written; None for a guest, whom no limit of persons can count."""
    found = of.get(scope) or of.get("person")
    return found[0] if found else None


def hold(session: Session, place: Place, eaten: Sequence[tuple[Known | None, Meal]]) -> None:
    """Hold the households and budgets that these meals may draw on; after the persons. Raises slots.Again."""
    shared = [ref.allowance for ref in place.book.book.limit_refs if ref.allowance.scope in ("household", "budget")]
    if not shared:
        return
    households, budgets = set[uuid.UUID](), dict[slots.Key, int]()
    for person, meal in eaten:
        for want in engine.wanted(place.book.book, diner_of(person), meal):
            if want.scope == "budget":
                budgets[want.allowance, want.window] = next(
                    each.limit for each in shared if want.allowance in (each.id, _at(each.id, want.allowance))
                )
            elif want.scope == "household" and person is not None and person.household:
                households.add(household_holder(person.household))
    slots.hold(session, households, budgets, sum(meal.list_fen for _, meal in eaten))


def _at(allowance: str, key: str) -> str:
    """The key that the allowance has at the place that `key` names."""
    return f"{allowance}@{key.rpartition('@')[2]}"


def taken_now(session: Session, place: Place, person: Known | None, meal: Meal) -> slots.Taken:
    """What of every limit that can change this price is taken. Read it under the locks when selling."""
    wanted = engine.wanted(place.book.book, diner_of(person), meal)
    budgets = {(want.allowance, want.window) for want in wanted if want.scope == "budget"}
    if person is None:
        return slots.taken(session, (), (), budgets=budgets) if budgets else {}
    rest = [want for want in wanted if want.scope != "budget"]
    whose = holders(person, place)
    ids = sorted({each for want in rest for each in whose.get(want.scope, whose["person"])})
    amounts = any(want.unit == "fen" for want in rest)
    windows = {want.window for want in rest} | later_windows(place.book, diner_of(person), meal)
    found = slots.taken(session, ids, sorted(windows), amounts=amounts, budgets=budgets)
    withhold(found, place.book, diner_of(person), meal)
    return found


def later_windows(book: InForce, diner: Diner, meal: Meal) -> set[str]:
    """The windows that may have used what this meal's windows leave, to be read besides its own."""
    return {want.window for want in carry_over.later(book.book, diner, meal)}


def withhold(taken: slots.Taken, book: InForce, diner: Diner, meal: Meal) -> None:
    """Count as taken what later windows already have of this meal's: whoever comes late finds the rest."""
    if not later_windows(book, diner, meal):
        return
    for one in carry_over.lent(book.book, diner, meal, _usage_of(taken)):
        used = taken.setdefault((one.allowance, one.window), slots.Used())
        if one.unit == "fen":
            used.fen += one.amount
        else:
            used.slots |= {(_LATER, n) for n in range(one.amount)}


def diner_of(person: Known | None, kind: str = "guest") -> Diner:
    """The person as the rules see them, or somebody who is no elder."""
    return person.diner if person else Diner(kind=kind)


def price(book: InForce, diner: Diner, meal: Meal, taken: slots.Taken) -> Priced:
    """Quote one meal and keep the input beside it. Raises CannotPrice."""
    usage = _usage_of(taken)
    try:
        quoted = engine.quote(book.book, diner, meal, usage)
        document = case.case_doc(diner, meal, usage)
        body = canonical(document)
    except Refused as refused:
        raise CannotPrice(details={"reason": refused.code}) from refused
    return Priced(quoted, document, digest(body), body.decode())


def _usage_of(taken: slots.Taken) -> tuple[case.Taken, ...]:
    """Convert what is taken to the usage that the engine reads."""
    return tuple(
        case.Taken(allowance, window, used.count, used.fen, tuple(sorted(clock.civil(day) for day in used.days)))
        for (allowance, window), used in sorted(taken.items())
    )


def sold_quote(document: dict[str, Any]) -> Quote:
    """The quote that a sale was made under. Raises Refused."""
    return _quote_of(json.dumps(document))


@lru_cache(2000)
def _quote_of(text: str) -> Quote:
    """At noon a canteen sells the same few quotes again and again; each is checked once."""
    return engine.read_quote(json.loads(text))


def sold_input(document: dict[str, Any], own: Priced) -> tuple[str, str]:
    """Hash and canonical text of the input that a tablet quoted from, most often our own. Raises Refused."""
    if json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")) == own.body:
        return own.hash, own.body
    body = canonical(document)
    return digest(body), body.decode()


def asks(quote: Quote) -> list[slots.Ask]:
    """The uses of a quote, as slots are asked for."""
    return [
        slots.Ask(use.allowance, use.window, use.unit, use.limit, use.amount, tuple(use.rules), use.scope)
        for use in quote.uses
    ]


Supposed = list[tuple[uuid.UUID, slots.Ask]]
"""What the earlier sales of one checkout would take, and in whose rows."""


def suppose(supposed: Supposed, quote: Quote, whose: dict[str, tuple[uuid.UUID, ...]]) -> None:
    """Note a quote's uses, so that the next meal of one checkout sees them."""
    for ask in asks(quote):
        if (whom := holder(ask.scope, whose)) is not None:
            supposed.append((whom, ask))


def with_supposed(
    taken: slots.Taken, supposed: Supposed, whose: dict[str, tuple[uuid.UUID, ...]], day: date
) -> slots.Taken:
    """What is taken if the earlier sales of the checkout are made."""
    mine = {each for some in whose.values() for each in some}
    for whom, ask in supposed:
        if whom in mine:
            slots.note(taken.setdefault((ask.allowance, ask.window), slots.Used()), whom, ask, day)
    return taken


def say(quote: Quote) -> str:
    """The sentence that a cashier can read aloud."""
    return engine.say(quote).counter


@lru_cache(2000)
def explain(quote: Quote) -> str:
    """The sentence that an auditor can check."""
    return engine.say(quote).audit
