"""What must never happen, refused by the database itself (decision 0004; promises P6, P7, P8, P16, P18, P25).

Facts are append-only; the event chain is gapless; a contract's periods are one gap-free chain that only
closes, in order; a transfer is booked to the one period it belongs to; claims cover whole closed periods;
maker and approver differ. On PostgreSQL the application's role besides lacks UPDATE and DELETE on facts.

Revision: 0002, after 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from canteen import invariants

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FACTS = (
    "event", "record", "sale_key", "sale", "sale_line", "share", "sale_use", "void", "payment", "tender",
    "quote_input", "transfer", "account", "elder", "elder_fact", "elder_identity", "elder_photo", "identity_key",
    "credential", "credential_fact", "rulebook", "publication", "joined_rulebook", "statement", "finding",
    "finding_answer", "claim", "claim_line", "decision", "held", "held_answer", "payout", "payout_check",
)  # fmt: skip
CHANGED = (
    "slot", "amount_used", "attempts", "web_session", "tablet", "person", "role_grant", "enrolment_code",
    "lost_epoch", "card_code", "import_run", "job_run", "area", "area_link", "operator", "payee", "canteen",
    "meal_window", "serving_days", "closure", "serving_point", "contract", "menu_item", "installation",
)  # fmt: skip
REMOVED = ("slot", "card_code", "attempts", "web_session")

# What a new row of a table must satisfy, as a condition that refuses it when true. NEW is the row.
EARLIEST_OPEN = """(SELECT p.id FROM period p WHERE p.contract_id = NEW.contract_id AND p.state = 'open'
                    AND p.to_day >= NEW.service_day ORDER BY p.from_day LIMIT 1)"""
ON_INSERT = {
    "event_gapless": (
        "event",
        """NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM event)
           OR NEW.previous <> coalesce((SELECT hash FROM event ORDER BY number DESC LIMIT 1), '{zeros}')""".format(
            zeros="0" * 64
        ),
    ),
    "period_chained": (
        "period",
        """NEW.state <> 'open' OR EXISTS (SELECT 1 FROM period p WHERE p.contract_id = NEW.contract_id)
           AND NEW.from_day <> {day_after}""",
    ),
    "transfer_period": ("transfer", f"NEW.period_id IS DISTINCT FROM {EARLIEST_OPEN}"),
    "transfer_accounts": (
        "transfer",
        """2 <> (SELECT count(*) FROM account a WHERE a.id IN (NEW.source_id, NEW.target_id)
                 AND a.contract_id = NEW.contract_id AND a.fund = NEW.fund)""",
    ),
    "claim_whole_periods": (
        "claim",
        """NOT EXISTS (SELECT 1 FROM period p WHERE p.id = NEW.period_id AND p.contract_id = NEW.contract_id
                       AND p.to_day = NEW.to_day AND p.state = 'closed')
           OR NOT EXISTS (SELECT 1 FROM period p WHERE p.contract_id = NEW.contract_id
                          AND p.from_day = NEW.from_day AND p.state = 'closed')
           OR EXISTS (SELECT 1 FROM claim c WHERE c.contract_id = NEW.contract_id AND c.kind = NEW.kind
                      AND c.from_day <= NEW.to_day AND c.to_day >= NEW.from_day)""",
    ),
    "decision_in_turn": (
        "decision",
        """NEW.n <> (SELECT coalesce(max(d.n), 0) + 1 FROM decision d WHERE d.claim_id = NEW.claim_id)
           OR NEW.from_state <> coalesce((SELECT d.to_state FROM decision d WHERE d.claim_id = NEW.claim_id
                                          ORDER BY d.n DESC LIMIT 1), 'draft')""",
    ),
    "decision_two_people": (
        "decision",
        """NEW.move = 'approve' AND EXISTS (SELECT 1 FROM decision d WHERE d.claim_id = NEW.claim_id
                                            AND d.move = 'submit' AND d.by = NEW."by")""",
    ),
    "payout_two_people": (
        "payout_check",
        "NEW.entered_by <> (SELECT p.entered_by FROM payout p WHERE p.id = NEW.payout_id)",
    ),
}
PERIOD_FLIP = """NEW.id <> OLD.id OR NEW.contract_id <> OLD.contract_id OR NEW.district_id <> OLD.district_id
    OR NEW.from_day <> OLD.from_day OR NEW.to_day <> OLD.to_day OR OLD.state <> 'open' OR NEW.state <> 'closed'
    OR EXISTS (SELECT 1 FROM period p WHERE p.contract_id = OLD.contract_id AND p.state = 'open'
               AND p.from_day < OLD.from_day)"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()
    invariants.assert_triggers(op.get_bind(), invariants.expected(FACTS, ON_INSERT, op.get_bind().dialect.name))


