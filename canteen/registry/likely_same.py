"""Entries that are likely one person: the same name, birth date and street, under numbers that differ.

Nothing follows of itself: an import asks, the desk lists them beside the merge, a close names meals on both.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from canteen.db import batches
from canteen.registry import elders, facts
from canteen.registry.models import Elder, ElderFact, ElderIdentity

STREET: Final = 9  # digits of a street's code, with which the codes of its communities begin

Key = tuple[str, str]  # name, birth date


@dataclass(frozen=True, slots=True)
class RosterEntry:
    """The data by which entries are compared. `root`: the person's entry where some were merged."""

    id: uuid.UUID
    root: str
    name: str
    masked: str
    birth: str
    streets: frozenset[str]

    def like(self, other: RosterEntry) -> bool:
        same = (self.name, self.birth) == (other.name, other.birth)
        return same and self.root != other.root and not self.streets.isdisjoint(other.streets)


def streets_of(codes: Iterable[str | None]) -> frozenset[str]:
    """Return the streets that area codes lie in; an area above or beside the streets is itself."""
    return frozenset(code[:STREET] for code in codes if code)


def named(session: Session, keys: Collection[Key], known_at: int | None = None) -> dict[Key, list[RosterEntry]]:
    """Return the entries of these names and birth dates, as known up to event `known_at`; None is now."""
    found: dict[Key, list[RosterEntry]] = defaultdict(list)
    for some in batches({birth for _, birth in keys}):
        born = select(ElderFact.elder_id).where(ElderFact.kind == "birth", ElderFact.value.in_(some))
        names = {name for name, birth in keys if birth in some}
        query = select(ElderIdentity.elder_id).where(ElderIdentity.elder_id.in_(born), ElderIdentity.name.in_(names))
        for entry in _entries(session, set(session.execute(query).scalars()), known_at):
            if (entry.name, entry.birth) in keys:
                found[entry.name, entry.birth].append(entry)
    return found


def twins(
    session: Session, ids: Collection[uuid.UUID], known_at: int | None = None
) -> dict[uuid.UUID, list[RosterEntry]]:
    """Return entry -> entries that are likely the same person; entries without any are left out."""
    mine = _entries(session, _namesakes(session, ids), known_at)
    there = named(session, {(entry.name, entry.birth) for entry in mine}, known_at)
    found = {entry.id: [o for o in there.get((entry.name, entry.birth), ()) if entry.like(o)] for entry in mine}
    return {each: others for each, others in found.items() if others}


def _namesakes(session: Session, ids: Collection[uuid.UUID]) -> list[uuid.UUID]:
    """Return the entries whose name and birth date another entry ever had: few, so few facts are read."""
    birth, others_birth, other = aliased(ElderFact), aliased(ElderFact), aliased(ElderIdentity)
    found = list[uuid.UUID]()
    for some in batches(ids):
        query = (
            select(ElderIdentity.elder_id)
            .distinct()
            .join(birth, and_(birth.elder_id == ElderIdentity.elder_id, birth.kind == "birth"))
            .join(others_birth, and_(others_birth.kind == "birth", others_birth.value == birth.value))
            .join(other, and_(other.elder_id == others_birth.elder_id, other.name == ElderIdentity.name))
            .where(ElderIdentity.elder_id.in_(some), other.elder_id != ElderIdentity.elder_id, birth.value != "")
        )
        found += session.execute(query).scalars()
    return found


def groups(session: Session, within: Collection[str], limit: int = 200) -> list[list[RosterEntry]]:
    """Return entries that are likely one person, by name: the groups with somebody who lives in one of these areas."""
    birth, identity = aliased(ElderFact), ElderIdentity
    often = (
        select(identity.name, birth.value)
        .join(birth, birth.elder_id == identity.elder_id)
        .where(birth.kind == "birth", birth.value != "")
        .group_by(identity.name, birth.value)
        .having(func.count(identity.elder_id.distinct()) > 1)
        .order_by(identity.name, birth.value)
    )
    there = named(session, {(name, born) for name, born in session.execute(often)})
    near, found = set(streets_of(within)), list[list[RosterEntry]]()
    for _, entries in sorted(there.items()):
        alike = [one for one in entries if any(one.like(other) for other in entries)]
        if alike and any(not one.streets.isdisjoint(near) for one in alike):
            found.append(sorted(alike, key=lambda one: one.masked))
    return found[:limit]


def _entries(session: Session, ids: Collection[uuid.UUID], known_at: int | None) -> list[RosterEntry]:
    """Return the entries by id, with the newest name that was known."""
    found = list[RosterEntry]()
    for some in batches(ids):
        newest = select(func.max(ElderIdentity.id)).where(ElderIdentity.elder_id.in_(some))
        if known_at is not None:
            newest = newest.where(ElderIdentity.recorded <= known_at)
        rows = session.execute(
            select(ElderIdentity.elder_id, ElderIdentity.name, ElderIdentity.number_masked)
            .join(Elder, Elder.id == ElderIdentity.elder_id)
            .where(ElderIdentity.id.in_(newest.group_by(ElderIdentity.elder_id)), elders.visible())
        ).all()
        known = elders.facts_of_many(session, [row[0] for row in rows])
        for elder_id, name, masked in rows:
            unretracted = facts.unretracted(known[elder_id], known_at)
            by_kind = _by_kind(unretracted)
            if births := by_kind.get("birth"):
                root = facts.merged_into(unretracted).get(str(elder_id), str(elder_id))
                areas = streets_of([*by_kind.get("hukou", ()), *by_kind.get("residence", ())])
                found.append(RosterEntry(elder_id, root, name, masked, births[-1], areas))
    return found


def _by_kind(known: Iterable[facts.Fact]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for fact in known:
        if fact.value:
            found[fact.kind].append(fact.value)
    return found
