"""The form, the YAML and the document of a rulebook are one thing; what the form cannot show is never lost by it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from canteen.config import ROOT
from canteen.policy.rulebook import canonical, lint
from canteen.rulebooks import reader, writing
from canteen.ruledesk import comparing, forms
from canteen.ruledesk.forms import Form, Fund, Limit, Part, Rule, Stage, Tier, Who

SCHEMES = sorted((ROOT / "canteen" / "policy" / "schemes").glob("*.yaml"))
TEMPLATES = ("tiers", "classes", "percent", "free", "plain")


def a_form(template: str = "plain") -> Form:
    return forms.template(template, scheme="test.form", title="助餐标准", place="220100", first_day="2026-12-01")


def sent(form: Form) -> MultiDict[str, str]:
    return MultiDict(list(forms.of_mapping(form)))


@pytest.mark.parametrize("path", SCHEMES, ids=lambda path: path.stem)
def test_every_published_scheme_written_again_is_the_same_document(path: Path) -> None:
    document = reader.read(path.read_text(encoding="utf-8"))
    assert canonical(reader.read(writing.write(document))) == canonical(document)


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_rulebook_without_faults_and_comes_back_as_the_same_form(name: str) -> None:
    form = a_form(name)
    document = reader.read(writing.dump(forms.tree_of(form)))
    assert lint(document) == []
    assert forms.form_of(reader.tree(writing.write(document))) == form


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
    document = reader.read(writing.dump(forms.tree_of(form)))
    assert forms.form_of(reader.tree(writing.write(document))) == form
    assert forms.of_request(sent(form)) == form


def test_what_the_form_cannot_show_is_left_to_the_yaml() -> None:
    tree: Any = forms.tree_of(a_form())
    assert forms.form_of(tree) is not None
    tree["stages"][0]["rules"][0]["only_if"] = "bill_above_benefit"
    assert forms.form_of(tree) is None


def test_a_row_is_added_with_an_id_of_its_own_and_taken_out_again() -> None:
    form = a_form()
    before = forms.of_request(sent(form))
    forms.change(form, "add:stages-0-rules")
    assert [rule.id for rule in form.stages[0].rules] == ["aged", "rule1"]
    forms.change(form, "drop:stages-0-rules-1")
    forms.change(form, "drop:stages-7-rules-1")
    forms.change(form, "add:id")
    assert form == before


def test_two_versions_are_compared_in_meaning_not_in_text() -> None:
    one = reader.read(writing.dump(forms.tree_of(a_form("tiers"))))
    form = a_form("tiers")
    form.stages[0].rules[0].tiers[1].value = "2.50"
    form.last_day = "2027-12-31"
    form.limits[0].limit = "2"
    other = reader.read("# 换了写法\n" + writing.dump(forms.tree_of(form)))

    assert comparing.compare(one, one, {}) == []
    assert [str(each) for each in comparing.compare(one, other, {})] == [
        "全文：有效期由“2026-12-01 起”改为“2026-12-01 起，至 2027-12-31 止”",
        "限额 test.form.daily：限额由“每人每天 1 餐（每人每日一餐）”改为“每人每天 2 餐（每人每日一餐）”",
        "标准 aged（第一条） 70–79 岁：标准由“减 2.00 元”改为“减 2.50 元”",
    ]
