"""Tables of the ledger. No balance is stored: a balance is a sum of transfers."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base

KINDS = ("granted", "open", "claimed", "disallowed", "paid", "excluded", "elder", "cash", "mobile", "donated")
MOVEMENTS = ("meal", "verdict", "void", "payment", "refund", "claim", "disallow", "pay", "revalue")
FIRST_DIFFERENCE_SHARE = 1000  # a sale's own shares have lower numbers, differences of revaluations higher ones


def difference_share(revaluation_id: int, fund_place: int) -> int:
    """Give the share number under which a revaluation books its difference for the fund at `fund_place` (from 0)."""
    return FIRST_DIFFERENCE_SHARE * revaluation_id + fund_place


def revaluation_of(share_n: int) -> int:
    """Read back from the share number of a difference which revaluation booked it."""
    return share_n // FIRST_DIFFERENCE_SHARE


class Period(Base):
    """Span of days that one claim covers, both ends included. One gap-free chain per contract; only ever open -> closed."""

    __tablename__ = "period"
    __table_args__ = (
        UniqueConstraint("contract_id", "from_day"),
        CheckConstraint("to_day >= from_day", name="days"),
        CheckConstraint("state IN ('open', 'closed')", name="state"),
        CheckConstraint("(state = 'closed') = (closed_at IS NOT NULL)", name="closed_at"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"))
    district_id: Mapped[str] = mapped_column(ForeignKey("area.id"))
    from_day: Mapped[date]
    to_day: Mapped[date]
    state: Mapped[str] = mapped_column(default="open")
    closed_at: Mapped[datetime | None]


class Account(Base):
    """One account of a fund at a contract. `fund` is '' for the elders' own money."""

    __tablename__ = "account"
    __table_args__ = (
        UniqueConstraint("contract_id", "fund", "kind"),
        CheckConstraint(f"kind IN {KINDS}", name="kind"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    contract_id: Mapped[str] = mapped_column(ForeignKey("contract.id"))
    fund: Mapped[str]
    kind: Mapped[str]


class Transfer(Base):
    """Amount moved between two accounts; never changed. A mistake is corrected by a counter-transfer (decision 0006).

    Booked to the period of `service_day` if that is open, else to the earliest open one; both accounts are of its
    contract and fund: trigger. Accounts are never removed.
    """

    __tablename__ = "transfer"
    __table_args__ = (
        CheckConstraint(f"fen > 0 AND source_id <> target_id AND movement IN {MOVEMENTS}", name="moves_money"),
        Index("ix_transfer_period", "period_id", "movement"),
        Index("ix_transfer_sale", "sale_id"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int]
    target_id: Mapped[int]
    fen: Mapped[int]
    movement: Mapped[str]
    sale_id: Mapped[uuid.UUID | None]
    share_n: Mapped[
        int | None
    ]  # which share of the sale, from FIRST_DIFFERENCE_SHARE on a difference; null for a payment
    fund: Mapped[str]
    contract_id: Mapped[str]
    district_id: Mapped[str]
    service_month: Mapped[str]
    service_day: Mapped[date]
    period_id: Mapped[int]
    reason: Mapped[str]
    cause: Mapped[str]  # what made it: 'sale:<id>', 'void:<id>', 'finding:<id>', 'decision:<claim>/<n>', …
    at: Mapped[datetime]
