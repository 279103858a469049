"""canteen doctor: reports the state of an installation, loudly when it is not sound.

It runs three lists of checks (see the end): SETTINGS before any database, AS_OWNER on a connection
with the rights of the login, AS_APPLICATION with `db.session` on a database whose schema is ours. A check is
a small function that writes into a Report; a further check is one function and one line of a list.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from flask import current_app
from sqlalchemy import Connection, func, select, text
from sqlalchemy.exc import DBAPIError

from canteen import calendars, clock, config, heartbeats, invariants, jobs, startup
from canteen import settings as decisions
from canteen.commands import incarnation, installation
from canteen.config import SECRETS, Config
from canteen.db import WAL_SAFE, db, newest_revision, owner_engine, revision_of, time_at
from canteen.errors import Refusal
from canteen.events import Event
from canteen.menus import readiness
from canteen.places import Installation
from canteen.rulebooks import layers
from canteen.services import complaints
from canteen.settlement.claims import steps
from canteen.settlement.closing import close
from canteen.web import filters, security

CLOCKS_AGREE = 60  # seconds
BACKUP_AGE = timedelta(days=2)
VERSIONS = ("flask", "sqlalchemy", "alembic", "psycopg", "marshmallow", "apscheduler", "granian", "cryptography")
POSTGRESQL = ("server_version", "fsync", "full_page_writes", "synchronous_commit")
PRAGMAS = ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers", "busy_timeout")


@dataclass(slots=True)
class Report:
    """The result of the checks: facts by name, troubles that end the command with 1, warnings that do not."""

    facts: dict[str, Any] = field(default_factory=dict)
    troubles: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def doctor(as_json: bool) -> None:
    """Print versions, settings, triggers and roles; exit 1 when anything is not sound, warnings aside."""
    settings = config.from_environment()
    report = Report()
    for check in SETTINGS:
        check(settings, report)
    try:
        _database(settings, report)
    except Refusal as refusal:
        report.troubles.append(f"{refusal.code}: {refusal.message}")
    except (DBAPIError, OSError) as error:
        report.troubles.append(f"the database cannot be used: {str(error).splitlines()[0]}")
    _print(report, as_json=as_json)
    sys.exit(1 if report.troubles else 0)


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        result = {**report.facts, "troubles": report.troubles, "warnings": report.warnings}
        click.echo(json.dumps(result, ensure_ascii=False, indent=2, default=str))
        return
    for name, value in report.facts.items():
        click.echo(f"{name}: {value}")
    for trouble in report.troubles:
        click.echo(f"TROUBLE {trouble}", err=True)
    for warning in report.warnings:
        click.echo(f"WARNING {warning}", err=True)
    click.echo("sound" if not report.troubles else f"{len(report.troubles)} troubles")


def _database(settings: Config, report: Report) -> None:
    """Run the checks that need a database, as far as there is one that can be asked."""
    if settings.sqlite and not (place := settings.database_url.removeprefix("sqlite:///").partition("?")[0]):
        report.troubles.append("the database is in memory")
        return
    if settings.sqlite and not Path(place).is_file():
        report.troubles.append(f"there is no database at {place}; run canteen init")
        return
    engine = owner_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            for look in AS_OWNER:
                look(connection, report)
    finally:
        engine.dispose()
    if report.facts["schema"] != newest_revision():
        return  # the tables that the next checks read may not be there
    with installation(checked=False):
        for check in AS_APPLICATION:
            check(settings, report)


def plain(url: str) -> str:
    """Return the address without a password."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://…@{tail}" if at else url


