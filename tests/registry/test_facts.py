import uuid
from datetime import date

import pytest

from canteen.registry import facts
from canteen.registry.facts import BadFact, Fact

LI, WANG = uuid.UUID(int=1), uuid.UUID(int=2)


def fact(
    number: int,
    kind: str,
    value: str,
    since: str,
    until: str | None = None,
    *,
    retracts: int | None = None,
    of: uuid.UUID = LI,
):
    """A fact whose id is also the event that recorded it."""
    last = date.fromisoformat(until) if until else None
    return Fact(number, of, kind, value, date.fromisoformat(since), last, number, retracts=retracts)


def values(known: list[Fact], on: str, known_at: int | None = None) -> list[str]:
    return [each.value for each in facts.on_day(facts.unretracted(known, known_at), date.fromisoformat(on))]


def test_a_fact_is_valid_on_both_end_days():
    poor = [fact(1, "class", "dibao", "2026-03-01", "2026-03-31")]
    assert [values(poor, day) for day in ("2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01")] == [
        [],
        ["dibao"],
        ["dibao"],
        [],
    ]


def test_a_single_valued_kind_takes_the_latest_day_then_record():
    moves = [
        fact(1, "residence", "a", "2020-01-01"),
        fact(2, "residence", "c", "2026-03-01"),
        fact(3, "residence", "b", "2026-01-01"),
        fact(4, "residence", "d", "2026-03-01"),
    ]
    assert values(moves, "2025-12-31") == ["a"]
    assert values(moves, "2026-02-01") == ["b"]
    assert values(moves, "2026-03-01") == ["d"]
    assert values(moves, "2026-03-01", known_at=3) == ["c"]


def test_many_valued_kinds_are_valid_together():
    both = [fact(1, "class", "dibao", "2020-01-01"), fact(2, "class", "alone", "2020-01-01")]
    assert values(both, "2026-01-01") == ["dibao", "alone"]


def test_what_is_learned_late_is_not_known_before():
    late = [fact(1, "class", "alone", "2020-01-01"), fact(9, "status", "deceased", "2026-01-01")]
    assert values(late, "2026-02-01", known_at=8) == ["alone"]
    assert values(late, "2026-02-01", known_at=9) == ["alone", "deceased"]


def test_a_death_counts_from_the_day_after_it():
    death = [fact(1, "status", "deceased", "2026-05-01")]
    assert values(death, "2026-05-01") == []
    assert values(death, "2026-05-02") == ["deceased"]


def test_a_retraction_counts_from_when_it_was_recorded():
    wrong = [fact(1, "status", "deceased", "2026-01-01"), fact(5, "status", "", "2026-01-01", retracts=1)]
    assert values(wrong, "2026-02-01", known_at=4) == ["deceased"]
    assert values(wrong, "2026-02-01", known_at=5) == []


def test_a_retraction_may_put_something_else_in_its_place():
    shorter = [
        fact(1, "class", "dibao", "2026-01-01"),
        fact(2, "class", "dibao", "2026-01-01", "2026-06-30", retracts=1),
    ]
    assert values(shorter, "2026-06-30") == ["dibao"]
    assert values(shorter, "2026-07-01") == []


def test_a_retraction_that_was_retracted_takes_nothing_away():
    restored = [
        fact(1, "class", "dibao", "2026-01-01"),
        fact(2, "class", "", "2026-01-01", retracts=1),
        fact(3, "class", "", "2026-01-01", retracts=2),
    ]
    assert values(restored, "2026-02-01") == ["dibao"]
    assert values(restored, "2026-02-01", known_at=2) == []


