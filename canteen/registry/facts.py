"""The state that dated facts give on a day, as known at an event. Facts in, facts out; reads no database.

A fact counts when it was recorded up to `known_at` and no fact that itself counts retracts it. It is valid on the days
from `from_day` to `to_day`, both included. Of a single-valued kind the one with the latest `from_day` counts, then
the latest recorded.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from canteen.errors import Invalid
from canteen.registry.models import FACTS, SINGLE

WITHDRAWN: Final = "withdrawn"  # registered by an import that was taken back
STATUSES: Final = {
    "deceased": "已停用",
    "institution": "入住养老机构",
    "moved_away": "迁出",
    "suspended": "暂停",
    WITHDRAWN: "已撤回登记",
}
APPROVED: Final = ("class", "level", "status", "benefit", "enrolled")  # of these the rules ask since when
ONE_DAY = timedelta(days=1)
_LEVEL = re.compile(r"[A-Za-z0-9._:-]{1,40}=-?\d{1,6}", re.ASCII)
_CODE = re.compile(r"[A-Za-z0-9._:@#/-]{1,80}", re.ASCII)
_AREA_KINDS = ("hukou", "residence")


class BadFact(Invalid):
    code = "fact_malformed"
    message = "这项信息填写有误，请检查后再试。"


@dataclass(frozen=True, slots=True)
class Fact:
    """One row of elder_fact. `recorded` is an event number."""

    id: int
    elder_id: uuid.UUID
    kind: str
    value: str
    from_day: date
    to_day: date | None
    recorded: int
    source: str = ""
    retracts: int | None = None

    def valid_on(self, on: date) -> bool:
        """Return whether the fact is valid on a day; a death from the day after, so its own day's meals count."""
        first = self.from_day + ONE_DAY if (self.kind, self.value) == ("status", "deceased") else self.from_day
        return first <= on and (self.to_day is None or on <= self.to_day)


def unretracted(facts: Iterable[Fact], known_at: int | None = None) -> list[Fact]:
    """Return the facts that count as known at event `known_at` (None: now), in the order recorded.

    Later ones are looked at first, so that a retraction that was itself retracted takes nothing away.
    """
    fallen, found = set[int](), list[Fact]()
    for fact in sorted(facts, key=lambda fact: (fact.recorded, fact.id), reverse=True):
        if (known_at is not None and fact.recorded > known_at) or fact.id in fallen:
            continue
        if fact.retracts is not None:
            fallen.add(fact.retracts)
        if fact.value:
            found.append(fact)
    return found[::-1]


def on_day(facts: Iterable[Fact], on: date) -> list[Fact]:
    """Return the counting facts valid on a day: all of the many-valued kinds, one of each single-valued."""
    valid = [fact for fact in facts if fact.valid_on(on)]
    many = [fact for fact in valid if fact.kind not in SINGLE]
    best: dict[str, Fact] = {}
    for fact in valid:
        if fact.kind in SINGLE and (fact.kind not in best or _rank(fact) >= _rank(best[fact.kind])):
            best[fact.kind] = fact
    return [*best.values(), *many]


def since(facts: Iterable[Fact], on: date) -> dict[str, date]:
    """Return 'class:dibao' -> the first day of its unbroken run until `on`; of a death, the day itself.

    Facts that follow one another day by day are one run: a yearly review is no new approval. A level's run goes on
    through other ratings on its scale.
    """
    by_key: dict[str, list[Fact]] = {}
    for fact in facts:
        if fact.kind in APPROVED and fact.from_day <= on:
            by_key.setdefault(f"{fact.kind}:{fact.value.partition('=')[0]}", []).append(fact)
    return {key: _run(run, on) for key, run in by_key.items() if any(fact.valid_on(on) for fact in run)}


def lived_since(homes: Sequence[Fact], home: Fact, paths: Mapping[str, Sequence[str]]) -> dict[str, date]:
    """Return 'lives:220104' -> the day from which somebody who lives at `home` has lived in the area without a break.

    `paths` gives the areas of each home. An area that begins with the home itself is not named.
    """
    found, inside, first = dict[str, date](), set(paths[home.value]), home.from_day
    while inside and (before := on_day(homes, first - ONE_DAY)):
        inside &= set(paths[before[0].value])
        first = before[0].from_day
        found |= {f"lives:{area}": first for area in inside}
    return found


def _run(facts: Sequence[Fact], on: date) -> date:
    """Return the first day of the unbroken run of days that ends with `on`."""
    first = min(fact.from_day for fact in facts if fact.valid_on(on))
    for fact in sorted(facts, key=lambda fact: fact.from_day, reverse=True):
        if fact.from_day < first and (fact.to_day is None or fact.to_day >= first - ONE_DAY):
            first = fact.from_day
    return first


def merged_into(facts: Iterable[Fact]) -> dict[str, str]:
    """Return elder id -> id it was merged into. A merge says who someone is: once known, it is valid for all days."""
    latest: dict[str, Fact] = {}
    for fact in facts:
        key = str(fact.elder_id)
        if fact.kind == "merged" and (key not in latest or _rank(fact) >= _rank(latest[key])):
            latest[key] = fact
    return {elder: fact.value for elder, fact in latest.items()}


def checked(kind: str, value: str, from_day: date, to_day: date | None) -> str:
    """Return the value in the form in which it is stored. Raises BadFact."""
    if kind not in FACTS:
        raise BadFact(f"不认识的信息种类：{kind}。")
    if to_day is not None and to_day < from_day:
        raise BadFact("截止日期早于开始日期，请核对。")
    if not value or len(value) > 100 or not value.isprintable():
        raise BadFact
    if (kind == "sex" and value not in {"f", "m"}) or (kind == "status" and value not in STATUSES):
        raise BadFact
    if kind in _AREA_KINDS and not (value.isascii() and value.isalnum()):
        raise BadFact("区划代码有误，请从区划表中选择。")
    if kind == "birth":
        value = _day(value).isoformat()
    if kind == "merged":
        value = _uuid(value)
    if kind == "level" and not _LEVEL.fullmatch(value):
        raise BadFact("等级应为数字，如 3。")
    if kind in {"class", "benefit", "household", "enrolled"} and not _CODE.fullmatch(value):
        raise BadFact("代码只能用英文字母、数字和 . _ - : @ # /，请从系统给出的选项中选择。")
    return value


def _rank(fact: Fact) -> tuple[date, int, int]:
    return (fact.from_day, fact.recorded, fact.id)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadFact("日期有误，请按 1946-03-05 的样子填写。") from error


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise BadFact from error
