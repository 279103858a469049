"""Whoever is in one band of ages pays one price: what the audit prices once stands for all of them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from canteen.policy import case, days, quote
from canteen.policy import rulebook as books
from canteen.policy.age_bands import AgeBands, age_bands
from tests.policy.test_cases import case_of, file_cases, scheme


@cache
def priced() -> list[tuple[bytes, AgeBands, dict[str, Any]]]:
    """Every published case with a birth day, under its rulebook, if that has bands."""
    found = []
    for one in file_cases():
        file, given_case = one.values
        book, asked = books.join([scheme(name) for name in file["books"]]), case_of(file["usual"], given_case)
        bands = age_bands(json.loads(book))
        if bands is not None and asked["diner"].get("birth_day"):
            found.append((book, bands, asked))
    return found


def price(book: bytes, asked: dict[str, Any]) -> tuple[Any, ...]:
    read = case.read_case(asked)
    found = quote.quote(books.load(book), read.diner, read.meal, read.taken)
    return found.list, found.due, found.shares, found.surcharges


@settings(max_examples=300)
@given(st.data())
def test_one_band_has_one_price(data: st.DataObject):
    book, bands, asked = data.draw(st.sampled_from(priced()))
    on, born = asked["meal"]["day"], asked["diner"]["birth_day"]
    years = data.draw(st.integers(0, 110))
    other = max(days.EARLIEST, min(on, on - years * 365 - data.draw(st.integers(-370, 370))))

    if bands.of(other, on) == bands.of(born, on):
        assert price(book, asked) == price(book, asked | {"diner": asked["diner"] | {"birth_day": other}})


@pytest.mark.parametrize(("years", "others"), [(59, 60), (69, 70), (79, 80)])
def test_ages_on_either_side_of_a_bound_are_apart(years: int, others: int):
    bands = age_bands({"stages": [{"when": {"age": {"from": 60, "below": 80}}, "rules": [{"by_age": [{"from": 70}]}]}]})
    on = days.civil(2026, 6, 1)

    assert bands is not None
    assert bands.of(days.civil(2026 - years, 1, 1), on) != bands.of(days.civil(2026 - others, 1, 1), on)
    assert bands.of(days.civil(2026 - years, 1, 1), on) == bands.of(days.civil(2026 - years, 5, 1), on)


def test_a_rulebook_with_birthdays_has_no_bands():
    assert (
        age_bands({"layers": [{"stages": [{"when": {"any": [{"birthday": "day"}, {"age": {"from": 60}}]}}]}]}) is None
    )
