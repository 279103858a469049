"""Text as people, scanners and spreadsheets hand it in, made one form: full-width letters, unusual spaces, dots in names."""

from __future__ import annotations

import re
import unicodedata

from canteen.errors import Invalid

# The radicals that are characters of their own, as texts copied out of a PDF have them: Kangxi radicals fold by
# their compatibility forms, of the supplement only these are whole characters that people's and places' names contain.
_SUPPLEMENT = {
    "⺁": "厂", "⺍": "小", "⺎": "兀", "⺐": "尢", "⺒": "巳", "⺓": "幺", "⺛": "旡", "⺜": "日", "⺝": "月",
    "⺟": "母", "⺠": "民", "⺧": "牛", "⺩": "王", "⺪": "疋", "⺫": "目", "⺬": "示", "⺶": "羊", "⺻": "聿", "⺽": "臼",
    "⻁": "虎", "⻄": "西", "⻅": "见", "⻆": "角", "⻉": "贝", "⻋": "车", "⻑": "長", "⻓": "长", "⻔": "门", "⻘": "青",
    "⻙": "韦", "⻚": "页", "⻛": "风", "⻜": "飞", "⻝": "食", "⻢": "马", "⻣": "骨", "⻤": "鬼", "⻥": "鱼", "⻦": "鸟",
    "⻧": "卤", "⻨": "麦", "⻩": "黄", "⻪": "黾", "⻫": "斉", "⻬": "齐", "⻭": "歯", "⻮": "齿", "⻯": "竜", "⻰": "龙",
    "⻱": "龜", "⻲": "亀", "⻳": "龟",
}  # fmt: skip
_RADICALS = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0x2F00, 0x2FD6)} | {
    ord(radical): usual for radical, usual in _SUPPLEMENT.items()
}
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff\u00ad]")
_NARROW: dict[int, int | str] = {
    **{code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}, 0x3000: 0x20, 0x3002: 0x2E, **_RADICALS,
}  # fmt: skip
_LIKE_RADICALS = re.compile("[\u2e80-\u2fd5]")
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
    """Narrow full-width forms, replace radicals by the characters they look like, drop invisible marks and extra space.

    Runs of white space become one space, the ends are trimmed.
    """
    if text.isascii():
        return " ".join(text.split())
    return " ".join(_INVISIBLE.sub("", text.translate(_NARROW)).split())


def has_radicals(text: str) -> bool:
    """Return whether `fold` replaces characters that only look like the usual ones."""
    return (
        not text.isascii() and _LIKE_RADICALS.search(text) is not None and any(ord(char) in _RADICALS for char in text)
    )


def close_up(text: str) -> str:
    """Fold, and remove all white space: for numbers and codes."""
    return fold(text).replace(" ", "")


def phone_of(text: str) -> str:
    """Return a telephone number, '' where none is given. Raises BadPhone."""
    phone = close_up(text)
    if phone and not _PHONE.fullmatch(phone):
        raise BadPhone
    return phone


def name_of(text: str) -> str:
    """Return a person's name in one form: 买买提·艾力 with one middle dot, no blanks between characters of Han names.

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
    """Return whether no name contains it. Planes 2 and 3 are all Han, with characters newer than our tables."""
    kind = unicodedata.category(char)
    return kind in {"Cc", "Cs", "Cf"} or (kind == "Cn" and not 0x20000 <= ord(char) < 0x3FFFE)
