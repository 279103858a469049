"""Ages that a rulebook can tell apart. PURE: whoever is in the same band on the same day pays the same, all else equal.

A birth day reaches a price through the completed years alone, which are compared with bounds; a rulebook that grants
something for a birthday tells every birth day apart.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from canteen.policy import days

_BOUNDS, _OLDEST = ("from", "below"), 151
_UNBOUNDED = (-1, 999)  # what stands for a bound that a condition leaves out


@dataclass(frozen=True, slots=True)
class AgeBands:
    """The ways in which a rulebook's layers count years, and every number that an age may be compared with."""

    reckonings: tuple[tuple[str, str], ...]
    bounds: tuple[int, ...]

    def of(self, birth: int, on: int) -> tuple[int, ...]:
        """Return the band of a birth day on the day of a meal, both civil numbers, for each way of counting."""
        return tuple([bisect_right(self.bounds, days.age(birth, on, *way)) for way in self.reckonings])


def age_bands(document: Mapping[str, Any]) -> AgeBands | None:
    """Return the bands of a joined rulebook; None where it tells birthdays apart.

    Every small whole number that any span begins or ends with is taken for an age: too many bands do no harm.
    """
    found = {
        number
        for word, number in _words(document)
        if word in _BOUNDS and type(number) is int and 0 <= number <= _OLDEST
    }
    if any(word == "birthday" for word, _ in _words(document.get("layers", [document]))):
        return None
    ways = {
        (age.get("reckoning", "birthday"), age.get("leap_day", "mar1"))
        for age in (layer.get("age", {}) for layer in document.get("layers", [document]))
    }
    return AgeBands(tuple(sorted(ways)), tuple(sorted({*found, *_UNBOUNDED})))


def _words(part: object) -> Iterator[tuple[str, object]]:
    """Yield every key at any depth with its value."""
    if isinstance(part, Mapping):
        for word, value in part.items():
            yield word, value
            yield from _words(value)
    elif isinstance(part, list):
        for one in part:
            yield from _words(one)
