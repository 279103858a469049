"""The server's own quote of a sale: gathers what the engine needs, asks it, and returns the whole input beside it.

Values in, a Quote out; the usage of limits is read under the caller's locks (decision 0005).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import lru_cache, partial
from typing import Any

from sqlalchemy.orm import Session

from canteen import clock, concerns, events
from canteen.errors import Invalid
from canteen.memory import Head, Kept
from canteen.money import Fen
from canteen.places import Canteen, Contract
from canteen.policy import carried_allowances, case
from canteen.policy import quote as engine
from canteen.policy.case import Diner, Meal
from canteen.policy.quote import Quote
from canteen.policy.refusals import Refused
from canteen.policy.rulebook import canonical, digest
from canteen.pos import lesser, service_time, slots
from canteen.pos.canteen_day import canteen_day, concerns_at
from canteen.pos.flags import CLOSED_DAY, NO_CONTRACT, OUTSIDE_WINDOW, Flag
from canteen.pos.lesser import FundShare
from canteen.pos.orders import Line
from canteen.registry import cards, credentials, elder_titles, elders, paths
from canteen.registry.credentials import BlockedCard
from canteen.registry.elders import Known
from canteen.registry.titles import Title
from canteen.rulebooks.layers import InForce

_LATER = uuid.UUID("5f0c1f52-6c0e-4a0c-8b43-0f7f6f1f9a2d")  # for this are counted slots that later windows used up
_NAMESPACE = uuid.UUID("0d4b9f0e-7a63-4d0b-9f5e-2c1d7a6e4b11")  # of the ids that limits of no person are counted for

CountedIds = dict[str, tuple[uuid.UUID, ...]]
"""Ids that limits are counted for, by scope: person, household, budget."""


class CannotPrice(Invalid):
    code = "cannot_price"
    message = "这份餐无法计价，请核对所选套餐或金额。"


@dataclass(frozen=True, slots=True)
class Place:
    """Place, day and rules that the sales of one checkout have in common. `contract` is None without a valid one."""

    canteen: Canteen
    contract: Contract | None
    areas: tuple[str, ...]
    book: InForce
    day: date
    period: str
    in_window: bool
    flags: tuple[Flag, ...]
    head: Head  # of the events, as all this is known
    day_kind: str = "workday"
    notes: tuple[Flag, ...] = ()  # noted of the sale, excluding nothing: day_provisional


@dataclass(frozen=True, slots=True)
class Priced:
    """A quote with its whole input: `body` is the canonical JSON that `hash` names."""

    quote: Quote
    document: dict[str, Any]
    hash: str
    body: str


def place_at(session: Session, canteen_id: str, at: datetime, head: Head | None = None) -> Place:
    """Find day, period and rules of a meal scanned at `at`; flags outside_window, closed_day, no_contract. Raises NoCanteen.

    head    the newest event, if it was read just now
    """
    head = head or events.head(session)
    found = canteen_day(session, canteen_id, clock.business_day(at), head)
    day = clock.business_day(at, turns_at=found.canteen.day_turns_at)
    if day != clock.business_day(at):
        found = canteen_day(session, canteen_id, day, head)
    period, in_window = service_time.meal_period(found.windows, clock.minute_of_day(at))
    checks = ((OUTSIDE_WINDOW, not in_window), (CLOSED_DAY, not found.serves), (NO_CONTRACT, found.contract is None))
    flags = tuple(name for name, applies in checks if applies)
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


_known: Kept[Known] = Kept(20_000)
_paths: Kept[tuple[str, ...]] = Kept(5000)  # of each area on a day: elders of one area share it
_titles: Kept[Title] = Kept(20_000)
_lives: Kept[credentials.Life | None] = Kept(20_000)


def known(session: Session, elder_id: uuid.UUID, place: Place) -> Known:
    """Read what is known of an elder on the place's day; usually cached since the scan. Raises NoElder."""
    key = (elder_id, place.day)

    def above(session: Session, areas: Sequence[str], on: date) -> dict[str, tuple[str, ...]]:
        return {area: path_of(session, area, on, place.head) for area in areas}

    read = partial(elders.known, session, elder_id, place.day, above=above)
    return _known.get(session, place.head, key, read, _concerns_known)


