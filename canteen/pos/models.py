"""Tables of the counter. All but `slot`, `amount_used` and `tablet_ahead` are facts: added once, never changed."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base, Digest, View
from canteen.packing import PackedBytes, PackedText
from canteen.places import MEALS
from canteen.pos.flags import NOT_LOGGED_IN, SELF_DATED

MODES = ("dine_in", "take_away", "delivered", "collected")
HOW_READ = ("camera", "wedge", "typed", "none")
TENDERS = ("cash", "mobile", "free")
DOUBTED = text(f"(flags LIKE '%{SELF_DATED}%' OR flags LIKE '%{NOT_LOGGED_IN}%')")
"""Sales of which a person must say whether they may be claimed, since nothing proves their day or their cashier."""
TO_CHECK = text("to_check")  # few sales
WAITING, RESOLVING = text("state = 'quarantined'"), text("resolves IS NOT NULL")  # few records
WHOLE_PAYMENT = """(payment_id IS NULL AND payment_due IS NULL AND payment_fen IS NULL AND tenders IS NULL)
    OR (payment_id IS NOT NULL AND payment_due IS NOT NULL AND payment_fen >= 0 AND tenders IS NOT NULL)"""


class Record(Base):
    """Record exactly as a tablet sent it. Two with one number and other content are both kept: a fork (P6)."""

    __tablename__ = "record"
    __table_args__ = (
        UniqueConstraint("tablet_id", "epoch", "number", "hash", "state"),
        CheckConstraint("number >= 1 AND epoch >= 1 AND state IN ('accepted', 'quarantined')", name="numbered"),
        CheckConstraint(WHOLE_PAYMENT, name="payment"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tablet_id: Mapped[str] = mapped_column(ForeignKey("tablet.id"))
    epoch: Mapped[int]
    number: Mapped[int]
    previous: Mapped[str] = mapped_column(Digest)  # hash of the record before it on that tablet
    hash: Mapped[str] = mapped_column(Digest)
    version: Mapped[int]  # protocol
    cipher: Mapped[str]
    key_id: Mapped[str | None]
    kind: Mapped[str]
    body: Mapped[bytes] = mapped_column(
        PackedBytes
    )  # the original bytes in clear; as encrypted only where nobody could open them (`cipher`)
    tablet_at: Mapped[str]  # as the tablet wrote it
    mono_ms: Mapped[int]
    boot: Mapped[str]  # page load that mono_ms belongs to
    arrived_at: Mapped[datetime]
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")  # why quarantined: a stable code
    resolves: Mapped[int | None] = mapped_column(ForeignKey("record.id"))  # a quarantined one accepted later
    payment_id: Mapped[uuid.UUID | None] = mapped_column(unique=True)  # the payment over the sales of a checkout
    payment_due: Mapped[int | None]
    payment_fen: Mapped[int | None]
    tenders: Mapped[str | None] = mapped_column(deferred=True)  # JSON, read as Tender; its trigger checks each


class TabletAhead(Base):
    """Numbers of an epoch that were acknowledged to a tablet and are missing here: the database was restored.

    State: a row is deleted when all of its numbers have arrived.
    """

    __tablename__ = "tablet_ahead"
    __table_args__ = (
        CheckConstraint("epoch >= 1 AND received >= 0 AND acknowledged > received", name="numbers"),
        {"sqlite_strict": True},
    )

    tablet_id: Mapped[str] = mapped_column(ForeignKey("tablet.id"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    received: Mapped[int]  # highest number here when the tablet stated a higher one
    acknowledged: Mapped[int]  # highest number that the tablet stated
    incarnation: Mapped[str]  # which acknowledged it
    since: Mapped[datetime]


class QuoteInput(Base):
    """The whole input of a quote (diner, meal, taken) as canonical JSON, interned by hash."""

    __tablename__ = "quote_input"
    __table_args__ = {"sqlite_strict": True}

    hash: Mapped[str] = mapped_column(Digest, primary_key=True)
    body: Mapped[str] = mapped_column(PackedText)


class ShareTerms(Base):
    """Terms on which sales were shared, interned by hash: a JSON list, read with a sale's amounts as Share."""

    __tablename__ = "share_terms"
    __table_args__ = {"sqlite_strict": True}

    hash: Mapped[str] = mapped_column(Digest, primary_key=True)
    size: Mapped[int]  # how many shares
    terms: Mapped[str]


