"""Lists that say one thing of people on the roster: they register nobody, and a full one ends what it lacks."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from canteen import clock
from canteen.registry import elders, facts
from canteen.registry.imports import import_runs, templates
from canteen.registry.imports.import_report import ImportReport
from canteen.registry.imports.import_runs import KINDS
from canteen.registry.imports.layouts import NO_ANSWERS, Answers, NoSender
from tests.registry.people import DISTRICT, OTHER, STREET, a_name, a_roster, cells, confirm_all, number, some_areas
from tests.registry.test_roster import the_elder

ONE, TWO, STRANGER = number(), number(order=104), number(order=120)
FULL = Answers(sender=DISTRICT, full=True)
LATER = "2026-11-01"


@pytest.fixture(autouse=True)
def roster(session: Session, tmp_path: Path) -> Iterator[None]:
    """Two elders of a street, both 低保, one alone as well."""
    some_areas(session)
    with clock.at(clock.instant(date(2026, 11, 22), 600)):
        rows = [cells(classes="低保、独居"), cells(number=TWO, classes="低保")]
        import_runs.apply(a_roster(tmp_path, *rows), "roster", "p-admin")
        confirm_all(session)
        session.rollback()
        yield


def a_list(folder: Path, kind: str, *rows: dict[str, str]) -> Path:
    columns = KINDS[kind].template.columns
    rows = tuple({"number": ONE, "name": a_name(row.get("number", ONE))} | row for row in rows)
    (path := folder / f"{kind}.csv").write_bytes(
        templates.separated(KINDS[kind].template, [[row.get(column.key, "") for column in columns] for row in rows])
    )
    return path


def apply(folder: Path, kind: str, *rows: dict[str, str], answers: Answers = NO_ANSWERS) -> ImportReport:
    return import_runs.apply(a_list(folder, kind, *rows), kind, "p-admin", answers=answers)


def valid(session: Session, id_number: str, kind: str, on: date = date(2026, 11, 22)) -> list[str]:
    known = facts.unretracted(elders.facts_about(session, uuid.UUID(str(the_elder(session, id_number)))))
    session.rollback()
    return sorted(fact.value for fact in facts.on_day(known, on) if fact.kind == kind)


def test_a_list_of_one_class_leaves_the_others_alone(session: Session, tmp_path: Path):
    report = apply(tmp_path, "classes", {"classes": "特困", "since": LATER})
    assert (report.changed, report.waiting) == (1, 1)
    confirm_all(session)
    assert valid(session, ONE, "class") == ["alone", "dibao", "tekun"]


def test_a_full_list_of_a_class_ends_it_for_those_it_lacks(session: Session, tmp_path: Path):
    path = a_list(tmp_path, "classes", {"classes": "低保", "since": LATER})
    checked = import_runs.check(path, "classes", "p-admin", answers=FULL)
    ((line,),) = [[each for each in checked.lines if each.kind == "gone"]]
    assert [(each.title, each.before, each.after) for each in line.fields] == [("人员类别", "低保", "无")]
    assert (checked.same, checked.gone, line.name) == (1, 1, a_name(TWO))
    report = import_runs.apply(path, "classes", "p-admin", answers=FULL, expect=checked.file_hash)
    assert (report.gone, report.waiting, import_runs.apply(path, "classes", "p-admin", answers=FULL).already) == (
        1,
        0,
        True,
    )
    assert (valid(session, ONE, "class"), valid(session, TWO, "class")) == (["alone", "dibao"], [])
    assert valid(session, TWO, "class", date(2026, 10, 31)) == ["dibao"]


def test_a_full_list_ends_nothing_where_a_number_is_not_read(session: Session, tmp_path: Path):
    rows = ({"classes": "低保", "since": LATER}, {"classes": "低保", "since": LATER, "number": "1", "name": "王芳"})
    report = import_runs.check(a_list(tmp_path, "classes", *rows), "classes", "p-admin", answers=FULL)
    assert (report.gone, report.bad) == (0, 1)
    assert any("不终止任何人" in notice for notice in report.messages())


def test_a_full_list_ends_nothing_outside_its_area(tmp_path: Path):
    path = a_list(tmp_path, "classes", {"classes": "低保", "since": LATER})
    answers = Answers(sender=OTHER, full=True, moved=True)
    assert import_runs.check(path, "classes", "p-admin", answers=answers).gone == 0
    with pytest.raises(NoSender):
        import_runs.check(path, "classes", "p-admin", answers=Answers(full=True))


def test_a_full_roster_names_whom_it_lacks_and_changes_nothing(tmp_path: Path):
    path = a_roster(tmp_path, cells(), name="full.csv")
    report = import_runs.check(path, "roster", "p-admin", answers=Answers(sender=STREET, full=True))
    assert [(line.kind, line.name, line.fields) for line in report.lines] == [("gone", a_name(TWO), ())]
    assert (report.same, report.gone) == (1, 0)


def test_a_death_is_recorded_and_strangers_are_remarked_on(session: Session, tmp_path: Path):
    rows = ({"status_from": LATER}, {"status_from": LATER, "number": STRANGER, "name": "外人"})
    report = apply(tmp_path, "deaths", *rows)
    assert (report.changed, report.same, [remark.row for remark in report.remarks]) == (1, 1, [3])
    assert valid(session, ONE, "status") == ["deceased"]


def test_a_list_renames_nobody(tmp_path: Path):
    path = a_list(tmp_path, "deaths", {"status_from": LATER, "name": "李秀瑛"})
    (fault,) = import_runs.check(path, "deaths", "p-admin").faults
    assert "姓名与登记的不一致" in fault.reason


def test_levels_and_households_are_noted(session: Session, tmp_path: Path):
    assert apply(tmp_path, "levels", {"disability": "二级", "since": LATER}).waiting == 1
    confirm_all(session)
    assert valid(session, ONE, "level") == ["disability=2"]
    session.rollback()
    assert apply(tmp_path, "households", {"household": "H7", "since": "2026-11-22"}).changed == 1
    assert valid(session, ONE, "household") == ["H7"]


def test_residents_of_a_full_list_are_the_only_ones(session: Session, tmp_path: Path):
    apply(tmp_path, "residents", {"status_from": "2026-10-01"}, {"status_from": "2026-10-01", "number": TWO})
    session.rollback()
    report = apply(tmp_path, "residents", {"status_from": LATER}, answers=FULL)
    assert (report.gone, report.waiting) == (1, 1)
    confirm_all(session)
    assert (valid(session, ONE, "status"), valid(session, TWO, "status")) == (["institution"], [])
