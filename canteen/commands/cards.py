"""canteen cards: making, printing, binding and blocking cards."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import click

from canteen import clock, settings
from canteen.auth.reach import SYSTEM
from canteen.commands import installation
from canteen.db import batches, db, transaction
from canteen.registry import card_print, credentials, lookup, print_runs

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


@click.group()
def cards() -> None:
    """Make, print, give out and end cards."""


@cards.command()
@click.option("--elder", "ids", multiple=True, type=click.UUID, help="An elder; may be repeated.")
@click.option("--area", help="Everybody who lives in this area today.")
@json_option
def issue(ids: tuple[uuid.UUID, ...], area: str | None, as_json: bool) -> None:
    """Make a card for each of these elders without a working one. Safe to repeat."""
    if bool(ids) == bool(area):
        raise click.UsageError("either --elder or --area")
    made, batch = 0, ""
    with installation():
        wanted = list(ids) if area is None else lookup.living_in(db.session(), area, clock.today())
        batch = credentials.new_batch()
        for part in batches(wanted, credentials.BATCH_LIMIT):
            with transaction() as session:
                made += len(credentials.issue(session, part, SYSTEM, batch=batch))
    _print_result({"batch": batch if made else None, "cards": made}, as_json=as_json)


@cards.command()
@click.argument("count", type=click.IntRange(1, credentials.BATCH_LIMIT))
@json_option
def blank(count: int, as_json: bool) -> None:
    """Make COUNT numbered cards that are given to elders later, at the counter."""
    with installation(), transaction() as session:
        batch = credentials.blank(session, count, SYSTEM)
    _print_result({"batch": batch, "cards": count}, as_json=as_json)


@cards.command("print")
@click.argument("batch", required=False)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=Path(), help="Folder for the files.")
@click.option("--keep-codes", is_flag=True, help="Do not confirm: the batch can be printed again.")
@json_option
def print_cards(batch: str | None, out: Path, keep_codes: bool, as_json: bool) -> None:
    """Write BATCH as A4 PDF files of at most 1000 cards, then destroy the codes. Without BATCH: list what waits."""
    with installation():
        if batch is None:
            waiting = [{"batch": each.name, "cards": each.cards} for each in print_runs.waiting(db.session())]
            _print_result({"waiting": waiting}, as_json=as_json)
            return
        out.mkdir(parents=True, exist_ok=True)
        faces, files = print_runs.faces(db.session(), batch), list[str]()
        decided = settings.read(db.session())
        brand, phone = decided.text("card_brand"), decided.text("contact_phone")
        for number, sheet in enumerate(card_print.sheets(faces, brand=brand, phone=phone), start=1):
            files.append(str(_written(out / f"cards-{batch}-{number}.pdf", sheet)))
        if not keep_codes:
            with transaction() as session:
                print_runs.printed(session, batch, SYSTEM)
    _print_result({"batch": batch, "files": files, "codes": "kept" if keep_codes else "destroyed"}, as_json=as_json)


@cards.command()
@click.argument("number")
@click.option("--kind", type=click.Choice(["lost", "found", "blocked"]), default="blocked", show_default=True)
@click.option("--reason", type=click.Choice(list(credentials.REASONS)), default="other", show_default=True)
def block(number: str, kind: credentials.Report, reason: str) -> None:
    """End the card with this NUMBER (or code) for good; --kind lost can be answered by found."""
    with installation(), transaction() as session:
        card = credentials.find(session, number)
        credentials.report(session, card.digest, kind, SYSTEM, reason)
    click.echo(f"{kind}")


@cards.command()
@click.argument("scan")
@click.argument("elder", type=click.UUID)
def bind(scan: str, elder: uuid.UUID) -> None:
    """Give the blank card read as SCAN to ELDER; the elder's former cards stop."""
    with installation(), transaction() as session:
        card = credentials.bind(session, scan, elder, SYSTEM)
        number = card.number
    click.echo(number)


def _written(path: Path, data: bytes) -> Path:
    """Write the file to disk, readable by its owner alone, before the codes in it are destroyed."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    return path


def _print_result(result: dict[str, object], *, as_json: bool) -> None:
    click.echo(json.dumps(result, ensure_ascii=False) if as_json else "\n".join(f"{k}: {v}" for k, v in result.items()))
