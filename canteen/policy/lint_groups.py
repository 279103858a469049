"""Checks across the rules of one group: two that tie, and ages that none of them covers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from canteen.policy import days
from canteen.policy.grammar import BENEFITS
from canteen.policy.refusals import Problem

STEPS = ("by_age", "by_level", "by_class")
Stages: TypeAlias = Sequence[dict[str, Any]]
Funds: TypeAlias = Mapping[str, dict[str, Any]]


def ties(stages: Stages, funds: Funds) -> Iterator[Problem]:
    """Find two rules of a best-of group that give the same to the same but are paid by others: only ids decide."""
    for path, group in _best_groups(stages, "stages"):
        rules = [(f"{path}.rules[{place}]", one) for place, one in enumerate(group["rules"]) if "rules" not in one]
        for place, (at, rule) in enumerate(rules):
            tied = next((one["id"] for _, one in rules[:place] if _tie(one, rule, funds)), None)
            if tied is not None:
                message, expected = "两条标准可能同时符合，减得一样多，由谁出只凭编号先后", "金额不同，或条件互斥"
                yield Problem("best_tie", at, message, f"{tied}、{rule['id']}", expected, "warning")


def _tie(one: dict[str, Any], other: dict[str, Any], funds: Funds) -> bool:
    """Tell whether two rules give the same, may match the same meal, and are not the same money."""
    if any(one.get(word) != other.get(word) for word in _GIVEN) or _apart(one, other):
        return False
    same_case = all(one.get(word) == other.get(word) for word in ("when", "from", "to"))
    paid = [(rule.get("fund"), rule.get("split"), rule.get("limits")) for rule in (one, other)]
    return same_case or (paid[0] != paid[1] and _payers(one, funds) == _payers(other, funds))


def _payers(rule: dict[str, Any], funds: Funds) -> set[str]:
    named = [part["fund"] for part in rule.get("split", ())] or [rule.get("fund", "")]
    return {funds[name]["payer"] for name in named if name in funds}


_GIVEN = frozenset({*BENEFITS, *STEPS, "base", "most", "floor", "rounding", "only_if"})
_SINGLE = ("kind", "period", "mode", "day_kind", "weekday", "month_day", "canteen", "canteen_class", "canteen_grade")


def _apart(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Tell whether no meal can match both, as far as their own conditions show."""
    if one.get("to", days.LATEST) < other.get("from", days.EARLIEST) or (
        other.get("to", days.LATEST) < one.get("from", days.EARLIEST)
    ):
        return True
    mine, theirs = one.get("when", {}), other.get("when", {})
    if any(word in mine and word in theirs and set(mine[word]).isdisjoint(theirs[word]) for word in _SINGLE):
        return True
    one_scale = mine.get("level", {}).get("scale") == theirs.get("level", {}).get("scale")
    spans = ("age", "canteen_level", "table", *(("level",) if one_scale else ()))
    if any(word in mine and word in theirs and not _meet(mine[word], theirs[word]) for word in spans):
        return True
    return _denies(mine, theirs) or _denies(theirs, mine)


def _meet(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    least = max(one.get("from", -_FAR), other.get("from", -_FAR))
    return bool(least < min(one.get("below", _FAR), other.get("below", _FAR)))


_FAR = 2**53


def _denies(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether one excludes what the other asks for."""
    excluded = one.get("not", {})
    return len(excluded) == 1 and all(other.get(word) == value for word, value in excluded.items())


def gaps(stages: Stages) -> Iterator[Problem]:
    """Find ages between those of one group's rules, where age alone decides: in tiers, or in rules of their own."""
    for path, group in _picking(stages, "stages", ("best", "first")):
        spans, tiered = list[tuple[int, int]](), ""
        for place, rule in enumerate(group["rules"]):
            when = rule.get("when", {})
            if not set(when) <= {"age"}:
                continue
            own = [(one["from"], one.get("below", 999)) for one in rule.get("by_age", ())]
            age = when.get("age", {})
            spans += own or [(age.get("from", 0), age.get("below", 999))]
            if not tiered and (own or when):
                tiered = f"{path}.rules[{place}].{'by_age' if own else 'when.age'}"
        yield from _holes(sorted(spans), len(group["rules"]), tiered)


def _holes(spans: Sequence[tuple[int, int]], rules: int, path: str) -> Iterator[Problem]:
    if rules < 2 or not path:
        return
    reached = spans[0][1] if spans else 0
    for low, high in spans:
        if low > reached:
            wanted = "首尾相接，或写明出自原文"
            yield Problem("tier_gap", path, "各条标准的年龄之间有空缺", f"{reached} 到 {low}", wanted)
        reached = max(reached, high)


def _best_groups(members: Sequence[dict[str, Any]], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return _picking(members, path, ("best",))


def _picking(
    members: Sequence[dict[str, Any]], path: str, picks: tuple[str, ...]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the stages and groups that pick in one of these ways, with their paths."""
    for place, member in enumerate(members):
        if "rules" in member:
            if member.get("pick", "best") in picks:
                yield f"{path}[{place}]", member
            yield from _picking(member["rules"], f"{path}[{place}].rules", picks)
