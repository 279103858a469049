"""Keyset pages: no page number, no counting, the same cost at the end of a list as at its start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.orm import Session

T = TypeVar("T")
SIZE = 50


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows in order, and the key after which the next page begins; None at the end."""

    rows: Sequence[T]
    after: str | None


def page(
    session: Session,
    query: Select[Any],
    keys: Sequence[ColumnElement[Any]],
    key_of: Callable[[Any], Sequence[str | int]],
    *,
    after: str | None = None,
    read: Sequence[Callable[[str], Any]] | None = None,
    size: int = SIZE,
) -> Page[Any]:
    """Return one page of `query`, ascending by `keys` (together unique).

    after    what the page before answered; anything else that cannot be read starts anew
    key_of   the keys of a row; `read` turns each back from text (str by default)
    """
    if (start := _parsed(after, read or [str] * len(keys), len(keys))) is not None:
        query = query.where(tuple_(*keys) > tuple_(*start))
    rows = list(session.execute(query.order_by(*keys).limit(size + 1)).scalars())
    more = len(rows) > size
    rows = rows[:size]
    return Page(rows, "~".join(str(part) for part in key_of(rows[-1])) if more else None)


def _parsed(after: str | None, read: Sequence[Callable[[str], Any]], count: int) -> list[Any] | None:
    parts = (after or "").split("~")
    if not after or len(parts) != count:
        return None
    try:
        return [turn(part) for turn, part in zip(read, parts, strict=True)]
    except ValueError:
        return None
