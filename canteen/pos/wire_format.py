"""Strict reading of what a tablet sent: a table of the record's fields, each with the function that reads it.

Every fault is named by its top-level field. Schemas made for forms did the same at four times the
cost for an envelope, which every record pays.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any

Reader = Callable[[Any], Any]


class Wrong(ValueError):
    """The input has the wrong shape; `fields` names those that are missing, unknown or of another type."""

    def __init__(self, *fields: str) -> None:
        super().__init__(*fields)
        self.fields = sorted(fields)


def record(needed: Mapping[str, Reader], maybe: Mapping[str, tuple[Reader, Any]] | None = None) -> Reader:
    """Read an object with these fields and no others; `maybe` are optional fields with their defaults."""
    given = {name: reader for name, (reader, _) in (maybe or {}).items()}
    missing = {name: value for name, (_, value) in (maybe or {}).items()}
    readers = {**needed, **given}

    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise Wrong("_schema")
        found, wrong = dict(missing), list(needed.keys() - value.keys())
        for name, inner in value.items():
            try:
                found[name] = readers[name](inner)
            except (ValueError, KeyError, OverflowError):
                wrong.append(name)
        if wrong:
            raise Wrong(*wrong)
        return found

    return read


def many(reader: Reader, most: int | None = None, least: int = 0) -> Reader:
    """Read a list with so many elements."""

    def read(value: Any) -> list[Any]:
        if type(value) is not list or len(value) < least or (most is not None and len(value) > most):
            raise Wrong
        return [reader(inner) for inner in value]

    return read


def or_null(reader: Reader) -> Reader:
    return lambda value: None if value is None else reader(value)


def text(most: int | None = None, least: int = 0) -> Reader:
    """Read a text of so many characters."""

    def read(value: Any) -> str:
        if type(value) is not str or len(value) < least or (most is not None and len(value) > most):
            raise Wrong
        return value

    return read


def like(pattern: str) -> Reader:
    """Read a text that the pattern matches as a whole."""
    whole_of = re.compile(pattern).fullmatch

    def read(value: Any) -> str:
        if type(value) is not str or whole_of(value) is None:
            raise Wrong
        return value

    return read


def among(texts: Collection[str]) -> Reader:
    """Read one of these texts."""
    allowed = frozenset(texts)

    def read(value: Any) -> str:
        if type(value) is not str or value not in allowed:
            raise Wrong
        return value

    return read


def whole(low: int | None = None, high: int | None = None) -> Reader:
    """Read a whole number, both ends included; true and false are refused."""

    def read(value: Any) -> int:
        if type(value) is not int or (low is not None and value < low) or (high is not None and value > high):
            raise Wrong
        return value

    return read


def mapping(value: Any) -> dict[str, Any]:
    """Read an object whose content is checked elsewhere."""
    if type(value) is not dict:
        raise Wrong
    return value


def uid(value: Any) -> uuid.UUID:
    if type(value) is not str:
        raise Wrong
    return uuid.UUID(value)


def day(value: Any) -> date:
    """Read an ISO 8601 date."""
    if type(value) is not str:
        raise Wrong
    return date.fromisoformat(value)
