"""The kind of a file from outside by its first bytes, whatever its name ends in, and what to do with one we cannot read."""

from __future__ import annotations

import codecs
from enum import Enum
from pathlib import Path
from typing import Final

from canteen.registry.imports.bounds import BadFile

_LOOKED_AT: Final = 4096
_AS_XLSX: Final = "请用 Excel 或 WPS 打开，另存为“Excel 工作簿（.xlsx）”，再上传。"
_NO_TABLE: Final = {
    b"%PDF": "这是 PDF 文件，不是表格：请用原来的电子表格，或把内容录入系统模板后再上传。",
    b"\x89PNG": "这是图片，不是表格：请用原来的电子表格，或把内容录入系统模板后再上传。",
    b"\xff\xd8\xff": "这是图片，不是表格：请用原来的电子表格，或把内容录入系统模板后再上传。",
    b"Rar!": "这是压缩包：请先解压，再逐个上传里面的表格。",
    b"7z\xbc\xaf": "这是压缩包：请先解压，再逐个上传里面的表格。",
    b"{\\rtf": "这是 Word 文档，不是表格：请把内容复制到系统模板后再上传。",
}


class FileKind(Enum):
    """How a file is read."""

    XLSX = "xlsx"
    XLS = "xls"
    TEXT = "csv"


class OtherKind(BadFile):
    """A file that is something else than its name says."""

    code = "file_kind"


def kind_of(path: Path) -> FileKind:
    """Return how to read a file. Raises OtherKind, naming what it is, for one that is no table or a page of the web."""
    with path.open("rb") as source:
        head = source.read(_LOOKED_AT)
    if head.startswith(b"PK\x03\x04"):
        return FileKind.XLSX
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return FileKind.XLS
    for beginning, message in _NO_TABLE.items():
        if head.startswith(beginning):
            raise OtherKind(message)
    begun = _text(head).lstrip("\ufeff \t\r\n").lower()
    if begun.startswith("mime-version:"):
        raise OtherKind(f"这个文件是网页（.mht），不是 Excel 表格：{_AS_XLSX}")
    if begun.startswith("<"):
        if "urn:schemas-microsoft-com:office:spreadsheet" in begun:
            raise OtherKind(f"这个文件是“XML 表格 2003”，不是 Excel 工作簿：{_AS_XLSX}")
        raise OtherKind(f"这个文件是网页（HTML）表格，只是取了 Excel 的名字：{_AS_XLSX}")
    return FileKind.TEXT


def _text(head: bytes) -> str:
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return head.decode("utf-16" if wide else "utf-8", "replace")
