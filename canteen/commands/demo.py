"""canteen demo: a whole city to try things in, in a database of its own."""

from __future__ import annotations

from datetime import date, datetime

import click

from canteen import clock
from canteen.config import Config
from canteen.db import db
from canteen.demo import access_data, database
from canteen.demo.builder import Size
from canteen.demo.builder import build as build_city
from canteen.demo.volume import add as add_volume

SEED = 2026


@click.command()
@click.option("--force", is_flag=True, help="Build anew over an existing demo city (SQLite).")
@click.option("--seed", default=SEED, show_default=True, help="Another seed, another city.")
@click.option("--today", type=click.DateTime(["%Y-%m-%d"]), help="The day on whose morning the story ends.")
@click.option("--elders", default=Size().elders, show_default=True, type=click.IntRange(300), help="On the roster.")
@click.option("--meals", default=Size().meals, show_default=True, type=click.IntRange(200), help="Eaten in all.")
@click.option("--volume", type=click.IntRange(1), help="Besides, one month of so many meals at a canteen of its own.")
def demo(*, force: bool, seed: int, today: datetime | None, elders: int, meals: int, volume: int | None) -> None:
    """Build the demo city once and say who may log in; the second time only say so."""
    config = database.of_environment()
    if force or not database.stands(config):
        day = today.date() if today else clock.today()
        build_anew(config, seed, day, Size(elders, meals), volume, anew=force)
    for line in access_data.who(config):
        click.echo(line)
    with database.opened(config):
        for line in access_data.some_cards(db.session()):
            click.echo(line)
    click.echo(f"打开演示：CANTEEN_DEMO=1 CANTEEN_DATA={config.data_dir} canteen serve")


def build_anew(
    config: Config, seed: int, today: date, size: Size, volume: int | None = None, *, anew: bool = False
) -> None:
    """Build the city and its cards; both take their places only when both are whole."""
    cards = access_data.cards_of(config)
    side = cards.with_name(f".{cards.name}.building")  # the cards of the existing city work until the new one does
    with database.building(config, anew=anew):
        built = build_city(seed, today, side, size, _report)
        if volume:
            _report(f"Adding a month of {volume} meals")
            add_volume(seed, volume, built.story.closed[2])
    side.replace(cards)
    _report(
        f"Built in {built.seconds:.0f} s: {built.elders} elders, {built.checkouts} checkouts, "
        f"{built.claims} claims, {built.findings} findings"
    )


def _report(text: str) -> None:
    click.echo(f"    {text}", err=True)
