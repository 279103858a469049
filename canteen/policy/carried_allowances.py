"""The remainder of a window that later windows already used, where a limit carries over.

June may spend what May left. When a record of a May meal arrives only in June, from a tablet without a network, the
meal gets what is left after June's spending: otherwise both months would spend the same remainder.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from canteen.policy import days
from canteen.policy.bill import Bill
from canteen.policy.case import Diner, Meal, Taken
from canteen.policy.quote import Wanted
from canteen.policy.rules import Allowance, LimitRef, Rulebook

_LONGEST = {"day": 1, "week": 7, "month": 31, "quarter": 92, "year": 366}  # days


@dataclass(frozen=True, slots=True)
class Lent:
    """Fen or meals of an allowance's window that later windows already used."""

    allowance: str
    window: str
    unit: str
    amount: int


def later(book: Rulebook, diner: Diner, meal: Meal) -> list[Wanted]:
    """Return the later windows that may have used the remainder of this meal's; none where nothing carries over."""
    bill = Bill(diner, meal, ())
    return [
        Wanted(bill.key(ref), str(first), ref.allowance.unit, ref.allowance.scope)
        for ref in book.limit_refs
        for first in _following(ref.allowance, meal.day)
    ]


def lent(book: Rulebook, diner: Diner, meal: Meal, taken: Sequence[Taken]) -> list[Lent]:
    """Return what this meal may not use because later windows used it. `taken` covers the later windows too."""
    bill, found = Bill(diner, meal, taken), dict[str, Lent]()
    for ref in book.limit_refs:
        key, window = bill.key(ref), bill.window(ref.allowance)
        used = _used(bill, ref, window)
        kept = {first: _used(bill, ref, str(first)) for first in _following(ref.allowance, meal.day)}
        if any(kept.values()):
            room = max(0, bill.limit(ref) - used)
            free = _most(ref, diner, meal, taken, {first: amount for first, amount in kept.items() if amount}, room)
            found[key] = Lent(key, window, ref.allowance.unit, room - free)
    return [one for one in found.values() if one.amount]


def _most(ref: LimitRef, diner: Diner, meal: Meal, taken: Sequence[Taken], kept: dict[int, int], room: int) -> int:
    """Return the most of `room` that may be used so that every later window keeps what it used."""
    own = Bill(diner, meal, taken)
    key, window = own.key(ref), own.window(ref.allowance)
    others = [one for one in taken if (one.allowance, one.window) != (key, window)]
    used, low, high = _used(own, ref, window), 0, room
    while low < high:
        middle = (low + high + 1) // 2
        usage = (*others, Taken(key, window, count=used + middle, fen=used + middle))
        bills = {first: Bill(diner, replace(meal, day=first), usage) for first in kept}
        if all(bills[first].limit(ref) >= amount for first, amount in kept.items()):
            low = middle
        else:
            high = middle - 1
    return low


def _used(bill: Bill, ref: LimitRef, window: str) -> int:
    taken = bill.taken(ref, window)
    return taken.fen if ref.allowance.unit == "fen" else taken.count


def _following(allowance: Allowance, day: int) -> list[int]:
    """Return the first days of the windows that this one's remainder may go to."""
    first, found = days.first_of(allowance.window, day), list[int]()
    for _ in range(allowance.carry):
        first = days.first_of(allowance.window, first + _LONGEST[allowance.window])
        found.append(first)
    return found
