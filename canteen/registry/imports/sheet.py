"""Reads one workbook in a process of its own, under limits of memory and time, and prints its rows as JSON lines.

Run by `tables` as a script, so that what a crafted file can break is this process alone. Each line is the list of a
row's cells as text, from the sheet's first row on; a number keeps a form that tells it was a number.
"""

from __future__ import annotations

import datetime as dt
import json
import resource
import sys
from typing import Any

from python_calamine import CalamineWorkbook

TOO_MANY_ROWS, TOO_WIDE, NO_SHEET = 3, 4, 5


def main(path: str, rows: int, columns: int, memory: int, seconds: int) -> int:
    """Print at most `rows` rows of the first sheet. Answers 0, or why not."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    book = CalamineWorkbook.from_path(path)
    if not book.sheet_names:
        return NO_SHEET
    sheet = book.get_sheet_by_index(0)
    if sheet.end is not None and sheet.end[1] >= columns:
        return TOO_WIDE
    if sheet.total_height > rows:
        return TOO_MANY_ROWS
    before = [""] * (sheet.start[1] if sheet.start else 0)
    write = sys.stdout.write
    for row in sheet.iter_rows():
        write(json.dumps(before + [text_of(cell) for cell in row], ensure_ascii=False))
        write("\n")
    return 0


def text_of(cell: Any) -> str:
    """A cell as text. Whole numbers below 10^15 are exact; greater ones show as 2.2E+17, so that they are refused."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.15G}"
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(" ", "minutes")
    if isinstance(cell, dt.time):
        return cell.isoformat("minutes")
    return str(cell)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:6])))
