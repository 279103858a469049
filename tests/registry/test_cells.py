"""The values a cell can have and what an empty one means, in every template; what the file shows is read or reported."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, places
from canteen.places import Contract
from canteen.registry import documents, elders, facts, lookup
from canteen.registry.imports import import_runs
from canteen.registry.imports.columns import Column, mobile, written_day
from canteen.registry.imports.import_runs import KINDS
from tests.registry.people import STREET, a_roster, cells, confirm_all, number, some_areas
from tests.registry.test_other_files import apply, canteen, contract, faults
from tests.registry.test_roster import apply as apply_roster
from tests.registry.test_roster import the_elder


@pytest.fixture(autouse=True)
def areas(session: Session) -> Iterator[None]:
    some_areas(session)
    with clock.at(clock.instant(date(2026, 11, 22), 600)):
        yield


def a_workbook(path: Path, *sheets: tuple[str, list[list[Any]]], hidden: tuple[str, ...] = ()) -> Path:
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets:
            sheet = book.add_worksheet(name)
            for at, row in enumerate(rows):
                sheet.write_row(at, 0, row)
            if name in hidden:
                sheet.hide()
    return path


# --- number cells ---


@pytest.mark.parametrize(
    ("kind", "column"), [(kind, column) for kind, made in KINDS.items() for column in made.template.columns]
)
def test_a_number_cell_that_may_have_lost_digits_is_refused(tmp_path: Path, kind: str, column: Column):
    required = [each for each in KINDS[kind].template.columns if each.required and each != column]
    heading = [column.title, *(each.title for each in required)]
    path = a_workbook(tmp_path / "n.xlsx", ("一", [heading, [220104000099, *("x" for _ in required)]]))

    found = [fault for fault in import_runs.check(path, kind, "p-admin").faults if fault.field == column.title]

    if column.numeric("5"):  # a quantity: refused as out of range
        assert column.read("5") in {5, 500}  # a count, or yuan in fen
    else:
        assert [fault.code for fault in found] == ["cell_number"]
        assert "文本" in found[0].reason


@pytest.mark.parametrize(("digits", "read"), [("13912345678", True), ("431812345678", False), ("88123456", False)])
def test_a_mobile_number_is_whole_and_a_landline_may_not_be(digits: str, read: bool):
    assert mobile(digits) is read


def test_mobile_numbers_and_8_digit_days_are_read_from_numbers(tmp_path: Path):
    rows = [["姓名", "证件号码", "联系电话", "生效日期"], ["李秀英", number(), 13912345678, 20260101]]
    assert import_runs.apply(a_workbook(tmp_path / "m.xlsx", ("一", rows)), "roster", "p-admin").new == 1
    assert not written_day("46027")


# --- an end that is not filled in ---


@pytest.fixture
def ended(session: Session, tmp_path: Path) -> None:
    apply(session, tmp_path, "canteens", canteen())
    apply(session, tmp_path, "contracts", contract(to="2026-12-31"))


def last_day(session: Session) -> date | None:
    session.rollback()
    return session.execute(select(Contract.to_day)).scalar_one()


@pytest.mark.usefixtures("ended")
@pytest.mark.parametrize("word", ["无", "长期", "长期有效"])
def test_a_contracts_end_is_removed_by_a_word_not_by_emptiness(session: Session, tmp_path: Path, word: str):
    assert apply(session, tmp_path, "contracts", contract(to=""), name="b.csv").same == 1
    assert last_day(session) == date(2026, 12, 31)
    assert apply(session, tmp_path, "contracts", contract(to=word), name="c.csv").changed == 1
    assert last_day(session) is None
    assert apply(session, tmp_path, "contracts", contract(to=word, id="k1"), name="d.csv").same == 1


@pytest.mark.usefixtures("ended")
def test_an_end_is_not_taken_away_where_another_contract_follows(session: Session, tmp_path: Path):
    apply(session, tmp_path, "contracts", contract(id="k2", **{"from": "2027-01-01"}), name="b.csv")
    assert faults(tmp_path, "contracts", contract(to="无")) == [(2, "起始日期")]


def classes(session: Session) -> list[tuple[str, date | None]]:
    known = facts.unretracted(elders.facts_about(session, uuid.UUID(str(the_elder(session)))))
    session.rollback()
    return sorted((fact.value, fact.to_day) for fact in known if fact.kind == "class")


def test_a_classs_end_is_removed_by_a_word_not_by_emptiness(session: Session, tmp_path: Path):
    apply_roster(session, tmp_path, cells(classes="低保", class_until="2026-12-31"))
    confirm_all(session)
    assert classes(session) == [("dibao", date(2026, 12, 31))]
    assert apply_roster(session, tmp_path, cells(classes="低保"), name="b.csv").same == 1
    assert apply_roster(session, tmp_path, cells(classes="低保", class_until="无"), name="c.csv").changed == 1
    confirm_all(session)
    assert classes(session) == [("dibao", None)]
    assert apply_roster(session, tmp_path, cells(classes="低保", class_until="长期"), name="d.csv").same == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"class_until": "2026-12-31"}, "类别截止日期"),
        ({"class_until": "2026-12-31", "classes": "无"}, "类别截止日期"),
        ({"status_from": "2026-01-05"}, "状态日期"),
    ],
)
def test_a_day_of_nothing_is_refused_and_not_passed_over(tmp_path: Path, values: dict[str, str], field: str):
    (fault,) = import_runs.check(a_roster(tmp_path, cells(**values)), "roster", "p-admin").faults
    assert fault.field == field


def test_a_known_canteens_times_need_an_explicit_day_to_change(session: Session, tmp_path: Path):
    apply(session, tmp_path, "canteens", canteen())
    later = {**canteen(lunch="11:00-13:30"), "since": ""}
    assert faults(tmp_path, "canteens", later) == [(2, "生效日期")]
    assert faults(tmp_path, "canteens", {**canteen(), "since": "", "name": "康乐食堂"}) == []
    assert [window.starts for window in places.windows_on(session, "c1", date(2026, 6, 1))] == [630]


def test_what_an_empty_end_means_stands_in_the_templates():
    for kind, key in (("roster", "class_until"), ("contracts", "to")):
        (column,) = [each for each in KINDS[kind].template.columns if each.key == key]
        assert "空着不改动" in column.note
        assert "“无”" in column.note


# --- what is not seen ---

HEAD = ["姓名", "证件号码", "生效日期"]


def test_hidden_rows_and_columns_are_read_with_a_notice(tmp_path: Path):
    path = tmp_path / "h.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, HEAD)
        for at in (1, 2):
            sheet.write_row(at, 0, ["李秀英", number(order=100 + at), "2026-01-01"])
        sheet.set_row(2, None, None, {"hidden": True})
        sheet.set_column(1, 2, None, None, {"hidden": True})
    report = import_runs.check(path, "roster", "p-admin")
    assert report.rows == 2
    assert "1 行、2 列是隐藏" in report.messages()[0]


@pytest.mark.parametrize("last", "ХхΧ×Ⅹ*")
def test_a_look_alike_of_the_last_x_is_explained(last: str):
    resident = next(made for order in range(100, 400) if (made := number(order=order)).endswith("X"))
    with pytest.raises(documents.LookAlike, match="不是英文字母 X"):
        documents.parse("resident", resident[:17] + last)
    assert documents.parse("resident", resident[:17] + "x").number == resident


def test_radicals_are_stored_as_usual_characters_with_a_notice(session: Session, tmp_path: Path):
    rows = [cells(name="⾼⽴⽅"), cells(name="⻩⼭", number=number(order=103))]
    report = apply_roster(session, tmp_path, *rows)
    assert (report.new, report.messages()) == (2, ["2 行里有部首字（外形与汉字相同、编码不同），已改为通常的汉字。"])
    usual = [cells(name="高立方"), cells(name="黄山", number=number(order=103))]
    again = apply_roster(session, tmp_path, *usual, name="b.csv")
    assert (again.same, again.messages()) == (2, [])
    for name in ("高立方", "⾼⽴⽅", "黄山"):
        assert len(lookup.find(session, name, [STREET])) == 1, name
