"""Form, YAML and document of a rulebook agree; the form never loses what it cannot show."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from canteen.config import ROOT
from canteen.policy.rulebook import canonical, lint
from canteen.rulebooks import yaml_reader, yaml_writer
from canteen.ruledesk.editor import comparison, form_changes, form_input, forms, yaml_patch
from canteen.ruledesk.editor.forms import Form, Fund, Limit, Part, Rule, Stage, Tier, Who

SCHEMES = sorted((ROOT / "canteen" / "policy" / "schemes").glob("*.yaml"))
TEMPLATES = ("tiers", "classes", "percent", "free", "plain")


def a_form(template: str = "plain") -> Form:
    return form_input.template(template, scheme="test.form", title="助餐标准", place="220100", first_day="2026-12-01")


def sent(form: Form) -> MultiDict[str, str]:
    return MultiDict(list(form_input.of_mapping(form)))


@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.stem)
def test_every_published_scheme_round_trips(path: Path) -> None:
    document = yaml_reader.read(path.read_text(encoding="utf-8"))
    assert canonical(yaml_reader.read(yaml_writer.write(document))) == canonical(document)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_faultless_and_reads_back_as_the_same_form(name: str) -> None:
    form = a_form(name)
    document = yaml_reader.read(yaml_writer.dump(forms.tree_of(form)))
    assert lint(document) == []
    assert forms.form_of(yaml_reader.tree(yaml_writer.write(document))) == form


AMOUNTS = st.integers(1, 2000).map(lambda fen: f"{fen // 100}.{fen % 100:02d}")
AGES = st.integers(0, 120).map(str)
WORDS = st.text("补贴标准一二三 第条：-#'\"[]{},&*!|>%@`", min_size=1, max_size=12).map(str.strip).filter(bool)
WHO = st.builds(
    Who,
    age_from=st.just("") | AGES,
    classes=st.lists(st.sampled_from(["dibao", "tekun"]), unique=True),
    lives=st.sampled_from(["", "220100", "220104 220103"]),
    period=st.lists(st.sampled_from(["lunch", "dinner"]), unique=True),
)
PARTS = st.sampled_from(
    [[Part("f.a")], [Part("f.a", "fen", "0.50"), Part("f.b")], [Part("f.a", "percent", "40%"), Part("f.b")]]
)
RULES = st.builds(
    Rule, id=st.just("r"), label=st.just("补贴"), reason=WORDS, clause=WORDS, who=WHO, verb=st.just("less"),
    value=AMOUNTS, parts=PARTS, limits=st.sampled_from([[], ["l.day"]]), used_up=st.sampled_from(["", "next"]),
    most=st.just("") | AMOUNTS,
) | st.builds(
    Rule, id=st.just("r"), label=st.just("补贴"), reason=WORDS, clause=WORDS, verb=st.just("pay"), parts=PARTS,
    tiers=st.lists(st.builds(Tier, age_from=AGES, value=AMOUNTS), min_size=1, max_size=3),
)  # fmt: skip
FORMS = st.builds(
    Form, id=st.just("f"), title=WORDS, source=WORDS, first_day=st.just("2026-01-01"), last_day=st.sampled_from(["", "2027-01-01"]),
    funds=st.just([Fund("f.a", "甲"), Fund("f.b", "乙", same="district/residence", budget="1000.00")]),
    limits=st.just([Limit("l.day"), Limit("l.sum", unit="fen", limit="50.00", window="month")]),
    stages=st.lists(st.builds(Stage, id=st.just("s"), title=WORDS, who=WHO, rules=st.lists(RULES, min_size=1, max_size=3)),
                    min_size=1, max_size=2),
)  # fmt: skip


@given(FORMS)
def test_form_to_document_to_yaml_to_form_gives_the_form_again(form: Form) -> None:
    document = yaml_reader.read(yaml_writer.dump(forms.tree_of(form)))
    assert forms.form_of(yaml_reader.tree(yaml_writer.write(document))) == form
    assert form_input.of_request(sent(form)) == form


def changed(text: str, form: Form) -> str:
    """Return the YAML after the form was sent by a browser and saved."""
    tree: Any = yaml_reader.tree(text)
    return yaml_patch.rewrite(text, form_changes.applied(tree, form_input.of_request(sent(form))))


def opened(text: str) -> Form:
    form = forms.form_of(yaml_reader.tree(text))
    assert form is not None
    return form


def comments(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.lstrip().startswith("#")]


@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.stem)
def test_saving_an_unchanged_form_keeps_the_text(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert changed(text, opened(text)) == text


@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.stem)
def test_changing_one_amount_in_the_form_keeps_every_comment(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    form = opened(text)
    rules = [rule for stage in form.stages for rule in stage.rules if rule.verb == "less" and rule.value]
    if not rules:
        form.title += "（改）"
    else:
        rules[0].value = "0.07"
    after = changed(text, form)

    before, now = text.splitlines(), after.splitlines()
    assert len(before) == len(now)
    assert sum(one != other for one, other in zip(before, now, strict=True)) == 1
    assert comments(after) == comments(text)
    assert "0.07" in after or "（改）" in after


ODD = """\
# 读法：第一条按自然日
format: 1
id: odd
title: 测试
source: 测试
from: 2026-01-01
sets:
  - {id: s, items: [a]}
