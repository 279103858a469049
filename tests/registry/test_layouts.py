"""Files as streets send them: titles above, totals below, columns by their own words, several sheets, old workbooks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import transaction
from canteen.places import Area, AreaLink
from canteen.registry.imports import import_runs
from canteen.registry.imports.area_names import AreaNames, CoarseArea, NoArea, SeveralAreas
from canteen.registry.imports.bounds import BadFile
from canteen.registry.imports.columns import BadCell
from canteen.registry.imports.file_kinds import OtherKind
from canteen.registry.imports.import_report import ImportReport
from canteen.registry.imports.layouts import Answers, BadHeading, UnknownColumns
from canteen.registry.imports.roster_columns import grade
from tests.registry.people import DISTRICT, OTHER, SINCE, STREET, a_roster, cells, confirm_all, number, some_areas
from tests.registry.test_roster import diner

OLD = Path(__file__).parent / "files" / "street.xls"  # titles, an error cell, a hidden row, a total, a hidden sheet
TODAY = "2026-11-22"
HEAD = ["姓名", "证件号码", "生效日期"]


@pytest.fixture(autouse=True)
def areas(session: Session) -> Iterator[None]:
    some_areas(session)
    with clock.at(clock.instant(date(2026, 11, 22), 600)):
        yield


def a_workbook(path: Path, **sheets: list[list[Any]]) -> Path:
    with xlsxwriter.Workbook(path) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for at, row in enumerate(rows):
                sheet.write_row(at, 0, row)
    return path


def check(path: Path, **answers: dict[str, str]) -> ImportReport:
    return import_runs.check(path, "roster", "p-admin", answers=Answers(**answers))


def street_register(path: Path) -> Path:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("花名册")
        sheet.merge_range(0, 0, 0, 9, "演示街道老年助餐补贴对象花名册")
        sheet.write_row(1, 0, ["填报单位：演示街道办事处", "", "", "", "填报日期：2026年11月"])
        heading = ["序号", "老人姓名", "性别", "公民身份号码", "出生日期", "户口所在地", "现住址", "是否低保"]
        sheet.write_row(2, 0, [*heading, "残疾等级", "联系电话", "备注"])
        address = "演示市演示区演示街道1号楼"
        rows = [
            ["李秀英", "女", number(), 16866, "演示街道", address, "是", "二级", "13900000000/0431-88880000", "独居"],
            ["王芳", "男", number(order=103), 16866, STREET, address, "否", "", "看不清", ""],
        ]
        for at, row in enumerate(rows, start=1):
            sheet.write_row(2 + at, 0, [at, *row])
        sheet.write_row(5, 0, ["合计", "2人"])
        sheet.write_row(6, 0, ["填表人：张三", "", "", "审核人：李四"])
    return path


def test_a_streets_own_register_is_read_once_its_day_is_given(session: Session, tmp_path: Path):
    path = street_register(tmp_path / "街道.xlsx")
    with pytest.raises(UnknownColumns) as asked:
        check(path)
    assert ([column.title for column in asked.value.missing], asked.value.unknown) == (["生效日期"], ())
    answers = Answers(fill={"since": TODAY})
    session.rollback()

    report = import_runs.apply(path, "roster", "p-admin", answers=answers)

    assert (report.rows, report.new, report.bad) == (2, 2, 0)
    (sheet,) = report.sheets
    assert (sheet["heading"], sheet["left_rows"], sheet["columns"]["户口所在地"]) == (3, [6, 7], "户籍区划代码")
    assert [(remark.row, remark.field) for remark in report.remarks] == [(4, "联系电话"), (5, "联系电话")]
    told = " ".join(report.messages())
    assert all(part in told for part in ("第 3 行", "“序号”“备注”", "第 6、7 行", "1 列日期"))
    li = diner(session, date(2026, 11, 22))
    assert (li.residence[-1], li.classes) == (STREET, ())
    session.rollback()
    assert import_runs.apply(path, "roster", "p-admin", answers=answers).already
    assert report.waiting == 1  # 低保 and the grade are for a second person


def test_columns_nobody_knows_are_named_together_and_answered(tmp_path: Path):
    path = a_workbook(tmp_path / "a.xlsx", 一=[["称呼", "证号", "楼栋", "生效日期"], ["李秀英", number(), "3", TODAY]])
    with pytest.raises(UnknownColumns, match=r"“称呼”“证号”“楼栋”.*缺少必填的“姓名”“证件号码”列") as asked:
        check(path)
    assert asked.value.unknown == ("称呼", "证号", "楼栋")
    assert check(path, columns={"称呼": "name", "证号": "number", "楼栋": ""}).new == 1


def test_two_columns_of_one_meaning_are_a_question(tmp_path: Path):
    path = a_workbook(tmp_path / "a.xlsx", 一=[[*HEAD, "电话", "手机"], ["李秀英", number(), TODAY, "", "13900000000"]])
    with pytest.raises(UnknownColumns, match="“手机”与另一列都是“联系电话”"):
        check(path)
    assert check(path, columns={"电话": ""}).new == 1


def test_every_sheet_of_people_is_read_and_every_other_is_named(tmp_path: Path):
    first, second = ["李秀英", number(), TODAY], ["王芳", number(order=103), TODAY]
    path = tmp_path / "s.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheets: dict[str, list[list[Any]]] = {"一组": [HEAD, first], "二组": [HEAD, second, first]}
        for name, rows in (sheets | {"汇总": [["街道", "人数"], ["演示", 2]]}).items():
            sheet = book.add_worksheet(name)
            for at, row in enumerate(rows):
                sheet.write_row(at, 0, row)
        (hidden := book.add_worksheet("去年")).write_row(0, 0, HEAD)
        hidden.hide()
        book.add_worksheet("Sheet5")

    report = check(path)

    assert [(fault.sheet, fault.row, fault.code) for fault in report.faults] == [("二组", 3, "row_repeated")]
    assert "与“一组”第 2 行" in report.faults[0].reason
    told = [(each["sheet"], each["read"]) for each in report.doc()["sheets"]]
    assert told == [("一组", True), ("二组", True), ("汇总", False), ("去年", False), ("Sheet5", False)]
    assert [message[:10] for message in report.messages()] == [
        "读入了几张工作表：“",
        "工作表“汇总”没有读",
        "工作表“去年”没有读",
    ]


def test_hidden_sheets_alone_are_refused(tmp_path: Path):
    with xlsxwriter.Workbook(path := tmp_path / "h.xlsx") as book:
        (hidden := book.add_worksheet("旧")).write_row(0, 0, HEAD)
        hidden.hide()
        book.add_worksheet("新").activate()
    with pytest.raises(BadFile, match="“旧”是隐藏的"):
        check(path)


def test_a_heading_of_two_merged_rows_is_one(tmp_path: Path):
    with xlsxwriter.Workbook(path := tmp_path / "m.xlsx") as book:
        sheet = book.add_worksheet()
        for at, title in enumerate(("姓名", "身份证号", "生效日期")):
            sheet.merge_range(0, at, 1, at, title)
        sheet.merge_range(0, 3, 0, 4, "居住地")
        sheet.write_row(1, 3, ["街道", "社区"])
        sheet.write_row(2, 0, ["李秀英", number(), TODAY, "演示街道", ""])
    report = check(path)
    assert (report.new, report.sheets[0]["columns"]["街道"]) == (1, "居住区划代码")


def test_an_old_workbook_is_read_with_errors_and_hidden_rows(tmp_path: Path):
    (other_name := tmp_path / "名册.xlsx").write_bytes(OLD.read_bytes())
    for path in (OLD, other_name):
        report = check(path)
        assert [(fault.row, fault.field) for fault in report.faults] == [(4, "人员类别")]
        assert (report.rows, report.new) == (2, 1)
        assert any("1 行是隐藏" in message for message in report.messages())
        assert any("“去年”没有读入" in message for message in report.messages())


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (b"<html><body><table><tr><td>x", "HTML"),
        (b'\xef\xbb\xbf\n<?xml version="1.0"?><Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet">', "XML"),
        ("<table>".encode("utf-16"), "HTML"),
        (b"MIME-Version: 1.0\r\n", "mht"),
        (b"%PDF-1.7", "PDF"),
        (b"\x89PNG\r\n\x1a\n", "图片"),
        (b"Rar!\x1a\x07", "压缩包"),
    ],
)
def test_a_file_is_named_for_what_it_is_and_not_for_its_ending(tmp_path: Path, head: bytes, named: str):
    (path := tmp_path / "名册.xls").write_bytes(head)
    with pytest.raises(OtherKind, match=named):
        check(path)


def test_a_csv_with_titles_in_gb18030_is_read(tmp_path: Path):
    lines = ["演示街道花名册", "姓名,身份证,生效日期", f"李秀英,{number()},2026.11.22", "", "总计：1人,,"]
    (path := tmp_path / "a.csv").write_bytes("\r\n".join(lines).encode("gb18030"))
    assert (check(path).new, check(path).bad) == (1, 0)


def test_numbers_are_days_only_where_the_whole_column_is(tmp_path: Path):
    rows = [HEAD, ["李秀英", number(), 46337], ["王芳", number(order=103), "2026-11-10"]]
    (fault,) = check(a_workbook(tmp_path / "a.xlsx", 一=rows)).faults
    assert (fault.row, fault.code, "不是日期" in fault.reason) == (2, "cell_number", True)
    rows[2][2] = 46336
    assert check(a_workbook(tmp_path / "b.xlsx", 一=rows)).new == 2


def test_a_sheet_without_any_known_title_names_its_words(tmp_path: Path):
    path = a_workbook(tmp_path / "a.xlsx", 一=[["甲", "乙", "丙"], ["x", "y", "z"]])
    with pytest.raises(BadHeading, match="“甲”“乙”“丙”"):
        check(path)


def test_all_faults_are_in_the_report(tmp_path: Path):
    rows = [HEAD, *(["李秀英", str(n), TODAY] for n in range(1100))]
    assert len(check(a_workbook(tmp_path / "a.xlsx", 一=rows)).doc()["faults"]) == 1100
    assert json.dumps(check(a_workbook(tmp_path / "b.xlsx", 一=rows[:2])).doc())


def test_refused_rows_come_back_as_a_file_that_is_read_again(session: Session, tmp_path: Path):
    heading = ["老人姓名", "身份证", "生效日期", "社区", "备注"]
    rows = [
        ["李秀英", "1", TODAY, "演示街道", "x"],
        ["王芳", number(order=103), TODAY, "", ""],
        ["=1+1", "2", TODAY, "", "y"],
    ]
    report = check(a_workbook(tmp_path / "a.xlsx", 一=[heading, *rows]))
    assert (report.bad, report.new) == (2, 1)
    (back := tmp_path / "back.xlsx").write_bytes(report.work_list)
    again = check(back)
    assert [each["sheet"] for each in again.sheets] == ["演示街道", "未认出街道"]
    assert [(fault.sheet, fault.row) for fault in again.faults if fault.field == "证件号码"] == [
        ("演示街道", 2),
        ("未认出街道", 2),
    ]
    assert again.sheets[0]["columns"]["问题和办法"] == ""


# --- areas by name ---


@pytest.fixture
def names(session: Session) -> AreaNames:
    more = {"229901001001": ("桂林社区居民委员会", STREET), "229902001": ("演示街道办事处", "229902")}
    more |= {"229902001001": ("桂林社区居委会", "229902001"), "229901001002": ("东风村委会", STREET)}
    with transaction():
        session.add_all(
            Area(id=code, name=name, level="street" if len(code) == 9 else "community")
            for code, (name, _) in more.items()
        )
        session.flush()
        session.add_all(
            AreaLink(area_id=code, parent_id=up, from_day=SINCE, to_day=None) for code, (_, up) in more.items()
        )
    return AreaNames.on(session, date(2026, 11, 22), None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (STREET, STREET),
        ("演示区演示街道", STREET),
        ("吉林省演示市演示区演示街道办事处", STREET),
        ("演示区演示街道桂林社区3号楼2单元", "229901001001"),
        ("别处区演示街道桂林社区居委会", "229902001001"),
        ("东风村", "229901001002"),
        ("演示区", DISTRICT),
    ],
)
def test_an_area_is_found_by_name_or_address(names: AreaNames, text: str, code: str):
    assert names.code_of(text) == code


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("桂林社区", SeveralAreas),
        ("演示街道", SeveralAreas),
        ("桂林路12号", NoArea),
        ("外市演示区演示街道", NoArea),
        ("演示区桂林路12号", CoarseArea),
    ],
)
def test_an_area_that_is_not_told_apart_is_asked_for(names: AreaNames, text: str, refusal: type[BadCell]):
    with pytest.raises(refusal):
        names.code_of(text)


def test_of_several_areas_the_importers_own_is_meant(session: Session, names: AreaNames):
    assert (
        AreaNames.on(session, date(2026, 11, 22), frozenset({STREET, "229901001001"})).code_of("桂林社区")
        == "229901001001"
    )


@pytest.mark.parametrize(("cell", "read"), [("一级", 1), ("4", 4), ("Ⅱ级", 2), ("无", None)])
def test_a_disability_grade_is_read_as_people_write_it(cell: str, read: int | None):
    assert grade(cell) == read


# --- what would change ---


def fields(report: ImportReport) -> list[tuple[int, list[tuple[str, str, str]]]]:
    return [(line.row, [(each.title, each.before, each.after) for each in line.fields]) for line in report.changes]


def test_changes_are_shown_field_by_field(session: Session, tmp_path: Path):
    before = a_roster(tmp_path, cells(classes="低保", phone="13800000000"), cells(number=number(order=104)))
    session.rollback()
    import_runs.apply(before, "roster", "p-admin")
    confirm_all(session)
    row = cells(name="李秀瑛", classes="无", residence=DISTRICT, phone="13900000000", since=TODAY)
    report = import_runs.check(a_roster(tmp_path, row, cells(number=number(order=104)), name="b.csv"), "roster", "p")
    assert fields(report) == [
        (
            2,
            [
                ("姓名", "李秀英", "李秀瑛"),
                ("联系电话", "13800000000", "13900000000"),
                ("居住地", "演示街道", "演示区"),
                ("人员类别", "低保", "无"),
            ],
        )
    ]
    assert (report.changed, report.same) == (1, 1)
    assert "李秀英" not in json.dumps(report.doc(), ensure_ascii=False)


def test_an_empty_class_cell_changes_no_class_and_no_only_one(session: Session, tmp_path: Path):
    session.rollback()
    import_runs.apply(a_roster(tmp_path, cells(classes="低保、独居")), "roster", "p-admin")
    confirm_all(session)
    rows = [[*HEAD, "是否低保", "是否空巢"], ["李秀英", number(), TODAY, "", ""]]
    assert check(a_workbook(tmp_path / "a.xlsx", 一=rows)).same == 1
    rows[1][3] = "否"
    assert fields(check(a_workbook(tmp_path / "b.xlsx", 一=rows))) == [(2, [("人员类别", "低保、独居", "独居")])]


def test_another_streets_person_is_changed_on_a_tick_only(session: Session, tmp_path: Path):
    session.rollback()
    import_runs.apply(a_roster(tmp_path, cells()), "roster", "p-admin")
    path = a_roster(tmp_path, cells(hukou=OTHER, residence=OTHER, since=TODAY), name="b.csv")
    (fault,) = import_runs.check(path, "roster", "p").faults
    assert (fault.code, "“演示街道”" in fault.reason) == ("other_street", True)
    assert import_runs.check(path, "roster", "p", answers=Answers(moved=True)).changed == 1
    renamed = a_roster(tmp_path, cells(name="李秀瑛", hukou="", residence="", since=TODAY), name="c.csv")
    found = {
        sender: import_runs.check(renamed, "roster", "p", answers=Answers(sender=sender))
        for sender in (OTHER, DISTRICT, "")
    }
    assert [(report.changed, report.bad) for report in found.values()] == [(0, 1), (1, 0), (1, 0)]
    answers = Answers(sender=OTHER, moved=True)
    checked = import_runs.check(renamed, "roster", "p", answers=Answers(sender=OTHER))
    assert import_runs.apply(renamed, "roster", "p", expect=checked.file_hash, answers=answers).changed == 1
