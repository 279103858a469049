"""Totals of a replay: cost by fund, district, canteen, age band and class; who gains or loses; what stays open."""

from __future__ import annotations

import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from canteen import clock
from canteen.policy import days
from canteen.policy.case import Diner
from canteen.ruledesk.simulation.usage_replay import MealResult

TOP = 20
_BANDS = (
    (0, 60, "60 岁以下"),
    (60, 70, "60–69 岁"),
    (70, 80, "70–79 岁"),
    (80, 90, "80–89 岁"),
    (90, 999, "90 岁及以上"),
)


@dataclass
class Totals:
    """Totals over the meals that were compared; open ones are only counted."""

    meals: int = 0
    changed: int = 0
    voided: int = 0
    list_fen: int = 0
    unsettled: int = 0  # fen sold as subsidy and excluded from settlement: the operator bore them
    due: list[int] = field(default_factory=lambda: [0, 0])
    subsidy: list[int] = field(default_factory=lambda: [0, 0])
    funds: dict[str, list[Any]] = field(default_factory=dict)
    by: dict[str, dict[str, list[int]]] = field(default_factory=lambda: defaultdict(dict))
    people: dict[uuid.UUID, list[Any]] = field(default_factory=dict)  # person -> [fen saved, meals, age, canteen]
    open: Counter[str] = field(default_factory=Counter)

    def add(self, sale: Any, person: uuid.UUID | None, diner: Diner, before: MealResult, after: MealResult) -> None:
        """Add one meal as it was booked and as it would have been."""
        self.meals += 1
        self.changed += before.funds != after.funds
        self.list_fen += sale.list_fen
        for place, one in enumerate((before, after)):
            self.due[place] += one.due
            self.subsidy[place] += one.subsidy
            for (fund, payer), fen in one.funds.items():
                self.funds.setdefault(fund, [0, 0, payer])[place] += fen
        years = None if diner.birth_day is None else days.age(diner.birth_day, clock.civil(sale.service_day))
        for kind, keys in (
            ("district", (sale.district_id,)),
            ("canteen", (sale.canteen_id,)),
            ("age", (_band(years),)),
            ("class", diner.classes or ("",)),
            ("day", (sale.service_day.isoformat(),)),
        ):
            for key in keys:
                row = self.by[kind].setdefault(key, [0, 0, 0])
                row[0] += 1
                row[1] += before.subsidy
                row[2] += after.subsidy
        if person is not None:
            theirs = self.people.setdefault(person, [0, 0, None, ""])
            theirs[0] += before.due - after.due
            theirs[1] += 1
            theirs[2:] = years, sale.canteen_id

    def document(self) -> dict[str, Any]:
        """Return everything as JSON; people by who gains and loses most, ties by id."""
        changes = {str(person): row for person, row in self.people.items() if row[0]}
        ordered = sorted(changes.items(), key=lambda one: (one[1][0], one[0]))
        gain = [row[0] for row in changes.values() if row[0] > 0]
        lose = [-row[0] for row in changes.values() if row[0] < 0]
        return {
            "meals": self.meals,
            "changed": self.changed,
            "voided": self.voided,
            "list": self.list_fen,
            "unsettled": self.unsettled,
            "due": self.due,
            "subsidy": self.subsidy,
            "funds": self.funds,
            "by": {kind: dict(sorted(rows.items())) for kind, rows in self.by.items()},
            "people": {
                "gain": [len(gain), sum(gain)],
                "lose": [len(lose), sum(lose)],
                "same": [len(self.people) - len(changes), 0],
            },
            "most_gain": [_person(one) for one in reversed(ordered[-TOP:]) if one[1][0] > 0],
            "most_lose": [_person(one) for one in ordered[:TOP] if one[1][0] < 0],
            "open": sum(self.open.values()),
            "open_why": dict(self.open),
        }


def _band(years: int | None) -> str:
    return "非老人" if years is None else next(word for low, high, word in _BANDS if low <= years < high or high == 999)


def _person(one: tuple[str, list[Any]]) -> dict[str, Any]:
    elder, (saved, meals, years, canteen) = one
    return {"elder": elder, "fen": saved, "meals": meals, "age": years, "canteen": canteen}
