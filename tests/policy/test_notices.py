"""Invented notices test the language: both engines lint and price each as computed by hand."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from canteen.policy import rulebook as books
from canteen.rulebooks import yaml_reader, yaml_writer
from tests.policy.tablet import Tablet, ours
from tests.policy.test_manual import case_of

NOTICES = sorted((Path(__file__).parent / "notices").glob("[0-9]*.md"))
BLOCK = re.compile(r"^```(yaml|case)\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Expected(NamedTuple):
    """One case: the differences from the usual, the price, and where given the shares by fund and the checks."""

    text: str
    due: str
    shares: str | None
    checks: str | None


def blocks(path: Path, kind: str) -> list[str]:
    return [text for found, text in BLOCK.findall(path.read_text(encoding="utf-8")) if found == kind]


def cases() -> Iterator[Any]:
    for path in NOTICES:
        for place, line in enumerate(one for text in blocks(path, "case") for one in text.splitlines()):
            case, _, answer = line.partition("  # ")[0].partition(" => ")
            due, *more = (part.strip() for part in answer.split("|"))
            shares, checks = (*more, None, None)[:2]
            yield pytest.param(path, Expected(case, due, shares, checks), id=f"{path.stem}-{place}")


@pytest.fixture(scope="module")
def tablet() -> Iterator[Tablet]:
    with Tablet() as tablet:
        yield tablet


def body_of(path: Path) -> bytes:
    return books.join([books.canonical(yaml_reader.read(text)) for text in blocks(path, "yaml")])


def shown_check(check: dict[str, Any]) -> str:
    amount = f" {yuan(check['limit'])}" if check["code"] == "suggested" else ""
    breach = " breach" if check["code"] == "ceiling" and check["breach"] else ""
    return f"{check['code']}{amount}{breach}"


def yuan(fen: int) -> str:
    return f"{fen // 100}.{fen % 100:02d}"


@pytest.mark.parametrize(("path", "expected"), list(cases()))
def test_a_notice_gives_the_price_computed_by_hand(tablet: Tablet, path: Path, expected: Expected) -> None:
    body, text = body_of(path), case_of(expected.text)
    mine = ours(body, [text])
    assert mine == tablet.answers(body, [text])
    [answer] = mine["answers"]
    quote = json.loads(answer["quote"])
    by_fund: dict[str, int] = {}
    for share in quote["shares"]:
        by_fund[share["fund"]] = by_fund.get(share["fund"], 0) + share["fen"]
    shown = ", ".join(f"{fund} {yuan(fen)}" for fund, fen in by_fund.items())
    checks = ", ".join(shown_check(one) for one in quote["checks"])
    assert yuan(quote["due"]) == expected.due, answer["say"]["audit"]
    assert expected.shares in (None, shown)
    assert expected.checks in (None, checks)


@pytest.mark.parametrize("path", NOTICES, ids=lambda path: path.stem)
def test_a_notice_passes_lint_and_can_be_written_back(path: Path) -> None:
    texts = blocks(path, "yaml")
    assert texts
    assert len([case for case in cases() if case.values[0] == path]) >= 3
    for text in texts:
        document = yaml_reader.read(text)
        assert [str(one) for one in books.lint(document)] == []
        assert yaml_reader.read(yaml_writer.write(document)) == document
    assert books.lint_layers([books.canonical(yaml_reader.read(text)) for text in texts]) == []
