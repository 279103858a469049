"""The plan of visits: some fifty checkouts a day, drawn beforehand. Pure: no database, no clock.

Nobody eats twice on one day but those who are meant to, so that the only findings are the planted ones.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from canteen import clock
from canteen.demo import areas
from canteen.demo.elders import Somebody
from canteen.demo.randomness import shuffled, source, weighted
from canteen.demo.sites import SITES, Site

PERIODS = {"breakfast": 0.06, "lunch": 1.0, "dinner": 0.22}
PEAKS = {"breakfast": 450, "lunch": 695, "dinner": 1030}  # minutes of the day round which people come
COUPLES, GUESTS, REPEATS, VOIDS, LATE_VOIDS = 0.35, 0.03, 0.012, 0.012, 0.003
REASONS = ("点错套餐", "老人临时有事未用餐", "重复扫码", "菜品售完更换")


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One checkout. `dishes` has a menu place for each diner and guest, `amounts` the fen where there is no menu."""

    at: datetime
    site: Site
    till: int
    diners: tuple[Somebody, ...]
    guests: int
    dishes: tuple[int, ...]
    amounts: tuple[int, ...]
    pays: str
    how: str
    mode: str
    void: str = ""  # the reason, where it is undone
    approved: bool = False  # undone later, by a manager's word
    repeat: bool = False  # the same diner again, which only a till that sends at once can see


@dataclass(frozen=True, slots=True)
class Outage:
    """A tablet that could not send from one instant to another: its records arrive at the end, in order."""

    site: str
    till: int
    starts: datetime
    ends: datetime

    def covers(self, site: str, till: int, at: datetime) -> bool:
        """Return whether a till cannot send at an instant."""
        return (site, till) == (self.site, self.till) and self.starts <= at < self.ends


def visits(
    seed: int, days: Sequence[date], people: Sequence[Somebody], meals: int, apart: AbstractSet[Somebody]
) -> list[Visit]:
    """Plan about `meals` meals over the days, in order of time. Those in `apart` never eat."""
    rng = source(seed, "plan")
    regulars = {site.id: _regulars(rng, site, people, apart, meals) for site in SITES}
    found: list[Visit] = []
    eaten: dict[date, set[Somebody]] = {day: set() for day in days}
    for (day, site), count in _counts(rng, days, meals):
        waiting = {one: often for one, often in regulars[site.id].items() if one not in eaten[day]}
        found += (visits_here := _day(rng, day, site, count, waiting))
        eaten[day].update(one for visit in visits_here for one in visit.diners)
    return sorted(found, key=lambda visit: (visit.at, visit.site.id, visit.till))


def outages(seed: int, days: Sequence[date]) -> list[Outage]:
    """Drop the village's line at noon about every sixth day until the evening."""
    rng = source(seed, "outages")
    return [
        Outage("demo-luxiang", 0, clock.instant(day, 11 * 60), clock.instant(day, 17 * 60 + rng.randrange(60)))
        for day in days
        if day.weekday() < 5 and rng.random() < 1 / 6
    ]


def _counts(rng: random.Random, days: Sequence[date], meals: int) -> Iterator[tuple[tuple[date, Site], int]]:
    """Yield the number of meals of each canteen and day, by largest running total, so that they sum to `meals`."""
    weights = {
        (day, site): site.share * (1.0 if day.weekday() < 5 else 0.7) * rng.uniform(0.7, 1.3)
        for day in days
        for site in SITES
        if site.week[day.weekday()] == "1"
    }
    total, so_far, given = sum(weights.values()), 0.0, 0
    for key, weight in weights.items():
        so_far += weight
        count = round(meals * so_far / total) - given
        given += count
        yield key, count


