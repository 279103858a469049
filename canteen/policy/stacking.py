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
from dataclasses import dataclass, field
from typing import TypeAlias

from canteen.policy.benefits import UNITS, UNPAID, round_to, rounded
from canteen.policy.bill import Bill
from canteen.policy.outcome import WHY, Check, Passed, Rounded, Share
from canteen.policy.rules import Group, Lean, Rule, Step
from canteen.policy.splits import Funding, portions

_WHOLE = 10_000

Used: TypeAlias = tuple[str, Lean, int]
"""A rule, the allowance it leans on, and what it takes of it: 1, or fen."""


@dataclass(slots=True)
class Running:
    """Where the reckoning stands: the price left, fen spent of amount limits, the shares given."""

    left: int
    spent: dict[str, int]
    shares: tuple[Share, ...]

    def after(self, outcome: Outcome) -> Running:
        if not outcome.shares:
            return self
        spent = {**self.spent, **outcome.spent} if outcome.spent else self.spent
        return Running(self.left - outcome.off, spent, self.shares + outcome.shares)


@dataclass(slots=True)
class Outcome:
    """What a rule or group comes to on a given price: nothing, unless said.

    `spent` holds the new totals of the amount limits it drew on.
    """

    id: str
    passed: tuple[Passed, ...] = ()
    holds: bool = False
    stopped: bool = False
    off: int = 0
    public: int = 0
    shares: tuple[Share, ...] = ()
    used: tuple[Used, ...] = ()
    spent: dict[str, int] = field(default_factory=dict)
    rounding: tuple[Rounded, ...] = ()
    checks: tuple[Check, ...] = ()


def judge(member: Rule | Group, bill: Bill, running: Running, price: int) -> Outcome:
    """What a member comes to; `price` is what sums reckon on, `running.left` what is left to take from."""
    bill.left = running.left
    if isinstance(member, Rule):
        return _judge_rule(member, bill, running, price)
    if member.test is not None and (why := member.test(bill)):
        return Outcome(member.id, tuple(_pass(rule, why) for rule in _rules(member)))
    if member.pick == "best":
        return _best(member, bill, running, price)
    if member.pick == "first":
        return _first(member, bill, running, price)
    return _together(member, bill, running, price)


# --- groups -----------------------------------------------------------------------------------------------------


def _best(group: Group, bill: Bill, running: Running, price: int) -> Outcome:
    outcomes = [judge(member, bill, running, price) for member in group.members]
    won, stopped, holds = outcomes[0], False, False
    if len(outcomes) == 1 and not won.stopped:
        won.id = group.id
        return won
    for one in outcomes:
        stopped, holds = stopped or one.stopped, holds or one.holds
        if one is not won and _rank(one) < _rank(won):
            won = one
    if stopped:
        return _stop(group, outcomes)
    passed, checks = list[Passed](), list[Check]()
    for one in outcomes:
        passed += one.passed
        if one is won or one.off == 0:
            checks += one.checks
        if one is not won and one.shares:
            passed += _beaten(one)
    return Outcome(
        group.id, tuple(passed), holds, off=won.off, public=won.public, shares=won.shares, used=won.used,
        spent=won.spent, rounding=won.rounding, checks=tuple(checks),
    )  # fmt: skip


def _rank(one: Outcome) -> tuple[int, int, bool, str]:
    """The lower, the better: most off, then least public money; of those that give nothing one that counts the meal."""
    return -one.off, one.public, one.off == 0 and not one.used, one.id


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
    return Outcome(group.id, tuple(passed))


