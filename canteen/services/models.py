"""The tables of a canteen's other work. Rows are added and never changed: what came later is a further row."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base

CHANNELS: Final = ("phone", "visit", "letter", "12345", "12349")
CATEGORIES: Final = ("food", "hygiene", "price", "subsidy", "manners", "delivery", "other")
STEPS: Final = ("register", "assign", "answer", "return", "close")


class Complaint(Base):
    """What somebody complained of at a canteen. The words are kept as they were taken down.

    caller_name     '' for somebody who gave no name
    contact_cipher  how to reach the caller, sealed by keys.Box; None where nothing was given
    """

    __tablename__ = "complaint"
    __table_args__ = (
        CheckConstraint(f"channel IN {CHANNELS} AND category IN {CATEGORIES}", name="codes"),
        CheckConstraint("words <> ''", name="words"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"), index=True)
    received_on: Mapped[date]
    channel: Mapped[str]
    category: Mapped[str]
    caller_name: Mapped[str]
    contact_cipher: Mapped[bytes | None]
    words: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class ComplaintStep(Base):
    """One step of a complaint; the newest says how it stands.

    n         counts the steps of a complaint from 1, which is its registration
    due_on    the last day for the next answer, carried on from step to step and set anew by 'return'
    assignee  the person who is to answer; '' for whoever manages the canteen
    """

    __tablename__ = "complaint_step"
    __table_args__ = (
        CheckConstraint(f"kind IN {STEPS}", name="kind"),
        CheckConstraint("kind NOT IN ('answer', 'return', 'close') OR words <> ''", name="words"),
        {"sqlite_strict": True},
    )

    complaint_id: Mapped[int] = mapped_column(ForeignKey("complaint.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    words: Mapped[str]
    assignee: Mapped[str]
    due_on: Mapped[date]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]
