"""What a file would change, row by row and field by field, in words for the person who decides on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from canteen.registry import benefit_gains, fact_lines
from canteen.registry import facts as dated
from canteen.registry.elders import NewFact
from canteen.registry.facts import Fact

NOTHING = "无"


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field before and after. `waits`: it is valid once a second person confirms it."""

    title: str
    before: str = field(repr=False)
    after: str = field(repr=False)
    waits: bool = False

    def doc(self) -> dict[str, Any]:
        return {"field": self.title, "before": self.before, "after": self.after, "waits": self.waits}


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One entry that a file adds, changes, or no longer has.

    kind      'new', 'changed' or 'gone'
    sheet     '' in a .csv; row: 0 for an entry that is gone
    number    masked
    """

    kind: str
    sheet: str
    row: int
    name: str = field(repr=False)
    number: str = field(repr=False)
    fields: tuple[FieldChange, ...] = ()

    def doc(self) -> dict[str, Any]:
        """Return the line as JSON. It holds personal data: it is for the caller and is kept nowhere."""
        where = {"kind": self.kind, "sheet": self.sheet, "row": self.row}
        return where | {"name": self.name, "number": self.number, "fields": [each.doc() for each in self.fields]}


def fields_of(
    known: Sequence[Fact], added: Sequence[NewFact], since: date, names: Mapping[str, str], waiting: Iterable[str]
) -> list[FieldChange]:
    """Return the fields that facts change, as of the day from which they are stated. Pure.

    known     the facts that count; names: of areas and canteens by code; waiting: kinds that a second person confirms
    """
    after, kinds, waits = [*known, *benefit_gains.as_facts(known, added)], {fact.kind for fact in added}, set(waiting)
    found = []
    for kind, word in fact_lines.KIND_WORDS.items():
        if kind in kinds:
            days = [since, *(fact.from_day for fact in added if fact.kind == kind and fact.value)]
            pairs = [(_words(known, kind, day, names), _words(after, kind, day, names)) for day in days]
            before, now = next((pair for pair in pairs if pair[0] != pair[1]), pairs[0])
            found.append(FieldChange(word, before, now, kind in waits))
    return found


def _words(facts: Iterable[Fact], kind: str, day: date, names: Mapping[str, str]) -> str:
    valid = dated.on_day(dated.unretracted(fact for fact in facts if fact.kind == kind), day)
    words = [
        fact_lines.in_words(fact, names) + (f"（至 {fact.to_day.isoformat()}）" if fact.to_day else "")
        for fact in valid
    ]
    return "、".join(sorted(words)) or NOTHING
