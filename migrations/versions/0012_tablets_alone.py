"""How long a canteen's tablets may be offline; when a tablet was not heard; who was logged in at it.

Log-ins at tablets that are still known become facts, so that what tablets hold unsent is judged like what comes later.

Revision: 0012, after 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

FACTS = ("tablet_silence", "till_login")
DOUBTED = sa.text("(flags LIKE '%self_dated%' OR flags LIKE '%cashier_not_logged_in%')")


def upgrade() -> None:
    within = sa.CheckConstraint("offline_days BETWEEN 0 AND 60", name=op.f("ck_canteen_offline_days"))
    column = sa.Column("offline_days", db.Big, within, nullable=False, server_default="3")
    op.add_column("canteen", column)
    op.execute("UPDATE canteen SET offline_days = 14 WHERE profile = 'village'")
    for name, kind in (("epoch", db.Big), ("number", db.Big), ("mono_ms", db.Big), ("boot", sa.Text())):
        op.add_column("tablet", sa.Column(name, kind, nullable=True))
    _tables()
    op.create_index(
        "ix_sale_doubted", "sale", ["contract_id", "service_day"], sqlite_where=DOUBTED, postgresql_where=DOUBTED
    )
    op.execute(
        """INSERT INTO till_login (tablet_id, person_id, opens, at)
           SELECT tablet_id, person_id, TRUE, made_at FROM web_session WHERE tablet_id IS NOT NULL ORDER BY made_at"""
    )
    op.execute(
        """INSERT INTO till_login (tablet_id, person_id, opens, at)
           SELECT tablet_id, person_id, FALSE, ended_at FROM web_session
           WHERE tablet_id IS NOT NULL AND ended_at IS NOT NULL ORDER BY ended_at"""
    )
    invariants.protect(op.get_bind(), *FACTS)
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {invariants.APP}")


def _tables() -> None:
    op.create_table(
        "tablet_silence",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("tablet_id", sa.Text(), nullable=False),
        sa.Column("from_at", db.Instant(), nullable=False),
        sa.Column("epoch", db.Big, nullable=True),
        sa.Column("number", db.Big, nullable=True),
        sa.Column("mono_ms", db.Big, nullable=True),
        sa.Column("boot", sa.Text(), nullable=True),
        sa.Column("skew_ms", db.Big, nullable=True),
        sa.Column("until_at", db.Instant(), nullable=False),
        sa.Column("until_epoch", db.Big, nullable=True),
        sa.Column("until_number", db.Big, nullable=True),
        sa.Column("until_skew_ms", db.Big, nullable=True),
        sa.CheckConstraint("until_at > from_at", name=op.f("ck_tablet_silence_order")),
        sa.ForeignKeyConstraint(["tablet_id"], ["tablet.id"], name=op.f("fk_tablet_silence_tablet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tablet_silence")),
        sa.UniqueConstraint("tablet_id", "from_at", name=op.f("uq_tablet_silence_tablet_id_from_at")),
        sqlite_strict=True,
    )
    op.create_table(
        "till_login",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("tablet_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("opens", db.Flag(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["tablet_id"], ["tablet.id"], name=op.f("fk_till_login_tablet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_till_login")),
        sqlite_strict=True,
    )
    op.create_index("ix_till_login_tablet", "till_login", ["tablet_id", "at"], unique=False)