def _day_after(dialect: str) -> str:
    last = "(SELECT max(p.to_day) FROM period p WHERE p.contract_id = NEW.contract_id)"
    return f"{last} + 1" if dialect == "postgresql" else f"date({last}, '+1 day')"


def _sqlite() -> None:
    inspector = sa.inspect(op.get_bind())
    for table in FACTS:
        for act in ("update", "delete"):
            _sqlite_trigger(f"{table}_no_{act}", f"BEFORE {act.upper()} ON {table}", "1")
        unique = [inspector.get_pk_constraint(table)["constrained_columns"]]
        unique += [key["column_names"] for key in inspector.get_unique_constraints(table)]
        taken = " OR ".join(
            "EXISTS (SELECT 1 FROM {} WHERE {})".format(table, " AND ".join(f'"{c}" = NEW."{c}"' for c in columns))
            for columns in unique
        )
        _sqlite_trigger(f"{table}_no_replace", f"BEFORE INSERT ON {table}", taken)
    for name, (table, condition) in ON_INSERT.items():
        refused = condition.replace("{day_after}", _day_after("sqlite")).replace("IS DISTINCT FROM", "IS NOT")
        _sqlite_trigger(name, f"BEFORE INSERT ON {table}", refused)
    _sqlite_trigger("period_flips_once", "BEFORE UPDATE ON period", PERIOD_FLIP)
    _sqlite_trigger("period_no_delete", "BEFORE DELETE ON period", "1")


def _sqlite_trigger(name: str, when: str, refused: str) -> None:
    _run(f"CREATE TRIGGER law_{name} {when} WHEN {refused} BEGIN SELECT RAISE(ABORT, 'law: {name}'); END")


def _run(statement: str) -> None:
    op.get_bind().execute(sa.text(statement))


def _postgresql() -> None:
    _run(
        """CREATE FUNCTION law_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN RAISE EXCEPTION 'law: %', TG_NAME USING ERRCODE = '23001'; END $$"""
    )
    for table in FACTS:
        _run(
            f"""CREATE TRIGGER law_{table}_no_change BEFORE UPDATE OR DELETE ON {table}
                FOR EACH ROW EXECUTE FUNCTION law_refuse()"""
        )
        _run(
            f"""CREATE TRIGGER law_{table}_no_truncate BEFORE TRUNCATE ON {table}
                FOR EACH STATEMENT EXECUTE FUNCTION law_refuse()"""
        )
    for name, (table, condition) in ON_INSERT.items():
        refused = condition.replace("{day_after}", _day_after("postgresql"))
        # the period row is held FOR SHARE to the end of the transaction, so that a close cannot pass between
        gate = "PERFORM 1 FROM period WHERE id = NEW.period_id FOR SHARE;" if name == "transfer_period" else ""
        _pg_trigger(name, f"BEFORE INSERT ON {table}", refused, gate)
    _pg_trigger("period_flips_once", "BEFORE UPDATE ON period", PERIOD_FLIP)
    _run("CREATE TRIGGER law_period_no_delete BEFORE DELETE ON period FOR EACH ROW EXECUTE FUNCTION law_refuse()")
    _run(
        """CREATE TRIGGER law_period_no_truncate BEFORE TRUNCATE ON period
           FOR EACH STATEMENT EXECUTE FUNCTION law_refuse()"""
    )
    for statement in invariants.grants(FACTS, CHANGED, REMOVED):
        _run(statement)


def _pg_trigger(name: str, when: str, refused: str, before: str = "") -> None:
    _run(
        f"""CREATE FUNCTION law_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                {before}
                IF {refused} THEN
                    RAISE EXCEPTION 'law: {name}' USING ERRCODE = '23001';
                END IF;
                RETURN NEW;
            END $$"""
    )
    _run(f"CREATE TRIGGER law_{name} {when} FOR EACH ROW EXECUTE FUNCTION law_{name}()")
