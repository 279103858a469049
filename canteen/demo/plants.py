"""The faults for a reviewer to find in the newest closed month: each kind of finding once, and beside it one that looks alike
and is none. Everything goes the way of any other meal; only what the tablet or the street does is unusual.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from canteen import clock
from canteen.clock import Span
from canteen.demo import city
from canteen.demo.elders import Somebody
from canteen.demo.plan import Outage
from canteen.demo.sites import site
from canteen.demo.tills import Document, Till, Wish

LATE = timedelta(minutes=9)  # a clock so wrong is named
NEARLY = timedelta(minutes=4, seconds=50)  # and so wrong is not
SHORT = 100  # fen missing from a payment
# The players of each part, and the canteen in whose street they live.
ROLES = {
    "price": "demo-quanan",
    "price_near": "demo-quanan",
    "excess": "demo-guilin",
    "excess_near": "demo-guilin",
    "gap": "demo-kaixuan",
    "gap_near": "demo-kaixuan",
    "gap_near_2": "demo-kaixuan",
    "fork": "demo-jingyue",
    "fork_2": "demo-jingyue",
    "fork_near": "demo-jingyue",
    "clock": "demo-luxiang",
    "clock_near": "demo-luxiang",
    "death": "demo-guilin",
    "death_near": "demo-guilin",
    "payment": "demo-dongsheng",
    "payment_near": "demo-dongsheng",
    "outside": "demo-nanhu",
    "late": "demo-luxiang",
}
CLASSED = {"price", "price_near"}
CLASS = "dibao"


@dataclass(frozen=True, slots=True)
class Act:
    """Something that is done at an instant; acts are done in the order of time.

    waits   it leaves its rows to be written before the next act that does not
    """

    at: datetime
    run: Callable[[], None]
    waits: bool = False


def cast(people: list[Somebody], today: date) -> dict[str, Somebody]:
    """Choose who plays; they are changed in `people`: registered where they live, with the class that the part asks for."""
    chosen: dict[str, Somebody] = {}
    for role, where in ROLES.items():
        street = site(where).street
        at = next(
            n
            for n, one in enumerate(people)
            if one.residence.startswith(street) and 62 <= one.age(today) <= 88 and one not in chosen.values()
        )
        classes = (CLASS,) if role in CLASSED else ()
        people[at] = replace(people[at], classes=classes, care=0, hukou=people[at].residence)
        chosen[role] = people[at]
    return chosen


@dataclass(slots=True)
class Stage:
    """The days on which the parts are played, and what they are played with."""

    month: Span
    cast: Mapping[str, Somebody]
    digests: Mapping[uuid.UUID, str]
    tills: Mapping[tuple[str, int], Till]
    street: str  # person id of the one who keeps the roster

    def day(self, week: int, weekday: int) -> date:
        """Return a weekday (0 is Monday) of the month's week, the first whole one being 1."""
        first = self.month.first + timedelta(days=-self.month.first.weekday() % 7)
        return first + timedelta(days=7 * (week - 1) + weekday)

    def at(self, day: date, hour: int, minute: int) -> datetime:
        return clock.instant(day, hour * 60 + minute)

    def wish(self, role: str, where: str, dish: int = 0) -> Wish:
        menu = site(where).menu
        digest = self.digests[self.cast[role].id]
        return Wish(digest, city.item_id(site(where), dish)) if menu else Wish(digest, None, 2600)

    def till(self, where: str) -> Till:
        return self.tills[where, 0]

    def outages(self) -> list[Outage]:
        """Return the outage whose noon sales arrive only after the street changed what it knew."""
        day = self.day(2, 1)
        return [Outage("demo-quanan", 0, self.at(day, 11, 15), self.at(day, 16, 0))]

    def late(self, day: date) -> Act:
        """Sell a meal in a village whose line is down: it waits on the tablet and arrives after the close."""

        def sell() -> None:
            self.till("demo-luxiang").ring(self.at(day, 11, 40), [self.wish("late", "demo-luxiang")])

        return Act(self.at(day, 11, 40), sell)

    def acts(self) -> list[Act]:
        """Return all parts of the month, each at its time."""
        parts = (
            self._price,
            self._excess,
            self._gap,
            self._fork,
            self._clock,
            self._death,
            self._payment,
            self._outside,
        )
        return [act for part in parts for act in part()]

    def _price(self) -> Sequence[Act]:
        """Sell with a class that is retracted before the record arrives; its twin's class ended only that evening."""
        day, till, where = self.day(2, 1), self.till("demo-quanan"), "demo-quanan"

        def sell() -> None:
            till.ring(self.at(day, 11, 20), [self.wish("price", where)], outcome=("kept",))
            till.ring(self.at(day, 11, 40), [self.wish("price_near", where)])

        def learn() -> None:
            city.retract_class(self.cast["price"].id, CLASS, by=self.street)
            city.end_class(self.cast["price_near"].id, CLASS, day, by=self.street)

        return [Act(self.at(day, 11, 20), sell), Act(self.at(day, 15, 0), learn)]

    def _excess(self) -> Sequence[Act]:
        """Sell to one elder at two canteens at once, offline from each other; its twin eats lunch and dinner."""
        day, first, second = self.day(2, 2), self.till("demo-guilin"), self.till("demo-nanhu")

        def race() -> None:
            first.ring(self.at(day, 11, 30), [self.wish("excess", "demo-guilin")])
            second.ring(self.at(day, 11, 31), [self.wish("excess", "demo-nanhu")], outcome=("kept",))
            first.send(self.at(day, 11, 32))
            second.send(self.at(day, 11, 33))

        def twice() -> None:
            first.ring(self.at(day, 11, 50), [self.wish("excess_near", "demo-guilin")])
            first.send(self.at(day, 11, 51))
            second.ring(self.at(day, 12, 20), [self.wish("excess_near", "demo-nanhu")])
            second.send(self.at(day, 12, 21))

        def dine() -> None:
            dinner = next(n for n, dish in enumerate(site("demo-nanhu").menu) if dish.period == "dinner")
            second.ring(self.at(day, 17, 0), [self.wish("excess_near", "demo-nanhu", dinner)])
            second.send(self.at(day, 17, 1))

        return [Act(self.at(day, 11, 30), race), Act(self.at(day, 11, 50), twice), Act(self.at(day, 17, 0), dine)]

    def _gap(self) -> Sequence[Act]:
        """Make a number that never arrives, and two numbers that arrive in the wrong order."""
        day, till, where = self.day(2, 3), self.till("demo-kaixuan"), "demo-kaixuan"

        def lose() -> None:
            till.lose()
            till.ring(self.at(day, 11, 35), [self.wish("gap", where)])
            till.send(self.at(day, 11, 36))

        def swap() -> None:
            till.ring(self.at(day, 12, 5), [self.wish("gap_near", where)])
            till.ring(self.at(day, 12, 6), [self.wish("gap_near_2", where)])
            till.outbox.reverse()
            till.send(self.at(day, 12, 8))

        return [Act(self.at(day, 11, 35), lose), Act(self.at(day, 12, 5), swap)]

    def _fork(self) -> Sequence[Act]:
        """Make two records with one number, and send one record twice."""
        day, till, where = self.day(2, 4), self.till("demo-jingyue"), "demo-jingyue"

        def fork() -> None:
            number, previous = till.number, till.previous
            till.ring(self.at(day, 11, 25), [self.wish("fork", where)])
            till.send(self.at(day, 11, 26))
            till.number, till.previous = number, previous
            till.ring(self.at(day, 11, 28), [self.wish("fork_2", where)])
            till.send(self.at(day, 11, 29))

        def again() -> None:
            till.ring(self.at(day, 12, 10), [self.wish("fork_near", where)])
            till.outbox.append(till.outbox[-1])
            till.expected.append(("have",))
            till.send(self.at(day, 12, 11))

        return [Act(self.at(day, 11, 25), fork), Act(self.at(day, 12, 10), again)]

    def _clock(self) -> Sequence[Act]:
        """Make a tablet nine minutes ahead, and one not quite five minutes ahead."""
        day, till, where = self.day(2, 0), self.till("demo-luxiang"), "demo-luxiang"

        def ahead() -> None:
            till.ring(self.at(day, 11, 10), [self.wish("clock", where)], skew=LATE)
            till.ring(self.at(day, 11, 12), [self.wish("clock_near", where)], skew=NEARLY)
            till.send(self.at(day, 11, 13))

        return [Act(self.at(day, 11, 10), ahead)]

    def _death(self) -> Sequence[Act]:
        """Sell a meal the day after a death that is reported later, and a meal on the day itself."""
        day, till, where = self.day(3, 1), self.till("demo-guilin"), "demo-guilin"

        def eat(role: str, on: date) -> Callable[[], None]:
            def run() -> None:
                till.ring(self.at(on, 11, 45), [self.wish(role, where)])
                till.send(self.at(on, 11, 46))

            return run

        def report() -> None:
            city.record_death(self.cast["death"].id, day, by=self.street)
            city.record_death(self.cast["death_near"].id, day, by=self.street)

        next_day = day + timedelta(days=1)
        return [
            Act(self.at(day, 11, 45), eat("death_near", day)),
            Act(self.at(next_day, 11, 45), eat("death", next_day)),
            Act(self.at(day + timedelta(days=3), 15, 0), report),
        ]

    def _payment(self) -> Sequence[Act]:
        """Take a yuan less than was due, and a payment in two parts that is exact."""
        day, till, where = self.day(3, 3), self.till("demo-dongsheng"), "demo-dongsheng"

        def short(body: Document) -> None:
            tender = body["payment"]["tenders"][0]
            tender |= {"fen": tender["fen"] - SHORT, "given": tender["fen"] - SHORT, "change": 0}

        def parts(body: Document) -> None:
            due = body["payment"]["due"]
            body["payment"]["tenders"] = [
                {"kind": "cash", "fen": 500, "given": 1000, "change": 500, "reference": ""},
                {"kind": "mobile", "fen": due - 500, "given": due - 500, "change": 0, "reference": "DEMO-PART"},
            ]

        def pay() -> None:
            till.ring(self.at(day, 11, 40), [self.wish("payment", where)], pays="mobile", twist=short)
            till.ring(self.at(day, 11, 44), [self.wish("payment_near", where)], pays="mobile", twist=parts)
            till.send(self.at(day, 11, 45))

        return [Act(self.at(day, 11, 40), pay)]

    def _outside(self) -> Sequence[Act]:
        """Sell a meal at half past two, outside all windows: full price, and no finding."""
        day, till = self.day(3, 4), self.till("demo-nanhu")

        def sell() -> None:
            till.ring(self.at(day, 14, 30), [self.wish("outside", "demo-nanhu")])
            till.send(self.at(day, 14, 31))

        return [Act(self.at(day, 14, 30), sell)]
