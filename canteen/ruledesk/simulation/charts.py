"""Geometry of the charts of a simulation; the templates draw them as SVG, with a table of the same figures beside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from canteen.ruledesk.simulation.reports import Day, TableRow

WIDTH, LEFT, RIGHT, ROW = 1160, 300, 190, 62
HEIGHT = 320


@dataclass(frozen=True, slots=True)
class Pair:
    """Two bars, one above the other: before and after, in fen and in units of the drawing."""

    label: str
    y: int
    before: int
    after: int
    before_width: int
    after_width: int


@dataclass(frozen=True, slots=True)
class Bars:
    pairs: tuple[Pair, ...]
    height: int


def bars(rows: Sequence[TableRow]) -> Bars:
    """Draw pairs of bars on one scale, in the order given."""
    most = max((max(row.before, row.after) for row in rows), default=0) or 1
    room = WIDTH - LEFT - RIGHT
    pairs = [
        Pair(row.name, place * ROW + 6, row.before, row.after, room * row.before // most, room * row.after // most)
        for place, row in enumerate(rows)
    ]
    return Bars(tuple(pairs), len(rows) * ROW + 6)


@dataclass(frozen=True, slots=True)
class Lines:
    """Two running sums over days as points of polylines."""

    before: str
    after: str
    days: tuple[tuple[int, str], ...]  # x and label of some days
    most: int
    height: int = HEIGHT


def lines(by_day: Sequence[Day]) -> Lines | None:
    """Draw cost added up day by day, before and after; None for less than two days."""
    if len(by_day) < 2:
        return None
    most = max(by_day[-1].sum_before, by_day[-1].sum_after, 1)
    room, tall = WIDTH - 40, HEIGHT - 60
    xs = [20 + room * place // (len(by_day) - 1) for place in range(len(by_day))]

    def points(sums: Sequence[int]) -> str:
        return " ".join(f"{x},{20 + tall - tall * fen // most}" for x, fen in zip(xs, sums, strict=True))

    step = max(1, len(by_day) // 8)
    named = tuple((xs[at], by_day[at].day.isoformat()) for at in range(0, len(by_day), step))
    return Lines(points([one.sum_before for one in by_day]), points([one.sum_after for one in by_day]), named, most)
