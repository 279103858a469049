"""Statements and findings of closed periods, claims step by step, meals withheld, payouts checked by a second person."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, blob, check, day, flag, index, instant, table, text, to, uid, unique

NOT_WHOLE_PERIODS = """NOT EXISTS (SELECT 1 FROM period p WHERE p.id = NEW.period_id
                AND p.contract_id = NEW.contract_id AND p.to_day = NEW.to_day AND p.state = 'closed')
    OR NOT EXISTS (SELECT 1 FROM period p WHERE p.contract_id = NEW.contract_id
                   AND p.from_day = NEW.from_day AND p.state = 'closed')
    OR EXISTS (SELECT 1 FROM claim c WHERE c.contract_id = NEW.contract_id AND c.kind = NEW.kind
               AND c.from_day <= NEW.to_day AND c.to_day >= NEW.from_day)"""
# The days are stored before the statement, in its transaction: whoever finds the statement finds all of them.
ADDED_AFTERWARDS = """EXISTS (SELECT 1 FROM statement s WHERE s.period_id = NEW.period_id)
    OR NOT EXISTS (SELECT 1 FROM period p WHERE p.id = NEW.period_id AND p.state = 'closed')"""
OUT_OF_TURN = """NEW.n <> (SELECT coalesce(max(d.n), 0) + 1 FROM decision d WHERE d.claim_id = NEW.claim_id)
    OR NEW.from_state <> coalesce((SELECT d.to_state FROM decision d WHERE d.claim_id = NEW.claim_id
                                   ORDER BY d.n DESC LIMIT 1), 'draft')"""
# Which steps a bureau has is configuration; where the move of a name leads is not.
UNKNOWN_MOVE = """NOT (NEW.move = 'submit' AND NEW.from_state IN ('draft', 'returned') AND NEW.to_state = 'submitted'
    OR NEW.from_state IN ('submitted', 'reviewed', 'determined')
       AND (NEW.move = 'review' AND NEW.to_state = 'reviewed'
            OR NEW.move = 'determine' AND NEW.to_state = 'determined'
            OR NEW.move = 'return' AND NEW.to_state = 'returned'
            OR NEW.move = 'approve' AND NEW.to_state IN ('approved', 'settled', 'carried'))
    OR NEW.move = 'pay' AND NEW.from_state = 'approved' AND NEW.to_state = 'paid')"""
APPROVED_BY_THE_MAKER = """NEW.move = 'approve' AND EXISTS (SELECT 1 FROM decision d WHERE d.claim_id = NEW.claim_id
    AND d.move = 'submit' AND d.by = NEW."by")"""
PAID_UNCHECKED = """NEW.to_state = 'paid' AND NOT EXISTS (SELECT 1 FROM payout p
    JOIN payout_check k ON k.payout_id = p.id WHERE p.claim_id = NEW.claim_id AND k.outcome = 'confirmed')"""
ENTERED_BY_ANOTHER = "NEW.entered_by <> (SELECT p.entered_by FROM payout p WHERE p.id = NEW.payout_id)"


def create() -> None:
    _statements()
    _claims()
    _payouts()
    _exports()


def _statements() -> None:
    table(
        "statement",
        big("period_id", to("period.id"), primary_key=True),
        text("body"),
        text("hash"),
        text("sales_hash"),
        big("facts_at"),
        instant("computed_at"),
    )
    table(
        "finding",
        big("id", primary_key=True),
        big("period_id", to("period.id")),
        text("code"),
        text("subject"),
        uid("sale_id", nullable=True),
        big("fen"),
        text("body"),
        instant("found_at"),
        unique("period_id", "code", "subject"),
    )
    index("ix_finding_sale", "finding", "sale_id")
    table(
        "claimed_day",
        big("period_id", to("period.id"), primary_key=True),
        day("service_day", primary_key=True),
        text("fund", primary_key=True),
        big("fen"),
        check("moves_money", "fen <> 0"),
    )
    table(
        "finding_answer",
        big("id", primary_key=True),
        big("finding_id", to("finding.id")),
        big("n"),
        text("outcome"),
        text("reason"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("outcome", "outcome IN ('accepted', 'withheld', 'disallowed')"),
        unique("finding_id", "n"),
    )
    invariants.protect("statement", "finding", "finding_answer", "claimed_day")
    invariants.refuse_insert("claimed_days_whole", "claimed_day", ADDED_AFTERWARDS)


def _claims() -> None:
    table(
        "claim",
        big("id", primary_key=True),
        text("number"),
        text("contract_id", to("contract.id")),
        text("district_id"),
        text("kind"),
        day("from_day"),
        day("to_day"),
        big("period_id", to("period.id")),
        text("statement_hash"),
        big("meals"),
        big("persons"),
        big("fen"),
        instant("made_at"),
        check("days", "to_day >= from_day"),
        check("kind", "kind IN ('meal')"),
        unique("contract_id", "kind", "from_day", "to_day"),
        unique("number"),
    )
    index("ix_claim_district", "claim", "district_id", "from_day")
    table(
        "claim_line",
        big("claim_id", to("claim.id"), primary_key=True),
        big("n", primary_key=True),
        text("kind"),
        text("fund"),
        text("service_month"),
        text("origin"),
        big("meals"),
        big("persons"),
        big("fen"),
        check("kind", "kind IN ('meals', 'supplement', 'adjustment', 'released', 'carried', 'revaluation')"),
    )
    table(
        "decision",
        big("claim_id", to("claim.id"), primary_key=True),
        big("n", primary_key=True),
        text("move"),
        text("from_state"),
        text("to_state"),
        text("by"),
        text("reason"),
        instant("at"),
        big("recorded"),
        check("n", "n >= 1"),
    )
    table(
        "withheld_meal",
        big("id", primary_key=True),
        big("claim_id", to("claim.id")),
        big("line_n"),
        uid("sale_id", to("sale.id")),
        big("share_n"),
        big("fen"),
        text("outcome"),
        text("reason"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("moves_money", "fen > 0"),
        check("outcome", "outcome IN ('withheld', 'disallowed')"),
        unique("claim_id", "sale_id", "share_n"),
    )
    table(
        "withheld_answer",
        big("withheld_id", to("withheld_meal.id"), primary_key=True),
        text("outcome"),
        text("reason"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("outcome", "outcome IN ('released', 'disallowed')"),
    )
    invariants.protect("claim", "claim_line", "decision", "withheld_meal", "withheld_answer")
    invariants.allow(
        "UPDATE (made_at)", "claim"
    )  # a row lock asks for a column; the trigger still refuses every update
    invariants.refuse_insert("claim_whole_periods", "claim", NOT_WHOLE_PERIODS)
    invariants.refuse_insert("decision_in_turn", "decision", OUT_OF_TURN)
    invariants.refuse_insert("decision_known_move", "decision", UNKNOWN_MOVE)
    invariants.refuse_insert("decision_two_people", "decision", APPROVED_BY_THE_MAKER)
    invariants.refuse_insert("decision_paid_by_two", "decision", PAID_UNCHECKED)


def _payouts() -> None:
    table(
        "payout",
        big("id", primary_key=True),
        big("claim_id", to("claim.id")),
        big("attempt"),
        big("fen"),
        text("voucher"),
        day("paid_on"),
        text("payee_name"),
        text("bank"),
        text("account_tail"),
        text("entered_by"),
        instant("entered_at"),
        big("recorded"),
        check("moves_money", "fen > 0"),
        unique("claim_id", "attempt"),
    )
    table(
        "payout_check",
        big("payout_id", to("payout.id"), primary_key=True),
        text("outcome"),
        text("reason"),
        text("entered_by"),
        text("checked_by"),
        instant("checked_at"),
        big("recorded"),
        check("outcome", "outcome IN ('confirmed', 'refused')"),
        check("two_people", "checked_by <> entered_by"),
    )
    invariants.protect("payout", "payout_check")
    invariants.refuse_insert("payout_two_people", "payout_check", ENTERED_BY_ANOTHER)


def _exports() -> None:
    table(
        "claim_export",
        big("id", primary_key=True),
        big("claim_id", to("claim.id")),
        flag("insider"),
        flag("accounts"),
        text("by"),
        instant("asked_at"),
        text("state"),
        big("meals"),
        big("of_meals"),
        instant("finished_at", nullable=True),
        text("hash"),
        big("size"),
        check("state", "state IN ('waiting', 'running', 'done', 'failed', 'removed')"),
    )
    reader = ("claim_id", "insider", "accounts")
    index("uq_claim_export_under_way", "claim_export", *reader, where="state IN ('waiting', 'running')", unique=True)
    table(
        "claim_export_part",
        big("export_id", to("claim_export.id"), primary_key=True),
        big("n", primary_key=True),
        blob("content"),
    )
    invariants.allow("INSERT, UPDATE", "claim_export")
    invariants.allow("INSERT, UPDATE, DELETE", "claim_export_part")
