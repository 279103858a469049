"""ID numbers of people: the resident number of GB 11643 and the typed permits beside it.

A number is never shown whole: errors carry no part of it, screens the masked form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from stdnum.iso7064 import mod_11_2

from canteen import clock
from canteen.errors import Invalid
from canteen.registry.text_forms import close_up

OLDEST = 130  # years; a birth date before that is a slip of the pen
KINDS: Final = {"resident": "居民身份证", "hmt": "港澳台居民证件", "foreign": "外国人证件", "none": "无证件"}

_RESIDENT = re.compile(r"[1-9]\d{16}[\dX]", re.ASCII)
_HMT_RESIDENCE = re.compile(r"8[123]0000\d{11}[\dX]", re.ASCII)  # 港澳、台湾居民居住证: same check digit
_HMT_PERMIT = re.compile(r"[HM]\d{8}(\d{2})?|\d{8}(\d{2}[A-Z]?)?", re.ASCII)  # 往来内地（大陆）通行证
_FOREIGN_CARD = re.compile(r"9\d{16}[\dX]", re.ASCII)  # 外国人永久居留身份证 since 2023
_FOREIGN_PERMIT = re.compile(r"[A-Z]{3}\d{12}", re.ASCII)  # before
_PASSPORT = re.compile(r"[A-Z0-9]{5,12}", re.ASCII)
_FLOAT = re.compile(r"\d(\.\d+)?E\+?\d+|\d{16,18}\.0*", re.ASCII)

RESTORE = "请把该列设为“文本”格式后重新填写完整号码，或改用系统提供的模板"


class BadNumber(Invalid):
    code = "id_malformed"
    message = "证件号码格式不对，请核对后重新填写。"


class OldNumber(BadNumber):
    code = "id_15_digits"
    message = "这是 15 位旧号码，请按现行居民身份证填写 18 位号码。"


class RoundedNumber(BadNumber):
    code = "id_rounded"
    message = f"号码已被电子表格改成数值、末几位丢失，{RESTORE}。"


class LookAlike(BadNumber):
    code = "id_look_alike"


class BadCheckDigit(BadNumber):
    code = "id_check_digit"
    message = "身份证号码校验不符，多半抄错了一位，请对照证件核对。"


class BadBirth(BadNumber):
    code = "id_birth"
    message = "身份证号码中的出生日期不存在或不合理，请对照证件核对。"


@dataclass(frozen=True, slots=True)
class Document:
    """A valid number. `birth` and `sex` are known where the number tells them."""

    kind: str
    number: str = field(repr=False)
    birth: date | None = None
    sex: str | None = None

    @property
    def masked(self) -> str:
        return mask(self.number)

    @property
    def key(self) -> str:
        """Return the input of the keyed hash: a passport and a permit with equal digits stay apart."""
        return f"{self.kind}:{self.number}"


NONE = Document("none", "")


def mask(number: str) -> str:
    """Mask a number: 2201**********123X; of short numbers only the first and the last two characters show."""
    if len(number) >= 15:
        return f"{number[:4]}{'*' * (len(number) - 8)}{number[-4:]}"
    if len(number) >= 6:
        return f"{number[0]}{'*' * (len(number) - 3)}{number[-2:]}"
    return "*" * len(number)


def parse(kind: str, text: str, *, today: date | None = None) -> Document:
    """Read a number of one of KINDS, folding full-width forms and blanks.

    Raises BadNumber and its kin; none of them repeats the number.
    """
    number = close_up(text).upper().replace("-", "") if kind != "resident" else close_up(text).upper()
    today = today or clock.today()
    if kind == "none":
        if number:
            raise BadNumber("证件类型为“无证件”时号码应留空。")
        return NONE
    if kind == "resident":
        return _resident(number, today)
    if kind == "hmt":
        return _hmt(number, today)
    if kind == "foreign":
        return _foreign(number, today)
    raise BadNumber("证件类型不认识，请从模板给出的几种中选择。")


def looks_lost(text: str) -> bool:
    """Return whether a number cell has a value that `parse` reports as rounded, so that it may be passed on to it."""
    return _FLOAT.fullmatch(text) is not None


def shown_again(text: str) -> str:
    """Return what a form may show again of a number typed: one with a mistake as it is, nothing of a valid one."""
    for kind in KINDS:
        try:
            if parse(kind, text).number:
                return ""
        except BadNumber:
            continue
    return text


def check_digit(first17: str) -> str:
    """Return the 18th character of a resident number: ISO 7064 MOD 11-2, as GB 11643 has it."""
    return str(mod_11_2.calc_check_digit(first17))


def looks_rounded(number: str) -> bool:
    """Return whether a spreadsheet may have made it a number: it keeps 15 digits and writes 000 for the rest."""
    return len(number) == 18 and number.endswith("000")


def _look_alike(number: str) -> str:
    """Return the character that only looks like the last X; '' where there is none."""
    return number[-1] if re.fullmatch(r"\d{17}[ХΧ×✕✖╳Ⅹ*]", number, re.ASCII) else ""


def _resident(number: str, today: date) -> Document:
    if look_alike := _look_alike(number):
        raise LookAlike(f"末位写的是外形相近的“{look_alike}”，不是英文字母 X，请改为 X。")
    if _FLOAT.fullmatch(number):
        raise RoundedNumber
    if re.fullmatch(r"\d{15}", number, re.ASCII):
        raise OldNumber
    if _HMT_RESIDENCE.fullmatch(number):
        raise BadNumber("这是港澳台居民居住证号码，请把证件类型改为“港澳台居民证件”。")
    if not _RESIDENT.fullmatch(number):
        raise BadNumber("居民身份证号码应为 18 位（末位可为 X），请核对后重新填写。")
    return _checked("resident", number, today)


def _hmt(number: str, today: date) -> Document:
    if _FLOAT.fullmatch(number):
        raise RoundedNumber
    if _HMT_RESIDENCE.fullmatch(number):
        return _checked("hmt", number, today)
    if _HMT_PERMIT.fullmatch(number):
        return Document("hmt", number)
    raise BadNumber("港澳台居民证件号码不对：居住证为 18 位，通行证为 8 至 11 位，请核对。")


def _foreign(number: str, today: date) -> Document:
    if _FLOAT.fullmatch(number):
        raise RoundedNumber
    if _FOREIGN_CARD.fullmatch(number):
        return _checked("foreign", number, today)
    if _FOREIGN_PERMIT.fullmatch(number) or (_PASSPORT.fullmatch(number) and any(c.isdigit() for c in number)):
        return Document("foreign", number)
    raise BadNumber("外国人证件号码不对：永久居留身份证为 18 位或 15 位，护照为 5 至 12 位，请核对。")


def _checked(kind: str, number: str, today: date) -> Document:
    if not mod_11_2.is_valid(number):
        raise RoundedNumber if looks_rounded(number) else BadCheckDigit
    try:
        birth = date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError as error:
        raise BadBirth from error
    if not today.year - OLDEST <= birth.year or birth > today:
        raise BadBirth
    return Document(kind, number, birth, "m" if int(number[16]) % 2 else "f")
