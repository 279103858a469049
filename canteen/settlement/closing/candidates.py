"""Choose the sales of a closed period that a check may name; the others cannot have a finding.

A sale stands out by what was compared as it arrived (`sale.to_check`), or by what became known of its eater: a death,
entries that are one person or likely so, a use of a limit that was changed afterwards.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import and_, select

from canteen import keyset
from canteen.db import batches
from canteen.ledger.models import Period
from canteen.pos.models import Sale, SaleUse, UseChange
from canteen.registry.models import ElderFact
from canteen.settlement.closing import gather, gather_persons
from canteen.settlement.closing.counts import Counts
from canteen.settlement.closing.statement import Cut

Twins = dict[str, list[str]]


def pages(
    period: Period, counts: Counts, known: gather_persons.Clusters, twins: Twins, cut: Cut
) -> Iterator[Sequence[Any]]:
    """Yield pages of the chosen sales, each sale once, as rows of `gather.sales`.

    twins    sales that somebody who is likely the same person ate too, with those meals
    """
    yield from gather.sales(period, cut, Sale.to_check)
    eaters = _eaters(counts, known)
    for some in batches(sorted(eaters)):
        yield from gather.sales(period, cut, ~Sale.to_check, keyset.among(Sale.elder_id, some))
    besides = sorted({uuid.UUID(sale) for sale in twins} | set(_changed(period, cut)))
    for part in batches(besides):
        rows = [row for page in gather.sales(period, cut, ~Sale.to_check, keyset.among(Sale.id, part)) for row in page]
        yield [row for row in rows if row.elder_id not in eaters]


def _eaters(counts: Counts, known: gather_persons.Clusters) -> set[uuid.UUID]:
    """Return those who ate in the period and whose death was ever recorded, or who have entries merged."""
    found = set[uuid.UUID]()
    for some in batches(sorted(counts.elders)):
        dead = select(ElderFact.elder_id).where(ElderFact.kind == "status", ElderFact.value == "deceased")
        found.update(elder for (elder,) in keyset.once(dead.where(keyset.among(ElderFact.elder_id, some))))
    merged = {uuid.UUID(member) for member in known.roots()}
    return found | (merged & counts.elders)


def _changed(period: Period, cut: Cut) -> list[uuid.UUID]:
    """Return the period's sales that drew on a limit of which a use was changed after its sale."""
    same = and_(
        UseChange.person_id == SaleUse.person_id,
        UseChange.allowance == SaleUse.allowance,
        UseChange.window == SaleUse.window,
    )
    query = select(Sale.id).join(SaleUse, SaleUse.sale_id == Sale.id).join(UseChange, same)
    return [sale for (sale,) in keyset.once(query.where(gather.belongs(period, cut)).distinct())]
