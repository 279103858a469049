"""Give the Chinese words of settlement, one a thing, for pages, exports and messages (docs/glossary.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from canteen import calendars
from canteen.money import show
from canteen.policy import outcome
from canteen.web import filters

WORDS = {
    "state.draft": "待申报",
    "state.submitted": "待初审",
    "state.reviewed": "待核定",
    "state.determined": "待审批",
    "state.approved": "待拨付",
    "state.paid": "已拨付",
    "state.returned": "已退回",
    "state.carried": "结转下期",
    "state.settled": "无需拨付",
    "move.submit": "申报",
    "move.review": "初审通过",
    "move.return": "退回",
    "move.determine": "核定",
    "move.approve": "审批",
    "move.enter": "录入拨付",
    "move.check": "复核拨付",
    "move.pay": "拨付",
    "finding.price_differs": "计价不一致",
    "finding.excess_slot": "超次享受",
    "finding.gap": "流水缺号",
    "finding.fork": "流水分叉",
    "finding.clock": "时钟偏差",
    "finding.after_death": "身故后就餐",
    "finding.likely_same": "可能同一人重复就餐",
    "finding.payment_differs": "收款不符",
    "finding.seller": "收银员存疑",
    "finding.self_dated": "补传日期待核实",
    "finding.revaluation": "重估后应付上升",
    "finding.prorated": "预算按比例核减",
    "finding.day_provisional": "日期类别为暂定",
    "answer.accepted": "核实无误",
    "answer.withheld": "暂缓支付",
    "answer.disallowed": "核减",
    "answer.released": "放行",
    "line.meals": "当期就餐",
    "line.supplement": "补录",
    "line.adjustment": "冲减",
    "line.released": "暂缓放行",
    "line.carried": "上期结转",
    "line.revaluation": "重估补差",
    "how.camera": "扫码",
    "how.wedge": "扫码枪",
    "how.typed": "手输卡号",
    "how.none": "无卡",
    "guest.guest": "散客",
    "guest.staff": "工作人员",
    "guest.volunteer": "志愿者",
    "guest.spouse": "随行家属",
    "payer.subsidy": "补贴",
    "payer.concession": "食堂让利",
    "payer.donation": "捐赠",
    "account.granted": "补贴发生",
    "account.open": "未结",
    "account.claimed": "已核定待拨",
    "account.disallowed": "核减",
    "account.paid": "已拨付",
    "account.excluded": "不予申报",
    "account.donated": "捐赠",
    "excluded.price_differs": "高于本系统计价",
    "excluded.outside_window": "不在供餐时段",
    "excluded.closed_day": "当日不供餐",
    "excluded.no_contract": "当日无有效协议",
    "excluded.no_credential": "无卡就餐",
    "excluded.card_dead": "卡已停用",
    "excluded.card_of_another": "卡与人不符",
    "excluded.self_dated": "补传日期待核实",
    "excluded.cashier_not_logged_in": "收银员未登录",
    "excluded.after_death": "身故后就餐",
    "excluded.prorated": "预算按比例核减",
    "excluded.void": "撤单",
    "excluded.disallowed": "核减",
    "excluded.reallocated": "享受转让",
    "flag.clock": "时钟偏差",
    "flag.day_provisional": "日期类别为暂定",
    "flag.clock_day": "平板日期不符",
    "flag.clock_unmeasured": "时钟未校准",
    "flag.outside_window": "不在供餐时段",
    "flag.closed_day": "当日不供餐",
    "flag.no_contract": "当日无有效协议",
    "flag.card_dead": "卡已停用",
    "flag.card_of_another": "卡与人不符",
    "flag.no_credential": "无卡就餐",
    "flag.cashier_unknown": "收银员未登记",
    "flag.cashier_no_right": "收银员在此食堂无权限",
    "flag.cashier_not_logged_in": "收银员当时未在这台平板登录",
    "flag.self_dated": "补传日期待核实",
    "flag.dated_otherwise": "扫卡时间不在所记日期",
    "flag.dated_long_ago": "扫卡至上传超过 400 天",
    "flag.dated_unmeasured": "平板时钟未与服务器核对",
    "flag.dated_too_long": "断网超过食堂允许的天数",
    "flag.dated_in_contact": "没有这台平板当时断网的记录",
    "flag.dated_unreported": "平板程序未报告流水号，请更新平板",
    "flag.dated_restarted": "断网期间平板重启，时间无法核对",
    "flag.dated_numbers": "流水号与所记时间不符",
    "flag.dated_clock_set": "断网期间平板时钟被调整",
    "flag.dated_gap": "此前的流水缺号",
    "flag.dated_later_contact": "恢复联网后没有及时上传",
    "flag.input_differs": "计价依据与登记不符",
    "pay.confirmed": "复核通过",
    "pay.refused": "复核退回",
    "unit.meal": "餐",
    "unit.day": "天",
    "unit.fen": "分",
}

WORDS.update({f"excluded.{code}": text for code, text in outcome.WHY.items() if f"excluded.{code}" not in WORDS})

filters.add_labels(WORDS)


def finding_name(code: str, *, insider: bool) -> str:
    """Return what a finding is called; a canteen's own people learn nothing of deaths (ruling 12)."""
    return say("finding", code) if insider or code != "after_death" else "身份待社区核实"


def excluded_name(reason: str, *, insider: bool) -> str:
    """Say why a share may not be claimed; a canteen's own people learn nothing of deaths (ruling 12)."""
    return say("excluded", reason) if insider or reason != "after_death" else "身份待社区核实"


def prorated(body: Mapping[str, Any]) -> str:
    """Describe a finding of a prorated budget: what it had, what was asked, what this canteen gets and loses."""
    other = f"（其中 {show(body['other'])} 元另有用途，先行扣除）" if body["other"] else ""
    words = f"{body['from']} 起的预算 {show(body['limit'])} 元{other}，各食堂应补合计 {show(body['asked'])} 元"
    if body["here"]:
        words += f"；本食堂应补 {show(body['here'])} 元，按比例得 {show(body['part'])} 元"
    return f"{words}；本期 {body['meals']} 餐核减，预算已结算后才到的餐只用剩余预算"


def provisional(body: Mapping[str, Any]) -> str:
    """Describe a finding of provisional days: the days, how their meals were priced, and what is entered now."""
    alike: dict[tuple[str, str], tuple[list[str], int]] = {}
    for day, kind, meals, now in body["days"]:
        days, count = alike.get((kind, now), ([], 0))
        alike[kind, now] = ([*days, day], count + meals)
    words = [
        f"{'、'.join(days)} 按{calendars.WORDS[kind]}计价 {meals} 餐，"
        + (f"现录入为{calendars.WORDS[now]}" if now else "至今未录入")
        for (kind, now), (days, meals) in alike.items()
    ]
    return f"当年放假安排录入前，日期类别只按星期和法定节日暂定：{'；'.join(words)}。录入后如有不同，请办理重估。"


def say(kind: str, code: str) -> str:
    """Return the Chinese word of a code of that kind; the code itself where a scheme brought its own."""
    return filters.label(code, kind)
