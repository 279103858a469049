"""Cards on paper: A4 sheets of ten ID-1 cards (85.6 x 54 mm) with code, number and name.

The code is a QR of 25 x 25 modules (numeric, version 2, level H) with one millimetre a module, in the quiet zone
of four modules that the standard asks for. Lengths are millimetres, font sizes points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import as_file, files
from itertools import combinations, islice, pairwise
from typing import Final

from fontTools.ttLib import TTCollection
from fpdf import FPDF
from qrcode.constants import ERROR_CORRECT_H
from qrcode.main import QRCode
from qrcode.util import QRData

CARD: Final = (85.6, 54.0)
COLUMNS, ROWS = 2, 5
SHEET = COLUMNS * ROWS
FILE_LIMIT = 1000  # cards in one file, about a megabyte: larger ones strain the print shop's reader
MARGINS: Final = ((210 - COLUMNS * CARD[0]) / 2, (297 - ROWS * CARD[1]) / 2)
MODULE = 1.0
MODULES = 25
QUIET = 4
MASK: Final = 3  # the standard lets any be used; to weigh all eight costs ten times the encoding
NUMERIC: Final = 1  # the QR standard's mode for digits
PAD = 4.0
NAME_SIZES: Final = (26, 20, 15)  # at most, in one line, two and three

_FONT = "noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc"
_SIMPLIFIED = 2  # face of the collection whose shapes are those of mainland China


@dataclass(frozen=True, slots=True)
class Face:
    """The print on one card. `name` '' on a blank card, which leaves a line to write on."""

    code: str = field(repr=False)
    number: str
    name: str = field(default="", repr=False)


def sheets(faces: Iterable[Face], *, brand: str, phone: str = "") -> Iterator[bytes]:
    """Yield PDF files of at most FILE_LIMIT cards each, made one at a time."""
    waiting = iter(faces)
    while part := list(islice(waiting, FILE_LIMIT)):
        yield sheet(part, brand=brand, phone=phone)


def sheet(faces: Iterable[Face], *, brand: str, phone: str = "") -> bytes:
    """Make one PDF file of all these cards, ten a page; `phone` is whom to call about a lost one."""
    pdf = _paper()
    for at, face in enumerate(faces):
        if at % SHEET == 0:
            pdf.add_page()
        column, row = at % COLUMNS, at % SHEET // COLUMNS
        _card(pdf, MARGINS[0] + column * CARD[0], MARGINS[1] + row * CARD[1], face, brand, phone)
    return bytes(pdf.output())


def unprintable(name: str) -> set[str]:
    """Return the characters of a name that the font lacks; such a name is left to be written by hand."""
    return {char for char in name if ord(char) not in _covered()}


def matrix(code: str) -> list[list[bool]]:
    """Return the modules of a code's QR, without its quiet zone."""
    qr = QRCode(version=2, error_correction=ERROR_CORRECT_H, border=0, mask_pattern=MASK)
    qr.add_data(QRData(code, mode=NUMERIC), optimize=0)
    qr.make(fit=False)
    return [[bool(module) for module in row] for row in qr.get_matrix()]


def _paper() -> FPDF:
    pdf = FPDF(orientation="portrait", unit="mm", format="A4")
    pdf.set_auto_page_break(auto=False)
    pdf.set_margin(0)
    pdf.set_title("助餐卡")
    with as_file(files(_FONT[0]) / _FONT[1]) as path:
        pdf.add_font("han", fname=path, collection_font_number=_SIMPLIFIED)
    return pdf


def _card(pdf: FPDF, left: float, top: float, face: Face, brand: str, phone: str) -> None:
    """Draw one card with its cutting line; everything for people is left of the code."""
    pdf.set_draw_color(190)
    pdf.set_line_width(0.1)
    pdf.rect(left, top, *CARD)
    side = (MODULES + 2 * QUIET) * MODULE
    code_left, code_top = left + CARD[0] - side - 1.5, top + (CARD[1] - side) / 2
    _code(pdf, code_left + QUIET * MODULE, code_top + QUIET * MODULE, face.code)
    width = code_left - left - PAD
    _line(pdf, left + PAD, top + 8, width, brand, 11)
    if face.name and not unprintable(face.name):
        _name(pdf, left + PAD, top + 23, width, face.name)
    else:
        _line(pdf, left + PAD, top + 22, width, "姓名", 11)
        pdf.line(left + PAD + 10, top + 23, left + PAD + width - 2, top + 23)
    _line(pdf, left + PAD, top + 39, width, f"{face.number[:4]} {face.number[4:]}", 24)
    lost = f"请勿外借  遗失请打 {phone}" if phone else "请勿外借  遗失请告知社区或食堂"
    _line(pdf, left + PAD, top + 48, width, lost, 7.5)


def _name(pdf: FPDF, left: float, baseline: float, width: float, name: str) -> None:
    """Write a name as large as its place allows: a long one in two or three lines, broken where its parts meet."""
    pdf.set_font("han", size=NAME_SIZES[0])
    best, lines = 0.0, [name]
    for most, count in zip(NAME_SIZES, (1, 2, 3), strict=True):
        for broken in _broken(name, count):
            size = min(most, NAME_SIZES[0] * width / max(pdf.get_string_width(line) for line in broken))
            if size > best:
                best, lines = size, broken
    pitch = best * 0.42  # millimetres from line to line
    for at, line in enumerate(lines):
        _line(pdf, left, baseline + (at - (len(lines) - 1) * 0.6) * pitch, width, line, best)


def _broken(name: str, count: int) -> Iterator[list[str]]:
    """Yield every split of a name into so many lines after a dot or a blank."""
    parts = re.findall(r"[^· ]+[· ]*", name) or [name]
    for cuts in combinations(range(1, len(parts)), count - 1):
        ends = (0, *cuts, len(parts))
        yield ["".join(parts[first:last]).strip() for first, last in pairwise(ends)]


def _line(pdf: FPDF, left: float, baseline: float, width: float, text: str, size: float) -> None:
    """Write text in one line, set smaller where it would run into the code."""
    pdf.set_font("han", size=size)
    wide = pdf.get_string_width(text)
    if wide > width:
        pdf.set_font("han", size=size * width / wide)
    pdf.text(left, baseline, text)


def _code(pdf: FPDF, left: float, top: float, code: str) -> None:
    """Draw the dark modules as one path: viewers show seams between separate rectangles.

    The operators are written as they are: a path of the library's objects is copied as often as there are rectangles.
    """
    scale, bottom = pdf.k, pdf.h - top - MODULE
    drawn = (
        f"{(left + start * MODULE) * scale:.2f} {(bottom - y * MODULE) * scale:.2f}"
        f" {length * MODULE * scale:.2f} {MODULE * scale:.2f} re"
        for y, row in enumerate(matrix(code))
        for start, length in _runs(row)
    )
    pdf._out(f"q 0 g {' '.join(drawn)} f Q")  # noqa: SLF001 - the library has no other way to write operators


def _runs(row: list[bool]) -> Iterator[tuple[int, int]]:
    """Start and length of each run of dark modules."""
    start = None
    for at, dark in enumerate([*row, False]):
        if dark and start is None:
            start = at
        elif not dark and start is not None:
            yield start, at - start
            start = None


@cache
def _covered() -> frozenset[int]:
    """Return every character the font can set."""
    with as_file(files(_FONT[0]) / _FONT[1]) as path, TTCollection(str(path), lazy=True) as fonts:
        return frozenset(fonts.fonts[_SIMPLIFIED].getBestCmap())
