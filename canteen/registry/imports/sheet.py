"""Reads one workbook in a process of its own, under limits of memory and time, and prints its rows as JSON lines.

Run by `tables` as a script, so that what a crafted file can break is this process alone. The first line tells what the
reader of the file would not see, the sheets besides and what is hidden. Each further line is the list of a row's cells
as text, from the sheet's first row on; a number says that it is one. A cell whose content is not in the file says
so, so that it never passes for one left empty.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import resource
import sys
import zipfile
from collections.abc import Iterator
from typing import Any

from python_calamine import CalamineWorkbook, SheetVisibleEnum

TOO_MANY_ROWS, TOO_WIDE, NO_SHEET = 3, 4, 5
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
_FILLED = re.compile(rb"<(?:\w+:)?(?:v|is)\b[^>/]*>")
_HIDDEN = re.compile(rb"""<(?:\w+:)?(row|col)\b[^>]*\bhidden=["'](?:1|true)["'][^>]*>""")
_SPAN = re.compile(rb"""\b(min|max)=["'](\d{1,5})["']""")
LOOKED_AT = 8 * 1024 * 1024  # bytes of another sheet that are searched for a first content


def main(path: str, rows: int, columns: int, memory: int, seconds: int) -> int:
    """Print at most `rows` rows of the first sheet. Answers 0, or why not."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (memory, memory))
    book = CalamineWorkbook.from_path(path)
    if not book.sheet_names:
        return NO_SHEET
    sheet = book.get_sheet_by_index(0)
    if sheet.end is not None and sheet.end[1] >= columns:
        return TOO_WIDE
    if sheet.total_height > rows:
        return TOO_MANY_ROWS
    before = [""] * (sheet.start[1] if sheet.start else 0)
    lost = withheld(path, sheet.merged_cell_ranges or [], rows, columns)
    write = sys.stdout.write
    write(json.dumps(unseen(path, book, columns), ensure_ascii=False) + "\n")
    for at, row in enumerate(sheet.iter_rows()):
        cells = before + [text_of(cell) for cell in row]
        for column, reason in lost.get(at, {}).items():
            cells += [""] * (column + 1 - len(cells))
            cells[column] = reason
        write(json.dumps(cells, ensure_ascii=False))
        write("\n")
    return 0


def unseen(path: str, book: CalamineWorkbook, columns: int) -> dict[str, Any]:
    """Return whether the first sheet is hidden, its hidden rows and columns, and the other sheets with content."""
    sheets = [(each.name, each.visible == SheetVisibleEnum.Visible) for each in book.sheets_metadata]
    with zipfile.ZipFile(path) as archive:
        hidden = list(_HIDDEN.finditer(_sheet(archive, 0)))
        others = [
            {"name": name, "hidden": not visible}
            for at, (name, visible) in enumerate(sheets)
            if at and _FILLED.search(_sheet(archive, at, LOOKED_AT))
        ]
    rows = sum(found[1] == b"row" for found in hidden)
    spans = [dict(_SPAN.findall(found[0])) for found in hidden if found[1] == b"col"]
    wide = sum(max(0, min(int(span.get(b"max", b"0")), columns) - int(span.get(b"min", b"1")) + 1) for span in spans)
    return {"hidden": not sheets[0][1], "name": sheets[0][0], "rows": rows, "columns": wide, "others": others}


def withheld(path: str, ranges: Any, rows: int, columns: int) -> dict[int, dict[int, str]]:
    """Return by row and column from 0 the cells whose content is not in them, and why."""
    found: dict[int, dict[int, str]] = {}
    for row, column, reason in (*hollow(path), *covered(ranges, rows, columns)):
        found.setdefault(row, {})[column] = reason
    return found


def covered(ranges: Any, rows: int, columns: int) -> Iterator[tuple[int, int, str]]:
    """Yield the cells under merged ones: their content is in the first alone."""
    for (top, left), (bottom, right) in ranges:
        for row in range(top, min(bottom, rows - 1) + 1):
            for column in range(left, min(right, columns - 1) + 1):
                if (row, column) != (top, left):
                    yield row, column, MERGED


def hollow(path: str) -> Iterator[tuple[int, int, str]]:
    """Yield the cells of the first sheet that show an error, or a formula that no program has computed yet."""
    with zipfile.ZipFile(path) as archive:
        data = _sheet(archive, 0)
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


def _sheet(archive: zipfile.ZipFile, at: int, most: int = -1) -> bytes:
    """Return the XML of the workbook's sheet number `at`, from 0; nothing when it cannot be found."""
    names, relation_ids = set(archive.namelist()), _SHEET.findall(archive.read("xl/workbook.xml"))
    if at >= len(relation_ids) or "xl/_rels/workbook.xml.rels" not in names:
        return b""
    for relation in _RELATION.findall(archive.read("xl/_rels/workbook.xml.rels")):
        attributes = dict(re.findall(rb"""(\w+)=["']([^"']*)["']""", relation))
        name = attributes.get(b"Target", b"").decode().removeprefix("/").removeprefix("xl/")
        if attributes.get(b"Id") == relation_ids[at] and f"xl/{name}" in names:
            with archive.open(f"xl/{name}") as entry:
                return entry.read(most)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:6])))
