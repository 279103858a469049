"""canteen incarnation: which life of this database it is; renewed after a restore, so that tablets send again."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from canteen.auth.reach import SYSTEM
from canteen.commands import installation
from canteen.db import db
from canteen.pos import acknowledgements
from canteen.pos import incarnation as lives
from canteen.pos.acknowledgements import Ahead
from canteen.web import filters

SHOWN = 20  # tablets named in one sentence


@click.group()
def incarnation() -> None:
    """Show or renew the database's incarnation, by which tablets know that it was restored."""


@incarnation.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def show(*, as_json: bool) -> None:
    """Show the incarnation, and the tablets that know more than the database."""
    with installation():
        current, found = lives.current(db.session()), acknowledgements.tablets_ahead(db.session())
    if as_json:
        rows = [
            {
                "tablet": each.tablet,
                "name": each.name,
                "canteen": each.canteen,
                "epoch": each.run.epoch,
                "first": each.run.first,
                "last": each.run.last,
                "missing": each.missing,
                "since": filters.at(each.since),
                "renewed": each.renewed,
                "revoked": each.revoked,
            }
            for each in found
        ]
        click.echo(json.dumps({"incarnation": current, "ahead": rows}, ensure_ascii=False))
        return
    click.echo(current)
    for each in found:
        click.echo(f"{each}: {each.missing} missing, known since {filters.at(each.since)}")


@incarnation.command()
@click.option("--force", is_flag=True, help="Even when no tablet calls for it: right after a restore.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def renew(*, force: bool, as_json: bool) -> None:
    """Make a new incarnation: every tablet sends again all that it keeps. Servers need no restart. Safe to repeat."""
    with installation():
        made = lives.renew(
            by=SYSTEM,
            because=_subjects(acknowledgements.calling(acknowledgements.tablets_ahead(db.session()))),
            force=force,
        )
    if as_json:
        click.echo(json.dumps({"incarnation": made}))
    else:
        click.echo(
            f"{made}\nTablets send again what they keep, each at its next contact; canteen doctor tells when all came."
        )


def messages() -> tuple[list[str], list[str]]:
    """Return troubles and warnings about tablets that know more than the database, each as a sentence."""
    found = acknowledgements.tablets_ahead(db.session())
    troubles, warnings = list[str](), list[str]()
    if calling := acknowledgements.calling(found):
        troubles.append(
            f"the database is older than what tablets know; run canteen incarnation renew: {_names(calling)}"
        )
    if coming := [each for each in found if each.renewed and not each.revoked]:
        troubles.append(f"tablets have not sent again what is missing in this incarnation: {_names(coming)}")
    if gone := [each for each in found if each.revoked]:
        warnings.append(f"revoked tablets were acknowledged what the database does not hold: {_names(gone)}")
    return troubles, warnings


def _subjects(found: Sequence[Ahead]) -> list[str]:
    """Return tablets and numbers for the chain of events, without names that people gave."""
    return [f"{each.tablet}/{each.run.epoch}/{each.run.first}-{each.run.last}" for each in found[:SHOWN]]


def _names(found: Sequence[Ahead]) -> str:
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    return "; ".join(f"{each}, {each.missing} missing" for each in found[:SHOWN]) + more
