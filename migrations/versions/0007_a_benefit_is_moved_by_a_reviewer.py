"""A reviewer gives an excess meal the benefit: once a meal, and a meal gives up a use once (ruling 5).

No voided meal takes part, and who received does not give on, nor the other way round. An added use tells after which
record it was added, so that whoever came later is told from who came before.

Revision: 0007, after 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NEW_FACTS = ("given_up_use", "regrant")
FACTS = (
    "event", "record", "sale_key", "sale", "sale_line", "share", "sale_use", "void", "payment", "tender",
    "quote_input", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "decision", "held", "held_answer", "payout", "payout_check",
    "publication_file", "calendar_day", "revaluation", "revaluation_order", "revalued_sale", "revalued_share",
    "added_use", "refund_given", "prorating", "prorating_part", "prorating_booked", "prorated_share", *NEW_FACTS,
)  # fmt: skip
NEW_ON_INSERT = {
    "regrant_standing": (
        "regrant",
        """EXISTS (SELECT 1 FROM void v WHERE v.sale_id = NEW.sale_id OR v.sale_id = NEW.from_sale_id)
           OR EXISTS (SELECT 1 FROM regrant r WHERE r.from_sale_id = NEW.sale_id OR r.sale_id = NEW.from_sale_id)""",
    ),
    "given_up_granted": (
        "given_up_use",
        """NOT EXISTS (SELECT 1 FROM sale_use u WHERE u.sale_id = NEW.sale_id AND u.allowance = NEW.allowance
                       AND u.window_start = NEW.window_start AND u.person_id = NEW.person_id
                       AND u.granted = NEW.granted AND u.granted > 0)
           OR EXISTS (SELECT 1 FROM void v WHERE v.sale_id = NEW.sale_id)""",
    ),
}
ON_INSERT = (
    "event_gapless", "period_chained", "transfer_period", "transfer_accounts", "claim_whole_periods",
    "decision_in_turn", "decision_two_people", "payout_two_people", "revaluation_two_people", "revalued_period",
    "revalued_standing", "decision_known_move", "decision_paid_by_two", "prorating_within_limit",
    "prorated_within_share", *NEW_ON_INSERT,
)  # fmt: skip


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    _tables()
    for table in NEW_FACTS:
        _guard(table, dialect)
    for name, (table, refused) in NEW_ON_INSERT.items():
        _law(name, table, refused, dialect)
    if dialect == "postgresql":
        _run(f"GRANT SELECT ON {', '.join(NEW_FACTS)} TO {invariants.APP}, {invariants.AUDITOR}")
        _run(f"GRANT INSERT ON {', '.join(NEW_FACTS)} TO {invariants.APP}")
    standing = invariants.expected(FACTS, ON_INSERT, dialect)
    invariants.assert_triggers(op.get_bind(), standing | ({"law_period_no_replace"} if dialect == "sqlite" else set()))


def _tables() -> None:
    op.add_column("added_use", sa.Column("after_record", db.Big, nullable=False, server_default="0"))
    op.create_table(
        "given_up_use",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("person_id", db.Uid(), nullable=False),
        sa.Column("granted", db.Big, nullable=False),
        sa.Column("after_record", db.Big, nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("granted > 0", name=op.f("ck_given_up_use_granted")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_given_up_use_sale_id")),
        sa.PrimaryKeyConstraint("sale_id", "allowance", "window_start", name=op.f("pk_given_up_use")),
        sqlite_strict=True,
    )
    op.create_index("ix_given_up_use_window", "given_up_use", ["person_id", "allowance", "window_start"], unique=False)
    op.create_table(
        "regrant",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("from_sale_id", db.Uid(), nullable=True),
        sa.Column("finding_id", db.Big, nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("fen > 0", name=op.f("ck_regrant_moves_money")),
        sa.CheckConstraint("from_sale_id <> sale_id", name=op.f("ck_regrant_two_meals")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_regrant_sale_id")),
        sa.ForeignKeyConstraint(["from_sale_id"], ["sale.id"], name=op.f("fk_regrant_from_sale_id")),
        sa.ForeignKeyConstraint(["finding_id"], ["finding.id"], name=op.f("fk_regrant_finding_id")),
        sa.ForeignKeyConstraint(["input_hash"], ["quote_input.hash"], name=op.f("fk_regrant_input_hash")),
        sa.PrimaryKeyConstraint("sale_id", name=op.f("pk_regrant")),
        sa.UniqueConstraint("from_sale_id", name=op.f("uq_regrant_from_sale_id")),
        sqlite_strict=True,
    )
    op.create_index("ix_regrant_recorded", "regrant", ["recorded"], unique=False)


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
    inspector = sa.inspect(op.get_bind())
    unique = [inspector.get_pk_constraint(table)["constrained_columns"]]
    unique += [key["column_names"] for key in inspector.get_unique_constraints(table)]
    taken = " OR ".join(
        "EXISTS (SELECT 1 FROM {} WHERE {})".format(table, " AND ".join(f'"{c}" = NEW."{c}"' for c in columns))
        for columns in unique
    )
    for name, when, refused in (
        ("update", f"BEFORE UPDATE ON {table}", "1"),
        ("delete", f"BEFORE DELETE ON {table}", "1"),
        ("replace", f"BEFORE INSERT ON {table}", taken),
    ):
        _sqlite_trigger(f"{table}_no_{name}", when, refused)


def _law(name: str, table: str, refused: str, dialect: str) -> None:
    """A trigger that refuses a new row of which `refused` is true."""
    if dialect != "postgresql":
        _sqlite_trigger(name, f"BEFORE INSERT ON {table}", refused)
        return
    _run(
        f"""CREATE FUNCTION law_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF {refused} THEN
                    RAISE EXCEPTION 'law: {name}' USING ERRCODE = '23001';
                END IF;
                RETURN NEW;
            END $$"""
    )
    _run(f"CREATE TRIGGER law_{name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION law_{name}()")


def _sqlite_trigger(name: str, when: str, refused: str) -> None:
    _run(f"CREATE TRIGGER law_{name} {when} WHEN {refused} BEGIN SELECT RAISE(ABORT, 'law: {name}'); END")


def _run(statement: str) -> None:
    op.get_bind().exec_driver_sql(statement)
