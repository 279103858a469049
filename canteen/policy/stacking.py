"""Stacking: which rules of a group count, on which price, and with what result.

best   the member that reduces the price most; ties go to the least public money, then to the rule's id
sum    all members, each computed on the price at which the group began
first  the first member whose conditions match and whose limits have room
chain  all members, each computed on the price that the one before left

A rule whose limit is used up is no candidate, so the next best is taken; where it says `used_up: stop` or `ask`, its
whole group gives nothing. Evaluating a rule changes nothing: it returns an Outcome, and the group decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from canteen.policy.benefits import TARGETS, UNITS, UNPAID, round_to, rounded
from canteen.policy.bill import Bill, Fall, RunningPrice
from canteen.policy.outcome import WHY, Check, Passed, Rounded, Share, Surcharge
from canteen.policy.rules import Group, LimitRef, Rule, Step
from canteen.policy.splits import Funding, portions

_WHOLE = 10_000

Used: TypeAlias = tuple[str, LimitRef, int]
"""A rule, the allowance it draws on, and what it takes of it: 1, or fen."""


@dataclass(slots=True)
class Running(RunningPrice):
    """The state between rules: the price left, fen spent of amount limits, the shares given, what was added.

    `raised` gives the fen added to the menu's price by position; no benefit is computed on it.
    """

    spent: dict[str, int]
    shares: tuple[Share, ...]
    surcharges: tuple[Surcharge, ...]
    raised: Mapping[int, int]

    def after(self, outcome: Outcome) -> Running:
        if not outcome.shares and not outcome.surcharges:
            return self
        spent = {**self.spent, **outcome.spent} if outcome.spent else self.spent
        raised = _added(self.raised, outcome.raised) if outcome.raised else self.raised
        return Running(
            self.left - outcome.off, self.falls + outcome.falls, spent, self.shares + outcome.shares,
            self.surcharges + outcome.surcharges, raised,
        )  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """The result of a rule or group on a given price; by default it gives nothing.

    `spent` gives the new totals of the amount limits it drew on.
    """

    id: str
    passed: tuple[Passed, ...] = ()
    matches: bool = False
    stopped: bool = False
    off: int = 0
    public: int = 0
    shares: tuple[Share, ...] = ()
    falls: tuple[Fall, ...] = ()
    surcharges: tuple[Surcharge, ...] = ()
    raised: Mapping[int, int] = field(default_factory=dict)
    used: tuple[Used, ...] = ()
    spent: dict[str, int] = field(default_factory=dict)
    rounding: tuple[Rounded, ...] = ()
    checks: tuple[Check, ...] = ()

    @property
    def surcharge(self) -> int:
        return sum(one.fen for one in self.surcharges)


def judge(member: Rule | Group, bill: Bill, running: Running, at: RunningPrice) -> Outcome:
    """Evaluate a rule or group; sums are computed on `at`, and taken from `running.left`."""
    bill.running_price = running
    if isinstance(member, Rule):
        return _judge_rule(member, bill, running, at)
    if member.test is not None and (why := member.test(bill)):
        return Outcome(member.id, tuple(_pass(rule, why) for rule in _rules(member)))
    if member.pick == "best":
        return _best(member, bill, running, at)
    if member.pick == "first":
        return _first(member, bill, running, at)
    return _together(member, bill, running, at)


# --- groups -----------------------------------------------------------------------------------------------------


def _best(group: Group, bill: Bill, running: Running, at: RunningPrice) -> Outcome:
    outcomes = [judge(member, bill, running, at) for member in group.members]
    won, stopped, matches = outcomes[0], False, False
    if len(outcomes) == 1 and not won.stopped:
        won.id = group.id
        return won
    least = _rank(won)
    for one in outcomes:
        stopped, matches = stopped or one.stopped, matches or one.matches
        if one is not won and (rank := _rank(one)) < least:
            won, least = one, rank
    if stopped:
        return _stop(group, outcomes, [won])
    passed, checks = list[Passed](), list[Check]()
    for one in outcomes:
        passed += one.passed
        if one is won or one.off == 0:
            checks += one.checks
        if one is not won and (one.shares or one.surcharges):
            passed += _passed_by_rule(one, "beaten")
    return Outcome(
        group.id, tuple(passed), matches, off=won.off, public=won.public, shares=won.shares, falls=won.falls,
        surcharges=won.surcharges, raised=won.raised, used=won.used, spent=won.spent, rounding=won.rounding,
        checks=tuple(checks),
    )  # fmt: skip


def _rank(one: Outcome) -> tuple[bool, int, int, bool, str]:
    """Rank outcomes, lower is better: least due, then least public money; of those that give nothing, one that counts.

    A rule that gives nothing does not set aside a surcharge.
    """
    changes = bool(one.shares or one.surcharges)
    added = one.surcharge if one.surcharges else 0
    return not changes, added - one.off, one.public, not changes and not one.used, one.id


def _first(group: Group, bill: Bill, running: Running, at: RunningPrice) -> Outcome:
    passed = list[Passed]()
    for place, member in enumerate(group.members):
        one = judge(member, bill, running, at)
        passed += one.passed
        if one.stopped:
            return _stop(group, [one], [one])
        if one.matches:
            rest = group.members[place + 1 :]
            passed += [_pass(rule, "after_first") for later in rest for rule in _rules(later)]
            one.passed = tuple(passed)
            return one
    return Outcome(group.id, tuple(passed))


def _together(group: Group, bill: Bill, running: Running, at: RunningPrice) -> Outcome:
    """Evaluate a group that picks sum or chain."""
    total = Outcome(group.id)
    now = running
    for member in group.members:
        one = judge(member, bill, now, now if group.pick == "chain" else at)
        if one.stopped:
            return _stop(group, [total, one], [total, one])
        now = now.after(one)
        total = Outcome(
            group.id, total.passed + one.passed, total.matches or one.matches, off=total.off + one.off,
            public=total.public + one.public, shares=total.shares + one.shares, falls=total.falls + one.falls,
            surcharges=total.surcharges + one.surcharges, raised=_added(total.raised, one.raised),
            used=total.used + one.used, spent={**total.spent, **one.spent}, rounding=total.rounding + one.rounding,
            checks=total.checks + one.checks,
        )  # fmt: skip
    return total


def _stop(group: Group, outcomes: Sequence[Outcome], counted: Sequence[Outcome]) -> Outcome:
    """Give nothing as a group, because one of its rules is used up and says so. Surcharges of price lists stay."""
    passed = list[Passed]()
    for one in outcomes:
        passed += one.passed
        passed += _passed_by_rule(one, "stopped")
    total = Outcome(group.id, tuple(passed), stopped=True)
    for one in counted:
        total.surcharges += one.surcharges
        total.raised = _added(total.raised, one.raised)
    return total


def _passed_by_rule(outcome: Outcome, why: str) -> list[Passed]:
    """Return one Passed for each rule that would have changed the price."""
    if not outcome.shares and not outcome.surcharges:
        return []
    named = [(one.rule, one.clause) for one in outcome.shares] + [(one.rule, one.clause) for one in outcome.surcharges]
    clauses = dict(reversed(named))
    return [Passed(rule, clause, why, WHY[why]) for rule, clause in reversed(clauses.items())]


def _added(one: Mapping[int, int], other: Mapping[int, int]) -> Mapping[int, int]:
    """Sum fen by position."""
    if not one or not other:
        return one or other
    return {place: one.get(place, 0) + other.get(place, 0) for place in (*one, *other)}


def _rules(member: Rule | Group) -> list[Rule]:
    return [member] if isinstance(member, Rule) else [rule for one in member.members for rule in _rules(one)]


# --- one rule ---------------------------------------------------------------------------------------------------


def _judge_rule(rule: Rule, bill: Bill, running: Running, at: RunningPrice) -> Outcome:
    if why := _skip_reason(rule, bill, running):
        return Outcome(rule.id, (_pass(rule, why),))
    step = step_for(rule, bill)
    if step is None:
        return Outcome(rule.id, (_pass(rule, "tier"),))
    outcome = _give(rule, step, bill, running, at)
    return _raise(rule, step, bill, running, outcome) if step.listed else outcome


def _give(rule: Rule, step: Step, bill: Bill, running: Running, at: RunningPrice) -> Outcome:
    for ref in step.limits:
        if ref.allowance.unit != "fen" and bill.is_used_up(ref):
            return Outcome(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
    if step.verb in UNPAID:
        return _unpaid(rule, step, bill, running)
    if step.verb == "round_price":
        return _round_price(rule, step, bill, running)
    return _pay_out(rule, step, bill, running, running if step.verb in TARGETS else at)


def _raise(rule: Rule, step: Step, bill: Bill, running: Running, outcome: Outcome) -> Outcome:
    """Add what the price list charges above the menu's price, less what was added before.

    It is added whatever other items are reduced by, and also when the rule's limits leave no benefit.
    """
    assert step.listed is not None
    raised = dict[int, int]()
    for place, line in enumerate(bill.meal.lines):
        price = step.listed.get(line.item, 0) * line.qty
        if (more := price - line.fen * line.qty - running.raised.get(place, 0)) > 0:
            raised[place] = more
    if raised:
        outcome.raised, outcome.matches = raised, True
        outcome.surcharges = (
            Surcharge(rule.id, step.clause, rule.stage, sum(raised.values()), step.label, step.reason),
        )
        outcome.passed = tuple([one for one in outcome.passed if one.why != "no_money"])
    return outcome


def _skip_reason(rule: Rule, bill: Bill, running: Running) -> str:
    """Return the word for why a rule does not match; '' where it does."""
    if not rule.first_day <= bill.meal.day <= rule.last_day:
        return "not_in_force"
    if rule.test is not None and (why := rule.test(bill)):
        return why
    if rule.excludes and any(share.rule in rule.excludes for share in running.shares):
        return "excluded"
    return ""


def step_for(rule: Rule, bill: Bill) -> Step | None:
    """Return the tier that the diner is in; None where there is none."""
    for step in rule.steps:
        if step.test is None or not step.test(bill):
            return step
    return None


def _pay_out(rule: Rule, step: Step, bill: Bill, running: Running, at: RunningPrice) -> Outcome:
    base = bill.base(step.base, at)
    exact = step.worth(bill, base, running.left)
    benefit = rounded(exact, base, rule.rounding)
    if step.verb == "top_up":
        benefit -= sum(share.fen for share in running.shares if share.payer != "concession")
    if step.most is not None and step.most < benefit:
        benefit = step.most
    if rule.only_above and base <= benefit:
        return Outcome(rule.id, (_pass(rule, "bill_not_above_benefit", step),), matches=True)
    wanted = max(0, min(benefit, base if step.verb != "at_most" else benefit, running.left - rule.floor))
    if wanted == 0:
        return Outcome(rule.id, (_pass(rule, "no_money", step),), matches=True)
    fen = _within(step, bill, running, wanted)
    if fen == 0:
        return Outcome(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
    outcome = _fund(rule, step, bill, running, fen)
    if exact.off % exact.over and outcome.shares:
        outcome.rounding = (_gap(rule, step, at.left, fen),)
    if step.verb == "suggest" and outcome.shares:
        outcome.checks += (Check("suggested", rule.id, step.clause, step.value, 0, breach=False),)
    return outcome


def _within(step: Step, bill: Bill, running: Running, fen: int) -> int:
    """Return what the amount limits leave of `fen`."""
    for ref in step.limits:
        if ref.allowance.unit == "fen":
            fen = min(fen, bill.room(ref, running.spent.get(bill.key(ref), 0)))
    return fen


def _fund(rule: Rule, step: Step, bill: Bill, running: Running, fen: int) -> Outcome:
    """Split the benefit among its funds; the rule's own limits are used only if somebody pays."""
    funding = Funding(bill, running.spent)
    for part, amount in zip(step.parts, portions(fen, step.parts), strict=True):
        if amount:
            funding.pay(part, amount)
    if not funding.paid:
        why = funding.dropped[0][1] if funding.dropped else "no_money"
        stopped = rule.stops and why == "used_up"
        return Outcome(
            rule.id, (_pass(rule, why, step),), stopped=stopped, matches=why not in ("used_up", "budget_ended")
        )
    off, public, shares = 0, 0, list[Share]()
    for fund, amount in funding.paid:
        off += amount
        public += amount if fund.payer == "subsidy" else 0
        label = step.label if len(step.parts) == 1 else f"{step.label}（{fund.name}）"
        shares.append(Share(fund.id, fund.payer, rule.id, step.clause, rule.stage, amount, label, step.reason))
    dropped = [Passed(rule.id, step.clause, why, f"{fund.name}：{WHY[why]}") for fund, why in funding.dropped]
    used = _used(rule, step, bill, funding, off)
    return Outcome(
        rule.id, tuple(dropped), matches=True, off=off, public=public, shares=tuple(shares),
        falls=(Fall(off, step.base, step.by_item),), used=used, spent=funding.spent, checks=funding.checked(rule.id, step.clause),
    )  # fmt: skip


