"""Put codes of a rulebook and of what is known of a diner into words: no page of the desk shows an id for a name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from canteen import clock
from canteen.money import show
from canteen.policy.rulebook import GUARD
from canteen.registry.labels import CLASSES, STATUSES
from canteen.settlement.labels import say

WINDOWS = {
    "period": "每餐别", "day": "每天", "week": "每周", "month": "每月", "quarter": "每季度", "year": "每年", "ever": "累计",
}  # fmt: skip
SCOPES = {"person": "每人", "household": "每户", "fund": "该项资金"}
_WINDOW = re.compile(r"(\d{1,7})(?:/([a-z]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Names:
    """The names that one joined rulebook gives its rules and limits."""

    labels: Mapping[str, str] = field(default_factory=dict)  # 'scheme/rule' -> what the counter says
    reasons: Mapping[str, str] = field(default_factory=dict)  # 'scheme/rule' -> what the desk says
    limits: Mapping[str, str] = field(default_factory=dict)  # allowance -> in words
    windows: Mapping[str, str] = field(default_factory=dict)  # allowance -> kind of its window

    def window(self, allowance: str, text: str) -> str:
        """Show a window in words: '20740/lunch' -> '2026-10-14 午餐'; '20727' of a month -> '2026年10月'."""
        found = _WINDOW.fullmatch(text)
        if found is None:
            return text
        day, kind = clock.day_of(int(found[1])), self.windows.get(allowance, "")
        if found[2]:
            return f"{day.isoformat()} {say('', found[2])}"
        whole = {"month": f"{day.year}年{day.month}月", "year": f"{day.year}年", "ever": "累计"}
        since = {"week": " 起一周", "quarter": " 起一季度"}
        return whole.get(kind) or day.isoformat() + since.get(kind, "")


def of_book(body: str | None) -> Names:
    """Read the names in the text of a joined rulebook; none where it is not stored."""
    labels, reasons = dict[str, str](), dict[str, str]()
    limits, windows = {GUARD.id: "每人每餐别 1 次"}, {GUARD.id: GUARD.window}
    for layer in json.loads(body)["layers"] if body else ():
        for rule in _rules(layer.get("stages", ())):
            labels[f"{layer['id']}/{rule['id']}"] = rule["label"]
            reasons[f"{layer['id']}/{rule['id']}"] = rule.get("reason", rule["label"])
        for one in layer.get("allowances", ()):
            limits[one["id"]] = _limit(one)
            windows[one["id"]] = one["window"]
    return Names(labels, reasons, limits, windows)


def _rules(part: Any) -> Iterator[dict[str, Any]]:
    """Yield whatever has an id and a label, however deep it is nested in groups."""
    if isinstance(part, list):
        for one in part:
            yield from _rules(one)
    elif isinstance(part, dict):
        if "id" in part and "label" in part:
            yield part
        for one in part.values():
            yield from _rules(one)


def _limit(one: Mapping[str, Any]) -> str:
    if note := one.get("note"):
        return str(note)
    if "limit_fen" in one:
        amount = f"{show(one['limit_fen'])} 元"
    elif "limit" in one:
        amount = f"{one['limit']} {say('unit', one['unit'])}"
    else:
        amount = "按评定等级"
    return f"{SCOPES.get(one['scope'], '')}{WINDOWS.get(one['window'], '')} {amount}"


def classes(codes: tuple[str, ...]) -> str:
    return "、".join(CLASSES.get(code, code) for code in codes)


def statuses(codes: tuple[str, ...]) -> str:
    return "、".join(STATUSES.get(code, code) for code in codes)
