"""A workbook written row by row: amounts as exact numbers, ids as text, never a formula (P30).

XlsxWriter's constant memory: a sheet of any length needs the same memory. Same rows, same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from canteen.money import Fen

MADE = datetime(2000, 1, 1, tzinfo=UTC)  # a workbook carries no time of its own, so that it can be compared

Cell = str | int | Decimal | date | None


def yuan(fen: Fen) -> Decimal:
    """Return an amount in yuan, exact."""
    return Decimal(fen) / 100


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
        made = self._book.add_worksheet(name)
        for column, width in enumerate(widths):
            made.set_column(column, column, width)
        return Sheet(made, self._head, self._title, self._money, self._day)

    def close(self) -> None:
        self._book.close()


class Sheet:
    """One sheet; rows go down, each written once."""

    def __init__(self, made: Any, head: Any, title: Any, money: Any, day: Any) -> None:
        self._made, self._head, self._title, self._money, self._day = made, head, title, money, day
        self.rows = 0

    def title(self, text: str) -> None:
        self._made.write_string(self.rows, 0, text, self._title)
        self.rows += 1

    def head(self, names: Iterable[str]) -> None:
        for column, name in enumerate(names):
            self._made.write_string(self.rows, column, name, self._head)
        self.rows += 1

    def row(self, cells: Iterable[Cell]) -> None:
        """Write a row: text as text, however it begins; Decimal as an amount; int as a number; a date as a date."""
        for column, cell in enumerate(cells):
            if isinstance(cell, str):
                self._made.write_string(self.rows, column, cell)
            elif isinstance(cell, Decimal):
                self._made.write_number(self.rows, column, cell, self._money)
            elif isinstance(cell, date):
                self._made.write_datetime(self.rows, column, cell, self._day)
            elif cell is not None:
                self._made.write_number(self.rows, column, cell)
        self.rows += 1

    def gap(self) -> None:
        self.rows += 1
