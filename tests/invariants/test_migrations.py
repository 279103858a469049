"""The baseline and a migration after it: run with data in the database, refused until they have run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from alembic.config import Config as AlembicConfig
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from canteen import clock, db, invariants
from canteen.config import ROOT, Config
from tests import world
from tests.invariants.test_constraints import owner, refused, run

__all__ = ["owner"]

NEXT = """
import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "next"
down_revision = {after!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("canteen", sa.Column("phone", sa.Text(), nullable=False, server_default=""))
    op.create_table(
        "visit",
        sa.Column("id", db.Big, primary_key=True),
        sa.Column("sale_id", db.Uid(), sa.ForeignKey("sale.id"), nullable=False),
        sqlite_strict=True,
    )
    op.execute("INSERT INTO visit (sale_id) SELECT id FROM sale")
    invariants.protect("visit")
    invariants.refuse_insert(
        "visit_once", "visit", "EXISTS (SELECT 1 FROM visit v WHERE v.sale_id = NEW.sale_id)"
    )
"""


@pytest.fixture
def with_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """A program that has one migration more; undoing the patch makes it the program of before."""
    (tmp_path / "next.py").write_text(NEXT.format(after=db.newest_revision()))
    known = db.migrations

    def more() -> AlembicConfig:
        settings = known()
        settings.set_main_option("path_separator", "newline")
        settings.set_main_option("version_locations", f"{ROOT / 'migrations' / 'versions'}\n{tmp_path}")
        return settings

    with monkeypatch.context() as patch:
        patch.setattr(db, "migrations", more)
        db._revisions.cache_clear()
        yield patch
    db._revisions.cache_clear()


def test_a_next_migration_keeps_the_data_that_is_there(
    config: Config, session: Session, owner: Engine, with_next: pytest.MonkeyPatch
) -> None:
    till = world.make(session)
    world.a_rulebook(session)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(world.NOON):
        (sale,) = world.sell(till, card).sales
    session.rollback()

    db.upgrade(config.database_url)

    with owner.connect() as connection:
        assert [str(one) for one in connection.execute(text("SELECT sale_id FROM visit")).scalars()] == [sale]
        assert set(connection.execute(text("SELECT phone FROM canteen")).scalars()) == {""}
        added = invariants.installed_triggers(connection) - invariants.wanted(owner.dialect.name)
    acts = ("update", "delete", "replace") if owner.dialect.name == "sqlite" else ("change", "truncate")
    assert added == {"law_visit_once", *(f"law_visit_no_{act}" for act in acts)}
    assert refused(partial(run, owner, "DELETE FROM visit"))
    assert refused(partial(run, owner, "INSERT INTO visit (sale_id) SELECT sale_id FROM visit"))
    with clock.at(world.NOON):
        (another,) = world.sell(till, None).sales
    session.rollback()
    session.execute(text(f"INSERT INTO visit (sale_id) VALUES ('{another}')"))  # as the application's role
    session.commit()


def test_a_schema_without_the_next_migration_is_refused(
    config: Config, owner: Engine, with_next: pytest.MonkeyPatch
) -> None:
    with owner.connect() as connection:
        older = db.revision_of(connection)
    with pytest.raises(db.WrongSchema, match="然后运行 canteen init"):
        db.refuse_schema(older)

    db.upgrade(config.database_url)
    db.refuse_schema("next")

    with_next.undo()
    db._revisions.cache_clear()
    with pytest.raises(db.WrongSchema, match="请先更新程序"):
        db.upgrade(config.database_url)
