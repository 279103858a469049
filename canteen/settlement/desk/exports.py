"""Write a claim and its meals as an .xlsx workbook: amounts as exact numbers, ids as text, never a formula (P30).

Written row by row, the meals read by keyset pages, so that a claim of any size needs the same memory. The meals are
shown as the close read them and add up to the claim's lines (P16, P19). Same claim in the same state, same cells.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from canteen import events
from canteen.db import transaction
from canteen.keyset import reader
from canteen.money import Fen
from canteen.settlement.claims import claims
from canteen.settlement.desk import claim_summary, finding_queries, forms, meal_queries
from canteen.settlement.desk.finding_queries import FindingRow
from canteen.settlement.desk.meal_queries import Claimed
from canteen.settlement.labels import finding_name, say
from canteen.settlement.models import Claim
from canteen.workbook import Book, Cell, Sheet, yuan

MOST_ROWS = 1_000_000  # of one sheet; Excel ends at 1,048,576

MEAL_COLUMNS = (
    "序号", "日期", "餐别", "食堂", "卡号尾号", "姓名", "年龄", "类别", "套餐", "原价", "食堂让利",
)  # fmt: skip
MEAL_COLUMNS_AFTER = (
    "可申报金额", "暂缓", "核减", "支付方式", "就餐方式", "收银员", "是否离线", "流水号", "就餐编号", "补贴标准版本", "备注",
)  # fmt: skip


SUBJECTS = {"sale": "就餐", "tablet": "平板", "payment": "收款", "budget": "预算", "calendar": "节假日"}


@dataclass(frozen=True, slots=True)
class Exported:
    """The path of a written workbook, its SHA-256, and the number of meals that it lists."""

    path: Path
    hash: str
    meals: int


def claim(
    claim_id: int, path: Path, *, insider: bool = True, accounts: bool = False,
    go_on: Callable[[int], None] = lambda _: None,
) -> Exported:  # fmt: skip
    """Write the claim's summary, meals, meals added from or taken back to other months, review and payouts. Raises NoClaim.

    insider   whether the reader may read of deaths and classes; a canteen's own people are not (rulings 12 and 14)
    accounts  whether the reader pays, and sees the payee's whole account number
    go_on     called again and again with the number of meals written so far; what it raises ends the writing
    """
    with reader() as session:
        row = session.get(Claim, claim_id)
        if row is None:
            raise claims.NoClaim
        about, funds = claim_summary.about(session, row), claim_summary.funds(session, row)
        lines, findings = claims.lines(session, claim_id), finding_queries.findings(session, row)
    book = Book(path)
    summary = book.sheet("结算汇总", (14, 18, 12, 26, 10, 10, 14, 12, 12, 14))
    rates, meals = _meals(book, row, about, go_on, insider=insider)
    _summary(summary, about, lines, rates, funds)
    _others(book, row, about)
    _findings(book, findings, insider=insider)
    forms.review(book, row, about, lines)
    forms.payment(book, row, about, accounts=accounts)
    book.close()
    return Exported(path, _hash(path), meals)


def record(claim_id: int, exported: Exported, *, by: str) -> None:
    """Record in the chain of events who took which file."""
    with transaction() as session:
        row = session.get_one(Claim, claim_id)
        body = {"file": exported.hash, "meals": exported.meals}
        events.record(session, "claim.export", f"claim:{row.number}", by=by, body=body)


@dataclass(slots=True)
class Rate:
    """The number of times that an amount was claimed of a fund, and of persons."""

    meals: int = 0
    persons: set[str] = field(default_factory=set)


Rates = dict[tuple[str, str, str, Fen], Rate]  # by (label, fund, meal period, fen of one)


def _meals(
    book: Book, row: Claim, about: claim_summary.About, go_on: Callable[[int], None], *, insider: bool
) -> tuple[Rates, int]:
    funds = claim_summary.funds_sold(row)
    named, added = [about.fund_names.get(fund, fund) for fund in funds], claim_summary.has_surcharges(row)
    columns = (
        *MEAL_COLUMNS, *(f"补贴：{name}" for name in named), "捐赠", *(["加收"] if added else []), "个人实付", *(f"申报：{name}" for name in named),
        *MEAL_COLUMNS_AFTER,
    )  # fmt: skip
    rates: Rates = defaultdict(Rate)
    count, sheet = 0, _meal_sheet(book, columns, 1)
    for page in meal_queries.meals(row, insider=insider):
        for one in page:
            if sheet.rows > MOST_ROWS:
                sheet = _meal_sheet(book, columns, count // MOST_ROWS + 1)
            count += 1
            sheet.row(_meal_row(count, one, funds, insider=insider, added=added))
            for n, (fund, fen) in one.parts.items():
                label = next(part.label for part in one.meal.parts if part.n == n)
                rate = rates[label, fund, one.meal.period, fen]
                rate.meals += 1
                rate.persons.add(one.elder)
        go_on(count)
    return rates, count


def _meal_sheet(book: Book, columns: Sequence[str], n: int) -> Sheet:
    sheet = book.sheet("就餐明细" if n == 1 else f"就餐明细{n}", (6, 11, 6, 16, 9, 10, 6, 18, 20))
    sheet.head(columns)
    return sheet


def _meal_row(n: int, one: Claimed, funds: Sequence[str], *, insider: bool, added: bool) -> list[Cell]:
    meal, sold = one.meal, Counter[str]()
    for share in meal.subsidies:
        sold[share.fund] += share.fen
    kinds = dict.fromkeys(share.reason if insider else share.label for share in meal.subsidies)
    return [
        n, meal.day, say("", meal.period), meal.canteen, meal.card_tail, meal.name, meal.age, "、".join(kinds), meal.items,
        yuan(meal.list_fen), yuan(meal.concession), *(yuan(sold[fund]) for fund in funds), yuan(meal.donation),
        *([yuan(meal.surcharge_fen)] if added else []), yuan(meal.due_fen), *(yuan(one.of_fund(fund)) for fund in funds), yuan(one.fen), yuan(one.withheld),
        yuan(one.disallowed), "、".join(say("", kind) for kind in meal.tenders), say("", meal.mode), meal.cashier,
        "否" if meal.online else "是", meal.reference, str(meal.id), meal.rulebook[:12],
        "；".join(filter(None, (meal.remark, *one.why))),
    ]  # fmt: skip


def _summary(
    sheet: Sheet, about: claim_summary.About, lines: Sequence[claims.LineAmounts], rates: Rates, funds: Sequence[str]
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
                line.meals, line.persons, yuan(line.fen), yuan(line.withheld), yuan(line.disallowed), yuan(line.approved),
            )
        )  # fmt: skip
    total = [sum(getattr(line, what) for line in lines) for what in ("fen", "withheld", "disallowed", "approved")]
    sheet.row(("合计", None, None, None, None, None, None, *map(yuan, total)))
    sheet.gap()
    sheet.head(("补贴项目（当期就餐与补录）", "资金", "餐别", "人次", "人数", "单价", "金额"))
    for (label, fund, period, fen), rate in sorted(rates.items()):
        called = about.fund_names.get(fund, fund)
        sheet.row(
            (
                label, called, say("", period), rate.meals, len(rate.persons), yuan(fen), yuan(fen * rate.meals),
            )
        )  # fmt: skip
    claimed = sum(fen * rate.meals for (_, _, _, fen), rate in rates.items())
    sheet.row(("就餐补贴小计", None, None, None, None, None, yuan(claimed)))
    for kind in ("adjustment", "revaluation", "released", "carried"):
        if any(line.kind == kind for line in lines):
            fen = sum(line.fen for line in lines if line.kind == kind)
            sheet.row((say("line", kind), None, None, None, None, None, yuan(fen)))
    sheet.row(("暂缓", None, None, None, None, None, yuan(-total[1])))
    sheet.row(("核减", None, None, None, None, None, yuan(-total[2])))
    sheet.row(("应付", None, None, None, None, None, yuan(total[3])))
    sheet.gap()
    sheet.head(("资金分担", "应付金额"))
    for fund in funds:
        sheet.row((about.fund_names.get(fund, fund), yuan(sum(line.approved for line in lines if line.fund == fund))))
    sheet.row(("应付合计", yuan(total[3])))
    sheet.gap()
    sheet.row(("负责人签章：", None, None, "审核人签章："))


def _others(book: Book, row: Claim, about: claim_summary.About) -> None:
    """List earlier meals that this claim takes back or adds, each with the claim and line of its origin."""
    sheet = book.sheet("补录与冲减", (10, 12, 38, 14, 26, 12, 30))
    sheet.head(("类别", "就餐日期", "就餐编号", "资金", "原申报单/行", "金额", "原因"))
    for other in meal_queries.others(row):
        sheet.row(
            (
                say("line", other.kind), other.day, str(other.sale), about.fund_names.get(other.fund, other.fund), other.origin, yuan(other.fen),
                other.reason,
            )
        )  # fmt: skip


def _findings(book: Book, findings: Sequence[FindingRow], *, insider: bool) -> None:
    sheet = book.sheet("待核实事项", (14, 46, 12, 12, 40, 12))
    sheet.head(("检查项", "涉及流水", "金额", "结论", "说明", "处理人"))
    for found in findings:
        sheet.row(
            (
                finding_name(found.code, insider=insider), _subject(found.subject), yuan(found.fen), say("answer", found.outcome), found.reason or found.body.get("said", ""),
                found.by,
            )
        )  # fmt: skip


def _subject(text: str) -> str:
    """Show a subject as people read it: 就餐 with its number, 平板 with epoch and record number, 收款."""
    kind, _, number = text.partition(":")
    return f"{SUBJECTS.get(kind, kind)} {number}"


def _hash(path: Path) -> str:
    whole = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            whole.update(block)
    return whole.hexdigest()
