"""The database as a file, and back: by SQLite's own copy, or by pg_dump and pg_restore, always of one moment."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url

from canteen import invariants
from canteen.backups.figures import Figures, figures_of
from canteen.config import Config
from canteen.db import owner_engine
from canteen.errors import Conflict, Refusal

DATABASE: Final = "database"  # the name of the dump within a backup


class NoProgram(Refusal):
    code = "backup_program_missing"
    message = "本机没有 PostgreSQL 的客户端程序（pg_dump、pg_restore）。请安装 postgresql-client 后再试。"


class DumpFailed(Refusal):
    """`details` has what the program said."""

    code = "backup_dump_failed"
    message = "PostgreSQL 的备份程序没有成功，请按下面的原因处理后再试。"


class NotEmpty(Conflict):
    code = "restore_not_empty"
    message = "目标数据库里已有数据，没有恢复。请换一个空的数据库（CANTEEN_DATABASE_URL），旧库留作核对。"


def dump(config: Config, folder: Path) -> Figures:
    """Write the database as `folder/database` while everything runs; return its figures at that same moment.

    Raises NoProgram, DumpFailed.
    """
    out = folder / DATABASE
    if config.sqlite:
        with closing(sqlite3.connect(sqlite_file(config), timeout=60)) as source:
            source.execute("VACUUM INTO ?", [str(out)])
        engine = create_engine(f"sqlite:///{out}")
        try:
            with engine.connect() as connection:
                return figures_of(connection)
        finally:
            engine.dispose()
    engine = owner_engine(config.database_url)
    try:
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            acting = _acting_role(connection, config)
            snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
            found = figures_of(connection)
            options = ["--format=custom", "--compress=0", f"--snapshot={snapshot}", f"--file={out}", *acting]
            _run("pg_dump", config, options)
            return found
    finally:
        engine.dispose()


def load(config: Config, folder: Path) -> Figures:
    """Put the dump `folder/database` into the empty database of `config`; return the figures that it then has.

    On PostgreSQL as the login in the URL, which is to be the owner's. Raises NotEmpty, NoProgram, DumpFailed, and
    RolesMissing where the login may not make the roles.
    """
    if config.sqlite:
        return _put_file(config, folder / DATABASE)
    engine = owner_engine(config.database_url)
    try:
        with engine.connect() as connection:
            if inspect(connection).get_table_names():
                raise NotEmpty
            invariants.make_roles(connection)
            connection.exec_driver_sql(f"GRANT USAGE, CREATE ON SCHEMA public TO {invariants.OWNER}")
            connection.commit()
        options = ["--no-owner", f"--role={invariants.OWNER}", "--exit-on-error", "--single-transaction"]
        _run("pg_restore", config, [*options, f"--dbname={_arguments(config)['dbname']}", str(folder / DATABASE)])
        with engine.connect() as connection:
            connection.exec_driver_sql("ANALYZE")
            connection.commit()
            return figures_of(connection)
    finally:
        engine.dispose()


def faults_of_file(path: Path) -> list[str]:
    """Return what SQLite finds wrong in a file, page by page; and rows that point to none."""
    with closing(sqlite3.connect(path)) as connection:
        said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
        lost = [
            f"{row[0]} row {row[1]} points to no {row[2]}" for row in connection.execute("PRAGMA foreign_key_check")
        ]
    return [each for each in said if each != "ok"] + lost


def list_contents(config: Config, folder: Path) -> None:
    """Read the table of contents of a dump of PostgreSQL. Raises NoProgram, DumpFailed."""
    _run("pg_restore", config, ["--list", str(folder / DATABASE)])


def sqlite_file(config: Config) -> Path:
    """Return the file of a database on SQLite."""
    return Path(config.database_url.removeprefix("sqlite:///").partition("?")[0])


def _put_file(config: Config, dumped: Path) -> Figures:
    target = sqlite_file(config)
    if target.exists() and target.stat().st_size:
        raise NotEmpty
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = target.with_name(f".{target.name}.part")
    shutil.copyfile(dumped, part)
    part.chmod(0o600)
    with part.open("rb+") as written:
        os.fsync(written.fileno())
    part.rename(target)
    engine = owner_engine(config.database_url)
    try:
        with engine.connect() as connection:
            return figures_of(connection)
    finally:
        engine.dispose()


def _acting_role(connection: Connection, config: Config) -> Sequence[str]:
    """Return the option by which pg_dump reads as the role that may; the login itself may have no right of its own."""
    if not config.app_role:
        return ()
    connection.exec_driver_sql(f"SET ROLE {config.app_role}")
    return (f"--role={config.app_role}",)


def _arguments(config: Config) -> dict[str, Any]:
    url = make_url(config.database_url)
    return conninfo_to_dict(url.set(drivername="postgresql").render_as_string(hide_password=False))


def _run(program: str, config: Config, options: Sequence[str]) -> None:
    """Run one of PostgreSQL's programs on the database; its password goes by the environment, which `ps` does not show."""
    found = shutil.which(program)
    if found is None:
        raise NoProgram
    given = _arguments(config)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    environment = os.environ | {names[name]: str(value) for name, value in given.items() if name in names}
    done = subprocess.run(  # noqa: S603 - a program of PostgreSQL, with options of ours
        [found, *options], env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise DumpFailed(details={"said": said[:10]})
