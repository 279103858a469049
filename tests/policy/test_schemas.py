"""The JSON Schema files say what the reader takes: kept equal, and judged alike over drawn and spoiled documents."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import jsonschema
import pytest

from canteen import policy
from canteen.policy.case import CASE, case_schema, read_case
from canteen.policy.grammar import RULEBOOK, rulebook_schema
from canteen.policy.quote import QUOTE, quote, quote_doc, quote_schema, read_quote
from canteen.policy.refusals import Problem, Refused
from canteen.policy.rulebook import load
from canteen.policy.shapes import Shape
from tests.policy.generate import a_book, a_case, a_scheme, spoiled
from tests.policy.test_twin import drawn_cases

FILES = Path(policy.__file__).parent
TIGHTER = {"not_ordered", "bad_character", "not_canonical"}
"""What a JSON Schema cannot say: the order of a list, characters outside a plane."""


def taken(shape: Shape, document: object) -> bool:
    problems: list[Problem] = []
    shape.check(document, "", problems)
    return not [one for one in problems if one.code not in TIGHTER]


@pytest.mark.parametrize(
    ("name", "schema"), [("case", case_schema()), ("quote", quote_schema()), ("rulebook", rulebook_schema())]
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
