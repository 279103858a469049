"""Who is in an area and not in a full list of it."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen.db import batches
from canteen.registry import elders, facts
from canteen.registry.facts import Fact
from canteen.registry.models import Elder, ElderFact, ElderIdentity

_AWAY: Final = frozenset({"deceased", "moved_away"})
_HOME: Final = ("residence", "hukou")  # where somebody lives before where somebody is registered


@dataclass(frozen=True, slots=True)
class Absent:
    """An elder of the area whom the list does not have. `facts`: those that count; `valid`: of them those of today."""

    elder_id: uuid.UUID
    name: str = field(repr=False)
    number: str = field(repr=False)
    facts: list[Fact]
    valid: list[Fact]


def absent(session: Session, areas: Collection[str], listed: Collection[uuid.UUID], today: date) -> list[Absent]:
    """Return the elders who live in these areas today and are not listed; none who died, moved away or was merged."""
    ids = set[uuid.UUID]()
    for some in batches(areas):
        query = select(ElderFact.elder_id).where(ElderFact.kind.in_(_HOME), ElderFact.value.in_(some))
        ids |= set(session.execute(query.join(Elder, Elder.id == ElderFact.elder_id).where(elders.visible())).scalars())
    found, inside = list[Absent](), frozenset(areas)
    for some_ids in batches(ids.difference(listed)):
        newest = select(func.max(ElderIdentity.id)).where(ElderIdentity.elder_id.in_(some_ids))
        named = select(ElderIdentity.elder_id, ElderIdentity.name, ElderIdentity.number_masked)
        rows = session.execute(named.where(ElderIdentity.id.in_(newest.group_by(ElderIdentity.elder_id)))).all()
        known = elders.facts_of_many(session, list(some_ids))
        for elder_id, name, masked in rows:
            counting = facts.unretracted(known[elder_id])
            valid = facts.on_day(counting, today)
            if _is_there(valid, inside):
                found.append(Absent(elder_id, name, masked, counting, valid))
    return sorted(found, key=lambda each: (each.name, each.number))


def _is_there(valid: Collection[Fact], inside: frozenset[str]) -> bool:
    homes = {fact.kind: fact.value for fact in valid if fact.kind in _HOME}
    home = next((homes[kind] for kind in _HOME if kind in homes), None)
    away = any(fact.kind == "merged" or (fact.kind == "status" and fact.value in _AWAY) for fact in valid)
    return home in inside and not away
