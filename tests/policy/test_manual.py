"""Every example of docs/rulebook.md is true, in both engines, and every word of the language has one."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from canteen import money
from canteen.policy import benefits, conditions, days
from canteen.policy import rulebook as books
from canteen.policy.grammar import PICKS, RULEBOOK
from canteen.rulebooks import yaml_reader
from tests.policy.tablet import ROOT, Tablet, ours

MANUAL = (ROOT / "docs" / "rulebook.md").read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^### `(\w+)`\n(?:.*?)```yaml\n(.*?)```\n```case\n(.*?)```", re.MULTILINE | re.DOTALL)
EXAMPLES = [(word, fragment, line) for word, fragment, lines in EXAMPLE.findall(MANUAL) for line in lines.splitlines()]

HOME = ["440000", "440100", "440118", "440118103"]
BOOK = {"format": "1", "id": "doc", "title": "例", "source": "手册", "from": "2020-01-01"}
FUNDS = [
    {"id": "city", "name": "市级补贴", "payer": "subsidy"},
    {"id": "district", "name": "区级补贴", "payer": "subsidy"},
    {"id": "canteen", "name": "餐厅让利", "payer": "concession"},
]
RULE = {"id": "it", "label": "助餐补贴", "reason": "例", "clause": "例"}
STAGE = {"id": "it", "title": "例"}
OF_BOOK = ("funds", "allowances", "sets", "age", "guard", "approval", "death")
OF_DINER = ("kind", "birth_day", "hukou", "residence", "residence_since", "classes", "levels", "statuses", "enrolled")
DAYS = ("birth_day", "residence_since", "day")


@pytest.fixture(scope="module")
def tablet() -> Iterator[Tablet]:
    with Tablet() as tablet:
        yield tablet


def bare(text: str) -> Any:
    return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - the loader of bare texts makes no objects


def book_of(fragment: str) -> bytes:
    written = bare(fragment)
    own = {word: written.pop(word) for word in OF_BOOK if word in written}
    stage = {**STAGE, **written} if "rules" in written else {**STAGE, "rules": [written]}
    stage["rules"] = [rule_of(rule) for rule in stage["rules"]]
    document = {**BOOK, "funds": FUNDS, **own, "stages": [stage]}
    return books.canonical(yaml_reader.read(yaml.safe_dump(document, allow_unicode=True, default_style='"')))


def rule_of(rule: dict[str, Any]) -> dict[str, Any]:
    whole = {**RULE, **rule}
    if not {"fund", "split", "ceiling", "ceiling_fen", "count"} & set(whole):
        whole["fund"] = "city"
    return whole


def case_of(text: str) -> str:
    own = typed(bare(text))
    if "age" in own:
        own["birth_day"] = days.civil(2026 - own.pop("age"), 1, 1)
    diner = {"kind": "elder", "birth_day": days.civil(1951, 1, 1), "hukou": HOME, "residence": HOME}
    diner |= {word: own.pop(word) for word in (*OF_DINER, "benefits", "since") if word in own}
    canteen = {"id": "c1", "areas": HOME, **own.pop("canteen", {})}
    taken = [{**one, "window": window(one["window"])} for one in own.pop("taken", [])]
    usual = {"day": days.of_iso("2026-03-02"), "period": "lunch", "lines": [{"item": "set", "fen": 1200, "qty": 1}]}
    return json.dumps({"diner": diner, "meal": {**usual, **own, "canteen": canteen}, "taken": taken})


def typed(value: Any, word: str = "") -> Any:
    """Convert numbers and days of a case; codes and windows stay text."""
    if isinstance(value, dict):
        return {key: typed(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [typed(inner, word) for inner in value]
    if word in (*DAYS, "days") or ":" in word:
        return days.of_iso(value)
    return int(value) if word not in ("hukou", "residence", "areas") and re.fullmatch(r"-?\d+", value) else value


def window(text: str) -> str:
    day, slash, period = text.partition("/")
    return f"{days.of_iso(day)}{slash}{period}"


@pytest.mark.parametrize(("word", "fragment", "line"), EXAMPLES, ids=lambda text: text if len(text) < 30 else "")
def test_the_example_gives_its_price(tablet: Tablet, word: str, fragment: str, line: str) -> None:
    asked, _, price = line.partition(" => ")
    body, text = book_of(fragment), case_of(asked)
    mine = ours(body, [text])
    assert mine == tablet.answers(body, [text])
    assert money.show(json.loads(mine["answers"][0]["quote"])["due"]) == price, (word, mine)


def test_every_word_has_an_example() -> None:
    named = {word for word, _, _ in EXAMPLES}
    assert {*conditions.MAKERS, *benefits.MAKERS, *PICKS} <= named
    assert set(RULEBOOK.needed) | set(RULEBOOK.maybe) <= set(re.findall(r"`(\w+)`", MANUAL))


def test_every_fragment_may_be_published() -> None:
    for word, fragment, _ in EXAMPLES:
        problems = [str(one) for one in books.lint(books.parse(book_of(fragment))) if one.severity == "error"]
        assert problems == [], word
