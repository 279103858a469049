"""How large a file from outside may be, and a look into a workbook's zip before anything parses it.

An .xlsx is a zip: a few kilobytes can inflate to gigabytes, so every entry is inflated once here and counted.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from canteen.errors import Invalid

_MB: Final = 1024 * 1024
_CHUNK: Final = 256 * 1024
_HEADER: Final = 30  # bytes of a zip entry before its name


class BadFile(Invalid):
    code = "file_malformed"
    message = "文件打不开，请用系统提供的模板填写，另存为 .xlsx 或 .csv 后再试。"


class FileTooLarge(BadFile):
    code = "file_too_large"
    message = "文件太大，请拆成几份后分别导入。"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes, entries, rows, columns, characters in a cell, seconds."""

    file: int = 20 * _MB
    inflated: int = 400 * _MB
    entries: int = 200
    rows: int = 200_000
    columns: int = 60
    cell: int = 2_000
    seconds: int = 60
    memory: int = 1536 * _MB


USUAL: Final = Limits()


def check_size(path: Path, limits: Limits) -> None:
    """Raise FileTooLarge; BadFile when empty."""
    size = path.stat().st_size
    if size > limits.file:
        raise FileTooLarge(f"文件超过 {limits.file // _MB} MB，请拆成几份后分别导入。")
    if size == 0:
        raise BadFile("文件是空的，请核对后再试。")


def check_zip(path: Path, limits: Limits) -> None:
    """Inflate a workbook without keeping it. Raises BadFile or FileTooLarge for anything but a plain, bounded zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            if len(entries) > limits.entries:
                raise FileTooLarge("表格文件内部过于复杂，请把内容复制到系统模板后再试。")
            if "xl/workbook.xml" not in {entry.filename for entry in entries}:
                raise BadFile("这不是 .xlsx 表格，请用系统提供的模板填写。")
            _check_places(entries)
            left = limits.inflated
            for entry in entries:
                left -= _inflate(archive, entry, left)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadFile from error


def _check_places(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse entries that share bytes or are encrypted: no spreadsheet program writes such a file."""
    end = 0
    for entry in sorted(entries, key=lambda entry: entry.header_offset):
        if entry.header_offset < end or entry.flag_bits & 0x1:
            raise BadFile("表格文件已加密或损坏，请去掉密码后再试。")
        end = entry.header_offset + _HEADER + entry.compress_size


def _inflate(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, left: int) -> int:
    """Count the bytes that an entry really inflates to. Raises FileTooLarge once `left` is passed."""
    total, first = 0, True
    with archive.open(entry) as source:
        while chunk := source.read(_CHUNK):
            total += len(chunk)
            if total > left:
                raise FileTooLarge("表格展开后过大，请删去多余的格式和空白区域，或拆成几份后再试。")
            if first and b"<!DOCTYPE" in chunk[:4096]:
                raise BadFile
            first = False
    return total
