"""A claim and its meals as an .xlsx workbook: amounts as exact numbers, ids as text, never a formula (P30).

Written row by row (XlsxWriter's constant memory), the meals read by keyset pages, so that a claim of any size needs
the same memory. Same claim in the same state, same cells.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import xlsxwriter

from canteen import events
from canteen.db import db, transaction
from canteen.money import Fen
from canteen.settlement import claims, details
from canteen.settlement.details import Meal
from canteen.settlement.models import Claim
from canteen.settlement.words import finding_name, say

MOST_ROWS = 1_000_000  # of one sheet; Excel ends at 1,048,576
MADE = datetime(2000, 1, 1, tzinfo=UTC)  # a workbook carries no time of its own, so that it can be compared

Cell = str | int | Decimal | date | None

MEAL_COLUMNS = (
    "序号", "日期", "餐次", "食堂", "卡号尾号", "姓名", "年龄", "类别", "套餐", "原价", "食堂让利",
)  # fmt: skip
MEAL_COLUMNS_AFTER = (
    "捐赠", "个人实付", "可申报金额", "支付方式", "就餐方式", "收银员", "是否离线", "流水号", "就餐编号", "政策版本", "备注",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Exported:
    """Where the workbook was written, its SHA-256, and how many meals it lists."""

    path: Path
    hash: str
    meals: int


def yuan(fen: Fen) -> Decimal:
    """An amount of yuan, exact."""
    return Decimal(fen) / 100


class Book:
    """A workbook that is only ever appended to, sheet by sheet and row by row."""

    def __init__(self, path: Path) -> None:
        options = {
            "constant_memory": True,
            "strings_to_numbers": False,
            "strings_to_formulas": False,
            "strings_to_urls": False,
        }
        self._book = xlsxwriter.Workbook(str(path), options)
        self._book.set_properties({"title": "结算单", "created": MADE.replace(tzinfo=None)})
        self._head = self._book.add_format({"bold": True, "bottom": 1})
        self._title = self._book.add_format({"bold": True, "font_size": 14})
        self._money = self._book.add_format({"num_format": "#,##0.00"})
        self._day = self._book.add_format({"num_format": "yyyy-mm-dd"})

    def sheet(self, name: str, widths: Sequence[int] = ()) -> Sheet:
        made = self._book.add_worksheet(name)
        for column, width in enumerate(widths):
            made.set_column(column, column, width)
        return Sheet(made, self._head, self._title, self._money, self._day)

    def close(self) -> None:
        self._book.close()


class Sheet:
    """One sheet; rows go down, each written once."""

    def __init__(self, made: Any, head: Any, title: Any, money: Any, day: Any) -> None:
        self._made, self._head, self._title, self._money, self._day = made, head, title, money, day
        self.rows = 0

    def title(self, text: str) -> None:
        self._made.write_string(self.rows, 0, text, self._title)
        self.rows += 1

    def head(self, names: Iterable[str]) -> None:
        for column, name in enumerate(names):
            self._made.write_string(self.rows, column, name, self._head)
        self.rows += 1

    def row(self, cells: Iterable[Cell]) -> None:
        """Text as text, whatever it begins with; Decimal as an amount; int as a number; a date as a date."""
        for column, cell in enumerate(cells):
            if isinstance(cell, str):
                self._made.write_string(self.rows, column, cell)
            elif isinstance(cell, Decimal):
                self._made.write_number(self.rows, column, cell, self._money)
            elif isinstance(cell, date):
                self._made.write_datetime(self.rows, column, cell, self._day)
            elif cell is not None:
                self._made.write_number(self.rows, column, cell)
        self.rows += 1

    def gap(self) -> None:
        self.rows += 1


def claim(claim_id: int, path: Path, *, insider: bool = True) -> Exported:
    """Write the claim's summary, meals, and what came from or went back to other months. Raises NoClaim.

    insider  whether the reader may be told of deaths; a canteen's own people are not (ruling 12)
    """
    session = db.session
    row = session.get(Claim, claim_id)
    if row is None:
        raise claims.NoClaim
    about = details.about(row)
    standing = claims.lines(session(), claim_id)
    session.rollback()
    book = Book(path)
    summary = book.sheet("结算汇总", (14, 18, 12, 26, 10, 10, 14, 12, 12, 14))
    funds = details.funds(row)
    rates, meals = _meals(book, row, about, funds)
    _summary(summary, about, standing, rates, funds)
    _others(book, row)
    _findings(book, row, insider=insider)
    book.close()
    return Exported(path, _hash(path), meals)


def record(claim_id: int, exported: Exported, *, by: str) -> None:
    """Note in the chain who took which file."""
    with transaction() as session:
        row = session.get_one(Claim, claim_id)
        body = {"file": exported.hash, "meals": exported.meals}
        events.record(session, "claim.export", f"claim:{row.number}", by=by, body=body)


Rates = Counter[tuple[str, str, str, Fen]]  # (label, fund, meal period, fen of one) -> meals


def _meals(book: Book, row: Claim, about: details.About, funds: Sequence[str]) -> tuple[Rates, int]:
    columns = (*MEAL_COLUMNS, *(f"补贴：{about.fund_names.get(fund, fund)}" for fund in funds), *MEAL_COLUMNS_AFTER)
    rates: Rates = Counter()
    count, sheet = 0, _meal_sheet(book, columns, 1)
    for page in details.meals(row):
        for meal in page:
            if sheet.rows > MOST_ROWS:
                sheet = _meal_sheet(book, columns, count // MOST_ROWS + 1)
            count += 1
            sheet.row(_meal_row(count, meal, funds))
            if not meal.voided:
                rates.update((share.label, share.fund, meal.period, share.fen) for share in meal.subsidies)
    return rates, count


def _meal_sheet(book: Book, columns: Sequence[str], n: int) -> Sheet:
    sheet = book.sheet("就餐明细" if n == 1 else f"就餐明细{n}", (6, 11, 6, 16, 9, 10, 6, 18, 20))
    sheet.head(columns)
    return sheet


def _meal_row(n: int, meal: Meal, funds: Sequence[str]) -> list[Cell]:
    by_fund = Counter[str]()
    for share in meal.subsidies:
        by_fund[share.fund] += share.fen
    return [
        n, meal.day, say("", meal.period), meal.canteen, meal.card_tail, meal.name, meal.age,
        "、".join(dict.fromkeys(share.label for share in meal.subsidies)), meal.items, yuan(meal.list_fen),
        yuan(meal.concession), *(yuan(by_fund[fund]) for fund in funds), yuan(meal.donation), yuan(meal.due_fen),
        yuan(meal.claimable), "、".join(say("", kind) for kind in meal.tenders), say("", meal.mode), meal.cashier,
        "否" if meal.online else "是", meal.reference, str(meal.id), meal.rulebook[:12], meal.remark,
    ]  # fmt: skip


def _summary(
    sheet: Sheet, about: details.About, lines: Sequence[claims.LineStanding], rates: Rates, funds: Sequence[str]
) -> None:
    sheet.title("老年助餐补贴月结算汇总表")
    for name, value in about.heading():
        sheet.row((name, value))
    sheet.gap()
    sheet.head(
        ("序号", "类别", "资金", "服务月份", "原申报单/行", "人次", "人数", "申报金额", "暂缓", "核减", "核定金额")
    )
    for line in lines:
        sheet.row(
            (
                line.n, say("line", line.kind), about.fund_names.get(line.fund, line.fund), line.service_month, line.origin,
                line.meals, line.persons, yuan(line.fen), yuan(line.held), yuan(line.disallowed), yuan(line.approved),
            )
        )  # fmt: skip
    total = [sum(getattr(line, what) for line in lines) for what in ("fen", "held", "disallowed", "approved")]
    sheet.row(("合计", None, None, None, None, None, None, *map(yuan, total)))
    sheet.gap()
    sheet.head(("补贴项目", "资金", "餐次", "人次", "单价", "金额"))
    for (label, fund, period, fen), meals in sorted(rates.items()):
        sheet.row((label, about.fund_names.get(fund, fund), say("", period), meals, yuan(fen), yuan(fen * meals)))
    sheet.gap()
    sheet.head(("资金分担", "应付金额"))
    for fund in funds:
        sheet.row((about.fund_names.get(fund, fund), yuan(sum(line.approved for line in lines if line.fund == fund))))
    sheet.row(("应付合计", yuan(total[3])))
    sheet.gap()
    sheet.row(("负责人签章：", None, None, "审核人签章："))


def _others(book: Book, row: Claim) -> None:
    """Earlier meals that this claim takes back or adds, each with the claim and line it stood in."""
    sheet = book.sheet("补录与冲减", (10, 12, 38, 14, 26, 12, 30))
    sheet.head(("类别", "就餐日期", "就餐编号", "资金", "原申报单/行", "金额", "原因"))
    for other in details.others(row):
        sheet.row(
            (
                say("line", other.kind), other.day, str(other.sale), other.fund, other.origin, yuan(other.fen),
                other.reason,
            )
        )  # fmt: skip


def _findings(book: Book, row: Claim, *, insider: bool) -> None:
    sheet = book.sheet("待核实事项", (14, 46, 12, 12, 40, 12))
    sheet.head(("检查项", "涉及流水", "金额", "结论", "说明", "处理人"))
    for found in details.findings(row):
        sheet.row(
            (
                finding_name(found.code, insider=insider), found.subject, yuan(found.fen), say("answer", found.outcome), found.reason,
                found.by,
            )
        )  # fmt: skip


def _hash(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()
