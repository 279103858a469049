"""Rules or facts known late, benefits moved from meal to meal, refunds, and budgets shared out once (rulings 5, 18, 19)."""

from __future__ import annotations

import sqlalchemy as sa

from canteen import invariants
from migrations.baseline.ledger import NOT_ITS_PERIOD
from migrations.baseline.tables import big, check, day, digest, flag, index, instant, table, text, to, uid, unique

MADE_BY_ANOTHER = "NEW.made_by <> (SELECT r.made_by FROM revaluation r WHERE r.id = NEW.revaluation_id)"
NOT_ITS_SALE = """EXISTS (SELECT 1 FROM void v WHERE v.sale_id = NEW.sale_id)
    OR NOT EXISTS (SELECT 1 FROM sale s WHERE s.id = NEW.sale_id AND s.contract_id = NEW.contract_id
                   AND s.service_day = NEW.service_day)
    OR NOT EXISTS (SELECT 1 FROM revaluation r WHERE r.id = NEW.revaluation_id
                   AND NEW.service_day >= r.from_day AND NEW.service_day <= r.to_day)"""
# No voided meal takes part, and who received does not give on, nor the other way round.
NOT_TO_MOVE = """EXISTS (SELECT 1 FROM void v WHERE v.sale_id = NEW.sale_id OR v.sale_id = NEW.from_sale_id)
    OR EXISTS (SELECT 1 FROM benefit_reallocation r WHERE r.from_sale_id = NEW.sale_id OR r.sale_id = NEW.from_sale_id)"""
# A revaluation booked it, or a reviewer moved it: to the one meal by the same event that took it from the other.
NO_CAUSE = """NOT (
    (NEW.recorded IS NULL AND NEW.amount > 0 AND EXISTS (
        SELECT 1 FROM revalued_sale r WHERE r.sale_id = NEW.sale_id AND NEW.cause = 'revaluation:' || r.revaluation_id))
    OR (NEW.recorded IS NOT NULL AND NEW.cause = 'event:' || NEW.recorded AND EXISTS (
        SELECT 1 FROM benefit_reallocation b WHERE b.recorded = NEW.recorded
        AND ((NEW.amount > 0 AND b.sale_id = NEW.sale_id) OR (NEW.amount < 0 AND b.from_sale_id = NEW.sale_id)))))"""
# Given up is at most what the sale was granted of this use, at its booking and since.
MORE_THAN_GRANTED = """NEW.amount < 0 AND NEW.amount
    + coalesce((SELECT sum(u.granted) FROM sale_use u WHERE u.sale_id = NEW.sale_id AND u.allowance = NEW.allowance
                AND u.window_start = NEW.window_start AND u.person_id = NEW.person_id
                AND coalesce(u.n, 0) = coalesce(NEW.n, 0)), 0)
    + coalesce((SELECT sum(c.amount) FROM use_change c WHERE c.sale_id = NEW.sale_id AND c.allowance = NEW.allowance
                AND c.window_start = NEW.window_start AND c.person_id = NEW.person_id
                AND coalesce(c.n, 0) = coalesce(NEW.n, 0)), 0) < 0"""
OF_A_VOIDED_SALE = "EXISTS (SELECT 1 FROM void v WHERE v.sale_id = NEW.sale_id)"
PAST_THE_LIMIT = """NEW.part_fen > 0 AND
    NEW.part_fen + coalesce((SELECT sum(p.part_fen) FROM proration_part p
                             WHERE p.allowance = NEW.allowance AND p.window_start = NEW.window_start), 0)
    > (SELECT p.limit_fen - p.other_fen FROM proration p
       WHERE p.allowance = NEW.allowance AND p.window_start = NEW.window_start)"""
PAST_THE_SHARE = """NEW.fen > coalesce((SELECT s.fen FROM share s WHERE s.sale_id = NEW.sale_id AND s.n = NEW.share_n), 0)
    OR NOT EXISTS (SELECT 1 FROM period p WHERE p.id = NEW.period_id AND p.state = 'open')"""


def create() -> None:
    _revaluations()
    _differences()
    _moved_benefits()
    _budgets()


