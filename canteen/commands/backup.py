"""canteen backup, restore: the whole database as one encrypted file that holds no key, and back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click
from sqlalchemy.engine import make_url

from canteen import config, events
from canteen.auth.reach import SYSTEM
from canteen.backups import backups
from canteen.backups.backups import Backup
from canteen.commands import installation
from canteen.config import Config
from canteen.db import transaction
from canteen.pos import incarnation
from canteen.web import filters

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class Either(click.Group):
    """`backup verify FILE` and the like are commands; any other first word is the PATH to back up to."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in self.commands:
            args = ["make", *args]
        return super().resolve_command(ctx, args)


@click.group(cls=Either, invoke_without_command=False, subcommand_metavar="PATH | verify FILE")
def backup() -> None:
    """Back the whole database up to PATH while everything runs, encrypted; or verify a backup."""


@backup.command("make", hidden=True)
@click.argument("path", type=click.Path(path_type=Path))
@json_option
def make(path: Path, *, as_json: bool) -> None:
    """Write the backup to PATH, or into the folder PATH. It holds no key: keep the folder of keys elsewhere."""
    with installation():
        settings = config.current()
        try:
            made = backups.make(settings, path)
        except FileExistsError:
            click.echo(f"{path} is there already; a backup is never written over", err=True)
            sys.exit(1)
        except OSError as error:
            click.echo(f"the backup could not be written: {error}", err=True)
            sys.exit(1)
        with transaction() as session:
            body = {"file": made.path.name, "bytes": made.bytes, "head": made.figures.head}
            events.record(session, "backup.make", "installation", by=SYSTEM, body=body)
    _print(made, as_json=as_json)


@backup.command("verify")
@click.argument("path", type=FILE)
@click.option("--scratch", default="", metavar="URL", help="On PostgreSQL: an empty database to restore into.")
@json_option
def verify(path: Path, scratch: str, *, as_json: bool) -> None:
    """Read the backup FILE back and compare rows and sums with those of its moment."""
    if scratch and make_url(scratch).get_backend_name() != "postgresql":
        raise click.BadParameter("it must be a database on PostgreSQL", param_hint="--scratch")
    _print(backups.verify(_settings(), path, scratch), as_json=as_json)


@click.command()
@click.argument("path", type=FILE)
@json_option
def restore(path: Path, *, as_json: bool) -> None:
    """Restore the backup FILE into the empty database of this installation; tablets then send again what it lacks.

    The folder of keys must be the one that the backup was made under: put the copy back first.
    """
    settings = _settings()
    restored = backups.restore(settings, path)
    with installation():
        because = [f"restored from the backup of {restored.made_at.isoformat()}"]
        incarnation.renew(by=SYSTEM, because=because, force=True)
    _print(restored, as_json=as_json)


def _settings() -> Config:
    return config.from_environment()


def _print(done: Backup, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(done.doc(), ensure_ascii=False))
        return
    rows = sum(done.figures.rows.values())
    click.echo(
        f"{done.path}: {done.bytes} bytes, of {filters.at(done.made_at)}, {rows} rows, event {done.figures.head.split(' ')[0]}"
    )
