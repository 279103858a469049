"""Stacking: which rules of a group count, on which price, and what they come to.

best   the member that takes most off; ties go to the least public money, then to the rule's id
sum    all members, each reckoned on the price at which the group began
first  the first member whose conditions hold and whose limits have room
chain  all members, each reckoned on the price that the one before left

A rule whose limit is used up is no candidate, so the next best has its turn; where it says `used_up: stop` or `ask`, its
whole group gives nothing. Judging changes nothing: it answers an Outcome, and the group decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from canteen.policy.benefits import UNITS, round_to, rounded
from canteen.policy.bill import Bill
from canteen.policy.outcome import WHY, Check, Passed, Rounded, Share
from canteen.policy.rules import Group, Lean, Rule, Step
from canteen.policy.splits import Funding, portions

_WHOLE = 10_000


@dataclass(slots=True)
class Running:
    """Where the reckoning stands: the price left, fen spent of amount limits, the rules that gave something."""

    left: int
    spent: dict[str, int]
    applied: frozenset[str]

    def after(self, outcome: Outcome) -> Running:
        if not outcome.shares:
            return self
        applied = self.applied.union(share.rule for share in outcome.shares)
        return Running(self.left - outcome.off, {**self.spent, **outcome.spent}, applied)


@dataclass(slots=True)
class Outcome:
    """What a rule or group comes to on a given price. `spent` holds the new totals of amount limits."""

    id: str
    off: int
    public: int
    holds: bool
    stopped: bool
    shares: tuple[Share, ...]
    passed: tuple[Passed, ...]
    used: tuple[tuple[str, Lean, int], ...]
    spent: dict[str, int]
    rounding: tuple[Rounded, ...] = ()
    checks: tuple[Check, ...] = ()


def judge(member: Rule | Group, bill: Bill, running: Running, price: int) -> Outcome:
    """What a member comes to; `price` is what sums reckon on, `running.left` what is left to take from."""
    if isinstance(member, Rule):
        return _judge_rule(member, bill, running, price)
    bill.left = running.left
    if member.test is not None and (why := member.test(bill)):
        return _none(member.id, tuple(_pass(rule, why) for rule in _rules(member)))
    if member.pick == "best":
        return _best(member, bill, running, price)
    if member.pick == "first":
        return _first(member, bill, running, price)
    return _together(member, bill, running, price)


# --- groups -----------------------------------------------------------------------------------------------------


def _best(group: Group, bill: Bill, running: Running, price: int) -> Outcome:
    outcomes = [judge(member, bill, running, price) for member in group.members]
    if any(one.stopped for one in outcomes):
        return _stop(group, outcomes)
    if len(outcomes) == 1:
        outcomes[0].id = group.id
        return outcomes[0]
    won = min(outcomes, key=lambda one: (-one.off, one.public, one.id))
    passed = list[Passed]()
    for one in outcomes:
        passed += one.passed
        if one is not won and one.shares:
            passed += _beaten(one)
    return Outcome(
        group.id, won.off, won.public, any(one.holds for one in outcomes), stopped=False, shares=won.shares,
        passed=tuple(passed), used=won.used, spent=won.spent, rounding=won.rounding,
        checks=tuple(check for one in outcomes for check in one.checks if one is won or one.off == 0),
    )  # fmt: skip


def _first(group: Group, bill: Bill, running: Running, price: int) -> Outcome:
    passed = list[Passed]()
    for place, member in enumerate(group.members):
        one = judge(member, bill, running, price)
        passed += one.passed
        if one.stopped:
            return _stop(group, [one])
        if one.holds:
            rest = group.members[place + 1 :]
            passed += [_pass(rule, "after_first") for later in rest for rule in _rules(later)]
            one.passed = tuple(passed)
            return one
    return _none(group.id, tuple(passed))


def _together(group: Group, bill: Bill, running: Running, price: int) -> Outcome:
    """Sum or chain."""
    total = _none(group.id, ())
    now = running
    for member in group.members:
        one = judge(member, bill, now, now.left if group.pick == "chain" else price)
        if one.stopped:
            return _stop(group, [total, one])
        now = now.after(one)
        total = Outcome(
            group.id, total.off + one.off, total.public + one.public, total.holds or one.holds, stopped=False,
            shares=total.shares + one.shares, passed=total.passed + one.passed, used=total.used + one.used,
            spent={**total.spent, **one.spent}, rounding=total.rounding + one.rounding,
            checks=total.checks + one.checks,
        )  # fmt: skip
    return total


def _stop(group: Group, outcomes: Sequence[Outcome]) -> Outcome:
    """The group gives nothing, for one of its rules is used up and says so."""
    passed = list[Passed]()
    for one in outcomes:
        passed += one.passed
        passed += [Passed(share.rule, share.clause, "stopped", WHY["stopped"]) for share in _once(one.shares)]
    return _none(group.id, tuple(passed), stopped=True)


def _beaten(outcome: Outcome) -> list[Passed]:
    return [Passed(share.rule, share.clause, "beaten", WHY["beaten"]) for share in _once(outcome.shares)]


def _once(shares: Sequence[Share]) -> list[Share]:
    """One share a rule."""
    return list({share.rule: share for share in reversed(shares)}.values())[::-1]


def _rules(member: Rule | Group) -> list[Rule]:
    return [member] if isinstance(member, Rule) else [rule for one in member.members for rule in _rules(one)]


# --- one rule ---------------------------------------------------------------------------------------------------


def _judge_rule(rule: Rule, bill: Bill, running: Running, price: int) -> Outcome:
    bill.left = running.left
    if why := _barred(rule, bill, running):
        return _none(rule.id, (_pass(rule, why),))
    step = _step(rule, bill)
    if step is None:
        return _none(rule.id, (_pass(rule, "tier"),))
    if rule.limits and any(lean.allowance.unit != "fen" and bill.room(lean) == 0 for lean in rule.limits):
        return _none(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
    if step.verb == "ceiling":
        return _ceiling(rule, step, bill, running)
    if step.verb == "round_price":
        return _round_price(rule, step, bill, running)
    return _pay_out(rule, step, bill, running, price)


def _barred(rule: Rule, bill: Bill, running: Running) -> str:
    """The word for why a rule does not hold; '' where it does."""
    if not rule.first_day <= bill.meal.day <= rule.last_day:
        return "not_in_force"
    if rule.test is not None and (why := rule.test(bill)):
        return why
    return "" if running.applied.isdisjoint(rule.excludes) else "excluded"


def _step(rule: Rule, bill: Bill) -> Step | None:
    for step in rule.steps:
        if step.test is None or not step.test(bill):
            return step
    return None


def _pay_out(rule: Rule, step: Step, bill: Bill, running: Running, price: int) -> Outcome:
    base = bill.base(rule.base, price)
    exact = step.worth(bill, base, running.left)
    benefit = rounded(exact, base, rule.rounding)
    if step.most is not None:
        benefit = min(benefit, step.most)
    if rule.only_above and base <= benefit:
        return _none(rule.id, (_pass(rule, "bill_not_above_benefit", step),), holds=True)
    wanted = max(0, min(benefit, base if step.verb != "at_most" else benefit, running.left - rule.floor))
    if wanted == 0:
        return _none(rule.id, (_pass(rule, "no_money", step),), holds=True)
    fen = _within(rule, bill, running, wanted)
    if fen == 0:
        return _none(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
    outcome = _fund(rule, step, bill, running, fen)
    if exact.off % exact.over and outcome.shares:
        outcome.rounding = (_gap(rule, step, price, fen),)
    if step.verb == "suggest" and outcome.shares:
        outcome.checks += (Check("suggested", rule.id, step.clause, step.value, 0, breach=False),)
    return outcome


def _within(rule: Rule, bill: Bill, running: Running, fen: int) -> int:
    """What the rule's amount limits leave of `fen`."""
    for lean in rule.limits:
        if lean.allowance.unit == "fen":
            fen = min(fen, bill.room(lean, running.spent.get(bill.key(lean), 0)))
    return fen


