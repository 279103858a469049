"""A database restored from an older backup remembers what its tablets were acknowledged and it does not hold.

Revision: 0011, after 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tablet_ahead",
        sa.Column("tablet_id", sa.Text(), nullable=False),
        sa.Column("epoch", db.Big, nullable=False),
        sa.Column("held", db.Big, nullable=False),
        sa.Column("acknowledged", db.Big, nullable=False),
        sa.Column("incarnation", sa.Text(), nullable=False),
        sa.Column("since", db.Instant(), nullable=False),
        sa.CheckConstraint("epoch >= 1 AND held >= 0 AND acknowledged > held", name=op.f("ck_tablet_ahead_numbers")),
        sa.ForeignKeyConstraint(["tablet_id"], ["tablet.id"], name=op.f("fk_tablet_ahead_tablet_id")),
        sa.PrimaryKeyConstraint("tablet_id", "epoch", name=op.f("pk_tablet_ahead")),
        sqlite_strict=True,
    )
    invariants.grant_state(op.get_bind(), "tablet_ahead", removable=True)
