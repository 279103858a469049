"""Areas by template: the dated tree of districts, streets and communities, functional areas beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import ClassVar, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.places import Area, AreaLink
from canteen.registry.imports.columns import (
    BadCell,
    Column,
    Row,
    Template,
    code,
    day,
    listed,
    one_of,
    text,
    written_day,
)
from canteen.registry.labels import LEVELS

AREAS: Final = Template(
    "areas",
    "区划",
    (
        Column(
            "id",
            "区划代码",
            code,
            "区县 6 位、街道 9 位、社区 12 位统计用区划代码；功能区自编",
            required=True,
            width=18,
        ),
        Column("name", "名称", text(40), "如 朝阳区", required=True, width=20),
        Column("level", "级别", one_of(LEVELS), "、".join(LEVELS.values()), required=True),
        Column("parents", "上级代码", listed(code), "上级区划的代码；同属功能区的用“、”分隔；最高一级不填", width=24),
        Column("since", "生效日期", day, "这一隶属关系从哪一天起", required=True, numeric=written_day),
    ),
    rows=50_000,
)
_RANK: Final = {"province": 0, "city": 1, "district": 2, "functional": 2, "street": 3, "community": 4}


@dataclass(slots=True)
class Change:
    """One area: made, renamed, or moved to other parents from `since` on."""

    kind: str
    area_id: str
    name: str
    level: str
    since: date
    joins: set[str] = field(default_factory=set)
    leaves: list[AreaLink] = field(default_factory=list)


class Areas:
    """One run over a file of areas. `within`: where the importer may make and move areas; None is everywhere."""

    template: ClassVar = AREAS
    chunk: ClassVar = AREAS.rows

    def __init__(self, session: Session, within: frozenset[str] | None, by: str) -> None:
        self._within = within
        self._known = {area.id: area for area in session.execute(select(Area)).scalars()}

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        """Plan the rows. A row depends on those above it in the tree: below a bad one all are bad."""
        seen = dict[str, str]()
        for row in rows:
            if not row.faults and (first := seen.setdefault(row.values["id"], row.place)) != row.place:
                row.refuse("区划代码", BadCell(f"与{first}相同，请只保留一行。"))
        good, left = list[Row](), [row for row in rows if not row.faults]
        changes = list[Change]()
        while len(good) != len(left):
            good = left
            changes = self._judged(session, good)
            left = [row for row in good if not row.faults]
        return changes

    def _judged(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        """Return the changes of these rows if all are applied; those that cannot be get their faults."""
        levels = {area.id: area.level for area in self._known.values()}
        levels |= {row.values["id"]: row.values["level"] for row in rows}
        for row in rows:
            self._check(row, levels)
        changes = [self._change(session, row) for row in rows]
        self._check_circles(session, rows, changes)
        return changes

    def write(self, session: Session, changes: Sequence[Change], recorded: int, by: str) -> None:
        for change in changes:
            if change.kind == "new":
                session.add(Area(id=change.area_id, name=change.name, level=change.level))
            else:
                self._known[change.area_id].name = change.name
        session.flush()
        for change in changes:
            for link in change.leaves:
                link.to_day = change.since - timedelta(days=1)
            session.add_all(
                AreaLink(area_id=change.area_id, parent_id=parent, from_day=change.since, to_day=None)
                for parent in sorted(change.joins)
            )
        session.flush()

    def _check(self, row: Row, levels: dict[str, str]) -> None:
        values, parents = row.values, row.values.get("parents", ())
        area_id, level = values["id"], values["level"]
        if area_id in self._known and self._known[area_id].level != level:
            row.refuse("级别", BadCell("与已登记的级别不同，请核对代码。"))
        for parent in parents:
            if parent not in levels:
                row.refuse("上级代码", BadCell("没有这个上级代码，请核对，或把上级写在本文件中。"))
            elif _RANK[levels[parent]] > _RANK[level] or parent == area_id:
                row.refuse("上级代码", BadCell("上级的级别应高于本级，请核对。"))
        if area_id not in self._known and not parents and _RANK[level] >= _RANK["street"]:
            row.refuse("上级代码", BadCell("街道和社区必须填写上级代码。"))
        if self._within is None:
            return
        if area_id in self._known and area_id not in self._within:
            row.refuse("区划代码", BadCell("没有这个区划，或不在您负责的区域内，请交由上级管理员导入。"))
        new = levels.keys() - self._known.keys()
        if not (parents and set(parents) <= self._within | new):
            row.refuse("上级代码", BadCell("上级不在您负责的区域内，请交由上级管理员导入。"))

    def _check_circles(self, session: Session, rows: Sequence[Row], changes: Sequence[Change]) -> None:
        """Refuse an area that would lie in itself, on any day from the changes on."""
        above: dict[str, set[str]] = {}
        left = {link.id for change in changes for link in change.leaves}
        for link in session.execute(select(AreaLink)).scalars():
            if link.id not in left and (link.to_day is None or link.to_day >= clock.today()):
                above.setdefault(link.area_id, set()).add(link.parent_id)
        for change in changes:
            above.setdefault(change.area_id, set()).update(change.joins)
        for row in rows:
            reached, waiting = set[str](), list(above.get(row.values["id"], ()))
            while waiting:
                each = waiting.pop()
                if each not in reached:
                    reached.add(each)
                    waiting += above.get(each, ())
            if row.values["id"] in reached:
                row.refuse("上级代码", BadCell("上级归属绕成了圈，请核对。"))

    def _change(self, session: Session, row: Row) -> Change:
        values = row.values
        change = Change("same", values["id"], values["name"], values["level"], values["since"])
        known = self._known.get(change.area_id)
        links = session.execute(select(AreaLink).where(AreaLink.area_id == change.area_id)).scalars() if known else ()
        current = [link for link in links if link.to_day is None or link.to_day >= change.since]
        if known is None or "parents" in values:
            wanted = set(values.get("parents", ()))
            change.joins = wanted - {link.parent_id for link in current}
            change.leaves = [link for link in current if link.parent_id not in wanted]
        if any(link.from_day >= change.since for link in change.leaves):
            row.refuse("生效日期", BadCell("早于已登记隶属关系的起始日，请核对。"))
        if known is None:
            change.kind = "new"
        elif change.joins or change.leaves or known.name != change.name:
            change.kind = "changed"
        return change
