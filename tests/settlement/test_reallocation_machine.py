"""Months of two canteens drawn by lot: sales, late records, voids, benefits moved. Every close computes the same twice."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from canteen import clock
from canteen.errors import Refusal
from canteen.settlement.audit import trial_balance, verify
from canteen.settlement.corrections import reallocation, reallocation_queries
from canteen.settlement.models import Finding
from tests import world
from tests.pos.books import book
from tests.settlement.conftest import MADE, Town, at

LIMITS = (
    "id: t.two, unit: meal, limit: 2, scope: person, window: month",
    "id: t.days, unit: day, limit: 2, scope: person, window: month",
    "id: t.fen, unit: fen, limit_fen: 10.00, scope: person, window: month",
    "id: t.day, unit: meal, limit: 1, scope: person, window: day",
)
MONTHS = ("2026-01", "2026-02", "2026-03", "2026-04")


@dataclass
class Machine:
    """Two canteens, two elders, and what is still on the tablets."""

    towns: list[Town]
    lot: random.Random
    kept: list[tuple[Town, dict[str, Any]]] = field(default_factory=list)
    sold: list[tuple[Town, str]] = field(default_factory=list)
    moved: int = 0

    def eat(self, month: int) -> None:
        for _ in range(9):
            town, card, hour = (
                self.lot.choice(self.towns),
                self.lot.choice(self.towns[0].cards),
                self.lot.choice((11, 17)),
            )
            day, minute = date(2026, month, self.lot.randint(9, 14)), self.lot.randint(0, 50)
            if self.lot.random() < 0.45:
                self.kept.append((town, town.sealed(day, card, hour=hour, minute=minute)))
            else:
                self.sold.append((town, town.sell(day, card, hour=hour, minute=minute)[0]))

    def bring(self, month: int) -> None:
        waiting, self.kept = self.kept, []
        self.lot.shuffle(waiting)
        for town, sealed in waiting:
            if self.lot.random() < 0.25:
                self.kept.append((town, sealed))
                continue
            (result,) = town.bring(at(date(2026, month, 15), 13), sealed)
            self.sold.append((town, result.sales[0]))

    def void(self, day: date) -> None:
        for one in [one for one in self.sold if self.lot.random() < 0.12]:
            assert one[0].void(one[1], at(day), refund=0).outcome == "created"
            self.sold.remove(one)

    def review(self, month: int) -> None:
        """Whatever may be given is given, from a meal drawn by lot or from what is free."""
        for town in self.towns:
            named = [one.id for one in town.findings(MONTHS[month - 1]) if one.code == "excess_slot"]
            for number in named:
                finding = town.session.get_one(Finding, number)
                assert finding.sale_id is not None
                ways = [None, *reallocation_queries.donors(town.session, finding.sale_id)]
                town.session.rollback()
                self.lot.shuffle(ways)
                self.moved += any(self._give(number, way, month) for way in ways)

    def _give(self, number: int, way: Any, month: int) -> bool:
        try:
            with clock.at(at(date(2026, month + 1, 6), 9)):
                reallocation.reallocate(number, reason="两餐核对", by="p-street", from_=way)
        except Refusal:
            return False
        return True


@pytest.mark.parametrize("seed", [0, 2, 11])
def test_months_in_which_benefits_move_compute_the_same_twice(app: Flask, session: Session, seed: int):
    lot = random.Random(seed)
    with clock.at(MADE):
        tills = [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in (1, 2)]
        budget = "" if seed % 3 else "limit: 60.00, window: month, at_end: stop"
        text = book(*lot.sample(LIMITS, lot.randint(1, 3)), rules=lot.randint(1, 2), budget=budget)
        world.a_rulebook(session, text)
    machine = Machine([Town(till, session) for till in tills], lot)
    for _ in range(2):
        machine.towns[0].elder()
    for month in (1, 2, 3):
        machine.eat(month)
        machine.bring(month)
        machine.void(date(2026, month, 16))
        for town in machine.towns:
            town.close(MONTHS[month - 1])
        machine.review(month)
        machine.void(date(2026, month + 1, 7))
    for town in machine.towns:
        town.close(MONTHS[-1])

    assert machine.moved
    for town in machine.towns:
        for name in MONTHS:
            assert verify.period(town.period(name).id).differences == ()
        session.rollback()
        assert not any(trial.missing for trial in trial_balance.trial(town.till.contract))