def _versions(_settings: Config, report: Report) -> None:
    ours = {"python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    report.facts["versions"] = ours | {name: version(name) for name in VERSIONS}


def _settings(settings: Config, report: Report) -> None:
    """Show the settings of this process; secrets are not settings."""
    report.facts["settings"] = {
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
    }


def _secrets(settings: Config, report: Report) -> None:
    if not settings.production:
        return  # made at first use
    missing = [name for name in SECRETS if not (settings.keys_dir / f"{name}.key").is_file()]
    advice = "put it back from the copy of the keys; canteen keys init makes it where no data depends on it"
    report.troubles += [f"the secret {name} is missing: {advice}" for name in missing]


def _decided(_settings: Config, report: Report) -> None:
    """Show what was set by form, and name environment variables that decided it before and no longer do."""
    decided = decisions.read(db.session())
    report.facts["decided"] = {kind.key: decided.text(kind.key) for kind in decisions.kinds()}
    report.warnings += [
        f"{kind.older} is set and has no effect: {kind.key} is what /desk/settings says ({decided.text(kind.key)})"
        for kind in decisions.kinds()
        if kind.older and kind.older in os.environ
    ]
    try:
        steps.of(decided, clock.now())
    except Refusal as refusal:
        report.troubles.append(f"{refusal.code}: {refusal.message}")


def _schema(connection: Connection, report: Report) -> None:
    """Check that the newest schema is there with all its invariants."""
    there, newest = revision_of(connection), newest_revision()
    report.facts["schema"] = there
    if there is None:
        report.troubles.append("the database is empty; run canteen init")
        return
    if there != newest:
        report.troubles.append(f"the schema is at {there}, not at {newest}; run canteen init")
    installed, wanted = invariants.installed_triggers(connection), invariants.wanted(connection.dialect.name)
    report.facts["triggers"] = len(installed)
    report.troubles += [f"trigger {name} is missing or disabled" for name in sorted(wanted - installed)]
    report.troubles += [f"trigger {name} refuses nothing" for name in sorted(invariants.hollow(connection) & wanted)]


def _postgresql(connection: Connection, report: Report) -> None:
    if connection.dialect.name != "postgresql":
        return
    show = {name: connection.execute(text(f"SHOW {name}")).scalar_one() for name in POSTGRESQL}
    report.facts["postgresql"] = show
    durable = ("fsync", "full_page_writes", "synchronous_commit")
    report.troubles += [f"{name} is off" for name in durable if show[name] == "off"]
    if report.facts["schema"] is None:
        return
    roles = set(connection.execute(text("SELECT rolname FROM pg_roles WHERE rolname LIKE 'canteen\\_%'")).scalars())
    report.facts["roles"] = sorted(roles)
    missing = [role for role in (invariants.OWNER, invariants.APP, invariants.AUDITOR) if role not in roles]
    report.troubles += [f"role {role} is missing" for role in missing]
    if not missing:
        report.troubles += invariants.excess_rights(connection)


def _clock(connection: Connection, report: Report) -> None:
    if connection.dialect.name != "postgresql":
        return
    ahead = (clock.now() - time_at(connection)).total_seconds()
    report.facts["clock"] = f"{ahead:+.1f} s from the database's"
    if abs(ahead) > CLOCKS_AGREE:
        report.troubles.append(
            f"this host's clock is {ahead:+.0f} s from the database's; periods would close on the wrong day"
        )


def _acting(settings: Config, report: Report) -> None:
    """Check which role the application's own connections act as, and their isolation."""
    if settings.sqlite:
        return
    acts = db.session.execute(text("SELECT current_user, current_setting('transaction_isolation')")).one()
    report.facts["application"] = {"acts_as": acts[0], "isolation": acts[1]}
    if acts[1] != "read committed":
        report.troubles.append(f"transactions are {acts[1]}, not read committed")
    if acts[0] != invariants.APP and (settings.app_role == invariants.APP or settings.production):
        report.troubles.append(f"the application acts as {acts[0]}, not as {invariants.APP}")


def _installation(settings: Config, report: Report) -> None:
    row = db.session.get(Installation, 1)
    report.facts["incarnation"] = row.incarnation if row else None
    if row is None:
        report.troubles.append("the installation has no name; run canteen init")
    elif settings.production and row.demo:
        report.troubles.append("a demo database in production")


def _unclaimed(_settings: Config, report: Report) -> None:
    """Check for closed periods without a claim that no close can still be working on."""
    found = close.unclaimed(db.session(), before=clock.now() - jobs.LEASE)
    report.troubles += [
        f"period {one.from_day}..{one.to_day} of {one.contract_id} is closed and has no claim; "
        f"run canteen period close {one.contract_id} {one.from_day}"
        for one in found
    ]


def _safe(settings: Config, _report: Report) -> None:
    if settings.production:
        security.refuse_unsafe(settings, db.session(), debug=current_app.debug)


def _keys(settings: Config, report: Report) -> None:
    """Check whether the keys folder belongs to this database."""
    keys = startup.compare_keys(db.session(), settings)
    report.troubles += [f"keys_wrong: {fault}" for fault in keys.faults]
    report.warnings += [f"the secret {name} has not proved itself yet; it does with use" for name in keys.unproven]


def _scheduler(_settings: Config, report: Report) -> None:
    """Warn when no scheduler looks. No more than warn: all may be stopped, as before a first start or an upgrade."""
    since = heartbeats.age(db.session())
    report.facts["scheduler"] = "never seen" if since is None else f"looked {since.total_seconds():.0f} s ago"
    if since is None:
        report.warnings.append("no scheduler has looked yet; canteen serve or canteen scheduler starts one")
    elif since > heartbeats.SILENT:
        minutes = int(since.total_seconds() // 60)
        report.warnings.append(f"no scheduler has looked for {minutes} minutes: no period is closed; start one")


def _sqlite(connection: Connection, report: Report) -> None:
    if connection.dialect.name != "sqlite":
        return
    read = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in PRAGMAS}
    report.facts["sqlite"] = read
    if read["journal_mode"] == "wal" and sqlite3.sqlite_version_info < WAL_SAFE:
        report.troubles.append("WAL on a SQLite with the WAL-reset fault")
    report.troubles += [
        f"PRAGMA {name} is {read[name]}, not {wanted}"
        for name, wanted in (("synchronous", 2), ("foreign_keys", 1), ("recursive_triggers", 1))
        if read[name] != wanted
    ]
    loose = connection.exec_driver_sql(
        "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict "
        "AND name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"
    ).scalars()
    report.troubles += [f"table {name} is not STRICT" for name in loose]


def _tablets(_settings: Config, report: Report) -> None:
    """Check whether tablets were acknowledged numbers that this database lacks."""
    troubles, warnings = incarnation.messages()
    report.troubles += troubles
    report.warnings += warnings


def _cannot_sell(_settings: Config, report: Report) -> None:
    """Warn of canteens that cannot sell today, with what each lacks."""
    words = {
        "contract": "no contract",
        "windows": "no meal times",
        "tablet": "no tablet",
        "menu": "no dish with a price",
    }
    report.warnings += [
        f"canteen {canteen} cannot sell: {', '.join(words[name] for name in lacks)}"
        for canteen, _, lacks in readiness.unready(db.session(), clock.today())
    ]
    report.warnings += [
        f"canteen {canteen} has no rulebook in force: everybody pays the list price; publish one at /desk/ruledesk"
        for canteen in layers.without_rules(db.session(), clock.today())
    ]


def _late_answers(_settings: Config, report: Report) -> None:
    """Warn of canteens whose answers to complaints are overdue."""
    report.warnings += [
        f"complaints about {canteen} overdue for an answer: {count}; see /desk/complaints"
        for canteen, count in complaints.overdue_counts(db.session()).items()
    ]


def _backups(settings: Config, report: Report) -> None:
    """Warn in production when no backup was made for two days."""
    newest = db.session.execute(select(func.max(Event.at)).where(Event.kind == "backup.make")).scalar()
    report.facts["backup"] = filters.at(newest) if newest else "never"
    if settings.production and (newest is None or clock.now() - newest > BACKUP_AGE):
        report.warnings.append("no backup was made for two days; run canteen backup every night")


def _calendar(_settings: Config, report: Report) -> None:
    """Warn when the days of this year, and from November on of the next, are not entered."""
    session, today = db.session(), clock.today()
    asking = layers.asking_day_kind(session, today)
    for year in calendars.missing_years(session, today):
        warning = f"the calendar of {year} is not entered: its days go by weekday and fixed holidays; enter it at /desk/calendar"
        if asking:
            warning = f"URGENT {warning} — these rulebooks pay by the kind of day: {', '.join(asking)}"
        report.warnings.append(warning)


# Further checks are added at the end of a list. A check of SETTINGS or AS_APPLICATION receives the settings, one of
# AS_OWNER the connection. A thing to repair now is a trouble; one due later is a warning.
SETTINGS: tuple[Callable[[Config, Report], None], ...] = (_versions, _settings, _secrets)
AS_OWNER: tuple[Callable[[Connection, Report], None], ...] = (_schema, _postgresql, _sqlite, _clock)
AS_APPLICATION: tuple[Callable[[Config, Report], None], ...] = (
    _acting,
    _installation,
    _decided,
    _unclaimed,
    _tablets,
    _backups,
    _calendar,
    _cannot_sell,
    _late_answers,
    _safe,
    _keys,
    _scheduler,
)
