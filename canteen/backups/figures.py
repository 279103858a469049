"""Figures by which two copies of a database are compared: rows of each table, sums of money, the head of the chain."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, column, func, inspect, select, table, text

from canteen.db import revision_of

SUMS: Final = {"transfer": "fen", "sale": "due_fen", "claim_line": "fen"}  # what must come back to the fen


@dataclass(frozen=True, slots=True)
class Figures:
    """rows: by table; sums: fen by 'table.column'; head: number and hash of the newest event."""

    revision: str | None
    rows: dict[str, int]
    sums: dict[str, int]
    head: str
    keys: dict[str, str] = field(default_factory=dict)  # check values of secrets, by name

    def doc(self) -> dict[str, Any]:
        return asdict(self)


def figures_of(connection: Connection) -> Figures:
    """Count a database on one connection; the caller's transaction decides of which moment."""
    rows = {name: _number(connection, func.count(), name) for name in sorted(inspect(connection).get_table_names())}
    sums = {
        f"{name}.{column_name}": _number(connection, func.coalesce(func.sum(column(column_name)), 0), name)
        for name, column_name in SUMS.items()
        if name in rows
    }
    newest = connection.execute(text("SELECT number, hash FROM event ORDER BY number DESC LIMIT 1")).first()
    kept = connection.execute(text("SELECT name, value FROM key_check")).all()
    head = f"{newest[0]} {newest[1]}" if newest else ""
    return Figures(revision_of(connection), rows, sums, head, {str(name): str(value) for name, value in kept})


def _number(connection: Connection, what: ColumnElement[int], name: str) -> int:
    return int(connection.execute(select(what).select_from(table(name))).scalar_one())


def differences(was: Figures, found: Figures) -> list[str]:
    """Name what differs, each as 'name: before, after'."""
    before, after = was.rows | was.sums, found.rows | found.sums
    named = [
        f"{name}: {before.get(name)}, {after.get(name)}"
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    ]
    heads = [] if was.head == found.head else [f"event: {was.head}, {found.head}"]
    revisions = [] if was.revision == found.revision else [f"schema: {was.revision}, {found.revision}"]
    return named + heads + revisions
