"""canteen policy quote and lint: without a database, for people and for programs."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from canteen.cli import cli
from canteen.commands.policy import SCHEMES
from canteen.errors import Refusal
from canteen.policy import days
from canteen.policy.quote import quote_schema

CASE: dict[str, Any] = {
    "diner": {"kind": "elder", "birth_day": days.of_iso("1950-05-01"), "hukou": ["620102"], "classes": ["dibao"]},
    "meal": {
        "day": days.of_iso("2026-03-02"),
        "period": "lunch",
        "canteen": {"id": "c1", "areas": ["620102"]},
        "lines": [{"item": "set", "fen": 1500, "qty": 1}],
    },
}


def kept(folder: Path, text: str, name: str = "case.json") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_case_is_priced_as_json(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["policy", "quote", "lanzhou", kept(tmp_path, json.dumps(CASE)), "--json"])
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    jsonschema.validate(found, quote_schema())
    assert (found["list"], found["due"]) == (1500, 300)


def test_a_case_takes_calendar_days_as_the_manual_shows(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "docs" / "rulebook.md").read_text(encoding="utf-8")
    written = json.loads(manual.partition("```json\n")[2].partition("```")[0])
    since = {"diner": {**written["diner"], "since": {"class:dibao": "2026-01-01"}}, "meal": written["meal"]}
    used = {**written, "taken": [{"allowance": "zengcheng.meal", "window": "2026-03-02/lunch", "days": ["2026-03-02"]}]}
    for case in (written, since, used):
        done = CliRunner().invoke(cli, ["policy", "quote", "zengcheng", kept(tmp_path, json.dumps(case)), "--json"])
        assert (done.exit_code, json.loads(done.stdout)["list"]) == (0, 1200)
    wrong = {**written, "meal": {**written["meal"], "day": "2026-02-30"}}
    refused = CliRunner().invoke(cli, ["policy", "quote", "zengcheng", kept(tmp_path, json.dumps(wrong))]).exception
    assert isinstance(refused, Refusal)
    assert "meal.day" in refused.message


def test_a_case_is_explained_in_two_sentences(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["policy", "quote", "lanzhou", kept(tmp_path, json.dumps(CASE))])
    counter, audit = done.stdout.splitlines()
    assert counter == "原价15.00元，助餐补贴12.00元，请付3.00元。"
    assert "lanzhou/meal" in audit


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "不是正确的 JSON"),
        ("[]", "应为一组字段"),
        ("9" * 5000, "不是正确的 JSON"),
        (json.dumps({**CASE, "diner": {"kind": "cat"}}), "diner.kind"),
        (json.dumps({**CASE, "meal": {**CASE["meal"], "lines": []}}), "没有菜品明细"),
        ("[" * 100_000, "不是正确的 JSON"),
    ],
)
def test_a_faulty_case_is_refused_with_a_sentence(tmp_path: Path, text: str, words: str) -> None:
    refused = CliRunner().invoke(cli, ["policy", "quote", "lanzhou", kept(tmp_path, text)]).exception
    assert isinstance(refused, Refusal)
    assert refused.code == "case_faulty"
    assert words in refused.message


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for arguments in (["lint", "nowhere"], ["quote", "lanzhou", str(tmp_path / "none.json")]):
        refused = CliRunner().invoke(cli, ["policy", *arguments]).exception
        assert isinstance(refused, Refusal)
        assert refused.code == "file_missing"


def test_a_sound_scheme_passes_the_lint() -> None:
    done = CliRunner().invoke(cli, ["policy", "lint", "zengcheng"])
    assert (done.exit_code, done.stdout) == (0, "未发现问题。\n")


def test_the_lint_names_line_and_place_and_fails_on_an_error(tmp_path: Path) -> None:
    scheme = (
        "format: 1\nid: t\ntitle: 例\nsource: 例\nfrom: 2026-01-01\nstages:\n  - id: s\n    title: 例\n    rules:\n"
    )
    rule = "      - {id: a, label: 低保餐, reason: 例, clause: 例, less: 3.00, fund: city}\n"
    done = CliRunner().invoke(cli, ["policy", "lint", kept(tmp_path, scheme + rule, "t.yaml"), "--json"])
    assert done.exit_code == 1
    problems = json.loads(done.stdout)["problems"]
    assert [(one["line"], one["code"]) for one in problems] == [(10, "unknown_fund"), (10, "label_tells_class")]
    assert {(one["file"], one["clause"]) for one in problems} == {(str(tmp_path / "t.yaml"), "例")}


def test_an_error_names_file_line_clause_found_and_expected(tmp_path: Path) -> None:
    text = (SCHEMES / "lanzhou.yaml").read_text(encoding="utf-8").replace("fund: district", "fund: town")
    name = kept(tmp_path, text, "t.yaml")
    done = CliRunner().invoke(cli, ["policy", "lint", name])
    [line] = [one for one in done.stdout.splitlines() if "town" in one]
    number = next(place for place, one in enumerate(text.splitlines(), 1) if "fund: town" in one)
    clause = "收费标准"
    assert line.startswith(f"{name} 第 {number} 行（{clause}） stages[0]")
    assert "没有定义这项资金，现为“town”，应为" in line
    broken = kept(tmp_path, text.replace("from: 20", "from: 2O", 1), "u.yaml")
    refused = CliRunner().invoke(cli, ["policy", "quote", broken, broken]).exception
    assert isinstance(refused, Refusal)
    assert f"{broken} 第 " in refused.message


def test_a_text_that_is_no_yaml_is_reported_by_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["policy", "lint", kept(tmp_path, "format: 1\nformat: 1\n", "t.yaml")])
    assert done.exit_code == 1
    assert done.stdout.startswith(f"{tmp_path / 't.yaml'} 第 2 行")


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_bytes("标题".encode("gb18030"))
    refused = CliRunner().invoke(cli, ["policy", "lint", str(path)]).exception
    assert isinstance(refused, Refusal)
    assert "UTF-8" in refused.message
