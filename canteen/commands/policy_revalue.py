"""canteen policy revalue: rules and facts known late, asked for, confirmed by a second person, run, reported."""

from __future__ import annotations

import json
import uuid
from datetime import date, datetime
from typing import Any

import click
from sqlalchemy import select

from canteen import jobs, money
from canteen.auth import guard
from canteen.auth.guard import Permission
from canteen.auth.models import Person
from canteen.commands import installation
from canteen.commands.policy_desk import _place, _version
from canteen.db import db
from canteen.errors import Forbidden, Invalid
from canteen.registry import lookup
from canteen.rulebooks.late_notices import find, ordered
from canteen.rulebooks.models import Revaluation
from canteen.ruledesk.desk.blueprint import document_of
from canteen.ruledesk.editor import comparison
from canteen.ruledesk.publication import gate
from canteen.ruledesk.publication.gate import names
from canteen.settlement.corrections import revaluations
from canteen.settlement.models import RevaluationRun

DAY = click.DateTime(["%Y-%m-%d"])
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
BY = click.option("--by", required=True, help="Login of the acting person.")
WHY = click.option("--reason", required=True, help="The notice and its number, or the evidence of the facts.")


@click.group("revalue")
def revalue() -> None:
    """Reprice past meals with rules or facts known late; settled months stay, differences go to open ones."""


@revalue.command("notice")
@click.argument("version")
@click.argument("place")
@click.argument("first", type=DAY)
@click.argument("last", type=DAY)
@WHY
@BY
@AS_JSON
def notice(version: str, place: str, first: datetime, last: datetime, reason: str, by: str, as_json: bool) -> None:
    """Ask for the meals of FIRST to LAST at PLACE under VERSION (the start of its hash), and preview; books nothing."""
    with installation():
        layer, node = _place(place)
        person = _person(by)
        _need_place(person, layer, node, Permission.PUBLISH, Permission.RULEBOOKS)
        number = revaluations.ask_notice(
            _version(version).hash, layer=layer, node_id=node, from_day=first.date(), to_day=last.date(),
            reason=reason, by=person,
        )  # fmt: skip
        _run(number, revaluations.request(number, preview=True, by=person), as_json)


@revalue.command("facts")
@click.argument("elder", type=click.UUID)
@click.argument("first", type=DAY)
@click.argument("last", type=DAY)
@WHY
@BY
@AS_JSON
def facts(elder: uuid.UUID, first: datetime, last: datetime, reason: str, by: str, as_json: bool) -> None:
    """Ask for the meals of one ELDER (their id) of FIRST to LAST with the facts known now, and preview; books nothing."""
    with installation():
        person = _person(by)
        _need_elder(person, elder, Permission.CONFIRM_ELDERS)
        days: tuple[date, date] = (first.date(), last.date())
        number = revaluations.ask_facts(elder, from_day=days[0], to_day=days[1], reason=reason, by=person)
        _run(number, revaluations.request(number, preview=True, by=person), as_json)


@revalue.command("confirm")
@click.argument("number", type=int)
@BY
@AS_JSON
def confirm(number: int, by: str, as_json: bool) -> None:
    """Confirm revaluation NUMBER as the second person, after its preview: it is booked now."""
    with installation():
        row, person = find(db.session(), number), _person(by)
        _need(person, row)
        diff = json.dumps(_differences(row), ensure_ascii=False)
        _run(number, revaluations.order(number, by=person, diff=diff), as_json)


@revalue.command("run")
@click.argument("number", type=int)
@BY
@AS_JSON
def run(number: int, by: str, as_json: bool) -> None:
    """Run revaluation NUMBER once more, for meals that arrived meanwhile; what is booked stays as it is."""
    with installation():
        row, person = find(db.session(), number), _person(by)
        _need(person, row)
        _run(number, revaluations.request(number, preview=False, by=person), as_json)


@revalue.command("list")
@AS_JSON
def list_(as_json: bool) -> None:
    """List every revaluation, newest first."""
    with installation():
        session = db.session()
        rows = session.execute(select(Revaluation).order_by(Revaluation.id.desc())).scalars().all()
        runs = [
            {
                "revaluation": row.id,
                "cause": row.cause,
                "title": row.title,
                "from": row.from_day.isoformat(),
                "to": row.to_day.isoformat(),
                "confirmed": ordered(session, row.id) is not None,
            }
            for row in rows
        ]
        session.rollback()
    if as_json:
        click.echo(json.dumps(runs, ensure_ascii=False, indent=2))
        return
    for one in runs:
        state = "confirmed" if one["confirmed"] else "waiting"
        click.echo(f"R{one['revaluation']}  {one['from']}..{one['to']}  {state}  {one['title']}")


def _run(number: int, run_id: int, as_json: bool) -> None:
    """Do the run unless a scheduler was quicker, and print what it found."""
    outcome = revaluations.run(run_id, jobs.holder_name())
    if outcome == "not_ours":
        click.echo(f"revaluation R{number}: running elsewhere")
        return
    db.session.expire_all()
    row = db.session.get(RevaluationRun, run_id)
    found = revaluations.result(row)
    if row is None or found is None:
        raise Invalid(row.error if row else "")
    preview = row.preview
    db.session.rollback()
    if as_json:
        result = {"revaluation": number, "preview": preview, **found}
        click.echo(json.dumps(result, ensure_ascii=False, indent=2))
        return
    click.echo("\n".join(_lines(number, found, preview=preview)))


def _lines(number: int, found: dict[str, Any], *, preview: bool) -> list[str]:
    what = "preview, nothing booked" if preview else "booked"
    lines = [f"revaluation R{number}: {what}: {found['meals']} meals, {found['changed']} with a difference"]
    lines += [f"  {fund}  +{money.show(row[0])} {money.show(row[1])}" for fund, row in found["funds"].items()]
    lines.append(f"refunds {money.show(found['refund'])} to {found['elders']} elders")
    if found["over_limit"][0]:
        lines.append(f"no free slot: {found['over_limit'][0]} meals, {money.show(found['over_limit'][1])}")
    lines += [f"  to be judged, {why}: {count}" for why, count in found["findings"].items()]
    return lines + [f"  left, {why}: {count}" for why, count in found["left"].items()]


def _differences(row: Revaluation) -> list[dict[str, Any]]:
    if row.rulebook_hash is None:
        return []
    before = gate.in_force_at(db.session(), row.scheme, row.layer, row.node_id, row.from_day)
    new = document_of(_version(row.rulebook_hash))
    return [one.doc for one in comparison.compare(document_of(before) if before else None, new, names())]


def _person(login: str) -> str:
    found = db.session.execute(select(Person.id).where(Person.login == login, Person.disabled_at.is_(None))).scalar()
    if found is None:
        raise Forbidden
    return str(found)


def _need(person: str, row: Revaluation) -> None:
    """Raise Forbidden where the person may not publish over the whole of what is revalued."""
    if row.cause == "notice":
        _need_place(person, row.layer, row.node_id, Permission.PUBLISH)
    else:
        assert row.elder_id is not None
        _need_elder(person, row.elder_id, Permission.PUBLISH)


def _need_place(person: str, layer: str, node: str, *permissions: Permission) -> None:
    session, kind = db.session(), "canteen" if layer == "canteen" else "area"
    scopes = [guard.scope_of(session, person, permission) for permission in permissions]
    if not any(scope.covers_node(session, kind, node) for scope in scopes):
        raise Forbidden


def _need_elder(person: str, elder: uuid.UUID, permission: Permission) -> None:
    session = db.session()
    if not lookup.reached(session, elder, guard.scope_of(session, person, permission).areas(session)):
        raise Forbidden
