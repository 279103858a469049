"""Statements of the hot path, a checkout and a scan: built once, prepared once a connection, run without detours.

On PostgreSQL such a statement goes to libpq as it is, on the session's own connection and in its transaction: of the
time that a process spends on a short statement, five sixths went into making cursors and results (`make bench`).
On SQLite the session runs it like any other.
"""

from __future__ import annotations

import itertools
import re
import select
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
_GOOD = (pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK)
_IDLE = pq.TransactionStatus.IDLE
_LASTS = re.compile(r"\b(FOR|INSERT|UPDATE|DELETE)\b")  # in a statement that writes or locks
_numbers = itertools.count()  # of names of statements: none is given twice


class Prepared:
    """One statement of SQLAlchemy, with named parameters; those of an IN are lists."""

    def __init__(self, statement: Executable) -> None:
        self._statement = statement
        self._forms: dict[tuple[int, ...], Form] = {}

    def rows(self, session: Session, values: Values) -> list[tuple[Any, ...]]:
        """Return the rows of the statement's result. Raises DBAPIError as the session would."""
        connection = connection_of(session)
        if connection.dialect.name != "postgresql":
            return [tuple(row) for row in session.execute(self._statement, dict(values))]
        if session.autoflush:
            session.flush()
        lengths = [len(value) for value in values.values() if type(value) is list]
        if any(each & (each - 1) for each in lengths):
            values = {name: _padded(value) if type(value) is list else value for name, value in values.items()}
            lengths = [_rounded(each) for each in lengths]
        form = self._forms.get(tuple(lengths))
        if form is None:
            form = self._forms[tuple(lengths)] = Form(self._statement, values)
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


class Numbered:
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

    def run(self, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run it on the connection, prepared there at its first use. Raises DBAPIError."""
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
        given = {name for name, _ in self._order} & example.keys()
        self._constants = {
            name: value for name, value in expanded.parameters.items() if name not in given | parts.keys()
        }

    def in_order(self, values: Values) -> list[Any]:
        """Return the values in the order of $1, $2 … in `sql`."""
        known = {**self._constants, **values}
        return [known[key] if n is None else known[key][n] for key, n in self._order]


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