def test_a_merge_is_about_who_someone_is_whatever_the_day():
    merge = [fact(3, "merged", str(LI), "2026-06-01", of=WANG)]
    assert facts.merged_into(facts.unretracted(merge)) == {str(WANG): str(LI)}
    assert facts.merged_into(facts.unretracted(merge, 2)) == {}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("birth", "1946-13-01"),
        ("sex", "x"),
        ("status", "gone"),
        ("level", "care"),
        ("level", "care=a"),
        ("class", "低保"),
        ("hukou", "22;99"),
        ("merged", "somebody"),
        ("nonsense", "x"),
        ("class", ""),
    ],
)
def test_a_value_that_the_rules_could_not_read_is_refused(kind: str, value: str):
    with pytest.raises(BadFact):
        facts.checked(kind, value, date(2026, 1, 1), None)


def test_a_fact_that_ends_before_it_begins_is_refused():
    with pytest.raises(BadFact):
        facts.checked("class", "dibao", date(2026, 1, 2), date(2026, 1, 1))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([fact(1, "class", "dibao", "2026-03-05")], {"class:dibao": "2026-03-05"}),
        (  # a yearly review that follows day by day is no new approval
            [fact(1, "class", "dibao", "2025-01-01", "2025-12-31"), fact(2, "class", "dibao", "2026-01-01")],
            {"class:dibao": "2025-01-01"},
        ),
        (  # one day without it is a break
            [fact(1, "class", "dibao", "2025-01-01", "2025-12-30"), fact(2, "class", "dibao", "2026-01-01")],
            {"class:dibao": "2026-01-01"},
        ),
        (  # facts that overlap, the shorter inside the longer
            [fact(1, "class", "dibao", "2025-01-01"), fact(2, "class", "dibao", "2025-06-01", "2025-07-01")],
            {"class:dibao": "2025-01-01"},
        ),
        (  # another rating on the scale goes on with the run
            [fact(1, "level", "care=3", "2025-01-01", "2026-02-28"), fact(2, "level", "care=4", "2026-03-01")],
            {"level:care": "2025-01-01"},
        ),
        ([fact(1, "status", "deceased", "2026-05-01")], {"status:deceased": "2026-05-01"}),
        ([fact(1, "class", "dibao", "2026-06-01"), fact(2, "hukou", "220104", "2020-01-01")], {}),
    ],
)
def test_since_when_something_was_valid_without_a_break(known: list[Fact], expected: dict[str, str]):
    found = facts.since(facts.unretracted(known), date(2026, 5, 2))
    assert {key: day.isoformat() for key, day in found.items()} == expected


PATHS = {"x": ("22", "2201", "220104", "x"), "y": ("22", "2201", "220104", "y"), "z": ("22", "2201", "220105", "z")}


@pytest.mark.parametrize(
    ("homes", "expected"),
    [
        ([("y", "2026-01-01")], {}),
        (  # from street to street: in the district since the first
            [("x", "2025-01-01"), ("y", "2026-01-01")],
            {"22": "2025-01-01", "2201": "2025-01-01", "220104": "2025-01-01"},
        ),
        (  # from another district: in the city since then
            [("z", "2024-01-01"), ("x", "2025-01-01"), ("y", "2026-01-01")],
            {"22": "2024-01-01", "2201": "2024-01-01", "220104": "2025-01-01"},
        ),
        (  # away and back: only since coming back
            [("x", "2024-01-01"), ("z", "2025-01-01"), ("x", "2026-01-01")],
            {"22": "2024-01-01", "2201": "2024-01-01"},
        ),
    ],
)
def test_days_lived_in_an_area_span_several_homes(homes: list[tuple[str, str]], expected: dict[str, str]):
    known = [fact(number, "residence", home, since) for number, (home, since) in enumerate(homes)]
    found = facts.lived_since(known, known[-1], PATHS)
    assert {key: day.isoformat() for key, day in found.items()} == {
        f"lives:{area}": day for area, day in expected.items()
    }


def test_a_day_without_a_home_breaks_the_stay():
    known = [fact(1, "residence", "x", "2024-01-01", "2025-06-30"), fact(2, "residence", "y", "2025-07-02")]
    assert facts.lived_since(known, known[-1], PATHS) == {}
