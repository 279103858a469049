"""A file made rows of text: .xlsx through a child process, .csv in UTF-8, GB18030 or marked UTF-16."""

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
from pathlib import Path
from typing import IO, Final

from canteen.registry.imports import sheet
from canteen.registry.imports.bounds import USUAL, BadFile, FileTooLarge, Limits, check_size, check_zip

BESIDE: Final = ("填写说明", "区划代码")  # sheets of our own templates
_ZIP: Final = b"PK\x03\x04"
_OLD_EXCEL: Final = b"\xd0\xcf\x11\xe0"
_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


class TookTooLong(BadFile):
    code = "file_took_too_long"
    message = "文件解析超时或占用内存过多，请拆成几份，或把内容复制到系统模板后再试。"


@dataclass(frozen=True, slots=True)
class Table:
    """`read` gives the rows from the first on, each with the number that the spreadsheet shows for it.

    hash     SHA-256 of the file's bytes
    notices  sentences on what the importer may not see: sheets that are not read, rows that are hidden
    """

    hash: str
    read: Callable[[], Iterator[tuple[int, list[str]]]]
    notices: tuple[str, ...] = ()


@contextmanager
def opened(path: Path, limits: Limits = USUAL) -> Iterator[Table]:
    """Open a file's rows while the block lasts; rows without text are left out. Raises BadFile and its kin."""
    check_size(path, limits)
    with path.open("rb") as source:
        head = source.read(8)
        source.seek(0)
        file_hash = hashlib.file_digest(source, "sha256").hexdigest()
    if head.startswith(_OLD_EXCEL):
        raise BadFile("这是旧版或加密的表格，请另存为不加密的 .xlsx 后再试。")
    if head.startswith(_ZIP):
        check_zip(path, limits)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as rows:
            _run_child(path, rows, limits)
            notices = _notices(rows)
            yield Table(file_hash, lambda: _bounded(_child_rows(rows), limits), notices)
    else:
        text = _decoded(path.read_bytes())
        yield Table(file_hash, lambda: _bounded(_csv_rows(text, limits), limits))


def _run_child(path: Path, out: IO[str], limits: Limits) -> None:
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
    if done.returncode < 0:
        raise TookTooLong
    if done.returncode != 0:
        raise BadFile


def _notices(out: IO[str]) -> tuple[str, ...]:
    """Return what is shown beside the rows. Raises BadFile where the sheet that would be read is hidden."""
    out.seek(0)
    unseen = json.loads(out.readline())
    if unseen["hidden"]:
        message = f"第一张工作表“{unseen['name']}”是隐藏的：请取消隐藏，或把要导入的表移到最前面，再上传。"
        raise BadFile(message)
    found = []
    others = [each for each in unseen["others"] if each["name"] not in BESIDE]
    if others:
        named = "、".join(f"“{each['name']}”{'（隐藏）' if each['hidden'] else ''}" for each in others)
        found.append(
            f"只读第一张工作表“{unseen['name']}”；{named}没有读入：要导入的，请另存为单独的文件，或并到第一张里。"
        )
    hidden = [f"{unseen[kind]} {word}" for kind, word in (("rows", "行"), ("columns", "列")) if unseen[kind]]
    if hidden:
        found.append(f"表里有 {'、'.join(hidden)}是隐藏或筛掉的，也一并读入：不要导入的请删去。")
    return tuple(found)


def _child_rows(out: IO[str]) -> Iterator[list[str]]:
    out.seek(0)
    out.readline()
    yield from (json.loads(line) for line in out)


def _csv_rows(text: str, limits: Limits) -> Iterator[list[str]]:
    first = text.split("\n", 1)[0]
    delimiter = "\t" if "\t" in first and "," not in first else ","
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
