"""canteen points: serving points of canteens, from a file and as they are."""

from __future__ import annotations

import json
from pathlib import Path

import click
from sqlalchemy import select

from canteen.commands import installation
from canteen.commands.roster import FILE, apply_kind, check_kind, json_option
from canteen.db import db
from canteen.places import ServingPoint
from canteen.registry.imports import templates
from canteen.registry.imports.points import POINTS_FILE


@click.group()
def points() -> None:
    """Enter and list the serving points of canteens."""


@points.command()
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
def template(out: Path) -> None:
    """Write the empty template to OUT, .xlsx or .csv by its ending."""
    with installation():
        csv = out.suffix == ".csv"
        out.write_bytes(templates.separated(POINTS_FILE) if csv else templates.workbook(db.session(), POINTS_FILE))
    click.echo(str(out))


@points.command()
@click.argument("file", type=FILE)
@json_option
def check(file: Path, as_json: bool) -> None:
    """Tell what applying FILE would do, and which rows are wrong. Writes nothing."""
    check_kind(file, "points", as_json=as_json)


@points.command()
@click.argument("file", type=FILE)
@json_option
def apply(file: Path, as_json: bool) -> None:
    """Write the good rows of FILE, all at once. The same file a second time changes nothing."""
    apply_kind(file, "points", as_json=as_json)


@points.command("list")
@click.option("--canteen", help="Only those of this canteen.")
@json_option
def list_(canteen: str | None, as_json: bool) -> None:
    """List serving points by canteen: id, kind, name, and from which day on they are no longer used."""
    with installation():
        query = select(ServingPoint).order_by(ServingPoint.canteen_id, ServingPoint.id)
        if canteen is not None:
            query = query.where(ServingPoint.canteen_id == canteen)
        rows: list[dict[str, str | None]] = [
            {
                "id": each.id,
                "canteen": each.canteen_id,
                "name": each.name,
                "kind": each.kind,
                "ended_on": each.ended_on.isoformat() if each.ended_on else None,
            }
            for each in db.session.execute(query).scalars()
        ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        ended = f"  ended {row['ended_on']}" if row["ended_on"] else ""
        click.echo(f"{row['canteen']}  {row['id']}  {row['kind']}  {row['name']}{ended}")
