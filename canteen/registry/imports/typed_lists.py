"""Lists that say one thing of people on the roster: classes, levels, deaths, residents of institutions, households.

They register nobody and rename nobody. A full list of an area ends what it no longer states.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Final

from sqlalchemy.orm import Session

from canteen.registry.documents import Document
from canteen.registry.elders import NewFact
from canteen.registry.imports.columns import BadCell, Column, PassedCell, Row, Template
from canteen.registry.imports.fact_differences import ended
from canteen.registry.imports.full_lists import Absent
from canteen.registry.imports.roster import Change, Present, Roster
from canteen.registry.imports.roster_columns import ROSTER, SCALES, flag_of

_BY_KEY: Final = {column.key: column for column in ROSTER.every}
_WHO: Final = (_BY_KEY["name"], _BY_KEY["document"], _BY_KEY["number"])
_SINCE: Final = replace(_BY_KEY["since"], also=(*_BY_KEY["since"].also, "认定日期", "评定日期", "批准日期"))


def template_for(kind: str, title: str, *columns: Column, since: bool = True) -> Template:
    """Return the template of a list: who is meant, these columns, and from which day."""
    return Template(kind, title, (*_WHO, *columns, *((_SINCE,) if since else ())), ROSTER.rows)


class TypedList(Roster):
    """A list about people who are on the roster; others in it are remarked on, and nothing is recorded of them."""

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        for row in rows:
            self.translate(row)
        return super().plan(session, rows)

    def translate(self, row: Row) -> None:
        """Make the row's cells those of a roster. Faults go to the row."""

    def _new(self, row: Row, document: Document) -> Change:
        row.remark("", PassedCell("名册中没有这位老人，没有登记任何内容：应登记的，请先导入老人名册。"))
        return Change("same", self.nobody)

    def _change(self, row: Row, document: Document, present: Present) -> Change:
        if row.values["name"] != present.name:
            raise BadCell("姓名与登记的不一致，请核对姓名和证件号码。")
        return super()._change(row, document, present)


class Deaths(TypedList):
    """Deaths: benefits end with them, and cards stop."""

    template: ClassVar = template_for(
        "deaths",
        "死亡名单",
        replace(
            _BY_KEY["status_from"],
            title="死亡日期",
            required=True,
            note="死亡证明或火化证明上的日期",
            also=("去世日期", "死亡时间", "去世时间", "死亡年月日"),
        ),
        since=False,
    )

    def translate(self, row: Row) -> None:
        if "status_from" in row.values:
            row.values |= {"status": "deceased", "since": row.values["status_from"]}


class Residents(TypedList):
    """Residents of institutions. A full list ends the stay of those whom it does not have."""

    template: ClassVar = template_for(
        "residents",
        "入住机构名单",
        replace(
            _BY_KEY["status_from"],
            title="入住日期",
            required=True,
            note="入住养老机构的日期",
            also=("入住时间", "入院日期"),
        ),
        since=False,
    )

    def translate(self, row: Row) -> None:
        if "status_from" in row.values:
            row.values |= {"status": "institution", "since": row.values["status_from"]}

    def gone(self, one: Absent) -> list[NewFact]:
        stays = [fact for fact in one.valid if (fact.kind, fact.value) == ("status", "institution")]
        return [ended(fact, self.latest) for fact in stays]


class Classes(TypedList):
    """People of a class. A full list ends the classes that it names for those whom it does not have; no other class."""

    template: ClassVar = template_for(
        "classes",
        "人员类别名单",
        replace(
            _BY_KEY["classes"],
            required=True,
            note=_BY_KEY["classes"].note.replace("；没有填“无”", "；只增加，不影响其他类别"),
            whole_file=True,
        ),
        _BY_KEY["class_until"],
    )

    def translate(self, row: Row) -> None:
        stated = row.values.pop("classes", None)
        if stated == ():
            row.refuse("人员类别", BadCell("名单里的人都应有类别：不再享受的，请从全量名单里去掉，或在老人页面终止。"))
        for code in stated or ():
            row.values[flag_of(code)] = True
            self.named.add(code)

    def gone(self, one: Absent) -> list[NewFact]:
        return [ended(fact, self.latest) for fact in one.valid if fact.kind == "class" and fact.value in self.named]


class Levels(TypedList):
    """Care levels and disability grades."""

    template: ClassVar = template_for("levels", "等级名单", *(_BY_KEY[scale] for scale in SCALES))

    def translate(self, row: Row) -> None:
        if not row.faults and not row.values.keys() & set(SCALES):
            row.refuse("残疾等级", BadCell("没有写等级：请填照护等级或残疾等级。"))


class Households(TypedList):
    """Who belongs to which household."""

    template: ClassVar = template_for("households", "家庭名单", replace(_BY_KEY["household"], required=True))
