"""The split of a benefit among funds: fixed amounts first, then percents of the remainder, then the rest by weights.

Parts are whole fen and add up to the benefit, by largest remainder in the order written. Then each fund is checked:
where its condition fails or its limit is reached, its part drops and the elder's price rises, unless another fund is
named to pay instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from canteen import money
from canteen.policy.bill import Bill
from canteen.policy.outcome import Check
from canteen.policy.rules import Budget, Fund, LimitRef, SplitPart

_WHOLE = 10_000


def portions(fen: int, parts: Sequence[SplitPart]) -> list[int]:
    """Split `fen` among the parts. Nobody pays what no part takes (fixed amounts of a larger benefit)."""
    if len(parts) == 1 and parts[0].how == "ratio":
        return [fen]
    found, left = [0] * len(parts), fen
    percents, ratios = list[int](), list[int]()
    for place, part in enumerate(parts):
        if part.how == "fen":
            found[place] = min(left, part.amount)
            left -= found[place]
        else:
            (percents if part.how == "percent" else ratios).append(place)
    if percents:
        weights = [parts[place].amount for place in percents]
        *dealt, rest = money.split(left, [*weights, _WHOLE - sum(weights)])
        for place, amount in zip(percents, dealt, strict=True):
            found[place] = amount
        left = rest
    if len(ratios) == 1:
        found[ratios[0]] = left
    elif ratios and left:
        for place, amount in zip(ratios, money.split(left, [parts[at].amount for at in ratios]), strict=True):
            found[place] = amount
    return found


class Funding:
    """The split of one rule's benefit: what each fund pays, what drops and why, what is used of limits.

    `before` is what this quote spent of amount limits so far; `spent` gives the new totals of those drawn on here.
    """

    __slots__ = ("before", "bill", "checks", "dropped", "off_hours", "paid", "spent", "used")

    def __init__(self, bill: Bill, before: Mapping[str, int]) -> None:
        self.bill = bill
        self.off_hours = "outside_window" in bill.meal.flags
        self.before = before
        self.spent: dict[str, int] = {}
        self.paid: list[tuple[Fund, int]] = []
        self.dropped: list[tuple[Fund, str]] = []
        self.used: list[tuple[LimitRef, int]] = []
        self.checks: list[tuple[str, int, int]] = []

    def pay(self, part: SplitPart, fen: int) -> None:
        """Let the part's fund pay, or the fund named instead, or nobody."""
        fund = part.fund
        refs = (*part.limits, *fund.limits) if part.limits else fund.limits
        why = self._skip_reason(fund)
        if not why and part.test is not None and part.test(self.bill):
            why = "share_dropped"
        if why and part.instead is not None:
            refs = refs if part.instead is fund else part.instead.limits
            fund = part.instead
            why = self._skip_reason(fund)
        if why:
            self.dropped.append((fund, why))
            return
        granted = self._within(fen, refs)
        if granted == 0:
            self.dropped.append((fund, "used_up"))
        elif fund.budget is None:
            self._settle(fund, granted, refs)
        else:
            self._from_budget(fund, fund.budget, granted, refs)

    def _skip_reason(self, fund: Fund) -> str:
        if self.off_hours and fund.payer == "subsidy":
            return "outside_window"
        return "share_dropped" if fund.test is not None and fund.test(self.bill) else ""

    def _within(self, fen: int, refs: Sequence[LimitRef]) -> int:
        """Return what the limits leave of `fen`."""
        for ref in refs:
            if ref.allowance.unit == "fen":
                fen = min(fen, self.bill.room(ref, self._spent(ref)))
            elif self.bill.is_used_up(ref):
                return 0
        return fen

    def _spent(self, ref: LimitRef) -> int:
        key = self.bill.key(ref)
        return self.spent[key] if key in self.spent else self.before.get(key, 0)

    def _from_budget(self, fund: Fund, budget: Budget, fen: int, refs: Sequence[LimitRef]) -> None:
        """Draw on the fund's budget; at its end stop, pass to the next fund, or go on and say so."""
        ref = LimitRef(budget.allowance, "")
        room = self.bill.room(ref, self._spent(ref))
        self._warn(budget, room, fen)
        borne = min(fen, room) if budget.at_end in ("stop", "next") else fen
        self._settle(fund, borne, (*refs, ref))
        if borne < fen:
            self._pass_on(fund, budget, fen - borne)

    def _pass_on(self, fund: Fund, budget: Budget, fen: int) -> None:
        """Pass on what the budget no longer bears: to the next fund, or to nobody."""
        following = budget.next
        if following is None:
            self.dropped.append((fund, "budget_ended"))
        elif self._skip_reason(following):
            self.dropped.append((following, "share_dropped"))
        else:
            fen = self._within(fen, following.limits)
            if following.budget is None:
                self._settle(following, fen, following.limits)
            else:
                self._from_budget(following, following.budget, fen, following.limits)

    def _warn(self, budget: Budget, room: int, fen: int) -> None:
        limit = budget.allowance.limit
        used = limit - room + fen
        if used > limit:
            self.checks.append((f"budget_{budget.at_end}", limit, used))
        elif budget.warn and used * _WHOLE >= limit * budget.warn:
            self.checks.append(("budget_warn", limit, used))

    def _settle(self, fund: Fund, fen: int, refs: Sequence[LimitRef]) -> None:
        if fen == 0:
            return
        self.paid.append((fund, fen))
        for ref in refs:
            if ref.allowance.unit == "fen":
                self.used.append((ref, fen))
                self.spent[self.bill.key(ref)] = self._spent(ref) + fen
            else:
                self.used.append((ref, 1))

    def checked(self, rule: str, clause: str) -> tuple[Check, ...]:
        """Return the checks noted of budgets."""
        return tuple([Check(code, rule, clause, limit, used, used > limit) for code, limit, used in self.checks])
