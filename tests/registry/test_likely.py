"""Two entries that are likely one person: a question at import, a list at the desk."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import db, transaction
from canteen.registry import elders, likely_same, lookup
from canteen.registry.elders import NewFact
from canteen.registry.imports import import_runs
from tests.registry.people import CITY, OTHER, STREET, a_roster, an_elder, cells, number, some_areas


@pytest.fixture(autouse=True)
def areas(session: Session) -> Iterator[None]:
    some_areas(session)
    with clock.at(clock.instant(date(2026, 11, 22), 600)):
        yield


def check(folder: Path, *rows: list[str], others: bool = False) -> list[tuple[int, str]]:
    report = import_runs.check(a_roster(folder, *rows), "roster", "p-admin", others=others)
    return [(fault.row, fault.code) for fault in report.faults]


SECOND = {"name": "李秀英", "number": number(order=104)}


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        ({}, True),
        ({"residence": STREET + "003", "hukou": OTHER}, True),
        ({"name": "李秀芳"}, False),
        ({"number": number("19460306", order=104)}, False),
        ({"hukou": OTHER, "residence": ""}, False),
    ],
)
def test_a_new_entry_like_one_of_the_roster_is_a_question(
    session: Session, tmp_path: Path, values: dict[str, str], asked: bool
):
    from canteen.places import Area  # noqa: PLC0415 - a community for this case alone

    an_elder(session)
    with transaction():
        session.add(Area(id=STREET + "003", name="演示社区", level="community"))
    assert check(tmp_path, cells(**SECOND | values)) == ([(2, "likely_same")] if asked else [])
    assert check(tmp_path, cells(**SECOND | values), others=True) == []
    assert check(tmp_path, cells()) == []  # the very entry is no question


def test_two_rows_of_one_file_are_a_question_too(tmp_path: Path):
    assert check(tmp_path, cells(), cells(**SECOND)) == [(3, "likely_same")]


def test_rows_left_out_are_applied_once_answered(session: Session, tmp_path: Path):
    path = a_roster(tmp_path, cells(), cells(**SECOND))
    first = import_runs.apply(path, "roster", "p-admin")
    again = import_runs.apply(path, "roster", "p-admin")
    answered = import_runs.apply(path, "roster", "p-admin", others=True, expect=first.file_hash)
    assert [(each.new, each.bad, each.already) for each in (first, again)] == [(1, 1, False), (0, 1, True)]
    assert (answered.new, answered.same, answered.bad) == (1, 1, 0)
    assert import_runs.apply(path, "roster", "p-admin", others=True).already
    assert len(listed(session)) == 1


def listed(session: Session, *within: str) -> list[set[uuid.UUID]]:
    found = likely_same.groups(session, within or (STREET,))
    session.rollback()
    return [{entry.id for entry in group} for group in found]


def test_the_desk_lists_them_until_they_are_merged(session: Session):
    one, two, other = an_elder(session), an_elder(session, order=104), an_elder(session, order=106, name="王芳")
    assert listed(session) == [{one, two}]
    assert listed(session, OTHER) == []
    assert other not in listed(session, CITY, STREET)[0]
    with transaction() as writing:
        elders.note(writing, one, [NewFact("merged", str(two), clock.today())], "p-admin")
    assert listed(session) == []
    assert likely_same.twins(session, [one, two]) == {}


def test_the_list_asks_for_all_entries_within_reach_at_once(session: Session):
    here = [an_elder(session, order=order) for order in (103, 104, 105)]
    asked: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    assert lookup.reached_among(session, [*here, uuid.uuid4()], {STREET}) == set(here)
    assert lookup.reached_among(session, here, {OTHER}) == set()
    assert sum(statement.startswith("SELECT") for statement in asked) <= 2


def test_likely_same_people_are_listed_as_known_at_the_event(session: Session):
    from canteen import events  # noqa: PLC0415

    one = an_elder(session)
    before = events.head(session)[0]
    session.rollback()
    two = an_elder(session, order=104)
    assert [entry.id for entry in likely_same.twins(session, [one])[one]] == [two]
    assert likely_same.twins(session, [one], before) == {}
