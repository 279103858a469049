import io
import zipfile
from datetime import date
from pathlib import Path

import pytest
import xlsxwriter

from canteen.registry.imports import tables
from canteen.registry.imports.bounds import BadFile, FileTooLarge, Limits
from canteen.registry.imports.columns import BadCell, day
from canteen.registry.imports.sheet import BROKEN, MERGED, NUMBER, UNCOUNTED
from canteen.registry.imports.tables import TookTooLong

MB = 1024 * 1024


def a_workbook(path: Path, *rows: list[object]) -> Path:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for at, row in enumerate(rows):
            sheet.write_row(at, 0, row)
    return path


def read(path: Path, limits: Limits | None = None) -> list[tuple[int, list[str]]]:
    with tables.opened(path, limits or Limits()) as table:
        rows = list(table.sheets[0].rows())
        assert list(table.sheets[0].rows()) == rows
        return rows


def a_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_rows_keep_the_numbers_that_the_spreadsheet_shows(tmp_path: Path):
    path = a_workbook(tmp_path / "a.xlsx", [], ["姓名", "号码"], [], ["李秀英", "1"])
    assert read(path) == [(2, ["姓名", "号码"]), (4, ["李秀英", "1"])]


def test_numbers_show_that_they_were_numbers(tmp_path: Path):
    path = a_workbook(tmp_path / "a.xlsx", [229901194603051028, 123, 1.5, True])
    ((_, cells),) = read(path)
    assert cells == [NUMBER + "2.29901194603051E+17", NUMBER + "123", NUMBER + "1.5", "TRUE"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_in_each_encoding_that_excel_writes(tmp_path: Path, encoding: str):
    path = tmp_path / "a.csv"
    path.write_bytes('姓名,号码\r\n𠮷田,"1,2"\r\n'.encode(encoding))
    assert read(path) == [(1, ["姓名", "号码"]), (2, ["𠮷田", "1,2"])]


def test_excels_unicode_text_is_read_too(tmp_path: Path):
    (path := tmp_path / "a.txt").write_bytes("姓名\t号码\r\n𠮷田\t1\r\n".encode("utf-16"))
    assert read(path) == [(1, ["姓名", "号码"]), (2, ["𠮷田", "1"])]


def test_tabs_part_columns_too(tmp_path: Path):
    (path := tmp_path / "a.csv").write_text("姓名\t号码\n李\t1\n", "utf-8")
    assert read(path)[1] == (2, ["李", "1"])


def test_bytes_are_bounded(tmp_path: Path):
    (path := tmp_path / "a.csv").write_text("姓名\n" * 100, "utf-8")
    with pytest.raises(FileTooLarge):
        read(path, Limits(file=100))


def test_rows_are_bounded_in_either_form(tmp_path: Path):
    rows = [["姓名"], *[["李"]] * 11]
    (csv := tmp_path / "a.csv").write_text("\n".join("".join(row) for row in rows), "utf-8")
    xlsx = a_workbook(tmp_path / "a.xlsx", *rows)
    for path in (csv, xlsx):
        assert len(read(path, Limits(rows=11))) == 12
        with pytest.raises(FileTooLarge, match="10 行"):
            read(path, Limits(rows=10))


def test_a_zip_bomb_is_stopped_by_its_real_size(tmp_path: Path):
    path = a_zip(tmp_path / "a.xlsx", {"xl/workbook.xml": b"<x/>", "xl/big.xml": b"\0" * (30 * MB)})
    data = bytearray(path.read_bytes())
    assert len(data) < MB
    with pytest.raises(FileTooLarge):
        read(path, Limits(inflated=10 * MB))
    declared = (30 * MB).to_bytes(4, "little")
    assert declared in data
    path.write_bytes(bytes(data).replace(declared, (1000).to_bytes(4, "little")))
    with pytest.raises(BadFile):
        read(path, Limits(inflated=10 * MB))


def test_entries_are_bounded(tmp_path: Path):
    path = a_zip(tmp_path / "a.xlsx", {"xl/workbook.xml": b"", **{f"x{n}": b"" for n in range(20)}})
    with pytest.raises(FileTooLarge):
        read(path, Limits(entries=20))


def test_a_sheet_that_is_said_to_be_vast_breaks_the_child_alone(tmp_path: Path):
    path = a_workbook(tmp_path / "a.xlsx", ["姓名"])
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    sheet = entries["xl/worksheets/sheet1.xml"].decode()
    far = '<row r="1048576"><c r="XFD1048576" t="n"><v>1</v></c></row></sheetData>'
    entries["xl/worksheets/sheet1.xml"] = sheet.replace("</sheetData>", far).encode()
    with pytest.raises(BadFile):
        read(a_zip(tmp_path / "b.xlsx", entries), Limits(memory=512 * MB))


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path):
    path = a_workbook(tmp_path / "a.xlsx", ["姓名"])
    with pytest.raises(TookTooLong):
        read(path, Limits(seconds=0))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 not a zip",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 100,
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        '姓名,号码\n"李,1\n'.encode(),
        "姓名\0\n".encode("utf-16"),
    ],
)
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path: Path, data: bytes):
    (path := tmp_path / "a.xlsx").write_bytes(data)
    with pytest.raises(BadFile) as refused:
        read(path)
    assert refused.value.message.endswith("。")


