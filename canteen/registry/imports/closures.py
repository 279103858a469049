"""Closures by template: the days on which a canteen was announced closed, beside its week."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.places import Canteen, Closure
from canteen.registry.imports.columns import BadCell, Column, Row, Template, code, day, text, written_day

CLOSURES: Final = Template(
    "closures",
    "停业安排",
    (
        Column("canteen", "食堂编号", code, "", required=True),
        Column("from", "停业起始日", day, "停业的第一天", required=True, numeric=written_day),
        Column(
            "to",
            "停业截止日",
            day,
            "停业的最后一天；只停一天的填同一天；提前恢复的改填实际最后一天",
            required=True,
            numeric=written_day,
        ),
        Column("reason", "原因", text(60), "如 春节、装修", required=True, width=24),
    ),
    rows=5_000,
)


@dataclass(frozen=True, slots=True)
class Change:
    """One run of closed days: announced, or given another end or reason."""

    kind: str
    canteen: str
    from_day: date
    to_day: date
    reason: str


class Closures:
    """One run over a file of closures. `within`: the areas that the importer answers for; None is everywhere."""

    template: ClassVar = CLOSURES
    chunk: ClassVar = CLOSURES.rows

    def __init__(self, session: Session, within: frozenset[str] | None, by: str) -> None:
        self._within = within
        self._canteens = dict(session.execute(select(Canteen.id, Canteen.area_id)).all())
        self._known = {(each.canteen_id, each.from_day): each for each in session.execute(select(Closure)).scalars()}

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        spans = {key: each.to_day for key, each in self._known.items()}
        seen, changes = dict[tuple[str, date], str](), list[Change]()
        for row in rows:
            if row.faults:
                continue
            canteen, first, last = (row.values[key] for key in ("canteen", "from", "to"))
            if (before := seen.setdefault((canteen, first), row.place)) != row.place:
                row.refuse("停业起始日", BadCell(f"与{before}相同，请只保留一行。"))
            self._check(row, spans)
            if not row.faults:
                spans[canteen, first] = last
                changes.append(self._change(row))
        return changes

    def write(self, session: Session, changes: Sequence[Change], recorded: int, by: str) -> None:
        for change in changes:
            known = self._known.get((change.canteen, change.from_day))
            if known is None:
                known = Closure(canteen_id=change.canteen, from_day=change.from_day)
                session.add(known)
            known.to_day, known.reason = change.to_day, change.reason
        session.flush()

    def _check(self, row: Row, spans: dict[tuple[str, date], date]) -> None:
        canteen, first, last = (row.values[key] for key in ("canteen", "from", "to"))
        if canteen not in self._canteens or (self._within is not None and self._canteens[canteen] not in self._within):
            row.refuse("食堂编号", BadCell("没有这个食堂，或不在您负责的区域内，请核对。"))
        if last < first:
            row.refuse("停业截止日", BadCell("早于停业起始日，请核对。"))
        elif any(
            other == canteen and starts != first and starts <= last and first <= ends
            for (other, starts), ends in spans.items()
        ):
            row.refuse("停业起始日", BadCell("与已登记的停业日期重叠，请核对。"))

    def _change(self, row: Row) -> Change:
        canteen, first, last, reason = (row.values[key] for key in ("canteen", "from", "to", "reason"))
        known = self._known.get((canteen, first))
        same = known is not None and (known.to_day, known.reason) == (last, reason)
        return Change("same" if same else "changed" if known else "new", canteen, first, last, reason)
