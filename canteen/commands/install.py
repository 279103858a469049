"""canteen init, keys, doctor: setting up an installation and telling loudly when it is not sound."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
import uuid
from importlib.metadata import version
from typing import Any

import click
from sqlalchemy import text

from canteen import clock, config, laws
from canteen.commands import installation
from canteen.db import WAL_SAFE, db, owner_engine, transaction, upgrade
from canteen.places import Installation

SECRETS = ("identity", "card-salt", "card-wrap", "session", "stamp", "pepper")


@click.command()
def init() -> None:
    """Create the database, or bring it to the newest schema. Safe to repeat."""
    settings = config.from_environment()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    upgrade(settings.database_url)
    with installation(), transaction() as session:
        if session.get(Installation, 1) is None:
            session.add(Installation(id=1, incarnation=uuid.uuid4().hex, demo=settings.demo, made_at=clock.now()))
    click.echo(f"Database ready: {_plain(settings.database_url)}")


@click.group()
def keys() -> None:
    """The secrets of this installation, kept as files outside the database."""


@keys.command("init")
def keys_init() -> None:
    """Make every secret that is missing. Keep a copy elsewhere: without them ID numbers and cards cannot be read."""
    settings = config.from_environment({**os.environ, "CANTEEN_PRODUCTION": "0"})
    for name in SECRETS:
        settings.secret(name)
    click.echo(f"{len(SECRETS)} secrets in {settings.keys_dir}")


def _plain(url: str) -> str:
    """The address without a password."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://…@{tail}" if at else url


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def doctor(as_json: bool) -> None:
    """Print versions, settings, triggers and roles; exit 1 when anything is not sound."""
    settings = config.from_environment()
    found = {"versions": _versions(), "database": _plain(settings.database_url)}
    troubles = _database(settings, found)
    if as_json:
        click.echo(json.dumps({**found, "troubles": troubles}, ensure_ascii=False, indent=2, default=str))
    else:
        for name, value in found.items():
            click.echo(f"{name}: {value}")
        for trouble in troubles:
            click.echo(f"TROUBLE {trouble}", err=True)
        click.echo("sound" if not troubles else f"{len(troubles)} troubles")
    sys.exit(1 if troubles else 0)


def _versions() -> dict[str, str]:
    names = ("flask", "sqlalchemy", "alembic", "psycopg", "marshmallow", "granian", "cryptography")
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **{n: version(n) for n in names}}


def _database(settings: config.Config, found: dict[str, Any]) -> list[str]:
    """What is wrong with the database, each as a sentence."""
    troubles = []
    engine = owner_engine(settings.database_url)
    with engine.connect() as connection:
        there = laws.standing(connection)
        found["triggers"] = len(there)
        missing = laws.wanted(connection.dialect.name) - there
        troubles += [f"trigger {name} is missing or disabled" for name in sorted(missing)]
        if connection.dialect.name == "postgresql":
            troubles += _postgresql(connection, found)
        else:
            troubles += _sqlite(connection, found)
    engine.dispose()
    with installation():
        row = db.session.get(Installation, 1)
        found["incarnation"] = row.incarnation if row else None
        if row is None:
            troubles.append("the installation has no name; run canteen init")
        elif settings.production and row.demo:
            troubles.append("a demo database in production")
    return troubles


def _postgresql(connection: Any, found: dict[str, Any]) -> list[str]:
    show = {
        name: connection.execute(text(f"SHOW {name}")).scalar_one()
        for name in (
            "server_version",
            "fsync",
            "full_page_writes",
            "synchronous_commit",
            "default_transaction_isolation",
        )
    }
    found["postgresql"] = show
    troubles = [f"{name} is off" for name in ("fsync", "full_page_writes", "synchronous_commit") if show[name] == "off"]
    if show["default_transaction_isolation"] != "read committed":
        troubles.append("default_transaction_isolation is not read committed")
    roles = set(connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'canteen%'")).scalars())
    found["roles"] = sorted(roles)
    troubles += [f"role {role} is missing" for role in (laws.OWNER, laws.APP, laws.AUDITOR) if role not in roles]
    for table in laws.FACTS:
        for right in ("UPDATE", "DELETE", "TRUNCATE"):
            has = connection.execute(
                text("SELECT has_table_privilege(:role, :table, :right)"),
                {"role": laws.APP, "table": f'"{table}"', "right": right},
            ).scalar_one()
            if has:
                troubles.append(f"{laws.APP} may {right} {table}")
    return troubles


def _sqlite(connection: Any, found: dict[str, Any]) -> list[str]:
    read = {
        name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")
    }
    found["sqlite"] = read
    troubles = []
    if read["journal_mode"] == "wal" and sqlite3.sqlite_version_info < WAL_SAFE:
        troubles.append("WAL on a SQLite with the WAL-reset fault")
    troubles += [
        f"PRAGMA {name} is {read[name]}, not {wanted}"
        for name, wanted in (("synchronous", 2), ("foreign_keys", 1), ("recursive_triggers", 1))
        if read[name] != wanted
    ]
    loose = connection.exec_driver_sql(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict "
        "AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
    ).scalars()
    return troubles + [f"table {name} is not STRICT" for name in loose]
