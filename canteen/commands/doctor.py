"""canteen doctor: tells how an installation stands, and loudly when it is not sound."""

from __future__ import annotations

import json
import platform
import sqlite3
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from canteen import clock, config, laws
from canteen.commands import installation
from canteen.config import Config
from canteen.db import WAL_SAFE, db, newest_revision, owner_engine, time_at
from canteen.errors import Refusal
from canteen.places import Installation
from canteen.settlement import steps
from canteen.web.security import SECRETS

CLOCKS_AGREE = 60  # seconds
VERSIONS = ("flask", "sqlalchemy", "alembic", "psycopg", "marshmallow", "apscheduler", "granian", "cryptography")
POSTGRESQL = ("server_version", "fsync", "full_page_writes", "synchronous_commit")
PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def doctor(as_json: bool) -> None:
    """Print versions, settings, triggers and roles; exit 1 when anything is not sound."""
    settings = config.from_environment()
    found: dict[str, Any] = {"versions": _versions(), "settings": _settings(settings)}
    troubles = _secrets(settings) + _workflow(settings)
    try:
        troubles += _database(settings, found)
    except Refusal as refusal:
        troubles.append(f"{refusal.code}: {refusal.message}")
    except (DBAPIError, OSError) as error:
        troubles.append(f"the database cannot be used: {str(error).splitlines()[0]}")
    if as_json:
        click.echo(json.dumps({**found, "troubles": troubles}, ensure_ascii=False, indent=2, default=str))
    else:
        for name, value in found.items():
            click.echo(f"{name}: {value}")
        for trouble in troubles:
            click.echo(f"TROUBLE {trouble}", err=True)
        click.echo("sound" if not troubles else f"{len(troubles)} troubles")
    sys.exit(1 if troubles else 0)


def plain(url: str) -> str:
    """The address without a password."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://…@{tail}" if at else url


def _versions() -> dict[str, str]:
    return {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version, **{n: version(n) for n in VERSIONS}}


def _settings(settings: Config) -> dict[str, Any]:
    """What this process was told; secrets are no settings."""
    return {
        "database": plain(settings.database_url),
        "data": str(settings.data_dir),
        "keys": str(settings.keys_dir),
        "production": settings.production,
        "demo": settings.demo,
        "app_role": settings.app_role,
        "origins": list(settings.allowed_origins),
        "proxies": settings.proxies,
        "pool": settings.pool_size,
        "periods_from": settings.period_from,
        "close": f"{settings.close_day} days after a period's end, at {settings.close_hour:02d}:00 in Shanghai",
        "workflow": str(settings.workflow_file) if settings.workflow_file else "ours",
    }


def _secrets(settings: Config) -> list[str]:
    if not settings.production:
        return []  # made at first use
    missing = [name for name in SECRETS if not (settings.keys_dir / f"{name}.key").is_file()]
    return [f"the secret {name} is missing; run canteen keys init" for name in missing]


def _workflow(settings: Config) -> list[str]:
    try:
        steps.of(settings)
    except Refusal as refusal:
        return [f"{refusal.code}: {refusal.message}"]
    return []


def _database(settings: Config, found: dict[str, Any]) -> list[str]:
    """What is wrong with the database, each as a sentence."""
    if settings.sqlite and not (place := settings.database_url.removeprefix("sqlite:///").partition("?")[0]):
        return ["the database is in memory"]
    if settings.sqlite and not Path(place).is_file():
        return [f"there is no database at {place}; run canteen init"]
    engine = owner_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            troubles = _schema(connection, found)
            if connection.dialect.name == "postgresql":
                troubles += _postgresql(connection, found)
            else:
                troubles += _sqlite(connection, found)
    finally:
        engine.dispose()
    if found["schema"] is None:
        return troubles  # nothing is there that could be asked more
    with installation():
        if not settings.sqlite:
            troubles += _as_the_application(settings, found)
        row = db.session.get(Installation, 1)
        found["incarnation"] = row.incarnation if row else None
        if row is None:
            troubles.append("the installation has no name; run canteen init")
        elif settings.production and row.demo:
            troubles.append("a demo database in production")
    return troubles


def _schema(connection: Connection, found: dict[str, Any]) -> list[str]:
    """Whether the newest schema stands with all its laws."""
    there, newest = MigrationContext.configure(connection).get_current_revision(), newest_revision()
    found["schema"] = there
    troubles = [] if there == newest else [f"the schema is at {there}, not at {newest}; run canteen init"]
    standing, wanted = laws.standing(connection), laws.wanted(connection.dialect.name)
    found["triggers"] = len(standing)
    troubles += [f"trigger {name} is missing or disabled" for name in sorted(wanted - standing)]
    return troubles + [f"trigger {name} refuses nothing" for name in sorted(laws.hollow(connection) & wanted)]


def _postgresql(connection: Connection, found: dict[str, Any]) -> list[str]:
    show = {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in POSTGRESQL}
    found["postgresql"] = show
    troubles = [f"{name} is off" for name in ("fsync", "full_page_writes", "synchronous_commit") if show[name] == "off"]
    roles = set(connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'canteen\\_%'")).scalars())
    found["roles"] = sorted(roles)
    missing = [role for role in (laws.OWNER, laws.APP, laws.AUDITOR) if role not in roles]
    troubles += [f"role {role} is missing" for role in missing]
    if not missing:
        troubles += laws.excess_rights(connection)
    ahead = (clock.now() - time_at(connection)).total_seconds()
    found["clock"] = f"{ahead:+.1f} s from the database's"
    if abs(ahead) > CLOCKS_AGREE:
        troubles.append(
            f"this host's clock is {ahead:+.0f} s from the database's; periods would close on the wrong day"
        )
    return troubles


def _as_the_application(settings: Config, found: dict[str, Any]) -> list[str]:
    """Whom the application's own connections act as, and how they are kept apart."""
    acts = db.session.execute(text("SELECT current_user, current_setting('transaction_isolation')")).one()
    found["application"] = {"acts_as": acts[0], "isolation": acts[1]}
    troubles = [] if acts[1] == "read committed" else [f"transactions are {acts[1]}, not read committed"]
    if acts[0] != laws.APP and (settings.app_role == laws.APP or settings.production):
        troubles.append(f"the application acts as {acts[0]}, not as {laws.APP}")
    return troubles


def _sqlite(connection: Connection, found: dict[str, Any]) -> list[str]:
    read = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in PRAGMAS}
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
