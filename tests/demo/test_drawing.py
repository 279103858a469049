from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from canteen.clock import Span
from canteen.demo import areas, calendar, elders, plan, plants
from canteen.demo.sites import SITES
from canteen.registry import documents

TODAY = date(2026, 11, 22)
NEAR = [site.street for site in SITES]


def test_a_seed_always_draws_the_same_people() -> None:
    homes = elders.homes(NEAR)
    assert elders.draw(7, TODAY, 200, homes) == elders.draw(7, TODAY, 200, homes)
    assert elders.draw(7, TODAY, 200, homes) != elders.draw(8, TODAY, 200, homes)


def test_every_number_is_valid_and_of_a_region_nobody_has() -> None:
    people = elders.draw(7, TODAY, 3000, elders.homes(NEAR))
    assert len({one.number for one in people}) == 3000
    for one in people:
        document = documents.parse("resident", one.number, today=TODAY)
        assert (document.birth, document.sex) == (one.birth, one.sex)
        assert one.number[:2] == "29", "GB/T 2260 names no province 29"


def test_ages_follow_the_pyramid_from_sixty_on() -> None:
    people = elders.draw(7, TODAY, 3000, elders.homes(NEAR))
    ages = [one.age(TODAY) for one in people]
    assert min(ages) >= 60
    published = sum(count for count, _ in elders.PYRAMID.values())
    for low, (count, _) in elders.PYRAMID.items():
        drawn = sum(low <= age < low + 5 for age in ages) / len(ages)
        assert drawn == pytest.approx(count / published, abs=0.025)


def test_couples_live_together_and_name_each_other() -> None:
    people = {one.id: one for one in elders.draw(7, TODAY, 500, elders.homes(NEAR))}
    couples = [one for one in people.values() if one.spouse]
    assert len(couples) > 50
    for one in couples:
        assert one.spouse is not None
        other = people[one.spouse]
        assert (other.spouse, other.household, other.residence) == (one.id, one.household, one.residence)


def test_every_area_is_under_the_city_with_a_code_of_its_level() -> None:
    places = {place.code: place for place in areas.all_places()}
    digits = {"province": 6, "city": 6, "district": 6, "street": 9, "community": 12}
    for place in places.values():
        assert all(parent in places for parent in place.parents)
        if place.level in digits:
            assert place.code.isdigit()
            assert len(place.code) == digits[place.level]
    assert places["220172002"].parents == ("220102", areas.JINGYUE), (
        "净月街道 lies in 南关区 and in the functional area"
    )


def test_the_plan_has_the_meals_asked_for_one_a_day_each() -> None:
    people = elders.draw(7, TODAY, 600, elders.homes(NEAR))
    apart = set(plants.cast(people, TODAY).values())
    story = calendar.story(TODAY)
    visits = plan.visits(7, story.days(), people, 1000, apart)
    assert sum(len(visit.diners) + visit.guests for visit in visits) == pytest.approx(1000, abs=10)
    eaten = Counter((visit.at.date(), one.id) for visit in visits if not visit.repeat for one in visit.diners)
    assert max(eaten.values()) == 1
    assert not apart & {one for visit in visits for one in visit.diners}
    assert all(site.week[visit.at.weekday()] == "1" for visit in visits for site in [visit.site])


@pytest.mark.parametrize(
    ("today", "newest"),
    [
        (date(2026, 11, 22), date(2026, 10, 1)),
        (date(2026, 11, 4), date(2026, 10, 1)),
        (date(2026, 11, 3), date(2026, 9, 1)),  # closed only this morning
        (date(2026, 1, 2), date(2025, 11, 1)),
    ],
)
def test_three_months_are_closed_and_what_is_not_due_yet_is_open(today: date, newest: date) -> None:
    story = calendar.story(today)
    assert story.closed[2] == Span.month(newest)
    assert [
        (later.first - earlier.last).days for earlier, later in zip(story.closed, story.closed[1:], strict=False)
    ] == [1, 1]
    assert (today - story.last).days == 1
