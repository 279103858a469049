"""Areas as people write them: a code, a name with or without the areas above it, or a whole address."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from canteen.places import Area, AreaLink
from canteen.registry.imports.columns import BadCell

_OFFICE: Final = re.compile(r"(街道办事处|办事处|社区居民委员会|居民委员会|社区居委会|居委会|村民委员会|村委会)$")
_OFFICES: Final = re.compile(r"(办事处|居民委员会|居委会|村民委员会|村委会)?")
_ABOVE: Final = re.compile(r"[^省市区县州盟旗]{1,8}?(?:省|自治区|市|自治州|州|盟|区|县|旗)")
_LEVELS: Final = {
    "省": "province",
    "市": "city",
    "州": "city",
    "盟": "city",
    "区": "district",
    "县": "district",
    "旗": "district",
}
_FINE: Final = ("street", "community")
_SHOWN: Final = 4  # areas of one name that a message tells apart


class NoArea(BadCell):
    code = "area_unknown"
    message = "区划表中没有这个代码或名称：请对照“区划代码”表核对，写成街道或社区的名称或代码。"


class CoarseArea(BadCell):
    code = "area_coarse"
    message = "地址里没有认出街道或社区：请写上街道或社区的名称，或填区划代码。"


class SeveralAreas(BadCell):
    code = "area_ambiguous"


class AreaNames:
    """The areas of a day by name. `areas`: code -> name and level; `parents`: code -> codes of the areas right above.

    within   the areas of the importer: of several of one name, the one in there is meant
    """

    def __init__(
        self,
        areas: Mapping[str, tuple[str, str]],
        parents: Mapping[str, Iterable[str]],
        within: frozenset[str] | None = None,
    ) -> None:
        self._areas, self._parents, self._within = areas, parents, within
        self.names = {code: name for code, (name, _) in areas.items()}
        self._above = {code: frozenset(self._climbed(code)) for code in areas}
        self._by_name: dict[str, list[str]] = {}
        for code, (name, level) in areas.items():
            for each in _names(name, level):
                self._by_name.setdefault(each, []).append(code)
        self._longest = max(map(len, self._by_name), default=0)
        self._found: dict[str, str | BadCell] = {}

    @classmethod
    def on(cls, session: Session, day: date, within: frozenset[str] | None) -> AreaNames:
        """Read the areas as they lie on a day."""
        areas = {code: (name, level) for code, name, level in session.execute(select(Area.id, Area.name, Area.level))}
        valid = AreaLink.from_day <= day, or_(AreaLink.to_day.is_(None), AreaLink.to_day >= day)
        parents: dict[str, list[str]] = {}
        for child, parent in session.execute(select(AreaLink.area_id, AreaLink.parent_id).where(*valid)):
            parents.setdefault(child, []).append(parent)
        return cls(areas, parents, within)

    def code_of(self, text: str) -> str:
        """Return the code of the area that a cell names. Raises NoArea, CoarseArea, SeveralAreas."""
        if text in self._areas:
            return text
        if text not in self._found:
            try:
                self._found[text] = self._looked_up(text)
            except BadCell as refusal:
                self._found[text] = refusal
        found = self._found[text]
        if isinstance(found, BadCell):
            raise found
        return found

    def lies_in(self, code: str, area: str) -> bool:
        """Return whether an area is another one, or lies in it."""
        return code == area or area in self._above.get(code, ())

    def street_of(self, code: str) -> str:
        """Return the name of the street that an area is or lies in, else its own."""
        over = [each for each in (code, *self._above.get(code, ())) if self._areas[each][1] == "street"]
        return self._areas[over[0] if over else code][0]

    def _looked_up(self, text: str) -> str:
        ends = dict[str, int]()
        for start, skipped in _starts(text):
            for code, at in self._walked(text, start, None):
                if self._fits(code, skipped):
                    ends[code] = max(at, ends.get(code, 0))
        if not ends:
            raise NoArea
        farthest = max(ends.values())
        best = [code for code, at in ends.items() if at == farthest]
        if farthest < len(text) and all(self._areas[code][1] not in _FINE for code in best):
            raise CoarseArea
        near = [code for code in best if self._within is None or code in self._within]
        if len(near or best) == 1:
            return (near or best)[0]
        named = "、".join(self._named(code) for code in sorted(best)[:_SHOWN])
        raise SeveralAreas(f"有 {len(best)} 个同名的区划（{named}）：请写上上级名称，或填区划代码。")

    def _walked(self, text: str, at: int, inside: str | None) -> Iterator[tuple[str, int]]:
        """Yield the areas that a text names from `at` on, each below the one before, with where their names end."""
        for end in range(min(len(text), at + self._longest), at, -1):
            for code in self._by_name.get(text[at:end], ()):
                if inside is None or inside in self._above[code]:
                    office = _OFFICES.match(text, end)
                    after = office.end() if office else end
                    yield code, after
                    yield from self._walked(text, after, code)

    def _fits(self, code: str, skipped: list[str]) -> bool:
        """Return whether none of the names before it contradicts what lies above an area."""
        levels = {self._areas[each][1] for each in self._above[code]}
        names = {each for above in self._above[code] for each in _names(*self._areas[above])}
        return all(name in names or _LEVELS[name[-1]] not in levels for name in skipped)

    def _climbed(self, code: str) -> set[str]:
        reached, waiting = set[str](), list(self._parents.get(code, ()))
        while waiting:
            each = waiting.pop()
            if each not in reached and each in self._areas:
                reached.add(each)
                waiting += self._parents.get(each, ())
        return reached

    def _named(self, code: str) -> str:
        above = [self._areas[each][0] for each in self._parents.get(code, ()) if each in self._areas]
        return f"{''.join(above[:1])}{self._areas[code][0]}"


def _names(name: str, level: str) -> set[str]:
    """Return the names of an area as registered and as people say them."""
    names, short = {name}, _OFFICE.sub("", name)
    if level == "street" and name.endswith("办事处"):
        names.add(f"{short}街道")
    elif level == "community" and short and short != name:
        names |= {f"{short}社区"} if "居" in name else {f"{short}村"}
    return names


def _starts(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield where an area's name may begin, and the names of higher areas before it, which nobody need know."""
    at, skipped = 0, list[str]()
    yield 0, []
    while found := _ABOVE.match(text, at):
        skipped, at = [*skipped, found[0]], found.end()
        yield at, skipped
