"""The JSON Schema files agree with the reader, over drawn and spoiled documents."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from canteen import policy
from canteen.policy.case import CASE, case_schema, read_case
from canteen.policy.funding import FUNDING, funding_schema
from canteen.policy.funding_case import FUNDING_CASE, funding_case_schema
from canteen.policy.funding_quote import funding_quote_schema
from canteen.policy.grammar import RULEBOOK, rulebook_schema
from canteen.policy.quote import QUOTE, quote, quote_doc, quote_schema, read_quote
from canteen.policy.refusals import Problem, Refused
from canteen.policy.rulebook import load
from canteen.policy.shapes import Shape
from tests.policy.generate import Writer, a_book, a_case, a_scheme, spoiled
from tests.policy.test_twin import drawn_cases


def a_funding(rng: Random) -> dict[str, Any]:
    """Draw a funding scheme from its grammar."""
    found: dict[str, Any] = Writer(rng).of(FUNDING)
    return found


def a_funding_case(rng: Random) -> dict[str, Any]:
    """Draw a case of a funding scheme from its grammar."""
    found: dict[str, Any] = Writer(rng).of(FUNDING_CASE)
    return found


FILES = Path(policy.__file__).parent
TIGHTER = {"not_ordered"}
"""What a JSON Schema cannot say: the order of a list."""


def taken(shape: Shape, document: object) -> bool:
    problems: list[Problem] = []
    shape.check(document, "", problems)
    return not [one for one in problems if one.code not in TIGHTER]


@pytest.mark.parametrize(
    ("name", "schema"),
    [
        ("case", case_schema()),
        ("quote", quote_schema()),
        ("rulebook", rulebook_schema()),
        ("funding_case", funding_case_schema()),
        ("funding_quote", funding_quote_schema()),
    ],
)
def test_the_schema_file_is_the_readers(name: str, schema: dict[str, Any]) -> None:
    kept = json.loads((FILES / f"{name}.schema.json").read_text(encoding="utf-8"))
    assert kept == schema
    jsonschema.Draft202012Validator.check_schema(kept)


@pytest.mark.parametrize(("shape", "draw"), [(CASE, a_case), (RULEBOOK, a_scheme)])
def test_schema_and_reader_take_and_refuse_the_same(
    shape: Shape, draw: Callable[[Random], dict[str, Any]], rounds: Callable[[int, int], int]
) -> None:
    schema = case_schema() if shape is CASE else rulebook_schema()
    validator = jsonschema.Draft202012Validator(schema)
    refused = 0
    for seed in range(rounds(150, 3000)):
        rng = Random(seed)
        document = draw(rng)
        if seed % 2:
            document = spoiled(rng, document)
        assert validator.is_valid(document) == taken(shape, document), (seed, document)
        refused += not taken(shape, document)
    assert refused


def test_every_quote_keeps_to_its_schema_and_reads_back(rounds: Callable[[int, int], int]) -> None:

    validator = jsonschema.Draft202012Validator(quote_schema())
    for seed in range(rounds(60, 2000)):
        rng = Random(seed)
        body = a_book(rng)
        for doc in drawn_cases(rng, body):
            case = read_case(doc)
            found = quote(load(body), case.diner, case.meal, case.taken)
            validator.validate(quote_doc(found))
            assert read_quote(quote_doc(found)) == found


def test_a_quote_that_does_not_add_up_is_refused() -> None:
    whole = {"list": 1000, "shares": [], "passed": [], "uses": [], "rounding": [], "checks": [], "due": 1000}
    assert read_quote(whole).due == 1000
    with pytest.raises(Refused, match="does_not_add_up"):
        read_quote({**whole, "due": 999})
    problems: list[Problem] = []
    QUOTE.check({**whole, "due": "1000"}, "", problems)
    assert [one.code for one in problems] == ["not_a_number"]


# --- whatever comes ----------------------------------------------------------------------------------------------

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["a\n", "\n", "a\tb", "a\x7f", "\u2028", "\x85", "é", "𠮷" * 30, "𠮷" * 31, "a" * 80, "a" * 81, "-", "#/@:"]
    ),
)
NUMBERS = st.one_of(
    st.integers(-2, 2),
    st.integers(-(2**60), 2**60),
    st.sampled_from([10_000, 10_001, 10_000_000, 10_000_001, 2**53 - 1, 2**53, 150, 151, 1440, 1441]),
    st.floats(allow_nan=False, allow_infinity=False).filter(lambda one: not one.is_integer()),
)
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=6,
)
DRAWS: list[tuple[Shape, Callable[[Random], dict[str, Any]], dict[str, Any]]] = [
    (CASE, a_case, case_schema()),
    (RULEBOOK, a_scheme, rulebook_schema()),
    (FUNDING, a_funding, funding_schema()),
    (FUNDING_CASE, a_funding_case, funding_case_schema()),
]


@pytest.mark.parametrize(("shape", "draw", "schema"), DRAWS, ids=["case", "rulebook", "funding", "funding_case"])
@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**6), put=st.lists(st.tuples(st.integers(0, 10**6), ANYTHING), min_size=1, max_size=3))
def test_schema_and_reader_agree_on_every_document(
    shape: Shape,
    draw: Callable[[Random], dict[str, Any]],
    schema: dict[str, Any],
    seed: int,
    put: list[tuple[int, Any]],
) -> None:
    document = draw(Random(seed))
    for place, value in put:
        places = [(holder, key) for holder in holders(document) for key in keys(holder)]
        holder, key = places[place % len(places)]
        holder[key] = copy.deepcopy(value)
    assert jsonschema.Draft202012Validator(schema).is_valid(document) == taken(shape, document)


def holders(value: Any) -> list[Any]:
    """Yield every object and list of a document."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, (dict, list)) and value else []
    return own + [one for part in inner for one in holders(part)]


def keys(holder: Any) -> list[Any]:
    return list(holder) if isinstance(holder, dict) else list(range(len(holder)))
