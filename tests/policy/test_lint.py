"""Findings of the reader and the lint in a rulebook before it may be published."""

from typing import Any

import pytest

from canteen.policy import rulebook as books
from canteen.policy.case import Diner, Meal, MealCanteen, Taken, case_doc, read_case
from canteen.policy.quote import quote, quote_doc, read_quote
from canteen.policy.refusals import Problem, Refused
from canteen.policy.versions import lint_versions
from canteen.rulebooks import yaml_reader
from canteen.rulebooks.yaml_reader import YamlFaulty

HEAD = """\
format: 1
id: t
title: 测试
source: 测试
from: 2026-01-01
menu: {from: 8.00, to: 20.00}
funds:
  - {id: city, name: 市级补贴, payer: subsidy}
  - {id: canteen, name: 餐厅让利, payer: concession}
"""
STAGE = """\
stages:
  - id: meal
    title: 就餐补贴
    rules:
"""
WORDS = {"label": "助餐补贴", "reason": "甲类", "clause": "第一条"}


def rule(text: str, id_: str = "a", **words: str) -> str:
    lines = [f"id: {id_}", *(f"{word}: {value}" for word, value in {**WORDS, **words}.items()), *text.splitlines()]
    return "      - " + "\n        ".join(lines) + "\n"


def found(text: str) -> list[Problem]:
    return books.lint(yaml_reader.read(text))


def codes(text: str) -> list[str]:
    return [problem.code for problem in found(text)]


def scheme(*rules: str, more: str = "") -> str:
    return HEAD + more + STAGE + "".join(rules)


def test_a_sound_rulebook_has_no_problems() -> None:
    assert codes(scheme(rule("less: 3.00\nfund: city"))) == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("tier_gap", "by_age:\n  - {from: 60, below: 70, less: 1.00}\n  - {from: 80, less: 3.00}\nfund: city"),
        ("tier_overlap", "by_age:\n  - {from: 60, below: 75, less: 1.00}\n  - {from: 70, less: 3.00}\nfund: city"),
        ("tier_empty", "by_age:\n  - {from: 60, below: 60, less: 1.00}\nfund: city"),
        ("benefit_above_menu", "less: 21.00\nfund: city"),
        ("benefit_above_menu", "pay: 20.00\nfund: city"),
        ("large_off", "off: 85%\nfund: city"),
        ("small_pay", "pay_percent: 15%\nfund: city"),
        ("no_fund", "less: 3.00"),
        ("unknown_fund", "less: 3.00\nfund: town"),
        ("unknown_allowance", "less: 3.00\nfund: city\nlimits: t.day"),
        ("unknown_set", "less: 3.00\nfund: city\nbase: {only: main}"),
        ("unknown_rule", "less: 3.00\nfund: city\nexcludes: b"),
        ("split_sum", "off: 20%\nsplit:\n  - {fund: city, percent: 40%}\n  - {fund: canteen, percent: 50%}"),
        ("split_sum", "less: 3.00\nsplit:\n  - {fund: city, fen: 1.00}\n  - {fund: canteen, fen: 1.00}"),
        ("fund_twice", "less: 3.00\nsplit:\n  - {fund: city, fen: 1.00}\n  - {fund: city, rest: yes}"),
        ("gap_claimed", "round_price: {to: jiao, by: down}\nfund: city"),
        ("ends_before_start", "less: 3.00\nfund: city\nfrom: 2026-03-01\nto: 2026-02-01"),
    ],
)
def test_the_lint_finds(code: str, text: str) -> None:
    assert code in codes(scheme(rule(text)))


@pytest.mark.parametrize("word", ["低保", "特困", "残", "失独"])
def test_a_label_may_not_tell_a_class(word: str) -> None:
    [problem] = found(scheme(rule("less: 3.00\nfund: city", label=f"{word}补贴")))
    assert (problem.code, problem.severity) == ("label_tells_class", "error")


def test_the_label_of_a_tier_may_not_tell_a_class_either() -> None:
    text = "by_class:\n  - {class: dibao, pay: 3.00, label: 低保餐}\n  - {pay: 8.00}\nfund: city"
    assert codes(scheme(rule(text))) == ["label_tells_class"]


def test_two_rules_that_tie_are_named() -> None:
    same = "less: 3.00\nfund: city"
    assert codes(scheme(rule(same), rule(same, "b"))) == ["best_tie"]


