"""A workbook written row by row: amounts as exact numbers, ids as text, never a formula (P30).

XlsxWriter's constant memory: a sheet of any length needs the same memory. Same rows, same bytes. A row is written as
XML here, so no text is read as anything but text.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import xlsxwriter
from xlsxwriter.format import Format
from xlsxwriter.utility import xl_col_to_name
from xlsxwriter.worksheet import Worksheet

from canteen.money import Fen

MADE = datetime(2000, 1, 1, tzinfo=UTC)  # a workbook carries no time of its own, so that it can be compared
DAY_0 = date(1899, 12, 30).toordinal()  # Excel counts days from here
LONGEST = 32_767  # UTF-16 units of a cell's text in Excel

Cell = str | int | Decimal | date | None
Placed = tuple[int, Format | None, str | int | Decimal | date]
"""A cell that is written: column from 0, format, value."""


def yuan(fen: Fen) -> Decimal:
    """Return an amount in yuan, exact."""
    return Decimal(fen) / 100


_letters = lru_cache(xl_col_to_name)
_PLAIN = re.compile(r"[^&<>_\W][^&<>_\x00-\x1f\ufffe\uffff]*(?<!\s)")  # text that XML and Excel need no escapes for


@lru_cache(10_000)
def _inline(text: str) -> str:
    """Return the inside of a cell of text, escaped as XML and Excel ask and cut where Excel ends."""
    if len(text) > LONGEST // 2:
        text = text.encode("utf-16-le")[: 2 * LONGEST].decode("utf-16-le", "ignore")
    if not text or _PLAIN.fullmatch(text):
        return f' t="inlineStr"><is><t>{text}</t></is></c>'
    kept = ' xml:space="preserve"' if text[0].isspace() or text[-1].isspace() else ""
    escaped = html.escape(Worksheet._escape_control_characters(text), quote=False)  # noqa: SLF001 - as cells had it
    return f' t="inlineStr"><is><t{kept}>{escaped}</t></is></c>'


class RowSheet(Worksheet):  # type: ignore[misc]
    """A worksheet that writes a row at once: cell by cell, the library takes three times as long."""

    def put(self, row: int, cells: Sequence[Placed]) -> None:
        """Write a row that is below all rows written before; `cells` are not empty and in order of their columns."""
        written, number = list[str](), row + 1
        for column, style, cell in cells:
            index = f' s="{style._get_xf_index()}"' if style else ""  # noqa: SLF001 - the library's writer asks it too
            head = f'<c r="{_letters(column)}{number}"{index}'
            if isinstance(cell, str):
                written.append(f"{head}{_inline(cell)}")
            else:
                written.append(
                    f"{head}><v>{cell.toordinal() - DAY_0 if isinstance(cell, date) else f'{cell:.16G}'}</v></c>"
                )
        self._check_dimensions(row, cells[0][0])
        self._check_dimensions(row, cells[-1][0])
        self.fh.write(f'<row r="{number}">{"".join(written)}</row>')


class Book:
    """A workbook that is only ever appended to, sheet by sheet and row by row."""

    def __init__(self, path: Path) -> None:
        options = {
            "constant_memory": True,
            "strings_to_numbers": False,
            "strings_to_formulas": False,
            "strings_to_urls": False,
        }
        self._book = xlsxwriter.Workbook(str(path), options)
        self._book.set_properties({"title": "结算单", "created": MADE.replace(tzinfo=None)})
        self._head = self._book.add_format({"bold": True, "bottom": 1})
        self._title = self._book.add_format({"bold": True, "font_size": 14})
        self._money = self._book.add_format({"num_format": "#,##0.00"})
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})

    def sheet(self, name: str, widths: Sequence[int] = ()) -> Sheet:
        made = self._book.add_worksheet(name, RowSheet)
        for column, width in enumerate(widths):
            made.set_column(column, column, width)
        return Sheet(made, self._head, self._title, self._money, self._day)

    def close(self) -> None:
        self._book.close()


class Sheet:
    """One sheet; rows go down, each written once."""

    def __init__(self, made: RowSheet, head: Format, title: Format, money: Format, day: Format) -> None:
        self._made, self._head, self._title, self._money, self._day = made, head, title, money, day
        self.rows = 0

    def title(self, text: str) -> None:
        self._put([(0, self._title, text)])

    def head(self, names: Iterable[str]) -> None:
        self._put([(column, self._head, name) for column, name in enumerate(names)])

    def row(self, cells: Iterable[Cell]) -> None:
        """Write a row: text as text, however it begins; Decimal as an amount; int as a number; a date as a date."""
        written = list[Placed]()
        for column, cell in enumerate(cells):
            if isinstance(cell, Decimal):
                written.append((column, self._money, cell))
            elif isinstance(cell, date):
                written.append((column, self._day, cell))
            elif cell is not None:
                written.append((column, None, cell))
        self._put(written)

    def _put(self, cells: Sequence[Placed]) -> None:
        if cells:
            self._made.put(self.rows, cells)
        self.rows += 1

    def gap(self) -> None:
        self.rows += 1