class Sale(Base):
    """A meal eaten, as it happened. What of it may be claimed is a verdict: transfers, not columns.

    Its id is the idempotency key, taken once for ever: the same id with another content hash is a conflict (P1, P2).
    What was on the tray and whatever changed the price are lists in JSON, read as SaleLine, Share and Surcharge.
    """

    __tablename__ = "sale"
    __table_args__ = (
        CheckConstraint("(elder_id IS NULL) <> (guest IS NULL)", name="elder_or_guest"),
        CheckConstraint(
            """list_fen >= 0 AND surcharge_fen >= 0 AND due_fen >= surcharge_fen
            AND due_fen <= list_fen + surcharge_fen""",
            name="money",
        ),
        CheckConstraint(f"period IN {MEALS} AND mode IN {MODES} AND how_read IN {HOW_READ}", name="words"),
        Index("ix_sale_contract_day", "contract_id", "service_day", "id"),
        Index("ix_sale_elder_day", "elder_id", "service_day"),
        Index("ix_sale_to_check", "contract_id", "service_day", "id", sqlite_where=TO_CHECK, postgresql_where=TO_CHECK),
        Index("ix_sale_doubted", "contract_id", "service_day", sqlite_where=DOUBTED, postgresql_where=DOUBTED),
        {"sqlite_strict": True},
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    content_hash: Mapped[str] = mapped_column(Digest)
    service_month: Mapped[str]
    district_id: Mapped[str]
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id"))  # its sales: checkout_rows.of_record
    payment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("record.payment_id"))
    arrival: Mapped[int] = mapped_column(
        index=True
    )  # order over the whole city: checkout_rows.arrival_of(record_id, place)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"))
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"))
    point_id: Mapped[str | None]
    elder_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("elder.id"))
    guest: Mapped[str | None]  # kind of diner that is no elder: 'guest', 'staff', 'volunteer', 'spouse'
    credential: Mapped[str | None]  # digest
    how_read: Mapped[str]
    cashier_id: Mapped[str]
    service_day: Mapped[date]
    period: Mapped[str]
    mode: Mapped[str]
    tablet_at: Mapped[datetime]
    estimated_at: Mapped[datetime]
    arrived_at: Mapped[datetime]
    skew_ms: Mapped[int]
    online: Mapped[bool]
    amount: Mapped[int | None]  # 仅核销: rung up on another till, no lines
    list_fen: Mapped[int]
    due_fen: Mapped[int]  # = list_fen - shares + surcharge_fen
    surcharge_fen: Mapped[int]
    rulebook_hash: Mapped[str] = mapped_column(Digest)  # sold under; joined
    own_rulebook_hash: Mapped[str] = mapped_column(Digest)  # in force by our books
    sold_input_hash: Mapped[str] = mapped_column(Digest, ForeignKey("quote_input.hash"))
    own_input_hash: Mapped[str] = mapped_column(Digest, ForeignKey("quote_input.hash"))
    known_at: Mapped[int]  # event number our own quote's facts were read at
    lines: Mapped[str] = mapped_column(deferred=True)
    share_terms: Mapped[str] = mapped_column(Digest)  # its trigger finds them; they are never removed
    share_fens: Mapped[str]  # in the order of the terms
    surcharges: Mapped[str] = mapped_column(deferred=True)
    flags: Mapped[str] = mapped_column(default="")  # space-separated codes noted on arrival: clock, outside_window …
    to_check: Mapped[bool]  # by the close of its period: `arrival_checks` found it to stand out


class Slot(Base):
    """One unit of an allowance in use: state, inserted on use, deleted when its use is voided (P11).

    `n` is the lowest free number under the person's lock; a unit of days also has the civil day.
    `limited_to` is a copy of the limit, so that a constraint on the row can refuse to exceed it.
    """

    __tablename__ = "slot"
    __table_args__ = (
        CheckConstraint("n >= 1 AND n <= limited_to", name="within_limit"),
        Index("ix_slot_sale", "sale_id"),
        {"sqlite_strict": True},
    )

    person_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)  # or the household, where the rule says so
    allowance: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("window_start", primary_key=True)  # 'day/period', or the first day
    n: Mapped[int] = mapped_column(primary_key=True)
    limited_to: Mapped[int]
    unit_day: Mapped[date | None]  # for a unit of days: the civil day that uses this number
    sale_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sale.id"))


class AmountUsed(Base):
    """Fen used of an allowance in a window: one row, updated conditionally, never above the limit.

    A budget has one row per canteen, and their sum never exceeds it.
    """

    __tablename__ = "amount_used"
    __table_args__ = (
        CheckConstraint("used >= 0 AND used <= limited_to", name="within_limit"),
        Index("ix_amount_used_budget", "allowance", "window_start"),
        {"sqlite_strict": True},
    )

    person_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)  # or the household, or a canteen's part of a budget
    allowance: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("window_start", primary_key=True)
    used: Mapped[int]
    limited_to: Mapped[int]


class Proration(Base):
    """Total that the meals of a budget's window asked when the window was over, and the newest record read; one per window.

    From then on the budget counts as used to that extent, and a void gives nothing back to it.
    """

    __tablename__ = "proration"
    __table_args__ = (
        CheckConstraint("limit_fen >= 0 AND other_fen >= 0 AND asked_fen >= 0", name="amounts"),
        {"sqlite_strict": True},
    )

    allowance: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("window_start", primary_key=True)
    limit_fen: Mapped[int]
    other_fen: Mapped[int]  # of meals that are not prorated (another end of the budget, differences): comes off first
    asked_fen: Mapped[int]
    records: Mapped[int]  # the last record counted
    recorded: Mapped[int]
    at: Mapped[datetime]

    @property
    def room(self) -> int:
        """Return the fen that the prorated meals share."""
        return max(0, self.limit_fen - self.other_fen)


