"""Periods that only close, accounts, and transfers booked to the one period each belongs to."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, check, day, index, instant, table, text, to, uid, unique

CHAINED = """NEW.state <> 'open'
    OR EXISTS (SELECT 1 FROM period p WHERE p.contract_id = NEW.contract_id) AND NEW.from_day <> {day_after_the_last}"""
LAST_DAY = "(SELECT max(p.to_day) FROM period p WHERE p.contract_id = NEW.contract_id)"
FLIPS = """NEW.id <> OLD.id OR NEW.contract_id <> OLD.contract_id OR NEW.district_id <> OLD.district_id
    OR NEW.from_day <> OLD.from_day OR NEW.to_day <> OLD.to_day OR OLD.state <> 'open' OR NEW.state <> 'closed'
    OR EXISTS (SELECT 1 FROM period p WHERE p.contract_id = OLD.contract_id AND p.state = 'open'
               AND p.from_day < OLD.from_day)"""
# The period of its service day if that is open, else the earliest open one; on PostgreSQL locked to the end of the
# transaction, so that no close passes between. A close that passed while this waited is seen: the row is looked at again.
NOT_ITS_PERIOD = """NEW.period_id <> coalesce(
    (SELECT p.id FROM period p WHERE p.contract_id = NEW.contract_id AND p.state = 'open'
     AND p.to_day >= NEW.service_day ORDER BY p.from_day LIMIT 1{for_share}), 0)"""
NOT_ITS_ACCOUNTS = """2 <> (SELECT count(*) FROM account a WHERE a.id IN (NEW.source_id, NEW.target_id)
    AND a.contract_id = NEW.contract_id AND a.fund = NEW.fund)"""


def create() -> None:
    _periods()
    _transfers()


def _periods() -> None:
    table(
        "period",
        big("id", primary_key=True),
        text("contract_id", to("contract.id")),
        text("district_id", to("area.id")),
        day("from_day"),
        day("to_day"),
        text("state"),
        instant("closed_at", nullable=True),
        check("closed_at", "(state = 'closed') = (closed_at IS NOT NULL)"),
        check("days", "to_day >= from_day"),
        check("state", "state IN ('open', 'closed')"),
        unique("contract_id", "from_day"),
    )
    invariants.allow("INSERT, UPDATE (state, closed_at)", "period")
    invariants.refuse_insert(
        "period_chained", "period", CHAINED.format(day_after_the_last=invariants.day_after(LAST_DAY))
    )
    invariants.refuse_change("period_flips_once", "period", FLIPS)
    invariants.refuse_removal("period")


def _transfers() -> None:
    table(
        "account",
        big("id", primary_key=True),
        text("contract_id", to("contract.id")),
        text("fund"),
        text("kind"),
        check(
            "kind",
            "kind IN ('granted', 'open', 'claimed', 'disallowed', 'paid', 'excluded', 'elder', 'cash', 'mobile', 'donated')",
        ),
        unique("contract_id", "fund", "kind"),
    )
    table(
        "transfer",
        big("id", primary_key=True),
        big("source_id"),
        big("target_id"),
        big("fen"),
        text("movement"),
        uid("sale_id", nullable=True),
        big("share_n", nullable=True),
        text("fund"),
        text("contract_id"),
        text("district_id"),
        text("service_month"),
        day("service_day"),
        big("period_id"),
        text("reason"),
        text("cause"),
        instant("at"),
        check(
            "moves_money",
            """fen > 0 AND source_id <> target_id AND movement IN
    ('meal', 'verdict', 'void', 'payment', 'refund', 'claim', 'disallow', 'pay', 'revalue')""",
        ),
    )
    index("ix_transfer_period", "transfer", "period_id", "movement")
    index("ix_transfer_sale", "transfer", "sale_id")
    invariants.protect("account", "transfer")
    invariants.refuse_added("transfer_booked", "transfer", f"{NOT_ITS_PERIOD} OR {NOT_ITS_ACCOUNTS}")
