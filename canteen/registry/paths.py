"""The areas that areas belong to on a day, read with as little asking as a scan allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cache

from sqlalchemy import and_, bindparam, or_, select
from sqlalchemy.orm import Session

from canteen.db import Day
from canteen.places import AreaLink
from canteen.prepared import Prepared

DEEPEST = 8  # levels of areas: province to village are five


def areas_above(session: Session, areas: Sequence[str], on: date) -> dict[str, tuple[str, ...]]:
    """Return the path of each area on a day, most general first: one query for two areas."""
    parents: dict[str, set[str]] = {}
    for pair in (areas[at : at + 2] for at in range(0, len(areas), 2)):
        asked = {"one": pair[0], "other": pair[-1], "on": on}
        for child, parent in _links_up().rows(session, asked):
            parents.setdefault(child, set()).add(parent)
    return {area: _path(area, parents) for area in areas}


def _path(area: str, parents: Mapping[str, set[str]]) -> tuple[str, ...]:
    """Return `area` and the areas above it, the farthest first. A circle in the tree ends at its depth."""
    found, nearest = dict[str, None](), {area}
    for _ in range(DEEPEST):
        for each in nearest:
            found.pop(each, None)  # met again farther up: its place is the farthest
        found |= dict.fromkeys(sorted(nearest, reverse=True))
        nearest = set().union(*(parents.get(each, set()) for each in nearest))
    return tuple(reversed(found))


@cache
def _links_up() -> Prepared:
    """Return the links from two areas upwards, valid on a day."""
    on = bindparam("on", type_=Day())
    valid = and_(AreaLink.from_day <= on, or_(AreaLink.to_day.is_(None), AreaLink.to_day >= on))
    start = or_(AreaLink.area_id == bindparam("one"), AreaLink.area_id == bindparam("other"))
    up = select(AreaLink.area_id, AreaLink.parent_id).where(start, valid).cte("up", recursive=True)
    further = select(AreaLink.area_id, AreaLink.parent_id).join(up, AreaLink.area_id == up.c.parent_id)
    up = up.union(further.where(valid))
    return Prepared(select(up.c.area_id, up.c.parent_id))