def _revaluations() -> None:
    table(
        "revaluation",
        big("id", primary_key=True),
        text("cause"),
        text("title"),
        text("reason"),
        text("rulebook_hash", to("rulebook.hash"), nullable=True),
        text("scheme"),
        text("layer"),
        text("node_id"),
        uid("elder_id", to("elder.id"), nullable=True),
        day("from_day"),
        day("to_day"),
        text("made_by"),
        text("asked_by"),
        instant("asked_at"),
        day("asked_on"),
        big("recorded"),
        check(
            "cause",
            """(cause = 'notice' AND rulebook_hash IS NOT NULL AND elder_id IS NULL)
            OR (cause = 'facts' AND rulebook_hash IS NULL AND elder_id IS NOT NULL)""",
        ),
        check("days", "to_day >= from_day"),
        check("wholly_past", "to_day < asked_on"),
    )
    table(
        "revaluation_order",
        big("revaluation_id", to("revaluation.id"), primary_key=True),
        text("made_by"),
        text("by"),
        instant("at"),
        big("recorded"),
        text("diff"),
        text("gate"),
        text("preview"),
        check("two_people", """"by" <> made_by"""),
    )
    table(
        "revaluation_run",
        big("id", primary_key=True),
        big("revaluation_id", to("revaluation.id")),
        flag("preview"),
        text("by"),
        instant("asked_at"),
        text("state"),
        big("meals"),
        big("of_meals"),
        instant("started_at", nullable=True),
        instant("finished_at", nullable=True),
        text("result", nullable=True),
        text("error"),
        check("state", "state IN ('waiting', 'running', 'done', 'failed', 'cancelled')"),
    )
    invariants.protect("revaluation", "revaluation_order")
    invariants.allow("INSERT, UPDATE", "revaluation_run")
    invariants.refuse_insert("revaluation_two_people", "revaluation_order", MADE_BY_ANOTHER)


