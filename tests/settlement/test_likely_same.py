"""A meal on each of two entries that are likely one person is a finding at the close of either canteen."""

from __future__ import annotations

import json
from datetime import date

from canteen import clock
from canteen.db import transaction
from canteen.registry import elders
from canteen.registry.elders import NewFact
from canteen.settlement.audit import verify
from tests.rigs.states import state
from tests.settlement.conftest import MADE, Town, at

JAN5, JAN6, JAN7 = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)


@state
def double(town: Town) -> Town:
    """Her second entry, with a card of its own."""
    town.elder(name="李秀英")
    return town


def found(town: Town, month: str = "2026-01") -> list[tuple[str | None, int, list[str]]]:
    return [
        (str(one.sale_id), one.fen, json.loads(one.body)["also"])
        for one in town.findings(month)
        if one.code == "likely_same"
    ]


def test_a_meal_on_both_entries_is_named_with_the_other(double: Town):
    one = double.sell(JAN5, double.cards[0])[0]
    two = double.sell(JAN5, double.cards[1], minute=45)[0]
    double.sell(JAN6, double.cards[0])  # another day, and another meal of a day, are no question
    double.sell(JAN7, double.cards[0])
    double.sell(JAN7, double.cards[1], hour=17)
    double.close("2026-01")

    assert sorted(found(double)) == sorted([(one, 500, [two]), (two, 500, [one])])
    assert verify.period(double.period("2026-01").id).differences == ()


def test_a_voided_meal_and_merged_entries_are_no_question(double: Town):
    double.sell(JAN5, double.cards[0])
    double.void(double.sell(JAN5, double.cards[1], minute=45)[0], at(JAN5, 12))
    double.close("2026-01")
    assert found(double) == []
    with clock.at(at(date(2026, 2, 5))):
        double.sell(date(2026, 2, 5), double.cards[0])
        double.sell(date(2026, 2, 5), double.cards[1], minute=45)
    with clock.at(at(date(2026, 2, 6))), transaction() as session:
        one, two = double.elders
        elders.note(session, one, [NewFact("merged", str(two), date(2026, 2, 6))], "p-admin")
    double.close("2026-02")
    assert [finding.code for finding in double.findings("2026-02")] == ["excess_slot"]


def test_a_namesake_of_another_birth_date_is_no_question(town: Town):
    with clock.at(MADE):
        town.elder(name="李秀英", born=date(1950, 1, 1))
    town.sell(JAN5, town.cards[0])
    town.sell(JAN5, town.cards[1], minute=45)
    town.close("2026-01")
    assert found(town) == []
