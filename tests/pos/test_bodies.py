"""What tablets ask and bring is read quicker than by the schemas that describe it, and never otherwise."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from canteen.pos import api
from canteen.pos.api import QuotesIn, RecordsIn

ODD: tuple[Any, ...] = (None, "", "x", 0, 1, -1, 1.5, True, [], {}, [None], "a" * 600, 10**12)
SALE = {
    "scan": "EL1", "credential": None, "elder": "0f0e0d0c-0b0a-4909-8807-060504030201", "guest": None, "how": "camera",
    "mode": "dine_in", "lines": [{"item": "set", "quantity": 2}], "amount": None,
}  # fmt: skip
QUOTES = {"canteen": "c1", "sales": [SALE, {"guest": "staff", "amount": 900}]}
RECORDS = {"records": [{"v": 1}, "anything"]}


def variants(document: Any) -> Iterator[Any]:
    """Yield the document, and each with one value replaced, one field taken away, or one added."""
    yield document
    for path in paths(document, ()):
        for odd in (*ODD, "gone"):
            changed = copy.deepcopy(document)
            place = changed
            for step in path[:-1]:
                place = place[step]
            if odd == "gone":
                del place[path[-1]]
            else:
                place[path[-1]] = odd
            yield changed
    yield {**document, "more": 1}


def paths(document: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for step, value in inner:
        yield (*path, step)
        if isinstance(value, dict | list):
            yield from paths(value, (*path, step))


def judged(schema: type[Schema], document: Any) -> Any:
    try:
        return schema().load(document)
    except ValidationError:
        return "refused"


@pytest.mark.parametrize(
    ("schema", "reader", "document"), [(QuotesIn, api._read_quotes, QUOTES), (RecordsIn, api._read_records, RECORDS)]
)
def test_whatever_is_read_quickly_the_schema_reads_the_same(schema: type[Schema], reader: Any, document: Any) -> None:
    taken = 0
    for each in itertools.chain(variants(document), ODD):
        try:
            found = reader(copy.deepcopy(each))
        except ValueError:
            continue
        expected = judged(schema, each)
        assert found == expected or listed(found) == listed(expected)
        taken += 1
    assert taken > 5
    assert reader(copy.deepcopy(document))


def listed(value: Any) -> Any:
    """Return the value with its tuples as lists."""
    if isinstance(value, dict):
        return {name: listed(inner) for name, inner in value.items()}
    return [listed(inner) for inner in value] if isinstance(value, list | tuple) else value