def _differences() -> None:
    """A difference is booked to an open period, once a sale and revaluation; an elder's due never rises by it."""
    table(
        "revalued_sale",
        big("id", primary_key=True),
        big("revaluation_id", to("revaluation_order.revaluation_id")),
        uid("sale_id", to("sale.id")),
        text("contract_id"),
        day("service_day"),
        big("period_id", to("period.id")),
        digest("input_hash", to("quote_input.hash")),
        text("rulebook_hash"),
        text("outcome"),
        big("due_before"),
        big("due_fen"),
        big("refund_fen"),
        instant("at"),
        check(
            "never_asks_the_elder",
            """(outcome = 'booked' AND refund_fen = due_before - due_fen AND refund_fen >= 0)
            OR (outcome <> 'booked' AND refund_fen = 0)""",
        ),
        check("outcome", "outcome IN ('booked', 'due_rises', 'other_payer')"),
        unique("revaluation_id", "sale_id"),
    )
    index("ix_revalued_sale_sale", "revalued_sale", "sale_id")
    index("ix_revalued_sale_period", "revalued_sale", "period_id")
    table(
        "revalued_share",
        uid("sale_id", primary_key=True),
        big("share_n", primary_key=True),
        big("revaluation_id"),
        text("contract_id"),
        text("fund"),
        big("before_fen"),
        big("new_fen"),
        big("fen"),
        big("over_limit_fen"),
        text("reason"),
        check("amounts", "before_fen >= 0 AND new_fen >= 0 AND over_limit_fen >= 0"),
        check("difference", "fen = 0 OR fen = new_fen - before_fen"),
        check("share_n", "share_n >= 1000"),
        sa.ForeignKeyConstraint(
            ["revaluation_id", "sale_id"], ["revalued_sale.revaluation_id", "revalued_sale.sale_id"]
        ),
        unique("revaluation_id", "sale_id", "fund"),
    )
    index("ix_revalued_share_contract", "revalued_share", "contract_id")
    table(
        "refund_given",
        text("canteen_id", to("canteen.id"), primary_key=True),
        uid("elder_id", to("elder.id"), primary_key=True),
        big("n", primary_key=True),
        big("fen"),
        big("meals"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("moves_money", "fen > 0"),
        check("n", "n >= 1"),
    )
    invariants.protect("revalued_sale", "revalued_share", "refund_given")
    invariants.refuse_added("revalued_period", "revalued_sale", NOT_ITS_PERIOD)
    invariants.refuse_insert("revalued_not_voided", "revalued_sale", NOT_ITS_SALE)


def _moved_benefits() -> None:
    """A meal is given a benefit once and gives it up once; it gives up no more than it was granted, and for a stated cause."""
    table(
        "use_change",
        uid("sale_id", to("sale.id"), primary_key=True),
        text("allowance", primary_key=True),
        text("window_start", primary_key=True),
        text("cause", primary_key=True),
        uid("person_id"),
        text("unit"),
        big("limited_to"),
        big("amount"),
        big("n", nullable=True),
        text("rules"),
        big("after_record"),
        big("recorded", nullable=True),
        check("amount", "amount <> 0 AND (unit = 'fen' OR amount IN (-1, 1))"),
        check("unit", "unit IN ('meal', 'day', 'fen')"),
    )
    index("ix_use_change_window", "use_change", "person_id", "allowance", "window_start")
    table(
        "benefit_reallocation",
        uid("sale_id", to("sale.id"), primary_key=True),
        uid("from_sale_id", to("sale.id"), nullable=True),
        big("finding_id", to("finding.id")),
        digest("input_hash", to("quote_input.hash")),
        big("fen"),
        text("reason"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("moves_money", "fen > 0"),
        check("two_meals", "from_sale_id <> sale_id"),
        unique("from_sale_id"),
    )
    index("ix_benefit_reallocation_recorded", "benefit_reallocation", "recorded")
    invariants.protect("use_change", "benefit_reallocation")
    invariants.refuse_insert("use_change_caused", "use_change", NO_CAUSE)
    invariants.refuse_insert("use_change_covered", "use_change", MORE_THAN_GRANTED)
    invariants.refuse_insert("use_change_not_voided", "use_change", OF_A_VOIDED_SALE)
    invariants.refuse_insert("reallocation_not_voided", "benefit_reallocation", NOT_TO_MOVE)


def _budgets() -> None:
    """A window is shared out once, a contract booked once, a meal's share reduced once; the parts never pass the budget."""
    table(
        "proration",
        text("allowance", primary_key=True),
        text("window_start", primary_key=True),
        big("limit_fen"),
        big("other_fen"),
        big("asked_fen"),
        big("records"),
        big("recorded"),
        instant("at"),
        check("amounts", "limit_fen >= 0 AND other_fen >= 0 AND asked_fen >= 0"),
    )
    table(
        "proration_part",
        text("allowance", primary_key=True),
        text("window_start", primary_key=True),
        text("contract_id", to("contract.id"), primary_key=True),
        big("asked_fen"),
        big("part_fen"),
        check("no_more_than_asked", "part_fen >= 0 AND part_fen <= asked_fen"),
        sa.ForeignKeyConstraint(["allowance", "window_start"], ["proration.allowance", "proration.window_start"]),
    )
    table(
        "proration_booked",
        text("allowance", primary_key=True),
        text("window_start", primary_key=True),
        text("contract_id", primary_key=True),
        big("period_id", to("period.id")),
        sa.ForeignKeyConstraint(
            ["allowance", "window_start", "contract_id"],
            ["proration_part.allowance", "proration_part.window_start", "proration_part.contract_id"],
        ),
    )
    table(
        "prorated_share",
        uid("sale_id", to("sale.id"), primary_key=True),
        big("share_n", primary_key=True),
        text("allowance"),
        text("window_start"),
        big("period_id", to("period.id")),
        big("fen"),
        check("moves_money", "fen > 0"),
        sa.ForeignKeyConstraint(["allowance", "window_start"], ["proration.allowance", "proration.window_start"]),
    )
    index("ix_prorated_share_period", "prorated_share", "period_id")
    invariants.protect("proration", "proration_part", "proration_booked", "prorated_share")
    invariants.refuse_insert("proration_within_limit", "proration_part", PAST_THE_LIMIT)
    invariants.refuse_insert("prorated_within_share", "prorated_share", PAST_THE_SHARE)
