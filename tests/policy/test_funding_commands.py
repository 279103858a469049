"""canteen policy lint and quote of funding schemes: the same commands, exit codes and refusals as for rulebooks."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result

from canteen.cli import cli
from canteen.commands.policy import SCHEMES
from canteen.errors import Refusal
from canteen.policy import days
from canteen.policy.funding_case import funding_case_schema
from canteen.policy.funding_quote import funding_quote_schema
from canteen.rulebooks import yaml_reader

MANUAL = (Path(__file__).parents[2] / "docs" / "rulebook.md").read_text(encoding="utf-8")
CHAPTER = MANUAL.partition("## 食堂一侧的钱")[2]
SHIPPED = sorted(SCHEMES.glob("funding/*.yaml"))
HEAD = "format: 1\nid: t\ntitle: 例\nsource: 例\nfrom: 2026-01-01\nlines:\n"
CASES: dict[str, tuple[str, dict[str, Any], int]] = {
    "anhui": ("once", {"class": "canteen"}, 10_000_000),
    "beijing-2022": ("month", {"counts": {"person_days": 700}}, 210_000),
    "fuzhou-gulou": ("year", {"area": 90, "counts": {"meals": 9000}, "measures": {"activities": 3}}, 10_500_000),
    "guangzhou-city": ("month", {"kitchen": "partner", "counts": {"meals": 301}}, 45_150),
    "qingdao": ("once", {"counts": {"days": 365}}, 10_000_000),
    "shenzhen-2025": ("month", {"counts": {"subsidised_meals": 600, "deliveries": 40}}, 128_000),
    "wuxi-2021": ("year", {"class": "regional", "grade": "good"}, 10_000_000),
    "xiyang": ("once", {"area": 300, "stage": "accepted", "audited": 6_500_000}, 6_500_000),
    "yingkou": ("month", {"grade": "good"}, 750_000),
}
"""One canteen for each scheme that comes with the product: rhythm, what is known of it, what it is given in fen."""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["policy", *arguments])


def refused(*arguments: str) -> Refusal:
    found = run(*arguments).exception
    assert isinstance(found, Refusal)
    return found


def kept(folder: Path, content: object, name: str = "case.json") -> str:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def a_case(each: str = "month", **known: Any) -> dict[str, Any]:
    return {"day": "2026-03-02", "each": each, "canteens": [{"id": "c1", **known}]}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_scheme_is_linted_and_quoted(path: Path, tmp_path: Path) -> None:
    done = run("lint", str(path))
    assert (done.exit_code, done.stdout) == (0, "未发现问题。\n")
    assert done.stderr == "按食堂资金标准检查（有 lines）。\n"
    each, known, fen = CASES[path.stem]
    case = kept(tmp_path, a_case(each, **known))
    done = run("quote", str(path), case, "--json")
    found = json.loads(done.stdout)
    jsonschema.validate(found, funding_quote_schema())
    assert (done.exit_code, found["total"], sum(one["fen"] for one in found["grants"])) == (0, fen, fen)
    answer = run("quote", f"funding/{path.stem}", case).stdout
    scheme = yaml_reader.tree(path.read_text(encoding="utf-8"))
    assert isinstance(scheme, dict)
    assert answer.startswith(scheme["title"])
    for line in scheme["lines"]:
        assert f"（{scheme['id']}/{line['id']}，{line['clause']}）：" in answer


def test_the_case_of_the_manual_gives_its_lines(tmp_path: Path) -> None:
    [(case, lines)] = re.findall(r"```json\n(.*?)```\n```funding\n(.*?)```", CHAPTER, re.DOTALL)
    done = run("quote", "funding/guangzhou-city", kept(tmp_path, case))
    assert (done.exit_code, done.stdout) == (0, lines)


def test_every_word_of_the_case_is_in_the_manual() -> None:
    named = set(re.findall(r"`(\w+)`", CHAPTER.partition("### ")[0]))
    schema: Any = funding_case_schema()
    canteen = schema["properties"]["canteens"]["items"]["properties"]
    assert {*schema["properties"], *canteen, *canteen["counts"]["properties"]} <= named
    assert {*json.loads((SCHEMES.parent / "funding_quote.schema.json").read_bytes())["properties"]} >= {
        "grants", "passed", "total",
    }  # fmt: skip


def test_a_canteen_given_nothing_gets_the_reason(tmp_path: Path) -> None:
    lines = (
        "  - {id: a, label: 甲, clause: 一, fund: f, each: year, fixed: 1.00}\n"
        "  - {id: b, label: 乙, clause: 二, fund: f, each: month, for: {class: canteen}, fixed: 1.00}\n"
        "  - {id: c, label: 丙, clause: 三, fund: f, each: month, at_least: {days: 20}, fixed: 1.00}\n"
        "  - {id: d, label: 丁, clause: 四, fund: f, each: month, per: {count: meals, fen: 1.00}}\n"
    )
    scheme = kept(tmp_path, HEAD + lines, "t.yaml")
    found = json.loads(run("quote", scheme, kept(tmp_path, a_case()), "--json").stdout)
    assert [(one["rule"], one["why"]) for one in found["passed"]] == [
        ("t/a", "each"), ("t/b", "for"), ("t/c", "at_least"), ("t/d", "no_money"),
    ]  # fmt: skip
    assert found["passed"][1]["reason"] == "食堂类别 未填 不在范围内，要求 canteen"
    early = kept(tmp_path, {**a_case(), "day": "2025-12-31"})
    assert {one["why"] for one in json.loads(run("quote", scheme, early, "--json").stdout)["passed"]} == {
        "not_in_force"
    }


def test_the_lint_names_line_and_clause_of_a_scheme(tmp_path: Path) -> None:
    usual = "label: 甲, fund: f, each: month"
    steps = "{count: persons, steps: [{from: 0, below: 5, fen: 1.00}, {from: 6, fen: 2.00}]}"
    text = f"{HEAD}  - {{id: a, clause: 第一条, {usual}, by_count: {steps}}}\n"
    text += f"  - {{id: a, clause: 第二条, {usual}, fixed: 1.00}}\n"
    name = kept(tmp_path, text, "t.yaml")
    done = run("lint", name, "--json")
    answer = json.loads(done.stdout)
    assert (done.exit_code, answer["kind"]) == (1, "funding")
    assert [(one["line"], one["code"], one["clause"], one["file"]) for one in answer["problems"]] == [
        (8, "duplicate_id", "第二条", name),
        (7, "tier_gap", "第一条", name),
    ]
    done = run("lint", name)
    assert (done.exit_code, done.stdout.splitlines()[-1]) == (1, "共 2 处待核。")
    assert f"{name} 第 7 行（第一条） lines[0].by_count.steps：两档没有首尾相接" in done.stdout


@pytest.mark.parametrize(
    ("line", "number", "words"),
    [
        ("{id: a, clause: 一, label: 甲, fund: f, each: month, fixd: 1.00}", 7, "没有这个字段，现为“fixd”，应为fixed"),
        (
            "{id: a, clause: 一, label: 甲, fund: f, each: month, fixed: 三元}",
            7,
            "写法不对，现为“三元”，应为以元为单位",
        ),
        ("{id: a, clause: 一, label: 甲, fund: f, each: week, fixed: 1.00}", 7, "不在可选范围内，现为“week”"),
        ("{id: a, clause: 一, label: 甲, fund: f, each: month", 8, "不是正确的 YAML 写法"),
    ],
)
def test_a_wrong_scheme_is_reported_by_line_without_amounts(tmp_path: Path, line: str, number: int, words: str) -> None:
    name = kept(tmp_path, f"{HEAD}  - {line}\n", "t.yaml")
    done = run("lint", name)
    assert done.exit_code == 1
    assert f"{name} 第 {number} 行" in done.stdout
    assert words in done.stdout
    found = refused("quote", name, kept(tmp_path, a_case()))
    assert found.code == "rulebook_faulty"
    assert words in "".join(found.details["problems"])


def test_a_scheme_with_a_fault_of_sense_is_not_quoted(tmp_path: Path) -> None:
    line = "{id: a, clause: 一, label: 甲, fund: f, each: month, pot: {fen: 9.00, weights: [{measure: area, percent: 99%}]}}"
    found = refused("quote", kept(tmp_path, f"{HEAD}  - {line}\n", "t.yaml"), kept(tmp_path, a_case(area=9)))
    assert found.code == "rulebook_faulty"
    assert "比例之和不对，现为“99%”，应为100%" in found.message


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("{", "不是正确的 JSON"),
        ("[]", "一组字段：day、each、canteens"),
        ({**a_case(), "day": "2026-02-30"}, "day：写法不对，现为“2026-02-30”，应为日期"),
        ({**a_case(), "each": "week"}, "month / quarter / year / once"),
        ({**a_case(), "canteens": []}, "canteens：项数不对"),
        (a_case(counts={"meal": 3}), "canteens[0].counts.meal：没有这个字段，现为“meal”，应为meals"),
        (a_case(counts={"meals": -3}), "canteens[0].counts.meals：超出范围"),
        (
            a_case(measures={"meals": 3}),
            "canteens[0].measures.meals：这个数有自己的位置，现为“meals”，应为counts.meals",
        ),
        (a_case(measures={"area": 3}), "应为area"),
        ({**a_case(), "canteens": [{"id": "c1"}, {"id": "c1"}]}, "canteens[1].id：同一食堂写了两次"),
        ({"diner": {"kind": "elder"}, "meal": {}}, "这是一餐的案例"),
    ],
)
def test_a_wrong_case_is_refused_with_its_place(tmp_path: Path, case: object, words: str) -> None:
    found = refused("quote", "funding/yingkou", kept(tmp_path, case))
    assert found.code == "case_faulty"
    assert words in found.message


def test_a_canteen_case_under_a_rulebook_is_recognised(tmp_path: Path) -> None:
    found = refused("quote", "lanzhou", kept(tmp_path, a_case()))
    assert found.code == "case_faulty"
    assert "这是食堂资金标准的案例" in found.message


def test_the_kind_is_known_by_the_form_alone(tmp_path: Path) -> None:
    for text, kind, message in (
        ((SCHEMES / "lanzhou.yaml").read_text(encoding="utf-8"), "rulebook", "按就餐补贴标准检查（有 stages）。"),
        (f"{HEAD}  - 9\n", "funding", "按食堂资金标准检查（有 lines）。"),
        (f"{HEAD}  - 9\nstages: []\n", "rulebook", "按就餐补贴标准检查（有 stages）。"),
        ("format: 1\n", "rulebook", "看不出是哪一种标准：就餐补贴标准写 stages，食堂资金标准写 lines。"),
    ):
        name = kept(tmp_path, text, "t.yaml")
        assert run("lint", name).stderr.startswith(message)
        assert json.loads(run("lint", name, "--json").stdout)["kind"] == kind


def test_where_only_rulebooks_go_a_scheme_is_named_as_one() -> None:
    text = (SCHEMES / "funding" / "yingkou.yaml").read_text(encoding="utf-8")
    with pytest.raises(yaml_reader.YamlFaulty) as faulty:
        yaml_reader.read(text)
    [one] = faulty.value.problems
    assert (one.line, one.problem.code) == (7, "funding_scheme")
    assert "这是食堂资金标准" in faulty.value.message


def test_days_of_a_case_may_be_written_as_numbers(tmp_path: Path) -> None:
    case = {**a_case(grade="good"), "day": days.of_iso("2026-03-02")}
    assert run("quote", "funding/yingkou", kept(tmp_path, case)).exit_code == 0
