"""Databases for tests: a migrated template made once, a copy for each test, on SQLite and on PostgreSQL.

database_url   a fresh migrated database, in the state that the test asks for; the test runs twice, once on each
sqlite_url, postgres_url   the same, on one of them

The triggers forbid emptying tables, so each test gets a database of its own.
On SQLite a reader holds up a writer: end what `session` read (`session.rollback()`) before the client writes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from canteen import db as database
from tests.rigs import postgres
from tests.rigs.memory import memory, prefix, sweep
from tests.rigs.states import Start, States

SERVER = pytest.StashKey[postgres.Server]()
RUN = pytest.StashKey[str]()
PREFIX = "canteen_test_"
MAKING_TEMPLATE = 0x63616E74  # any number: one advisory lock that all workers know


# --- one server for all workers: the controller finds or starts it, and cleans up ---


def pytest_configure(config: pytest.Config) -> None:
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    config.stash[RUN] = given["run"] if given else f"{PREFIX}{os.getpid()}_{uuid.uuid4().hex[:6]}"
    if given:
        config.stash[SERVER] = postgres.Server(given["port"], given["user"], given["fleeting"])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    server = _server(node.config)
    node.workerinput.update(run=node.config.stash[RUN], port=server.port, user=server.user, fleeting=server.fleeting)


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
    """Drop databases of killed runs: made by a process of this machine that no longer exists."""
    for name in server.names(PREFIX):
        pid = name.removeprefix(PREFIX).split("_")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            server.drop(name)


# --- fixtures ---


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A migrated database, empty or with the state that the test asks for; the test runs once on each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def sqlite_url(sqlite_states: States, start: Start, tmp_path: Path) -> Iterator[str]:
    name = start.database(sqlite_states, tmp_path)
    yield sqlite_states.databases.url(name)
    sqlite_states.databases.drop(name)


@pytest.fixture
def postgres_url(postgres_states: States, start: Start, tmp_path: Path) -> Iterator[str]:
    name = start.database(postgres_states, tmp_path)
    yield postgres_states.databases.url(name)
    postgres_states.databases.drop(name)


@dataclass
class Logins:
    """An empty database on PostgreSQL, and the logins of a place: what a database administrator hands over.

    owner      owns the database and may do nothing else
    app        may log in, and nothing else
    """

    server: postgres.Server
    database: str
    owner: str
    app: str

    @property
    def superuser(self) -> str:
        return self.server.user

    def url(self, login: str) -> str:
        return f"postgresql+psycopg://{login}@127.0.0.1:{self.server.port}/{self.database}"

    def as_superuser(self, *statements: str) -> None:
        with self.server.connect(self.database) as connection:
            for statement in statements:
                connection.execute(sql.SQL(statement))  # type: ignore[arg-type]


@pytest.fixture
def plain_logins(postgres_server: postgres.Server, pytestconfig: pytest.Config) -> Iterator[Logins]:
    """An empty database of a login without further rights, and a login for the application."""
    name = f"{pytestconfig.stash[RUN]}_{uuid.uuid4().hex[:12]}"
    logins = Logins(postgres_server, name, f"{name}_owner", f"{name}_app")
    with postgres_server.connect() as connection:
        for login in (logins.owner, logins.app):
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(login)))
    postgres_server.create(name, "template0")
    logins.as_superuser(f'ALTER DATABASE "{name}" OWNER TO "{logins.owner}"')
    yield logins
    postgres_server.drop(name)
    with postgres_server.connect() as connection:
        for login in (logins.owner, logins.app):
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(login)))


@dataclass
class Files:
    """SQLite: each database in a folder of its own."""

    folder: Path
    template: str

    def copy(self, source: str) -> str:
        path = self.folder / uuid.uuid4().hex[:12] / "canteen.db"
        path.parent.mkdir()
        shutil.copyfile(source, path)
        return str(path)

    def drop(self, name: str) -> None:
        shutil.rmtree(Path(name).parent)

    def url(self, name: str) -> str:
        return f"sqlite:///{name}"


@dataclass
class Served:
    """PostgreSQL."""

    server: postgres.Server
    template: str
    run: str
    dropping: Executor

    def copy(self, source: str) -> str:
        name = f"{self.run}_{uuid.uuid4().hex[:12]}"
        self.server.create(name, source)
        return name

    def drop(self, name: str) -> None:
        self.dropping.submit(self.server.drop, name)

    def url(self, name: str) -> str:
        return self.server.url(name)


@pytest.fixture(scope="session")
def sqlite_states(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[States]:
    with tempfile.TemporaryDirectory(prefix=prefix(), dir=memory()) as folder:
        yield States(Files(Path(folder), str(sqlite_template)), tmp_path_factory.mktemp("states"))


@pytest.fixture(scope="session")
def postgres_states(
    postgres_server: postgres.Server,
    postgres_template: str,
    dropping: Executor,
    pytestconfig: pytest.Config,
    tmp_path_factory: pytest.TempPathFactory,
) -> States:
    databases = Served(postgres_server, postgres_template, pytestconfig.stash[RUN], dropping)
    return States(databases, tmp_path_factory.mktemp("states"))


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
