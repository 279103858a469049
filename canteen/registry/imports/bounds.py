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
            names = {entry.filename for entry in entries}
            if "xl/workbook.xml" not in names:
                raise BadFile(_other_zip(names))
            _check_places(entries)
            left = limits.inflated
            for entry in entries:
                left -= _inflate(archive, entry, left)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadFile from error


def _other_zip(names: set[str]) -> str:
    """Return what a zip is that is no .xlsx, and what to do."""
    if "xl/workbook.bin" in names or "content.xml" in names:
        return "这是 .xlsb 或 .ods 表格：请用 Excel 或 WPS 打开，另存为“Excel 工作簿（.xlsx）”，再上传。"
    if "word/document.xml" in names:
        return "这是 Word 文档，不是 .xlsx 表格：请把内容复制到系统模板后再上传。"
    return "这是压缩包，不是 .xlsx 表格：请先解压，再逐个上传里面的表格。"


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
