"""A loss declared changes only by the word of the second person, once; it is never removed.

Revision: 0016, after 0015
"""

from __future__ import annotations

from alembic import op

from canteen import invariants

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

DECLARED = ("id", "tablet_id", "epoch", "first_number", "last_number", "reason", "declared_by", "declared_at")


def upgrade() -> None:
    bind = op.get_bind()
    altered = " OR ".join(f"NEW.{name} <> OLD.{name}" for name in DECLARED)
    invariants.refuse_change(bind, "lost_confirmed_once", "lost_numbers", f"OLD.confirmed_by IS NOT NULL OR {altered}")
    invariants.refuse_removal(bind, "lost_numbers")
