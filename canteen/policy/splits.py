"""Who pays how much of a benefit: fixed amounts first, then percents of what those leave, then the rest by weights.

Parts are whole fen and add up to the benefit, by largest remainder in the order written. Then each fund answers for
its own part: where its condition fails or its limit is reached, the part drops and the elder's price rises, unless
another fund is named to step in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from canteen import money
from canteen.policy.bill import Bill
from canteen.policy.outcome import Check
from canteen.policy.rules import Budget, Fund, Lean, Part

_WHOLE = 10_000


def portions(fen: int, parts: Sequence[Part]) -> list[int]:
    """Fen of each part, in order. What no part takes (fixed amounts alone, and a larger benefit) is paid by nobody."""
    if len(parts) == 1 and parts[0].how == "ratio":
        return [fen]
    found, left = [0] * len(parts), fen
    for place, part in enumerate(parts):
        if part.how == "fen":
            found[place] = min(left, part.amount)
            left -= found[place]
    percents = [place for place, part in enumerate(parts) if part.how == "percent"]
    if percents:
        weights = [parts[place].amount for place in percents]
        dealt = money.split(left, [*weights, _WHOLE - sum(weights)])
        for place, amount in zip(percents, dealt, strict=False):
            found[place] = amount
        left = dealt[-1]
    ratios = [place for place, part in enumerate(parts) if part.how == "ratio"]
    if ratios and left:
        for place, amount in zip(ratios, money.split(left, [parts[at].amount for at in ratios]), strict=True):
            found[place] = amount
    return found


class Funding:
    """One rule's benefit on its way to its funds: what each pays, what drops and why, what is used of limits."""

    __slots__ = ("bill", "checks", "dropped", "paid", "spent", "used")

    def __init__(self, bill: Bill, spent: Mapping[str, int]) -> None:
        self.bill = bill
        self.spent = dict(spent)
        self.paid: list[tuple[Fund, int]] = []
        self.dropped: list[tuple[Fund, str]] = []
        self.used: list[tuple[Lean, int]] = []
        self.checks: list[tuple[str, Budget, int, int]] = []

    def pay(self, part: Part, fen: int) -> None:
        """Let the part's fund pay, or the one that stands in for it, or nobody."""
        fund, why = part.fund, self._barred(part.fund, part)
        if why and part.instead is not None:
            fund, why = part.instead, self._barred(part.instead, None)
        if why:
            self.dropped.append((fund, why))
            return
        leans = (*part.limits, *fund.limits) if fund is part.fund else fund.limits
        granted = self._within(fen, leans)
        if granted < fen and granted == 0:
            self.dropped.append((fund, "used_up"))
            return
        self._from_budget(fund, granted, leans)

    def _barred(self, fund: Fund, part: Part | None) -> str:
        if fund.payer == "subsidy" and "outside_window" in self.bill.meal.flags:
            return "outside_window"
        if part is not None and part.test is not None and part.test(self.bill):
            return "share_dropped"
        return "share_dropped" if fund.test is not None and fund.test(self.bill) else ""

    def _within(self, fen: int, leans: Sequence[Lean]) -> int:
        """What the limits leave of `fen`."""
        for lean in leans:
            room = self.bill.room(lean, self.spent.get(self.bill.key(lean), 0))
            if lean.allowance.unit == "fen":
                fen = min(fen, room)
            elif room == 0:
                return 0
        return fen

    def _from_budget(self, fund: Fund, fen: int, leans: Sequence[Lean]) -> None:
        """Draw on the fund's budget; at its end stop, pass to the next fund, or go on and say so."""
        budget = fund.budget
        if budget is not None:
            lean = Lean(budget.allowance, "")
            room = self.bill.room(lean, self.spent.get(self.bill.key(lean), 0))
            self._warn(budget, room, fen)
            if room < fen and budget.at_end in ("stop", "next"):
                self._settle(fund, room, (*leans, lean))
                self._pass_on(fund, budget, fen - room)
                return
            self._settle(fund, fen, (*leans, lean))
            return
        self._settle(fund, fen, leans)

    def _pass_on(self, fund: Fund, budget: Budget, fen: int) -> None:
        """What the budget no longer bears: by the next fund, or by nobody."""
        if budget.next is None:
            self.dropped.append((fund, "budget_ended"))
        elif self._barred(budget.next, None):
            self.dropped.append((budget.next, "share_dropped"))
        else:
            self._from_budget(budget.next, self._within(fen, budget.next.limits), budget.next.limits)

    def _warn(self, budget: Budget, room: int, fen: int) -> None:
        limit = budget.allowance.limit
        used = limit - room + fen
        if used > limit:
            self.checks.append((f"budget_{budget.at_end}", budget, limit, used))
        elif budget.warn and used * _WHOLE >= limit * budget.warn:
            self.checks.append(("budget_warn", budget, limit, used))

    def _settle(self, fund: Fund, fen: int, leans: Sequence[Lean]) -> None:
        if fen == 0:
            return
        self.paid.append((fund, fen))
        for lean in leans:
            amount = fen if lean.allowance.unit == "fen" else 1
            self.used.append((lean, amount))
            if lean.allowance.unit == "fen":
                key = self.bill.key(lean)
                self.spent[key] = self.spent.get(key, 0) + fen

    def checked(self, rule: str, clause: str) -> list[Check]:
        """What was seen of budgets."""
        return [Check(code, rule, clause, limit, used, breach=used > limit) for code, _, limit, used in self.checks]
