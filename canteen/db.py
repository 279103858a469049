"""The database: column types that mean the same on SQLite and PostgreSQL, and transaction().

Lock order inside a transaction, always: period gates, persons by id, the claim's row, households and budgets by key, event.
A guest's sale is locked like a household, but before a claim's row (`docs/architecture.md`, "Order of locks").
Writers on SQLite take the lock at BEGIN IMMEDIATE; PostgreSQL runs READ COMMITTED with row locks.
"""

from __future__ import annotations

import functools
import sqlite3
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any, ClassVar, ParamSpec, TypeVar

import psycopg
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session as FlaskSession
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Date,
    DateTime,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    create_engine,
    event,
    insert,
    inspect,
    select,
    text,
    types,
)
from sqlalchemy import Uuid as SAUuid
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.engine import Dialect, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import NullPool

from canteen import prepared
from canteen.config import ROOT, Config
from canteen.errors import Refusal

WAL_SAFE = (3, 51, 3)  # before it, WAL has a race that can lose committed writes (sqlite.org/wal.html#walresetbug)

P = ParamSpec("P")
T = TypeVar("T")
BATCH = 500  # values in one list of parameters, far below SQLite's limit


class DatabaseAway(Refusal):
    code = "database_away"
    message = "系统数据库暂时无法使用，数据未保存，请稍后再试。"


class WrongSchema(Refusal):
    """`details` names the revision that is there and the one that this program works with."""

    code = "schema_differs"
    message = "数据库结构与本程序的版本不符，请联系系统运维。"
    status: ClassVar[int] = 503


class Day(types.TypeDecorator[date]):
    """A business day: DATE on PostgreSQL, ISO text on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return dialect.type_descriptor(Date() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: date | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else value.isoformat()

    def process_result_value(self, value: Any, dialect: Dialect) -> date | None:
        return value if value is None or dialect.name == "postgresql" else date.fromisoformat(value)


class Instant(types.TypeDecorator[datetime]):
    """An aware instant: TIMESTAMPTZ on PostgreSQL, fixed-width UTC text on SQLite, so that text order is time order."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return dialect.type_descriptor(DateTime(timezone=True) if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant must be aware")
        value = value.astimezone(UTC)
        return value if dialect.name == "postgresql" else value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if dialect.name == "postgresql":
            return value.astimezone(UTC)  # type: ignore[no-any-return]
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


