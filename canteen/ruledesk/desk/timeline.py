"""The timeline of rulebooks in force, as rows of bars on a scale of months: geometry for an SVG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.policy.rulebook import parse
from canteen.rulebooks.models import LAYERS, Publication, RulebookVersion

WIDTH, LEFT, ROW = 1160, 300, 52  # of the drawing, of the names, of a row


@dataclass(frozen=True, slots=True)
class Bar:
    """One publication. `x` and `width` are units of the drawing; `state`: 'past', 'now' or 'ahead'."""

    x: int
    width: int
    version: int
    hash: str
    title: str
    publication: int
    first: date
    last: date | None
    state: str


@dataclass(frozen=True, slots=True)
class TimelineRow:
    """One scheme at one place."""

    layer: str
    node: str
    place: str
    title: str
    y: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    rows: tuple[TimelineRow, ...]
    ticks: tuple[tuple[int, str], ...]
    today: int
    height: int


def draw(session: Session, names: Mapping[str, str], today: date) -> Timeline:
    """Draw all publications; the scale runs from two years ago (or the first one since) to a year ahead."""
    found = session.execute(
        select(Publication, RulebookVersion.version, RulebookVersion.body)
        .join(RulebookVersion, RulebookVersion.hash == Publication.rulebook_hash)
        .order_by(Publication.from_day, Publication.id)
    ).all()
    first = max(today - timedelta(days=730), min((row[0].from_day for row in found), default=today))
    first = min(first, today - timedelta(days=90)).replace(day=1)
    scale = _Scale(first, today + timedelta(days=300))
    groups: dict[tuple[int, str, str], list[tuple[Publication, int, str]]] = {}
    for publication, version, body in found:
        key = (LAYERS.index(publication.layer), publication.node_id, publication.scheme)
        groups.setdefault(key, []).append((publication, version, body))
    rows = tuple(_row(groups[key], scale, names, today, 40 + place * ROW) for place, key in enumerate(sorted(groups)))
    return Timeline(rows, scale.ticks(), scale.x(today), 50 + len(rows) * ROW)


@dataclass(frozen=True, slots=True)
class _Scale:
    first: date
    last: date

    def x(self, day: date) -> int:
        inside = min(max(day, self.first), self.last)
        return LEFT + (WIDTH - LEFT) * (inside - self.first).days // (self.last - self.first).days

    def ticks(self) -> tuple[tuple[int, str], ...]:
        found, day = [], self.first
        while day < self.last:
            if day.month in (1, 7):
                found.append((self.x(day), f"{day.year}-{day.month:02d}"))
            day = (day + timedelta(days=32)).replace(day=1)
        return tuple(found)


def _row(
    found: list[tuple[Publication, int, str]], scale: _Scale, names: Mapping[str, str], today: date, y: int
) -> TimelineRow:
    bars = []
    for place, (one, version, body) in enumerate(found):
        following = found[place + 1][0].from_day - timedelta(days=1) if place + 1 < len(found) else None
        last = min((day for day in (one.to_day, following, _last_day(body)) if day is not None), default=None)
        if last is not None and last < one.from_day:
            continue  # another of the same day took its place
        state = "ahead" if one.from_day > today else "past" if last is not None and last < today else "now"
        x = scale.x(one.from_day)
        end = scale.x(last) if last else WIDTH
        bars.append(
            Bar(x, max(end - x, 6), version, one.rulebook_hash, _title(body), one.id, one.from_day, last, state)
        )
    newest = found[-1][0]
    return TimelineRow(
        newest.layer, newest.node_id, names.get(newest.node_id, newest.node_id), _title(found[-1][2]), y, tuple(bars)
    )


def _title(body: str) -> str:
    return str(_document(body)["title"])


def _last_day(body: str) -> date | None:
    """Return the last day that the rulebook itself names: nothing of its scheme is in force after it."""
    last = _document(body).get("to")
    return None if last is None else clock.day_of(last)


def _document(body: str) -> dict[str, Any]:
    document = parse(body.encode())
    assert isinstance(document, dict)
    return document
