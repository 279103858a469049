"""Reads one workbook in a process of its own, under limits of memory and time, and prints its rows as JSON lines.

Run by `tables` as a script, so that what a crafted file can break is this process alone. Each sheet begins with an object
that tells its name and what the reader of the file would not see: whether it is hidden, its hidden rows and columns.
Each further line is the list of a row's cells as text, from the sheet's first row on; a number says that it is one. A
cell whose content is not in the file says so, so that it never passes for one left empty.
"""

from __future__ import annotations

import datetime as dt
import json
import pathlib
import re
import resource
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

TOO_MANY_ROWS, TOO_WIDE, NO_SHEET, LOCKED, NO_WORKBOOK = 3, 4, 5, 6, 7
BESIDE = ("填写说明", "区划代码")  # sheets of our own templates
# No spreadsheet and no CSV can contain a NUL, so these are nobody's text.
MERGED, BROKEN, UNCOUNTED = "\0merged", "\0error", "\0formula"
NUMBER = "\0#"  # before the digits of a cell that is a number and no text

_SHEET = re.compile(rb"""<(?:\w+:)?sheet\b[^>]*?\w+:id=["']([^"']+)["']""")
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\b[^>]*>")
_CELL = re.compile(rb"<(?:\w+:)?c\b([^>]*?)(?:/>|>(.*?)</(?:\w+:)?c>)", re.DOTALL)
_PLACE = re.compile(rb"""\br=["']([A-Z]{1,3})(\d{1,7})["']""")
_ERROR = re.compile(rb"""\bt=["']e["']""")
_FORMULA = re.compile(rb"<(?:\w+:)?f\b")
_TEXT = re.compile(rb"""\bt=["']str["']""")  # a formula whose result is a text, an empty one too
_VALUE = re.compile(rb"<(?:\w+:)?v\b[^>/]*>[^<]")
_HIDDEN = re.compile(rb"""<(?:\w+:)?(row|col)\b[^>]*\bhidden=["'](?:1|true)["'][^>]*>""")
_SPAN = re.compile(rb"""\b(min|max)=["'](\d{1,5})["']""")
_FROM_1904 = re.compile(rb"""\bdate1904=["'](?:1|true)["']""")


def main(path: str, rows: int, columns: int, memory: int, seconds: int) -> int:
    """Print at most `rows` rows of each sheet. Answers 0, or why not."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (memory, memory))
    with pathlib.Path(path).open("rb") as source:
        old = source.read(4) == b"\xd0\xcf\x11\xe0"
    return old_workbook(path, rows, columns) if old else workbook(path, rows, columns)


def begin(name: str, *, hidden: bool, filled: bool, rows: int = 0, columns: int = 0, from_1904: bool = False) -> None:
    about = {"sheet": name, "hidden": hidden, "filled": filled}
    about |= {"rows": rows, "columns": columns, "from_1904": from_1904}
    sys.stdout.write(json.dumps(about, ensure_ascii=False) + "\n")


def put(cells: list[str]) -> None:
    sys.stdout.write(json.dumps(cells, ensure_ascii=False) + "\n")


# --- .xlsx ---


def workbook(path: str, rows: int, columns: int) -> int:
    from python_calamine import CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum  # noqa: PLC0415 - of the two, one is used

    with pathlib.Path(path).open("rb") as source, zipfile.ZipFile(path) as archive:
        book = CalamineWorkbook.from_filelike(source)
        from_1904 = _FROM_1904.search(archive.read("xl/workbook.xml")) is not None
        sheets = [each for each in enumerate(book.sheets_metadata) if each[1].typ == SheetTypeEnum.WorkSheet]
        for at, about in sheets:
            if about.name in BESIDE and len(sheets) > 1:
                continue
            sheet = book.get_sheet_by_name(about.name)
            if about.visible != SheetVisibleEnum.Visible:
                begin(about.name, hidden=True, filled=sheet.end is not None)
                continue
            if sheet.end is not None and sheet.end[1] >= columns:
                return TOO_WIDE
            if sheet.total_height > rows:
                return TOO_MANY_ROWS
            data = _sheet(archive, at)
            hidden_rows, hidden_columns = concealed(data, columns)
            begin(
                about.name,
                hidden=False,
                filled=sheet.end is not None,
                rows=hidden_rows,
                columns=hidden_columns,
                from_1904=from_1904,
            )
            before = [""] * (sheet.start[1] if sheet.start else 0)
            lost = withheld(data, sheet.merged_cell_ranges or [], rows, columns)
            for number, row in enumerate(sheet.iter_rows()):
                cells = before + [text_of(cell) for cell in row]
                for column, reason in lost.get(number, {}).items():
                    cells += [""] * (column + 1 - len(cells))
                    cells[column] = reason
                put(cells)
    return 0 if sheets else NO_SHEET


def concealed(data: bytes, columns: int) -> tuple[int, int]:
    """Count the hidden rows and columns of a sheet."""
    hidden = list(_HIDDEN.finditer(data))
    spans = [dict(_SPAN.findall(found[0])) for found in hidden if found[1] == b"col"]
    wide = sum(max(0, min(int(span.get(b"max", b"0")), columns) - int(span.get(b"min", b"1")) + 1) for span in spans)
    return sum(found[1] == b"row" for found in hidden), wide


def withheld(data: bytes, ranges: Any, rows: int, columns: int) -> dict[int, dict[int, str]]:
    """Return by row and column from 0 the cells whose content is not in them, and why."""
    found: dict[int, dict[int, str]] = {}
    for row, column, reason in (*hollow(data), *covered(ranges, rows, columns)):
        found.setdefault(row, {})[column] = reason
    return found


def covered(ranges: Any, rows: int, columns: int) -> Iterator[tuple[int, int, str]]:
    """Yield the cells under merged ones: their content is in the first alone."""
    for (top, left), (bottom, right) in ranges:
        for row in range(top, min(bottom, rows - 1) + 1):
            for column in range(left, min(right, columns - 1) + 1):
                if (row, column) != (top, left):
                    yield row, column, MERGED


def hollow(data: bytes) -> Iterator[tuple[int, int, str]]:
    """Yield the cells of a sheet that show an error, or a formula that no program has computed yet."""
    if _ERROR.search(data) or _FORMULA.search(data):
        for cell in _CELL.finditer(data):
            reason = _lost(cell[1], cell[2] or b"")
            if reason and (place := _PLACE.search(cell[1])):
                yield int(place[2]) - 1, _column(place[1]), reason


def _lost(attributes: bytes, content: bytes) -> str:
    if _ERROR.search(attributes):
        return BROKEN
    if not _FORMULA.search(content) or _TEXT.search(attributes):
        return ""
    return "" if _VALUE.search(content) else UNCOUNTED


def _sheet(archive: zipfile.ZipFile, at: int) -> bytes:
    """Return the XML of the workbook's sheet number `at`, from 0; nothing when it cannot be found."""
    names, relation_ids = set(archive.namelist()), _SHEET.findall(archive.read("xl/workbook.xml"))
    if at >= len(relation_ids) or "xl/_rels/workbook.xml.rels" not in names:
        return b""
    for relation in _RELATION.findall(archive.read("xl/_rels/workbook.xml.rels")):
        attributes = dict(re.findall(rb"""(\w+)=["']([^"']*)["']""", relation))
        name = attributes.get(b"Target", b"").decode().removeprefix("/").removeprefix("xl/")
        if attributes.get(b"Id") == relation_ids[at] and f"xl/{name}" in names:
            return archive.read(f"xl/{name}")
    return b""


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + letter - 64
    return number - 1


