"""The codes of a card: a code of 26 digits for machines and a number of 8 digits for people. No personal data.

The code is 24 random digits and two check digits (ISO 7064 MOD 97-10). Digits alone pass through the Chinese
input method that sits behind a keyboard scanner, at worst widened, which `read` folds.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Literal

from stdnum import damm
from stdnum.iso7064 import mod_97_10

from canteen.errors import Invalid
from canteen.registry.text_forms import close_up

RANDOM = 24
CODE = RANDOM + 2
NUMBER = 8
LONGEST = 512  # characters that are looked at; a hand-held scanner may read anything

_SYMBOLOGY = re.compile(r"^\][A-Za-z]\d")  # some scanners name the kind of code first


class ScanMalformed(Invalid):
    code = "scan_malformed"
    message = "没有读全，请再扫一次，或输入卡面上的 8 位卡号。"


class ScanForeign(Invalid):
    code = "scan_foreign"
    message = "这不是助餐卡的二维码，请出示助餐卡。"


@dataclass(frozen=True, slots=True)
class Code:
    """A scan that is well formed: the code of a card, or the number printed on it for people."""

    digits: str = field(repr=False)
    how: Literal["card", "number"]


def new_code() -> str:
    """Draw 26 digits that nobody can guess; they never begin with zero, so that no tool can shorten them."""
    head = str(secrets.randbelow(9 * 10 ** (RANDOM - 1)) + 10 ** (RANDOM - 1))
    return head + str(mod_97_10.calc_check_digits(head))


def new_number() -> str:
    """Draw 8 digits for people: 7 random and a check digit that finds every slip and every swap of neighbours."""
    head = str(secrets.randbelow(9_000_000) + 1_000_000)
    return head + str(damm.calc_check_digit(head))


def read(scan: str) -> Code:
    """Make a Code of what a scanner or a person typed.

    Folds full-width digits, blanks, line ends and a scanner's prefix. Raises ScanForeign: some other
    code, such as a payment code or an address. Raises ScanMalformed: digits, but not all of them right.
    """
    text = _SYMBOLOGY.sub("", close_up(scan[:LONGEST])).replace("-", "")
    if not text:
        raise ScanMalformed
    if not (text.isascii() and text.isdigit()):
        raise ScanForeign
    if len(text) == NUMBER:
        if not damm.is_valid(text):
            raise ScanMalformed("卡号有误，请对照卡面上的 8 位数字再输一次。")
        return Code(text, "number")
    if len(text) == CODE and mod_97_10.is_valid(text):
        return Code(text, "card")
    if len(text) in {16, 17, 18, 19}:  # mobile payment and bank codes are digits too
        raise ScanForeign
    raise ScanMalformed
