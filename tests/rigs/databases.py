"""Databases for tests: a migrated template made once, a copy for each test, on SQLite and on PostgreSQL.

database_url   a fresh migrated database; the test runs twice, once on each
sqlite_url, postgres_url   the same, on one of them
config, app, session, client   the application on `database_url`

The laws forbid emptying tables, so each test gets a database of its own.
On SQLite a reader holds up a writer: end what `session` read (`session.rollback()`) before the client writes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from canteen import db as database
from canteen.config import Config
from tests.rigs import postgres
from tests.rigs.memory import memory, prefix, sweep

SERVER = pytest.StashKey[postgres.Server]()
RUN = pytest.StashKey[str]()
PREFIX = "canteen_test_"
COMPILED: dict[str, tuple[Any, Any]] = {}  # by the dialect's name: the dialect, and what was compiled for it
MAKING_TEMPLATE = 0x63616E74  # any number: one advisory lock that all workers know


# --- one server for all workers: the controller finds or starts it, and cleans up ---


def pytest_configure(config: pytest.Config) -> None:
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.stash[RUN] = given["run"] if given else f"{PREFIX}{os.getpid()}_{uuid.uuid4().hex[:6]}"
    if given:
        config.stash[SERVER] = postgres.Server(given["port"], given["user"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    server = _server(node.config)
    node.workerinput.update(run=node.config.stash[RUN], port=server.port, user=server.user)


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or SERVER not in config.stash:
        return
    config.stash[SERVER].drop_all(config.stash[RUN])
    config.stash[SERVER].stop()


def _server(config: pytest.Config) -> postgres.Server:
    if SERVER not in config.stash:
        sweep()
        config.stash[SERVER] = postgres.find()
        _sweep(config.stash[SERVER])
    return config.stash[SERVER]


def _sweep(server: postgres.Server) -> None:
    """Drop what runs left behind that were killed: made by a process of this machine that is no more."""
    for name in server.names(PREFIX):
        pid = name.removeprefix(PREFIX).split("_")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            server.drop(name)


# --- fixtures ---


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database; the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def sqlite_url(sqlite_template: Path) -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix=prefix(), dir=memory()) as folder:
        copy = Path(folder) / "canteen.db"
        shutil.copyfile(sqlite_template, copy)
        yield f"sqlite:///{copy}"


@pytest.fixture
def postgres_url(
    postgres_server: postgres.Server, postgres_template: str, dropping: Executor, pytestconfig: pytest.Config
) -> Iterator[str]:
    name = f"{pytestconfig.stash[RUN]}_{uuid.uuid4().hex[:12]}"
    postgres_server.create(name, postgres_template)
    yield postgres_server.url(name)
    dropping.submit(postgres_server.drop, name)


@pytest.fixture(scope="session")
def dropping() -> Iterator[Executor]:
    """Drops databases while the next tests run: each drop waits for a checkpoint, and drops at one time share it."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> postgres.Server:
    return _server(pytestconfig)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "canteen.db"
    database.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: postgres.Server, pytestconfig: pytest.Config) -> str:
    """Name of the migrated database that the first worker makes and all copy."""
    name = f"{pytestconfig.stash[RUN]}_template"
    with postgres_server.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [MAKING_TEMPLATE])
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            making = f"{name}_making"
            postgres_server.drop(making)
            postgres_server.create(making, "template0")
            database.upgrade(postgres_server.url(making))
            connection.execute(f'ALTER DATABASE "{making}" RENAME TO "{name}"')
    return name


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    """Settings of an installation on `database_url`, with keys of its own."""
    return config_for(database_url, tmp_path)


def config_for(url: str, folder: Path) -> Config:
    return Config(database_url=url, data_dir=folder / "data", keys_dir=folder / "keys", testing=True)


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """The application, inside its context."""
    from canteen.app import create_app  # noqa: PLC0415 - tests of the pure parts start without the whole house

    made = create_app(config)
    with made.app_context():
        _share_compiled(database.db.engine)
        yield made
        database.db.session.remove()
        database.db.engine.dispose()


def _share_compiled(engine: Engine) -> None:
    """Let the engines of all tests share what SQLAlchemy compiled: each statement is made once a worker, not once a test.

    Compiled statements are kept by dialect, so the dialect is shared too, once the first engine's has met its database.
    """
    if engine.dialect.name not in COMPILED:
        engine.connect().close()
        COMPILED[engine.dialect.name] = (engine.dialect, engine._compiled_cache)
    engine.dialect, engine._compiled_cache = COMPILED[engine.dialect.name]
    engine.pool._dialect = engine.dialect


@pytest.fixture
def session(app: Flask) -> Session:
    """The application's session, as use cases see it."""
    return database.db.session()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
