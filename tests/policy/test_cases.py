"""Both engines give published prices and prices computed by hand, to the fen."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from canteen.policy import days
from canteen.policy import rulebook as books
from canteen.rulebooks import yaml_reader
from tests.policy.tablet import ROOT, Tablet, ours

CASES = ROOT / "tests" / "cases"
BOOKS = CASES / "books"  # of no place: the smallest that show one word
SCHEMES = ROOT / "canteen" / "policy" / "schemes"
DAYS = ("day", "birth_day", "residence_since")


@pytest.fixture(scope="module")
def tablet() -> Iterator[Tablet]:
    with Tablet() as tablet:
        yield tablet


def scheme(name: str) -> bytes:
    path = next(one for one in (SCHEMES / f"{name}.yaml", BOOKS / f"{name}.yaml") if one.exists())
    return books.canonical(yaml_reader.read(path.read_text(encoding="utf-8")))


def file_cases() -> Iterator[Any]:
    for path in sorted(CASES.glob("*.json")):
        file = json.loads(path.read_text(encoding="utf-8"))
        for case in file["cases"]:
            yield pytest.param(file, case, id=f"{path.stem}: {case['name']}")


def case_of(usual: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    return {
        "diner": numbered({**usual["diner"], **case.get("diner", {})}),
        "meal": numbered(meal_of(usual["meal"], case.get("meal", {}))),
        "taken": [
            {**one, "window": window(one["window"]), "days": [days.of_iso(day) for day in one.get("days", ())]}
            for one in case.get("taken", ())
        ],
    }


def meal_of(usual: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    found = {**usual, **own}
    if "amount" in own:
        del found["lines"]
    return found


def numbered(part: dict[str, Any]) -> dict[str, Any]:
    found = {key: days.of_iso(value) if key in DAYS and value else value for key, value in part.items()}
    if "since" in part:
        found["since"] = {key: days.of_iso(value) for key, value in part["since"].items()}
    return found


def window(text: str) -> str:
    day, slash, period = text.partition("/")
    return f"{days.of_iso(day)}{slash}{period}"


@pytest.mark.parametrize(("file", "case"), list(file_cases()))
def test_the_price_is_the_expected_one(tablet: Tablet, file: dict[str, Any], case: dict[str, Any]) -> None:
    body = books.join([scheme(name) for name in file["books"]])
    text = json.dumps(case_of(file["usual"], case))
    mine, theirs = ours(body, [text]), tablet.answers(body, [text])
    assert mine == theirs
    quote = json.loads(mine["answers"][0]["quote"])

    assert quote["due"] == case["due"], mine["answers"][0]["say"]["audit"]
    if "shares" in case:
        by_fund: dict[str, int] = {}
        for share in quote["shares"]:
            by_fund[share["fund"]] = by_fund.get(share["fund"], 0) + share["fen"]
        assert by_fund == case["shares"]
    assert sum(one["fen"] for one in quote.get("surcharges", ())) == case.get("surcharge", 0)
    if "uses" in case:
        assert {one["allowance"]: one["amount"] for one in quote["uses"] if one["unit"] == "fen"} == case["uses"]
    passed = {one["rule"]: one["why"] for one in quote["passed"]}
    assert {rule: passed.get(rule) for rule in case.get("passed", {})} == case.get("passed", {})
    if "checks" in case:
        assert {one["code"]: one["breach"] for one in quote["checks"]} == case["checks"]


def test_every_case_names_the_origin_of_its_price() -> None:
    for one in file_cases():
        assert one.values[1]["origin"], one.id


@pytest.mark.parametrize("path", sorted(SCHEMES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scheme_may_be_published(path: Path) -> None:
    document = yaml_reader.read(path.read_text(encoding="utf-8"))
    assert document["id"] == path.stem
    assert [str(problem) for problem in books.lint(document) if problem.severity == "error"] == []


@pytest.mark.parametrize("path", sorted(SCHEMES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_scheme_has_cases(path: Path) -> None:
    if path.stem.startswith("demo-"):
        return
    assert any(path.stem in json.loads(one.read_text(encoding="utf-8"))["books"] for one in CASES.glob("*.json"))
