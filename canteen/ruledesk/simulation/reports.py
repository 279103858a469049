"""The result of a simulation as rows of a few tables: the same figures for the page, the charts and the workbook."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.keyset import reader
from canteen.registry.labels import CLASSES
from canteen.registry.models import ElderIdentity
from canteen.rulebooks.models import Simulation
from canteen.ruledesk.editor.prose import PAYERS
from canteen.settlement.closing import parties
from canteen.workbook import Book, yuan

KINDS = (("district", "按区县"), ("canteen", "按食堂"), ("age", "按年龄"), ("class", "按人员类别"))


@dataclass(frozen=True, slots=True)
class TableRow:
    """One line: a code ('' where the name suffices) and its name, meals where they are counted, fen before and after."""

    code: str
    name: str
    meals: int | None
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a report."""

    title: str
    rows: tuple[TableRow, ...]

    @property
    def counted(self) -> bool:
        """Tell whether meals are counted."""
        return any(row.meals is not None for row in self.rows)


@dataclass(frozen=True, slots=True)
class Day:
    """One day's subsidies in fen, and the sums up to it."""

    day: date
    meals: int
    before: int
    after: int
    sum_before: int
    sum_after: int


def tables(found: Mapping[str, Any], names: Mapping[str, str]) -> list[Table]:
    """Return cost by fund, then subsidy by district, canteen, age band and class."""
    with reader() as session:
        called = parties.fund_names(session)
    funds = tuple(
        TableRow(fund, f"{called.get(fund, fund)}（{PAYERS[row[2]]}）", None, row[0], row[1])
        for fund, row in sorted(found["funds"].items())
    )
    return [Table("按资金", funds), *(_table(kind, title, found, names) for kind, title in KINDS)]


def _table(kind: str, title: str, found: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    words = names if kind in ("district", "canteen") else {**CLASSES, "": "无类别"}
    rows = found["by"].get(kind, {}).items()
    return Table(title, tuple(TableRow("" if kind == "age" else key, words.get(key, key), *row) for key, row in rows))


def by_day(found: Mapping[str, Any]) -> list[Day]:
    """Return the days with the running sums that the chart draws."""
    days: list[Day] = []
    sums = [0, 0]
    for name, (meals, before, after) in sorted(found["by"].get("day", {}).items()):
        sums = [sums[0] + before, sums[1] + after]
        days.append(Day(date.fromisoformat(name), meals, before, after, sums[0], sums[1]))
    return days


def masked(session: Session, elders: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the surname and no more: 李＊＊."""
    rows = session.execute(
        select(ElderIdentity.elder_id, ElderIdentity.name)
        .where(ElderIdentity.elder_id.in_(elders))
        .order_by(ElderIdentity.id)
    )
    return {elder: f"{name[:1]}＊＊" for elder, name in rows}


def workbook(
    row: Simulation, found: Mapping[str, Any], names: Mapping[str, str], people: Mapping[str, str],
    why: Mapping[str, str], path: Path,
) -> None:  # fmt: skip
    """Write everything as an .xlsx workbook: codes as text, amounts as exact numbers, the page's tables cell by cell."""
    book = Book(path)
    sheet = book.sheet("汇总", (28, 18, 18, 18))
    sheet.title(f"模拟测算：{row.title}")
    place = names.get(row.node_id, row.node_id)
    for name, cell in (("模拟编号", str(row.id)), ("标准摘要", row.hash), ("范围", place), ("范围编号", row.node_id),
                       ("月份", row.months), ("人次", found["meals"]), ("价格有变的人次", found["changed"]),
                       ("已撤单的人次", found.get("voided", 0)), ("未决人次", found["open"])):  # fmt: skip
        sheet.row((name, cell))
    sheet.gap()
    sheet.head(("项目", "原标准（实际入账）", "新标准", "差额"))
    for name, key in (("补贴合计", "subsidy"), ("老人实付合计", "due")):
        before, after = found[key]
        sheet.row((name, yuan(before), yuan(after), yuan(after - before)))
    for table in tables(found, names):
        sheet = book.sheet(table.title, (36, 22, 12, 18, 18, 18))
        sheet.head(("项目", "编号", "人次", "原标准", "新标准", "差额"))
        for one in table.rows:
            money = (yuan(one.before), yuan(one.after), yuan(one.after - one.before))
            sheet.row((one.name, one.code, one.meals, *money))
    _days(book, found)
    _people(book, found, names, people)
    _budgets(book, found)
    sheet = book.sheet("未决", (60, 12))
    sheet.head(("原因", "人次"))
    for code, count in found["open_why"].items():
        sheet.row((why.get(code, code), count))
    book.close()


def _days(book: Book, found: Mapping[str, Any]) -> None:
    sheet = book.sheet("逐日", (14, 12, 18, 18, 18, 18))
    sheet.head(("日期", "人次", "原标准", "新标准", "原标准累计", "新标准累计"))
    for one in by_day(found):
        sheet.row((one.day, one.meals, *map(yuan, (one.before, one.after, one.sum_before, one.sum_after))))


def _budgets(book: Book, found: Mapping[str, Any]) -> None:
    with reader() as session:
        called = parties.fund_names(session)
    sheet = book.sheet("预算", (30, 22, 14, 18, 18, 16))
    sheet.head(("资金", "编号", "期初", "预算", "用去", "用完的日期"))
    for one in found["budgets"]:
        ended = date.fromisoformat(one["ended"]) if one["ended"] else "未用完"
        name, first = called.get(one["fund"], one["fund"]), date.fromisoformat(one["from"])
        sheet.row((name, one["fund"], first, yuan(one["limit"]), yuan(one["used"]), ended))


def _people(book: Book, found: Mapping[str, Any], names: Mapping[str, str], people: Mapping[str, str]) -> None:
    sheet = book.sheet("受影响的老人", (16, 10, 26, 10, 18))
    sheet.head(("情形", "人数", "", "", "金额合计"))
    for name, key in (("少付的", "gain"), ("多付的", "lose"), ("不变的", "same")):
        count, fen = found["people"][key]
        sheet.row((name, count, None, None, yuan(fen)))
    sheet.gap()
    sheet.head(("老人", "年龄", "最近就餐食堂", "人次", "少付（负数为多付）"))
    for one in (*found["most_gain"], *found["most_lose"]):
        canteen = names.get(one["canteen"], one["canteen"])
        sheet.row((people.get(one["elder"], "＊＊"), one["age"], canteen, one["meals"], yuan(one["fen"])))