def test_ids_are_unique() -> None:
    assert "duplicate_id" in codes(scheme(rule("less: 3.00\nfund: city"), rule("less: 2.00\nfund: city")))


def test_a_gap_between_rules_of_a_group_is_found() -> None:
    tiers = rule("by_age:\n  - {from: 60, below: 80, less: 1.00}\nfund: city")
    oldest = rule("when: {age: {from: 90}}\nfree: all\nfund: city", "b")
    [problem] = found(scheme(tiers, oldest))
    assert (problem.code, problem.found) == ("tier_gap", "80 到 90")


@pytest.mark.parametrize(("pick", "expected"), [("best", ["tier_gap"]), ("first", ["tier_gap"]), ("sum", [])])
def test_a_gap_between_ages_that_are_rules_of_their_own_is_found(pick: str, expected: list[str]) -> None:
    younger = rule("when: {age: {from: 60, below: 70}}\nless: 1.00\nfund: city")
    older = rule("when: {age: {from: 80}}\nless: 3.00\nfund: city", "b")
    assert codes(scheme(younger, older).replace("    rules:", f"    pick: {pick}\n    rules:")) == expected
    between = rule("when: {age: {from: 70, below: 80}}\nless: 2.00\nfund: city", "c")
    assert codes(scheme(younger, older, between).replace("    rules:", f"    pick: {pick}\n    rules:")) == []


def test_a_gap_in_the_notice_is_acknowledged_with_its_clause() -> None:
    text = "by_age:\n  - {from: 60, below: 70, less: 1.00}\n  - {from: 80, less: 3.00}\nfund: city"
    acknowledged = "acknowledged:\n  - {code: tier_gap, rule: a, clause: 原文未写}\n"
    assert codes(scheme(rule(text), more=acknowledged)) == []


def test_a_missing_fund_cannot_be_acknowledged() -> None:
    acknowledged = "acknowledged:\n  - {code: no_fund, rule: a, clause: 原文未写}\n"
    assert codes(scheme(rule("less: 3.00"), more=acknowledged)) == ["no_fund"]


@pytest.mark.parametrize(
    ("code", "allowance"),
    [
        ("limit_unit", "{id: t.a, unit: fen, scope: person, window: day, limit: 3}"),
        ("limit_unit", "{id: t.a, unit: meal, scope: person, window: day, limit_fen: 3.00}"),
        ("carry_window", "{id: t.a, unit: day, scope: person, window: month, limit: 3, carry: {windows: 1}}"),
        ("not_namespaced", "{id: a, unit: meal, scope: person, window: day, limit: 3}"),
    ],
)
def test_a_limit_is_checked(code: str, allowance: str) -> None:
    assert codes(scheme(rule("less: 3.00\nfund: city"), more=f"allowances:\n  - {allowance}\n")) == [code]


def test_a_percent_is_shown_as_it_was_written() -> None:
    (problem,) = found(scheme(rule("off: 66.67%\nfund: city")))
    assert problem.found == "66.67%"


def test_a_limit_without_scope_is_refused_by_the_reader() -> None:
    more = "allowances:\n  - {id: t.a, unit: meal, window: day, limit: 3}\n"
    with pytest.raises(YamlFaulty) as refused:
        yaml_reader.read(scheme(rule("less: 3.00\nfund: city"), more=more))
    assert [(one.line, one.problem.code) for one in refused.value.problems] == [(11, "missing_field")]


def test_layers_that_define_an_allowance_differently_are_named() -> None:
    def layer(scheme_id: str, limit: int) -> bytes:
        limits = f"allowances:\n  - {{id: t.day, unit: meal, scope: person, window: day, limit: {limit}}}\n"
        text = scheme(rule("less: 3.00\nfund: city\nlimits: t.day"), more=limits).replace(
            "id: t\n", f"id: {scheme_id}\n"
        )
        return books.canonical(yaml_reader.read(text))

    assert books.lint_layers([layer("city", 1), layer("district", 1)]) == []
    assert [one.code for one in books.lint_layers([layer("city", 1), layer("district", 2)])] == ["layers_differ"]


def a_version(limits: str, from_: str = "2026-01-01") -> dict[str, Any]:
    more = f"allowances:\n  - {{id: t.day, unit: meal, scope: person, {limits}}}\n"
    return dict(yaml_reader.read(scheme(rule("less: 3.00\nfund: city"), more=more).replace("2026-01-01", from_)))


