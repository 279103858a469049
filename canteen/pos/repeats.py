"""Message to the counter when limits leave a meal without subsidy: it names the limit's window, and no more.

The elder may read it at the counter: neither the rule nor the class that it asks for is named.
"""

from __future__ import annotations

from collections.abc import Iterator

from canteen.policy.bill import Bill
from canteen.policy.case import known_case
from canteen.policy.days import WINDOWS
from canteen.policy.rules import Group, LimitRef, Rule, Rulebook
from canteen.policy.stacking import step_for
from canteen.pos.pricing import Priced

HAD = "这一餐已享受过优惠，这一份不再享受。"
WHEN = {
    "period": "这一餐", "day": "今天", "week": "本周", "month": "本月", "quarter": "本季度", "year": "今年", "ever": ""
}  # fmt: skip


def message(book: Rulebook, priced: Priced) -> str:
    """Write the message for a meal that no fund pays because of a limit; '' for any other."""
    over = {passed.rule for passed in priced.quote.passed if passed.why == "used_up"}
    if not over or any(share.payer != "concession" for share in priced.quote.shares):
        return ""
    asked = known_case(priced.document)
    bill = Bill(asked.diner, asked.meal, asked.taken)
    ended = [ref for rule in _rules(book) if rule.id in over for ref in _limit_refs(rule, bill) if _ended(bill, ref)]
    first = min(ended, key=lambda ref: WINDOWS.index(ref.allowance.window), default=None)
    return _sentence(first) if first else HAD


def _sentence(ref: LimitRef) -> str:
    allowance = ref.allowance
    whose = "全家" if allowance.scope == "household" else ""
    if allowance.window == "period" and allowance.unit != "fen" and not whose:
        return HAD
    when = WHEN[allowance.window]
    what = "优惠金额" if allowance.unit == "fen" else "享受次数"
    return f"{whose}{when}{'的' if whose or when else ''}{what}已用完，这一份不再享受。"


def _ended(bill: Bill, ref: LimitRef) -> bool:
    taken = bill.taken(ref, bill.window(ref.allowance))
    used = {"meal": taken.count, "fen": taken.fen, "day": len({*taken.days} - {bill.meal.day})}
    return used[ref.allowance.unit] >= bill.limit(ref)


def _limit_refs(rule: Rule, bill: Bill) -> Iterator[LimitRef]:
    """Yield the limits of the tier that the diner is in."""
    step = step_for(rule, bill)
    if step is not None:
        yield from step.limits
        for part in step.parts:
            yield from (*part.limits, *part.fund.limits)


def _rules(book: Rulebook) -> Iterator[Rule]:
    waiting: list[Rule | Group] = [stage.group for stage in book.stages]
    while waiting:
        member = waiting.pop()
        if isinstance(member, Rule):
            yield member
        else:
            waiting += member.members
