"""canteen changes: requests that wait for a second person, who proves to be one by password: a shell is no right to confirm."""

from __future__ import annotations

import click

from canteen.auth import change_requests, logins, people
from canteen.auth.models import Person
from canteen.commands import installation
from canteen.commands.claims import DEVICE, json_option, login_option, password_option
from canteen.commands.period import show
from canteen.db import batches, db
from canteen.errors import Forbidden
from canteen.web import filters

SHOWN = 50  # lines printed; --json prints all


@click.group()
def changes() -> None:
    """List, confirm and refuse changes that need a second person."""


@changes.command("list")
@login_option
@json_option
def list_(login: str, as_json: bool) -> None:
    """List the waiting changes that LOGIN may see, older first."""
    with installation():
        session = db.session()
        person = people.find(session, login).id
        rows = [
            {
                "request": each.request.id,
                "kind": each.request.kind,
                "subject": each.request.subject,
                "lines": each.lines,
                "by": each.request.asked_by,
                "at": filters.at(each.request.asked_at),
            }
            for each in change_requests.waiting(session, person)
        ]
        said = [f"{row['request']}  {row['kind']}  {row['lines']} lines  by {row['by']}  {row['at']}" for row in rows]
        show(rows, as_json, said or ["Nothing waits."])


@changes.command("show")
@click.argument("request", type=int)
@login_option
@password_option
@json_option
def show_(request: int, login: str, password: str, as_json: bool) -> None:
    """Show each line of REQUEST, before and after."""
    with installation():
        person = proved(login, password)
        session = db.session()
        kind = change_requests.kind_of(change_requests.found(session, request, person).kind)
        lines = change_requests.lines_of(session, request, most=None if as_json else SHOWN)
        found = [line for part in batches(lines) for line in kind.show(session, part)]
        rows = [
            {"name": line.name, "detail": line.detail, "before": line.before, "after": line.after, "from": line.since}
            for line in found
        ]
        show(rows, as_json, [f"{r['name']} {r['detail']}  {r['before']} → {r['after']}  {r['from']}" for r in rows])


@changes.command()
@click.argument("request", type=int)
@login_option
@password_option
def confirm(request: int, login: str, password: str) -> None:
    """Confirm REQUEST as a second person: it takes effect now."""
    with installation():
        change_requests.confirm(request, by=proved(login, password))
    click.echo(f"{request}: confirmed")


@changes.command()
@click.argument("request", type=int)
@click.option("--reason", required=True, help="Why, in 4 to 200 characters.")
@login_option
@password_option
def refuse(request: int, reason: str, login: str, password: str) -> None:
    """Refuse REQUEST as a second person."""
    with installation():
        change_requests.refuse(request, reason, by=proved(login, password))
    click.echo(f"{request}: refused")


def proved(login: str, password: str) -> str:
    """Return the id of the acting person, proved by password. Raises NoPerson, WrongPassword, Forbidden."""
    person = people.find(db.session(), login)
    person_id, shut = person.id, person.disabled_at is not None
    if shut or person.password_hash is None:
        raise logins.WrongPassword
    logins.confirm_password(person_id, password, device=DEVICE)
    chosen_by_another = db.session().get_one(Person, person_id).must_change
    db.session.rollback()
    if chosen_by_another:
        raise Forbidden("请先登录页面修改初始密码。")
    return person_id