def _together(group: Group, bill: Bill, running: Running, price: int) -> Outcome:
    """Sum or chain."""
    total = Outcome(group.id)
    now = running
    for member in group.members:
        one = judge(member, bill, now, now.left if group.pick == "chain" else price)
        if one.stopped:
            return _stop(group, [total, one])
        now = now.after(one)
        total = Outcome(
            group.id, total.passed + one.passed, total.holds or one.holds, off=total.off + one.off,
            public=total.public + one.public, shares=total.shares + one.shares, used=total.used + one.used,
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
    return Outcome(group.id, tuple(passed), stopped=True)


def _beaten(outcome: Outcome) -> list[Passed]:
    return [Passed(share.rule, share.clause, "beaten", WHY["beaten"]) for share in _once(outcome.shares)]


def _once(shares: Sequence[Share]) -> list[Share]:
    """One share a rule."""
    return list({share.rule: share for share in reversed(shares)}.values())[::-1]


def _rules(member: Rule | Group) -> list[Rule]:
    return [member] if isinstance(member, Rule) else [rule for one in member.members for rule in _rules(one)]


# --- one rule ---------------------------------------------------------------------------------------------------


def _judge_rule(rule: Rule, bill: Bill, running: Running, price: int) -> Outcome:
    if why := _barred(rule, bill, running):
        return Outcome(rule.id, (_pass(rule, why),))
    step = _step(rule, bill)
    if step is None:
        return Outcome(rule.id, (_pass(rule, "tier"),))
    if rule.limits and any(lean.allowance.unit != "fen" and bill.is_used_up(lean) for lean in rule.limits):
        return Outcome(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
    if step.verb in UNPAID:
        return _unpaid(rule, step, bill, running)
    if step.verb == "round_price":
        return _round_price(rule, step, bill, running)
    return _pay_out(rule, step, bill, running, price)


def _barred(rule: Rule, bill: Bill, running: Running) -> str:
    """The word for why a rule does not hold; '' where it does."""
    if not rule.first_day <= bill.meal.day <= rule.last_day:
        return "not_in_force"
    if rule.test is not None and (why := rule.test(bill)):
        return why
    if rule.excludes and any(share.rule in rule.excludes for share in running.shares):
        return "excluded"
    return ""


def _step(rule: Rule, bill: Bill) -> Step | None:
    for step in rule.steps:
        if step.test is None or not step.test(bill):
            return step
    return None


def _pay_out(rule: Rule, step: Step, bill: Bill, running: Running, price: int) -> Outcome:
    base = bill.base(rule.base, price)
    exact = step.worth(bill, base, running.left)
    benefit = rounded(exact, base, rule.rounding)
    if step.verb == "top_up":
        benefit -= sum(share.fen for share in running.shares if share.payer != "concession")
    if step.most is not None and step.most < benefit:
        benefit = step.most
    if rule.only_above and base <= benefit:
        return Outcome(rule.id, (_pass(rule, "bill_not_above_benefit", step),), holds=True)
    wanted = max(0, min(benefit, base if step.verb != "at_most" else benefit, running.left - rule.floor))
    if wanted == 0:
        return Outcome(rule.id, (_pass(rule, "no_money", step),), holds=True)
    fen = _within(rule, bill, running, wanted)
    if fen == 0:
        return Outcome(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
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
    if not funding.paid:
        why = funding.dropped[0][1] if funding.dropped else "no_money"
        stopped = rule.stops and why == "used_up"
        return Outcome(
            rule.id, (_pass(rule, why, step),), stopped=stopped, holds=why not in ("used_up", "budget_ended")
        )
    off, public, shares = 0, 0, list[Share]()
    for fund, amount in funding.paid:
        off += amount
        public += amount if fund.payer == "subsidy" else 0
        label = step.label if len(step.parts) == 1 else f"{step.label}（{fund.name}）"
        shares.append(Share(fund.id, fund.payer, rule.id, step.clause, rule.stage, amount, label, step.reason))
    dropped = [Passed(rule.id, step.clause, why, f"{fund.name}：{WHY[why]}") for fund, why in funding.dropped]
    used = _used(rule, bill, funding, off)
    return Outcome(
        rule.id, tuple(dropped), holds=True, off=off, public=public, shares=tuple(shares), used=used,
        spent=funding.spent, checks=funding.checked(rule.id, step.clause),
    )  # fmt: skip


def _used(rule: Rule, bill: Bill, funding: Funding, off: int) -> tuple[Used, ...]:
    """What is used of the funds' limits, then of the rule's own: those count the whole benefit, and once."""
    if not rule.limits:
        return tuple([(rule.id, lean, amount) for lean, amount in funding.used])
    own = {bill.key(lean) for lean in rule.limits}
    used = [(rule.id, lean, amount) for lean, amount in funding.used if bill.key(lean) not in own]
    for lean in rule.limits:
        if lean.allowance.unit == "fen":
            key = bill.key(lean)
            funding.spent[key] = funding.before.get(key, 0) + off
            used.append((rule.id, lean, off))
        else:
            used.append((rule.id, lean, 1))
    return tuple(used)


def _unpaid(rule: Rule, step: Step, bill: Bill, running: Running) -> Outcome:
    """Measure a ceiling, or count the meal or day though nothing is given."""
    if step.verb != "count":
        return _ceiling(rule, step, bill, running)
    counted = [(rule.id, lean, 1) for lean in rule.limits if lean.allowance.unit != "fen"]
    return Outcome(rule.id, holds=True, used=tuple(counted))


def _gap(rule: Rule, step: Step, price: int, fen: int) -> Rounded:
    return Rounded(rule.id, rule.rounding.to, rule.rounding.by, price, price - fen, step.parts[0].fund.id)


def _ceiling(rule: Rule, step: Step, bill: Bill, running: Running) -> Outcome:
    """Measure the running price against a part of the list price, or so much of it as is named against an amount."""
    base, found = bill.base(rule.base, running.left), running.left
    limit = base * step.value // _WHOLE
    if step.verb == "ceiling_fen":
        limit, found = step.value, base
    breach = found > limit
    outcome = Outcome(rule.id, (), holds=True)
    outcome.checks = (Check("ceiling", rule.id, step.clause, limit, found, breach=breach),)
    return outcome


def _round_price(rule: Rule, step: Step, bill: Bill, running: Running) -> Outcome:
    """Round the running price down; the gap is the fund's. A price already round stays, and so does one rounded up."""
    to, by = step.value["to"], step.value["by"]
    after = round_to(running.left, UNITS[to], by) * UNITS[to]
    gap = running.left - after
    if gap <= 0 or after < rule.floor:
        return Outcome(rule.id, (_pass(rule, "no_money", step),), holds=True)
    if _within(rule, bill, running, gap) < gap:
        return Outcome(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
    outcome = _fund(rule, step, bill, running, gap)
    if outcome.shares:
        fund = outcome.shares[0].fund
        outcome.rounding = (Rounded(rule.id, to, by, running.left, running.left - outcome.off, fund),)
    return outcome


def _pass(rule: Rule, why: str, step: Step | None = None) -> Passed:
    return Passed(rule.id, step.clause if step else rule.clause, why, WHY[why])
