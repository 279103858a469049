"""Serving points by template: counters, delivery, points that a kitchen sends food to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.menus import points
from canteen.places import Canteen, ServingPoint
from canteen.registry.imports.columns import BadCell, Column, Row, Template, code, one_of, text
from canteen.registry.imports.menus import full_id
from canteen.registry.labels import POINTS

STATES: Final = {"on": "使用中", "off": "停用"}

POINTS_FILE: Final = Template(
    "points",
    "供餐点",
    (
        Column("canteen", "食堂编号", code, "", required=True),
        Column("id", "供餐点编号", code, "自编，同一食堂内不重复，登记后不变，如 p1", required=True),
        Column("name", "名称", text(points.LONGEST), "如 一号窗口", required=True, width=24),
        Column("kind", "供餐点类型", one_of(POINTS), "、".join(POINTS.values()), required=True),
        Column("state", "状态", one_of(STATES), "使用中、停用；空着不改动", width=8),
    ),
    rows=5_000,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One point. `ends`: None for no change."""

    kind: str
    canteen: str
    point_id: str
    name: str
    point_kind: str
    ends: bool | None


class Points:
    """One run over a file of serving points. `within`: the canteens that the importer answers for; None is everywhere."""

    template: ClassVar = POINTS_FILE
    chunk: ClassVar = POINTS_FILE.rows

    def __init__(self, session: Session, within: frozenset[str] | None, by: str) -> None:
        self._within = within
        self._canteens = set(session.execute(select(Canteen.id)).scalars())
        self._known = {each.id: each for each in session.execute(select(ServingPoint)).scalars()}

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        seen, found = dict[str, int](), list[Change]()
        for row in rows:
            if row.faults:
                continue
            canteen = row.values["canteen"]
            point_id = full_id(canteen, row.values["id"])
            if (before := seen.setdefault(point_id, row.number)) != row.number:
                row.refuse("供餐点编号", BadCell(f"与第 {before} 行相同，请只保留一行。"))
            if canteen not in self._canteens or (self._within is not None and canteen not in self._within):
                row.refuse("食堂编号", BadCell("没有这个食堂，或不在您负责的范围内，请核对。"))
            known = self._known.get(point_id)
            if known is not None and known.canteen_id != canteen:
                row.refuse("供餐点编号", BadCell("与另一食堂的供餐点编号重复，请换一个编号。"))
            if not row.faults:
                found.append(self._change(row, point_id, known))
        return found

    def write(self, session: Session, changed: Sequence[Change], recorded: int, by: str) -> None:
        for each in changed:
            points.write(session, each.canteen, each.point_id, each.name, each.point_kind)
            if each.ends is not None:
                session.get_one(ServingPoint, each.point_id).ended_on = clock.today() if each.ends else None
        session.flush()

    def _change(self, row: Row, point_id: str, known: ServingPoint | None) -> Change:
        name, kind, stated = row.values["name"], row.values["kind"], row.values.get("state")
        ended = known is not None and known.ended_on is not None
        ends = (stated == "off") if stated is not None and (stated == "off") != ended else None
        same = known is not None and (known.name, known.kind) == (name, kind) and ends is None
        state = "same" if same else "changed" if known else "new"
        return Change(state, row.values["canteen"], point_id, name, kind, ends)
