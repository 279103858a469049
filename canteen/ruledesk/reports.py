"""What a simulation found, as rows of a few tables: for the page, the charts, the workbook, all the same figures."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.registry.models import ElderIdentity
from canteen.registry.words import CLASSES
from canteen.rulebooks.models import Simulation
from canteen.ruledesk.prose import PAYERS
from canteen.settlement import details
from canteen.settlement.exports import Book, yuan

KINDS = (("district", "按区县"), ("canteen", "按食堂"), ("age", "按年龄"), ("class", "按人员类别"))


@dataclass(frozen=True, slots=True)
class Part:
    """One table: rows of name, fen before, fen after. `meals` has the meals of each row where they are counted."""

    title: str
    rows: tuple[tuple[str, int, int], ...]
    meals: tuple[int, ...]


def parts(found: Mapping[str, Any], names: Mapping[str, str]) -> list[Part]:
    """Cost by fund, then subsidy by district, canteen, age band and class."""
    called = details.fund_names()
    funds = tuple(
        (f"{called.get(fund, fund)}（{PAYERS[row[2]]}）", row[0], row[1])
        for fund, row in sorted(found["funds"].items())
    )
    tables = [Part("按资金", funds, ())]
    for kind, title in KINDS:
        rows = found["by"].get(kind, {})
        words = {**names, **CLASSES, "": "无类别"}
        told = tuple((words.get(key, key), row[1], row[2]) for key, row in rows.items())
        tables.append(Part(title, told, tuple(row[0] for row in rows.values())))
    return tables


def masked(session: Session, elders: Collection[uuid.UUID]) -> dict[uuid.UUID, str]:
    """The surname and no more: 李＊＊."""
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
    """Write everything as an .xlsx workbook: amounts as exact numbers."""
    book = Book(path)
    sheet = book.sheet("汇总", (28, 18, 18, 18))
    sheet.title(f"模拟测算：{row.title}")
    place, meals = names.get(row.node_id, row.node_id), found["meals"]
    for name, cell in (("范围", place), ("月份", row.months), ("餐次", meals), ("价格有变的餐次", found["changed"]),
                       ("未决餐次", found["open"])):  # fmt: skip
        sheet.row((name, cell))
    sheet.gap()
    sheet.head(("项目", "原标准", "新标准", "差额"))
    for name, key in (("补贴合计", "subsidy"), ("老人实付合计", "due")):
        before, after = found[key]
        sheet.row((name, yuan(before), yuan(after), yuan(after - before)))
    for part in parts(found, names):
        sheet = book.sheet(part.title, (36, 12, 18, 18, 18))
        sheet.head(("项目", "餐次", "原标准", "新标准", "差额"))
        for place_in, (name, before, after) in enumerate(part.rows):
            meals = part.meals[place_in] if part.meals else None
            sheet.row((name, meals, yuan(before), yuan(after), yuan(after - before)))
    _people(book, found, names, people)
    sheet = book.sheet("预算", (30, 14, 18, 18, 16))
    sheet.head(("资金", "期初", "预算", "用去", "用完的日期"))
    for one in found["budgets"]:
        ended = date.fromisoformat(one["ended"]) if one["ended"] else "未用完"
        sheet.row((one["fund"], date.fromisoformat(one["from"]), yuan(one["limit"]), yuan(one["used"]), ended))
    sheet = book.sheet("未决", (40, 12))
    sheet.head(("原因", "餐次"))
    for code, count in found["open_why"].items():
        sheet.row((why.get(code, code), count))
    book.close()


def _people(book: Book, found: Mapping[str, Any], names: Mapping[str, str], people: Mapping[str, str]) -> None:
    sheet = book.sheet("受影响的老人", (16, 10, 26, 10, 18))
    sheet.head(("情形", "人数", "", "", "金额合计"))
    for name, key in (("少付的", "gain"), ("多付的", "lose"), ("不变的", "same")):
        count, fen = found["people"][key]
        sheet.row((name, count, None, None, yuan(fen)))
    sheet.gap()
    sheet.head(("老人", "年龄", "常去食堂", "餐次", "少付（负数为多付）"))
    for one in (*found["most_gain"], *found["most_lose"]):
        canteen = names.get(one["canteen"], one["canteen"])
        sheet.row((people.get(one["elder"], "＊＊"), one["age"], canteen, one["meals"], yuan(one["fen"])))