class SaleUse(Base):
    """What a sale asked of a limit and was granted: the fact from which slots can be rebuilt."""

    __tablename__ = "sale_use"
    __table_args__ = (
        CheckConstraint("unit IN ('meal', 'day', 'fen')", name="unit"),
        CheckConstraint("granted >= 0 AND granted <= asked", name="granted"),
        Index("ix_sale_use_window", "person_id", "allowance", "window_start"),
        {"sqlite_strict": True},
    )

    sale_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sale.id"), primary_key=True)
    allowance: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("window_start", primary_key=True)
    person_id: Mapped[uuid.UUID]
    unit: Mapped[str]
    limited_to: Mapped[int]
    asked: Mapped[int]
    granted: Mapped[int]
    n: Mapped[int | None]  # the slot taken
    rules: Mapped[str]  # space-separated ids of the rules that draw on it


class UseChange(Base):
    """Change of what a sale uses of a limit, made after the sale: granted (above zero) or given up (below zero).

    A revaluation and a reviewer grant what is free; only a reviewer has a meal give up. A void needs no change: it ends
    all uses of its sale. `after_record` is the newest record then: it places the change among the arrivals of sales.
    """

    __tablename__ = "use_change"
    __table_args__ = (
        CheckConstraint("unit IN ('meal', 'day', 'fen')", name="unit"),
        CheckConstraint("amount <> 0 AND (unit = 'fen' OR amount IN (-1, 1))", name="amount"),
        Index("ix_use_change_window", "person_id", "allowance", "window_start"),
        {"sqlite_strict": True},
    )

    sale_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sale.id"), primary_key=True)
    allowance: Mapped[str] = mapped_column(primary_key=True)
    window: Mapped[str] = mapped_column("window_start", primary_key=True)
    cause: Mapped[str] = mapped_column(primary_key=True)  # 'revaluation:7', or 'event:812' of a reallocation
    person_id: Mapped[uuid.UUID]
    unit: Mapped[str]
    limited_to: Mapped[int]
    amount: Mapped[int]  # fen, or 1 slot, with its sign
    n: Mapped[int | None]  # the slot
    rules: Mapped[str]  # space-separated ids of the rules that draw on it
    after_record: Mapped[int]
    recorded: Mapped[int | None]  # the event of a reallocation; None for a revaluation


class Void(Base):
    """Reversal of a sale, with a reason; at most one per sale."""

    __tablename__ = "void"
    __table_args__ = (
        UniqueConstraint("sale_id"),
        {"sqlite_strict": True},
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    sale_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("sale.id"))
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id"), index=True)
    service_month: Mapped[str]
    district_id: Mapped[str]
    cashier_id: Mapped[str]
    approved_by: Mapped[str | None]  # a manager, when the cashier may not alone
    reason: Mapped[str]
    refund_fen: Mapped[int]
    refund_kind: Mapped[str]
    tablet_at: Mapped[datetime]
    arrived_at: Mapped[datetime]


# --- views: what stands in the rows of records and sales, as rows of its own; nobody can write to them ---


class Payment(View):
    """One payment over the sales of one checkout."""

    __tablename__ = "payment"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    record_id: Mapped[int]
    due: Mapped[int]  # sum of the sales' dues as the tablet computed it
    fen: Mapped[int]  # sum of the tenders


class Tender(View):
    """How a part of a payment was given; change is cash handed back."""

    __tablename__ = "tender"

    payment_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    fen: Mapped[int]
    given: Mapped[int]
    change: Mapped[int]
    reference: Mapped[str]


class SaleLine(View):
    """Item on the tray, with name and price as they were then."""

    __tablename__ = "sale_line"

    sale_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    item_id: Mapped[str]
    name: Mapped[str]
    fen: Mapped[int]  # for one
    quantity: Mapped[int]
    tags: Mapped[str]


class Share(View):
    """Part of a sale's price with its payer, rule and clause, as sold."""

    __tablename__ = "share"

    sale_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    service_month: Mapped[str]
    district_id: Mapped[str]
    fund: Mapped[str]
    payer: Mapped[str]
    rule: Mapped[str]
    clause: Mapped[str]
    stage: Mapped[str]
    fen: Mapped[int]
    label: Mapped[str]
    reason: Mapped[str]


class Surcharge(View):
    """Amount that a price list added to the menu's price of a sale, with rule and clause, as sold."""

    __tablename__ = "surcharge"

    sale_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)
    rule: Mapped[str]
    clause: Mapped[str]
    stage: Mapped[str]
    fen: Mapped[int]
    label: Mapped[str]
    reason: Mapped[str]
