"""canteen tablet: one-time codes, the list of tablets, shutting one out."""

from __future__ import annotations

import json

import click
from sqlalchemy import select

from canteen import clock
from canteen.auth import tablets
from canteen.auth.models import Tablet
from canteen.auth.reach import SYSTEM
from canteen.commands import installation
from canteen.db import db
from canteen.web import filters


@click.group()
def tablet() -> None:
    """Manage the tablets at the counters."""


@tablet.command()
@click.argument("canteen_id")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def code(canteen_id: str, name: str, *, as_json: bool) -> None:
    """Make a one-time code that lets a tablet called NAME into CANTEEN_ID within the hour."""
    with installation():
        made = tablets.make_code(canteen_id, name, by=SYSTEM)
    if as_json:
        ends = clock.local(made.expires_at).isoformat(timespec="seconds")
        click.echo(json.dumps({"code": made.code, "expires_at": ends}))
    else:
        click.echo(f"{made.grouped}  until {filters.at(made.expires_at)}")


@tablet.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def list_(*, as_json: bool) -> None:
    """List tablets, their canteens, and when they were last heard."""
    with installation():
        query = select(Tablet).order_by(Tablet.canteen_id, Tablet.name, Tablet.id)
        rows = [
            {
                "id": each.id,
                "canteen": each.canteen_id,
                "name": each.name,
                "seen": filters.at(each.seen_at),
                "skew_ms": each.skew_ms,
                "revoked": filters.at(each.revoked_at),
            }
            for each in db.session.execute(query).scalars()
        ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        state = f"revoked {row['revoked']}" if row["revoked"] else f"seen {row['seen'] or 'never'}"
        click.echo(f"{row['id']}  {row['canteen']}  {row['name']}  {state}")


@tablet.command()
@click.argument("tablet_id")
@click.option("--reason", type=click.Choice(sorted(tablets.REVOKED)), required=True)
def revoke(tablet_id: str, reason: str) -> None:
    """Shut TABLET_ID out from its next request on. Safe to repeat."""
    with installation():
        tablets.revoke(tablet_id, by=SYSTEM, reason=reason)
    click.echo(f"{tablet_id}: revoked")
