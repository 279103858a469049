"""Reading closed periods by short reads of their own: no read transaction outlives one page (decision 0008).

The rows read cannot change any more: the period is closed and its facts are cut off at known numbers. So it is
read beside the caller's session, which keeps its transaction and what it has loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVarTuple

from sqlalchemy import JSON, ColumnElement, Row, Select, any_, cast, literal, tuple_, type_coerce
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from canteen.db import db

Ts = TypeVarTuple("Ts")
PAGE = 1000  # rows; small enough for one list of parameters on SQLite


@contextmanager
def reader() -> Iterator[Session]:
    """Open one short read on a connection of its own, ended with the block; what it loaded can be used afterwards.

    Raises RuntimeError inside a transaction(): it would not see what that wrote, and on SQLite could keep it from its
    commit. Read there with the transaction's own session.
    """
    if db.session().info.get("writing"):
        raise RuntimeError("a read of its own is opened outside a writing transaction")
    with Session(db.engine) as session:
        yield session


def rows(
    query: Select[*Ts],
    keys: Sequence[Any],
    *,
    page: int | None = None,
    read: Callable[[Select[*Ts]], Sequence[Row[*Ts]]] | None = None,
) -> Iterator[Sequence[Row[*Ts]]]:
    """Yield pages of `query` in the order of `keys`, which together are unique and its first columns.

    read  `once`, or `bare` for columns only
    """
    size = page or PAGE
    after: tuple[Any, ...] | None = None
    while True:
        chunk = query if after is None else query.where(beyond(keys, after))
        found = (read or once)(chunk.order_by(*keys).limit(size))
        if found:
            yield found
        if len(found) < size:
            return
        after = tuple(found[-1][: len(keys)])


def beyond(keys: Sequence[Any], after: tuple[Any, ...]) -> ColumnElement[bool]:
    """Select the rows after one, in the order of `keys`, of which `after` has the values."""
    if len(keys) == 1:
        later: ColumnElement[bool] = keys[0] > after[0]
        return later
    return tuple_(*keys) > tuple_(*(literal(value, key.type) for key, value in zip(keys, after, strict=True)))


def among(column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """Return whether `column` is one of `values`: one array on PostgreSQL, so a page of a thousand is one parameter."""
    if db.engine.dialect.name == "postgresql":
        same: ColumnElement[bool] = column == any_(literal(list(values), ARRAY(column.type)))
        return same
    found: ColumnElement[bool] = column.in_(values)
    return found


def json_of(column: Any) -> Any:
    """Read a column of JSON text as JSON, to take parts of."""
    return cast(column, JSON) if db.engine.dialect.name == "postgresql" else type_coerce(column, JSON)


def once(query: Select[*Ts]) -> Sequence[Row[*Ts]]:
    """Return all rows of one short read, and end its transaction at once."""
    with reader() as session:
        return session.execute(query).all()


def bare(query: Select[*Ts]) -> Sequence[Row[*Ts]]:
    """Read as `once` does, at two thirds of its cost: columns only, under the names that they have in the database."""
    with reader() as session:
        return session.connection().execute(query).all()
