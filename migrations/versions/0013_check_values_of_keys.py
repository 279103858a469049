"""A check value of each secret: whether a keys folder belongs to this database. Filled at the next start, by proof.

Revision: 0013, after 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "key_check",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_key_check")),
        sqlite_strict=True,
    )
    invariants.protect(op.get_bind(), "key_check")
