"""Benefits: what each verb takes off, as an exact fraction, and how that is rounded to whole fen.

A verb reads the bill, the fen it is computed on (its base), and the running price. Its result may exceed the price;
stacking clips it to caps, floors and the price left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from canteen import money
from canteen.policy.bill import Bill
from canteen.policy.conditions import Terms
from canteen.policy.rules import ByItem, Exact, Rounding, Worth

_WHOLE = 10_000  # hundredths of a percent
UNITS = {"fen": 1, "jiao": 10, "yuan": 100}
ON_LIST = frozenset({"at_most", "ceiling"})
"""Verbs that measure against the list price unless the rule says otherwise."""
TARGETS = frozenset({"pay", "prices", "seat", "free", "free_set"})
"""Verbs that fix what is to be paid in the end: they measure what is still to be paid, in whatever stage."""
CEILINGS = frozenset({"ceiling", "ceiling_fen"})
"""Verbs that measure and give nothing."""
UNPAID = CEILINGS | {"count"}
"""Verbs that no fund pays for."""


def worth_of(verb: str, value: Any, terms: Terms) -> tuple[Worth, ByItem | None]:
    """Compile a verb and its value: the benefit, and what it takes off each position where it names items."""
    if verb in BY_ITEM:
        by_item = BY_ITEM[verb](value, terms)
        return _summed(by_item), by_item
    return MAKERS[verb](value, terms), None


def rounded(off: Exact, base: int, rounding: Rounding) -> int:
    """Round a benefit to whole fen: the benefit itself, or such that the price left of the base is round."""
    unit = UNITS[rounding.to]
    if rounding.of == "benefit":
        return round_to(off.off, off.over * unit, rounding.by) * unit
    left = max(0, base * off.over - off.off)
    return max(0, base - round_to(left, off.over * unit, rounding.by) * unit)


def round_to(part: int, whole: int, by: str) -> int:
    """Divide part by whole and round to a whole number; both are 0 or more, `by` says how halves go."""
    low, over = part // whole, part % whole
    if by == "down" or over == 0:
        return low
    if by == "up":
        return low + 1
    return low + 1 if 2 * over > whole or (2 * over == whole and by == "half_up") else low


def _off(percent: int, _terms: Terms) -> Worth:
    """Take so many percent off."""
    return lambda _bill, base, _left: Exact(base * percent, _WHOLE)


def _pay_percent(percent: int, _terms: Terms) -> Worth:
    """Let the elder pay so many percent (八五折 is pay_percent 85%)."""
    return lambda _bill, base, _left: Exact(base * (_WHOLE - percent), _WHOLE)


def _less(fen: int, _terms: Terms) -> Worth:
    """Take so many fen off."""
    exact = Exact(fen)
    return lambda _bill, _base, _left: exact


def _pay(fen: int, _terms: Terms) -> Worth:
    """Let the elder pay a fixed price, or the price itself where that is lower."""
    return lambda _bill, base, _left: Exact(max(0, base - fen))


def _at_most(percent: int, _terms: Terms) -> Worth:
    """Bring the running price down to at most so many percent of the base; never raise it."""
    return lambda _bill, base, left: Exact(max(0, left - base * percent // _WHOLE))


def _all_free(_all: str, _terms: Terms) -> Worth:
    return lambda _bill, base, _left: Exact(base)


def _free_set(named: dict[str, Any], terms: Terms) -> ByItem:
    """Make so many of a set free, those with most left to pay first."""
    goods, free = terms.sets[named["set"]], named.get("qty", 1)

    def off(bill: Bill, left: Sequence[int]) -> list[int]:
        found, units = [0] * len(left), list[tuple[int, int]]()
        for place, line in enumerate(bill.meal.lines):
            if goods.contains(line):
                units += [(-fen, place) for fen in money.split(left[place], [1] * line.qty)]
        for fen, place in sorted(units)[:free]:
            found[place] -= fen
        return found

    return off


def _prices(listed: list[dict[str, Any]], _terms: Terms) -> ByItem:
    """Take off, of each item on a price list, what is left to pay above its listed price."""
    price = price_list(listed)

    def off(bill: Bill, left: Sequence[int]) -> list[int]:
        found = [0] * len(left)
        for place, line in enumerate(bill.meal.lines):
            if line.item in price:
                found[place] = max(0, left[place] - price[line.item] * line.qty)
        return found

    return off


def price_list(listed: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the listed price of each item, in fen."""
    return {one["item"]: one["price"] for one in listed}


def _summed(by_item: ByItem) -> Worth:
    return lambda bill, _base, _left: Exact(sum(by_item(bill, bill.left_at(bill.running_price))))


def _seat(table: dict[str, int], _terms: Terms) -> Worth:
    """Charge a seat's part of a table's fixed price; the odd fen go to the first seats."""

    def worth(bill: Bill, base: int, _left: int) -> Exact:
        seat = bill.meal.table
        if seat is None:
            return Exact(0)
        return Exact(max(0, base - money.split(table["price"], [1] * seat.seats)[seat.seat - 1]))

    return worth


def _nothing(_value: Any, _terms: Terms) -> Worth:
    """Give nothing: checks, counts and the rounding of the price are done in stacking."""
    return lambda _bill, _base, _left: Exact(0)


MAKERS: dict[str, Callable[[Any, Terms], Worth]] = {
    "at_most": _at_most,
    "ceiling": _nothing,
    "ceiling_fen": _nothing,
    "count": _nothing,
    "credit": _all_free,
    "free": _all_free,
    "free_up_to": _less,
    "less": _less,
    "off": _off,
    "pay": _pay,
    "pay_percent": _pay_percent,
    "round_price": _nothing,
    "seat": _seat,
    "suggest": _all_free,
    "top_up": _less,
}
"""Every verb that is computed on the bill as a whole; grammar.py defines its value."""
BY_ITEM: dict[str, Callable[[Any, Terms], ByItem]] = {"free_set": _free_set, "prices": _prices}
"""Every verb that is computed item by item."""
