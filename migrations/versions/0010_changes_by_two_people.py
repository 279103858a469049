"""A change that may raise a benefit is asked for by one person and confirmed by another.

Request, lines and answer are facts; a request is answered once, and never by whoever asked. Logins at a desk are kept
with the browser's own random id.

Revision: 0010, after 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "change_request",
        sa.Column("id", db.Big, autoincrement=False, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("places", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", db.Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_change_request")),
        sqlite_strict=True,
    )
    op.create_table(
        "change_line",
        sa.Column("request_id", db.Big, nullable=False),
        sa.Column("n", db.Big, autoincrement=False, nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("asked", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["request_id"], ["change_request.id"], name=op.f("fk_change_line_request_id")),
        sa.PrimaryKeyConstraint("request_id", "n", name=op.f("pk_change_line")),
        sqlite_strict=True,
    )
    op.create_index("ix_change_line_subject", "change_line", ["subject"], unique=False)
    op.create_table(
        "change_answer",
        sa.Column("request_id", db.Big, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.CheckConstraint("outcome IN ('confirmed', 'refused')", name=op.f("ck_change_answer_outcome")),
        sa.CheckConstraint("outcome = 'confirmed' OR reason <> ''", name=op.f("ck_change_answer_reason")),
        sa.ForeignKeyConstraint(["request_id"], ["change_request.id"], name=op.f("fk_change_answer_request_id")),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_change_answer")),
        sqlite_strict=True,
    )
    op.create_table(
        "desk_login",
        sa.Column("browser", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_desk_login_person_id")),
        sa.PrimaryKeyConstraint("browser", "person_id", "at", name=op.f("pk_desk_login")),
        sqlite_strict=True,
    )
    invariants.protect(op.get_bind(), "change_request", "change_line", "change_answer", "desk_login")
    invariants.refuse_insert(
        op.get_bind(),
        "change_two_people",
        "change_answer",
        'EXISTS (SELECT 1 FROM change_request r WHERE r.id = NEW.request_id AND r.asked_by = NEW."by")',
    )
