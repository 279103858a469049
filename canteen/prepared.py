"""Statements of the hot path, a checkout and a scan: built once, prepared once a connection, run without detours.

On PostgreSQL such a statement goes to libpq as it is, on SQLite to the driver, on the session's own connection and in
its transaction: of the time that a process spends on a short statement, five sixths went into making cursors and
results (`make bench`).
"""

from __future__ import annotations

import itertools
import re
import select
import sqlite3
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any, NoReturn

import psycopg
from psycopg import pq
from sqlalchemy import ClauseElement, Connection, Engine, Executable, SelectBase, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import psycopg as dialects
from sqlalchemy.exc import DBAPIError, InvalidatePoolError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from sqlalchemy.types import TypeEngine

FORGOTTEN = "26000"  # the server knows no such statement any more: running the transaction again prepares it again
TRUSTED = 30.0  # seconds that a connection may lie unused and not be asked whether it lives
MOST = 128  # statements that a connection keeps prepared; the one unused for longest goes first

Values = Mapping[str, Any]
Loader = Callable[[bytes], Any]
_DIALECT = dialects.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
SQLITE = sqlite.dialect()
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_IDLE = pq.TransactionStatus.IDLE
_LASTS = re.compile(r"\b(FOR|INSERT|UPDATE|DELETE)\b")  # in a statement that writes or locks
_numbers = itertools.count()  # of names of statements: none is given twice


class Prepared:
    """One statement of SQLAlchemy, with named parameters; those of an IN are lists."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._forms: dict[tuple[Any, ...], Form | LocalForm] = {}  # by database and lengths of the lists

    def rows(self, session: Session, values: Values) -> list[tuple[Any, ...]]:
        """Return the rows of the statement's result. Raises DBAPIError as the session would."""
        connection = connection_of(session)
        if session.autoflush:
            session.flush()
        lengths = [len(value) for value in values.values() if type(value) is list]
        if any(each & (each - 1) for each in lengths):
            values = {name: _padded(value) if type(value) is list else value for name, value in values.items()}
            lengths = [_rounded(each) for each in lengths]
        kind = Form if connection.dialect.name == "postgresql" else LocalForm
        form = self._forms.get((kind, *lengths))
        if form is None:
            form = self._forms[kind, *lengths] = kind(self._statement, values)
        return form.run(connection, form.in_order(values))


def _rounded(length: int) -> int:
    """Return the next power of two, so that lists of all lengths share a few forms of a statement."""
    return 1 << (length - 1).bit_length() if length else 0


def _padded(values: list[Any]) -> list[Any]:
    """Repeat the last value up to a rounded length: an IN finds the same."""
    return values + values[-1:] * (_rounded(len(values)) - len(values))


def connection_of(session: Session) -> Connection:
    """Return the connection of the session's transaction."""
    connection: Connection | None = session.info.get("connection")
    if connection is not None:
        return connection
    begun, connection = session.info.get("reading", (None, None))
    if connection is None or begun is not session.get_transaction():
        connection = session.connection()
        session.info["reading"] = session.get_transaction(), connection
    return connection


def database_of(session: Session) -> str:
    """Return a name of the session's database to use in keys; read once a connection, since writing it out is slow."""
    info = connection_of(session).info
    if "database" not in info:
        info["database"] = str(connection_of(session).engine.url)
    name: str = info["database"]
    return name


