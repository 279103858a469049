"""Messages to a canteen when part of a sale may not be claimed: what happened and what to do.

The elder may read them at the counter: no class, fund, rule or death is named; all personal reasons have one wording.
"""

from __future__ import annotations

from collections.abc import Iterable

from canteen.money import Fen, show

WHAT = {
    "used_up": "这位老人的补贴先前已用完（这一餐可能已在别处享受过）",
    "price_differs": "收款时的价格与系统核对的不一致",
    "outside_window": "这一餐不在供餐时间",
    "closed_day": "食堂当天不供餐",
    "no_contract": "食堂当天没有有效协议",
    "no_credential": "这一餐没有读到卡",
    "card_dead": "这张卡当时已停用",
    "card_of_another": "这张卡当时不是这位老人的",
    "prorated": "补贴资金按比例核减",
    "budget_ended": "补贴资金已用完",
}
WAITS = {
    "self_dated": "这一单补传，不能证明是当时所记，要等审核人员核实",
    "cashier_not_logged_in": "收款时这位收银员没有在本机登录，要等审核人员核实",
}  # what a reviewer may still let in
OTHER = "系统核对后，这一餐不符合补贴条件"
ASK = {
    "card_dead": "请让老人联系社区换卡。",
    "card_of_another": "请核对持卡人，并联系社区。",
    "no_contract": "请食堂负责人联系民政部门。",
}
ASK_MANAGER = "有疑问请联系食堂负责人。"


def what(reason: str) -> str:
    """Describe what happened, by the stable code of an exclusion."""
    return WHAT.get(reason) or WAITS.get(reason, OTHER)


def sentences(excluded: Iterable[tuple[str, Fen, str]]) -> dict[str, str]:
    """Write one sentence for each sale with an exclusion: the sum of its parts, with the first reason."""
    fen: dict[str, Fen] = {}
    reasons: dict[str, str] = {}
    for sale, part, reason in excluded:
        fen[sale] = fen.get(sale, 0) + part
        reasons.setdefault(sale, reason)
    return {sale: _sentence(fen[sale], reason) for sale, reason in reasons.items()}


def _sentence(fen: Fen, reason: str) -> str:
    ask = ASK.get(reason, ASK_MANAGER)
    cannot = "暂不能申报" if reason in WAITS else "不能申报"
    return f"{what(reason)}，本单补贴 {show(fen)} 元{cannot}，请勿再向老人收钱。{ask}"
