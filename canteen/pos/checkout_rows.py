"""Writing of a checkout: every row of every table, on PostgreSQL in one statement.

There the rows are sent as JSON and one data-modifying statement inserts them all: the round trips, not the
disk, are what a sale costs (measured: `make bench`). On SQLite there are no round trips, and each table has its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Insert, insert, inspect, text
from sqlalchemy.orm import Session

from canteen.db import Base, intern
from canteen.ledger.models import Transfer
from canteen.pos.models import (
    Payment,
    QuoteInput,
    Record,
    Sale,
    SaleKey,
    SaleLine,
    SaleUse,
    Share,
    Slot,
    Surcharge,
    Tender,
)
from canteen.prepared import Prepared, connection_of

Row = Mapping[str, Any]
ORDER: tuple[type[Base], ...] = (
    SaleKey, QuoteInput, Payment, Tender, Sale, SaleLine, Share, Surcharge, SaleUse, Slot, Transfer,
)  # fmt: skip
"""In the order in which they refer to one another."""
INTERNED = (QuoteInput,)
PLACES = 16  # at most so many sales in a record; see `arrival_of`


def arrival_of(record: Any, place: Any = 0) -> Any:
    """Return the number of a sale over the whole city: in the order of records, and by its place (0 first) within one.

    Takes integers or SQL columns.
    """
    return record * PLACES + place


def is_first(arrival: int) -> bool:
    """Tell whether the sale with this `arrival` is the first of its record."""
    return arrival % PLACES == 0


@dataclass(frozen=True, slots=True)
class Checked:
    """The rows of one checkout by table. Payments and sales name no record yet; a sale's `arrival` is its place in it."""

    record: Row
    tables: Mapping[type[Base], Sequence[Row]]


_SAME_WAITING = """SELECT q.id FROM record q WHERE q.tablet_id = x.tablet_id AND q.epoch = x.epoch
    AND q.number = x.number AND q.hash = x.hash AND q.state = 'quarantined'"""
_WAITING = text(_SAME_WAITING.replace("x.", ":"))  # the same record, kept when it could not be booked


def write(session: Session, rows: Checked) -> None:
    """Insert the record and everything that belongs to it. If a constraint refuses one row, nothing is inserted."""
    if connection_of(session).dialect.name == "postgresql":
        tables = {model.__tablename__: _json(model, rows.tables.get(model, ())) for model in ORDER}
        _statement().rows(session, {"record": _json(Record, [rows.record]), **tables})
        return
    record = {**rows.record, "resolves": session.execute(_WAITING, dict(rows.record)).scalar_one_or_none()}
    connection = session.connection()
    record_id = connection.execute(_insert(Record), record).scalar_one()
    for model in ORDER:
        wanted = [_numbered(model, row, record_id) for row in rows.tables.get(model, ())]
        if model in INTERNED:
            intern(session, model, wanted)
        elif wanted:
            connection.execute(_insert(model), wanted)


def _numbered(model: type[Base], row: Row, record_id: int) -> dict[str, Any]:
    """Return the row by column name, with the record's id in the columns that need it."""
    if model is Sale:
        return {**row, "record_id": record_id, "arrival": arrival_of(record_id, row["arrival"])}
    if model is Payment:
        return {**row, "record_id": record_id}
    names = _columns(model)
    return {names[key]: value for key, value in row.items()}


@cache
def _insert(model: type[Base]) -> Insert:
    """Build the table's insert statement once: an insert through the mapper costs some four times as much."""
    statement = insert(Base.metadata.tables[model.__tablename__])
    return statement.returning(statement.table.c.id) if model is Record else statement


@cache
def _statement() -> Prepared:
    """Build the statement once: a part for each table, all seeing the new record's id."""
    parts = [f"new_record AS (INSERT INTO record {_selected(Record)} RETURNING id)"]
    for model in ORDER:
        ending = " ON CONFLICT DO NOTHING" if model in INTERNED else ""
        parts.append(f"new_{model.__tablename__} AS (INSERT INTO {model.__tablename__} {_selected(model)}{ending})")
    return Prepared(text("WITH " + ",\n".join(parts) + "\nSELECT id FROM new_record"))


def _selected(model: type[Base]) -> str:
    """Build '(columns) SELECT … FROM rows given as JSON', with the record's id in the columns that need it."""
    table = model.__tablename__
    names = [name for name in _columns(model).values() if not (name == "id" and model in (Record, Transfer))]
    of_record = {"record_id": "new_record.id", "arrival": f"new_record.id * {PLACES} + x.arrival"}
    refers = model in (Payment, Sale)
    given = of_record if refers else {"resolves": f"({_SAME_WAITING})"} if model is Record else {}
    values = [given.get(name, f'x."{name}"') for name in names]
    columns = ", ".join(f'"{name}"' for name in names)
    # named with its schema: `record` alone is a type of PostgreSQL's own
    source = f'json_populate_recordset(CAST(NULL AS public."{table}"), CAST(:{table} AS json)) x'
    return f"({columns}) SELECT {', '.join(values)} FROM {source}{', new_record' if refers else ''}"  # noqa: S608 - our own names


@cache
def _columns(model: type[Base]) -> dict[str, str]:
    """Map attribute names to column names."""
    return {attribute.key: attribute.columns[0].name for attribute in inspect(model).column_attrs}


def _json(model: type[Base], rows: Sequence[Row]) -> str:
    names = _columns(model)
    plain = [{names[key]: value for key, value in row.items()} for row in rows]
    return json.dumps(plain, default=_text, ensure_ascii=False)


def _text(value: object) -> str:
    """Write days, instants and ids as PostgreSQL reads them; bytes in its hex form."""
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)
