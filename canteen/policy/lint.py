"""Errors and likely errors of a rulebook, found before a version may be published.

First the form (shapes), then the names, then the meaning: gaps and overlaps of tiers, splits that do not sum, classes
named on a label, 八五折 entered as 85 % off. Where the notice itself has such a gap, the rulebook acknowledges it with
the clause, and the warning is no longer given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from canteen import money
from canteen.policy import budget_ids, days
from canteen.policy.benefits import TARGETS, UNPAID
from canteen.policy.canonical import canonical
from canteen.policy.explanation import CLASS_WORDS
from canteen.policy.grammar import BENEFITS, RULEBOOK
from canteen.policy.lint_groups import STEPS, gaps, ties
from canteen.policy.refusals import Problem, Refused
from canteen.policy.shapes import Problems

_WHOLE = 10_000


def lint(document: object) -> list[Problem]:
    """List every problem of a rulebook document, errors first; one with an error may not be published."""
    problems: Problems = []
    RULEBOOK.check(document, "", problems)
    if not problems:
        try:
            canonical(document)
        except Refused as refused:
            problems.append(refused.problem)
    if problems:
        return problems
    assert isinstance(document, dict)
    book = _Book(document)
    found = [
        *_names(book),
        *_limits(book),
        *_funds(book),
        *_rules(book),
        *ties(document["stages"], book.funds),
        *gaps(document["stages"]),
    ]
    return sorted((one for one in found if not book.acknowledges(one)), key=lambda one: one.severity != "error")


class _Book:
    """A well-formed document with an index of its names."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.rules = list(rules_in(document["stages"], "stages"))
        self.funds = {one["id"]: one for one in document.get("funds", ())}
        self.allowances = {one["id"]: one for one in document.get("allowances", ())}
        self.sets = {one["id"] for one in document.get("sets", ())}
        self._known = {(one["code"], one["rule"]) for one in document.get("acknowledged", ())}

    def acknowledges(self, problem: Problem) -> bool:
        """Tell whether the rulebook acknowledges a finding with a clause. Errors of form cannot be acknowledged."""
        if problem.code not in ("tier_gap", "tier_overlap", "large_off", "small_pay", "best_tie", "benefit_above_menu"):
            return False
        return any(
            problem.path.startswith(path) and (problem.code, rule["id"]) in self._known for path, rule in self.rules
        )


