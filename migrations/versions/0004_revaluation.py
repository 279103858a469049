"""Rules or facts known late: what was asked, the second person's word, the differences, refunds given (rulings 18, 19).

A difference is a fact of one sale and one revaluation, booked to an open period, never of a voided sale; an elder's
due never rises by it. The days of a revaluation lie wholly in the past.

Revision: 0004, after 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import db, invariants

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NEW_FACTS = ("revaluation", "revaluation_order", "revalued_sale", "revalued_share", "added_use", "refund_given")
STATE = ("revaluation_run",)
FACTS = (
    "event", "record", "sale_key", "sale", "sale_line", "share", "sale_use", "void", "payment", "tender",
    "quote_input", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "decision", "held", "held_answer", "payout", "payout_check",
    "publication_file", "calendar_day", *NEW_FACTS,
)  # fmt: skip
NEW_ON_INSERT = {
    "revaluation_two_people": (
        "revaluation_order",
        "NEW.made_by <> (SELECT r.made_by FROM revaluation r WHERE r.id = NEW.revaluation_id)",
    ),
    "revalued_period": (
        "revalued_sale",
        """NEW.period_id IS DISTINCT FROM
           (SELECT p.id FROM period p WHERE p.contract_id = NEW.contract_id AND p.state = 'open'
            AND p.to_day >= NEW.service_day ORDER BY p.from_day LIMIT 1)""",
    ),
    "revalued_standing": (
        "revalued_sale",
        """EXISTS (SELECT 1 FROM void v WHERE v.sale_id = NEW.sale_id)
           OR NOT EXISTS (SELECT 1 FROM sale s WHERE s.id = NEW.sale_id AND s.contract_id = NEW.contract_id
                          AND s.service_day = NEW.service_day)
           OR NOT EXISTS (SELECT 1 FROM revaluation r WHERE r.id = NEW.revaluation_id
                          AND NEW.service_day >= r.from_day AND NEW.service_day <= r.to_day)""",
    ),
}
ON_INSERT = (
    "event_gapless", "period_chained", "transfer_period", "transfer_accounts", "claim_whole_periods",
    "decision_in_turn", "decision_two_people", "payout_two_people", *NEW_ON_INSERT,
)  # fmt: skip
# Words that a check now allows besides: table, name of the check, the old end of its list, the new one.
WIDER = (
    ("transfer", "movement", "'pay', 'hold')", "'pay', 'hold', 'revalue')"),
    ("claim_line", "kind", "'released', 'carried')", "'released', 'carried', 'revaluation')"),
)


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    for table, name, old, new in WIDER:
        _widen(table, name, old, new, dialect)
    _of_what_was_asked()
    _of_differences()
    for table in NEW_FACTS:
        _guard(table, dialect)
    for name, (table, refused) in NEW_ON_INSERT.items():
        _law(name, table, refused, dialect)
    if dialect == "postgresql":
        _rights()
    invariants.assert_triggers(op.get_bind(), invariants.expected(FACTS, ON_INSERT, dialect))


def _widen(table: str, name: str, old: str, new: str, dialect: str) -> None:
    """Let a check allow one more word. SQLite cannot change a check: the table is copied, with its indexes and triggers."""
    if dialect == "postgresql":
        check = f"ck_{table}_{name}"
        (said,) = op.get_bind().execute(
            sa.text("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = :name"), {"name": check}
        ).one()  # fmt: skip
        word = new.rpartition(", '")[2].rstrip("')")
        _run(f"ALTER TABLE {table} DROP CONSTRAINT {check}")
        _run(f"ALTER TABLE {table} ADD CONSTRAINT {check} {said.replace('ARRAY[', f'ARRAY[{word!r}::text, ', 1)}")
        return
    stored = sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL")
    parts = op.get_bind().execute(stored, {"table": table}).all()
    (made,) = (sql for kind, sql in parts if kind == "table")
    if old not in made:
        raise invariants.InvariantMissing(f"the check of {table}.{name} is not the one known")
    _run(made.replace(f"CREATE TABLE {table}", f"CREATE TABLE {table}_wider", 1).replace(old, new, 1))
    _run(f"INSERT INTO {table}_wider SELECT * FROM {table}")
    _run(f"DROP TABLE {table}")
    _run(f"ALTER TABLE {table}_wider RENAME TO {table}")
    for kind, sql in parts:
        if kind != "table":
            op.get_bind().exec_driver_sql(sql)


def _of_what_was_asked() -> None:
    op.create_table(
        "revaluation",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("rulebook_hash", sa.Text(), nullable=True),
        sa.Column("scheme", sa.Text(), nullable=False),
        sa.Column("layer", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.Column("elder_id", db.Uid(), nullable=True),
        sa.Column("from_day", db.Day(), nullable=False),
        sa.Column("to_day", db.Day(), nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", db.Instant(), nullable=False),
        sa.Column("asked_on", db.Day(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("to_day >= from_day", name=op.f("ck_revaluation_days")),
        sa.CheckConstraint("to_day < asked_on", name=op.f("ck_revaluation_wholly_past")),
        sa.CheckConstraint(
            """(cause = 'notice' AND rulebook_hash IS NOT NULL AND elder_id IS NULL)
            OR (cause = 'facts' AND rulebook_hash IS NULL AND elder_id IS NOT NULL)""",
            name=op.f("ck_revaluation_cause"),
        ),
        sa.ForeignKeyConstraint(["rulebook_hash"], ["rulebook.hash"], name=op.f("fk_revaluation_rulebook_hash")),
        sa.ForeignKeyConstraint(["elder_id"], ["elder.id"], name=op.f("fk_revaluation_elder_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revaluation")),
        sqlite_strict=True,
    )
    op.create_table(
        "revaluation_order",
        sa.Column("revaluation_id", db.Big, nullable=False),
        sa.Column("made_by", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.Column("diff", sa.Text(), nullable=False),
        sa.Column("gate", sa.Text(), nullable=False),
        sa.Column("preview", sa.Text(), nullable=False),
        sa.CheckConstraint('"by" <> made_by', name=op.f("ck_revaluation_order_two_people")),
        sa.ForeignKeyConstraint(
            ["revaluation_id"], ["revaluation.id"], name=op.f("fk_revaluation_order_revaluation_id")
        ),
        sa.PrimaryKeyConstraint("revaluation_id", name=op.f("pk_revaluation_order")),
        sqlite_strict=True,
    )
    op.create_table(
        "revaluation_run",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("revaluation_id", db.Big, nullable=False),
        sa.Column("preview", db.Flag(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("asked_at", db.Instant(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("meals", db.Big, nullable=False),
        sa.Column("of_meals", db.Big, nullable=False),
        sa.Column("started_at", db.Instant(), nullable=True),
        sa.Column("finished_at", db.Instant(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "state IN ('waiting', 'running', 'done', 'failed', 'cancelled')", name=op.f("ck_revaluation_run_state")
        ),
        sa.ForeignKeyConstraint(["revaluation_id"], ["revaluation.id"], name=op.f("fk_revaluation_run_revaluation_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revaluation_run")),
        sqlite_strict=True,
    )


def _of_differences() -> None:
    op.create_table(
        "revalued_sale",
        sa.Column("id", db.Big, nullable=False),
        sa.Column("revaluation_id", db.Big, nullable=False),
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("service_day", db.Day(), nullable=False),
        sa.Column("period_id", db.Big, nullable=False),
        sa.Column("input_hash", sa.Text(), nullable=False),
        sa.Column("rulebook_hash", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("due_before", db.Big, nullable=False),
        sa.Column("due_fen", db.Big, nullable=False),
        sa.Column("refund_fen", db.Big, nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.CheckConstraint("outcome IN ('booked', 'due_rises', 'other_payer')", name=op.f("ck_revalued_sale_outcome")),
        sa.CheckConstraint(
            """(outcome = 'booked' AND refund_fen = due_before - due_fen AND refund_fen >= 0)
            OR (outcome <> 'booked' AND refund_fen = 0)""",
            name=op.f("ck_revalued_sale_never_asks_the_elder"),
        ),
        sa.ForeignKeyConstraint(
            ["revaluation_id"], ["revaluation_order.revaluation_id"], name=op.f("fk_revalued_sale_revaluation_id")
        ),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_revalued_sale_sale_id")),
        sa.ForeignKeyConstraint(["period_id"], ["period.id"], name=op.f("fk_revalued_sale_period_id")),
        sa.ForeignKeyConstraint(["input_hash"], ["quote_input.hash"], name=op.f("fk_revalued_sale_input_hash")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revalued_sale")),
        sa.UniqueConstraint("revaluation_id", "sale_id", name=op.f("uq_revalued_sale_revaluation_id_sale_id")),
        sqlite_strict=True,
    )
    op.create_index("ix_revalued_sale_sale", "revalued_sale", ["sale_id"], unique=False)
    op.create_index("ix_revalued_sale_period", "revalued_sale", ["period_id"], unique=False)
    op.create_table(
        "revalued_share",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("share_n", db.Big, nullable=False),
        sa.Column("revaluation_id", db.Big, nullable=False),
        sa.Column("contract_id", sa.Text(), nullable=False),
        sa.Column("fund", sa.Text(), nullable=False),
        sa.Column("before_fen", db.Big, nullable=False),
        sa.Column("new_fen", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("lacking_fen", db.Big, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.CheckConstraint("fen = 0 OR fen = new_fen - before_fen", name=op.f("ck_revalued_share_difference")),
        sa.CheckConstraint(
            "before_fen >= 0 AND new_fen >= 0 AND lacking_fen >= 0", name=op.f("ck_revalued_share_amounts")
        ),
        sa.CheckConstraint("share_n >= 1000", name=op.f("ck_revalued_share_share_n")),
        sa.ForeignKeyConstraint(
            ["revaluation_id", "sale_id"],
            ["revalued_sale.revaluation_id", "revalued_sale.sale_id"],
            name=op.f("fk_revalued_share_revaluation_id_sale_id"),
        ),
        sa.PrimaryKeyConstraint("sale_id", "share_n", name=op.f("pk_revalued_share")),
        sa.UniqueConstraint(
            "revaluation_id", "sale_id", "fund", name=op.f("uq_revalued_share_revaluation_id_sale_id_fund")
        ),
        sqlite_strict=True,
    )
    op.create_index("ix_revalued_share_contract", "revalued_share", ["contract_id"], unique=False)
    op.create_table(
        "added_use",
        sa.Column("sale_id", db.Uid(), nullable=False),
        sa.Column("allowance", sa.Text(), nullable=False),
        sa.Column("window_start", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("person_id", db.Uid(), nullable=False),
        sa.Column("unit", sa.Text(), nullable=False),
        sa.Column("limited_to", db.Big, nullable=False),
        sa.Column("granted", db.Big, nullable=False),
        sa.Column("n", db.Big, nullable=True),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.CheckConstraint("unit IN ('meal', 'day', 'fen')", name=op.f("ck_added_use_unit")),
        sa.CheckConstraint("granted > 0", name=op.f("ck_added_use_granted")),
        sa.ForeignKeyConstraint(["sale_id"], ["sale.id"], name=op.f("fk_added_use_sale_id")),
        sa.PrimaryKeyConstraint("sale_id", "allowance", "window_start", "cause", name=op.f("pk_added_use")),
        sqlite_strict=True,
    )
    op.create_index("ix_added_use_window", "added_use", ["person_id", "allowance", "window_start"], unique=False)
    op.create_table(
        "refund_given",
        sa.Column("canteen_id", sa.Text(), nullable=False),
        sa.Column("elder_id", db.Uid(), nullable=False),
        sa.Column("n", db.Big, nullable=False),
        sa.Column("fen", db.Big, nullable=False),
        sa.Column("meals", db.Big, nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("at", db.Instant(), nullable=False),
        sa.Column("recorded", db.Big, nullable=False),
        sa.CheckConstraint("fen > 0", name=op.f("ck_refund_given_moves_money")),
        sa.CheckConstraint("n >= 1", name=op.f("ck_refund_given_n")),
        sa.ForeignKeyConstraint(["canteen_id"], ["canteen.id"], name=op.f("fk_refund_given_canteen_id")),
        sa.ForeignKeyConstraint(["elder_id"], ["elder.id"], name=op.f("fk_refund_given_elder_id")),
        sa.PrimaryKeyConstraint("canteen_id", "elder_id", "n", name=op.f("pk_refund_given")),
        sqlite_strict=True,
    )


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
        _sqlite_trigger(name, f"BEFORE INSERT ON {table}", refused.replace("IS DISTINCT FROM", "IS NOT"))
        return
    # as transfers do: the period row is held to the end of the transaction, so that a close cannot pass between
    gate = "PERFORM 1 FROM period WHERE id = NEW.period_id FOR SHARE;" if name == "revalued_period" else ""
    _run(
        f"""CREATE FUNCTION law_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                {gate}
                IF {refused} THEN
                    RAISE EXCEPTION 'law: {name}' USING ERRCODE = '23001';
                END IF;
                RETURN NEW;
            END $$"""
    )
    _run(f"CREATE TRIGGER law_{name} BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION law_{name}()")


def _sqlite_trigger(name: str, when: str, refused: str) -> None:
    _run(f"CREATE TRIGGER law_{name} {when} WHEN {refused} BEGIN SELECT RAISE(ABORT, 'law: {name}'); END")


def _rights() -> None:
    facts, state = ", ".join(NEW_FACTS), ", ".join(STATE)
    _run(f"GRANT SELECT ON {facts}, {state} TO {invariants.APP}, {invariants.AUDITOR}")
    _run(f"GRANT INSERT ON {facts} TO {invariants.APP}")
    _run(f"GRANT INSERT, UPDATE ON {state} TO {invariants.APP}")
    _run(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {invariants.APP}")


def _run(statement: str) -> None:
    op.get_bind().exec_driver_sql(statement)
