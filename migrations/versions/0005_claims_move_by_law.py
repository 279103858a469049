"""A claim moves step by step, and is paid only by a payout that a second person confirmed (P23); no period is replaced.

Which steps a bureau has is configuration; that a claim is submitted before it is approved, ends once, and that the
name of a move tells where it leads, is law.

Revision: 0005, after 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import invariants

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FACTS = (
    "event", "record", "sale_key", "sale", "sale_line", "share", "sale_use", "void", "payment", "tender",
    "quote_input", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "decision", "held", "held_answer", "payout", "payout_check",
    "publication_file", "calendar_day", "revaluation", "revaluation_order", "revalued_sale", "revalued_share",
    "added_use", "refund_given",
)  # fmt: skip
NEW_ON_INSERT = {
    "decision_known_move": (
        "decision",
        """NOT (NEW.move = 'submit' AND NEW.from_state IN ('draft', 'returned') AND NEW.to_state = 'submitted'
             OR NEW.from_state IN ('submitted', 'reviewed', 'determined')
                AND (NEW.move = 'review' AND NEW.to_state = 'reviewed'
                     OR NEW.move = 'determine' AND NEW.to_state = 'determined'
                     OR NEW.move = 'return' AND NEW.to_state = 'returned'
                     OR NEW.move = 'approve' AND NEW.to_state IN ('approved', 'settled', 'carried'))
             OR NEW.move = 'pay' AND NEW.from_state = 'approved' AND NEW.to_state = 'paid')""",
    ),
    "decision_paid_by_two": (
        "decision",
        """NEW.to_state = 'paid' AND NOT EXISTS (SELECT 1 FROM payout p JOIN payout_check k ON k.payout_id = p.id
                                                 WHERE p.claim_id = NEW.claim_id AND k.outcome = 'confirmed')""",
    ),
}
ON_INSERT = (
    "event_gapless", "period_chained", "transfer_period", "transfer_accounts", "claim_whole_periods",
    "decision_in_turn", "decision_two_people", "payout_two_people", "revaluation_two_people", "revalued_period",
    "revalued_standing", *NEW_ON_INSERT,
)  # fmt: skip
PERIOD_THERE = """EXISTS (SELECT 1 FROM period WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM period WHERE contract_id = NEW.contract_id AND from_day = NEW.from_day)"""


def upgrade() -> None:
    dialect = op.get_bind().dialect.name
    standing = invariants.expected(FACTS, ON_INSERT, dialect)
    for name, (table, refused) in NEW_ON_INSERT.items():
        _law(name, table, refused, dialect)
    if (
        dialect == "sqlite"
    ):  # INSERT OR REPLACE removes the row it meets, past the trigger on DELETE unless a pragma is on
        _sqlite_trigger("period_no_replace", "period", PERIOD_THERE)
        standing.add("law_period_no_replace")
    invariants.assert_triggers(op.get_bind(), standing)


def _law(name: str, table: str, refused: str, dialect: str) -> None:
    """A trigger that refuses a new row of which `refused` is true."""
    if dialect == "sqlite":
        _sqlite_trigger(name, table, refused)
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


def _sqlite_trigger(name: str, table: str, refused: str) -> None:
    _run(
        f"CREATE TRIGGER law_{name} BEFORE INSERT ON {table} WHEN {refused} BEGIN SELECT RAISE(ABORT, 'law: {name}'); END"
    )


def _run(statement: str) -> None:
    op.get_bind().execute(sa.text(statement))