def test_entities_and_other_zips_are_refused(tmp_path: Path):
    with pytest.raises(BadFile):
        read(a_zip(tmp_path / "a.xlsx", {"xl/workbook.xml": b'<!DOCTYPE x [<!ENTITY a "b">]><x/>'}))
    with pytest.raises(BadFile, match="xlsx"):
        read(a_zip(tmp_path / "b.xlsx", {"word/document.xml": b""}))


def test_a_locked_workbook_is_refused(tmp_path: Path):
    path = a_zip(tmp_path / "a.xlsx", {"xl/workbook.xml": b"x" * 50})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadFile, match="密码"):
        read(path)


def test_a_cell_of_endless_text_is_refused(tmp_path: Path):
    (path := tmp_path / "a.csv").write_text("姓名\n" + "李" * 3000, "utf-8")
    with pytest.raises(BadFile, match="第 2 行"):
        read(path)


def test_more_columns_than_any_template_are_refused(tmp_path: Path):
    rows = [["x"] * 61]
    (csv := tmp_path / "a.csv").write_text(",".join(rows[0]), "utf-8")
    for path in (csv, a_workbook(tmp_path / "a.xlsx", *rows)):
        with pytest.raises(BadFile, match="60 列"):
            read(path)


def test_the_reader_of_workbooks_writes_nothing_but_rows(tmp_path: Path):
    path = a_workbook(tmp_path / "a.xlsx", ["=1+1", '=HYPERLINK("http://x")'])
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert b"<f>" in archive.read("xl/worksheets/sheet1.xml")
    ((_, cells),) = read(path)
    assert cells[0] == NUMBER + "0"


@pytest.mark.parametrize("cell", ["2026-1-5", "2026/01/05", "2026.1.5", "20260105", "2026年1月5日", "2026/1/5 0:00"])
def test_a_day_is_read_as_people_and_programs_write_it(cell: str):
    assert day(cell) == day("2026-01-05T00:00:00") == date(2026, 1, 5)


@pytest.mark.parametrize("cell", ["05/01/2026", "26-1-5", "2026-01", "2026-01-05 13:00", "46027"])
def test_a_day_that_could_be_read_in_two_ways_is_refused(cell: str):
    with pytest.raises(BadCell):
        day(cell)


def test_cells_without_stored_content_never_pass_for_empty(tmp_path: Path):
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["甲", "乙"])
        sheet.merge_range(1, 0, 2, 0, "220104001")
        sheet.write_formula(1, 1, "=VLOOKUP(1,A1:B2,2)", None, "#N/A")
        sheet.write_formula(2, 1, '=A1&"x"', None, "甲x")
        sheet.write_formula(3, 1, "=A1", None, "")
        sheet.write_string(3, 0, "末")
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["xl/worksheets/sheet1.xml"] = entries["xl/worksheets/sheet1.xml"].replace(b"<f>A1</f><v></v>", b"<f>A1</f>")
    assert read(a_zip(path, entries))[1:] == [
        (2, ["220104001", BROKEN]),
        (3, [MERGED, "甲x"]),
        (4, ["末", UNCOUNTED]),
    ]
