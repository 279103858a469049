"""canteen roster: files of elders, areas, canteens, contracts, staff, menus and points, checked and applied."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from canteen.auth.reach import SYSTEM
from canteen.commands import installation
from canteen.db import db, transaction
from canteen.errors import Missing
from canteen.places import Area
from canteen.registry.imports import import_runs, import_undo, known_layouts, templates
from canteen.registry.imports.import_report import ImportReport
from canteen.registry.imports.import_runs import KINDS
from canteen.registry.imports.layouts import NO_ANSWERS, Answers

OUT = click.Path(dir_okay=False, writable=True, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
SHOWN = 50  # bad rows printed; --json prints all that are kept

kind_option = click.option("--kind", type=click.Choice(sorted(KINDS)), default="roster", show_default=True)
others_option = click.option(
    "--others", is_flag=True, help="Who is likely somebody known (name, birth date, street) is somebody else."
)
moved_option = click.option("--moved", is_flag=True, help="Who is known in another street than the file's is meant.")
from_option = click.option("--from", "sender", default="", metavar="AREA", help="The area that FILE comes from.")
full_option = click.option(
    "--full", is_flag=True, help="FILE has everybody of --from: what it lacks is reported or ends."
)
map_option = click.option(
    "--map", "map_", type=FILE, help="YAML or JSON: columns of FILE by title, what fills all rows."
)
wrong_option = click.option("--wrong", type=OUT, help="Write the rows at fault to this .xlsx, with the reasons.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


class UnknownSender(Missing):
    code = "sender_unknown"
    message = "没有这个区划代码，请核对 --from。"


@click.group()
def roster() -> None:
    """Check and import rosters and the other files that use a template."""


@roster.command()
@click.argument("file", type=FILE)
@kind_option
@others_option
@moved_option
@full_option
@from_option
@map_option
@wrong_option
@json_option
def check(file: Path, kind: str, map_: Path | None, wrong: Path | None, as_json: bool, **said: Any) -> None:
    """Tell what applying FILE (.xlsx, .xls or .csv) would do, and which rows are wrong. Writes nothing."""
    with installation():
        report = import_runs.check(file, kind, SYSTEM, answers=_answers(kind, map_, said))
    if wrong is not None and report.work_list:
        wrong.write_bytes(report.work_list)
    _show(report, as_json=as_json)


@roster.command()
@click.argument("file", type=FILE)
@kind_option
@others_option
@moved_option
@full_option
@from_option
@map_option
@json_option
def apply(file: Path, kind: str, map_: Path | None, as_json: bool, **said: Any) -> None:
    """Write the good rows of FILE, all at once. The same file a second time changes nothing."""
    with installation():
        _show(import_runs.apply(file, kind, SYSTEM, answers=_answers(kind, map_, said)), as_json=as_json)


@roster.command()
@click.argument("out", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@kind_option
def template(out: Path, kind: str) -> None:
    """Write the empty template of a kind to OUT, .xlsx or .csv by its ending."""
    with installation():
        made = import_runs.template_of(kind)
        out.write_bytes(templates.separated(made) if out.suffix == ".csv" else templates.workbook(db.session(), made))
    click.echo(str(out))


@roster.command()
@click.argument("run")
def accept(run: str) -> None:
    """Accept the broken-off import RUN as far as it was applied, when its file is lost."""
    with installation(), transaction() as session:
        import_runs.accept(session, run, SYSTEM)
    click.echo(run)


@roster.command()
@click.argument("run")
@json_option
def undo(run: str, as_json: bool) -> None:
    """Take back the import RUN of people, within a day; who has eaten or was changed since is listed and left."""
    with installation():
        report = import_undo.undo(run, by=SYSTEM)
    if as_json:
        click.echo(json.dumps(report.doc(), ensure_ascii=False))
        return
    if report.already:
        click.echo("taken back before: nothing changes")
    click.echo(f"{report.withdrawn} out of use, {report.restored} as before, {len(report.left)} left")
    for one in report.left:
        click.echo(f"  {one.name} {one.number}: {one.reason}")


def _answers(kind: str, path: Path | None, said: dict[str, Any]) -> Answers:
    """Return what the options say of a file. Raises BadMap, UnknownSender."""
    if said["sender"] and db.session().get(Area, said["sender"]) is None:
        raise UnknownSender
    columns = known_layouts.read_map(path, import_runs.template_of(kind)) if path else NO_ANSWERS
    return replace(columns, **said)


def check_kind(file: Path, kind: str, *, as_json: bool) -> None:
    """Check a file of a kind that has a command of its own, and print the result."""
    with installation():
        _show(import_runs.check(file, kind, SYSTEM), as_json=as_json)


def apply_kind(file: Path, kind: str, *, as_json: bool) -> None:
    """Apply a file of a kind that has a command of its own, and print the result."""
    with installation():
        _show(import_runs.apply(file, kind, SYSTEM), as_json=as_json)


def _show(report: ImportReport, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps(
                {
                    **report.doc(),
                    "changes": [line.doc() for line in report.lines],
                    "run": report.run,
                    "request": report.request,
                    "secrets": report.secrets,
                },
                ensure_ascii=False,
            )
        )
        return
    if report.already:
        click.echo("applied before: nothing changes")
    click.echo(
        f"{report.rows} rows: {report.new} new, {report.changed} changed, {report.same} the same, {report.bad} wrong"
        + (f", {report.gone} end as the list lacks them" if report.gone else "")
    )
    if report.request is not None:
        click.echo(
            f"{report.waiting} of them wait for a second person: canteen changes confirm {report.request} --as LOGIN,"
            f" or /desk/changes/{report.request}"
        )
    elif report.waiting:
        click.echo(f"{report.waiting} of them will need a second person")
    _show_changes(report)
    for notice in report.messages():
        click.echo(f"  {notice}", err=True)
    for fault in report.remarks[:SHOWN] + report.faults[:SHOWN]:
        sheet = f"“{fault.sheet}”" if fault.sheet else ""
        click.echo(f"  {sheet}第 {fault.row} 行 {fault.field} {fault.reason} ({fault.code})", err=True)
    if len(report.faults) > SHOWN:
        click.echo(f"  … {len(report.faults) - SHOWN} more, see --json", err=True)
    for login, secret in report.secrets.items():
        click.echo(f"  {login}: {secret}")


def _show_changes(report: ImportReport) -> None:
    for line in report.changes[:SHOWN]:
        fields = "；".join(f"{each.title} {each.before} → {each.after}" for each in line.fields)
        click.echo(f"  {line.sheet} {line.row} {line.name} {line.number}: {fields}")
    if len(report.changes) > SHOWN:
        click.echo(f"  … {len(report.changes) - SHOWN} more changes, see --json")