def text_of(cell: Any) -> str:
    """Return a cell as text, a number behind a mark. Whole numbers are exact below 10^15; greater show as 2.2E+17."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return NUMBER + (str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15G}")
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(" ", "minutes")
    if isinstance(cell, dt.time):
        return cell.isoformat("minutes")
    return NUMBER + str(cell) if isinstance(cell, int) else str(cell)


# --- .xls, by xlrd: python-calamine shows an error cell of such a file as an empty one ---


def old_workbook(path: str, rows: int, columns: int) -> int:
    import xlrd  # noqa: PLC0415 - of the two, one is used

    with pathlib.Path(path).open("rb") as source:
        data = source.read()
    if "EncryptedPackage".encode("utf-16-le") in data:
        return LOCKED
    try:
        book = xlrd.open_workbook(file_contents=data, formatting_info=True, logfile=sys.stderr)
    except xlrd.XLRDError as error:
        return LOCKED if "ncrypt" in str(error) else NO_WORKBOOK
    for sheet in book.sheets():
        if sheet.name in BESIDE and book.nsheets > 1:
            continue
        if sheet.visibility != 0:
            begin(sheet.name, hidden=True, filled=sheet.nrows > 0)
            continue
        if sheet.ncols > columns and any(sheet.cell_type(row, columns) for row in range(sheet.nrows)):
            return TOO_WIDE
        if sheet.nrows > rows:
            return TOO_MANY_ROWS
        hidden_rows = sum(bool(info.hidden) for row, info in sheet.rowinfo_map.items() if row < sheet.nrows)
        hidden_columns = sum(bool(info.hidden) for at, info in sheet.colinfo_map.items() if at < sheet.ncols)
        begin(
            sheet.name,
            hidden=False,
            filled=sheet.nrows > 0,
            rows=hidden_rows,
            columns=hidden_columns,
            from_1904=bool(book.datemode),
        )
        ranges = [((top, left), (bottom - 1, right - 1)) for top, bottom, left, right in sheet.merged_cells]
        lost = withheld(b"", ranges, rows, columns)
        for row in range(sheet.nrows):
            cells = [old_text(xlrd, book.datemode, cell) for cell in sheet.row(row)[:columns]]
            for column, reason in lost.get(row, {}).items():
                cells += [""] * (column + 1 - len(cells))
                cells[column] = reason
            put(cells)
    return 0 if book.nsheets else NO_SHEET


def old_text(xlrd: Any, from_1904: int, cell: Any) -> str:
    """Return a cell of an .xls as `text_of` does."""
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return BROKEN
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return text_of(bool(cell.value))
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            return text_of(xlrd.xldate.xldate_as_datetime(cell.value, from_1904))
        except (ValueError, OverflowError):
            return text_of(cell.value)
    return text_of(cell.value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:6])))
