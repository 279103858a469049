"""Text as people, scanners and spreadsheets hand it in, made one form: full-width letters, odd spaces, dots in names."""

from __future__ import annotations

import re
import unicodedata

from canteen.errors import Invalid

_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20, 0x3002: 0x2E}
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff\u00ad]")
_DOTS = re.compile(r"\s*[·•‧∙⋅・．.]\s*")
_PHONE = re.compile(r"\+?[\d-]{5,20}", re.ASCII)
NAME_LIMIT = 60


class BadName(Invalid):
    code = "name_malformed"
    message = "姓名填写有误，请按身份证上的姓名填写。"


class BadPhone(Invalid):
    code = "phone_malformed"
    message = "电话只能是 5 至 20 位数字和短横线，请核对。"


def fold(text: str) -> str:
    """Full-width forms narrowed, invisible marks dropped, runs of white space made one space, ends trimmed."""
    return " ".join(_INVISIBLE.sub("", text.translate(_NARROW)).split())


def close_up(text: str) -> str:
    """`fold`, without any white space: for numbers and codes."""
    return fold(text).replace(" ", "")


def phone_of(text: str) -> str:
    """A telephone number, '' where none is given. Raises BadPhone."""
    phone = close_up(text)
    if phone and not _PHONE.fullmatch(phone):
        raise BadPhone
    return phone


def name_of(text: str) -> str:
    """A person's name in one form: 买买提·艾力 with one middle dot, no blanks between characters of Han names.

    Raises BadName: empty, too long, control characters, or characters that only one vendor's font can show.
    """
    name = unicodedata.normalize("NFC", fold(text))
    if not name.isascii():
        name = _DOTS.sub("·", name).replace(" ", "")
    if not name or len(name) > NAME_LIMIT:
        raise BadName
    if any(unicodedata.category(char) == "Co" for char in name):
        raise BadName("姓名含有自造字，其他电脑无法显示，请改用该字的标准编码（如“𠮷”）。")
    if any(_strange(char) or char.isdigit() for char in name):
        raise BadName
    return name


def _strange(char: str) -> bool:
    """Whether no name holds it. Planes 2 and 3 are all Han; their newest characters are younger than our tables."""
    kind = unicodedata.category(char)
    return kind in {"Cc", "Cs", "Cf"} or (kind == "Cn" and not 0x20000 <= ord(char) < 0x3FFFE)
