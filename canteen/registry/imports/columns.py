"""Columns of a template, and reading a row by them: each cell checked, each fault named by row, field, reason, remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from canteen.errors import Invalid, Refusal
from canteen.registry.imports import sheet
from canteen.registry.imports.bounds import BadFile
from canteen.registry.labels import code_of
from canteen.registry.text_forms import close_up, fold, has_radicals

_DATE: Final = re.compile(
    r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?([ T]0?0:00(:00(\.0+)?)?)?|(\d{4})(\d{2})(\d{2})", re.ASCII
)  # other programs write the midnight too
_LIST: Final = re.compile(r"[、,;，；/|\s]+")
_FORMULA_TEXT: Final = re.compile(r'="(.*)"')  # how some export text so that Excel leaves it alone
_LOST: Final = {
    sheet.MERGED: "这是合并单元格，只有第一格有内容：请取消合并，逐行填写。",
    sheet.BROKEN: "单元格里的公式出错（如 #N/A），请改为填写内容。",
    sheet.UNCOUNTED: "单元格里的公式没有算出结果，请在电子表格里打开并保存，或改为填写内容。",
}
EARLIEST, LATEST = date(1890, 1, 1), date(2199, 12, 31)


class BadHeading(BadFile):
    code = "file_heading"
    message = "表头与模板不符，请下载模板后按列填写。"


class BadCell(Invalid):
    code = "cell_malformed"
    message = "填写有误，请对照模板说明修改。"


class NumberCell(Invalid):
    code = "cell_number"
    message = "这一格是数值，前面的 0 和第 15 位以后的数字可能已经丢失：请把整列设为“文本”格式后重新填写完整，或改用系统模板。"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one row. Free of personal data: `reason` never repeats the cell."""

    row: int
    field: str
    code: str
    reason: str

    def doc(self) -> dict[str, str | int]:
        return {"row": self.row, "field": self.field, "code": self.code, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `read` turns the cell's folded text into a value and raises a Refusal; '' is None unless required.

    `numeric` accepts the digits of a number cell that can mean one thing only; any other number is refused.
    """

    key: str
    title: str
    read: Callable[[str], Any]
    note: str
    required: bool = False
    also: tuple[str, ...] = ()
    width: int = 14
    numeric: Callable[[str], bool] = field(default=lambda _: False)


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of file: its columns in the order of the template we hand out, and the most rows it may have."""

    kind: str
    title: str
    columns: tuple[Column, ...]
    rows: int


@dataclass(slots=True)
class Row:
    """A row read by a template. `values` lacks what could not be read; `faults` says why."""

    number: int
    values: dict[str, Any] = field(repr=False)
    faults: list[Fault]
    refolded: bool = False  # characters that look like usual ones and are others were made the usual ones
    given: frozenset[str] = frozenset()  # keys of the columns that the file has

    def refuse(self, title: str, refusal: Refusal) -> None:
        self.faults.append(Fault(self.number, title, refusal.code, refusal.message))


def rows_of(template: Template, table: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    """Read a table by a template, one row at a time. Raises BadHeading, BadFile when there are no rows below it."""
    first = next(table, None)
    if first is None:
        raise BadFile("文件里没有内容，请核对后再试。")
    places = _placed(template, first[1])
    found = False
    for number, cells in table:
        found = True
        yield _read(places, number, cells)
    if not found:
        raise BadFile("表头下面没有数据，请填写后再试。")


def _placed(template: Template, heading: Sequence[str]) -> list[tuple[int, Column]]:
    """Return the position in this file of each column of the template."""
    titles = {name: column for column in template.columns for name in (column.title, *column.also)}
    places, seen = list[tuple[int, Column]](), set[str]()
    for at, cell in enumerate(heading):
        title = close_up(cell).rstrip("*")
        if not title:
            continue
        column = titles.get(title)
        if column is None:
            raise BadHeading(f"第 {at + 1} 列的表头不在模板里，请下载“{template.title}”模板核对。")
        if column.key in seen:
            raise BadHeading(f"“{column.title}”出现了两列，请只保留一列。")
        seen.add(column.key)
        places.append((at, column))
    if missing := [column.title for column in template.columns if column.required and column.key not in seen]:
        raise BadHeading(f"缺少“{'”“'.join(missing)}”列，请下载“{template.title}”模板核对。")
    return places


def _read(places: list[tuple[int, Column]], number: int, cells: Sequence[str]) -> Row:
    row = Row(number, {}, [], given=frozenset(column.key for _, column in places))
    for at, column in places:
        raw = cells[at] if at < len(cells) else ""
        text = fold(raw)
        row.refolded = row.refolded or has_radicals(raw)
        if text in _LOST:
            row.refuse(column.title, BadCell(_LOST[text]))
            continue
        if text.startswith(sheet.NUMBER):
            text = text.removeprefix(sheet.NUMBER)
            if not column.numeric(text):
                row.refuse(column.title, NumberCell())
                continue
        if unwrapped := _FORMULA_TEXT.fullmatch(text):
            text = fold(unwrapped[1])
        text = text.removeprefix("'")
        if not text:
            if column.required:
                row.refuse(column.title, BadCell("此项必填，不能为空。"))
            continue
        try:
            row.values[column.key] = column.read(text)
        except Refusal as refusal:
            row.refuse(column.title, refusal)
    return row


# --- readers of cells ---


def text(longest: int = 60) -> Callable[[str], str]:
    """Make a reader of free text of at most so many characters."""

    def read(cell: str) -> str:
        if len(cell) > longest or not cell.isprintable():
            raise BadCell(f"内容过长或含有特殊字符，最多 {longest} 个字。")
        return cell

    return read


def code(cell: str) -> str:
    """Read an id: letters, digits and . _ - only."""
    cell = close_up(cell)
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", cell, re.ASCII):
        raise BadCell("编号只能用字母、数字和 . _ -，最多 40 位。")
    return cell


def whole(low: int, high: int) -> Callable[[str], int]:
    """Make a reader of whole numbers in a range, both ends included."""

    def read(cell: str) -> int:
        cell = close_up(cell)
        if not re.fullmatch(r"-?\d{1,9}", cell, re.ASCII) or not low <= int(cell) <= high:
            raise BadCell(f"应为 {low} 到 {high} 的整数。")
        return int(cell)

    return read


def day(cell: str) -> date:
    """Read a date as people and Excel write it: 2026-01-05, 2026/1/5, 2026.1.5, 20260105, 2026年1月5日."""
    found = _DATE.fullmatch(cell.replace("年 ", "年").replace("月 ", "月"))
    if found is None:
        raise BadCell("日期请写成 2026-01-05 的样子。")
    parts = [int(part) for part in (found[1] or found[7], found[2] or found[8], found[3] or found[9])]
    try:
        read = date(parts[0], parts[1], parts[2])
    except ValueError as error:
        raise BadCell("没有这一天，请核对日期。") from error
    if not EARLIEST <= read <= LATEST:
        raise BadCell("日期不合理，请核对年份。")
    return read


class NoEnd:
    """The value of a cell that says in words that there is no end."""


NO_END: Final = NoEnd()
NO_END_WORDS: Final = ("无", "长期", "长期有效", "无期限")


def end(cell: str) -> date | NoEnd:
    """Read the last day of something, or 无 or 长期: it has no end, and a known one is removed."""
    return NO_END if close_up(cell) in NO_END_WORDS else day(cell)


def quantity(digits: str) -> bool:
    """Accept any number of a number cell: for columns of numbers."""
    return bool(digits)


def written_day(digits: str) -> bool:
    """Return whether digits are a day like 20260105, which has no zero to lose; a serial day is not."""
    return re.fullmatch(r"(19|20)\d{6}", digits, re.ASCII) is not None


def mobile(digits: str) -> bool:
    """Return whether digits are a whole mobile number: eleven that begin with 1; a landline may have lost its 0."""
    return re.fullmatch(r"1[3-9]\d{9}", digits, re.ASCII) is not None


def one_of(words: Mapping[str, str]) -> Callable[[str], str]:
    """Make a reader of codes given by their Chinese word or by themselves."""

    def read(cell: str) -> str:
        found = code_of(words, close_up(cell))
        if found is None:
            raise BadCell(f"只能填：{'、'.join(words.values())}。")
        return found

    return read


def listed(each: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    """Make a reader of several values in one cell, separated by 、 or a comma; 无 means none at all."""

    def read(cell: str) -> tuple[str, ...]:
        if cell in {"无", "没有"}:
            return ()
        return tuple(sorted({each(part) for part in _LIST.split(cell) if part}))

    return read
