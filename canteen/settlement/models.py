"""Tables of settlement. Statements, claims, decisions and payouts are facts; `job_run` is state."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base, Digest

EXPORTING = text("state IN ('waiting', 'running')")


class Statement(Base):
    """The statement of a closed period: bytes and their hash, one a period, never changed (P16)."""

    __tablename__ = "statement"
    __table_args__ = {"sqlite_strict": True}

    period_id: Mapped[int] = mapped_column(ForeignKey("period.id"), primary_key=True)
    body: Mapped[str]  # canonical JSON
    hash: Mapped[str]
    sales_hash: Mapped[str]  # over the sorted content hashes of its sales
    facts_at: Mapped[int]  # event number up to which facts were read
    computed_at: Mapped[datetime]


class ClaimedDay(Base):
    """What meals of a service day put into a closed period's claim from a fund; one row a day and fund, never changed.

    The period's own days, and earlier ones of which meals or voids came late. Differences of revaluations and what is
    handed from claim to claim are of no day and stand in the claim's lines alone.
    """

    __tablename__ = "claimed_day"
    __table_args__ = (CheckConstraint("fen <> 0", name="moves_money"), {"sqlite_strict": True})

    period_id: Mapped[int] = mapped_column(ForeignKey("period.id"), primary_key=True)
    service_day: Mapped[date] = mapped_column(primary_key=True)
    fund: Mapped[str] = mapped_column(primary_key=True)
    fen: Mapped[int]


class Finding(Base):
    """A deviation that a person must judge, named once per period, code and subject."""

    __tablename__ = "finding"
    __table_args__ = (
        UniqueConstraint("period_id", "code", "subject"),
        Index("ix_finding_sale", "sale_id"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    period_id: Mapped[int] = mapped_column(ForeignKey("period.id"))
    code: Mapped[str]
    subject: Mapped[str]  # 'sale:<id>', 'tablet:<id>/<epoch>/<number>', 'payment:<id>'
    sale_id: Mapped[uuid.UUID | None]
    fen: Mapped[int]
    body: Mapped[str]  # canonical JSON: the figures compared
    found_at: Mapped[datetime]


class FindingAnswer(Base):
    """A reviewer's answer to a finding; the newest counts."""

    __tablename__ = "finding_answer"
    __table_args__ = (
        UniqueConstraint("finding_id", "n"),
        CheckConstraint("outcome IN ('accepted', 'withheld', 'disallowed')", name="outcome"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    finding_id: Mapped[int] = mapped_column(ForeignKey("finding.id"))
    n: Mapped[int]
    outcome: Mapped[str]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class Claim(Base):
    """The claim of a contract's operator for a run of periods. Its state is that of its last decision."""

    __tablename__ = "claim"
    __table_args__ = (
        UniqueConstraint("contract_id", "kind", "from_day", "to_day"),
        UniqueConstraint("number"),
        CheckConstraint("to_day >= from_day", name="days"),
        CheckConstraint("kind IN ('meal')", name="kind"),
        Index("ix_claim_district", "district_id", "from_day"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str]
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"))
    district_id: Mapped[str]
    kind: Mapped[str]
    from_day: Mapped[date]
    to_day: Mapped[date]
    period_id: Mapped[int] = mapped_column(ForeignKey("period.id"))
    statement_hash: Mapped[str]
    meals: Mapped[int]
    persons: Mapped[int]
    fen: Mapped[int]  # may be below zero: carried forward (ruling 10)
    made_at: Mapped[datetime]


class ClaimLine(Base):
    """One line of a claim: a fund, of one service month; all but 'meals' cite an earlier period or a revaluation."""

    __tablename__ = "claim_line"
    __table_args__ = (
        CheckConstraint(
            "kind IN ('meals', 'supplement', 'adjustment', 'released', 'carried', 'revaluation')", name="kind"
        ),
        {"sqlite_strict": True},
    )

    claim_id: Mapped[int] = mapped_column(ForeignKey("claim.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    fund: Mapped[str]
    service_month: Mapped[str]
    origin: Mapped[str]  # '' or the number of the claim and line that it follows
    meals: Mapped[int]
    persons: Mapped[int]
    fen: Mapped[int]


class Decision(Base):
    """One move of a claim. `n` counts from 1 without gaps, so two people cannot move it at once."""

    __tablename__ = "decision"
    __table_args__ = (
        CheckConstraint("n >= 1", name="n"),
        {"sqlite_strict": True},
    )

    claim_id: Mapped[int] = mapped_column(ForeignKey("claim.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    move: Mapped[str]
    from_state: Mapped[str]
    to_state: Mapped[str]
    by: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class WithheldMeal(Base):
    """A sale's fen kept out of a claim by a reviewer, by (line, sale, fen); goes to a later claim when cleared."""

    __tablename__ = "withheld_meal"
    __table_args__ = (
        UniqueConstraint("claim_id", "sale_id", "share_n"),
        CheckConstraint("fen > 0", name="moves_money"),
        CheckConstraint("outcome IN ('withheld', 'disallowed')", name="outcome"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    claim_id: Mapped[int] = mapped_column(ForeignKey("claim.id"))
    line_n: Mapped[int]
    sale_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sale.id"))
    share_n: Mapped[int]
    fen: Mapped[int]
    outcome: Mapped[str]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class WithheldAnswer(Base):
    """A withheld sale cleared (released to the next claim) or disallowed for good: one answer each."""

    __tablename__ = "withheld_answer"
    __table_args__ = (
        CheckConstraint("outcome IN ('released', 'disallowed')", name="outcome"),
        {"sqlite_strict": True},
    )

    withheld_id: Mapped[int] = mapped_column(ForeignKey("withheld_meal.id"), primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class BenefitReallocation(Base):
    """The benefit given by a reviewer to an excess meal: from a limit that is free again, or moved from another meal.

    input_hash  the whole input of our quote of the meal with that room, under the rulebook of its own quote
    """

    __tablename__ = "benefit_reallocation"
    __table_args__ = (
        UniqueConstraint("from_sale_id"),
        CheckConstraint("fen > 0", name="moves_money"),
        CheckConstraint("from_sale_id <> sale_id", name="two_meals"),
        Index("ix_benefit_reallocation_recorded", "recorded"),
        {"sqlite_strict": True},
    )

    sale_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sale.id"), primary_key=True)
    from_sale_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("sale.id"))
    finding_id: Mapped[int] = mapped_column(ForeignKey("finding.id"))
    input_hash: Mapped[str] = mapped_column(Digest, ForeignKey("quote_input.hash"))
    fen: Mapped[int]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class Payout(Base):
    """A payment of a claim by voucher, entered by one person; it counts only when another has checked it."""

    __tablename__ = "payout"
    __table_args__ = (
        UniqueConstraint("claim_id", "attempt"),
        CheckConstraint("fen > 0", name="moves_money"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    claim_id: Mapped[int] = mapped_column(ForeignKey("claim.id"))
    attempt: Mapped[int]
    fen: Mapped[int]
    voucher: Mapped[str]
    paid_on: Mapped[date]
    payee_name: Mapped[str]  # snapshot
    bank: Mapped[str]
    account_tail: Mapped[str]
    entered_by: Mapped[str]
    entered_at: Mapped[datetime]
    recorded: Mapped[int]


class PayoutCheck(Base):
    """The check of a payout by a second person (maker-checker)."""

    __tablename__ = "payout_check"
    __table_args__ = (
        CheckConstraint("outcome IN ('confirmed', 'refused')", name="outcome"),
        CheckConstraint("checked_by <> entered_by", name="two_people"),
        {"sqlite_strict": True},
    )

    payout_id: Mapped[int] = mapped_column(ForeignKey("payout.id"), primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    entered_by: Mapped[str]
    checked_by: Mapped[str]
    checked_at: Mapped[datetime]
    recorded: Mapped[int]


class RevaluationRun(Base):
    """A run of a revaluation, or a preview that books nothing: asked for, at work, or done. State: its progress."""

    __tablename__ = "revaluation_run"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed', 'cancelled')", name="state"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    revaluation_id: Mapped[int] = mapped_column(ForeignKey("revaluation.id"))
    preview: Mapped[bool]
    by: Mapped[str]
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="waiting")
    meals: Mapped[int] = mapped_column(default=0)
    of_meals: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    result: Mapped[str | None]  # JSON
    error: Mapped[str] = mapped_column(default="")


class RevaluedSale(Base):
    """A sale whose price a revaluation changes, once a revaluation: the whole new quote, and what became of it.

    due_before  what the elder had paid, less what earlier revaluations gave back
    refund_fen  what the elder overpaid: never below zero, an elder is never asked afterwards
    """

    __tablename__ = "revalued_sale"
    __table_args__ = (
        UniqueConstraint("revaluation_id", "sale_id"),
        CheckConstraint("outcome IN ('booked', 'due_rises', 'other_payer')", name="outcome"),
        CheckConstraint(
            "(outcome = 'booked' AND refund_fen = due_before - due_fen AND refund_fen >= 0)"
            " OR (outcome <> 'booked' AND refund_fen = 0)",
            name="never_asks_the_elder",
        ),
        Index("ix_revalued_sale_sale", "sale_id"),
        Index("ix_revalued_sale_period", "period_id"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    revaluation_id: Mapped[int] = mapped_column(ForeignKey("revaluation_order.revaluation_id"))
    sale_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sale.id"))
    contract_id: Mapped[str]
    service_day: Mapped[date]
    period_id: Mapped[int] = mapped_column(ForeignKey("period.id"))  # that its differences are booked to
    input_hash: Mapped[str] = mapped_column(Digest, ForeignKey("quote_input.hash"))
    rulebook_hash: Mapped[str]  # joined
    outcome: Mapped[str]
    due_before: Mapped[int]
    due_fen: Mapped[int]
    refund_fen: Mapped[int]
    at: Mapped[datetime]


class RevaluedShare(Base):
    """The difference of one fund: its new value less all that was booked before; `over_limit_fen` is what the limits left no room for."""

    __tablename__ = "revalued_share"
    __table_args__ = (
        ForeignKeyConstraint(["revaluation_id", "sale_id"], ["revalued_sale.revaluation_id", "revalued_sale.sale_id"]),
        UniqueConstraint("revaluation_id", "sale_id", "fund"),
        CheckConstraint("fen = 0 OR fen = new_fen - before_fen", name="difference"),
        CheckConstraint("before_fen >= 0 AND new_fen >= 0 AND over_limit_fen >= 0", name="amounts"),
        CheckConstraint("share_n >= 1000", name="share_n"),
        Index("ix_revalued_share_contract", "contract_id"),
        {"sqlite_strict": True},
    )

    sale_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    share_n: Mapped[int] = mapped_column(primary_key=True)
    revaluation_id: Mapped[int]
    contract_id: Mapped[str]
    fund: Mapped[str]
    before_fen: Mapped[int]
    new_fen: Mapped[int]
    fen: Mapped[int]  # as booked: 0 where nothing was
    over_limit_fen: Mapped[int]
    reason: Mapped[str]  # why some is over a limit, or ''


class ProrationPart(Base):
    """A contract's part of a prorated window: of what its meals asked, by largest remainder over all contracts."""

    __tablename__ = "proration_part"
    __table_args__ = (
        ForeignKeyConstraint(["allowance", "window_start"], ["proration.allowance", "proration.window_start"]),
        CheckConstraint("part_fen >= 0 AND part_fen <= asked_fen", name="no_more_than_asked"),
        {"sqlite_strict": True},
    )

    allowance: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("window_start", primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"), primary_key=True)
    asked_fen: Mapped[int]
    part_fen: Mapped[int]


class ProrationBooked(Base):
    """The fact that a contract's part was booked, meal by meal, at the close of this period: once."""

    __tablename__ = "proration_booked"
    __table_args__ = (
        ForeignKeyConstraint(
            ["allowance", "window_start", "contract_id"],
            ["proration_part.allowance", "proration_part.window_start", "proration_part.contract_id"],
        ),
        {"sqlite_strict": True},
    )

    allowance: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("window_start", primary_key=True)
    contract_id: Mapped[str] = mapped_column(primary_key=True)
    period_id: Mapped[int] = mapped_column(ForeignKey("period.id"))


class ProratedShare(Base):
    """The loss of a meal's share to its fund's budget, and the period that it was booked to: once a share."""

    __tablename__ = "prorated_share"
    __table_args__ = (
        ForeignKeyConstraint(["allowance", "window_start"], ["proration.allowance", "proration.window_start"]),
        CheckConstraint("fen > 0", name="moves_money"),
        Index("ix_prorated_share_period", "period_id"),
        {"sqlite_strict": True},
    )

    sale_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sale.id"), primary_key=True)
    share_n: Mapped[int] = mapped_column(primary_key=True)
    allowance: Mapped[str]
    window: Mapped[str] = mapped_column("window_start")
    period_id: Mapped[int] = mapped_column(ForeignKey("period.id"))
    fen: Mapped[int]


class RefundGiven(Base):
    """Money that an elder overpaid, handed back at a canteen and signed for (退差). `n` counts from 1 without gaps."""

    __tablename__ = "refund_given"
    __table_args__ = (
        CheckConstraint("fen > 0", name="moves_money"),
        CheckConstraint("n >= 1", name="n"),
        {"sqlite_strict": True},
    )

    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"), primary_key=True)
    elder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("elder.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    fen: Mapped[int]
    meals: Mapped[int]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class ClaimExport(Base):
    """A claim's workbook written in the background, for readers of a kind; its file is kept for a day. State."""

    __tablename__ = "claim_export"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed', 'removed')", name="state"),
        Index(
            "uq_claim_export_under_way", "claim_id", "insider", "accounts", unique=True,
            sqlite_where=EXPORTING, postgresql_where=EXPORTING,
        ),
        {"sqlite_strict": True},
    )  # fmt: skip

    id: Mapped[int] = mapped_column(primary_key=True)
    claim_id: Mapped[int] = mapped_column(ForeignKey("claim.id"))
    insider: Mapped[bool]  # with deaths and classes
    accounts: Mapped[bool]  # with whole account numbers
    by: Mapped[str]
    asked_at: Mapped[datetime]
    state: Mapped[str]
    meals: Mapped[int]  # written so far
    of_meals: Mapped[int]
    finished_at: Mapped[datetime | None]
    hash: Mapped[str]  # of the file
    size: Mapped[int]  # bytes


class ClaimExportPart(Base):
    """Part of an exported file, sealed, from 0 on. State: removed after a day."""

    __tablename__ = "claim_export_part"
    __table_args__ = {"sqlite_strict": True}

    export_id: Mapped[int] = mapped_column(ForeignKey("claim_export.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes]
