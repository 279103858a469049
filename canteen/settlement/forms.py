"""The two forms that follow a claim: 审核表, what was made of each amount and by whom; 拨付表, what was paid and to whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from sqlalchemy import select

from canteen import clock
from canteen.auth.models import Person
from canteen.db import db
from canteen.money import Fen
from canteen.places import Contract, Payee
from canteen.registry import keys
from canteen.settlement import carrying, claims, desk, details, paging, payouts
from canteen.settlement.models import Claim, Held
from canteen.settlement.words import say
from canteen.settlement.workbook import Book, yuan


def review(book: Book, row: Claim, about: details.About, lines: Sequence[claims.LineStanding]) -> None:
    """What was claimed and determined line by line, each meal kept out with its reason, each step with its person."""
    claim_id = row.id
    kept = _kept(claim_id)
    sheet = book.sheet("审核表", (16, 26, 12, 38, 14, 14, 14, 14, 40))
    sheet.title("老年助餐补贴审核表")
    sheet.row(("申报单号", about.number))
    sheet.row(("食堂", about.canteen))
    sheet.gap()
    sheet.head(("序号", "类别", "资金", "服务月份", "申报数", "暂缓", "核减", "核定数", "核减原因"))
    for line in lines:
        why = dict.fromkeys(reason for n, _, outcome, _, reason, _ in kept if (n, outcome) == (line.n, "disallowed"))
        sheet.row(
            (
                line.n, say("line", line.kind), about.fund_names.get(line.fund, line.fund), line.service_month,
                yuan(line.fen), yuan(line.held), yuan(line.disallowed), yuan(line.approved), "；".join(why),
            )
        )  # fmt: skip
    total = [sum(getattr(line, what) for line in lines) for what in ("fen", "held", "disallowed", "approved")]
    sheet.row(("合计", None, None, None, *map(yuan, total)))
    sheet.gap()
    sheet.head(("行", "处理", "金额", "就餐编号", "处理人", "原因"))
    for n, sale, outcome, fen, reason, by in kept:
        sheet.row((n, say("answer", outcome), yuan(fen), sale, by, reason))
    sheet.gap()
    sheet.head(("步骤", "办理人", "日期", "意见"))
    for step in desk.history(db.session(), claim_id):
        sheet.row((say("move", step.move), step.who, clock.business_day(step.at), step.reason))
    db.session.rollback()
    sheet.gap()
    for opinion in ("街道意见：", "民政意见：", "财政意见："):
        sheet.row((opinion,))


def _kept(claim_id: int) -> list[tuple[int, str, str, Fen, str, str]]:
    """(line, sale, outcome, fen, reason, by) of each meal kept out of the claim."""
    query = (
        select(Held.line_n, Held.sale_id, Held.outcome, Held.fen, Held.reason, Person.name, Held.by)
        .outerjoin(Person, Person.id == Held.by)
        .where(Held.claim_id == claim_id)
        .order_by(Held.line_n, Held.id)
    )
    return [
        (n, str(sale), outcome, fen, reason, name or by)
        for n, sale, outcome, fen, reason, name, by in paging.once(query)
    ]


COLUMNS = ("批次", "收款单位", "开户行", "账号", "资金来源", "金额", "凭证号", "拨付日期", "录入人", "复核人", "结果")


def payment(book: Book, row: Claim, about: details.About, *, accounts: bool) -> None:
    """Each payout by fund, and before there is one what an approved claim is to be paid."""
    claim_id, contract_id = row.id, row.contract_id
    sheet = book.sheet("拨付表", (6, 26, 22, 26, 26, 14, 22, 12, 12, 12, 12))
    sheet.title("老年助餐补贴拨付表")
    sheet.head(COLUMNS)
    number = _account(contract_id) if accounts else f"尾号 {about.account_tail}"
    by_fund = defaultdict[str, Fen](int)
    for (fund, _), fen in carrying.approved_by_fund(claim_id).items():
        by_fund[fund] += fen
    names = dict(paging.once(select(Person.id, Person.name)))
    told = payouts.of_claim(db.session(), claim_id)
    paid: list[tuple[int, str, str, str, str, date | None, str, str, str]] = [
        (
            one.payout.attempt, one.payout.payee_name, one.payout.bank, number, one.payout.voucher, one.payout.paid_on,
            names.get(one.payout.entered_by, one.payout.entered_by),
            names.get(one.check.checked_by, one.check.checked_by) if one.check else "",
            say("pay", one.outcome) if one.outcome else "待复核",
        )
        for one in told
    ]  # fmt: skip
    db.session.rollback()
    if not paid and about.state == "approved":
        paid = [(1, about.payee, about.bank, number, "", None, "", "", "待录入")]
    for batch, payee, bank, account, voucher, day, entered, checked, outcome in paid:
        for fund, fen in sorted(by_fund.items()):
            called = about.fund_names.get(fund, fund)
            sheet.row((batch, payee, bank, account, called, yuan(fen), voucher, day, entered, checked, outcome))
        sheet.row(("合计", None, None, None, None, yuan(sum(by_fund.values()))))


def _account(contract_id: str) -> str:
    """The payee's whole account number, for those who pay; its tail where the number cannot be opened any more."""
    session = db.session()
    payee = session.get_one(Payee, session.get_one(Contract, contract_id).payee_id)
    payee_id, sealed, tail = payee.id, payee.account_cipher, payee.account_tail
    session.rollback()
    box = keys.keyring().identity
    try:
        number: str = box.open(sealed, f"payee.account {payee_id}", box.key_id).decode()
    except keys.Unreadable:
        return f"尾号 {tail}"
    return number
