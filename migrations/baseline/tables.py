"""How the baseline writes a table: a column is NOT NULL unless it says otherwise, names follow the convention of canteen.db.

What a column, a key or a table means is said by its model; this file says what the database stores and refuses.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import sqlalchemy as sa
from alembic import op

from canteen import db


def table(name: str, *parts: sa.schema.SchemaItem) -> None:
    op.create_table(name, *parts, sqlite_strict=True)


def index(name: str, table_name: str, *columns: str, where: str | None = None, unique: bool = False) -> None:
    partly = None if where is None else sa.text(where)
    op.create_index(name, table_name, list(columns), unique=unique, sqlite_where=partly, postgresql_where=partly)


def store_as_it_is(table_name: str, column: str) -> None:
    """Have PostgreSQL not compress the column, whose values are packed already (decision 0036)."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {table_name} ALTER COLUMN {column} SET STORAGE EXTERNAL")


def check(name: str, condition: str) -> sa.CheckConstraint:
    """The constraint ck_{table}_{name}."""
    return sa.CheckConstraint(condition, name=name)


def unique(*columns: str) -> sa.UniqueConstraint:
    return sa.UniqueConstraint(*columns)


def to(column: str) -> sa.ForeignKey:
    return sa.ForeignKey(column)


def _column(kind: Any, name: str, *parts: sa.ForeignKey, nullable: bool = False, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, *parts, nullable=nullable, **options)


text = partial(_column, sa.Text())
big = partial(_column, db.Big)
day = partial(_column, db.Day())
instant = partial(_column, db.Instant())
flag = partial(_column, db.Flag())
uid = partial(_column, db.Uid())
digest = partial(_column, db.Digest())
blob = partial(_column, sa.LargeBinary())
