"""Replay of limits under another rulebook: what each meal uses, and what voids give back."""

from __future__ import annotations

import heapq
import itertools
import uuid
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import TypeAlias

from canteen.policy import budget_ids, days
from canteen.policy import quote as engine
from canteen.policy.case import Diner, Meal, Taken
from canteen.policy.outcome import Use
from canteen.policy.rules import Allowance, Rulebook

_KEPT = 10_000  # quotes remembered within a day
_BUDGET = "budget"

Funds: TypeAlias = dict[tuple[str, str], int]
"""(fund, payer) -> fen."""


@dataclass(frozen=True, slots=True)
class CountedFor:
    """The person and household that limits are counted for; None for a guest, who has no limits."""

    person: uuid.UUID | None
    household: uuid.UUID | None

    def of(self, scope: str) -> Hashable | None:
        if scope == _BUDGET:
            return _BUDGET
        return self.household if scope == "household" else self.person


@dataclass(frozen=True, slots=True)
class MealResult:
    """The result of one meal: fen that the elder pays, fen by fund, uses of limits."""

    due: int
    subsidy: int
    funds: Funds
    uses: tuple[Use, ...] = ()

    @classmethod
    def of(cls, quote: engine.Quote) -> MealResult:
        funds: Funds = {}
        for share in quote.shares:
            key = (share.fund, share.payer)
            funds[key] = funds.get(key, 0) + share.fen
        return cls(quote.due, subsidy_of(funds), funds, quote.uses)


def subsidy_of(funds: Funds) -> int:
    """Return the public money among funds, in fen."""
    return sum(fen for (_, payer), fen in funds.items() if payer == "subsidy")


_Row: TypeAlias = tuple[Hashable, str, str]  # counted_for, allowance, window
_Position: TypeAlias = tuple[date, int]  # a day and a place in the order of arrival


