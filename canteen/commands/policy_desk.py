"""canteen policy simulate, diff, publish: the rule desk from the command line."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from canteen import jobs, money
from canteen.auth import guard
from canteen.auth.guard import Permission
from canteen.auth.models import Person
from canteen.commands import installation
from canteen.commands.policy import SCHEMES, text_of
from canteen.db import db
from canteen.errors import Forbidden, Invalid, Missing
from canteen.places import Area, Canteen
from canteen.policy.canonical import Document
from canteen.rulebooks import publications as rulebooks
from canteen.rulebooks import yaml_reader
from canteen.rulebooks.models import LAYER_OF, RulebookVersion
from canteen.ruledesk.desk.blueprint import document_of
from canteen.ruledesk.editor import comparison, drafts
from canteen.ruledesk.publication import gate
from canteen.ruledesk.publication.gate import names
from canteen.ruledesk.simulation import simulation_jobs


class NoSuchPlace(Missing):
    code = "place_not_found"
    message = "没有这个地区或食堂，请写区划代码或食堂编号。"


class NoSuchRulebook(Missing):
    code = "rulebook_not_found"
    message = "没有这个文件，也没有这个版本；版本可写摘要的前几位（至少 8 位）。"


@click.command("diff")
@click.argument("old")
@click.argument("new")
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def diff(old: str, new: str, as_json: bool) -> None:
    """Tell in Chinese what differs in meaning from OLD to NEW: YAML files, or versions by (the start of) their hash."""
    with installation():
        found = comparison.compare(_document(old), _document(new), names())
        db.session.rollback()
    if as_json:
        _print([one.doc for one in found])
        return
    click.echo("\n".join(str(one) for one in found) or "含义没有差异。")


@click.command("simulate")
@click.argument("rulebook")
@click.argument("place")
@click.argument("months", nargs=-1, required=True)
@click.option("--by", default="system", help="Login of the asker.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
def simulate(rulebook: str, place: str, months: tuple[str, ...], by: str, as_json: bool) -> None:
    """Replay the real meals of MONTHS (like 2026-10) under RULEBOOK (a YAML file or a version) at PLACE.

    PLACE is an area's code or a canteen's id. Nothing that was booked changes; the result is kept and shown at the desk.
    """
    with installation():
        layer, node = _place(place)
        number = simulation_jobs.ask(_document(rulebook), layer=layer, node_id=node, over=months, by=_by(by))
        outcome = simulation_jobs.run(number, jobs.holder_name())
        if outcome == "not_ours":  # a scheduler was quicker; the page shows how far it is
            click.echo(f"simulation {number}: running elsewhere")
            return
        row = simulation_jobs.find(db.session(), number)
        found, error = simulation_jobs.result(row), row.error
        db.session.rollback()
    if found is None:
        raise Invalid(error or "模拟没有完成。")
    if as_json:
        _print({"simulation": number, **found})
        return
    click.echo("\n".join(_report(number, found)))


def _report(number: int, found: dict[str, Any]) -> list[str]:
    meals = f"simulation {number}: {found['meals']} meals, {found['changed']} changed, {found['open']} left open"
    lines = [f"{meals}, {found['seconds']} s, {found['per_minute']} meals a minute"]
    for word, key in (("subsidy", "subsidy"), ("elders pay", "due")):
        lines.append(f"{word} {money.show(found[key][0])} -> {money.show(found[key][1])}")
    lines += [f"  {fund}  {money.show(row[0])} -> {money.show(row[1])}" for fund, row in sorted(found["funds"].items())]
    lines += [f"  {word}: {row[0]} elders, {money.show(row[1])}" for word, row in found["people"].items()]
    return lines + [f"  budget {one['fund']} ends {one['ended'] or 'never'}" for one in found["budgets"]]


@click.command("publish")
@click.argument("version")
@click.argument("place")
@click.argument("from_day", type=click.DateTime(["%Y-%m-%d"]))
@click.option("--by", required=True, help="Login of the publisher; never the one who drafted.")
@click.option("--check", is_flag=True, help="Only show what would change and whether it may be published.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def publish(version: str, place: str, from_day: datetime, by: str, check: bool, as_json: bool) -> None:
    """Publish VERSION (the start of its hash) at PLACE from FROM_DAY on, after the gate of closed periods."""
    first: date = from_day.date()
    with installation():
        layer, node = _place(place)
        person = _publisher(by, layer, node)
        digest = _version(version).hash
        known = names()
        db.session.rollback()  # the review may take minutes: this read ends before it
        seen = gate.review(digest, layer, node, first, known)
        number = None if check else rulebooks.publish(digest, layer=layer, node_id=node, from_day=first, by=person)
        if check:
            gate.refuse_unfit(seen.gate)
        db.session.rollback()
    if as_json:
        result = {"publication": number, "rulebook": digest, "from": first.isoformat()}
        _print({**result, "differences": [one.doc for one in seen.differences], "closed_days": seen.gate.days})
        return
    said = [str(one) for one in seen.differences] or ["含义没有差异。"]
    said.append(f"{seen.gate.periods} closed periods unchanged")
    click.echo("\n".join([*said, "may be published" if check else f"publication {number}"]))


def _print(result: object) -> None:
    click.echo(json.dumps(result, ensure_ascii=False, indent=2))


def _document(name: str) -> Document:
    """Return the document of a YAML file, of a scheme that comes with the product, or of a version."""
    if Path(name).is_file() or (SCHEMES / f"{name}.yaml").is_file():
        return yaml_reader.read(text_of(name))
    return document_of(_version(name))


def _version(start: str) -> RulebookVersion:
    if len(start) < 8 or not (start.isascii() and start.isalnum()):
        raise NoSuchRulebook
    found = db.session.execute(select(RulebookVersion).where(RulebookVersion.hash.startswith(start)).limit(2)).scalars()
    rows = list(found)
    if len(rows) != 1:
        raise NoSuchRulebook
    return drafts.version(db.session(), rows[0].hash)


def _place(name: str) -> tuple[str, str]:
    area = db.session.get(Area, name)
    if area is not None and area.level in LAYER_OF:
        return LAYER_OF[area.level], name
    if db.session.get(Canteen, name) is not None:
        return "canteen", name
    raise NoSuchPlace


def _by(login: str) -> str:
    found = db.session.execute(select(Person.id).where(Person.login == login)).scalar()
    return str(found or login)


def _publisher(login: str, layer: str, node: str) -> str:
    """Return the person behind a login, who may publish there. Raises Forbidden."""
    person = db.session.execute(select(Person).where(Person.login == login, Person.disabled_at.is_(None))).scalar()
    kind = "canteen" if layer == "canteen" else "area"
    session = db.session()
    if person is None or not guard.scope_of(session, person.id, Permission.PUBLISH).covers_node(session, kind, node):
        raise Forbidden
    return str(person.id)
