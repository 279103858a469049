"""Sales judged before the lesser per fund are told apart: whoever checks them does so by the rule in force then.

Revision: 0017, after 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


# Keys have had check values since soon after: a database that holds one has judged by the lesser per fund since.
JUDGED = """
UPDATE installation SET judged_by_rule_upto = (SELECT coalesce(max(id), 0) FROM record)
WHERE NOT EXISTS (SELECT 1 FROM key_check)
"""


def upgrade() -> None:
    op.add_column("installation", sa.Column("judged_by_rule_upto", db.Big, nullable=False, server_default="0"))
    op.execute(JUDGED)
