"""canteen applications: those that wait for somebody's opinion, and giving it, proved by password."""

from __future__ import annotations

from datetime import date, datetime

import click

from canteen import clock
from canteen.auth import guard, people
from canteen.auth.guard import Permission
from canteen.commands import installation
from canteen.commands.changes import proved
from canteen.commands.claims import json_option, login_option, password_option
from canteen.commands.period import show
from canteen.db import db
from canteen.registry.applications import opinions, queries
from canteen.registry.applications.opinions import Decision, NoApplication
from canteen.web import filters


@click.group()
def applications() -> None:
    """List applications for the meal subsidy, and give an opinion."""


@applications.command("list")
@login_option
@click.option("--all", "every", is_flag=True, help="All that LOGIN may see, newest first, not only what waits.")
@click.option("--after", type=int, default=None, help="Go on after this number, of the last list's 'after'.")
@json_option
def list_(login: str, every: bool, after: int | None, as_json: bool) -> None:
    """List the applications that wait for LOGIN's opinion, oldest first."""
    with installation():
        session = db.session()
        person = people.find(session, login).id
        if every:
            scope = guard.scope_of(session, person, Permission.SEE_APPLICATIONS)
            page = queries.listed(session, scope, before=after)
        else:
            page = queries.waiting(session, person, after=after or 0)
        rows = [
            {"application": each.id, "state": each.state, "area": each.area, "at": filters.at(each.at)}
            for each in page.rows
        ]
        said = [f"{row['application']}  {row['state']}  {row['area']}  {row['at']}" for row in rows]
        show({"applications": rows, "after": page.after}, as_json, said or ["Nothing waits."])


@applications.command()
@click.argument("number", type=int)
@click.option("--step", type=click.Choice(["community", "street"]), required=True, help="Whose opinion this is.")
@click.option("--reason", default="", help="The opinion in words, up to 200 characters.")
@click.option(
    "--from", "effective", type=click.DateTime(["%Y-%m-%d"]), help="Day of effect; of the street. Else today."
)
@login_option
@password_option
def agree(number: int, step: str, reason: str, effective: datetime | None, login: str, password: str) -> None:
    """Agree to application NUMBER; with the street's opinion the classes are valid from the day of effect."""
    with installation():
        day: date | None = None
        if step == "street":
            day = effective.date() if effective else clock.today()
        _give(number, step, Decision(agrees=True, reason=reason, effective_from=day), proved(login, password))
    click.echo(f"{number}: agreed")


@applications.command()
@click.argument("number", type=int)
@click.option("--step", type=click.Choice(["community", "street"]), required=True, help="Whose opinion this is.")
@click.option("--reason", required=True, help="Why, in 4 to 200 characters.")
@login_option
@password_option
def refuse(number: int, step: str, reason: str, login: str, password: str) -> None:
    """Refuse application NUMBER."""
    with installation():
        _give(number, step, Decision(agrees=False, reason=reason), proved(login, password))
    click.echo(f"{number}: refused")


def _give(number: int, step: str, decision: Decision, by: str) -> None:
    """Give an opinion as somebody who may see the application. Raises NoApplication."""
    session = db.session()
    scope = guard.scope_of(session, by, Permission.SEE_APPLICATIONS)
    seen = queries.found(session, number, scope) is not None
    session.rollback()
    if not seen:
        raise NoApplication
    opinions.give(number, step, decision, by=by)
