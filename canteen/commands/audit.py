"""canteen audit: the chain of events, verified against itself and against a head noted elsewhere (P25)."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import click
from sqlalchemy import select

from canteen import events
from canteen.auth import pairs
from canteen.auth.models import Person
from canteen.commands import installation
from canteen.db import db

SHOWN = 100
_HEAD = re.compile(r"(\d{1,15}):([0-9a-f]{64})")


@click.group()
def audit() -> None:
    """Read and verify the audit log, the chain of what people did."""


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def head(*, as_json: bool) -> None:
    """Print number and hash of the newest event. Keep it outside: it finds a tail that was cut off later."""
    with installation(keys=False):
        number, digest = events.head(db.session())
    click.echo(json.dumps({"number": number, "hash": digest}) if as_json else f"{number}:{digest}")


@audit.command()
@click.option("--head", "noted", metavar="NUMBER:HASH", help="A head noted before; it must still be in the chain.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def verify(noted: str | None, *, as_json: bool) -> None:
    """Walk the whole chain; exit 1 and name each break when it is broken."""
    expected = _expected(noted)
    with installation(keys=False):
        found = list(events.breaks(db.session(), expected_head=expected))
        number, digest = events.head(db.session())
    if as_json:
        shown = [{"number": each.number, "reason": each.reason} for each in found[:SHOWN]]
        click.echo(json.dumps({"events": number, "head": digest, "breaks": shown}, ensure_ascii=False))
    elif not found:
        click.echo(f"{number} events, unbroken, head {digest}")
    for each in found[:SHOWN]:
        click.echo(f"event {each.number}: {each.reason}", err=True)
    if len(found) > SHOWN:
        click.echo(f"and {len(found) - SHOWN} more", err=True)
    sys.exit(1 if found else 0)


@audit.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def accounts(*, as_json: bool) -> None:
    """Name pairs of accounts that may be one human's: one browser, or a password set by the other."""
    with installation():
        session = db.session()
        logins = dict(session.execute(select(Person.id, Person.login)).all())
        rows: list[dict[str, Any]] = [
            {
                "logins": [logins.get(each, each) for each in pair.ids],
                "acted": pair.acted,
                "browsers": pair.browsers,
                "seconds_apart": int(pair.apart.total_seconds()) if pair.apart is not None else None,
                "password_reset": pair.reset,
                "tied": pair.tied,
            }
            for pair in pairs.pairs(session)
        ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        reasons = [f"{row['browsers']} browsers, {row['seconds_apart']} s apart"] if row["browsers"] else []
        reasons += ["one set the other's password"] if row["password_reset"] else []
        reasons += ["recorded as one human"] if row["tied"] else []
        both = f"  both acted on {', '.join(row['acted'])}" if row["acted"] else ""
        click.echo(f"{' and '.join(row['logins'])}: {'; '.join(reasons)}{both}")
    if not rows:
        click.echo("no two accounts share a browser")


def _expected(noted: str | None) -> tuple[int, str] | None:
    if noted is None:
        return None
    if (read := _HEAD.fullmatch(noted)) is None:
        raise click.BadParameter("write NUMBER:HASH as `canteen audit head` printed it", param_hint="--head")
    return int(read[1]), read[2]
