"""The first day an approval counts, and the last day after a death: counted on a paper calendar."""

from collections.abc import Mapping, Sequence

import pytest

from canteen.policy.case import Diner, Meal, MealCanteen
from canteen.policy.days import iso, of_iso
from canteen.policy.quote import quote
from canteen.policy.rulebook import canonical, load
from canteen.rulebooks import yaml_reader

BOOK = """\
format: 1
id: t
title: 测试
source: 测试
from: 2020-01-01
{words}
funds:
  - {{id: city, name: 市级补贴, payer: subsidy}}
stages:
  - id: meal
    title: 就餐补贴
    rules:
      - {{id: a, label: 助餐补贴, reason: 甲, clause: 一, when: {when}, less: 3.00, fund: city}}
"""


def due(
    words: str,
    when: str,
    on: str,
    since: Mapping[str, str],
    *,
    statuses: Sequence[str] = (),
    enrolled: Sequence[str] = (),
) -> int:
    """Return the price of a 12 yuan lunch for a diner with everything that `since` names."""
    had = {key.partition(":")[2] for key in since if key.startswith("class:")}
    diner = Diner(
        classes=tuple(sorted(had)),
        levels={"care": 3},
        benefits=("pension",),
        enrolled=tuple(enrolled),
        statuses=tuple(statuses),
        since={key: of_iso(day) for key, day in since.items()},
    )
    book = load(canonical(yaml_reader.read(BOOK.format(words=words, when=when))))
    return quote(book, diner, Meal(of_iso(on), "lunch", MealCanteen("c1"), amount=1200), ()).due


@pytest.mark.parametrize(
    ("approval", "approved", "first"),
    [
        ("same_day", "2026-03-05", "2026-03-05"),
        ("next_day", "2026-03-05", "2026-03-06"),
        ("next_day", "2026-12-31", "2027-01-01"),
        ("next_day", "2028-02-28", "2028-02-29"),
        ("next_month", "2026-03-01", "2026-04-01"),
        ("next_month", "2026-03-31", "2026-04-01"),
        ("next_month", "2026-12-01", "2027-01-01"),
    ],
)
def test_what_was_approved_counts_from_its_first_day_on(approval: str, approved: str, first: str) -> None:
    def asked(day: str) -> int:
        return due(f"approval: {approval}", "{class: dibao}", day, {"class:dibao": approved})

    assert asked(first) == 900
    if approval != "same_day":  # before the approval itself the roster does not name the class at all
        assert asked(iso(of_iso(first) - 1)) == 1200


@pytest.mark.parametrize(
    ("when", "key"),
    [
        ("{level: {scale: care, from: 3}}", "level:care"),
        ("{draws: pension}", "benefit:pension"),
        ('{enrolled: "@canteen"}', "enrolled:c1"),
        ("{any: [{class: tekun}, {not: {not: {draws: pension}}}]}", "benefit:pension"),
    ],
)
def test_all_that_is_approved_waits(when: str, key: str) -> None:
    def asked(day: str) -> int:
        return due("approval: next_month", when, day, {key: "2026-03-05"}, enrolled=["c1"])

    assert [asked("2026-03-31"), asked("2026-04-01")] == [1200, 900]


def test_what_the_roster_gives_no_day_for_counts_at_once() -> None:
    assert due("approval: next_month", "{draws: pension}", "2026-03-05", {}) == 900


@pytest.mark.parametrize(
    ("words", "on", "expected"),
    [
        ("death: date", "2026-03-10", 1200),  # the roster names the status from the day after the death on
        ("death: month_end", "2026-03-10", 900),
        ("death: month_end", "2026-03-31", 900),
        ("death: month_end", "2026-04-01", 1200),
        ("", "2026-04-01", 900),  # a rulebook that does not say when it stops does not stop of itself
    ],
)
def test_a_rulebook_stops_after_a_death_as_it_says(words: str, on: str, expected: int) -> None:
    died = {"status:deceased": "2026-03-09"}
    assert due(words, "{kind: elder}", on, died, statuses=["deceased"]) == expected


@pytest.mark.parametrize(("on", "expected"), [("2026-03-31", 900), ("2026-04-01", 1200)])
def test_a_status_condition_sees_a_death_when_the_rulebook_does(on: str, expected: int) -> None:
    when = "{not: {status: [institution, deceased]}}"
    died = {"status:deceased": "2026-03-09"}
    assert due("death: month_end", when, on, died, statuses=["deceased"]) == expected
    assert due("death: month_end", when, on, died, statuses=["institution"]) == 1200
