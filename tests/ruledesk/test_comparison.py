"""The comparison shows every change of a rulebook, and its place."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from canteen.policy.canonical import canonical
from canteen.rulebooks import yaml_reader
from canteen.ruledesk.editor import comparison
from tests.ruledesk.test_forms import SCHEMES

NAMES = {"220104": "朝阳区", "110105": "朝阳区", "220103": "宽城区"}
BOOK = """\
format: 1
id: whole
title: 各种写法
source: 测试
from: 2026-01-01
place: "220104"
age: {reckoning: birthday, leap_day: mar1}
floor: 1.00
rounding: {of: benefit, to: jiao, by: down}
menu: {from: 8.00, to: 20.00}
acknowledged:
  - {code: age_gap, rule: tiers, clause: 一}
  - {code: age_gap, rule: classed, clause: 二}
sets:
  - {id: s.one, items: [a, b], name: 主食}
  - {id: s.two, tags: [soup], name: 主食}
funds:
  - {id: f.one, name: 财政, payer: subsidy, when: {lives: ["220104"]}}
  - {id: f.two, name: 财政, payer: subsidy, budget: {limit: 100.00, window: month, at_end: stop, warn: 80%}}
  - {id: f.own, name: 让利, payer: concession}
allowances:
  - {id: l.day, unit: meal, scope: person, window: day, limit: 1}
  - {id: l.sum, unit: fen, scope: household, window: month, limit_fen: 50.00, carry: {windows: 2, most_fen: 9.00}}
stages:
  - id: first
    title: 让利
    pick: chain
    rules:
      - {id: off, label: 折扣, reason: 一, clause: 一, off: 10%, fund: f.own}
      - {id: cut, label: 折扣, reason: 二, clause: 二, less: 1.00, fund: f.own, base: {of: list, but: s.two}}
  - id: second
    title: 补贴
    order: 600
    when: {period: [lunch], not: {day_kind: [holiday]}}
    rules:
      - id: group
        pick: first
        when: {kind: [elder]}
        rules:
          - id: tiers
            label: 补贴
            reason: 三
            clause: 三
            by_age: [{from: 60, below: 70, less: 1.00}, {from: 70, less: 2.00, most: 1.50}]
            fund: f.one
            limits: [l.day, l.sum]
            used_up: stop
          - id: classed
            label: 补贴
            reason: 四
            clause: 四
            when: {any: [{lives: ["220104"]}, {hukou: ["220103"]}], bill: {at_least: 5.00, only: s.one}}
            by_class: [{class: [dibao], less: 3.00}, {when: {age: {from: 80}}, less: 2.00}]
            split: [{fund: f.one, percent: 50%, when: {lives: ["220104"]}, instead: f.two}, {fund: f.two, rest: yes}]
      - id: last
        label: 补贴
        reason: 五
        clause: 五
        from: 2026-02-01
        when: {used: {allowance: l.day, from: 1}, ordered_by: {time: 09:30, days_before: 1}}
        pay: 5.00
        only_if: bill_above_benefit
        excludes: [tiers]
        floor: 2.00
        most: 6.00
        rounding: {of: price}
        fund: f.one
        note: 说明