def rules_in(members: Sequence[dict[str, Any]], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every rule with its path."""
    for place, member in enumerate(members):
        where = f"{path}[{place}]"
        if "rules" in member:
            yield from rules_in(member["rules"], f"{where}.rules")
        else:
            yield where, member


def steps_of(rule: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the tiers of a rule with their paths, or the rule itself."""
    for word in STEPS:
        if word in rule:
            steps = rule[word]["steps"] if word == "by_level" else rule[word]
            inner = f"{path}.{word}.steps" if word == "by_level" else f"{path}.{word}"
            for place, step in enumerate(steps):
                yield f"{inner}[{place}]", step
            return
    yield path, rule


def _verb(step: Mapping[str, Any]) -> str:
    return next(word for word in BENEFITS if word in step)


# --- names ------------------------------------------------------------------------------------------------------


def _names(book: _Book) -> Iterator[Problem]:
    """Find duplicate ids, and names that lead nowhere."""
    document = book.document
    for kind in ("funds", "allowances", "sets"):
        yield from _twice([(f"{kind}[{place}]", one["id"]) for place, one in enumerate(document.get(kind, ()))])
    yield from _renamed(document.get("allowances", ()))
    yield from _reserved(document.get("allowances", ()))
    stages = [(f"stages[{place}]", stage) for place, stage in enumerate(document["stages"])]
    yield from _twice([(path, stage["id"]) for path, stage in stages])
    groups = [group for path, stage in stages for group in _group_ids(stage["rules"], f"{path}.rules")]
    yield from _twice([*((path, rule["id"]) for path, rule in book.rules), *groups])
    known = {"fund": set(book.funds), "allowance": set(book.allowances), "set": book.sets}
    for path, kind, name in _references(document, ""):
        if name not in known[kind]:
            message = {"fund": "没有定义这项资金", "allowance": "没有定义这项限额", "set": "没有定义这个餐品集合"}[kind]
            there = "、".join(sorted(known[kind])) or f"先在 {kind}s 里写明的编号"
            yield Problem(f"unknown_{kind}", path, message, name, there)
    ids = {rule["id"] for _, rule in book.rules}
    for path, rule in book.rules:
        for name in rule.get("excludes", ()):
            if name not in ids and not of_another(name, document["id"]):
                yield Problem("unknown_rule", f"{path}.excludes", "没有这条标准", name, "、".join(sorted(ids)))


def of_another(rule: str, scheme: str) -> bool:
    """Tell whether a rule of another scheme is named as such: city-scheme/rule."""
    return "/" in rule and not rule.startswith(f"{scheme}/")


def stable_id(allowance: Mapping[str, Any]) -> str:
    """Return the id under which uses of an allowance are counted through all versions: its oldest."""
    found: str = allowance.get("was", allowance["id"])
    return found


def _twice(ids: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    seen: set[str] = set()
    for path, name in ids:
        if name in seen:
            yield Problem("duplicate_id", f"{path}.id", "编号重复", name, "各不相同的编号")
        seen.add(name)


def _renamed(allowances: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Find two allowances that would be counted as one."""
    stable = [stable_id(one) for one in allowances]
    for place, one in enumerate(allowances):
        if "was" in one and stable.count(one["was"]) > 1:
            message = "原编号已由另一项限额使用，两项会合在一起计数"
            yield Problem("duplicate_id", f"allowances[{place}].was", message, one["was"], "各不相同的编号")


def _reserved(allowances: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Find ids reserved for the funds' own budgets."""
    for place, one in enumerate(allowances):
        for word in ("id", "was"):
            if budget_ids.is_budget(one.get(word, "")):
                message = "budget. 开头的编号留给资金的预算，两者会合在一起计数"
                yield Problem("reserved_id", f"allowances[{place}].{word}", message, one[word], "别的编号")


def _group_ids(members: Sequence[dict[str, Any]], path: str) -> Iterator[tuple[str, str]]:
    for place, member in enumerate(members):
        if "rules" in member:
            yield f"{path}[{place}]", member["id"]
            yield from _group_ids(member["rules"], f"{path}[{place}].rules")


def _references(value: object, path: str) -> Iterator[tuple[str, str, str]]:
    """Yield every place that names a fund, an allowance or a set."""
    if isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _references(inner, f"{path}[{place}]")
    elif isinstance(value, dict):
        for word, inner in value.items():
            where = f"{path}.{word}" if path else word
            kind = _REFERRING.get(word)
            names = inner if isinstance(inner, list) else [inner]
            if kind is not None and all(isinstance(name, str) for name in names):
                yield from ((where, kind, name) for name in names)
            else:
                yield from _references(inner, where)


_REFERRING = {
    "fund": "fund", "instead": "fund", "next": "fund", "limits": "allowance", "credit": "allowance",
    "allowance": "allowance", "only": "set", "but": "set", "has_item": "set", "set": "set",
}  # fmt: skip


# --- limits and funds -------------------------------------------------------------------------------------------


def _limits(book: _Book) -> Iterator[Problem]:
    for place, one in enumerate(book.document.get("allowances", ())):
        path = f"allowances[{place}]"
        if (one["unit"] == "fen") != ("limit_fen" in one) and "limit_level" not in one:
            yield Problem("limit_unit", path, "限额的单位与数值不符", one["unit"], "fen 用 limit_fen，其余用 limit")
        if "carry" in one and (one["unit"] == "day" or one["window"] in ("period", "ever")):
            yield Problem(
                "carry_window", f"{path}.carry", "这种限额不能结转", one["window"], "按周、月、季、年的次数或金额"
            )
        yield from _carry(one, f"{path}.carry")
        if "earlier" in one:
            yield from _earlier(one, f"{path}.earlier")
        if "." not in one["id"]:
            yield Problem(
                "not_namespaced",
                f"{path}.id",
                "限额编号应带前缀，以免与其他标准混用",
                one["id"],
                "如 city.month",
                "warning",
            )
    for path, rule in book.rules:
        for step_path, step in steps_of(rule, path):
            allowance = book.allowances.get(step.get("credit", ""))
            if allowance is not None and allowance["unit"] != "fen":
                yield Problem("credit_unit", f"{step_path}.credit", "额度应以金额计", allowance["unit"], "unit: fen")
    yield from _looked_at(book)
    if book.document.get("guard") == "none":
        yield Problem("no_guard", "guard", "取消了“每人每餐一次”的默认限制", "none", "保留 guard.meal", "warning")


def _earlier(one: dict[str, Any], path: str) -> Iterator[Problem]:
    """Check earlier limits: they must still matter, and be in the limit's own unit."""
    if "carry" not in one or "limit_level" in one:
        yield Problem("carry_window", path, "这项限额没有可按原限额结转的前几期", one["window"], "与 carry 同用")
    right = "limit_fen" if one["unit"] == "fen" else "limit"
    for place, before in enumerate(one["earlier"]):
        if right not in before:
            expected = "fen 用 limit_fen，其余用 limit"
            yield Problem("limit_unit", f"{path}[{place}]", "原限额的单位与数值不符", one["unit"], expected)


def _carry(one: dict[str, Any], path: str) -> Iterator[Problem]:
    carry, window = one.get("carry", {}), one["window"]
    wrong = "most" if one["unit"] == "fen" else "most_fen"
    if wrong in carry:
        expected = "fen 用 most_fen，其余用 most"
        yield Problem("limit_unit", f"{path}.{wrong}", "结转上限的单位与限额不符", one["unit"], expected)
    if carry.get("within") == window or (carry.get("within") == "quarter" and window == "year"):
        yield Problem("carry_window", f"{path}.within", "在这一期之内没有可结转的前一期", window, "比限额更长的一期")


def _looked_at(book: _Book) -> Iterator[Problem]:
    """Find conditions on the usage of an allowance that is counted apart for each rule or fund."""
    for path, kind, name in _references(book.document, ""):
        scope = book.allowances.get(name, {}).get("scope", "") if kind == "allowance" else ""
        if path.endswith(".used.allowance") and scope in ("rule", "fund"):
            yield Problem("used_scope", path, "条件只能看按人或按户计的限额", scope, "scope: person 或 household")


def _funds(book: _Book) -> Iterator[Problem]:
    for place, fund in enumerate(book.document.get("funds", ())):
        budget = fund.get("budget")
        if budget and (budget["at_end"] == "next") != ("next" in budget):
            yield Problem(
                "budget_next", f"funds[{place}].budget", "at_end: next 与 next 应同时写", "", "next: 接续的资金"
            )
        for name in fund.get("limits", ()):
            if book.allowances.get(name, {}).get("scope") == "rule":
                message = "资金的限额不分哪一条，不能按每人每条计数"
                yield Problem("fund_scope", f"funds[{place}].limits", message, name, "scope: person、fund 或 household")
        if fund["id"] in _followers(fund, book):
            yield Problem("fund_circle", f"funds[{place}].budget.next", "接续的资金转回了自己", fund["id"], "不成环")


def _followers(fund: dict[str, Any], book: _Book) -> set[str]:
    found: set[str] = set()
    name = fund.get("budget", {}).get("next")
    while name in book.funds and name not in found:
        found.add(name)
        name = book.funds[name].get("budget", {}).get("next")
    return found


# --- rules ------------------------------------------------------------------------------------------------------


def _rules(book: _Book) -> Iterator[Problem]:
    if book.document.get("to", days.LATEST) < book.document["from"]:
        yield Problem("ends_before_start", "to", "终止日早于起始日", days.iso(book.document["to"]), "不早于起始日")
    yield from _label_faults(book)
    for path, rule in book.rules:
        if rule.get("to", days.LATEST) < rule.get("from", days.EARLIEST):
            yield Problem("ends_before_start", f"{path}.to", "终止日早于起始日", days.iso(rule["to"]), "不早于起始日")
        yield from _tiers(rule, path)
        yield from _words(rule, "label", path)
        for step_path, step in steps_of(rule, path):
            if step is not rule:
                yield from _words(step, "label", step_path)
            yield from _sense(step, step_path, book)
            yield from _target(rule, step, step_path)
            yield from _split(rule, step, step_path, book)
            if "count" in step and not any(_counts(name, book) for name in rule.get("limits", ())):
                message, expected = "没有写计入哪一项次数，什么也不计", "limits: 按次或人天的限额"
                yield Problem(
                    "nothing_counted", f"{step_path}.count", message, "、".join(rule.get("limits", ())), expected
                )


def _target(rule: Mapping[str, Any], step: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Check fixed prices: they measure what is still to be paid, never the list price, and an item has one price."""
    verb = _verb(step)
    if verb in TARGETS and rule.get("base", {}).get("of") == "list":
        yield Problem(
            "target_on_list", path, "定价只看此刻还要付的价格，不能按原价算", f"{verb}、of: list", "去掉 of: list"
        )
    items = [one["item"] for one in step["prices"]] if verb == "prices" else []
    for item in dict.fromkeys(item for item in items if items.count(item) > 1):
        yield Problem("price_twice", f"{path}.prices", "同一餐品写了两个价格", item, "每样餐品一个价格")


def _counts(name: str, book: _Book) -> bool:
    """Tell whether an allowance counts meals or days of the diner, so that an unpaid meal can be counted too."""
    one = book.allowances.get(name)
    return one is None or (one["unit"] != "fen" and one["scope"] != "fund")


def _words(holder: Mapping[str, Any], field: str, path: str) -> Iterator[Problem]:
    text = holder.get(field, "")
    if any(word in text for word in CLASS_WORDS):
        yield Problem(
            "label_tells_class", f"{path}.{field}", "柜台用语不能透露人员类别", text, "不分类别的名称，如“助餐补贴”"
        )


def _label_faults(book: _Book) -> Iterator[Problem]:
    """Check names of funds that are read at the counter, behind a label that several of them share."""
    steps = [(rule, step) for path, rule in book.rules for _, step in steps_of(rule, path)]
    if any(len(step.get("split") or rule.get("split") or ()) > 1 for rule, step in steps):
        for place, fund in enumerate(book.document.get("funds", ())):
            yield from _words(fund, "name", f"funds[{place}]")


def _tiers(rule: dict[str, Any], path: str) -> Iterator[Problem]:
    """Find gaps and overlaps between steps that follow one another, and empty steps."""
    word = next((word for word in ("by_age", "by_level") if word in rule), None)
    if word is None:
        return
    steps = rule[word] if word == "by_age" else rule[word]["steps"]
    spans = sorted(((one["from"], one.get("below")) for one in steps), key=lambda span: span[0])
    for low, high in spans:
        if high is not None and high <= low:
            yield Problem("tier_empty", f"{path}.{word}", "这一档是空的", f"{low} 到 {high}", "below 大于 from")
    for (_, high), (low, _) in pairwise(spans):
        if high is None or high > low:
            yield Problem("tier_overlap", f"{path}.{word}", "两档重叠", f"{low} 起与前一档", "首尾相接")
        elif high < low:
            yield Problem(
                "tier_gap", f"{path}.{word}", "两档之间有空缺", f"{high} 到 {low}", "首尾相接，或写明出自原文"
            )


def _percent(value: int) -> str:
    """Write a percentage as the notice does: 85%, 66.67%."""
    return money.show(value).removesuffix(".00") + "%"


def _sense(step: Mapping[str, Any], path: str, book: _Book) -> Iterator[Problem]:
    verb, value = _verb(step), step[_verb(step)]
    if verb == "off" and value > _WHOLE // 2:
        shown = _percent(value)
        yield Problem(
            "large_off",
            f"{path}.off",
            "优惠超过一半，是否把“打折后付”写成了“减去”",
            shown,
            f"如属实照旧；打折后付 {shown} 的写 pay_percent: {shown}",
            "warning",
        )
    if verb == "pay_percent" and value < _WHOLE // 2:
        shown = _percent(value)
        yield Problem(
            "small_pay",
            f"{path}.pay_percent",
            "只付不到一半，请确认",
            shown,
            f"如属实照旧；减 {shown} 的写 off: {shown}",
            "warning",
        )
    menu = book.document.get("menu")
    if menu is None:
        return
    if verb in ("less", "top_up") and value > menu["to"]:
        yield Problem(
            "benefit_above_menu",
            f"{path}.{verb}",
            "补贴高于可能的最高餐价",
            money.show(value),
            f"不超过 {money.show(menu['to'])}",
        )
    if verb == "pay" and value >= menu["to"]:
        yield Problem(
            "benefit_above_menu",
            f"{path}.pay",
            "应付价不低于最高餐价，永远不会减免",
            money.show(value),
            f"低于 {money.show(menu['to'])}",
        )


def _split(rule: dict[str, Any], step: Mapping[str, Any], path: str, book: _Book) -> Iterator[Problem]:
    """Check that somebody pays all of a benefit, and that no share claims the rounding of a price."""
    verb = _verb(step)
    split = step.get("split") or rule.get("split") or ([{"fund": rule["fund"], "rest": True}] if "fund" in rule else [])
    if not split:
        if verb not in UNPAID:
            yield Problem("no_fund", path, "没有写由谁承担", "", "fund 或 split")
        return
    if len({part["fund"] for part in split}) < len(split):
        yield Problem("fund_twice", f"{path}.split", "同一项资金写了两次", "", "每项资金一行")
    percents = sum(part.get("percent", 0) for part in split)
    takes_rest = percents == _WHOLE or any("ratio" in part or "rest" in part for part in split)
    if percents > _WHOLE:
        yield Problem("split_sum", f"{path}.split", "分担比例之和超过 100%", _percent(percents), "100%")
    fixed = sum(part.get("fen", 0) for part in split)
    if not takes_rest and not (verb == "less" and fixed == step["less"] and not percents):
        yield Problem("split_sum", f"{path}.split", "分担之和不等于补贴额", "", "比例合计 100%，或有一项 rest: yes")
    payers = {book.funds[part["fund"]]["payer"] for part in split if part["fund"] in book.funds}
    if verb == "round_price" and "subsidy" in payers:
        yield Problem("gap_claimed", path, "抹零是让利，不能列入补贴", "", "由让利的资金承担")
