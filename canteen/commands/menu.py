"""canteen menu: dishes and prices of canteens, from a file and as they are on a day."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path

import click

from canteen import clock, places
from canteen.commands import installation
from canteen.commands.roster import FILE, apply_kind, check_kind, json_option
from canteen.db import db
from canteen.menus import offers
from canteen.money import show as yuan
from canteen.registry.imports import templates
from canteen.registry.imports.menus import MENUS, rows_of_menus


@click.group()
def menu() -> None:
    """Enter the dishes and prices of canteens, and show what is on offer."""


@menu.command()
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--canteen", "canteens", multiple=True, help="Fill in the present menu of this canteen; may be repeated.")
def template(out: Path, canteens: tuple[str, ...]) -> None:
    """Write the template to OUT, .xlsx or .csv by its ending."""
    with installation():
        for each in canteens:
            places.canteen(db.session(), each)
        rows = rows_of_menus(db.session(), canteens)
        csv = out.suffix == ".csv"
        out.write_bytes(templates.separated(MENUS, rows) if csv else templates.workbook(db.session(), MENUS, rows))
    click.echo(str(out))


@menu.command()
@click.argument("file", type=FILE)
@json_option
def check(file: Path, as_json: bool) -> None:
    """Tell what applying FILE would do, and which rows are wrong. Writes nothing."""
    check_kind(file, "menus", as_json=as_json)


@menu.command()
@click.argument("file", type=FILE)
@json_option
def apply(file: Path, as_json: bool) -> None:
    """Write the good rows of FILE, all at once. The same file a second time changes nothing."""
    apply_kind(file, "menus", as_json=as_json)


@menu.command()
@click.argument("canteen")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="Another day than today.")
@json_option
def show(canteen: str, day: datetime | None, as_json: bool) -> None:
    """Show what CANTEEN offers on a day, by meal: id, price, name, and what is sold out."""
    with installation():
        places.canteen(db.session(), canteen)
        on: date = day.date() if day else clock.today()
        found = offers.read_offers(db.session(), canteen, on)
    if as_json:
        rows = [
            {"item": one.id, "name": one.name, "fen": one.fen, "period": one.period, "tags": list(one.tags)}
            | {"sold_out": one.sold_out}
            for one in found
        ]
        click.echo(json.dumps({"canteen": canteen, "day": on.isoformat(), "menu": rows}, ensure_ascii=False))
        return
    for one in found:
        click.echo(f"{one.period:9}  {one.id}  {yuan(one.fen):>8}  {one.name}{'  sold out' if one.sold_out else ''}")
