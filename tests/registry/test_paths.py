"""The path of an area: the same alone and among others, over any tree, on each day."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from canteen.db import db
from canteen.places import Area, AreaLink
from canteen.registry import paths

DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range(0, 40, 10)]


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    yield db.session()
    db.session.rollback()


def a_tree(session: Session, seed: int) -> tuple[list[str], list[tuple[str, str, date, date | None]]]:
    """Areas of four levels; some have two parents, some belong to a parent for a while only."""
    rng, ids = random.Random(seed), [f"x{n}" for n in range(24)]
    session.add_all(Area(id=each, name=each, level="community") for each in ids)
    session.flush()
    links = []
    for n, area in enumerate(ids[2:], 2):
        for parent in rng.sample(ids[:n], rng.choice((1, 1, 1, 2))):
            start = rng.choice(DAYS)
            links.append((area, parent, start, rng.choice((None, start + timedelta(days=10)))))
    session.add_all(
        AreaLink(area_id=area, parent_id=parent, from_day=start, to_day=end) for area, parent, start, end in links
    )
    session.flush()
    return ids, links


@pytest.mark.parametrize("seed", range(4))
def test_a_path_is_the_same_alone_and_among_others(session: Session, seed: int) -> None:
    ids, links = a_tree(session, seed)
    for day in DAYS:
        together = paths.areas_above(session, ids, day)
        assert together == {area: paths.areas_above(session, (area,), day)[area] for area in ids}
        up: dict[str, set[str]] = {area: set() for area in ids}
        for area, parent, start, end in links:
            if start <= day and (end is None or day <= end):
                up[area].add(parent)
        for area, path in together.items():
            above, nearest = {area}, {area}
            while nearest := set().union(*(up[each] for each in nearest)):
                above |= nearest
            assert (path[-1], set(path)) == (area, above)
            assert all(path.index(parent) < path.index(each) for each in path for parent in up[each])
