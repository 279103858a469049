"""canteen user: accounts and roles, from the server's own command line (recorded as 'system')."""

from __future__ import annotations

import json
import sys
from typing import Any

import click
from sqlalchemy import select

from canteen.auth import change_requests, guard, humans, people, reach
from canteen.auth.models import NODES, ROLES, Person
from canteen.commands import installation
from canteen.db import db
from canteen.errors import Invalid
from canteen.web import filters

WAITS = "The role waits for an administrator: canteen changes list --as LOGIN, or /desk/changes"


@click.group()
def user() -> None:
    """Manage accounts of people and their roles."""


@user.command()
@click.argument("login")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--pin-stdin", is_flag=True, help="Read a six-digit PIN for the till from the next line.")
@click.option("--role", type=click.Choice(ROLES), help="A first role, with --at.")
@click.option("--at", "node", metavar="KIND:ID", help="Where: area:220102, operator:…, canteen:…")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def add(
    login: str, name: str, *, password_stdin: bool, pin_stdin: bool, role: str | None, node: str | None, as_json: bool
) -> None:
    """Make the account LOGIN of NAME. Without --password-stdin or --pin-stdin the password is asked for."""
    if (role is None) != (node is None):
        raise click.UsageError("--role and --at go together")
    first = [(role, *_node(node))] if role is not None and node is not None else []
    password = _line("password") if password_stdin else None
    pin = _line("PIN") if pin_stdin else None
    if password is None and pin is None:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    with installation():
        person_id = people.create(login, name, password=password, pin=pin, grants=first, by=reach.SYSTEM)
        waits = len(change_requests.asked_about(db.session(), people.GRANT, [person_id]).get(person_id, ()))
    click.echo(json.dumps({"id": person_id, "login": login}) if as_json else f"{login}: {person_id}")
    if waits:
        click.echo(WAITS, err=True)


@user.command()
@click.argument("login")
@click.argument("role", type=click.Choice(ROLES))
@click.argument("kind", type=click.Choice(NODES))
@click.argument("node_id")
def grant(login: str, role: str, kind: str, node_id: str) -> None:
    """Give LOGIN a ROLE at a place: KIND and NODE_ID. Safe to repeat."""
    with installation():
        person = people.find(db.session(), login)
        waits = people.grant(person.id, role, kind, node_id, by=reach.SYSTEM)
        where = people.node_name(db.session(), kind, node_id)
    click.echo(f"{login}: {role} at {where}")
    if waits:
        click.echo(WAITS, err=True)


@user.command()
@click.argument("login")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of standard input.")
@click.option("--pin", "for_pin", is_flag=True, help="Set the PIN for the till instead.")
def password(login: str, *, password_stdin: bool, for_pin: bool) -> None:
    """Set a new password (or PIN) of LOGIN, end its lock and its logins. The password is changed at the next login."""
    what = "PIN" if for_pin else "password"
    secret = _line(what) if password_stdin else click.prompt(what, hide_input=True, confirmation_prompt=True)
    with installation():
        person_id = people.find(db.session(), login).id
        if for_pin:
            people.reset_pin(person_id, secret, by=reach.SYSTEM)
        else:
            people.reset_password(person_id, secret, by=reach.SYSTEM)
    click.echo(f"{login}: new {what}")


@user.command()
@click.argument("login")
@click.argument("other")
def same(login: str, other: str) -> None:
    """Record that LOGIN and OTHER are used by one human: maker and checker must then be somebody else (P23)."""
    with installation():
        ids = [people.find(db.session(), each).id for each in (login, other)]
        humans.tie(*ids, by=reach.SYSTEM)
    click.echo(f"{login} and {other} are one person")


@user.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def list_(*, as_json: bool) -> None:
    """List accounts with their roles in force."""
    with installation():
        session = db.session()
        rows: list[dict[str, Any]] = [
            {
                "id": person.id,
                "login": person.login,
                "name": person.name,
                "disabled": person.disabled_at is not None,
                "grants": [
                    {
                        "role": grant.role,
                        "kind": grant.node_kind,
                        "node": grant.node_id,
                        "name": people.node_name(session, grant.node_kind, grant.node_id),
                        "by": grant.granted_by,
                        "since": filters.at(grant.granted_at),
                    }
                    for grant in guard.live_grants(session, person.id)
                ],
            }
            for person in session.execute(select(Person).order_by(Person.login)).scalars()
        ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for row in rows:
        grants = ", ".join(f"{each['role']} at {each['name']}" for each in row["grants"])
        click.echo(f"{row['login']}  {row['name']}  {'disabled  ' if row['disabled'] else ''}{grants}")


def _line(what: str) -> str:
    text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise Invalid(f"标准输入里没有内容（{what}）。")
    return text


def _node(text: str) -> tuple[str, str]:
    kind, _, node_id = text.partition(":")
    if kind not in NODES or not node_id:
        raise click.BadParameter("write KIND:ID, as in area:220102", param_hint="--at")
    return kind, node_id
