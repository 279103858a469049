"""Price a past sale again and grant it limits: the one way of revaluations and of benefit reallocations.

Used under the locks of a correction, or by a preview that writes nothing. A sale keeps what it was granted; asked of
the limits is only what it needs besides.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.money import Fen
from canteen.policy import budget_ids, case
from canteen.policy import quote as engine
from canteen.policy.case import Diner, Meal
from canteen.policy.quote import Quote
from canteen.policy.rulebook import canonical, digest
from canteen.pos import pricing, slots
from canteen.pos.models import Record, Slot, UseChange
from canteen.pos.pricing import Place
from canteen.pos.slots import Key, LimitRequest, Usage, Use
from canteen.registry.elders import Known
from canteen.rulebooks.layers import InForce

Listed = tuple[case.Taken, ...]
"""Usage of limits as the engine reads it, in one order, without what nobody used."""
Supposed = dict[tuple[uuid.UUID, Key], list[tuple[LimitRequest, date]]]
"""Uses that a preview would have granted so far, by subject of the limit and limit."""


@dataclass(frozen=True, slots=True)
class SaleInputs:
    """A past sale with all that its price depends on, but for the usage of limits. `person` is None for a guest."""

    id: uuid.UUID
    day: date
    book: InForce
    diner: Diner
    meal: Meal
    place: Place
    person: Known | None


@dataclass(frozen=True, slots=True)
class Granted:
    """Rows to be written of what a sale was granted: its uses, and the slots that are new."""

    uses: tuple[dict[str, Any], ...] = ()
    slots: tuple[dict[str, Any], ...] = ()


@dataclass(slots=True)
class _Own:
    """The uses of one limit by a sale: fen, and slots as (counted for, number)."""

    fen: Fen = 0
    slots: set[tuple[uuid.UUID, int]] = field(default_factory=set)


def lock_for_repricing(
    session: Session,
    sales: Collection[SaleInputs],
    *,
    most: Fen,
    names: Iterable[uuid.UUID] = (),
    given_up: Iterable[Use] = (),
) -> None:
    """Lock what these sales may use, and then the budget rows on which they may draw more than once.

    given_up   uses that another sale may give up: the budgets among them are locked too
    Otherwise as `pricing.lock_limits`.
    """
    meals = ((sale.book, sale.diner, sale.meal, sale.person) for sale in sales)
    budgets = pricing.lock_limits(session, meals, most=most, names=names)
    drawn = [use for use in given_up if budget_ids.is_budget(use.allowance)]
    rows = {pricing.budget_uuid(sale.place.canteen.id) for sale in sales} | {use.person_id for use in drawn}
    slots.lock_budget_rows(session, rows, budgets | {use.key for use in drawn})


class Repricing:
    """One sale being priced again, with what it has of limits and what is used of them now.

    supposed  what a preview would have granted to sales before this one
    """

    def __init__(self, session: Session, sale: SaleInputs, supposed: Supposed | None = None) -> None:
        self.sale = sale
        self._ids = pricing.counted_ids(sale.person, sale.place)
        self._own = _own_uses(session, sale.id)
        self.usages = pricing.usages_of(session, sale.book, sale.diner, sale.meal, self._ids)
        if supposed:
            self._suppose_earlier(supposed)
        pricing.count_lent(self.usages, sale.book, sale.diner, sale.meal)

    def _suppose_earlier(self, supposed: Supposed) -> None:
        wanted = engine.wanted(self.sale.book.book, self.sale.diner, self.sale.meal)
        mine = {each for some in self._ids.values() for each in some}
        for key in {(want.allowance, want.window) for want in wanted}:
            for each in mine:
                for request, day in supposed.get((each, key), ()):
                    slots.grant(each, request, self.usages, day)

    def quote(self, known: Iterable[case.Taken], now: Collection[Key]) -> tuple[Quote, Listed]:
        """Price the sale with the usage `known`, and that of the limits `now` as it is now; return quote and usage.

        A limit that has no room for what the sale does not have yet is read as it is now too, and the sale priced once
        more: so another rule may take its place.
        """
        sale, usage, seen, fresh = self.sale, {(one.allowance, one.window): one for one in known}, set[Key](), set(now)
        while True:
            seen |= fresh
            usage |= {key: self._used_by_others(key) for key in fresh}
            listed = tuple(one for _, one in sorted(usage.items()) if one.count or one.fen or one.days)
            quoted = engine.quote(sale.book.book, sale.diner, sale.meal, listed)
            requests = pricing.limit_requests(quoted)
            fresh = {one.key for one in requests if not self.fits(one)} - seen
            if not fresh:
                return quoted, listed

    def _used_by_others(self, key: Key) -> case.Taken:
        """Return what is used of a limit now besides what this sale has."""
        usage, own = self.usages.get(key, Usage()), self._own.get(key, _Own())
        days = tuple(sorted(clock.civil(day) for day, slot in usage.days.items() if slot not in own.slots))
        return case.Taken(key[0], key[1], len(usage.slots - own.slots), usage.fen - own.fen, days)

    def fits(self, request: LimitRequest) -> bool:
        """Tell whether the limit has room for what is requested besides what the sale has."""
        return all(
            has_room(self.usages.get(one.key, Usage()), each, one, self.sale.day)
            for each, one in self._missing([request])
        )

    def needs_more(self, requests: Iterable[LimitRequest]) -> bool:
        """Tell whether the sale has less than is requested of any limit."""
        return any(self._more(request) for request in requests)

    def _more(self, request: LimitRequest) -> int:
        own = self._own.get(request.key, _Own())
        return max(0, request.amount - own.fen) if request.unit == "fen" else int(not own.slots)

    def _missing(self, requests: Iterable[LimitRequest]) -> Iterator[tuple[uuid.UUID, LimitRequest]]:
        """Yield the requests that the sale does not have yet, by key, each with the person it is counted for."""
        for request in sorted(requests, key=lambda one: one.key):
            whom, more = pricing.counted_for(request.scope, self._ids), self._more(request)
            if whom is not None and more:
                yield whom, replace(request, amount=more)

    def suppose(self, requests: Iterable[LimitRequest], supposed: Supposed) -> None:
        """Add to `supposed` what the sale would be granted."""
        for each, request in self._missing(requests):
            supposed.setdefault((each, request.key), []).append((request, self.sale.day))

    def grant(self, session: Session, requests: Iterable[LimitRequest]) -> Granted:
        """Grant what is requested besides what the sale has, as far as there is room, and draw the amounts.

        Raises RetryTransaction if another transaction drew the rest of an amount.
        """
        uses, rows, draws = list[dict[str, Any]](), list[dict[str, Any]](), list[slots.Draw]()
        for each, request in self._missing(requests):
            grant = slots.grant(each, request, self.usages, self.sale.day)
            if not grant.granted:
                continue
            if request.unit == "fen":
                draws.append((each, request, grant.granted))
            if grant.new and grant.n is not None:
                rows.append(slots.slot_row(each, request, grant.n, self.sale.day, self.sale.id))
            uses.append(_change(self.sale.id, request, grant.counted_for, grant.n, grant.granted))
        slots.write_draws(session, draws)
        return Granted(tuple(uses), tuple(rows))

    def document(self, listed: Listed) -> tuple[str, str]:
        """Return hash and canonical text of the whole input of a quote."""
        body = canonical(case.case_doc(self.sale.diner, self.sale.meal, listed))
        return digest(body), body.decode()


def has_room(usage: Usage, counted_for: uuid.UUID, request: LimitRequest, day: date) -> bool:
    """Tell whether all that is requested could be granted."""
    if request.unit == "fen":
        return request.limited_to - usage.fen >= request.amount
    return (request.unit == "day" and day in usage.days) or usage.free(counted_for, request) is not None


def _own_uses(session: Session, sale_id: uuid.UUID) -> dict[Key, _Own]:
    found: dict[Key, _Own] = defaultdict(_Own)
    for use in slots.current_uses(session, sale_id):
        if use.unit == "fen":
            found[use.key].fen += use.amount
        elif use.n is not None:
            found[use.key].slots.add((use.person_id, use.n))
    return dict(found)


def write(
    session: Session, granted: Granted, *, cause: str, given_up: Iterable[Use] = (), recorded: int | None = None
) -> None:
    """Write what a sale was granted, and what another gave up for it; `recorded`: the event of a reallocation."""
    newest = session.execute(select(func.coalesce(func.max(Record.id), 0))).scalar_one()
    gone = [_change(use.sale_id, use, use.person_id, use.n, -use.amount) for use in given_up]
    made = {"cause": cause, "after_record": newest, "recorded": recorded}
    for model, rows in ((UseChange, [row | made for row in (*gone, *granted.uses)]), (Slot, list(granted.slots))):
        if rows:
            session.execute(insert(model), rows)


def _change(
    sale_id: uuid.UUID, limit: Use | LimitRequest, counted_for: uuid.UUID, n: int | None, amount: int
) -> dict[str, Any]:
    return {
        "sale_id": sale_id,
        "allowance": limit.allowance,
        "window": limit.window,
        "person_id": counted_for,
        "unit": limit.unit,
        "limited_to": limit.limited_to,
        "amount": amount,
        "n": n,
        "rules": " ".join(limit.rules),
    }
