"""The rows of a file that were refused, as a workbook to correct and hand in again: a sheet a street, the reasons beside."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import xlsxwriter

from canteen.registry.imports import sheet
from canteen.registry.imports.columns import Row
from canteen.registry.imports.layouts import REASONS, Layout
from canteen.registry.imports.templates import TEXT

UNPLACED: Final = "未认出街道"
LONGEST: Final = 31  # characters of a sheet's name


@dataclass(frozen=True, slots=True)
class WrongRow:
    """A row that was refused, as it stood in the file."""

    street: str
    sheet: str
    number: int
    cells: Sequence[str] = field(repr=False)
    reasons: str


def wrong(rows: Sequence[Row]) -> list[WrongRow]:
    """Return the rows at fault."""
    return [
        WrongRow(
            row.street or UNPLACED,
            row.sheet,
            row.number,
            row.cells,
            "；".join(
                dict.fromkeys(f"{fault.field}：{fault.reason}" if fault.field else fault.reason for fault in row.faults)
            ),
        )
        for row in rows
        if row.faults
    ]


def workbook(layout: Layout, rows: Sequence[WrongRow]) -> bytes:
    """Make an .xlsx of text cells with the file's own headings, in the order of the file."""
    titles = {each.source.name: each.titles for each in layout.sheets}
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        text = book.add_format({"num_format": TEXT})
        heading = book.add_format({"bold": True, "num_format": TEXT, "bg_color": "#E8EEF4", "border": 1})
        for name, found in _parts(rows).items():
            made = book.add_worksheet(name)
            _fill(made, titles[found[0].sheet], found, text, heading)
    return out.getvalue()


def _parts(rows: Sequence[WrongRow]) -> Mapping[str, list[WrongRow]]:
    """Return the rows by the name of their sheet: a street, apart where the file's sheets have headings of their own."""
    several = len({row.sheet for row in rows}) > 1
    found: dict[str, list[WrongRow]] = {}
    for row in rows:
        name = re.sub(r"[\[\]:*?/\\']", "", f"{row.street} {row.sheet}" if several else row.street)
        found.setdefault(name[:LONGEST], []).append(row)
    return found


def _fill(made: Any, titles: Sequence[str], rows: Sequence[WrongRow], text: Any, heading: Any) -> None:
    last = max(len(titles), *(len(row.cells) for row in rows))
    made.set_column(0, last - 1, 16, text)
    made.set_column(last, last, 80, text)
    for at, title in enumerate([*titles, *[""] * (last - len(titles)), REASONS]):
        made.write_string(0, at, title, heading)
    made.freeze_panes(1, 0)
    for number, row in enumerate(rows, start=1):
        for at, cell in enumerate(row.cells):
            if (
                shown := ""
                if cell in (sheet.MERGED, sheet.BROKEN, sheet.UNCOUNTED)
                else cell.removeprefix(sheet.NUMBER)
            ):
                made.write_string(number, at, shown, text)
        made.write_string(number, last, row.reasons, text)
