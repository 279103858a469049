"""Geometry of the charts of a simulation; the templates draw them as SVG, a table says the same beside each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def bars(rows: Sequence[tuple[str, int, int]]) -> Bars:
    """Pairs of bars on one scale, in the order given."""
    most = max((max(before, after) for _, before, after in rows), default=0) or 1
    room = WIDTH - LEFT - RIGHT
    pairs = [
        Pair(label, place * ROW + 6, before, after, room * before // most, room * after // most)
        for place, (label, before, after) in enumerate(rows)
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


def lines(by_day: Mapping[str, Sequence[int]]) -> Lines | None:
    """Cost added up day by day, before and after; None for less than two days."""
    names = sorted(by_day)
    if len(names) < 2:
        return None
    sums, total = [], [0, 0]
    for name in names:
        total = [total[0] + by_day[name][1], total[1] + by_day[name][2]]
        sums.append(total)
    most = max(*sums[-1], 1)
    room, tall = WIDTH - 40, HEIGHT - 60
    xs = [20 + room * place // (len(names) - 1) for place in range(len(names))]
    points = [" ".join(f"{x},{20 + tall - tall * one[side] // most}" for x, one in zip(xs, sums, strict=True))
              for side in (0, 1)]  # fmt: skip
    step = max(1, len(names) // 8)
    return Lines(points[0], points[1], tuple((xs[at], names[at]) for at in range(0, len(names), step)), most)