def _fund(rule: Rule, step: Step, bill: Bill, running: Running, fen: int) -> Outcome:
    """Hand the benefit to its funds; it is used of the rule's own limits only if somebody pays."""
    funding = Funding(bill, running.spent)
    for part, amount in zip(step.parts, portions(fen, step.parts), strict=True):
        if amount:
            funding.pay(part, amount)
    off = sum(amount for _, amount in funding.paid)
    if off == 0:
        why = funding.dropped[0][1] if funding.dropped else "no_money"
        stopped = rule.stops and why == "used_up"
        return _none(rule.id, (_pass(rule, why, step),), stopped=stopped, holds=why not in ("used_up", "budget_ended"))
    spent = funding.spent
    own = {bill.key(lean) for lean in rule.limits}
    used = [(rule.id, lean, amount) for lean, amount in funding.used if bill.key(lean) not in own]
    for lean in rule.limits:
        amount = off if lean.allowance.unit == "fen" else 1
        used.append((rule.id, lean, amount))
        if lean.allowance.unit == "fen":
            spent[bill.key(lean)] = running.spent.get(bill.key(lean), 0) + off
    shares = tuple(_share(rule, step, funding, place) for place in range(len(funding.paid)))
    passed = tuple(Passed(rule.id, step.clause, why, f"{fund.name}：{WHY[why]}") for fund, why in funding.dropped)
    public = sum(amount for fund, amount in funding.paid if fund.payer == "subsidy")
    checks = tuple(funding.checked(rule.id, step.clause))
    return Outcome(
        rule.id, off, public, holds=True, stopped=False, shares=shares, passed=passed, used=tuple(used), spent=spent,
        checks=checks,
    )  # fmt: skip