class Run:
    """What runs a statement on a connection."""

    sql: bytes

    def run(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run it; `values` in the order of its parameters. Raises DBAPIError."""
        return self._run(connection, values)

    def _run(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        raise NotImplementedError


class Numbered(Run):
    """A statement as PostgreSQL reads it, with $1, $2 …; for that database only.

    alone   it only reads and locks nothing: where nobody is going to write, no transaction is begun for it. Each
            statement sees what is committed when it begins, inside a transaction or not.
    """

    def __init__(self, sql: str, *, alone: bool = False) -> None:
        self.sql = sql.encode()
        self._alone = alone
        self._loaders: list[Loader] | None = None
        self._digests: frozenset[int] = frozenset()  # columns whose bytes are read as hexadecimal

    def rows(self, session: Session, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Return the rows of the statement's result; `values` in the order of $1, $2 …. Raises DBAPIError."""
        if session.autoflush:
            session.flush()
        return self.run(connection_of(session), values)

    def _run(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run it on the connection, prepared there at its first use."""
        raw: psycopg.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        try:
            if raw.pgconn.transaction_status == _IDLE and not (self._alone and _only_reads(connection)):
                _checked(raw.pgconn.exec_(b"BEGIN"))
            name = self._prepared(raw.pgconn, connection.info.setdefault("prepared", OrderedDict()))
            arguments = [None if value is None else _DUMPERS.get(type(value), _dumped)(value) for value in values]
            result = _checked(raw.pgconn.exec_prepared(name, arguments))  # type: ignore[arg-type]  # None is NULL
        except psycopg.Error as error:
            _refuse(connection, raw, error)
        if self._loaders is None:
            self._loaders = [
                _hexadecimal if at in self._digests else _LOADERS[result.ftype(at)] for at in range(result.nfields)
            ]
        return _loaded(result, self._loaders)

    def _prepared(self, server: pq.abc.PGconn, names: OrderedDict[bytes, bytes]) -> bytes:
        """Return the statement's name on this connection; prepare it there at its first use."""
        name = names.get(self.sql)
        if name is not None:
            names.move_to_end(self.sql)
            return name
        if len(names) >= MOST:
            _checked(server.exec_(b"DEALLOCATE " + names.popitem(last=False)[1]))
        name = b"canteen_%d" % next(_numbers)
        _checked(server.prepare(name, self.sql))
        names[self.sql] = name
        return name


class Form(Numbered):
    """A statement with named parameters, for lists of certain lengths."""

    def __init__(self, statement: Executable, example: Values) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=_DIALECT)
        expanded = compiled.construct_expanded_state(dict(example))  # type: ignore[attr-defined]
        parts = {each: (name, n) for name, some in expanded.parameter_expansion.items() for n, each in enumerate(some)}
        super().__init__(
            expanded.statement, alone=isinstance(statement, SelectBase) and not _LASTS.search(expanded.statement)
        )
        columns = getattr(statement, "selected_columns", ())
        self._digests = frozenset(at for at, column in enumerate(columns) if _is_digest(column.type))
        self._order = [parts.get(name, (name, None)) for name in expanded.positiontup or ()]
        kinds = [compiled.binds[name].type for name, _ in self._order]  # type: ignore[attr-defined]
        self._hashes = [at for at, kind in enumerate(kinds) if _is_digest(kind)]
        given = {name for name, _ in self._order} & example.keys()
        self._constants = {
            name: value for name, value in expanded.parameters.items() if name not in given | parts.keys()
        }

    def in_order(self, values: Values) -> list[Any]:
        """Return the values in the order of $1, $2 … in `sql`."""
        known = {**self._constants, **values}
        found = [known[key] if n is None else known[key][n] for key, n in self._order]
        for at in self._hashes:
            found[at] = bytes.fromhex(found[at])
        return found


class LocalForm(Run):
    """A statement with named parameters, for lists of certain lengths, as SQLite reads it."""

    def __init__(self, statement: Executable, example: Values) -> None:
        assert isinstance(statement, ClauseElement)
        compiled = statement.compile(dialect=SQLITE)
        expanded = compiled.construct_expanded_state(dict(example))  # type: ignore[attr-defined]
        parts = {each: (name, n) for name, some in expanded.parameter_expansion.items() for n, each in enumerate(some)}
        self.sql = expanded.statement.encode()
        self._text = expanded.statement
        self._order = [parts.get(name, (name, None)) for name in expanded.positiontup or ()]
        self._stored = [_stored_locally(compiled.binds[name].type) for name, _ in self._order]  # type: ignore[attr-defined]
        given = {name for name, _ in self._order} & example.keys()
        self._constants = {
            name: value for name, value in expanded.parameters.items() if name not in given | parts.keys()
        }
        self._loaders = [_local_loader(column.type) for column in getattr(statement, "selected_columns", ())]

    def in_order(self, values: Values) -> list[Any]:
        """Return the values as they are stored, in the order of the statement's parameters."""
        known = {**self._constants, **values}
        plain = [known[key] if n is None else known[key][n] for key, n in self._order]
        return [store(value) if store else value for value, store in zip(plain, self._stored, strict=True)]

    def _run(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        try:
            rows = raw.execute(self._text, values).fetchall()
        except sqlite3.Error as error:
            _refuse_locally(connection, error)
        return [
            tuple([value if load is None else load(value) for value, load in zip(row, self._loaders, strict=True)])
            for row in rows
        ]


class Local(Run):
    """A statement as SQLite reads it, with ?1, ?2 …, that adds rows; for that database only.

    kinds    of the columns whose values are given, in the order of ?1, ?2 …
    """

    def __init__(self, sql: str, kinds: Sequence[TypeEngine[Any]]) -> None:
        self.sql = sql.encode()
        self._text = sql
        self._stored = [_stored_locally(kind) for kind in kinds]

    def add(self, connection: Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Add a row for each of these lists of values; return the number of the last. Raises DBAPIError."""
        ((number,),) = self.run(connection, rows)
        return int(number)

    def _run(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        raw: sqlite3.Connection = connection.connection.driver_connection  # type: ignore[assignment]
        number = None
        try:
            for row in values:
                stored = [store(value) if store else value for value, store in zip(row, self._stored, strict=True)]
                number = raw.execute(self._text, stored).lastrowid
        except sqlite3.Error as error:
            _refuse_locally(connection, error)
        return [(number,)]


def _stored_locally(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return what makes of our value what SQLite stores; None where that is the same."""
    return kind.dialect_impl(SQLITE).bind_processor(SQLITE)


def _local_loader(kind: TypeEngine[Any]) -> Callable[[Any], Any] | None:
    """Return what makes our value of what SQLite stores; None where that is the same."""
    return kind.dialect_impl(SQLITE).result_processor(SQLITE, None)


def _refuse_locally(connection: Connection, error: sqlite3.Error) -> NoReturn:
    """Raise what SQLAlchemy would have raised."""
    raise DBAPIError.instance(
        None, None, error, sqlite3.Error, hide_parameters=True, dialect=connection.dialect
    ) from error


def _dumped(value: Any) -> bytes:
    """Encode a value for PostgreSQL. Raises DataError for NUL, which would end the text for libpq."""
    text = str(value)
    if "\0" in text:
        raise psycopg.DataError("PostgreSQL text fields cannot contain NUL")
    return text.encode()


_DUMPERS: dict[type, Callable[[Any], bytes]] = {
    bool: lambda value: b"t" if value else b"f",
    bytes: lambda value: b"\\x" + value.hex().encode(),
    datetime: lambda value: value.astimezone(UTC).isoformat().encode(),
    int: lambda value: b"%d" % value,
    uuid.UUID: lambda value: b"%032x" % value.int,
}
"""By exact type; whatever else there is goes by its text."""


_LOADERS: dict[int, Loader] = {
    16: lambda text: text == b"t",
    17: lambda text: bytes.fromhex(text[2:].decode()),
    20: int,
    23: int,
    25: bytes.decode,
    1043: bytes.decode,
    1082: lambda text: date.fromisoformat(text.decode()),
    1184: lambda text: datetime.fromisoformat(text.decode()).astimezone(UTC),
    1700: int,  # a sum of whole numbers
    2950: lru_cache(4096)(
        lambda text: uuid.UUID(text.decode())
    ),  # the same few persons in every statement of a request
}
"""By the type's number in pg_type: bool, bytea, bigint, integer, text, varchar, date, timestamptz, numeric, uuid."""


def _only_reads(connection: Connection) -> bool:
    """Tell whether the connection was taken for reading, as sessions do unless `canteen.db.transaction` asks."""
    return "writes" not in connection.get_execution_options()


def _is_digest(kind: TypeEngine[Any]) -> bool:
    """Tell a hash, as canteen.db types it, from bytes that are read as they are."""
    return getattr(kind, "is_hexadecimal", False)


def _hexadecimal(text: bytes) -> str:
    return text[2:].decode()


def _loaded(result: pq.abc.PGresult, loaders: Sequence[Loader]) -> list[tuple[Any, ...]]:
    value, columns = result.get_value, tuple(enumerate(loaders))
    return [
        tuple([None if (text := value(row, at)) is None else load(text) for at, load in columns])
        for row in range(result.ntuples)
    ]


def _checked(result: pq.abc.PGresult) -> pq.abc.PGresult:
    if result.status not in _GOOD:
        raise psycopg.errors.error_from_result(result)
    return result


def _refuse(connection: Connection, raw: psycopg.Connection, error: psycopg.Error) -> NoReturn:
    """Raise what SQLAlchemy would have raised."""
    if error.sqlstate == FORGOTTEN:
        connection.info.pop("prepared", None)
    if raw.closed:
        connection.exec_driver_sql("SELECT 1")  # it notices by itself, renews the pool and raises
    raise DBAPIError.instance(
        None, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
    ) from error


# --- the end of a transaction, and its connection's life ---


@event.listens_for(Engine, "commit")
def _commit(connection: Connection) -> None:
    """Commit here and now: the driver finds nothing left to send.

    A transaction that an error ended is answered with ROLLBACK and no error: nobody may take that for a commit.
    """
    if (raw := _busy(connection)) is not None:
        try:
            if _checked(raw.pgconn.exec_(b"COMMIT")).command_status != b"COMMIT":
                raise psycopg.errors.InFailedSqlTransaction("the transaction had failed before it was committed")
        except psycopg.Error as error:
            _refuse(connection, raw, error)


@event.listens_for(Engine, "rollback")
def _roll_back(connection: Connection) -> None:
    """Roll back here, since the driver, where it does so, makes the server forget every prepared statement."""
    if (raw := _busy(connection)) is not None:
        raw.pgconn.exec_(b"ROLLBACK")


def _busy(connection: Connection) -> psycopg.Connection | None:
    """Return the driver's connection if it is PostgreSQL's, alive, and in a transaction."""
    if connection.invalidated:
        return None
    raw = connection.connection.driver_connection
    if not isinstance(raw, psycopg.Connection) or raw.closed:
        return None
    return raw if raw.pgconn.transaction_status != _IDLE else None


@event.listens_for(Pool, "checkin")
def _left(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["left"] = time.monotonic()


@event.listens_for(Pool, "checkout")
def _look(raw: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """Notice a dead connection before it is used: a server that ended it has sent a message that waits to be read.

    One that lay unused for long is asked besides: a network that went away says nothing.
    """
    if not isinstance(raw, psycopg.Connection):
        return
    if raw.closed:
        raise InvalidatePoolError
    waiting = select.poll()
    waiting.register(raw.fileno(), select.POLLIN)
    fresh = time.monotonic() - record.info.get("left", 0.0) < TRUSTED
    if fresh and not waiting.poll(0):
        return
    raw.pgconn.exec_(b"")
    if raw.closed:
        raise InvalidatePoolError