class Flag(types.TypeDecorator[bool]):
    """True or false: BOOLEAN on PostgreSQL, 0 or 1 on SQLite."""

    impl = Integer
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return dialect.type_descriptor(Boolean() if dialect.name == "postgresql" else Integer())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else int(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> bool | None:
        return None if value is None else bool(value)


class Uid(types.TypeDecorator[uuid.UUID]):
    """A UUID: native on PostgreSQL, lower-case text with hyphens on SQLite."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> types.TypeEngine[Any]:
        return dialect.type_descriptor(SAUuid() if dialect.name == "postgresql" else Text())

    def process_bind_param(self, value: uuid.UUID | None, dialect: Dialect) -> Any:
        return value if value is None or dialect.name == "postgresql" else str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:
        return value if value is None or isinstance(value, uuid.UUID) else uuid.UUID(value)


class Digest(types.TypeDecorator[str]):
    """A hash, hexadecimal to us, stored as its bytes."""

    is_hexadecimal: ClassVar = True  # for `prepared`

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect | None) -> bytes | None:
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else bytes(value).hex()


Big = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Plain Python types in `Mapped[...]` mean the same column on both databases; SQLite tables are STRICT."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        int: Big,
        str: Text(),
        bool: Flag(),
        date: Day(),
        datetime: Instant(),
        uuid.UUID: Uid(),
        bytes: LargeBinary(),
    }


class View(DeclarativeBase):
    """A view of the database, mapped for reading like a table; the database refuses writes to it."""

    metadata: ClassVar[MetaData] = MetaData()
    type_annotation_map: ClassVar[dict[Any, Any]] = Base.type_annotation_map


class _Session(DeclarativeBase):
    """The class Flask-SQLAlchemy copies to make its own base; our tables derive from `Base` and share this metadata."""

    metadata: ClassVar[MetaData] = Base.metadata


class _JoiningSession(FlaskSession):
    """The session of a request; after `reading` and inside `transaction` it works on their own connection."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine | Connection:
        own: Connection | None = self.info.get("connection")
        return own if own is not None else super().get_bind(*args, **kwargs)

    def close(self) -> None:
        super().close()
        if not self.info.get("writing") and (own := self.info.pop("connection", None)) is not None:
            own.close()


db = SQLAlchemy(model_class=_Session, disable_autonaming=True, session_options={"class_": _JoiningSession})


def reading() -> Session:
    """Return the session with a connection for the reads of `prepared`, kept until `transaction` or the request's end."""
    session: Session = db.session()
    if "connection" not in session.info and not session.in_transaction():
        session.info["connection"] = db.engine.connect()
    return session


@contextmanager
def transaction() -> Iterator[Session]:
    """Open one writing transaction: it commits at the end of the block and rolls back on any exception.

    Inside another one it joins it. A read that this session left open is ended first, so that on SQLite
    the lock is taken at BEGIN IMMEDIATE and never upgraded.
    """
    session: Session = db.session()
    if session.info.get("writing"):
        yield session
        return
    if session.in_transaction():
        session.rollback()
    # The session joins only when it is asked something: statements that go to libpq (`prepared`) need but the connection.
    connection: Connection = session.info.get("connection") or db.engine.connect()
    if connection.in_transaction():
        connection.rollback()
    session.info["writing"], session.info["connection"] = True, connection
    try:
        connection.execution_options(writes=True).begin()
        yield session
        if session.in_transaction():
            session.commit()
        connection.commit()
    except BaseException:
        session.rollback()
        connection.rollback()
        raise
    finally:
        session.info["writing"] = False
        session.info.pop("connection", None)
        session.info.pop("interned", None)
        connection.close()


def intern(session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows whose primary key is not there yet; the others are left as they are."""
    if not rows:
        return
    if session.get_bind().dialect.name == "postgresql":
        session.execute(pg_insert(model).on_conflict_do_nothing(), list(rows))
        return
    (key,) = inspect(model).primary_key
    wanted = {row[key.name]: row for row in rows}
    there = set(session.execute(select(key).where(key.in_(wanted))).scalars())
    if missing := [row for name, row in wanted.items() if name not in there]:
        session.execute(insert(model), missing)


def insert_many(session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, all with the same columns by name: by COPY on PostgreSQL. Raises DBAPIError as the session would."""
    table = Base.metadata.tables[model.__tablename__]
    connection = session.connection()
    if connection.dialect.name != "postgresql":
        session.execute(insert(table), list(rows))
        return
    session.flush()
    types_ = [table.c[name].type.dialect_impl(connection.dialect) for name in rows[0]]
    stored = [(name, each.bind_processor(connection.dialect)) for name, each in zip(rows[0], types_, strict=True)]
    names = ", ".join(f'"{name}"' for name, _ in stored)
    raw: Any = connection.connection.driver_connection
    try:
        with raw.cursor() as cursor, cursor.copy(f'COPY "{table.name}" ({names}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row([bind(row[name]) if bind else row[name] for name, bind in stored])
    except psycopg.Error as error:
        raise DBAPIError.instance(
            None, None, error, psycopg.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


RETRIED = {"40001", "40P01", prepared.FORGOTTEN}  # PostgreSQL: serialization failure, deadlock


def retried(use_case: Callable[P, T]) -> Callable[P, T]:
    """Run a use case again, whole, when the database chose it as a deadlock's victim; five times at most."""
    return retried_when(_is_victim, tries=5)(use_case)


def retried_when(lost: Callable[[Exception], bool], *, tries: int) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Make a decorator that runs a use case again, whole, after each error that `lost` matches; `tries` times at most."""

    def decorate(use_case: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(use_case)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            for _ in range(tries - 1):
                try:
                    return use_case(*args, **kwargs)
                except Exception as error:
                    if not lost(error):
                        raise
            return use_case(*args, **kwargs)

        return run

    return decorate


def _is_victim(error: Exception) -> bool:
    """Return whether the whole transaction may run again: not inside a larger one, whose beginning would be lost."""
    if not isinstance(error, DBAPIError) or db.session().info.get("writing"):
        return False
    return getattr(error.orig, "sqlstate", None) in RETRIED


def is_away(error: BaseException) -> bool:
    """Return whether the error means that the database cannot be reached or written, not that the request is wrong."""
    if isinstance(error, PoolTimeout):  # all connections are in use: more threads than CANTEEN_POOL
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or isinstance(error, OperationalError) or state[:2] in {"08", "53", "57"}


@event.listens_for(Engine, "connect")
def _prepare_sqlite(connection: Any, _record: Any) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    connection.isolation_level = None  # we say BEGIN ourselves
    wal = sqlite3.sqlite_version_info >= WAL_SAFE
    for pragma in (
        "busy_timeout = 10000",
        f"journal_mode = {'WAL' if wal else 'DELETE'}",
        "synchronous = FULL",
        "foreign_keys = ON",
        "recursive_triggers = ON",
        "trusted_schema = OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")


@event.listens_for(Engine, "begin")
def _begin_sqlite(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def engine_options(config: Config) -> dict[str, Any]:
    """Return the application engine's options: app role on PostgreSQL, bounded pool, dead connections noticed."""
    if config.sqlite:
        return {
            "pool_size": config.pool_size,
            "max_overflow": config.pool_size,  # a thread may read a closed period beside its session
            "hide_parameters": True,  # an error's words go into logs: values may be personal data (P28)
            "connect_args": {"timeout": 10},
        }
    options = "-c default_transaction_isolation=read\\ committed -c timezone=UTC"
    options += (
        " -c idle_in_transaction_session_timeout=5min"  # a host that froze keeps nobody's lock, and no close, waiting
    )
    if config.app_role:
        options += f" -c role={config.app_role}"
    return {
        "pool_size": config.pool_size,
        "max_overflow": config.pool_size,
        "pool_timeout": 10,
        "hide_parameters": True,
        "connect_args": {
            "options": options,
            "client_encoding": "utf8",  # whatever the server's own: prepared.py reads and writes its bytes
            "connect_timeout": 5,
            "prepare_threshold": 2,
        },
    }


def owner_engine(url: str) -> Engine:
    """Return an engine for migrations and checks, connecting as logged in."""
    return create_engine(url, poolclass=NullPool)


def upgrade(url: str) -> None:
    """Bring the schema of the database at `url` to this program's, with the rights of the login in the URL.

    Raises WrongSchema when the schema is newer than this program.
    """
    _need_known(url)
    settings = migrations()
    settings.attributes["url"] = make_url(url)
    command.upgrade(settings, "head")


def migrations() -> AlembicConfig:
    """Return where Alembic finds the migrations of this program."""
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(ROOT / "migrations"))
    return settings


def newest_revision() -> str | None:
    """Return the revision that `upgrade` leads to."""
    return _revisions()[0]


def _need_known(url: str) -> None:
    engine = owner_engine(url)
    try:
        with engine.connect() as connection:
            there = revision_of(connection)
    finally:
        engine.dispose()
    if there is not None and there not in _revisions()[1]:
        refuse_schema(there)


@functools.cache
def _revisions() -> tuple[str | None, frozenset[str]]:
    """Return the newest revision of this program and all that it knows."""
    scripts = ScriptDirectory.from_config(migrations())
    return scripts.get_current_head(), frozenset(script.revision for script in scripts.walk_revisions())


def revision_of(connection: Connection) -> str | None:
    """Return the revision of a database's schema; None when it has none yet."""
    return MigrationContext.configure(connection).get_current_revision()


def refuse_schema(there: str | None) -> None:
    """Raise WrongSchema unless `there` is exactly the revision of this program, neither older nor newer."""
    newest, known = _revisions()
    if there == newest:
        return
    if there is None:
        said = f"数据库还没有建立（应为版本 {newest}），请先运行 canteen init。"
    elif there in known:
        said = (
            f"数据库结构是版本 {there}，本程序需要版本 {newest}："
            "请停止全部服务、备份数据库，然后运行 canteen init 升级。"
        )
    else:
        said = f"数据库结构是版本 {there}，本程序只认识到版本 {newest}：程序比数据库旧，请先更新程序（tools/setup）再启动。"
    raise WrongSchema(said, details={"present": there or "-", "expected": newest or "-"})


def time_at(connection: Connection | Session) -> datetime:
    """Return the time of the database's clock: to compare ours with, never a source of times. PostgreSQL only."""
    now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    return now.astimezone(UTC)


def batches(values: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Yield the values in lists of at most `size`, so that each fits the parameters of one statement."""
    ordered = list(values)
    for at in range(0, len(ordered), size):
        yield ordered[at : at + size]
