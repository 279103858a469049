"""Reading closed periods in keyset pages: no read transaction outlives one page (decision 0008).

What is read here cannot change any more: the period is closed and its facts are cut off at known numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, TypeVarTuple

from sqlalchemy import JSON, ColumnElement, Row, Select, any_, cast, literal, tuple_, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY

from canteen.db import db

Ts = TypeVarTuple("Ts")
PAGE = 1000  # rows; small enough for one list of parameters on SQLite


def rows(query: Select[*Ts], keys: Sequence[Any], *, page: int | None = None) -> Iterator[Sequence[Row[*Ts]]]:
    """Pages of `query` in the order of `keys`, which together are unique and stand first among its columns.

    Must not be called inside a transaction() of the caller.
    """
    if db.session().info.get("writing"):
        raise RuntimeError("pages are read outside a writing transaction")
    size = page or PAGE
    after: tuple[Any, ...] | None = None
    while True:
        chunk = query if after is None else query.where(_beyond(keys, after))
        found = db.session.execute(chunk.order_by(*keys).limit(size)).all()
        db.session.rollback()  # ends the read
        if found:
            yield found
        if len(found) < size:
            return
        after = tuple(found[-1][: len(keys)])


def _beyond(keys: Sequence[Any], after: tuple[Any, ...]) -> ColumnElement[bool]:
    if len(keys) == 1:
        beyond: ColumnElement[bool] = keys[0] > after[0]
        return beyond
    return tuple_(*keys) > tuple_(*(literal(value, key.type) for key, value in zip(keys, after, strict=True)))


def among(column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Whether `column` is one of `values`: on PostgreSQL one array, so that a page of a thousand is one parameter."""
    if db.engine.dialect.name == "postgresql":
        same: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(column.type)))
        return same
    found: ColumnElement[bool] = column.in_(values)
    return found


def json_of(column: Any) -> Any:
    """A column of JSON text, to take parts of."""
    return cast(column, JSON) if db.engine.dialect.name == "postgresql" else type_coerce(column, JSON)


def once(query: Select[*Ts]) -> Sequence[Row[*Ts]]:
    """All rows of one short read, ended at once."""
    if db.session().info.get("writing"):
        return db.session.execute(query).all()
    found = db.session.execute(query).all()
    db.session.rollback()
    return found
