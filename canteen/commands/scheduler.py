"""canteen scheduler: the process that closes periods when they are due."""

from __future__ import annotations

import json
import logging
import sys

import click

from canteen import jobs, processes, startup
from canteen.commands import installation
from canteen.settlement.closing import schedule


@click.command()
@click.option("--once", is_flag=True, help="Do what is due now and end.")
@click.option("--every", type=click.IntRange(1, 3600), default=schedule.TICK, help="Seconds between two ticks.")
@click.option("--tied", is_flag=True, hidden=True, help="End when standard input closes: with `canteen serve`.")
@click.option("--json", "as_json", is_flag=True, help="With --once: print what became of each job as JSON.")
def scheduler(*, once: bool, every: int, tied: bool, as_json: bool) -> None:
    """Close periods when they are due. Any number may run, on any hosts: each close happens once."""
    if not once:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
        for noisy in ("apscheduler", "alembic"):
            logging.getLogger(noisy).setLevel(logging.WARNING)  # they would tell of every tick
        if tied:
            processes.end_with(sys.stdin.fileno())
        with installation() as app:
            schedule.run(app, every=every, first=startup.recheck)
        return
    with installation():
        holder = jobs.holder_name()
        outcomes = schedule.tick(holder) | schedule.on_request(holder)
    if as_json:
        click.echo(json.dumps(outcomes, ensure_ascii=False, indent=2))
        return
    for key, outcome in outcomes.items():
        click.echo(f"{key} {outcome}")
    if not outcomes:
        click.echo("Nothing is due.")
