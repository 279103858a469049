"""Benefits: what each verb takes off, as an exact fraction, and how that is rounded to whole fen.

A verb sees the bill, the fen it is reckoned on (its base), and the running price. What it answers may be more than
there is; stacking clips it to caps, floors and the price left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from canteen import money
from canteen.policy.bill import Bill
from canteen.policy.conditions import Terms
from canteen.policy.rules import Exact, Rounding, Worth

_WHOLE = 10_000  # hundredths of a percent
UNITS = {"fen": 1, "jiao": 10, "yuan": 100}
ON_LIST = frozenset({"at_most", "ceiling"})
"""Verbs that measure against the list price unless the rule says otherwise."""
CEILINGS = frozenset({"ceiling", "ceiling_fen"})
"""Verbs that measure and give nothing."""
UNPAID = CEILINGS | {"count"}
"""Verbs for which nobody pays."""


def worth_of(verb: str, value: Any, terms: Terms) -> Worth:
    """The compiled benefit of a verb and its value."""
    return MAKERS[verb](value, terms)


def rounded(off: Exact, base: int, rounding: Rounding) -> int:
    """Whole fen off the base: the benefit itself rounded, or such that the price left of the base is round."""
    unit = UNITS[rounding.to]
    if rounding.of == "benefit":
        return round_to(off.off, off.over * unit, rounding.by) * unit
    left = max(0, base * off.over - off.off)
    return max(0, base - round_to(left, off.over * unit, rounding.by) * unit)


def round_to(part: int, whole: int, by: str) -> int:
    """part / whole as a whole number; both are 0 or more, halves go as `by` says."""
    low, over = part // whole, part % whole
    if by == "down" or over == 0:
        return low
    if by == "up":
        return low + 1
    return low + 1 if 2 * over > whole or (2 * over == whole and by == "half_up") else low


def _off(percent: int, _terms: Terms) -> Worth:
    """So many percent off."""
    return lambda _bill, base, _left: Exact(base * percent, _WHOLE)


def _pay_percent(percent: int, _terms: Terms) -> Worth:
    """The elder pays so many percent (八五折 is pay_percent 85%)."""
    return lambda _bill, base, _left: Exact(base * (_WHOLE - percent), _WHOLE)


def _less(fen: int, _terms: Terms) -> Worth:
    """So many fen off."""
    exact = Exact(fen)
    return lambda _bill, _base, _left: exact


def _pay(fen: int, _terms: Terms) -> Worth:
    """The elder pays a fixed price, or the price itself where that is lower."""
    return lambda _bill, base, _left: Exact(max(0, base - fen))


def _at_most(percent: int, _terms: Terms) -> Worth:
    """The running price is brought down to at most so many percent of the base; it is never raised."""
    return lambda _bill, base, left: Exact(max(0, left - base * percent // _WHOLE))


def _all_free(_all: str, _terms: Terms) -> Worth:
    return lambda _bill, base, _left: Exact(base)


def _free_set(named: dict[str, Any], terms: Terms) -> Worth:
    """So many of a set are free, the dearest first; the rest of the bill keeps its list price, whatever was off before."""
    goods, free = terms.sets[named["set"]], named.get("qty", 1)

    def worth(bill: Bill, base: int, left: int) -> Exact:
        prices = sorted(
            (line.fen for line in bill.meal.lines if goods.hold(line) for _ in range(line.qty)), reverse=True
        )
        return Exact(min(sum(prices[:free]), max(0, max(base, left) - (bill.list - sum(prices)))))

    return worth


def _prices(listed: list[dict[str, Any]], _terms: Terms) -> Worth:
    """A price list: each listed item at its price (which may be above the menu's), all others as they are."""
    price = {one["item"]: one["price"] for one in listed}

    def worth(bill: Bill, _base: int, _left: int) -> Exact:
        off = sum(line.qty * (line.fen - price[line.item]) for line in bill.meal.lines if line.item in price)
        return Exact(max(0, off))

    return worth


def _seat(table: dict[str, int], _terms: Terms) -> Worth:
    """A seat at a table of a fixed price; the odd fen go to the first seats."""

    def worth(bill: Bill, base: int, _left: int) -> Exact:
        seat = bill.meal.table
        if seat is None:
            return Exact(0)
        return Exact(max(0, base - money.split(table["price"], [1] * seat.seats)[seat.seat - 1]))

    return worth


def _nothing(_value: Any, _terms: Terms) -> Worth:
    """Checks, counting, and the rounding of the price: stacking does them."""
    return lambda _bill, _base, _left: Exact(0)


MAKERS: dict[str, Callable[[Any, Terms], Worth]] = {
    "at_most": _at_most,
    "ceiling": _nothing,
    "ceiling_fen": _nothing,
    "count": _nothing,
    "credit": _all_free,
    "free": _all_free,
    "free_set": _free_set,
    "free_up_to": _less,
    "less": _less,
    "off": _off,
    "pay": _pay,
    "pay_percent": _pay_percent,
    "prices": _prices,
    "round_price": _nothing,
    "seat": _seat,
    "suggest": _all_free,
    "top_up": _less,
}
"""Every verb; grammar.py says what may stand behind it."""