def path_of(session: Session, area: str, on: date, head: Head) -> tuple[str, ...]:
    """Return the areas above an area and itself on a day, most general first; kept until an event concerns places."""
    read = partial(paths.areas_above, session, (area,), on)
    return _paths.get(session, head, (area, on), lambda: read()[area], lambda _: (concerns.PLACES,))


def title(session: Session, person: Known, place: Place) -> Title:
    """Return how to address a person at the counter."""
    key = (person.root, place.day)
    read = partial(elder_titles.title, session, person.root, place.day, person)
    return _titles.get(session, place.head, key, read, lambda _: _concerns_known(person))


def concerns_of(place: Place, persons: Iterable[Known]) -> Iterator[str]:
    """Name whatever a meal of these persons at the place was read from, as `concerns` names it."""
    yield from concerns_at(place.areas, place.canteen.id)
    for person in persons:
        yield from _concerns_known(person)


def _concerns_known(person: Known) -> tuple[str, ...]:
    return concerns.PLACES, concerns.ELDERS, *(concerns.elder(each) for each in person.ids)


def scanned(session: Session, scan: str, place: Place) -> tuple[Known, str]:
    """Return whose card was scanned at the place and the card's digest.

    Raises as `credentials.resolve`.
    """
    read = cards.read(scan)
    lives = (_life(session, read.how, text, place) for text in credentials.texts(read))
    life = next((each for each in lives if each), None)
    person = known(session, credentials.owner(life), place)
    if life is None or person.stopped:
        raise BlockedCard
    return person, life.digest


def holder_of(session: Session, credential: str, place: Place, at: datetime) -> uuid.UUID | None:
    """Return the elder whose credential this was at an instant; None if it was nobody's or dead then."""
    life = _life(session, "card", credential, place)
    return credentials.holder(life, at=at) if life else None


def _life(session: Session, how: str, text: str, place: Place) -> credentials.Life | None:
    read = partial(credentials.life_of, session, how, text)
    return _lives.get(session, place.head, (how, text), read, _concerns_life)


def _concerns_life(life: credentials.Life | None) -> tuple[str, ...]:
    """Name the card; a card that does not exist may be made by any event that makes cards."""
    return (concerns.card(life.id),) if life else (concerns.CARDS,)


def meal_of(place: Place, mode: str, lines: Sequence[Line], amount: int | None) -> Meal:
    """Make the meal as the rules see it."""
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


def counted_ids(person: Known | None, place: Place) -> CountedIds:
    """Return the ids that a limit of each scope is counted for; a new use is written for the first of each.

    A guest has none; a budget has one per canteen. What a person used of a household's limit before the household was
    known still counts.
    """
    budget: CountedIds = {"budget": (budget_uuid(place.canteen.id),)}
    if person is None:
        return budget
    ids = (person.id, *(each for each in person.ids if each != person.id))
    home = (household_uuid(person.household),) if person.household else ()
    return budget | {"person": ids, "household": (*home, *ids)}


@lru_cache(10_000)
def budget_uuid(canteen: str) -> uuid.UUID:
    """Derive the id that a canteen's part of every budget is counted for."""
    return uuid.uuid5(_NAMESPACE, f"budget:{canteen}")


PRORATED = uuid.uuid5(_NAMESPACE, "prorated")
"""The id for which a prorated budget counts the part of its granted sum that no canteen has drawn."""


@lru_cache(10_000)
def household_uuid(household: str) -> uuid.UUID:
    """Derive the id that a household's limits are counted for."""
    return uuid.uuid5(_NAMESPACE, f"household:{household}")


def counted_for(scope: str, ids: CountedIds) -> uuid.UUID | None:
    """Return the id that a new use of this scope is counted for; None for a guest, who has no limits of a person."""
    found = ids.get(scope) or ids.get("person")
    return found[0] if found else None


Eaten = tuple[InForce, Diner, Meal, Known | None]
"""A meal under its rules, and who ate it; None for a guest."""


SHARED = ("household", "budget")  # scopes of limits that several persons use


def has_shared(book: InForce) -> bool:
    """Tell whether a limit of the rulebook is one of a household or a budget."""
    return any(ref.allowance.scope in SHARED for ref in book.book.limit_refs)


