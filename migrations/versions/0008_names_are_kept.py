"""Every name that a canteen, operator, payee, area, person or tablet had is kept, so that the past reads as it was.

What stands at the upgrade counts as having stood from the beginning: closed periods keep these names from now on.
A meal held and a payout entered tell the number of their event; 0 for those before.

Revision: 0008, after 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NAMED = ("canteen", "operator", "payee", "area", "person", "tablet")


def upgrade() -> None:
    op.create_table(
        "name_entry",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("bank", sa.Text(), nullable=False),
        sa.Column("account_tail", sa.Text(), nullable=False),
        sa.Column("account_cipher", sa.LargeBinary(), nullable=True),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint(f"kind IN {NAMED}", name=op.f("ck_name_entry_kind")),
        sa.PrimaryKeyConstraint("kind", "subject", "n", name=op.f("pk_name_entry")),
        sqlite_strict=True,
    )
    invariants.protect(op.get_bind(), "name_entry")
    invariants.keep_names(op.get_bind(), *NAMED)
    for table in ("held", "payout"):
        op.add_column(table, sa.Column("recorded", db.Big, nullable=False, server_default="0"))
