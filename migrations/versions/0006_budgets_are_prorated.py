"""A budget whose end is `prorate` is shared out once, when its window is over; all parts together never pass it.

What was found for a window, each contract's part of it, and what each meal lost by it are facts. A window has one such
fact, a contract is booked once, a meal's share is reduced once: keys, not checks in code.

Revision: 0006, after 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NEW_FACTS = ("prorating", "prorating_part", "prorating_booked", "prorated_share")
FACTS = (
    "event", "record", "sale_key", "sale", "sale_line", "share", "sale_use", "void", "payment", "tender",
    "quote_input", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "decision", "held", "held_answer", "payout", "payout_check",
    "publication_file", "calendar_day", "revaluation", "revaluation_order", "revalued_sale", "revalued_share",
    "added_use", "refund_given", *NEW_FACTS,
)  # fmt: skip
NEW_ON_INSERT = {
    "prorating_within_limit": (
        "prorating_part",
        """NEW.part_fen > 0 AND
           NEW.part_fen + coalesce((SELECT sum(p.part_fen) FROM prorating_part p
                                    WHERE p.allowance = NEW.allowance AND p.window_start = NEW.window_start), 0)
           > (SELECT p.limit_fen - p.other_fen FROM prorating p
              WHERE p.allowance = NEW.allowance AND p.window_start = NEW.window_start)""",
    ),
    "prorated_within_share": (
        "prorated_share",
        """NEW.fen > coalesce((SELECT s.fen FROM share s WHERE s.sale_id = NEW.sale_id AND s.n = NEW.share_n), 0)
           OR NOT EXISTS (SELECT 1 FROM period p WHERE p.id = NEW.period_id AND p.state = 'open')""",
    ),
}
ON_INSERT = (
    "event_gapless", "period_chained", "transfer_period", "transfer_accounts", "claim_whole_periods",
    "decision_in_turn", "decision_two_people", "payout_two_people", "revaluation_two_people", "revalued_period",
    "revalued_standing", "decision_known_move", "decision_paid_by_two", *NEW_ON_INSERT,
)  # fmt: skip


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    _tables()
    for table in NEW_FACTS:
        _guard(table, dialect)
    for name, (table, refused) in NEW_ON_INSERT.items():
        _law(name, table, refused, dialect)
    standing = invariants.expected(FACTS, ON_INSERT, dialect)
    if dialect == "postgresql":
        facts = ", ".join(NEW_FACTS)
        _run(f"GRANT SELECT ON {facts} TO {invariants.APP}, {invariants.AUDITOR}")
        _run(f"GRANT INSERT ON {facts} TO {invariants.APP}")
    else:
        standing.add("law_period_no_replace")
    invariants.assert_triggers(op.get_bind(), standing)


def _tables() -> None:
    window = ["allowance", "window_start"]
    of_window = ["prorating.allowance", "prorating.window_start"]
    op.create_table(
        "prorating",
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("limit_fen", db.Big, nullable=False),
        sa.Column("other_fen", db.Big, nullable=False),
        sa.Column("asked_fen", db.Big, nullable=False),
        sa.Column("records", db.Big, nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.CheckConstraint("limit_fen >= 0 AND other_fen >= 0 AND asked_fen >= 0", name=op.f("ck_prorating_amounts")),
        sa.PrimaryKeyConstraint(*window, name=op.f("pk_prorating")),
        sqlite_strict=True,
    )
    op.create_table(
        "prorating_part",
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("asked_fen", db.Big, nullable=False),
        sa.Column("part_fen", db.Big, nullable=False),
        sa.CheckConstraint(
            "part_fen >= 0 AND part_fen <= asked_fen", name=op.f("ck_prorating_part_no_more_than_asked")
        ),
        sa.ForeignKeyConstraint(window, of_window, name=op.f("fk_prorating_part_allowance_window_start")),
        sa.ForeignKeyConstraint(["contract_id"], ["contract.id"], name=op.f("fk_prorating_part_contract_id")),
        sa.PrimaryKeyConstraint(*window, "contract_id", name=op.f("pk_prorating_part")),
        sqlite_strict=True,
    )
    op.create_table(
        "prorating_booked",
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("period_id", db.Big, nullable=False),
        sa.ForeignKeyConstraint(
            [*window, "contract_id"],
            ["prorating_part.allowance", "prorating_part.window_start", "prorating_part.contract_id"],
            name=op.f("fk_prorating_booked_allowance_window_start_contract_id"),
        ),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_prorating_booked_period_id")),
        sa.PrimaryKeyConstraint(*window, "contract_id", name=op.f("pk_prorating_booked")),
        sqlite_strict=True,
    )
    op.create_table(
        "prorated_share",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("share_n", db.Big, nullable=False),
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("period_id", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.CheckConstraint("fen > 0", name=op.f("ck_prorated_share_moves_money")),
        sa.ForeignKeyConstraint(window, of_window, name=op.f("fk_prorated_share_allowance_window_start")),
        sa.ForeignKeyConstraint(
            ["sale_id", "share_n"], ["share.sale_id", "share.n"], name=op.f("fk_prorated_share_sale_id_share_n")
        ),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_prorated_share_period_id")),
        sa.PrimaryKeyConstraint("sale_id", "share_n", name=op.f("pk_prorated_share")),
        sqlite_strict=True,
    )
    op.create_index("ix_prorated_share_period", "prorated_share", ["period_id"], unique=False)


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
    key = sa.inspect(op.get_bind()).get_pk_constraint(table)["constrained_columns"]
    same = " AND ".join(f'"{column}" = NEW."{column}"' for column in key)
    for name, when, refused in (
        ("update", f"BEFORE UPDATE ON {table}", "1"),
        ("delete", f"BEFORE DELETE ON {table}", "1"),
        ("replace", f"BEFORE INSERT ON {table}", f"EXISTS (SELECT 1 FROM {table} WHERE {same})"),
    ):
        _sqlite_trigger(f"{table}_no_{name}", when, refused)


def _law(name: str, table: str, refused: str, dialect: str) -> None:
    """A trigger that refuses a new row of which `refused` is true."""
    if dialect == "sqlite":
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
