"""The files we hand out: a workbook with text cells for filling in, notes beside it, and lists of what may be entered."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, Final

import xlsxwriter
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.places import Area
from canteen.registry.imports.columns import Template
from canteen.registry.imports.sheet import BESIDE
from canteen.registry.labels import LEVELS

TEXT: Final = "@"  # a cell of this format keeps 18 digits as they are typed
PREPARED: Final = 2000  # rows that are text cells from the start; the column's format covers the rest
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def workbook(session: Session, template: Template, rows: Sequence[Sequence[str]] = ()) -> bytes:
    """Make an .xlsx to fill in, with `rows`, when given, as text."""
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        text = book.add_format({"num_format": TEXT})
        heading = book.add_format({"bold": True, "num_format": TEXT, "bg_color": "#E8EEF4", "border": 1})
        _fill(book.add_worksheet(template.title), template, rows, text, heading)
        _notes(book.add_worksheet(BESIDE[0]), template, text, heading)
        _areas(book.add_worksheet(BESIDE[1]), session, text, heading)
    return out.getvalue()


def separated(template: Template, rows: Sequence[Sequence[str]] = ()) -> bytes:
    """Make the same as CSV in UTF-8 with the mark that Excel looks for."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(column.title for column in template.columns)
    writer.writerows(rows)
    return out.getvalue().encode("utf-8-sig")


def _fill(sheet: Any, template: Template, rows: Sequence[Sequence[str]], text: Any, heading: Any) -> None:
    for at, column in enumerate(template.columns):
        sheet.set_column(at, at, column.width, text)
        sheet.write_string(0, at, column.title + ("*" if column.required else ""), heading)
        if column.note:
            sheet.write_comment(0, at, column.note)
    sheet.freeze_panes(1, 0)
    for number, row in enumerate(rows, start=1):
        for at, cell in enumerate(row):
            sheet.write_string(number, at, cell, text)
    for number in range(len(rows) + 1, PREPARED):
        for at in range(len(template.columns)):
            sheet.write_blank(number, at, None, text)


def _notes(sheet: Any, template: Template, text: Any, heading: Any) -> None:
    sheet.set_column(0, 0, 18, text)
    sheet.set_column(1, 1, 8, text)
    sheet.set_column(2, 2, 90, text)
    for at, title in enumerate(("列", "必填", "怎样填写")):
        sheet.write_string(0, at, title, heading)
    for number, column in enumerate(template.columns, start=1):
        sheet.write_string(number, 0, column.title, text)
        sheet.write_string(number, 1, "是" if column.required else "", text)
        sheet.write_string(number, 2, column.note, text)
    last = len(template.columns) + 2
    sheet.write_string(last, 0, "提示", heading)
    sheet.write_string(
        last,
        2,
        "请勿改动表头；空着的单元格、没有的列都不改动原有登记，新登记的按该列说明；所有列都是文本格式，可直接粘贴“值”。",
        text,
    )


def _areas(sheet: Any, session: Session, text: Any, heading: Any) -> None:
    sheet.set_column(0, 0, 18, text)
    sheet.set_column(1, 1, 30, text)
    sheet.set_column(2, 2, 14, text)
    for at, title in enumerate(("区划代码", "名称", "级别")):
        sheet.write_string(0, at, title, heading)
    found = session.execute(select(Area.id, Area.name, Area.level).order_by(Area.id))
    for number, (code, name, level) in enumerate(found, start=1):
        for at, cell in enumerate((code, name, LEVELS[level])):
            sheet.write_string(number, at, cell, text)
