"""Checks of a version against the one before it, and of a layer against those above: counted uses must stay counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from canteen import money
from canteen.policy import days
from canteen.policy.canonical import parse
from canteen.policy.lint import of_another, rules_in, stable_id, steps_of
from canteen.policy.refusals import Problem
from canteen.policy.shapes import Problems


def lint_layers(layers: Sequence[bytes]) -> list[Problem]:
    """Find conflicts: an allowance or a fund that two layers, most general first, define differently.

    Also finds an excluded rule of another scheme that does not exist.
    """
    problems: Problems = [*_excluded([parse(layer) for layer in layers])]
    known: dict[tuple[str, str], tuple[str, object]] = {}
    for layer in layers:
        document = parse(layer)
        assert isinstance(document, dict)
        for kind in ("allowances", "funds"):
            for place, one in enumerate(document.get(kind, ())):
                same = {key: value for key, value in one.items() if key not in _MAY_DIFFER}
                scheme, before = known.setdefault((kind, stable_id(one)), (document["id"], same))
                if before != same:
                    message = f"{document['id']} 与上级 {scheme} 对同一名称的定义不同"
                    problems.append(Problem("layers_differ", f"{kind}[{place}]", message, one["id"], "与上级一致"))
    return problems


def _excluded(documents: Sequence[Any]) -> Iterator[Problem]:
    """Find excluded rules of other schemes that are not among those in force together."""
    there = {f"{one['id']}/{rule['id']}" for one in documents for _, rule in rules_in(one["stages"], "stages")}
    for document in documents:
        rules = list(rules_in(document["stages"], "stages"))
        own = {rule["id"] for _, rule in rules}
        for path, rule in rules:
            for name in rule.get("excludes", ()):
                if name not in own and of_another(name, document["id"]) and name not in there:
                    message = "同时生效的标准里没有这一条，这一项排除不起作用"
                    expected = (
                        "、".join(sorted(there - {f"{document['id']}/{one}" for one in own})) or "先发布那一份标准"
                    )
                    yield Problem("excluded_absent", f"{path}.excludes", message, name, expected, "warning")


_MAY_DIFFER = frozenset({"id", "was", "note", "name", "when", "from"})


def lint_versions(before: dict[str, Any], after: dict[str, Any]) -> list[Problem]:
    """Find what a new version must not do to the one before it: lose or redefine what is being counted."""
    problems = [*_kept_allowances(before, after), *_kept_leavings(before, after), *_kept_names(before, after)]
    if before["id"] == after["id"] and after["from"] <= before["from"]:
        message = "新版本的起始日不晚于上一版本，两版都有效的日子以后发布的为准"
        expected = f"晚于 {days.iso(before['from'])}"
        problems.append(Problem("versions_overlap", "from", message, days.iso(after["from"]), expected, "warning"))
    return problems


def _kept_allowances(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    kept = {stable_id(one): (place, one) for place, one in enumerate(after.get("allowances", ()))}
    for old in before.get("allowances", ()):
        name = stable_id(old)
        if name not in kept:
            message = "上一版本的限额不见了，已用次数将不再计入"
            expected = f"保留编号 {old['id']}；改了编号的写 was: {name}"
            yield Problem("allowance_gone", "allowances", message, old["id"], expected, "warning")
            continue
        place, new = kept[name]
        if any(new.get(word, "everywhere") != old.get(word, "everywhere") for word in _COUNTED):
            message = "限额的单位、范围、期限或地点与上一版本不同，已用次数无法沿用"
            yield Problem("allowance_changed", f"allowances[{place}]", message, old["id"], "换一个编号，不写 was")


def _kept_leavings(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    """Find carried remainders that a new version loses or changes."""
    afterwards = {stable_id(one): (place, one) for place, one in enumerate(after.get("allowances", ()))}
    for old in before.get("allowances", ()):
        place, new = afterwards.get(stable_id(old), (0, {}))
        if "carry" not in old or "carry" not in new:
            continue
        since, limit = old.get("from", before["from"]), old.get("limit", old.get("limit_fen"))
        if new.get("from", after["from"]) > since:
            message, found = "上一版本期间剩下的不再结转", days.iso(new.get("from", after["from"]))
            expected = f"要接着结转的写 from: {days.iso(since)}"
            yield Problem("carry_restarts", f"allowances[{place}]", message, found, expected, "warning")
        kept = [one.get("limit", one.get("limit_fen")) for one in (new, *new.get("earlier", ()))]
        if limit is not None and limit not in kept:
            amount = money.show(limit) if "limit_fen" in old else str(limit)
            message = "上一版本期间剩下的会按新的限额算"
            expected = f"按原限额 {amount} 结转的写 earlier"
            yield Problem("carry_limit", f"allowances[{place}]", message, old["id"], expected, "warning")


_COUNTED = ("unit", "scope", "window", "where")


def _kept_names(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    """Find rules, funds and budgets that uses are counted apart for, and that a new id would start at nothing."""
    scopes = {one["id"]: one["scope"] for one in before.get("allowances", ())}
    limited = {
        rule["id"]
        for _, rule in rules_in(before["stages"], "stages")
        for name in (*rule.get("limits", ()), *(step["credit"] for _, step in steps_of(rule, "") if "credit" in step))
        if scopes.get(name) == "rule"
    }
    by_fund = "fund" in scopes.values()
    counted = {one["id"] for one in before.get("funds", ()) if by_fund or "budget" in one}
    kept = {
        "rule": {rule["id"] for _, rule in rules_in(after["stages"], "stages")},
        "fund": {one["id"] for one in after.get("funds", ())},
    }
    for kind, names, path in (("rule", limited, "stages"), ("fund", counted, "funds")):
        for name in sorted(names - kept[kind]):
            message = f"上一版本按这{_KINDS[kind]}计数，编号不见了，已用的将不再计入"
            yield Problem(f"{kind}_gone", path, message, name, "保留原编号", "warning")


_KINDS = {"rule": "条标准", "fund": "项资金"}
