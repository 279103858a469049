"""What a price list adds to the menu's price is stored with its rule and clause; a meal may cost so much more.

Revision: 0009, after 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

BEFORE = "list_fen >= 0 AND due_fen >= 0 AND due_fen <= list_fen"
AFTER = "list_fen >= 0 AND surcharge_fen >= 0 AND due_fen >= surcharge_fen AND due_fen <= list_fen + surcharge_fen"


def upgrade() -> None:
    op.add_column("sale", sa.Column("surcharge_fen", db.Big, nullable=False, server_default="0"))
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(op.f("ck_sale_money"), "sale", type_="check")
        op.create_check_constraint(op.f("ck_sale_money"), "sale", AFTER)
    else:
        _change_check()
    op.create_table(
        "surcharge",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("clause", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("fen > 0", name=op.f("ck_surcharge_moves_money")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_surcharge_sale_id")),
        sa.PrimaryKeyConstraint("sale_id", "n", name=op.f("pk_surcharge")),
        sqlite_strict=True,
    )
    invariants.protect(op.get_bind(), "surcharge")


def _change_check() -> None:
    """Write the check anew in the schema's text: SQLite cannot change one, and too much refers to the table to copy it."""
    connection = op.get_bind()
    connection.exec_driver_sql("PRAGMA writable_schema = ON")
    changed = connection.execute(
        sa.text("UPDATE sqlite_master SET sql = replace(sql, :old, :new) WHERE name = 'sale' AND instr(sql, :old) > 0"),
        {"old": BEFORE, "new": AFTER},
    )
    connection.exec_driver_sql("PRAGMA writable_schema = RESET")
    if changed.rowcount != 1:
        raise invariants.InvariantMissing("the check of sale.money is not the one known")
