"""Which new facts may raise what somebody is given, now or on past days. Facts in, facts out; reads no database.

A fact that may raise one is asked for and confirmed by a second person; one that only ends or lowers is valid at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import date
from typing import Final, Protocol

from canteen.registry import facts as dated
from canteen.registry.facts import ONE_DAY, Fact

ENTITLING: Final = ("class", "level")  # kinds of which each new value may carry a benefit, from whatever day
_PLACING: Final = ("hukou", "residence", "household")  # back-dated they may, whichever way they change
_FREE: Final = ("status", "benefit", "merged")  # of these a merge brings nothing that raises
_STOPPING: Final = frozenset({"deceased"})


class New(Protocol):
    """A fact to be added, as `elders.NewFact`."""

    @property
    def kind(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def from_day(self) -> date: ...
    @property
    def to_day(self) -> date | None: ...
    @property
    def retracts(self) -> int | None: ...


def raising_kinds(known: Sequence[Fact], new: Sequence[New], today: date, *, fresh: bool = False) -> set[str]:
    """Return the kinds of which these new facts may raise something. Facts of one kind go together.

    fresh    somebody registered just now, who has eaten nothing yet: only classes and levels count
    """
    kinds = {fact.kind for fact in new}
    if fresh:
        return kinds.intersection(ENTITLING)
    return {kind for kind in kinds if _raises(kind, known, [fact for fact in new if fact.kind == kind], today)}


def changes(known: Sequence[Fact], new: Sequence[New], kind: str) -> list[tuple[date, list[Fact], list[Fact]]]:
    """Return the days on which a kind's valid facts change: (first day, valid until then, valid from then on)."""
    before, after = _of(kind, dated.unretracted(known)), _of(kind, dated.unretracted([*known, *as_facts(known, new)]))
    found = []
    for day in _turns([*before, *after]):
        earlier, later = dated.on_day(before, day), dated.on_day(after, day)
        if {fact.value for fact in earlier} != {fact.value for fact in later}:
            found.append((day, earlier, later))
    return found


def as_facts(known: Sequence[Fact], new: Iterable[New]) -> list[Fact]:
    """Return new facts as they would follow all known ones."""
    last, recorded = max((fact.id for fact in known), default=0), max((fact.recorded for fact in known), default=0) + 1
    about = known[0].elder_id if known else uuid.UUID(int=0)
    return [
        Fact(n, about, fact.kind, fact.value, fact.from_day, fact.to_day, recorded, retracts=fact.retracts)
        for n, fact in enumerate(new, last + 1)
    ]


def merge_raises(one: Collection[Fact], other: Collection[Fact]) -> bool:
    """Return whether a merge gives either entry anything it did not have, by the facts that count of the two."""
    states, other_states = (
        {(fact.kind, fact.value) for fact in facts if fact.kind not in _FREE} for facts in (one, other)
    )
    return states != other_states


def _raises(kind: str, known: Sequence[Fact], new: Sequence[New], today: date) -> bool:
    if kind in {"merged", "birth", "sex"}:
        return True  # of a merge and its undoing the caller decides first; the others are no facts to add
    for day, earlier, later in changes(known, new, kind):
        gained = {fact.value for fact in later} - {fact.value for fact in earlier}
        lost = {fact.value for fact in earlier} - {fact.value for fact in later}
        if kind in ENTITLING and gained:
            return True
        if kind == "benefit" and lost:
            return True
        if kind == "status" and (lost & _STOPPING or (lost and day < today)):
            return True
        if day < today and (kind in _PLACING or (kind == "enrolled" and gained)):
            return True
    return False


def _of(kind: str, facts: Iterable[Fact]) -> list[Fact]:
    return [fact for fact in facts if fact.kind == kind]


def _turns(facts: Iterable[Fact]) -> list[date]:
    """Return the days on which the valid facts may change."""
    days = set[date]()
    for fact in facts:
        ends = [fact.from_day, fact.to_day or date.max]  # a death counts from the day after
        days |= {fact.from_day} | {day + ONE_DAY for day in ends if day < date.max}
    return sorted(days)
