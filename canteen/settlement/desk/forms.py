"""Write the two forms that follow a claim: 审核表, how each amount was decided and by whom; 拨付表, what was paid to whom."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, names
from canteen.keyset import reader
from canteen.money import Fen
from canteen.places import Contract
from canteen.registry import keys
from canteen.settlement.claims import claims, payouts
from canteen.settlement.closing import carry_over
from canteen.settlement.desk import claim_queries, claim_summary
from canteen.settlement.labels import say
from canteen.settlement.models import Claim, WithheldMeal
from canteen.workbook import Book, yuan


def review(book: Book, row: Claim, about: claim_summary.About, lines: Sequence[claims.LineAmounts]) -> None:
    """Write what was claimed and determined by line, each withheld meal with its reason, each step with its person."""
    with reader() as session:
        kept, history = _kept(session, row.id), claim_queries.history(session, row.id)
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
                yuan(line.fen), yuan(line.withheld), yuan(line.disallowed), yuan(line.approved), "；".join(why),
            )
        )  # fmt: skip
    total = [sum(getattr(line, what) for line in lines) for what in ("fen", "withheld", "disallowed", "approved")]
    sheet.row(("合计", None, None, None, *map(yuan, total)))
    sheet.gap()
    sheet.head(("行", "处理", "金额", "就餐编号", "处理人", "原因"))
    for n, sale, outcome, fen, reason, by in kept:
        sheet.row((n, say("answer", outcome), yuan(fen), sale, by, reason))
    sheet.gap()
    sheet.head(("步骤", "办理人", "日期", "意见"))
    for step in history:
        sheet.row((say("move", step.move), step.who, clock.business_day(step.at), step.reason))
    sheet.gap()
    for opinion in ("街道意见：", "民政意见：", "财政意见："):
        sheet.row((opinion,))


def _kept(session: Session, claim_id: int) -> list[tuple[int, str, str, Fen, str, str]]:
    """Read (line, sale, outcome, fen, reason, by) of each meal kept out of the claim."""
    query = (
        select(
            WithheldMeal.line_n,
            WithheldMeal.sale_id,
            WithheldMeal.outcome,
            WithheldMeal.fen,
            WithheldMeal.reason,
            WithheldMeal.by,
            WithheldMeal.recorded,
        )
        .where(WithheldMeal.claim_id == claim_id)
        .order_by(WithheldMeal.line_n, WithheldMeal.id)
    )
    rows = session.execute(query).all()
    staff = names.of(session, "person", {row.by for row in rows})
    return [
        (n, str(sale), outcome, fen, reason, staff.at(by, recorded))
        for n, sale, outcome, fen, reason, by, recorded in rows
    ]


COLUMNS = ("批次", "收款单位", "开户行", "账号", "资金来源", "金额", "凭证号", "拨付日期", "录入人", "复核人", "结果")


def payment(book: Book, row: Claim, about: claim_summary.About, *, accounts: bool) -> None:
    """Write each payout by fund, and before there is one what an approved claim is to be paid."""
    sheet = book.sheet("拨付表", (6, 26, 22, 26, 26, 14, 22, 12, 12, 12, 12))
    sheet.title("老年助餐补贴拨付表")
    sheet.head(COLUMNS)
    by_fund = defaultdict[str, Fen](int)
    with reader() as session:
        for (fund, _), fen in carry_over.approved_by_fund(session, row.id).items():
            by_fund[fund] += fen
        statuses = payouts.of_claim(session, row.id)
        staff = names.of(session, "person", payouts.actors(statuses))
        accounted = _Accounts(session, row.contract_id, whole=accounts)
    paid: list[tuple[int, str, str, str, str, date | None, str, str, str]] = [
        (
            one.payout.attempt, one.payout.payee_name, one.payout.bank, accounted.at(one.payout.recorded),
            one.payout.voucher, one.payout.paid_on, staff.at(one.payout.entered_by, one.payout.recorded),
            staff.at(one.check.checked_by, one.check.recorded) if one.check else "",
            say("pay", one.outcome) if one.outcome else "待复核",
        )
        for one in statuses
    ]  # fmt: skip
    if not paid and about.state == "approved":
        paid = [(1, about.payee, about.bank, accounted.at(about.facts), "", None, "", "", "待录入")]
    for batch, payee, bank, account, voucher, day, entered, checked, outcome in paid:
        for fund, fen in sorted(by_fund.items()):
            called = about.fund_names.get(fund, fund)
            sheet.row((batch, payee, bank, account, called, yuan(fen), voucher, day, entered, checked, outcome))
        sheet.row(("合计", None, None, None, None, yuan(sum(by_fund.values()))))


class _Accounts:
    """The payee's account as it was: the whole number for those who pay, or where it cannot be opened any more its tail."""

    def __init__(self, session: Session, contract_id: str, *, whole: bool) -> None:
        self._payee = session.get_one(Contract, contract_id).payee_id
        self._known, self._whole = names.of(session, "payee", [self._payee]), whole

    def at(self, upto: int) -> str:
        """Return the account as of an event."""
        entry = self._known.entry(self._payee, upto)
        assert entry is not None
        assert entry.account_cipher is not None
        if self._whole:
            box = keys.keyring().identity
            with suppress(keys.Unreadable):
                number: str = box.open(entry.account_cipher, f"payee.account {self._payee}").decode()
                return number
        return f"尾号 {entry.account_tail}"
