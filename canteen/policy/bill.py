"""What the rules see while one quote is made: the diner, the meal, the running price, and what was used before."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from canteen.policy import days
from canteen.policy.case import Diner, Meal, Taken
from canteen.policy.rules import Allowance, Base, Lean

_NOTHING = Taken("", "")


class Bill:
    """One meal being priced. `left` is the running price in fen; whatever is reckoned twice is kept."""

    __slots__ = ("_ages", "_rooms", "_taken", "_windows", "diner", "left", "list", "meal")

    def __init__(self, diner: Diner, meal: Meal, taken: Sequence[Taken]) -> None:
        self.diner = diner
        self.meal = meal
        self.list = meal.list_fen
        self.left = self.list
        self._taken = {(one.allowance, one.window): one for one in taken}
        self._ages: dict[tuple[str, str], int | None] = {}
        self._windows: dict[str, str] = {}
        self._rooms: dict[str, bool] = {}

    def age(self, reckoning: str, leap_day: str) -> int | None:
        """Completed years on the meal's day by the rulebook's reckoning; None where the birthday is unknown."""
        kind = (reckoning, leap_day)
        if kind not in self._ages:
            birth = self.diner.birth_day
            self._ages[kind] = None if birth is None else days.age(birth, self.meal.day, reckoning, leap_day)
        return self._ages[kind]

    def base(self, base: Base, price: int) -> int:
        """The fen a benefit is reckoned on, out of `price` (or of the list price, if the rule says so).

        What is left out counts at its list price: earlier reductions are taken to have fallen on the rest.
        """
        whole = self.list if base.of == "list" else price
        if base.whole:
            return whole
        eligible = max(0, whole - self._left_out(base) - base.over)
        return eligible if base.first is None else min(eligible, base.first)

    def _left_out(self, base: Base) -> int:
        fees = self.meal.fees
        if base.only is not None:
            return self.list - sum(line.fen * line.qty for line in self.meal.lines if base.only.hold(line))
        out = fees.delivery if "delivery" in base.leave_out else 0
        out += fees.packaging if "packaging" in base.leave_out else 0
        out += self.meal.goods_fen if "goods" in base.leave_out else 0
        if base.but is not None:
            out += sum(line.fen * line.qty for line in self.meal.lines if base.but.hold(line))
        return out

    # --- limits ---------------------------------------------------------------------------------------------

    def key(self, lean: Lean) -> str:
        """The allowance's name with all that its scope and place ask for."""
        allowance = lean.allowance
        if allowance.where == "everywhere":
            return allowance.id + lean.suffix
        if allowance.where == "canteen":
            return f"{allowance.id}@{self.meal.canteen.id}{lean.suffix}"
        return f"{allowance.id}@{code_at(allowance.where, self.meal.canteen.areas)}{lean.suffix}"

    def window(self, allowance: Allowance) -> str:
        """The window of this meal."""
        kind = allowance.window
        if kind not in self._windows:
            self._windows[kind] = days.window_name(kind, self.meal.day, self.meal.period)
        return self._windows[kind]

    def taken(self, lean: Lean, window: str) -> Taken:
        return self._taken.get((self.key(lean), window), _NOTHING)

    def limit(self, lean: Lean) -> int:
        """The limit of this meal's window, with what earlier windows left where the allowance carries over."""
        allowance = lean.allowance
        own = max(0, self.diner.levels.get(allowance.scale, 0)) if allowance.scale else allowance.limit
        if not allowance.carry:
            return own
        carried = 0
        for window in self.carried_windows(allowance):
            used, then = self.taken(lean, window), own
            if allowance.earlier:
                then = next((limit for last, limit in allowance.earlier if int(window) <= last), own)
            carried = max(0, carried + then - (used.fen if allowance.unit == "fen" else used.count))
            carried = min(carried, allowance.carry_most) if allowance.carry_most else carried
        return own + carried

    def carried_windows(self, allowance: Allowance) -> list[str]:
        """The earlier windows whose leavings still count, oldest first."""
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

    def room(self, lean: Lean, spent: int = 0) -> int:
        """Fen that may still be used of an amount limit, less those `spent` within this quote."""
        taken = self.taken(lean, self.window(lean.allowance))
        return max(0, self.limit(lean) - taken.fen - spent)

    def is_used_up(self, lean: Lean) -> bool:
        """No further meal or day is left of a count. Nothing within a quote changes that, so it is reckoned once."""
        key = self.key(lean)
        if key not in self._rooms:
            taken, limit = self.taken(lean, self.window(lean.allowance)), self.limit(lean)
            if lean.allowance.unit == "meal":
                self._rooms[key] = taken.count >= limit
            else:
                self._rooms[key] = self.meal.day not in taken.days and len(set(taken.days)) >= limit
        return self._rooms[key]


def area_level(code: str) -> str:
    """'province', 'city', 'district', 'street' or 'village' by the form of an area's code; '' for a functional area."""
    if not (code.isascii() and code.isdigit()):
        return ""
    if len(code) == 6:
        if code.endswith("0000"):
            return "province"
        return "city" if code.endswith("00") else "district"
    return {2: "province", 4: "city", 9: "street", 12: "village"}.get(len(code), "")


@lru_cache(maxsize=10_000)
def code_at(level: str, areas: tuple[str, ...]) -> str:
    """The code among `areas` that is of the level; '' where there is none."""
    for code in areas:
        if area_level(code) == level:
            return code
    return ""