def _regulars(
    rng: random.Random, site: Site, people: Sequence[Somebody], apart: AbstractSet[Somebody], meals: int
) -> dict[Somebody, float]:
    """Choose who comes to a canteen and how often: most live in its street, some in the district, few elsewhere."""
    free = [one for one in people if one not in apart]
    near = [one for one in free if one.residence.startswith(site.street)]
    district = areas.district_of(site.street)
    round_it = [one for one in free if areas.district_of(one.residence) == district and one not in set(near)]
    count = max(8, round(site.share * min(700, meals / 3 + 40)))
    chosen = [
        *shuffled(rng, near)[: round(count * 0.8)],
        *shuffled(rng, round_it)[: round(count * 0.15)],
        *shuffled(rng, free)[: max(1, round(count * 0.05))],
    ]
    return {one: rng.choice((0.2, 0.5, 1.0, 1.0, 3.0)) for one in dict.fromkeys(chosen)}


def _day(rng: random.Random, day: date, site: Site, count: int, waiting: dict[Somebody, float]) -> list[Visit]:
    """Plan the visits of one canteen and day; whoever visits is taken out of `waiting`."""
    found: list[Visit] = []
    left = count
    while left > 0:
        visit = _visit(rng, day, site, waiting, left)
        left -= len(visit.diners) + visit.guests
        found.append(visit)
        if visit.diners and left > 0 and rng.random() < REPEATS and not visit.void:
            found.append(_second_visit(rng, visit))
            left -= 1
    return found


def _visit(rng: random.Random, day: date, site: Site, waiting: dict[Somebody, float], left: int) -> Visit:
    diners: tuple[Somebody, ...] = ()
    if waiting and rng.random() >= GUESTS:
        first = weighted(rng, waiting)
        waiting.pop(first)
        diners = (first,)
        spouse = next((one for one in waiting if one.id == first.spouse), None)
        if spouse is not None and left > 1 and rng.random() < COUPLES:
            waiting.pop(spouse)
            diners = (first, spouse)
    guests = 0 if diners else 1
    period, at = _when(rng, day, site)
    number = len(diners) + guests
    chance = rng.random()
    return Visit(
        at=at,
        site=site,
        till=rng.randrange(site.tablets),
        diners=diners,
        guests=guests,
        dishes=tuple(_dish(rng, site, period) for _ in range(number)) if site.menu else (),
        amounts=() if site.menu else tuple(_amount(rng) for _ in range(number)),
        pays=rng.choice(("cash", "cash", "mobile", "mobile", "mobile")),
        how=rng.choices(("camera", "wedge", "typed"), (8, 1, 1))[0] if diners else "none",
        mode=rng.choices(("dine_in", "take_away"), (9, 1))[0],
        void=rng.choice(REASONS) if len(diners) == 1 and chance < VOIDS + LATE_VOIDS else "",
        approved=VOIDS <= chance < VOIDS + LATE_VOIDS,
    )


def _second_visit(rng: random.Random, visit: Visit) -> Visit:
    """Return a second visit of the first diner in the same meal period: the scan shows it, so it is at full price."""
    return Visit(
        at=visit.at + timedelta(minutes=12, seconds=rng.randrange(60)),
        site=visit.site,
        till=visit.till,
        diners=visit.diners[:1],
        guests=0,
        dishes=visit.dishes[:1],
        amounts=visit.amounts[:1],
        pays="mobile",
        how="camera",
        mode="take_away",
        repeat=True,
    )


def _when(rng: random.Random, day: date, site: Site) -> tuple[str, datetime]:
    windows = {period: (starts, ends) for period, starts, ends in site.windows}
    period = weighted(rng, {period: PERIODS[period] for period in windows})
    starts, ends = windows[period]
    minute = min(ends - 16, max(starts + 2, round(rng.gauss(PEAKS[period], 18))))
    return period, clock.instant(day, minute) + timedelta(seconds=rng.randrange(60))


def _dish(rng: random.Random, site: Site, period: str) -> int:
    places = [n for n, dish in enumerate(site.menu) if dish.period == period]
    return rng.choices(places, [1 / (1 + at) for at in range(len(places))])[0]


def _amount(rng: random.Random) -> int:
    """Draw the amount of another till: most often whole yuan, now and then with jiao."""
    return rng.randrange(12, 36) * 100 + rng.choice((0, 0, 0, 50, 80))