def lock_limits(
    session: Session, meals: Iterable[Eaten], *, most: Fen, names: Iterable[uuid.UUID] = ()
) -> set[slots.Key]:
    """Lock the households and budgets that these meals may use, after the persons; return the budgets.

    most      fen that all of them may draw at most
    names     further households, and guests' sales, to be locked
    Raises RetryTransaction.
    """
    households, budgets = set(names), dict[slots.Key, Fen]()
    for meal in meals:
        theirs, pots = _shared_limits(*meal)
        households |= theirs
        budgets |= pots
    slots.lock_names(session, households, budgets, most)
    return set(budgets)


def _shared_limits(
    book: InForce, diner: Diner, meal: Meal, person: Known | None
) -> tuple[set[uuid.UUID], dict[slots.Key, Fen]]:
    """Return the households and the budgets, with their limits, that a meal may use: they have no person's row to lock."""
    households, budgets = set[uuid.UUID](), dict[slots.Key, Fen]()
    shared = [ref.allowance for ref in book.book.limit_refs if ref.allowance.scope in SHARED]
    limits = {allowance.id: allowance.limit for allowance in shared}
    for want in engine.wanted(book.book, diner, meal) if shared else ():
        if want.scope == "budget":
            key = want.allowance if want.allowance in limits else want.allowance.rpartition("@")[0]
            budgets[want.allowance, want.window] = limits[key]
        elif want.scope == "household" and person is not None and person.household:
            households.add(household_uuid(person.household))
    return households, budgets


def usages_now(
    session: Session, place: Place, person: Known | None, meal: Meal, rows: Collection[slots.SlotRow] | None = None
) -> slots.Usages:
    """Read the usage of every limit that can change this price; when selling, under the locks.

    rows    what was read of slots under the locks: of all persons and windows that `needed` names, or of more
    """
    need = needed(place.book, diner_of(person), meal, counted_ids(person, place))
    found = _read(session, need, rows)
    if need.carries:
        count_lent(found, place.book, diner_of(person), meal)
    return found


@dataclass(frozen=True, slots=True)
class Needed:
    """Whose usage a price depends on, in which windows; amounts besides slots, and the totals of which budgets.

    carries   whether a later window may have used what one of these left
    """

    counted_for: tuple[uuid.UUID, ...]
    windows: tuple[str, ...]
    amounts: bool
    budgets: frozenset[slots.Key]
    carries: bool


def needed(book: InForce, diner: Diner, meal: Meal, ids: CountedIds) -> Needed:
    """Tell what must be read of the limits that the meal asks for, and of later windows to which these may carry over."""
    wanted, later = _wanted(book, diner, meal)
    budgets = frozenset((want.allowance, want.window) for want in wanted if want.scope == "budget")
    if "person" not in ids:
        return Needed((), (), False, budgets, bool(later))
    rest = [want for want in wanted if want.scope != "budget"]
    read = sorted({each for scope in {want.scope for want in rest} for each in ids.get(scope, ids["person"])})
    windows = sorted({want.window for want in rest} | later)
    return Needed(tuple(read), tuple(windows), any(want.unit == "fen" for want in rest), budgets, bool(later))


_asked: dict[tuple[object, ...], tuple[list[engine.Wanted], frozenset[str]]] = {}


def _wanted(book: InForce, diner: Diner, meal: Meal) -> tuple[list[engine.Wanted], frozenset[str]]:
    """Return the limits that a meal asks for, and the later windows: the same for all meals of a place, day and period."""
    key = (book.hash, meal.day, meal.period, meal.canteen)
    found = _asked.get(key)
    if found is None:
        if len(_asked) > 1000:
            _asked.clear()
        later = frozenset(want.window for want in carried_allowances.later(book.book, diner, meal))
        found = _asked[key] = engine.wanted(book.book, diner, meal), later
    return found


def usages_of(session: Session, book: InForce, diner: Diner, meal: Meal, ids: CountedIds) -> slots.Usages:
    """Read the usage of every limit that the meal asks for, and that of later windows to which these may carry over."""
    return _read(session, needed(book, diner, meal, ids), None)


def _read(session: Session, need: Needed, rows: Collection[slots.SlotRow] | None) -> slots.Usages:
    return slots.read_usages(
        session, need.counted_for, need.windows, amounts=need.amounts, budgets=need.budgets, rows=rows
    )


