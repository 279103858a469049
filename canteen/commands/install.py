"""canteen init, keys: setting up an installation."""

from __future__ import annotations

import os
import uuid

import click

from canteen import clock, config, keychecks, startup
from canteen.commands import doctor, installation
from canteen.config import SECRETS, Config
from canteen.db import db, transaction, upgrade
from canteen.places import Installation


@click.command()
def init() -> None:
    """Create the database, or bring it to the newest schema. Safe to repeat."""
    settings = config.from_environment()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    upgrade(settings.database_url)
    with installation(), transaction() as session:
        if session.get(Installation, 1) is None:
            session.add(Installation(id=1, incarnation=uuid.uuid4().hex, demo=settings.demo, made_at=clock.now()))
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
    """Raise WrongKeys, or DatabaseAway when it cannot be known."""
    with installation(checked=False):
        if startup.schema(settings) is not None:
            keychecks.refuse(startup.compare_keys(db.session(), settings).faults)
