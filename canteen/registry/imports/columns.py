"""Columns of a template, and reading a row by them: each cell checked, each fault named by row, field, reason, remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from canteen.errors import Invalid, Refusal
from canteen.registry.imports import sheet
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


class BadCell(Invalid):
    code = "cell_malformed"
    message = "填写有误，请对照模板说明修改。"


class PassedCell(Invalid):
    """A cell that is not wholly taken over and costs the row nothing. `value`: what is taken of it; None is nothing."""

    code = "cell_passed"

    def __init__(self, message: str, value: str | None = None) -> None:
        super().__init__(message)
        self.value = value


class DayNumber(Invalid):
    """A number in a column of days. The code is the number cell's: the remedy alone differs."""

    code = "cell_number"
    message = "这一格是一个数字，不是日期：请选中整列，把单元格格式设为“日期”；或设为“文本”后写成 2026-01-05 的样子。"


class NumberCell(Invalid):
    code = "cell_number"
    message = "这一格是数值，前面的 0 和第 15 位以后的数字可能已经丢失：请把整列设为“文本”格式后重新填写完整，或改用系统模板。"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with one row. Free of personal data: `reason` never repeats the cell. `sheet`: '' in a .csv."""

    row: int
    field: str
    code: str
    reason: str
    sheet: str = ""

    def doc(self) -> dict[str, str | int]:
        return {
            "sheet": self.sheet,
            "row": self.row,
            "field": self.field,
            "code": self.code,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `read` turns the cell's folded text into a value and raises a Refusal; '' is None unless required.

    also     other titles of it in files from outside; of columns that are joined, from the greater area to the smaller
    joined   several columns of a file make one cell: 街道 and 社区
    whole_file  may be said once for all rows of a file that lacks it; days may be anyway
    numeric  accepts the digits of a number cell that can mean one thing only; any other number is refused
    """

    key: str
    title: str
    read: Callable[[str], Any]
    note: str
    required: bool = False
    also: tuple[str, ...] = ()
    width: int = 14
    numeric: Callable[[str], bool] = field(default=lambda _: False)
    joined: bool = False
    whole_file: bool = False

    @property
    def fillable(self) -> bool:
        """Return whether it may be said once for all rows of a file."""
        return self.dated or self.whole_file

    @property
    def dated(self) -> bool:
        """Return whether the column holds days."""
        return self.numeric is written_day


@dataclass(frozen=True, slots=True)
class Template:
    """A kind of file: its columns in the order of the template we hand out, and the most rows it may have.

    further   columns that files from outside may have besides
    """

    kind: str
    title: str
    columns: tuple[Column, ...]
    rows: int
    further: tuple[Column, ...] = ()

    @property
    def every(self) -> tuple[Column, ...]:
        """Return all columns that are understood."""
        return self.columns + self.further


@dataclass(slots=True)
class Row:
    """A row read by a template. `values` lacks what could not be read; `faults` says why.

    number   as the spreadsheet shows it; sheet: the sheet's name, '' in a .csv
    several  whether rows of several sheets are read, so that a number alone is no place
    """

    number: int
    values: dict[str, Any] = field(repr=False)
    faults: list[Fault]
    refolded: bool = False  # characters that look like usual ones and are others were made the usual ones
    given: frozenset[str] = frozenset()  # keys of the columns that the file has
    sheet: str = ""
    several: bool = False
    cells: Sequence[str] = field(default=(), repr=False)  # as they stood in the file
    street: str = ""  # the name of the street that the row is about, where it was recognised
    remarks: list[Fault] = field(default_factory=list)  # what was not wholly taken over; the row is good all the same

    @property
    def place(self) -> str:
        """Return where the row stands, in words that no other row of the file has."""
        return f"“{self.sheet}”第 {self.number} 行" if self.several else f"第 {self.number} 行"

    def remark(self, title: str, passed: PassedCell) -> None:
        self.remarks.append(Fault(self.number, title, passed.code, passed.message, self.sheet))

    def refuse(self, title: str, refusal: Refusal) -> None:
        self.faults.append(Fault(self.number, title, refusal.code, refusal.message, self.sheet))


def read_row(row: Row, cells: Iterable[tuple[Column, str]]) -> Row:
    """Read the cells of a row into its values and faults."""
    for column, raw in cells:
        if not raw and not column.required:
            continue
        row.refolded = row.refolded or has_radicals(raw)
        try:
            text = _content(column, fold(raw))
            if text:
                row.values[column.key] = column.read(text)
            elif column.required:
                row.refuse(column.title, BadCell("此项必填，不能为空。"))
        except PassedCell as passed:
            row.remark(column.title, passed)
            if passed.value is not None:
                row.values[column.key] = passed.value
        except Refusal as refusal:
            row.refuse(column.title, refusal)
    return row


def _content(column: Column, text: str) -> str:
    """Return what a cell says. Raises BadCell where its content is not in the file, NumberCell for a number that lost some."""
    if text in _LOST:
        raise BadCell(_LOST[text])
    if text.startswith(sheet.NUMBER):
        text = text.removeprefix(sheet.NUMBER)
        if not column.numeric(text):
            raise DayNumber if column.dated and len(text) < len("20260105") else NumberCell
    if text.startswith("=") and (unwrapped := _FORMULA_TEXT.fullmatch(text)):
        text = fold(unwrapped[1])
    return text.removeprefix("'")


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


def area(cell: str) -> str:
    """Read the code of an area, or its name or an address, which are looked up later."""
    place = close_up(cell)
    if len(place) > 100 or not place.isprintable():
        raise BadCell("区划请填代码或名称，如 桂林街道，最多 100 个字。")
    return place


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
