"""More earlier usage never lowers the price; each excepted word is shown here with a price that falls.

docs/rulebook.md names the same words; tests/policy/test_properties.py tests all the others at random.
"""

import re

import pytest

from canteen.policy.case import Diner, Meal, MealCanteen, Taken
from canteen.policy.days import of_iso
from canteen.policy.quote import quote
from canteen.policy.rulebook import canonical, load
from canteen.rulebooks import yaml_reader
from tests.policy.test_manual import MANUAL
from tests.policy.test_properties import JUMPY

DAY = of_iso("2026-03-02")
HEAD = """\
format: 1
id: t
title: 测试
source: 测试
from: 2026-01-01
funds:
  - {id: city, name: 市级补贴, payer: subsidy}
  - {id: gift, name: 慈善, payer: donation}
allowances:
  - {id: t.day, unit: meal, scope: person, window: day, limit: 1}
  - {id: t.meals, unit: meal, scope: person, window: day, limit: 9}
  - {id: t.fen, unit: fen, scope: person, window: day, limit_fen: 5.00}
stages:
"""
STAGE = "  - id: s{number}\n    title: 步\n    pick: {pick}\n    rules:\n"
RULE = "      - {{id: r{number}, label: 助餐, reason: 甲, clause: 一, {words}}}\n"


def book(*stages: tuple[str, list[str]]) -> str:
    """Make a book of stages, each a pick and the words of its rules."""
    text, number = HEAD, 0
    for place, (pick, rules) in enumerate(stages):
        text += STAGE.format(number=place, pick=pick)
        for words in rules:
            number += 1
            text += RULE.format(number=number, words=words)
    return text


def due(text: str, price: int, *taken: Taken) -> int:
    return quote(
        load(canonical(yaml_reader.read(text))), Diner(), Meal(DAY, "lunch", MealCanteen("c"), amount=price), taken
    ).due


ONCE = Taken("t.day", str(DAY), count=1)
FALLS = {
    "used": (  # the second meal of the day is free
        book(("best", ["less: 1.00, fund: city, limits: t.meals", "free: all, fund: city, limits: t.meals, when: {used: {allowance: t.meals, from: 1}}"])),
        1200,
        Taken("t.meals", str(DAY), count=1),
        (1100, 0),
    ),
    "bill": (  # 12 - 2.50 does not reach 10, 12 does
        book(("best", ["less: 2.50, fund: city, limits: t.day"]), ("best", ["less: 3.00, fund: gift, when: {bill: {at_least: 10.00}}"])),
        1200,
        ONCE,
        (950, 900),
    ),
    "only_if": (  # 7 - 2.50 is not above 5, 7 is
        book(("best", ["less: 2.50, fund: city, limits: t.day"]), ("best", ["less: 5.00, fund: gift, only_if: bill_above_benefit"])),
        700,
        ONCE,
        (450, 200),
    ),
    "excludes": (  # who had the first may not have the second, which gives more
        book(("sum", ["less: 1.00, fund: city, limits: t.day", "less: 3.00, fund: gift, excludes: r1"])),
        1200,
        ONCE,
        (1100, 900),
    ),
    "rounding": (  # a tenth of 14.90 is one yuan, of 15.00 it is two
        book(("best", ["less: 0.10, fund: gift, limits: t.day"]), ("best", ["off: 10%, fund: city, rounding: {to: yuan}"])),
        1500,
        ONCE,
        (1390, 1300),
    ),
    "first": (  # the first that matches had its turn; the next gives more
        book(("first", ["less: 1.00, fund: city, limits: t.day", "less: 3.00, fund: gift"])),
        1200,
        ONCE,
        (1100, 900),
    ),
    "limits": (  # the better rule drew five yuan that two stages have in common; without it another giver steps in
        book(("best", ["less: 5.00, fund: city, limits: [t.day, t.fen]", "less: 4.00, fund: gift"]), ("best", ["less: 3.00, fund: city, limits: t.fen"])),
        1200,
        ONCE,
        (700, 500),
    ),
}  # fmt: skip


@pytest.mark.parametrize("word", FALLS)
def test_an_exception_is_one(word: str) -> None:
    text, price, used, (before, after) = FALLS[word]
    assert (due(text, price), due(text, price, used)) == (before, after)


def test_the_handbook_and_the_property_except_the_same_words() -> None:
    chapter = MANUAL.partition("## 用得越多不会越便宜")[2].partition("## 检查")[0]
    table = "".join(line.split("|")[1] for line in chapter.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"(\w+)`", table)) == {*FALLS} == {*JUMPY, "first", "limits"}
