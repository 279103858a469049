"""A PostgreSQL server for the tests: a cluster of our own, else the one that answers on this machine.

Ours comes first although one may answer: each test drops its database, and a server that syncs its disk makes
a checkpoint of each drop, more than a second where ours takes a fortieth.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.rigs.memory import memory, prefix

ASKED = "SELECT rolsuper OR (rolcreatedb AND rolcreaterole) FROM pg_roles WHERE rolname = current_user"
SETTINGS = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "max_connections": "200"}
# A cluster that lives as long as the tests: what it loses in a power cut nobody misses, and no table lives to be vacuumed
FLEETING = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}


class NoPostgres(RuntimeError):
    """Neither a server that answers nor the programs to start one."""


@dataclass
class Server:
    """A server on this machine where databases may be made.

    fleeting   it waits for no disk
    cluster    its folder when it is our own and is ours to end
    """

    port: int
    user: str
    fleeting: bool = False
    cluster: Path | None = None

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{self.user}@127.0.0.1:{self.port}/{database}"

    @contextlib.contextmanager
    def connect(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """A connection outside any transaction, as the login that may make databases."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=self.user, dbname=database, autocommit=True, connect_timeout=60
        ) as connection:
            yield connection

    def create(self, database: str, template: str) -> None:
        """Copy a database by its files, if nobody is connected to it: three times as fast as through the log."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(database), sql.Identifier(template))
        with self.connect() as connection:
            if self.fleeting and connection.info.server_version >= 150000:  # before, there was no other way
                statement += sql.SQL(" STRATEGY FILE_COPY")
            connection.execute(statement)

    def drop(self, database: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def drop_all(self, prefix: str) -> None:
        for name in self.names(prefix):
            self.drop(name)

    def names(self, prefix: str) -> list[str]:
        """List the databases whose names start with `prefix`."""
        with self.connect() as connection:
            found = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [prefix])
            return [str(row[0]) for row in found]

    def stop(self) -> None:
        """End the cluster that `find` started; a server that was there before is left alone."""
        if self.cluster:
            _run("pg_ctl", "-D", str(self.cluster / "data"), "-m", "immediate", "stop")
            shutil.rmtree(self.cluster)


def find(*, durable: bool = False) -> Server:
    """A cluster of our own if the programs are installed, else the server at 127.0.0.1:5432 if it lets us.

    durable   it lies on the disk and waits for it, as a city's does: what is measured must cost what it costs

    Raises NoPostgres when there is neither.
    """
    try:
        return _start(durable=durable)
    except NoPostgres:
        for user in (os.environ.get("PGUSER"), getpass.getuser(), "postgres"):
            if user and _willing(server := Server(5432, user)):
                return server
        raise


def _willing(server: Server) -> bool:
    try:
        with server.connect() as connection:
            row = connection.execute(ASKED).fetchone()
    except psycopg.OperationalError:
        return False
    return bool(row and row[0])


def _start(*, durable: bool) -> Server:
    cluster = Path(tempfile.mkdtemp(prefix=prefix(), dir=None if durable else memory()))
    if os.getuid() == 0:
        os.chown(cluster, *pwd.getpwnam(_user())[2:4])
    data, port = str(cluster / "data"), free_port()
    _run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
    options = " ".join(f"-c {name}='{value}'" for name, value in (SETTINGS | ({} if durable else FLEETING)).items())
    _run("pg_ctl", "-D", data, "-w", "-l", str(cluster / "log"), "-o", f"-p {port} {options}", "start")
    return Server(port, "postgres", not durable, cluster)


def _user() -> str:
    """Return the user to run the server as when we are root, which PostgreSQL refuses."""
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


def _run(program: str, *arguments: str) -> None:
    command = [_program(program), *arguments]
    if os.getuid() == 0:
        command = ["runuser", "-u", _user(), "--", *command]
    done = subprocess.run(
        command, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode:
        raise NoPostgres(f"{program} failed:\n{done.stdout.decode(errors='replace')}")


def _program(name: str) -> str:
    """Debian keeps the server's programs off the PATH."""
    installed = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if path := (str(installed[-1]) if installed else shutil.which(name)):
        return path
    raise NoPostgres("PostgreSQL does not answer on 127.0.0.1:5432 and is not installed: run tools/system")


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has just now. It lies below those that the kernel gives to connections that go
    out, so that a server may be ended and find it free again."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
