"""Writing of a checkout: every row of every table, on PostgreSQL in one statement.

There the statement inserts them all, each value a parameter of its own; checkouts with the same number of rows share
it. On SQLite there are no round trips, and each table has its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, inspect
from sqlalchemy.orm import Session

from canteen.db import Base, Digest
from canteen.ledger.models import Transfer
from canteen.packing import PackedBytes, PackedText
from canteen.pos.models import QuoteInput, Record, Sale, SaleUse, Slot
from canteen.prepared import Local, Numbered, connection_of

Row = Mapping[str, Any]
ORDER: tuple[type[Base], ...] = (QuoteInput, Sale, SaleUse, Slot, Transfer)
"""In the order in which they refer to one another."""
_ALL: tuple[type[Base], ...] = (Record, *ORDER)
INTERNED = (QuoteInput,)
IN_BYTES = (Digest, PackedBytes, PackedText)  # types that make bytes of a value, on both databases alike
PLACES = 16  # at most so many sales in a record; see `arrival_of`


def arrival_of(record: Any, place: Any = 0) -> Any:
    """Return the number of a sale over the whole city: in the order of records, and by its place (0 first) within one.

    Takes integers or SQL columns.
    """
    return record * PLACES + place


def of_record(record: Any) -> ColumnElement[bool]:
    """Select the sales of a record, an integer or an SQL column, by the index of arrivals: there is none of records."""
    return Sale.arrival.between(arrival_of(record), arrival_of(record, PLACES - 1))


def is_first(arrival: int) -> bool:
    """Tell whether the sale with this `arrival` is the first of its record."""
    return arrival % PLACES == 0


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows of one checkout by table. Sales name no record yet; their `arrival` is their place in it."""

    record: Row
    tables: Mapping[type[Base], Sequence[Row]]


_SAME = ("tablet_id", "epoch", "number", "hash")


def write(session: Session, rows: Checked) -> None:
    """Insert the record and everything that belongs to it. If a constraint refuses one row, nothing is inserted."""
    connection = connection_of(session)
    if connection.dialect.name == "postgresql":
        _statement(tuple(len(rows.tables.get(model, ())) for model in ORDER)).rows(session, list(_values(rows)))
        return
    session.flush()
    record_id = _local(Record).add(connection, [[rows.record[key] for key, _ in _columns(Record)]])
    for model in ORDER:
        if some := rows.tables.get(model):
            columns = [column for _, column in _locally_given(model)]
            wanted = [numbered(model, row, record_id) for row in some]
            _local(model).add(connection, [[row[column] for column in columns] for row in wanted])


def numbered(model: type[Base], row: Row, record_id: int) -> dict[str, Any]:
    """Return a row of a checkout by column name, with its record's id in the columns that need it."""
    if model is Sale:
        return {**row, "record_id": record_id, "arrival": arrival_of(record_id, row["arrival"])}
    return {column: row[key] for key, column in _columns(model)}


@cache
def _locally_given(model: type[Base]) -> tuple[tuple[str, str], ...]:
    """Return (attribute, column) of the values that SQLite is given: there a sale is given the number of its record."""
    return (*_columns(model), ("record_id", "record_id")) if model is Sale else _columns(model)


@cache
def _local(model: type[Base]) -> Local:
    """Build SQLite's insert statement of the table once."""
    given = _locally_given(model)
    at = {column: f"?{n}" for n, (_, column) in enumerate(given, 1)}
    kinds = [inspect(model).columns[key].type for key, _ in given]
    if model is Record:
        return Local(_record_added(at), kinds)
    into = ", ".join(f'"{column}"' for column in at)
    values = f"VALUES ({', '.join(at.values())})"
    if model in INTERNED:
        (key,) = (column.name for column in inspect(model).primary_key)
        values = f"SELECT {', '.join(at.values())} WHERE NOT EXISTS (SELECT 1 FROM {model.__tablename__} WHERE {key} = {at[key]})"  # noqa: S608 - our own names
    return Local(f"INSERT INTO {model.__tablename__} ({into}) {values}", kinds)


def _record_added(at: Mapping[str, str]) -> str:
    """Write the insert of a record, which refers to the same record in quarantine, if any, as resolved.

    at    the parameter of each column
    """
    same = " AND ".join(f"q.{name} = {at[name]}" for name in _SAME)
    waiting = f"(SELECT q.id FROM record q WHERE {same} AND q.state = 'quarantined')"  # noqa: S608 - our own names
    columns = ", ".join(f'"{name}"' for name in at)
    return f"INSERT INTO record ({columns}, resolves) VALUES ({', '.join(at.values())}, {waiting})"  # noqa: S608 - our own names


@cache
def _columns(model: type[Base]) -> tuple[tuple[str, str], ...]:
    """Return (attribute, column) of the values that are given: not those that the database or the record gives."""
    left_out = {Record: ("id", "resolves"), Transfer: ("id",), Sale: ("record_id",)}.get(model, ())
    columns = ((attribute.key, attribute.columns[0].name) for attribute in inspect(model).column_attrs)
    return tuple((key, column) for key, column in columns if key not in left_out)


def _values(rows: Checked) -> Iterator[Any]:
    """Yield the values in the order of $1, $2 … in the statement."""
    tables: dict[type[Base], Sequence[Row]] = {Record: (rows.record,), **rows.tables}
    for model in _ALL:
        keys = _keys(model)
        for row in tables.get(model, ()):
            for key, stored in keys:
                yield stored(row[key], None) if stored else row[key]


@cache
def _keys(model: type[Base]) -> tuple[tuple[str, Callable[[Any, None], Any] | None], ...]:
    """Return (attribute, what makes its value the bytes to store) in the order of the statement's columns."""
    types = [(key, inspect(model).columns[key].type) for key, _ in _columns(model)]
    return tuple((key, kind.process_bind_param if isinstance(kind, IN_BYTES) else None) for key, kind in types)


@lru_cache(maxsize=200)
def _statement(counts: tuple[int, ...]) -> Numbered:
    """Build the statement for so many rows of each table: a part for each table, all seeing the new record's id."""
    at = {column: f"${n}" for n, (_, column) in enumerate(_columns(Record), 1)}
    parts = [f"new_record AS ({_record_added(at)} RETURNING id)"]
    number = len(at)
    for model, count in zip(ORDER, counts, strict=True):
        if not count:
            continue
        names = [column for _, column in _columns(model)]
        values = []
        for _ in range(count):
            each = {name: f"${number + n}" for n, name in enumerate(names, 1)}
            number += len(names)
            if model is Sale:
                each["arrival"] = f"(SELECT id FROM new_record) * {PLACES} + {each['arrival']}"  # noqa: S608 - our own names
                each["record_id"] = "(SELECT id FROM new_record)"
            values.append(f"({', '.join(each.values())})")
        into = ", ".join(f'"{name}"' for name in each)
        ending = " ON CONFLICT DO NOTHING" if model in INTERNED else ""
        table = model.__tablename__
        parts.append(f"new_{table} AS (INSERT INTO {table} ({into}) VALUES {', '.join(values)}{ending})")  # noqa: S608 - our own names
    return Numbered("WITH " + ",\n".join(parts) + "\nSELECT id FROM new_record")
