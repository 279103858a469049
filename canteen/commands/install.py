"""canteen init, keys: setting up an installation."""

from __future__ import annotations

import os
import uuid

import click

from canteen import clock, config, invariants, keychecks, startup
from canteen import settings as decisions
from canteen.auth import reach
from canteen.commands import doctor, installation
from canteen.config import SECRETS, Config
from canteen.db import db, owner_engine, revision_of, transaction, upgrade
from canteen.places import Installation


@click.command()
@click.option("--app", "login", help="On PostgreSQL: the login under which `serve` and `scheduler` will run.")
def init(login: str | None) -> None:
    """Create the database, or bring it to the newest schema. Safe to repeat."""
    settings = config.from_environment()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    upgrade(settings.database_url)
    if login and not settings.sqlite:
        _let_act(settings, login)
    with installation(), transaction() as session:
        if session.get(Installation, 1) is None:
            session.add(Installation(id=1, incarnation=uuid.uuid4().hex, demo=settings.demo, made_at=clock.now()))
        decisions.begin(session, by=reach.SYSTEM)
    click.echo(f"Database ready: {doctor.plain(settings.database_url)}")


@click.group()
def keys() -> None:
    """Make the secrets of this installation, kept as files outside the database."""


@keys.command("init")
def keys_init() -> None:
    """Make every secret that is missing. Keep a copy elsewhere: without them ID numbers and cards cannot be read.

    Refused where the database has data written under a secret that is missing or another one.
    """
    settings = config.from_environment({**os.environ, "CANTEEN_PRODUCTION": "0"})
    _need_no_data(settings)
    for name in SECRETS:
        settings.secret(name)
    click.echo(f"{len(SECRETS)} secrets in {settings.keys_dir}")


def _need_no_data(settings: Config) -> None:
    """Raise WrongKeys where data depends on the secrets; OperationalError when it cannot be known."""
    if not settings.sqlite and _unmade(settings):
        return  # the role under which the application would look is not there either
    with installation(checked=False):
        if startup.schema(settings) is not None:
            keychecks.refuse(startup.compare_keys(db.session(), settings).faults)


def _unmade(settings: Config) -> bool:
    """Return whether the database on PostgreSQL is still empty."""
    engine = owner_engine(settings.database_url)
    try:
        with engine.connect() as connection:
            return revision_of(connection) is None
    finally:
        engine.dispose()


def _let_act(settings: Config, login: str) -> None:
    engine = owner_engine(settings.database_url)
    try:
        with engine.begin() as connection:
            invariants.let_act(connection, login)
    finally:
        engine.dispose()
