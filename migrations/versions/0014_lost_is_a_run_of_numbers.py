"""Lost is a run of a tablet's numbers, no longer a whole epoch. An old row means what was missing of its epoch by now.

Revision: 0014, after 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# An epoch of which nothing is missing keeps its row, from its first number to its newest: it stands for nothing.
KEPT = """
INSERT INTO lost_numbers (id, tablet_id, epoch, first_number, last_number, reason, declared_by, declared_at,
                          confirmed_by, confirmed_at)
SELECT o.id, o.tablet_id, o.epoch, coalesce(min(m.low), 1), coalesce(max(m.high), max(n.newest), 1), o.reason,
       o.declared_by, o.declared_at, o.confirmed_by, o.confirmed_at
FROM lost_epoch o
LEFT JOIN (SELECT tablet_id, epoch, max(number) AS newest FROM record GROUP BY tablet_id, epoch) n
       ON n.tablet_id = o.tablet_id AND n.epoch = o.epoch
LEFT JOIN (SELECT tablet_id, epoch, previous + 1 AS low, number - 1 AS high
           FROM (SELECT tablet_id, epoch, number,
                        lag(number, 1, 0) OVER (PARTITION BY tablet_id, epoch ORDER BY number) AS previous
                 FROM (SELECT DISTINCT tablet_id, epoch, number FROM record) a) b
           WHERE number > previous + 1
           UNION ALL SELECT tablet_id, epoch, held + 1, acknowledged FROM tablet_ahead) m
       ON m.tablet_id = o.tablet_id AND m.epoch = o.epoch
GROUP BY o.id, o.tablet_id, o.epoch, o.reason, o.declared_by, o.declared_at, o.confirmed_by, o.confirmed_at
"""


def upgrade() -> None:
    op.create_table(
        "lost_numbers",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("tablet_id", sa.Text(), nullable=False),
        sa.Column("epoch", db.Big, nullable=False),
        sa.Column("first_number", db.Big, nullable=False),
        sa.Column("last_number", db.Big, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("declared_by", sa.Text(), nullable=False),
        sa.Column("declared_at", db.Instant(), nullable=False),
        sa.Column("confirmed_by", sa.Text(), nullable=True),
        sa.Column("confirmed_at", db.Instant(), nullable=True),
        sa.CheckConstraint("first_number >= 1 AND last_number >= first_number", name=op.f("ck_lost_numbers_run")),
        sa.CheckConstraint(
            "confirmed_by IS NULL OR confirmed_by <> declared_by", name=op.f("ck_lost_numbers_two_people")
        ),
        sa.ForeignKeyConstraint(["tablet_id"], ["tablet.id"], name=op.f("fk_lost_numbers_tablet_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lost_numbers")),
        sa.UniqueConstraint(
            "tablet_id", "epoch", "first_number", name=op.f("uq_lost_numbers_tablet_id_epoch_first_number")
        ),
        sqlite_strict=True,
    )
    bind = op.get_bind()
    bind.exec_driver_sql(KEPT)
    if bind.dialect.name == "postgresql":
        bind.exec_driver_sql(
            "SELECT setval(pg_get_serial_sequence('lost_numbers', 'id'), (SELECT max(id) + 1 FROM lost_numbers), false) "
            "FROM lost_numbers HAVING count(*) > 0"
        )
        bind.exec_driver_sql(f"GRANT USAGE ON SEQUENCE lost_numbers_id_seq TO {invariants.APP}")
    op.drop_table("lost_epoch")
    invariants.grant_state(bind, "lost_numbers")
    overlapping = """EXISTS (SELECT 1 FROM lost_numbers o WHERE o.tablet_id = NEW.tablet_id AND o.epoch = NEW.epoch
                             AND o.first_number <= NEW.last_number AND o.last_number >= NEW.first_number)"""
    invariants.refuse_insert(bind, "lost_apart", "lost_numbers", overlapping)