"""


def others(value: Any) -> Iterator[Any]:
    """Yield values like this one and not the same."""
    if isinstance(value, bool):
        return
    if isinstance(value, int):
        yield value + 1
    elif isinstance(value, str):
        yield from (word for word in ("110105", "f.two", "f.own", "s.two", "sum", "others") if word != value)
    elif isinstance(value, list) and len(value) > 1:
        yield value[::-1]
        yield value[1:]
    elif isinstance(value, dict) and len(value) > 1:
        yield from ({name: value[name] for name in value if name != gone} for gone in value)


def changes(value: Any, put: Any) -> Iterator[None]:
    """Change every place in the document in every way, one at a time; `put` writes the place."""
    for other in others(value):
        put(other)
        yield
    put(value)
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from changes(value[key], lambda new, key=key: value.__setitem__(key, new))


def readable(document: dict[str, Any]) -> bool:
    """Tell whether it is still a rulebook by form, so that it can be compared at all."""
    from canteen.policy.grammar import RULEBOOK  # noqa: PLC0415 - beside its only use

    problems: list[Any] = []
    RULEBOOK.check(document, "", problems)
    return not problems


def same_meaning(document: dict[str, Any]) -> bytes:
    """Sort the lists of the document whose order means nothing."""

    def ordered(value: Any, word: str = "") -> Any:
        if isinstance(value, dict):
            return {name: ordered(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            inner = [ordered(one) for one in value]
            free = all(isinstance(one, (str, int)) for one in inner) or word in (
                "funds",
                "allowances",
                "sets",
                "any",
                "all",
            )
            return sorted(inner, key=json.dumps) if free or word in ("acknowledged", "by_age") else inner
        return value

    found = copy.deepcopy(document)
    for stage in found["stages"]:
        for group in (stage, *(one for one in stage["rules"] if "rules" in one)):
            if group.get("pick", "best") == "best":
                group["rules"].sort(key=lambda one: one["id"])
    return canonical(ordered(found))


def test_every_field_of_every_word_changed_is_said() -> None:
    original = yaml_reader.read(BOOK)
    document = copy.deepcopy(original)
    silent, seen = [], 0
    for _ in changes(document, lambda _new: None):
        if not readable(document) or same_meaning(document) == same_meaning(original):
            continue
        seen += 1
        if not comparison.compare(original, document, NAMES) or not comparison.compare(document, original, NAMES):
            silent.append(copy.deepcopy(document))
    assert seen > 250
    assert silent == []


def moved(text: str, *swaps: tuple[str, str]) -> list[str]:
    after = text
    for old, new in swaps:
        assert old in after
        after = after.replace(old, new)
    return [str(one) for one in comparison.compare(yaml_reader.read(text), yaml_reader.read(after), NAMES)]


OFF = "      - {id: off, label: 折扣, reason: 一, clause: 一, off: 10%, fund: f.own}\n"


def test_a_moved_rule_and_a_changed_order_are_shown() -> None:
    last = "      - id: last\n"
    assert moved(BOOK, (OFF, ""), (last, OFF + last)) == [
        "标准 off（一）：所在步骤由“让利（first）”改为“补贴（second）”"
    ]
    tiers = "{class: [dibao], less: 3.00}, {when: {age: {from: 80}}, less: 2.00}"
    swapped = "{when: {age: {from: 80}}, less: 2.00}, {class: [dibao], less: 3.00}"
    assert [one.partition("：")[2].partition("由")[0] for one in moved(BOOK, (tiers, swapped))] == ["档次的先后"]
    cut = BOOK[BOOK.index("      - {id: cut") : BOOK.index("  - id: second")]
    assert moved(BOOK, (OFF, ""), (cut, cut + OFF)) == ["步骤 让利：标准的先后由“off、cut”改为“cut、off”"]


def test_an_added_or_removed_rule_is_shown_with_base_and_limits() -> None:
    off = "      - {id: off, label: 折扣, reason: 一, clause: 一, off: 10%, fund: f.own}\n"
    part = off.replace("off: 10%", "off: 10%, base: {first: 10.00}, most: 3.00, limits: l.day")
    (gone,) = [one for one in moved(BOOK.replace(off, part), (part, "")) if one.startswith("标准 off")]
    for shown in ("减 10%", "只算前 10.00 元", "最多 3.00 元", "l.day"):
        assert shown in gone


def test_places_or_funds_of_one_name_are_distinguished() -> None:
    (place,) = moved(BOOK, ('payer: subsidy, when: {lives: ["220104"]}', 'payer: subsidy, when: {lives: ["110105"]}'))
    assert "朝阳区（220104）" in place
    assert "朝阳区（110105）" in place
    (fund,) = moved(BOOK, ("rounding: {of: price}\n        fund: f.one", "rounding: {of: price}\n        fund: f.two"))
    assert fund == "标准 last（五）：承担由“财政（f.one）”改为“财政（f.two）”"


@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.stem)
def test_comparing_finds_nothing_in_itself_and_changed_amounts(path: Any) -> None:
    original = yaml_reader.read(path.read_text(encoding="utf-8"))
    assert comparison.compare(original, copy.deepcopy(original), NAMES) == []
    document = copy.deepcopy(original)
    amounts = [(rule, verb) for rule in _dicts(document["stages"]) for verb in ("less", "pay", "off") if verb in rule]
    for rule, verb in amounts:
        rule[verb] += 1
        assert comparison.compare(original, document, NAMES)
        rule[verb] -= 1


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, list):
        for one in value:
            yield from _dicts(one)
    elif isinstance(value, dict):
        yield value
        for one in value.values():
            yield from _dicts(one)
