"""canteen settings: what the bureau decided of its installation, shown and set."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any

import click

from canteen import settings as decisions
from canteen.auth import reach
from canteen.commands import installation
from canteen.db import db, transaction
from canteen.settlement.claims import steps  # noqa: F401 - the steps of a claim are a setting

DAY = click.DateTime(formats=["%Y-%m-%d"])
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def settings() -> None:
    """Show and set what the page /desk/settings has."""


@settings.command()
@json_option
def show(as_json: bool) -> None:
    """Print each setting, and values that count from a later day on."""
    with installation():
        found = decisions.read(db.session())
        rows: list[dict[str, Any]] = [
            {
                "key": kind.key,
                "value": found.text(kind.key),
                "coming": [{"value": row.value, "from": row.from_day.isoformat()} for row in found.coming(kind.key)],
            }
            for kind in decisions.kinds()
        ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        click.echo(f"{row['key']}: {row['value']}")
        for later in row["coming"]:
            click.echo(f"  from {later['from']}: {later['value']}")


@settings.command("set")
@click.argument("key", type=click.Choice(decisions.KEYS))
@click.argument("value")
@click.option("--from", "since", type=DAY, help="The first day, like 2026-12-01; today when not given.")
def set_(key: str, value: str, since: datetime | None) -> None:
    """Enter VALUE for KEY. The old value stays on record."""
    first: date | None = since.date() if since else None
    with installation(), transaction() as session:
        changed = decisions.put(session, key, value, first, by=reach.SYSTEM)
    click.echo(f"{key} {'set' if changed else 'is so already'}")