def test_a_version_keeps_the_allowances_of_the_one_before() -> None:
    first = a_version("window: day, limit: 1")
    later = a_version("window: day, limit: 2", "2026-07-01")
    assert lint_versions(first, later) == []
    assert [one.code for one in lint_versions(first, {**later, "allowances": []})] == ["allowance_gone"]
    weekly = a_version("window: week, limit: 1", "2026-07-01")
    assert [one.code for one in lint_versions(first, weekly)] == ["allowance_changed"]
    assert [one.code for one in lint_versions(first, first)] == ["versions_overlap"]


@pytest.mark.parametrize(
    ("code", "line", "text"),
    [
        ("duplicate_key", 2, "format: 1\nformat: 1\n"),
        ("tag", 1, "format: !int 1\n"),
        ("not_yaml", 2, "id: &a t\ntitle: *a\n"),
        ("not_yaml", 2, "id: t\n\ttitle: x\n"),
        ("empty", 1, ""),
        ("not_an_object", 1, "- 1\n"),
        ("unknown_field", 2, "format: 1\nidd: t\n"),
        ("not_readable", 5, HEAD.replace("2026-01-01", "2026-02-30") + "stages: []\n"),
        ("not_readable", 6, HEAD.replace("8.00", "8.005") + "stages: []\n"),
        ("too_deep", 1, "[" * 60 + "]" * 60),
    ],
)
def test_the_reader_names_the_line(code: str, line: int, text: str) -> None:
    with pytest.raises(YamlFaulty) as refused:
        yaml_reader.read(text)
    assert (line, code) in [(one.line, one.problem.code) for one in refused.value.problems]


def test_nothing_is_guessed_from_a_text() -> None:
    document = yaml_reader.read(HEAD.replace("id: t", "id: no") + "stages: []\n")
    assert document["id"] == "no"


def test_a_joined_book_of_no_layers_gives_nothing() -> None:
    assert books.load(books.join([])).stages == ()


@pytest.mark.parametrize("text", ["less: 3.00\nfund: town", "less: 3.00\nfund: city\nlimits: t.day"])
def test_a_book_that_names_what_is_not_there_is_not_loaded(text: str) -> None:
    with pytest.raises(Refused, match="unknown_name"):
        books.load(books.canonical(yaml_reader.read(scheme(rule(text)))))


def mapped(limits: str, **words: str) -> dict[str, Any]:
    """Return a later version with other limits."""
    return dict(
        yaml_reader.read(scheme(rule("less: 3.00\nfund: city", **words), more=limits).replace("-01-01", "-07-01"))
    )


def test_a_limit_under_a_new_id_says_which_it_was() -> None:
    first = a_version("window: day, limit: 1")
    daily = "allowances:\n  - {id: t.daily, unit: meal, scope: person, window: day, limit: 2%s}\n"
    [lost] = lint_versions(first, mapped(daily % ""))
    assert (lost.code, lost.found, lost.expected) == (
        "allowance_gone",
        "t.day",
        "保留编号 t.day；改了编号的写 was: t.day",
    )
    second = mapped(daily % ", was: t.day")
    assert lint_versions(first, second) == []
    # The third version names the oldest id, not the one in between: uses were counted under it all along.
    third = {**second, "from": second["from"] + 1, "allowances": [{**second["allowances"][0], "id": "t.d"}]}
    assert lint_versions(second, third) == []
    skipped = {**third, "allowances": [{**third["allowances"][0], "was": "t.daily"}]}
    assert [one.code for one in lint_versions(second, skipped)] == ["allowance_gone"]


@pytest.mark.parametrize("change", ["unit: day", "scope: household", "window: week", "where: canteen"])
def test_a_limit_that_is_mapped_counts_the_same_thing(change: str) -> None:
    words = {"unit": "meal", "scope": "person", "window": "day"}
    name, _, value = change.partition(": ")
    said = ", ".join(f"{word}: {one}" for word, one in {**words, name: value}.items())
    new = mapped(f"allowances:\n  - {{id: t.daily, was: t.day, limit: 1, {said}}}\n")
    [found] = lint_versions(a_version("window: day, limit: 1"), new)
    assert (found.code, found.path) == ("allowance_changed", "allowances[0]")


