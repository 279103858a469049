"""How people are spoken to: 李奶奶, 欧阳爷爷. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Final

GRAND = 60  # from this age on an elder is called 奶奶 or 爷爷
_DOUBLE: Final = (
    "欧阳太史端木上官司马东方独孤南宫万俟闻人夏侯诸葛尉迟公羊赫连澹台皇甫宗政濮阳公冶太叔申屠公孙慕容仲孙钟离长孙宇文司徒鲜于司空闾丘子车亓官司寇巫马公西颛孙壤驷公良漆雕乐正宰父谷梁拓跋夹谷轩辕令狐段干百里"
    "呼延东郭南门羊舌微生公户公玉公仪梁丘公仲公上公门公山公坚左丘公伯西门公祖第五公乘贯丘公皙南荣东里东宫仲长子书子桑即墨达奚褚师纳兰叶赫那拉"
)
DOUBLE_SURNAMES: Final = frozenset(_DOUBLE[at : at + 2] for at in range(0, len(_DOUBLE), 2))


@dataclass(frozen=True, slots=True)
class Title:
    """How the counter speaks to an elder: 李奶奶. `initial` is shown where there is no photo."""

    surname_title: str
    initial: str
    name: str = field(repr=False)
    photo: bool = False


def title_of(name: str, sex: str | None, birth: date | None, on: date, *, photo: bool = False) -> Title:
    """Return the title: 李秀英, f, 82 -> 李奶奶. Before 60: 女士, 先生; sex not known: 李老."""
    surname = surname_of(name)
    grand = birth is None or on.year - birth.year - ((on.month, on.day) < (birth.month, birth.day)) >= GRAND
    words = {("f", True): "奶奶", ("m", True): "爷爷", ("f", False): "女士", ("m", False): "先生"}
    return Title(surname + words.get((sex or "", grand), "老"), surname[:1], name, photo)


def surname_of(name: str) -> str:
    """Return the surname: 欧阳修 -> 欧阳, 李秀英 -> 李, 买买提·艾力 -> 买买提, John Smith -> John."""
    if name.isascii():
        return name.split(" ", maxsplit=1)[0]
    if "·" in name:
        return name.split("·", maxsplit=1)[0]
    return name[:2] if name[:2] in DOUBLE_SURNAMES and len(name) > 2 else name[:1]