funds:
  # 市里出
  - {id: odd.f, name: 甲, payer: subsidy}
stages:
  - id: one
    title: 补贴
    rules:
      # 这条按原文不设上限
      - id: a
        label: 补贴
        reason: 老人
        clause: 一
        when:
          all:
            - {age: {from: 60}}
            - {lives: [\"220100\"]}  # 只算户籍所在地
        less: 1.00  # 元
        fund: odd.f
        note: 另有说明
      # 这条表单说不了
      - {id: b, label: 补贴, reason: 二, clause: 二, when: {any: [{age: {from: 90}}, {class: [dibao]}]}, less: 2.00, fund: odd.f}
"""


def test_what_the_form_cannot_show_is_locked_and_never_changed() -> None:
    form = opened(ODD)
    one, other = form.stages[0].rules
    assert (one.locked, other.locked, other.reason) == ("", "yes", "二")
    kept = form_changes.kept(yaml_reader.tree(ODD))  # type: ignore[arg-type]
    assert set(kept) == {"", "stages-0-rules-0", "stages-0-rules-1"}
    assert kept["stages-0-rules-0"] == {"note": "另有说明"}

    one.who.age_from, one.value, other.reason = "65", "", "不会写进去"
    after = changed(ODD, form)

    gone = "        less: 1.00  # 元\n"
    assert after == ODD.replace("{age: {from: 60}}", "{age: {from: 65}}").replace(gone, "")
    assert opened(after).stages[0].rules[0].locked == ""


def test_edits_inside_all_keep_place_and_comments() -> None:
    form = opened(ODD)
    rule = form.stages[0].rules[0]
    rule.who.lives, rule.who.classes = "", ["tekun"]
    form_input.change(form, "drop:stages-0-rules-1")
    fewer = changed(ODD, form)
    form = opened(fewer)
    form_input.change(form, "add:stages-0-rules")
    form_input.change(form, "add:funds")
    after = changed(fewer, form)

    tree: Any = yaml_reader.tree(after)
    rules = tree["stages"][0]["rules"]
    assert rules[0]["when"] == {"all": [{"age": {"from": "60"}}], "class": ["tekun"]}
    assert [each["id"] for each in rules] == ["a", "rule1"]
    assert [each["id"] for each in tree["funds"]] == ["odd.f", "odd.fund1"]
    assert comments(after) == ["# 读法：第一条按自然日", "# 市里出", "# 这条按原文不设上限"]


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("title", "title"), ("from", "first_day"), ("funds[1].budget.limit", "funds-1-budget"),
        ("allowances[0].limit_fen", "limits-0-limit"), ("stages[0].rules[2].less", "stages-0-rules-2-value"),
        ("stages[0].rules[2].when.all[1].class", "stages-0-rules-2-who-classes"),
        ("stages[0].rules[2].when.age.from", "stages-0-rules-2-who-age_from"),
        ("stages[0].rules[2].by_age[1].below", "stages-0-rules-2-tiers-1-age_below"),
        ("stages[0].rules[2].by_age[1].pay", "stages-0-rules-2-tiers-1-value"),
        ("stages[0].rules[2].split[0].percent", "stages-0-rules-2-parts-0-amount"),
        ("stages[0].rules[2].fund", "stages-0-rules-2-parts-0-fund"), ("stages[0].rules[2]", "stages-0-rules-2"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_beside_its_field(path: str, field: str) -> None:
    assert form_changes.field_at(path) == field


VALUES = st.one_of(st.just("7.00"), st.just("新的：写法 #1"), st.just(["a", "b"]), st.just({"id": "z", "when": {"age": {"from": "6"}}})).map(copy.deepcopy)  # fmt: skip


@given(st.sampled_from(SCHEMES), st.data())
def test_editing_a_text_to_any_tree_keeps_comments(path: Path, data: st.DataObject) -> None:
    text = path.read_text(encoding="utf-8")
    tree: Any = yaml_reader.tree(text)
    for _ in range(data.draw(st.integers(1, 3))):
        _alter(tree, data)
    after = yaml_patch.rewrite(text, tree)

    assert yaml_reader.tree(after) == tree
    head = comments(text[: text.index("format:")])
    assert comments(after)[: len(head)] == head


def _alter(value: Any, data: st.DataObject) -> None:
    """Change, add or remove a value at a random place."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = data.draw(st.sampled_from(keys))
    if isinstance(value[key], (dict, list)) and value[key] and data.draw(st.booleans()):
        _alter(value[key], data)
        return
    act = data.draw(st.sampled_from(["set", "drop", "add"]))
    if act == "drop" and len(keys) > 1:
        del value[key]
    elif act == "add" and isinstance(value, list):
        value.insert(key, data.draw(VALUES))
    elif act == "add":
        value[f"new{len(keys)}"] = data.draw(VALUES)
    else:
        value[key] = data.draw(VALUES)


def test_a_row_gets_its_own_id_and_can_be_removed() -> None:
    form = a_form()
    before = form_input.of_request(sent(form))
    form_input.change(form, "add:stages-0-rules")
    assert [rule.id for rule in form.stages[0].rules] == ["aged", "rule1"]
    form_input.change(form, "drop:stages-0-rules-1")
    form_input.change(form, "drop:stages-7-rules-1")
    form_input.change(form, "add:id")
    assert form == before


def test_two_versions_are_compared_in_meaning_not_in_text() -> None:
    one = yaml_reader.read(yaml_writer.dump(forms.tree_of(a_form("tiers"))))
    form = a_form("tiers")
    form.stages[0].rules[0].tiers[1].value = "2.50"
    form.last_day = "2027-12-31"
    form.limits[0].limit = "2"
    other = yaml_reader.read("# 换了写法\n" + yaml_writer.dump(forms.tree_of(form)))

    assert comparison.compare(one, one, {}) == []
    assert [str(each) for each in comparison.compare(one, other, {})] == [
        "全文：有效期由“2026-12-01 起”改为“2026-12-01 起，至 2027-12-31 止”",
        "限额 test.form.daily：限额由“每人每天 1 餐（每人每日一餐）”改为“每人每天 2 餐（每人每日一餐）”",
        "标准 aged（第一条） 70–79 岁：标准由“减 2.00 元”改为“减 2.50 元”",
    ]
