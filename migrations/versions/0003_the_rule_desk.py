"""Drafts and simulations of rulebooks, what stood beside each publication, and the bureau's table of holidays.

Drafts and simulations are state; what was shown at a publication and each word about a day are facts.

Revision: 0003, after 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

NEW_FACTS = ("publication_file", "calendar_day")
STATE = ("rulebook_draft", "simulation")
FACTS = (
    "event", "record", "sale_key", "sale", "sale_line", "share", "sale_use", "void", "payment", "tender",
    "quote_input", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "decision", "held", "held_answer", "payout", "payout_check", *NEW_FACTS,
)  # fmt: skip
ON_INSERT = (
    "event_gapless", "period_chained", "transfer_period", "transfer_accounts", "claim_whole_periods",
    "decision_in_turn", "decision_two_people", "payout_two_people",
)  # fmt: skip


def upgrade() -> None:
    _tables()
    dialect = op.get_bind().dialect.name
    for table in NEW_FACTS:
        _guard(table, dialect)
    if dialect == "postgresql":
        _rights()
    invariants.assert_triggers(op.get_bind(), invariants.expected(FACTS, ON_INSERT, dialect))


def _tables() -> None:
    op.create_table(
        "rulebook_draft",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("yaml", sa.Text(), nullable=False),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("changes", db.Big, nullable=False),
        sa.Column("made_at", db.Instant(), nullable=False),
        sa.Column("changed_at", db.Instant(), nullable=False),
        sa.CheckConstraint("layer IN ('city', 'district', 'street', 'canteen')", name=op.f("ck_rulebook_draft_layer")),
        sa.CheckConstraint("state IN ('open', 'submitted', 'dropped')", name=op.f("ck_rulebook_draft_state")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rulebook_draft")),
        sqlite_strict=True,
    )
    op.create_table(
        "simulation",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("months", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("asked_at", db.Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("meals", db.Big, nullable=False),
        sa.Column("of_meals", db.Big, nullable=False),
        sa.Column("started_at", db.Instant(), nullable=True),
        sa.Column("finished_at", db.Instant(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.CheckConstraint("layer IN ('city', 'district', 'street', 'canteen')", name=op.f("ck_simulation_layer")),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_simulation_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_simulation")),
        sqlite_strict=True,
    )
    op.create_table(
        "publication_file",
        sa.Column("publication_id", db.Big, nullable=False),
        sa.Column("diff", sa.Text(), nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("replay", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["publication_id"], ["publication.id"], name=op.f("fk_publication_file_publication_id")
        ),
        sa.PrimaryKeyConstraint("publication_id", name=op.f("pk_publication_file")),
        sqlite_strict=True,
    )
    op.create_table(
        "calendar_day",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("day", db.Day(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint(
            "kind IN ('workday', 'weekend', 'holiday', 'makeup', '')", name=op.f("ck_calendar_day_kind")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calendar_day")),
        sqlite_strict=True,
    )
    op.create_index(op.f("ix_calendar_day_day"), "calendar_day", ["day"], unique=False)


def _guard(table: str, dialect: str) -> None:
    """No row of a table of facts is changed, removed or replaced; the words are those of 0002."""
    if dialect == "postgresql":
        _run(
            f"""CREATE TRIGGER law_{table}_no_change BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION law_refuse()"""
        )
        _run(
            f"""CREATE TRIGGER law_{table}_no_truncate BEFORE TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION law_refuse()"""
        )
        return
    (key,) = sa.inspect(op.get_bind()).get_pk_constraint(table)["constrained_columns"]
    for name, when, refused in (
        ("update", f"BEFORE UPDATE ON {table}", "1"),
        ("delete", f"BEFORE DELETE ON {table}", "1"),
        ("replace", f"BEFORE INSERT ON {table}", f'EXISTS (SELECT 1 FROM {table} WHERE "{key}" = NEW."{key}")'),
    ):
        law = f"{table}_no_{name}"
        _run(f"CREATE TRIGGER law_{law} {when} WHEN {refused} BEGIN SELECT RAISE(ABORT, 'law: {law}'); END")


def _rights() -> None:
    facts, state = ", ".join(NEW_FACTS), ", ".join(STATE)
    _run(f"GRANT SELECT ON {facts}, {state} TO {invariants.APP}, {invariants.AUDITOR}")
    _run(f"GRANT INSERT ON {facts} TO {invariants.APP}")
    _run(f"GRANT INSERT, UPDATE ON {state} TO {invariants.APP}")
    _run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {invariants.APP}")


def _run(statement: str) -> None:
    op.get_bind().execute(sa.text(statement))
