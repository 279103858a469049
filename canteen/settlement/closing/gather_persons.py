"""Read who is one person, who has died, who is likely the same person and what became known late, up to a cut-off."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import date

from sqlalchemy import and_, select

from canteen import keyset
from canteen.ledger.models import Period
from canteen.pos.models import Sale, Void
from canteen.registry import facts as dated
from canteen.registry import likely_same
from canteen.registry.elders import FACT_COLUMNS
from canteen.registry.models import ElderFact
from canteen.settlement.closing.gather import batches
from canteen.settlement.closing.statement import Cut


class Clusters:
    """Elders known, up to a cut-off, to be one person (ruling 42)."""

    def __init__(self, parents: Mapping[str, str]) -> None:
        self._parents = parents
        self._members: dict[str, set[str]] = defaultdict(set)
        for person in {*parents, *parents.values()}:
            self._members[self.root(person)].add(person)

    def root(self, person: str) -> str:
        seen = {person}
        while (parent := self._parents.get(person)) is not None and parent not in seen:
            person = parent
            seen.add(person)
        return person

    def members(self, person: str) -> set[str]:
        return self._members.get(self.root(person)) or {person}

    def roots(self) -> dict[str, str]:
        """Return everyone who is part of a cluster, with its root."""
        return {person: self.root(person) for members in self._members.values() for person in members}


def clusters(cut: Cut) -> Clusters:
    """Read merges as recorded up to the cut-off."""
    return Clusters(dated.merged_into(dated.unretracted(facts_of("merged"), cut.facts)))


def facts_of(kind: str, elders: Collection[uuid.UUID] | None = None) -> list[dated.Fact]:
    """Read facts of a kind with their retractions, which are of the same kind; the registry says which count."""
    query = select(*FACT_COLUMNS).where(ElderFact.kind == kind)
    if elders is not None:
        query = query.where(keyset.among(ElderFact.elder_id, elders))
    return [dated.Fact(*row) for row in keyset.once(query)]


def deaths(elders: Collection[str], known: Clusters, cut: Cut) -> dict[str, date]:
    """Read each elder's day of death as recorded up to the cut-off, also under an id merged with theirs."""
    asked = {member for elder in elders for member in known.members(elder)}
    days: dict[str, date] = {}
    for some in batches(sorted(asked), 500):
        for fact in dated.unretracted(facts_of("status", [uuid.UUID(elder) for elder in some]), cut.facts):
            if fact.value == "deceased":
                root = known.root(str(fact.elder_id))
                days[root] = min(days.get(root, date.max), fact.from_day)
    return {elder: days[known.root(elder)] for elder in elders if known.root(elder) in days}


def twins(elders: Collection[str], known: Clusters, cut: Cut, first: date, last: date) -> dict[str, list[str]]:
    """Find for valid sales those of the same day and meal, anywhere, of an entry that is likely the same person.

    elders       whose sales are asked for, on the days from `first` to `last`
    Two entries that are known to be one are none: their limits are one already.
    """
    with keyset.reader() as session:
        likely = likely_same.twins(session, [uuid.UUID(each) for each in elders], cut.facts)
    alike = {
        str(each): [str(one.id) for one in others if known.root(str(each)) != known.root(str(one.id))]
        for each, others in likely.items()
    }
    eaten: dict[tuple[date, str], list[tuple[str, str]]] = defaultdict(list)
    for some in batches(sorted({*alike, *(other for others in alike.values() for other in others)}), 500):
        query = (
            select(Sale.service_day, Sale.period, Sale.id, Sale.elder_id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
            .where(
                keyset.among(Sale.elder_id, [uuid.UUID(elder) for elder in some]),
                Sale.service_day.between(first, last),
                Sale.record_id <= cut.records,
                Void.id.is_(None),
            )
        )
        for day, meal, sale, elder in keyset.once(query):
            eaten[day, meal].append((str(sale), str(elder)))
    found: dict[str, list[str]] = {}
    for together in eaten.values():
        for mine, eater in together:
            if also := sorted(other for other, whose in together if whose in alike.get(eater, ())):
                found[mine] = also
    return found


def known_late(period: Period, known: Clusters, cut: Cut) -> list[uuid.UUID]:
    """Find valid sales of earlier periods whose elder's death or merge was recorded since the last close."""
    affected = keyset.once(
        select(ElderFact.elder_id)
        .where(
            ElderFact.kind.in_(("status", "merged")),
            ElderFact.recorded > cut.facts_before,
            ElderFact.recorded <= cut.facts,
        )
        .distinct()
    )
    asked = {uuid.UUID(member) for (elder,) in affected for member in known.members(str(elder))}
    found: list[uuid.UUID] = []
    for some in batches(sorted(asked), 500):
        query = (
            select(Sale.id)
            .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
            .where(
                keyset.among(Sale.elder_id, some),
                Sale.contract_id == period.contract_id,
                Sale.service_day < period.from_day,
                Sale.record_id <= cut.records_before,
                Void.id.is_(None),
            )
        )
        found += [sale for (sale,) in keyset.once(query)]
    return sorted(found)
