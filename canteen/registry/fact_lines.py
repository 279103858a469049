"""An elder's facts in words for the desk, with when each was recorded and whether it still counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.events import Event
from canteen.places import Area, Canteen
from canteen.registry import facts as dated
from canteen.registry.facts import Fact
from canteen.registry.labels import CLASSES, SEXES, STATUSES

KIND_WORDS: Final[Mapping[str, str]] = {
    "birth": "出生日期",
    "sex": "性别",
    "hukou": "户籍地",
    "residence": "居住地",
    "class": "人员类别",
    "level": "评估等级",
    "status": "状态",
    "benefit": "其他补贴",
    "enrolled": "登记食堂",
    "household": "家庭编号",
    "merged": "与另一登记合并",
}
SOURCE_WORDS: Final[Mapping[str, str]] = {"desk": "窗口登记", "import": "名册导入", "application": "申请表"}
SCALES: Final[Mapping[str, str]] = {"care": "照护等级", "disability": "残疾等级"}
_ORDER: Final = {kind: at for at, kind in enumerate(KIND_WORDS)}


@dataclass(frozen=True, slots=True)
class FactLine:
    """A fact in words. `state`: 'valid', 'ahead', 'past' or 'answered'."""

    id: int
    kind: str
    word: str
    value: str
    from_day: date
    to_day: date | None
    source: str
    at: datetime | None
    state: str


def timeline(session: Session, facts: Sequence[Fact], on: date) -> list[FactLine]:
    """Return every fact with a value, newest recorded first."""
    names, times = names_of(session, facts), _times(session, facts)
    counts = {fact.id for fact in dated.unretracted(facts)}
    valid = {fact.id for fact in dated.on_day(dated.unretracted(facts), on)}
    lines = [
        FactLine(
            fact.id,
            fact.kind,
            KIND_WORDS[fact.kind],
            in_words(fact, names),
            fact.from_day,
            fact.to_day,
            SOURCE_WORDS.get(fact.source, fact.source),
            times.get(fact.recorded),
            _state(fact, counts, valid, on),
        )
        for fact in facts
        if fact.value
    ]
    return sorted(lines, key=lambda line: line.id, reverse=True)


def valid_facts(lines: Iterable[FactLine]) -> list[tuple[str, str]]:
    """Return the facts valid on the day as (word, values) in the order of KIND_WORDS."""
    found: dict[str, list[str]] = {}
    for line in sorted(lines, key=lambda line: (_ORDER[line.kind], line.value)):
        if line.state == "valid":
            found.setdefault(line.word, []).append(line.value)
    return [(word, "、".join(values)) for word, values in found.items()]


def in_words(fact: Fact, names: Mapping[str, str]) -> str:
    """Return the value as people say it."""
    words = {"class": CLASSES, "status": STATUSES, "sex": SEXES}.get(fact.kind)
    if words is not None:
        return words.get(fact.value, fact.value)
    if fact.kind == "level":
        scale, _, number = fact.value.partition("=")
        return f"{SCALES.get(scale, scale)} {number}"
    if fact.kind == "merged":
        return f"登记号 {fact.value[:8]}"
    return names.get(fact.value, fact.value)


def _state(fact: Fact, counts: set[int], valid: set[int], on: date) -> str:
    if fact.id not in counts:
        return "answered"
    if fact.id in valid:
        return "valid"
    return "ahead" if fact.from_day > on else "past"


def names_of(session: Session, facts: Sequence[Fact]) -> dict[str, str]:
    """Return the names of the areas and canteens that facts name, by code."""
    codes = {fact.value for fact in facts if fact.kind in {"hukou", "residence", "enrolled"}}
    names = dict(session.execute(select(Canteen.id, Canteen.name).where(Canteen.id.in_(codes))).all())
    return names | dict(session.execute(select(Area.id, Area.name).where(Area.id.in_(codes))).all())


def _times(session: Session, facts: Sequence[Fact]) -> dict[int, datetime]:
    numbers = {fact.recorded for fact in facts}
    return dict(session.execute(select(Event.number, Event.at).where(Event.number.in_(numbers))).all())
