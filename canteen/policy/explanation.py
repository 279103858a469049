"""A quote in words: for the counter, without anybody's class, and for the auditor, with every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from canteen import money
from canteen.policy.outcome import Check, Passed, Share, Surcharge

CLASS_WORDS = (
    "低保", "特困", "五保", "三无", "残", "失独", "低收入", "贫困", "困难", "优抚", "失能", "计划生育", "特扶",
    "孤", "智障", "精神", "救助", "边缘", "独居", "失智", "三属", "五老", "烈属", "重病", "自理",
)  # fmt: skip
"""Words that show a bystander that the elder is poor or ill; no label may contain one."""

_PAYER = {"subsidy": "补贴", "concession": "让利", "donation": "捐助"}


@dataclass(frozen=True, slots=True)
class Sentences:
    """`counter` may be read aloud; `audit` names funds, rules, clauses and reasons."""

    counter: str
    audit: str


def sentences(
    list_fen: int,
    shares: Sequence[Share],
    surcharges: Sequence[Surcharge],
    passed: Sequence[Passed],
    checks: Sequence[Check],
    due: int,
) -> Sentences:
    counter = _counter(list_fen, shares, surcharges, due)
    return Sentences(counter, _audit(list_fen, shares, surcharges, passed, checks, due))


def _counter(list_fen: int, shares: Sequence[Share], surcharges: Sequence[Surcharge], due: int) -> str:
    by_label: dict[str, int] = {}
    for share in shares:
        by_label[share.label] = by_label.get(share.label, 0) + share.fen
    parts = [f"原价{money.show(list_fen)}元"]
    parts += [f"{label}{money.show(fen)}元" for label, fen in by_label.items()]
    parts += [f"{one.label}加收{money.show(one.fen)}元" for one in surcharges]
    parts.append("本餐免费" if due == 0 and list_fen else f"请付{money.show(due)}元")
    return "，".join(parts) + "。"


def _audit(
    list_fen: int,
    shares: Sequence[Share],
    surcharges: Sequence[Surcharge],
    passed: Sequence[Passed],
    checks: Sequence[Check],
    due: int,
) -> str:
    parts = [f"原价{money.show(list_fen)}元"]
    parts += [
        f"{_PAYER[share.payer]}{money.show(share.fen)}元由{share.fund}承担（{share.rule}，{share.clause}，{share.reason}）"
        for share in shares
    ]
    parts += [f"加收{money.show(one.fen)}元（{one.rule}，{one.clause}，{one.reason}）" for one in surcharges]
    sums = " - ".join(money.show(fen) for fen in (list_fen, *(share.fen for share in shares)))
    sums += "".join(f" + {money.show(one.fen)}" for one in surcharges)
    parts.append(f"实付{money.show(due)}元（{sums} = {money.show(due)}）")
    parts += [f"未适用{one.rule}（{one.clause}）：{one.reason}" for one in passed]
    parts += [f"超出限额：{one.code}，{one.rule}（{one.clause}）" for one in checks if one.breach]
    return "；".join(parts) + "。"
