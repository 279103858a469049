"""Three thousand elders: ages by the census, numbers that nobody bears, households, classes.

Pure: a seed and a day in, people out. Putting them on the roster is `city.py`'s.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from canteen.demo import areas, names
from canteen.demo.areas import Place
from canteen.demo.randomness import source, uid, weighted
from canteen.registry.documents import check_digit

# People of 60 and more in China by five years of age, in thousands, and women in a hundred of them: 第七次全国人口普查
# (1 November 2020; 中国人口普查年鉴-2020, 表 3-1). They sum to the 264.02 million of 公报第五号. Ages are taken as at the demo's
# day: the shape is kept, not the cohorts.
PYRAMID = {
    60: (73_383, 50),
    65: (74_006, 51),
    70: (49_590, 51),
    75: (31_239, 52),
    80: (20_382, 55),
    85: (10_829, 58),
    90: (3_650, 63),
    95: (821, 68),
    100: (119, 75),
}
# GB/T 2260 gives the north-east 21 (辽宁), 22 (吉林) and 23 (黑龙江) and has never given out 24 to 29: a number beginning
# 290101 has the right form and check digit and can belong to nobody.
NOBODYS = "290101"
# Of a hundred elders. 低保 and 特困 follow the ministry's national figures (about 14 and 4 million of 264); the others are
# rough. 失能 and 独居 grow with age and are drawn apart.
CLASSES = {
    "dibao": 5.0,
    "tekun": 1.5,
    "dibao_edge": 1.2,
    "disabled_severe": 2.2,
    "disabled": 3.5,
    "bereaved": 0.5,
    "entitled": 2.0,
    "veteran_cadre": 0.3,
    "decorated": 0.2,
}
KNOWN_FROM = timedelta(days=900)  # hukou, residence and classes are known since about two and a half years
COUPLES = 0.28  # of those below 85, how many live with a spouse on the roster


@dataclass(frozen=True, slots=True)
class Somebody:
    """One elder as drawn. `household` is shared by a couple; `classes` are valid from `since`."""

    id: uuid.UUID
    name: str = field(repr=False)
    sex: str
    birth: date
    number: str = field(repr=False)
    hukou: str
    residence: str
    household: str
    classes: tuple[str, ...]
    care: int  # 0: none; else the level on the scale 'care'
    since: date
    spouse: uuid.UUID | None = None

    def age(self, on: date) -> int:
        """Return completed years."""
        return on.year - self.birth.year - ((on.month, on.day) < (self.birth.month, self.birth.day))


def draw(seed: int, today: date, count: int, homes: Sequence[tuple[str, float]]) -> list[Somebody]:
    """Draw `count` elders of 60 to 105 as at `today`.

    homes   (street, weight): where they live; their communities are drawn from all under the street
    """
    rng = source(seed, "elders")
    under = _communities()
    weights = dict(homes)
    rare = list(names.RARE[: max(1, count // 100)])
    people: list[Somebody] = []
    taken: set[str] = set()
    households = 0
    while len(people) < count:
        community = rng.choice(under[weighted(rng, weights)])
        households += 1
        household = f"H{households:05d}"
        first = _one(rng, today, taken, community, household, rare)
        couple = len(people) + 1 < count and first.age(today) < 85 and rng.random() < COUPLES
        if couple:
            second = _spouse(rng, today, taken, first)
            people += [replace(first, spouse=second.id), replace(second, spouse=first.id)]
        else:
            people.append(first)
    return people


def _communities() -> dict[str, list[str]]:
    under: dict[str, list[str]] = {}
    for place in areas.all_places():
        if place.level == "community":
            under.setdefault(place.parents[0], []).append(place.code)
    return under


def homes(near: Sequence[str]) -> list[tuple[str, float]]:
    """Return the weights of all streets: most of the roster lives near the canteens, some in every other street."""
    streets: list[Place] = [place for place in areas.all_places() if place.level == "street"]
    district = {areas.district_of(street) for street in near}
    return [
        (place.code, 30.0 if place.code in near else 1.0 if areas.district_of(place.code) in district else 0.4)
        for place in streets
    ]


def _one(
    rng: random.Random, today: date, taken: set[str], community: str, household: str, rare: list[tuple[str, str]]
) -> Somebody:
    low = weighted(rng, {age: float(count) for age, (count, _) in PYRAMID.items()})
    age = low + rng.randrange(5)
    sex = "f" if rng.random() * 100 < PYRAMID[low][1] else "m"
    name = ""
    if rare and len(taken) % 97 == 5:  # spread over the roster
        name, sex = rare.pop(0)
    birth = _birth(rng, today, age)
    return _made(rng, today, taken, name, sex, birth, community, household)


def _spouse(rng: random.Random, today: date, taken: set[str], first: Somebody) -> Somebody:
    age = max(60, min(99, first.age(today) + rng.randint(-4, 4)))
    sex = "m" if first.sex == "f" else "f"
    return _made(rng, today, taken, "", sex, _birth(rng, today, age), first.residence, first.household)


def _birth(rng: random.Random, today: date, age: int) -> date:
    """Draw a birthday of somebody of `age` completed years."""
    latest = _years_before(today, age)
    earliest = _years_before(today, age + 1) + timedelta(days=1)
    return earliest + timedelta(days=rng.randrange((latest - earliest).days + 1))


def _years_before(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year - years)
    except ValueError:  # 29 February
        return day.replace(year=day.year - years, day=28)


def _made(
    rng: random.Random, today: date, taken: set[str], name: str, sex: str, birth: date, community: str, household: str
) -> Somebody:
    age = today.year - birth.year
    return Somebody(
        id=uid(rng),
        name=name or names.draw_name(rng, sex, birth.year),
        sex=sex,
        birth=birth,
        number=_number(rng, birth, sex, taken),
        hukou=_hukou(rng, community),
        residence=community,
        household=household,
        classes=_classes(rng, age),
        care=_care(rng, age),
        since=today - KNOWN_FROM,
    )


def _number(rng: random.Random, birth: date, sex: str, taken: set[str]) -> str:
    """Draw an 18-digit number under a region nobody has, unlike all in `taken`, to which it is added."""
    while True:
        order = rng.randrange(500) * 2 + (1 if sex == "m" else 0)
        first17 = f"{NOBODYS}{birth:%Y%m%d}{order:03d}"
        if first17 not in taken:
            taken.add(first17)
            return first17 + check_digit(first17)


def _hukou(rng: random.Random, community: str) -> str:
    """Draw where somebody is registered: mostly where they live, now and then in another street, district or city."""
    chance = rng.random()
    if chance < 0.90:
        return community
    if chance < 0.97:
        return rng.choice([code for codes in _communities().values() for code in codes])
    return rng.choice(areas.ELSEWHERE)[0]


def _classes(rng: random.Random, age: int) -> tuple[str, ...]:
    found = {code for code, rate in CLASSES.items() if rng.random() * 100 < rate}
    if "tekun" in found:
        found.discard("dibao")
    if "disabled_severe" in found:
        found.discard("disabled")
    if rng.random() * 100 < 6 + max(0, age - 70) * 0.6:
        found.add("alone")
    return tuple(sorted(found))


def _care(rng: random.Random, age: int) -> int:
    """Draw a care level 0 to 3: rare at seventy, a fifth of those at ninety."""
    return rng.choice((1, 1, 2, 3)) if rng.random() * 100 < max(0, age - 68) * 0.9 else 0
