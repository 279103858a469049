"""A file made rows of text: .xlsx and .xls through a child process, .csv in UTF-8, GB18030 or marked UTF-16."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Final

from canteen.registry.imports import sheet
from canteen.registry.imports.bounds import USUAL, BadFile, FileTooLarge, Limits, check_size, check_zip
from canteen.registry.imports.file_kinds import FileKind, kind_of

FURTHER: Final = 2000  # rows of titles, headings and empty ones in all sheets, beside those of people
PART: Final = 1024 * 1024  # bytes of rows read at once
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


class TookTooLong(BadFile):
    code = "file_took_too_long"
    message = "文件解析超时或占用内存过多，请拆成几份，或把内容复制到系统模板后再试。"


@dataclass(frozen=True, slots=True)
class SheetRows:
    """One sheet of a file; a .csv is one without a name.

    rows       give the rows from the first on, each with the number that the spreadsheet shows for it; none if hidden
    filled     whether it has any content
    unseen     hidden rows and hidden columns
    from_1904  its days are counted from 1904 and not from 1900
    """

    name: str
    rows: Callable[[], Iterator[tuple[int, list[str]]]]
    hidden: bool = False
    filled: bool = True
    unseen: tuple[int, int] = (0, 0)
    from_1904: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A file made rows of text. `hash`: SHA-256 of the file's bytes; `sheets`: at least one, in the file's order."""

    hash: str
    sheets: tuple[SheetRows, ...]


@contextmanager
def opened(path: Path, limits: Limits = USUAL) -> Iterator[Table]:
    """Open a file's rows while the block lasts; rows without text are left out. Raises BadFile and its kin."""
    check_size(path, limits)
    with path.open("rb") as source:
        file_hash = hashlib.file_digest(source, "sha256").hexdigest()
    kind = kind_of(path)
    if kind is FileKind.TEXT:
        text = _decoded(path.read_bytes())
        yield Table(file_hash, (SheetRows("", lambda: _bounded(_csv_rows(text, limits), limits)),))
        return
    if kind is FileKind.XLSX:
        check_zip(path, limits)
    with tempfile.TemporaryFile("w+b") as rows:
        _run_child(path, rows, limits)
        yield Table(file_hash, tuple(_sheets(rows, limits)))


def _run_child(path: Path, out: IO[bytes], limits: Limits) -> None:
    """Let another process read the workbook into `out`; it has no environment and cannot outgrow its limits."""
    asked = [str(n) for n in (limits.rows + 1, limits.columns, limits.memory, limits.seconds)]
    command = [sys.executable, "-I", "-X", "utf8", sheet.__file__, str(path.absolute()), *asked]
    try:
        done = subprocess.run(  # noqa: S603 - our own file, run by our own interpreter
            command, stdout=out, stderr=subprocess.DEVNULL, timeout=limits.seconds, check=False, env={}
        )
    except subprocess.TimeoutExpired as error:
        raise TookTooLong from error
    if done.returncode == sheet.TOO_MANY_ROWS:
        raise _too_many(limits)
    if done.returncode == sheet.TOO_WIDE:
        raise BadFile(f"表格超过 {limits.columns} 列，请只保留模板中的列。")
    if done.returncode == sheet.LOCKED:
        raise BadFile("表格已加密，请去掉打开密码后再上传。")
    if done.returncode == sheet.NO_WORKBOOK:
        raise BadFile("这不是 Excel 表格，或文件已损坏：请在 Excel 或 WPS 里打开，另存为 .xlsx 后再上传。")
    if done.returncode < 0:
        raise TookTooLong
    if done.returncode != 0:
        raise BadFile


def _sheets(out: IO[bytes], limits: Limits) -> Iterator[SheetRows]:
    """Yield the sheets that the child printed. Raises FileTooLarge when together they have too many rows."""
    out.seek(0)
    total = 0
    while line := out.readline():
        if line.startswith(b"{"):
            about, at = json.loads(line), out.tell()
            unseen = (about["rows"], about["columns"])
            rows = partial(_sheet_rows, out, at, limits)
            yield SheetRows(about["sheet"], rows, about["hidden"], about["filled"], unseen, about["from_1904"])
            out.seek(at)
        elif (total := total + 1) > limits.rows + FURTHER:
            raise _too_many(limits)


def _sheet_rows(out: IO[bytes], at: int, limits: Limits) -> Iterator[tuple[int, list[str]]]:
    return _bounded(_child_rows(out, at), limits)


def _child_rows(out: IO[bytes], at: int) -> Iterator[list[str]]:
    """Yield the rows printed from `at` on, up to the next sheet. Several may be read in turns."""
    while True:
        out.seek(at)
        lines = out.readlines(PART)
        at = out.tell()
        for line in lines:
            if line.startswith(b"{"):
                return
            yield json.loads(line)
        if not lines:
            return


def _csv_rows(text: str, limits: Limits) -> Iterator[list[str]]:
    first = "\n".join(text.split("\n", 20)[:20])  # titles may stand above the heading
    delimiter = "\t" if first.count("\t") > first.count(",") else ","
    csv.field_size_limit(limits.cell * 8)
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    except csv.Error as error:
        raise BadFile("CSV 文件的引号或分隔符不对，请用系统模板另存为 CSV 后再试。") from error


def _decoded(data: bytes) -> str:
    """Decode UTF-8, else GB18030, which Chinese Excel writes, else UTF-16, which is Excel's “Unicode 文本”."""
    for encoding in ("utf-16",) if data.startswith(_UTF_16) else ("utf-8-sig", "gb18030"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise BadFile("文件编码无法识别，请另存为 UTF-8 编码的 CSV 或 .xlsx 后再试。")


def _bounded(rows: Iterator[list[str]], limits: Limits) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not empty, with their numbers from 1."""
    for number, cells in enumerate(rows, start=1):
        if number > limits.rows + 1:  # and the heading
            raise _too_many(limits)
        if len(cells) > limits.columns and any(cells[limits.columns :]):
            raise BadFile(f"第 {number} 行超过 {limits.columns} 列，请只保留模板中的列。")
        if any(len(cell) > limits.cell for cell in cells):
            raise BadFile(f"第 {number} 行有单元格内容过长，请核对。")
        if any(cell and not cell.isspace() for cell in cells):
            yield number, cells


def _too_many(limits: Limits) -> FileTooLarge:
    return FileTooLarge(f"超过 {limits.rows} 行，请拆成几份后分别导入。")