def test_two_limits_may_not_count_as_one() -> None:
    day = "unit: meal, scope: person, window: day, limit: 1"
    more = f"allowances:\n  - {{id: t.a, {day}}}\n  - {{id: t.b, was: t.a, {day}}}\n"
    [found] = [one for one in books.lint(mapped(more)) if one.severity == "error"]
    assert (found.code, found.path) == ("duplicate_id", "allowances[1].was")


def test_rules_and_funds_with_counted_uses_keep_their_ids() -> None:
    more = "allowances:\n  - {id: t.day, unit: meal, scope: rule, window: day, limit: 1}\n"
    before = yaml_reader.read(scheme(rule("less: 3.00\nfund: city\nlimits: t.day"), more=more))
    after = yaml_reader.read(
        scheme(rule("less: 3.00\nfund: city\nlimits: t.day", "b"), more=more).replace("-01-01", "-07-01")
    )
    assert [(one.code, one.found) for one in lint_versions(before, after)] == [("rule_gone", "a")]
    budget = ", budget: {limit: 100.00, window: month, at_end: stop}}"
    limited = yaml_reader.read(
        scheme(rule("less: 3.00\nfund: city")).replace("payer: subsidy}", "payer: subsidy" + budget)
    )
    renamed = yaml_reader.read(
        scheme(rule("less: 3.00\nfund: town")).replace("{id: city", "{id: town").replace("-01", "-07")
    )
    assert [(one.code, one.found) for one in lint_versions(limited, renamed)] == [("fund_gone", "city")]


def test_layers_that_call_one_limit_by_two_names_agree_on_it() -> None:
    def layer(name: str, limit: int) -> bytes:
        more = f"allowances:\n  - {{{name}, unit: meal, scope: person, window: day, limit: {limit}}}\n"
        return books.canonical(mapped(more))

    assert books.lint_layers([layer("id: t.day", 1), layer("id: t.daily, was: t.day", 1)]) == []
    differ = books.lint_layers([layer("id: t.day", 1), layer("id: t.daily, was: t.day", 2)])
    assert [one.code for one in differ] == ["layers_differ"]


def test_the_longest_names_make_a_key_that_is_stored_whole() -> None:
    longest = {"id": "x" * 40, "rule": "r" * 60, "allowance": "a" * 55 + ".b", "canteen": "c" * 80}
    limit = f"{{id: {longest['allowance']}, unit: meal, scope: rule, window: day, limit: 1, where: canteen}}"
    text = scheme(rule(f"less: 3.00\nfund: city\nlimits: {longest['allowance']}", longest["rule"]))
    text = text.replace("id: t\n", f"id: {longest['id']}\n").replace("stages:", f"allowances:\n  - {limit}\nstages:")
    document = yaml_reader.read(text)
    assert books.lint(document) == []
    meal = Meal(document["from"], "lunch", MealCanteen(longest["canteen"]), amount=1000)
    found = quote(books.load(books.canonical(document)), Diner(), meal, ())
    [use] = [one for one in found.uses if one.allowance != "guard.meal"]
    assert len(use.allowance) == 240
    assert read_quote(quote_doc(found)) == found  # and as such it comes back from a record
    again = read_case(case_doc(Diner(), meal, (Taken(use.allowance, use.window, count=1),)))
    assert quote(books.load(books.canonical(document)), again.diner, again.meal, again.taken).due == 1000
    with pytest.raises(YamlFaulty, match="代码"):
        yaml_reader.read(text.replace(longest["allowance"], "a" * 57 + ".b"))


def test_the_label_of_a_rule_with_tiers_may_not_tell_a_class() -> None:
    text = "by_age:\n  - {from: 60, below: 80, less: 1.00}\n  - {from: 80, less: 3.00}\nfund: city"
    assert codes(scheme(rule(text, label="特困补贴"))) == ["label_tells_class"]


@pytest.mark.parametrize(("split", "expected"), [("\n  - {fund: canteen, rest: yes}", ["label_tells_class"]), ("", [])])
def test_a_fund_named_at_the_counter_may_not_tell_a_class(split: str, expected: list[str]) -> None:
    """The counter shows a fund's name where a benefit has several payers."""
    text = f"less: 3.00\nsplit:\n  - {{fund: city, {'fen: 1.00' if split else 'rest: yes'}}}{split}"
    named = scheme(rule(text)).replace("name: 市级", "name: 低保专项")
    assert "低保专项" in named
    assert codes(named) == expected