def _used(rule: Rule, step: Step, bill: Bill, funding: Funding, off: int) -> tuple[Used, ...]:
    """Return what is used of the funds' limits, then of the rule's own, which count the whole benefit once."""
    if not step.limits:
        return tuple([(rule.id, ref, amount) for ref, amount in funding.used])
    own = {bill.key(ref) for ref in step.limits}
    used = [(rule.id, ref, amount) for ref, amount in funding.used if bill.key(ref) not in own]
    for ref in step.limits:
        if ref.allowance.unit == "fen":
            key = bill.key(ref)
            funding.spent[key] = funding.before.get(key, 0) + off
            used.append((rule.id, ref, off))
        else:
            used.append((rule.id, ref, 1))
    return tuple(used)


def _unpaid(rule: Rule, step: Step, bill: Bill, running: Running) -> Outcome:
    """Measure a ceiling, or count the meal or day though nothing is given."""
    if step.verb != "count":
        return _ceiling(rule, step, bill, running)
    counted = [(rule.id, ref, 1) for ref in step.limits if ref.allowance.unit != "fen"]
    return Outcome(rule.id, matches=True, used=tuple(counted))


def _gap(rule: Rule, step: Step, price: int, fen: int) -> Rounded:
    return Rounded(rule.id, rule.rounding.to, rule.rounding.by, price, price - fen, step.parts[0].fund.id)