def _share(rule: Rule, step: Step, funding: Funding, place: int) -> Share:
    fund, fen = funding.paid[place]
    label = step.label if len(step.parts) == 1 else f"{step.label}（{fund.name}）"
    return Share(fund.id, fund.payer, rule.id, step.clause, rule.stage, fen, label, step.reason)


def _gap(rule: Rule, step: Step, price: int, fen: int) -> Rounded:
    return Rounded(rule.id, rule.rounding.to, rule.rounding.by, price, price - fen, step.parts[0].fund.id)


def _ceiling(rule: Rule, step: Step, bill: Bill, running: Running) -> Outcome:
    """Measure the running price against a part of the list price; no money moves."""
    limit = bill.base(rule.base, running.left) * step.value // _WHOLE
    breach = running.left > limit
    outcome = _none(rule.id, (), holds=True)
    outcome.checks = (Check("ceiling", rule.id, step.clause, limit, running.left, breach=breach),)
    return outcome


def _round_price(rule: Rule, step: Step, bill: Bill, running: Running) -> Outcome:
    """Round the running price down; the gap is the fund's. A price already round stays, and so does one rounded up."""
    to, by = step.value["to"], step.value["by"]
    after = round_to(running.left, UNITS[to], by) * UNITS[to]
    gap = running.left - after
    if gap <= 0 or after < rule.floor:
        return _none(rule.id, (_pass(rule, "no_money", step),), holds=True)
    if _within(rule, bill, running, gap) < gap:
        return _none(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
    outcome = _fund(rule, step, bill, running, gap)
    if outcome.shares:
        fund = outcome.shares[0].fund
        outcome.rounding = (Rounded(rule.id, to, by, running.left, running.left - outcome.off, fund),)
    return outcome


def _pass(rule: Rule, why: str, step: Step | None = None) -> Passed:
    return Passed(rule.id, step.clause if step else rule.clause, why, WHY[why])


def _none(id_: str, passed: tuple[Passed, ...], *, holds: bool = False, stopped: bool = False) -> Outcome:
    return Outcome(id_, 0, 0, holds=holds, stopped=stopped, shares=(), passed=passed, used=(), spent={})
