"""A replay is compared with what was booked: voids, merged persons, households and earlier limits count as then."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

from flask import Flask
from sqlalchemy.orm import Session

from canteen import clock, jobs
from canteen.db import transaction
from canteen.registry import elders
from canteen.registry.elders import NewFact
from canteen.rulebooks import yaml_reader
from canteen.ruledesk.simulation import meal_replay, simulation_jobs
from tests import world
from tests.rigs.states import state
from tests.settlement.conftest import MADE, Town, at, people

JAN5, JAN6, JAN7 = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)
MORE = world.GUARDED.replace("less: 5.00", "less: 6.50")


def limited(text: str, **words: str) -> str:
    """Return the rulebook with one limit of these words on its rule."""
    allowance = ", ".join(f"{name}: {value}" for name, value in {"id": "test.cap", "unit": "meal", **words}.items())
    return f"{text}        limits: [test.cap]\nallowances:\n  - {{{allowance}}}\n"


HOUSEHOLD = limited(MORE, scope="household", window="day", limit="1")


@state
def town(app: Flask, session: Session) -> Town:
    with clock.at(MADE):
        till = world.make(session)
        world.a_rulebook(session)
        people(session, "p-manager")
    return Town(till, session)


def replay(text: str, *months: str, layer: str = "city", node: str = world.CITY) -> dict[str, Any]:
    return meal_replay.run(yaml_reader.read(text), layer, node, months or ("2026-01",), lambda _done, _total: True)


def fact(town: Town, elder: uuid.UUID, kind: str, value: str, since: date) -> None:
    with clock.at(MADE), transaction():
        elders.note(town.session, elder, [NewFact(kind, value, since)], "p-admin")


def test_a_meal_priced_before_a_void_keeps_its_price(town: Town) -> None:
    town.elder()
    first = town.sell(JAN5, town.cards[0])[0]
    town.sell(JAN5, town.cards[0], minute=40)  # the second of the period, at full price
    town.void(first, at(JAN5, 12))
    town.sell(JAN5, town.cards[0], hour=12, minute=20)  # the limit is free again

    same, more = replay(world.GUARDED), replay(MORE)

    assert (same["meals"], same["voided"], same["changed"]) == (2, 1, 0)
    assert same["subsidy"] == [500, 500]
    assert more["subsidy"] == [500, 650]


def test_before_is_what_was_booked_not_what_the_rules_say(town: Town) -> None:
    town.elder()
    waiting = [town.sealed(JAN5, town.cards[0], minute=n) for n in (30, 40)]  # neither tablet knew of the other
    town.bring(at(JAN5, 15), *waiting)

    found = replay(world.GUARDED)

    assert found["due"] == [1400, 1900]  # seven yuan twice as paid; by the rules the second at full price
    assert found["subsidy"] == [500, 500]
    assert found["unsettled"] == 500
    assert found["people"]["lose"] == [1, 500]


def test_merged_persons_share_limits_and_gains(town: Town) -> None:
    town.elder()
    town.elder()
    fact(town, town.elders[0], "merged", str(town.elders[1]), MADE.date())
    for day, card in zip((JAN5, JAN6, JAN7), (town.cards[0], town.cards[1], town.cards[0]), strict=True):
        town.sell(day, card)

    found = replay(limited(MORE, scope="person", window="month", limit="2"))

    assert found["subsidy"] == [1500, 1300]
    assert found["people"] == {"gain": [0, 0], "lose": [1, 200], "same": [0, 0]}
    assert found["most_lose"][0]["meals"] == 3


def test_a_household_limit_is_shared_by_those_of_that_day(town: Town) -> None:
    for _ in range(2):
        town.elder(household="h1")
    fact(town, town.elders[1], "household", "h2", JAN7)
    for day in (JAN6, JAN7):
        town.sell(day, *town.cards)

    found = replay(HOUSEHOLD)

    assert (found["meals"], found["open"]) == (4, 0)
    assert [found["by"]["day"][day.isoformat()][2] for day in (JAN6, JAN7)] == [650, 1300]


def test_only_meals_of_unknown_households_stay_open(town: Town) -> None:
    town.elder(household="h1")
    town.elder()
    town.elder(born=date(1990, 1, 1))  # too young for the rule: the household does not matter
    town.sell(JAN6, *town.cards)

    found = replay(HOUSEHOLD)

    assert (found["meals"], found["open"], found["open_why"]) == (2, 1, {"household": 1})


def test_unmetered_yearly_limit_leaves_only_dependent_meals_open(
    town: Town,
) -> None:
    town.elder()
    town.elder(born=date(1990, 1, 1))
    for day in (JAN5, date(2026, 2, 3)):
        town.sell(day, *town.cards)
    yearly = limited(MORE, scope="person", window="year", limit="100")

    alone, whole = replay(yearly, "2026-02"), replay(yearly, "2026-01", "2026-02")

    assert (alone["meals"], alone["open_why"]) == (1, {"used_before": 1})
    assert (whole["meals"], whole["open"]) == (4, 0)


def test_usage_between_replayed_months_is_read_from_the_books(town: Town) -> None:
    town.elder()
    counted = limited(world.GUARDED, scope="person", window="quarter", limit="3")
    with clock.at(MADE):
        world.a_rulebook(town.session, counted, from_day=date(2026, 1, 3))
    for day in (JAN5, date(2026, 2, 3), date(2026, 3, 3), date(2026, 3, 4)):
        town.sell(day, town.cards[0])

    found = replay(counted.replace("less: 5.00", "less: 6.00"), "2026-01", "2026-03")

    assert (found["meals"], found["open"]) == (3, 0)
    assert found["subsidy"] == [1000, 1200]  # the third of March is the quarter's last


def test_limits_used_elsewhere_count_but_meals_there_do_not(town: Town) -> None:
    town.elder()
    other = Town(world.make(town.session, canteen="c2", contract="k2", tablet="t2"), town.session)
    town.sell(JAN5, town.cards[0])
    other.sell(JAN5, town.cards[0], minute=45)

    found = replay(MORE, layer="canteen", node="c2")

    assert (found["meals"], found["subsidy"]) == (1, [0, 0])


def asked(text: str, by: str = "p-admin") -> int:
    return simulation_jobs.ask(yaml_reader.read(text), layer="city", node_id=world.CITY, over=["2026-01"], by=by)


def test_a_killed_simulation_restarts_when_its_lease_ends(town: Town) -> None:
    town.elder()
    town.sell(JAN5, town.cards[0])
    number = asked(MORE)
    assert jobs.take(simulation_jobs.JOB, str(number), "killed", simulation_jobs.LEASE)

    assert simulation_jobs.tick("other") == {}
    with clock.at(clock.now() + simulation_jobs.LEASE + timedelta(seconds=1)):
        assert simulation_jobs.tick("other") == {f"{simulation_jobs.JOB}/{number}": "done"}


def test_two_schedulers_run_each_of_two_simulations_once(app: Flask, town: Town) -> None:
    town.elder()
    town.sell(JAN5, town.cards[0])
    numbers = [asked(MORE), asked(world.GUARDED, by="p-chief")]
    assert simulation_jobs.ahead(town.session, simulation_jobs.find(town.session, numbers[1])) == 1
    town.session.rollback()

    def work(holder: str) -> dict[str, str]:
        with app.app_context():
            return simulation_jobs.tick(holder)

    with ThreadPoolExecutor(2) as pool:
        outcomes = [outcome for each in pool.map(work, ("one", "two")) for outcome in each.items()]

    assert sorted(outcomes) == [(f"{simulation_jobs.JOB}/{number}", "done") for number in numbers]
    town.session.expire_all()
    results = [simulation_jobs.result(simulation_jobs.find(town.session, number)) for number in numbers]
    assert [found["subsidy"] for found in results if found] == [[500, 650], [500, 500]]
