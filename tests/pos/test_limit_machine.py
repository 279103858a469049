"""Sales, late records, voids, merges and their undoing in any order, beside a model of the limits that knows no table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, ClassVar

from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import transaction
from canteen.ledger import transfers
from canteen.registry import elders
from tests import world
from tests.pos.books import book
from tests.world import World

PEOPLE = 2
OFF, IN_A_WEEK, OF_A_MONTH, OF_THE_HOME, BUDGET = 500, 2, 1200, 5, 2200
BOOK = book(
    f"id: t.week, unit: meal, limit: {IN_A_WEEK}, scope: person, window: week",
    "id: t.month, unit: fen, limit_fen: 12.00, scope: person, window: month",
    f"id: t.home, unit: meal, limit: {OF_THE_HOME}, scope: household, window: month",
    budget="limit: 22.00, window: month, at_end: stop",
)
WHO = st.integers(0, PEOPLE - 1)
DAY = st.sampled_from([0, 1, 2, 7])


@dataclass
class Eaten:
    """A meal that was booked: whose card paid for it, and the fen of it that may be claimed."""

    sale: str
    eater: int
    day: date
    dinner: bool
    fen: int


class Model:
    """Count what the limits leave over a plain list of meals not voided; `into` maps merged entries."""

    def __init__(self) -> None:
        self.meals: list[Eaten] = []
        self.into: dict[int, int] = {}

    def root(self, who: int) -> int:
        while who in self.into:
            who = self.into[who]
        return who

    def left(self, who: int, day: date, *, dinner: bool) -> int:
        """Fen that one more meal would be given."""
        given = [meal for meal in self.meals if meal.fen]
        mine = [meal for meal in given if self.root(meal.eater) == self.root(who)]
        week = [meal for meal in mine if meal.day.isocalendar()[:2] == day.isocalendar()[:2]]
        same = [meal for meal in mine if (meal.day, meal.dinner) == (day, dinner)]
        if same or len(week) >= IN_A_WEEK or len(given) >= OF_THE_HOME:
            return 0
        rest = min(OF_A_MONTH - sum(meal.fen for meal in mine), BUDGET - sum(meal.fen for meal in given))
        return max(0, min(OFF, rest))  # two who were found to be one may have had more than one may


def months() -> Iterator[date]:
    """The second Monday of one month after the other: each play has a month, and its budget, of its own."""
    month = date(2026, 2, 1)
    while True:
        yield month + timedelta(days=7 + (7 - month.weekday()) % 7)
        month = (month + timedelta(days=31)).replace(day=1)


class Limits(RuleBasedStateMachine):
    """Plays on one database: a test gives it the session, the till and the months."""

    session: ClassVar[Session]
    till: ClassVar[World]
    mondays: ClassVar[Iterator[date]]

    def __init__(self) -> None:
        super().__init__()
        self.monday = next(self.mondays)
        self.model = Model()
        self.waiting: list[tuple[int, date, bool, int, dict[str, Any]]] = []
        self.open_before = self.open_fen()
        home = f"H-{self.monday}"
        self.ids = [world.an_elder(self.session, household=home) for _ in range(PEOPLE)]
        self.cards = [world.a_card(self.session, each) for each in self.ids]

    def open_fen(self) -> int:
        self.session.rollback()
        return transfers.balances(self.session, self.till.contract).get(("city", "open"), 0)

    def afterwards(self) -> datetime:
        return clock.instant(self.monday + timedelta(days=10), 600)

    @rule(who=WHO, day=DAY, dinner=st.booleans())
    def scan_and_keep(self, who: int, day: int, dinner: bool) -> None:
        """Sold, and the record waits on the tablet."""
        on = self.monday + timedelta(days=day)
        with clock.at(clock.instant(on, 1050 if dinner else 690)):
            body = world.checkout_body(self.till, [self.cards[who]])
            sealed = world.seal(self.till, body)
        quote = body["sales"][0]["quote"]
        assert quote["list"] - quote["due"] == self.model.left(who, on, dinner=dinner)
        self.waiting.append((who, on, dinner, quote["list"] - quote["due"], sealed | {"sale": body["sales"][0]["id"]}))

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 9))
    def bring(self, which: int) -> None:
        who, on, dinner, quoted, sealed = self.waiting.pop(which % len(self.waiting))
        sale = sealed.pop("sale")
        fen = min(quoted, self.model.left(who, on, dinner=dinner))
        with clock.at(self.afterwards()):
            result = world.bring(self.till, sealed)[0]
        assert result.outcome == ("created" if fen == quoted else "kept")
        self.model.meals.append(Eaten(sale, who, on, dinner, fen))

    @rule(who=WHO, day=DAY, dinner=st.booleans())
    def sell(self, who: int, day: int, dinner: bool) -> None:
        self.scan_and_keep(who, day, dinner)
        self.bring(len(self.waiting) - 1)

    @precondition(lambda self: self.model.meals)
    @rule(which=st.integers(0, 9))
    def void(self, which: int) -> None:
        meal = self.model.meals.pop(which % len(self.model.meals))
        with clock.at(self.afterwards()):
            result = world.bring(self.till, world.seal(self.till, world.void_body(meal.sale, fen=0), kind="void"))[0]
        assert result.outcome == "created"

    @precondition(lambda self: len(self.model.into) < PEOPLE - 1)
    @rule(who=WHO, into=WHO)
    def merge(self, who: int, into: int) -> None:
        who, into = self.model.root(who), self.model.root(into)
        if who == into:
            return
        self.note(who, elders.NewFact("merged", str(self.ids[into]), self.monday))
        self.model.into[who] = into

    @precondition(lambda self: self.model.into)
    @rule(which=st.integers(0, 9))
    def part(self, which: int) -> None:
        """The merge was a mistake."""
        who = sorted(self.model.into)[which % len(self.model.into)]
        facts = elders.facts_about(self.session, self.ids[who])
        mine = [fact for fact in facts if fact.kind == "merged" and fact.elder_id == self.ids[who] and fact.value]
        self.session.rollback()
        self.note(who, elders.NewFact("merged", "", self.monday, retracts=max(fact.id for fact in mine)))
        del self.model.into[who]

    def note(self, who: int, fact: elders.NewFact) -> None:
        with clock.at(self.afterwards()), transaction():
            elders.note(self.session, self.ids[who], [fact], "p-admin")

    @invariant()
    def what_may_be_claimed_is_what_the_model_says(self) -> None:
        assert self.open_fen() - self.open_before == sum(meal.fen for meal in self.model.meals)


def test_limits_are_what_a_plain_count_says_in_any_order(
    app: Flask, session: Session, rounds: Callable[[int, int], int]
) -> None:
    till = world.make(session)
    world.a_rulebook(session, BOOK)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        type("Here", (Limits,), {"session": session, "till": till, "mondays": months()}),
        settings=settings(
            max_examples=rounds(4, 150),
            stateful_step_count=rounds(14, 40),
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