def count_lent(usages: slots.Usages, book: InForce, diner: Diner, meal: Meal) -> None:
    """Count as used what later windows already used of this meal's windows: a late meal gets only the rest."""
    for one in carried_allowances.lent(book.book, diner, meal, _engine_usage(usages)):
        usage = usages.setdefault((one.allowance, one.window), slots.Usage())
        if one.unit == "fen":
            usage.fen += one.amount
        else:
            usage.slots |= {(_LATER, n) for n in range(one.amount)}


def diner_of(person: Known | None, kind: str = "guest") -> Diner:
    """Return the person as the rules see them, or a diner of `kind` who is no elder."""
    return person.diner if person else Diner(kind=kind)


def price(book: InForce, diner: Diner, meal: Meal, usages: slots.Usages) -> Priced:
    """Quote one meal and return it with its whole input. Raises CannotPrice."""
    usage = _engine_usage(usages)
    try:
        quoted = engine.quote(book.book, diner, meal, usage)
        document = case.case_doc(diner, meal, usage)
        body = canonical(document)
    except Refused as refused:
        raise CannotPrice(details={"reason": refused.code}) from refused
    return Priced(quoted, document, digest(body), body.decode())


def _engine_usage(usages: slots.Usages) -> tuple[case.Taken, ...]:
    """Convert usages to the form that the engine reads."""
    return tuple(
        case.Taken(allowance, window, usage.count, usage.fen, tuple(sorted(clock.civil(day) for day in usage.days)))
        for (allowance, window), usage in sorted(usages.items())
    )


def sold_quote(document: dict[str, Any]) -> Quote:
    """Read the quote that a sale was made under. Raises Refused."""
    return _quote_of(json.dumps(document))


@lru_cache(2000)
def _quote_of(text: str) -> Quote:
    """Check and cache a quote: at noon a canteen sells the same few quotes again and again."""
    return engine.read_quote(json.loads(text))


def sold_input(document: dict[str, Any], own: Priced) -> tuple[str, str]:
    """Return hash and canonical text of the input that a tablet quoted from, usually our own. Raises Refused."""
    if json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":")) == own.body:
        return own.hash, own.body
    body = canonical(document)
    return digest(body), body.decode()


def limit_requests(quote: Quote) -> list[slots.LimitRequest]:
    """Convert the uses of a quote to requests."""
    return [
        slots.LimitRequest(use.allowance, use.window, use.unit, use.limit, use.amount, tuple(use.rules), use.scope)
        for use in quote.uses
    ]


def requests_for(
    quote: Quote, shares: Sequence[FundShare], borne: Sequence[lesser.Borne], *, counting: bool = True
) -> list[slots.LimitRequest]:
    """Request the limits that shares as sold depend on, as far as the quote bears them.

    borne     what the quote bears of each share
    counting  whether to request too what a rule counts for which it gives nothing
    """
    counted = {rule for use in quote.uses for rule in use.rules} - {share.rule for share in quote.shares}
    found = list[slots.LimitRequest]()
    for request in limit_requests(quote):
        mine = (each for share, each in zip(shares, borne, strict=True) if slots.counts_fund(request, share.fund))
        fen = sum(lesser.by_rules(each, request.rules) for each in mine)
        if fen or (counting and not counted.isdisjoint(request.rules)):
            found.append(replace(request, amount=min(request.amount, fen)) if request.unit == "fen" else request)
    return found


Supposed = list[tuple[uuid.UUID, slots.LimitRequest]]
"""What the earlier sales of one checkout would use, and whom it would be counted for."""


def suppose(supposed: Supposed, quote: Quote, ids: CountedIds) -> None:
    """Add the uses of a quote to `supposed`, so that the next meal of the checkout sees them."""
    for request in limit_requests(quote):
        if (whom := counted_for(request.scope, ids)) is not None:
            supposed.append((whom, request))


def with_supposed(usages: slots.Usages, supposed: Supposed, ids: CountedIds, day: date) -> slots.Usages:
    """Add to `usages` what the earlier sales of the checkout would use."""
    mine = {each for some in ids.values() for each in some}
    for whom, request in supposed:
        if whom in mine:
            slots.grant(whom, request, usages, day)
    return usages


def say(quote: Quote) -> str:
    """Write the sentence that a cashier can read aloud."""
    return engine.say(quote).counter