@dataclass
class UsageReplay:
    """The usage of limits, by kind of window, so that a past window takes no memory."""

    rows: dict[str, dict[_Row, Taken]] = field(default_factory=lambda: defaultdict(dict))
    ended: dict[tuple[str, str], int] = field(default_factory=dict)
    limits: dict[tuple[str, str], int] = field(default_factory=dict)
    priced: int = 0
    _day: int | None = None
    _books: set[str] = field(default_factory=set)
    _kinds: dict[str, str] = field(default_factory=dict)
    _quotes: dict[tuple[object, ...], MealResult] = field(default_factory=dict)
    _wanted: dict[tuple[str, str], list[engine.Wanted]] = field(default_factory=dict)
    _undone: list[tuple[_Position, int, tuple[Use, ...], CountedFor, int]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def begin(self, day: int) -> None:
        """Forget the windows that ended before this civil day."""
        for kind, rows in self.rows.items():
            if kind != "kept" and self._day is not None and days.first_of(kind, self._day) != days.first_of(kind, day):
                rows.clear()
        self._day = day
        self._quotes.clear()
        self._wanted.clear()

    def know(self, book: Rulebook) -> None:
        """Learn how long the windows of a rulebook's limits last."""
        if book.hash not in self._books:
            self._books.add(book.hash)
            for ref in book.limit_refs:
                self._kinds[ref.allowance.id] = kind_of(ref.allowance)

    def price(self, book: Rulebook, diner: Diner, meal: Meal, texts: tuple[str, str], who: CountedFor) -> MealResult:
        """Price the meal with the usage so far. `texts` are those that diner and meal were read from."""
        self.know(book)
        wanted = self._wanted.get((book.hash, texts[1]))
        if wanted is None:
            wanted = self._wanted[book.hash, texts[1]] = engine.wanted(book, diner, meal)
        taken = tuple(found for want in wanted if (found := self._taken(want, who)) is not None)
        key = (book.hash, *texts, taken)
        outcome = self._quotes.get(key)
        if outcome is None:
            if len(self._quotes) >= _KEPT:
                self._quotes.clear()
            outcome = self._quotes[key] = MealResult.of(engine.quote(book, diner, meal, taken))
            self.priced += 1
        return outcome

    def use(self, uses: Iterable[Use], who: CountedFor, day: int) -> None:
        """Count what a meal used."""
        for use in uses:
            if (key := self._key(use, who)) is None:
                continue
            rows = self.rows[self._kind(use.allowance)]
            rows[key] = now = _more(rows.get(key) or Taken(use.allowance, use.window), use, day)
            if use.scope == _BUDGET:
                self.limits[use.allowance, use.window] = use.limit
                if now.fen >= use.limit:
                    self.ended.setdefault((use.allowance, use.window), day)

    def void(self, at: _Position, uses: tuple[Use, ...], who: CountedFor, day: int) -> None:
        """Free what a meal used from a point in time on, when it was voided."""
        heapq.heappush(self._undone, (at, next(self._numbers), uses, who, day))

    def pass_by(self, now: _Position) -> None:
        """Give back what was voided before `now`."""
        while self._undone and self._undone[0][0] < now:
            _, _, uses, who, day = heapq.heappop(self._undone)
            for use in uses:
                self._give_back(use, who, day)

    def seed(self, allowance: str, window: str, counted_for: uuid.UUID, taken: Taken) -> None:
        """Begin with what the books counted."""
        rows = self.rows[self._kind(allowance)]
        key: _Row = (_BUDGET if budget_ids.is_budget(allowance) else counted_for, allowance, window)
        had = rows.get(key) or Taken(allowance, window)
        rows[key] = Taken(allowance, window, had.count + taken.count, had.fen + taken.fen, had.days + taken.days)

    def spent(self, allowance: str, window: str) -> int:
        """Return the fen drawn on a budget."""
        found = self.rows[self._kind(allowance)].get((_BUDGET, allowance, window))
        return found.fen if found else 0

    def _give_back(self, use: Use, who: CountedFor, day: int) -> None:
        key = self._key(use, who)
        rows = self.rows[self._kind(use.allowance)]
        if key is None or (had := rows.get(key)) is None:
            return  # the window is over
        rest = list(had.days)
        if use.unit == "day" and day in rest:
            rest.remove(day)
        meals, fen = (1, 0) if use.unit == "meal" else (0, use.amount if use.unit == "fen" else 0)
        rows[key] = now = Taken(use.allowance, use.window, had.count - meals, had.fen - fen, tuple(rest))
        if use.scope == _BUDGET and now.fen < use.limit:
            self.ended.pop((use.allowance, use.window), None)

    def _taken(self, want: engine.Wanted, who: CountedFor) -> Taken | None:
        counted_for = who.of(want.scope)
        if counted_for is None:
            return None
        return self.rows[self._kind(want.allowance)].get((counted_for, want.allowance, want.window))

    def _key(self, use: Use, who: CountedFor) -> _Row | None:
        counted_for = who.of(use.scope)
        return None if counted_for is None else (counted_for, use.allowance, use.window)

    def _kind(self, allowance: str) -> str:
        found = self._kinds.get(allowance)
        if found is None:
            found = self._kinds[allowance] = self._kinds.get(base_id(allowance), "kept")
        return found


def _more(had: Taken, use: Use, day: int) -> Taken:
    """Add a use; a civil day is noted once a meal, so that it stays used until its last meal is voided."""
    if use.unit == "fen":
        return Taken(had.allowance, had.window, had.count, had.fen + use.amount, had.days)
    if use.unit == "day":
        return Taken(had.allowance, had.window, had.count, had.fen, (*had.days, day))
    return Taken(had.allowance, had.window, had.count + 1, had.fen, had.days)


def base_id(allowance: str) -> str:
    """Return an allowance's id without the place and the rule or fund that its key ends with."""
    return allowance.partition("@")[0].partition("#")[0]


def kind_of(allowance: Allowance) -> str:
    """Return how long its windows matter: 'kept' where earlier ones carry over, and for budgets, summed at the end."""
    return "kept" if allowance.carry or allowance.scope == _BUDGET else allowance.window
