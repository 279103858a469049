"""The inputs of the rules while one quote is made: the diner, the meal, the running price, and earlier usage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from canteen.policy import days
from canteen.policy.case import Diner, Meal, Taken
from canteen.policy.rules import Allowance, Base, ByItem, LimitRef

_NOTHING = Taken("", "")


class Fall(NamedTuple):
    """A benefit of `fen` that was given, and the part of the bill that it reduced."""

    fen: int
    base: Base
    by_item: ByItem | None


@dataclass(slots=True)
class RunningPrice:
    """The price left in fen, and the benefits given so far, in order."""

    left: int
    falls: tuple[Fall, ...]


class Bill:
    """One meal being priced; ages, windows and used-up counts are cached.

    Its positions are the lines of the meal (or its amount), then delivery, then packaging.
    """

    __slots__ = ("_ages", "_rooms", "_taken", "_windows", "diner", "list", "meal", "running_price")

    def __init__(self, diner: Diner, meal: Meal, taken: Sequence[Taken]) -> None:
        self.diner = diner
        self.meal = meal
        self.list = meal.list_fen
        self.running_price = RunningPrice(self.list, ())
        self._taken = {(one.allowance, one.window): one for one in taken}
        self._ages: dict[tuple[str, str], int | None] = {}
        self._windows: dict[str, str] = {}
        self._rooms: dict[str, bool] = {}

    def age(self, reckoning: str, leap_day: str) -> int | None:
        """Return completed years on the meal's day by the `reckoning` given; None where the birthday is unknown."""
        kind = (reckoning, leap_day)
        if kind not in self._ages:
            birth = self.diner.birth_day
            self._ages[kind] = None if birth is None else days.age(birth, self.meal.day, reckoning, leap_day)
        return self._ages[kind]

    def base(self, base: Base, at: RunningPrice) -> int:
        """Return the fen a benefit is computed on: of the price left `at` a point, or of the list price.

        For a part of the bill this is what is left to pay of its positions.
        """
        if base.whole:
            return self.list if base.of == "list" else at.left
        positions = self.listed() if base.of == "list" else self.left_at(at)
        included = zip(positions, self._included(base), strict=True)
        eligible = max(0, sum(fen for fen, counts in included if counts) - base.over)
        return eligible if base.first is None else min(eligible, base.first)

    def listed(self) -> list[int]:
        """Return the list price of each position."""
        meal = self.meal
        goods = [meal.amount] if meal.amount is not None else [line.fen * line.qty for line in meal.lines]
        return [*goods, meal.fees.delivery, meal.fees.packaging]

    def left_at(self, at: RunningPrice) -> list[int]:
        """Return what is left to pay of each position after the benefits given so far.

        A benefit reduces the positions it was given for, in proportion to what is left to pay of each. Any excess reduces
        the other goods, and delivery and packaging last.
        """
        left = self.listed()
        for fen, base, by_item in at.falls:
            named = (
                by_item(self, left)
                if by_item
                else [one if counts else 0 for one, counts in zip(left, self._included(base), strict=True)]
            )
            goods = [*left[:-2], 0, 0]
            on_goods = [min(one, most) for one, most in zip(named, goods, strict=True)]
            rest = fen
            for weights in (on_goods, named, goods, left):
                rest = _take(left, weights, rest)
        return left

    def _included(self, base: Base) -> list[bool]:
        meal = self.meal
        goods = [base.includes(None)] if meal.amount is not None else [base.includes(line) for line in meal.lines]
        return [*goods, base.includes_fee("delivery"), base.includes_fee("packaging")]

    # --- limits ---------------------------------------------------------------------------------------------

    def key(self, ref: LimitRef) -> str:
        """Return the allowance's id with the suffixes that its scope and place need."""
        allowance = ref.allowance
        if allowance.where == "everywhere":
            return ref.key
        if allowance.where == "canteen":
            return f"{allowance.id}@{self.meal.canteen.id}{ref.suffix}"
        return f"{allowance.id}@{code_at(allowance.where, self.meal.canteen.areas)}{ref.suffix}"

    def window(self, allowance: Allowance) -> str:
        """Return the name of the window that the meal falls in."""
        kind = allowance.window
        if kind not in self._windows:
            self._windows[kind] = days.window_name(kind, self.meal.day, self.meal.period)
        return self._windows[kind]

    def taken(self, ref: LimitRef, window: str) -> Taken:
        return self._taken.get((self.key(ref), window), _NOTHING)

    def limit(self, ref: LimitRef) -> int:
        """Return the limit of the meal's window, with what earlier windows carried over."""
        allowance = ref.allowance
        own = max(0, self.diner.levels.get(allowance.scale, 0)) if allowance.scale else allowance.limit
        if not allowance.carry:
            return own
        carried = 0
        for window in self.carried_windows(allowance):
            used, then = self.taken(ref, window), own
            if allowance.earlier:
                then = next((limit for last, limit in allowance.earlier if int(window) <= last), own)
            carried = max(0, carried + then - (used.fen if allowance.unit == "fen" else used.count))
            carried = min(carried, allowance.carry_most) if allowance.carry_most else carried
        return own + carried

    def carried_windows(self, allowance: Allowance) -> list[str]:
        """Return the earlier windows whose remainder still counts, oldest first."""
        first, found = days.first_of(allowance.window, self.meal.day), list[str]()
        since = allowance.since
        if allowance.carry_within:
            since = max(since, days.first_of(allowance.carry_within, self.meal.day))
        for _ in range(allowance.carry):
            first = days.first_of(allowance.window, first - 1)
            if first < since:
                break
            found.append(str(first))
        return found[::-1]

    def room(self, ref: LimitRef, spent: int = 0) -> int:
        """Return the fen that may still be used of an amount limit, less those `spent` within this quote."""
        taken = self.taken(ref, self.window(ref.allowance))
        return max(0, self.limit(ref) - taken.fen - spent)

    def is_used_up(self, ref: LimitRef) -> bool:
        """Tell whether a count has no meal or day left. Nothing within a quote changes that, so it is cached."""
        key = self.key(ref)
        if key not in self._rooms:
            taken, limit = self.taken(ref, self.window(ref.allowance)), self.limit(ref)
            if ref.allowance.unit == "meal":
                self._rooms[key] = taken.count >= limit
            else:
                self._rooms[key] = self.meal.day not in taken.days and len(set(taken.days)) >= limit
        return self._rooms[key]


def _take(left: list[int], weights: Sequence[int], fen: int) -> int:
    """Take `fen` off the positions by weights, none below zero; return the fen that found no place."""
    most = [min(one, weight) for one, weight in zip(left, weights, strict=True)]
    whole = sum(most)
    if not fen or not whole:
        return fen
    taken, upto, before = min(fen, whole), 0, 0
    for place, weight in enumerate(most):
        upto += weight
        after = taken * upto // whole
        left[place] -= after - before
        before = after
    return fen - taken


def area_level(code: str) -> str:
    """Return 'province', 'city', 'district', 'street' or 'village' by the form of a code; '' for a functional area."""
    if not (code.isascii() and code.isdigit()):
        return ""
    if len(code) == 6:
        if code.endswith("0000"):
            return "province"
        return "city" if code.endswith("00") else "district"
    return {2: "province", 4: "city", 9: "street", 12: "village"}.get(len(code), "")


@lru_cache(maxsize=10_000)
def code_at(level: str, areas: tuple[str, ...]) -> str:
    """Return the code of this level among `areas`; '' where there is none."""
    for code in areas:
        if area_level(code) == level:
            return code
    return ""
