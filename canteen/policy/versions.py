"""What a version does to the one before it, and a layer to those above: uses that were counted must go on counting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from canteen.policy import days
from canteen.policy.canonical import parse
from canteen.policy.lint import rules_in, stable_id, steps_of
from canteen.policy.refusals import Problem
from canteen.policy.shapes import Problems


def lint_layers(layers: Sequence[bytes]) -> list[Problem]:
    """What does not go together: an allowance or a fund that two layers, most general first, define differently."""
    problems: Problems = []
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


_MAY_DIFFER = frozenset({"id", "was", "note", "name", "when", "from"})


def lint_versions(before: dict[str, Any], after: dict[str, Any]) -> list[Problem]:
    """What a new version should not do to the one before it: lose or redefine what is being counted."""
    problems = [*_kept_allowances(before, after), *_kept_names(before, after)]
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


_COUNTED = ("unit", "scope", "window", "where")


def _kept_names(before: dict[str, Any], after: dict[str, Any]) -> Iterator[Problem]:
    """Rules and funds that uses are counted apart for, and budgets: under another id they begin at nothing."""
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