def _ceiling(rule: Rule, step: Step, bill: Bill, running: Running) -> Outcome:
    """Measure the running price against a part of the list price, or so much of it as is named against an amount."""
    base, found = bill.base(step.base, running), running.left
    limit = base * step.value // _WHOLE
    if step.verb == "ceiling_fen":
        limit, found = step.value, base
    breach = found > limit
    outcome = Outcome(rule.id, (), matches=True)
    outcome.checks = (Check("ceiling", rule.id, step.clause, limit, found, breach=breach),)
    return outcome


def _round_price(rule: Rule, step: Step, bill: Bill, running: Running) -> Outcome:
    """Round the running price down; the gap is the fund's. A price already round stays, and so does one rounded up."""
    to, by = step.value["to"], step.value["by"]
    after = round_to(running.left, UNITS[to], by) * UNITS[to]
    gap = running.left - after
    if gap <= 0 or after < rule.floor:
        return Outcome(rule.id, (_pass(rule, "no_money", step),), matches=True)
    if _within(step, bill, running, gap) < gap:
        return Outcome(rule.id, (_pass(rule, "used_up", step),), stopped=rule.stops)
    outcome = _fund(rule, step, bill, running, gap)
    if outcome.shares:
        fund = outcome.shares[0].fund
        outcome.rounding = (Rounded(rule.id, to, by, running.left, running.left - outcome.off, fund),)
    return outcome


def _pass(rule: Rule, why: str, step: Step | None = None) -> Passed:
    return Passed(rule.id, step.clause if step else rule.clause, why, WHY[why])
