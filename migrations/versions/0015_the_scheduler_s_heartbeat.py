"""When a scheduler last looked, so that any host can tell that none does.

Revision: 0015, after 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "scheduler_beat",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("starts", db.Big, nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_scheduler_beat_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scheduler_beat")),
        sqlite_strict=True,
    )
    invariants.grant_state(op.get_bind(), "scheduler_beat")
