"""canteen claims: list, export and move claims. Whoever acts proves it by password: access to a shell gives no right to approve."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from canteen import settings
from canteen.auth import guard, logins, people
from canteen.commands import installation
from canteen.commands.period import show
from canteen.db import db
from canteen.errors import Forbidden
from canteen.keyset import reader
from canteen.money import show as yuan
from canteen.settlement.claims import claims as claim_reads
from canteen.settlement.claims import steps, workflow
from canteen.settlement.desk import exports
from canteen.settlement.desk.blueprint import INSIDERS, PAYERS
from canteen.settlement.labels import say
from canteen.settlement.models import Claim

DEVICE = "command line"


def as_person(login: str, password: str, permission: str, contract_id: str) -> str:
    """Return the id of who acts, proved by password and with the permission. Raises WrongPassword, Forbidden."""
    person = people.find(db.session(), login)
    person_id, shut = person.id, person.disabled_at is not None
    if shut or person.password_hash is None:
        raise logins.WrongPassword
    logins.confirm_password(person_id, password, device=DEVICE)
    scope = guard.scope_of(db.session(), person_id, permission)
    allowed = contract_id in scope.contracts(db.session())
    db.session.rollback()
    if not allowed:
        raise Forbidden
    return person_id


def _at(person_id: str, contract_id: str, permissions: Iterable[str]) -> bool:
    """Tell whether a person has one of the permissions at a contract."""
    with reader() as session:
        return any(contract_id in guard.scope_of(session, person_id, one).contracts(session) for one in permissions)


def permission_for(act: str) -> str:
    """Return the permission that a move or payout asks for."""
    return str(guard.Permission[steps.PERMISSIONS[act]])


def workflow_config(claim: Claim) -> steps.WorkflowSteps:
    """Return the workflow steps of a claim."""
    return steps.of(settings.read(db.session()), claim.made_at)


ACTS = tuple(act for act in steps.PERMISSIONS if act not in {"enter", "check"})
login_option = click.option("--as", "login", required=True, help="Login of the person who acts.")
password_option = click.option(
    "--password", envvar="CANTEEN_PASSWORD", prompt=True, hide_input=True, help="Asked for when not given."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def claims() -> None:
    """List, export and move claims."""


@claims.command("list")
@click.option("--contract", help="Of one contract.")
@click.option(
    "--state",
    type=click.Choice(sorted({*steps.FINAL, "draft", "returned", "submitted", "reviewed", "determined", "approved"})),
)
@json_option
def list_(contract: str | None, state: str | None, as_json: bool) -> None:
    """List claims with their state and amounts, oldest first."""
    with installation():
        session = db.session()
        query = select(Claim).order_by(Claim.from_day, Claim.number)
        if contract is not None:
            query = query.where(Claim.contract_id == contract)
        rows = [_row(one, claim_reads.state(session, one.id)) for one in session.execute(query).scalars()]
    rows = [row for row in rows if state in {None, row["state"]}]
    said = [
        f"{row['number']}  {say('state', row['state'])}  {row['meals']} 人次  {yuan(row['fen'])} 元" for row in rows
    ]
    show(rows, as_json, said or ["No claims."])


def _row(claim: Claim, state: str) -> dict[str, Any]:
    return {
        "number": claim.number,
        "contract": claim.contract_id,
        "from": claim.from_day.isoformat(),
        "to": claim.to_day.isoformat(),
        "state": state,
        "meals": claim.meals,
        "persons": claim.persons,
        "fen": claim.fen,
        "statement": claim.statement_hash,
    }


@claims.command("export")
@click.argument("number")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@login_option
@password_option
@json_option
def export(number: str, path: Path, login: str, password: str, as_json: bool) -> None:
    """Write claim NUMBER with its meals to PATH (.xlsx). Who took it is recorded."""
    with installation():
        claim = claim_reads.of_number(db.session(), number)
        claim_id, contract = claim.id, claim.contract_id
        person = as_person(login, password, guard.Permission.EXPORT, contract)
        insider, pays = (_at(person, contract, some) for some in (INSIDERS, PAYERS))
        written = exports.claim(claim_id, path, insider=insider, accounts=pays)
        exports.record(claim_id, written, by=person)
        result = {"path": str(written.path), "sha256": written.hash, "meals": written.meals}
        show(result, as_json, [f"{written.path}: {written.meals} meals, SHA-256 {written.hash}"])


@claims.command("move")
@click.argument("number")
@click.argument("act", type=click.Choice(ACTS))
@click.option("--reason", default="", help="Asked for when a claim is returned.")
@login_option
@password_option
@json_option
def move(number: str, act: str, reason: str, login: str, password: str, as_json: bool) -> None:
    """Make one move of claim NUMBER."""
    with installation():
        claim = claim_reads.of_number(db.session(), number)
        claim_id, contract, workflow_steps = claim.id, claim.contract_id, workflow_config(claim)
        person = as_person(login, password, permission_for(act), contract)
        state = workflow.move(claim_id, act, by=person, reason=reason, workflow_steps=workflow_steps)
        show({"number": number, "state": state}, as_json, [f"{number}: {say('state', state)}"])
