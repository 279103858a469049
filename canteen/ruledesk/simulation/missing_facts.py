"""Facts that a rulebook asks of a past meal but that were not recorded: such a meal is left open, with the reason."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import keyset
from canteen.policy import days
from canteen.policy.case import Diner, Meal
from canteen.policy.lint import stable_id
from canteen.policy.outcome import Use
from canteen.policy.rules import Rulebook
from canteen.pos.models import SaleUse
from canteen.registry import facts
from canteen.registry.facts import Fact
from canteen.registry.models import ElderFact
from canteen.ruledesk.simulation.usage_replay import base_id

LASTING = ("week", "month", "quarter", "year", "ever")
"""Windows that may have begun before the months replayed."""


@dataclass(frozen=True, slots=True)
class Needs:
    """The facts a rulebook asks for that may not have been recorded."""

    scales: frozenset[str]  # asked for, and never rated of anybody
    lived: bool
    ordered: bool
    goods: bool
    known: frozenset[str]  # allowances that were counted in the past
    watched: frozenset[str]  # allowances that a condition looks at
    classes: list[str]  # asked for, and never recorded of anybody

    @classmethod
    def of(cls, document: Mapping[str, Any], session: Session) -> Needs:
        words = list(words_of(document))
        levels = session.execute(select(ElderFact.value).where(ElderFact.kind == "level").distinct()).scalars()
        rated = {str(value).partition(":")[0].partition("=")[0] for value in levels}
        classes = set(session.execute(select(ElderFact.value).where(ElderFact.kind == "class").distinct()).scalars())
        scales = {value for word, value in words if word in ("scale", "limit_level")}
        asked = {code for word, value in words if word == "class" for code in value}
        counted = {one["id"]: stable_id(one) for one in document.get("allowances", ())}
        known = set(session.execute(select(SaleUse.allowance).distinct()).scalars())
        return cls(
            frozenset(scales - rated),
            any(word in ("lived", "lived_months") for word, _ in words),
            any(word == "ordered_by" for word, _ in words),
            any(word in ("has_item", "free_set", "prices", "only", "but") for word, _ in words),
            frozenset(base_id(name) for name in known),
            frozenset(
                counted.get(str(value["allowance"]), str(value["allowance"]))
                for word, value in words
                if word == "used" and isinstance(value, dict)
            ),
            sorted(asked - classes),
        )

    def before(self, diner: Diner, meal: Meal) -> str:
        """Return why a meal cannot be priced at all; '' when every fact asked for is known."""
        if diner.kind == "elder" and (why := self._of_person(diner)):
            return why
        if self.ordered and meal.ordered_at is None:
            return "ordered_at"
        return "lines" if self.goods and not meal.lines else ""

    def _of_person(self, diner: Diner) -> str:
        if diner.birth_day is None:
            return "birth_day"
        if self.scales:
            return "level"
        return "residence_since" if self.lived and diner.residence_since is None else ""

    def after(self, uses: Sequence[Use], book: Rulebook, day: int, since: int, *, household: bool) -> str:
        """Return why a price that draws on these limits is not sure; '' when it is.

        since      the civil day from which on every meal is replayed
        household  whether it is known who the elder lived with on `day`
        """
        named = {base_id(use.allowance) for use in uses} | self.watched
        for allowance in {
            ref.allowance.id: ref.allowance for ref in book.limit_refs if ref.allowance.id in named
        }.values():
            if allowance.scope == "household" and not household:
                return "household"
            begun = allowance.window in LASTING and days.first_of(allowance.window, day) < since
            if begun and allowance.scope != "budget" and allowance.id not in self.known:
                return "used_before"
        return ""


def words_of(value: object) -> Iterator[tuple[str, Any]]:
    """Yield every word of a document with its value."""
    if isinstance(value, list):
        for inner in value:
            yield from words_of(inner)
    elif isinstance(value, dict):
        for word, inner in value.items():
            yield word, inner
            yield from words_of(inner)


class Households:
    """Households on a day, by the facts valid now; the facts of merged persons are one person's."""

    def __init__(self, roots: Mapping[uuid.UUID, uuid.UUID]) -> None:
        self._facts: dict[uuid.UUID, list[Fact]] = defaultdict(list)
        columns = (
            ElderFact.id, ElderFact.elder_id, ElderFact.kind, ElderFact.value, ElderFact.from_day, ElderFact.to_day,
            ElderFact.recorded, ElderFact.source, ElderFact.retracts,
        )  # fmt: skip
        for rows in keyset.rows(select(*columns).where(ElderFact.kind == "household"), [ElderFact.id]):
            for row in rows:
                self._facts[roots.get(row.elder_id, row.elder_id)].append(Fact(*row))

    def of(self, person: uuid.UUID, on: date) -> str:
        """Return the household's code; '' where none is known for that day."""
        found = self._facts.get(person)
        valid = facts.on_day(facts.unretracted(found), on) if found else []
        return valid[0].value if valid else ""
