"""What the three roles may do, column by column: the application adds facts and changes state, the auditor reads (P8, P27)."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from canteen import invariants
from tests.invariants.test_constraints import owner, refused, run

__all__ = ["owner"]

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)  # SQLite has no roles

LOCKED_BY = {("elder", "made_at"), ("claim", "made_at"), ("period", "state"), ("period", "closed_at")}
COLUMNS = """SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
             AND has_column_privilege(:role, c.oid, a.attnum, 'UPDATE')"""
TABLES = """SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
            AND has_table_privilege(:role, c.oid, :right)"""


def tables(engine: Engine, role: str, right: str) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(text(TABLES), {"role": role, "right": right}).scalars())


def test_the_application_changes_no_column_of_a_fact(app: Flask, owner: Engine) -> None:
    with owner.connect() as connection:
        columns = {(table, column) for table, column in connection.execute(text(COLUMNS), {"role": invariants.APP})}
    assert {one for one in columns if one[0] not in invariants.CHANGED} == LOCKED_BY
    assert {one[0] for one in columns} - {"elder", "claim", "period"} == set(invariants.CHANGED)


def test_the_application_removes_nothing_but_what_is_named(app: Flask, owner: Engine) -> None:
    assert tables(owner, invariants.APP, "DELETE") == set(invariants.REMOVED)
    for right in ("TRUNCATE", "TRIGGER", "REFERENCES"):
        assert tables(owner, invariants.APP, right) == set()


def test_the_auditor_reads_and_writes_nothing(app: Flask, owner: Engine) -> None:
    read = tables(owner, invariants.AUDITOR, "SELECT")
    assert read >= {*invariants.FACTS, "period", "slot"}
    for right in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "TRIGGER"):
        assert tables(owner, invariants.AUDITOR, right) == set()


def test_neither_role_is_more_than_it_seems(app: Flask, owner: Engine) -> None:
    more = """SELECT rolname FROM pg_roles WHERE rolname IN ('canteen_app', 'canteen_auditor')
              AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication
                   OR pg_has_role(rolname, 'canteen_owner', 'MEMBER'))"""
    with owner.connect() as connection:
        assert connection.execute(text(more)).all() == []


def test_no_table_of_facts_is_emptied_by_its_owner(app: Flask, owner: Engine) -> None:
    for table in (*invariants.FACTS, "period"):
        assert refused(lambda table=table: run(owner, f'TRUNCATE "{table}" CASCADE')), table  # type: ignore[misc]
