"""Tables of applications: taken once, answered by opinions, never edited."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base

STEPS = ("community", "street")
OUTCOMES = ("agreed", "refused")
MODES = ("dine_in", "delivered")
CONSENTS = ("signed", "fingerprint", "by_agent")


class Application(Base):
    """An application as it was taken. An elder has one open at a time: trigger.

    id              number of the event that recorded it
    area_id         community or street whose people give the opinions
    canteen_id      the canteen at whose desk it was taken; None at a counter of the community or the street
    registers       it put the applicant on the roster, so until it is decided they are provisional
    details_cipher  sealed JSON: address, whom to reach, proofs of the classes
    notice          version of the privacy notice that was shown
    consent         how consent was given, before `taken_by` at `taken_at`
    """

    __tablename__ = "application"
    __table_args__ = (
        CheckConstraint(f"mode IN {MODES}", name="mode"),
        CheckConstraint(f"consent IN {CONSENTS}", name="consent"),
        CheckConstraint("notice <> ''", name="notice"),
        Index("ix_application_elder", "elder_id"),
        Index("ix_application_area", "area_id", "id"),
        Index("ix_application_canteen", "canteen_id", "id"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    elder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("elder.id"))
    area_id: Mapped[str] = mapped_column(ForeignKey("area.id"))
    canteen_id: Mapped[str | None] = mapped_column(ForeignKey("canteen.id"))
    registers: Mapped[bool]
    mode: Mapped[str]
    details_cipher: Mapped[bytes]
    notice: Mapped[str]
    consent: Mapped[str]
    taken_by: Mapped[str]
    taken_at: Mapped[datetime]


class ApplicationClass(Base):
    """A class that an application asks for."""

    __tablename__ = "application_class"
    __table_args__ = {"sqlite_strict": True}

    application_id: Mapped[int] = mapped_column(ForeignKey("application.id"), primary_key=True, autoincrement=False)
    class_code: Mapped[str] = mapped_column(primary_key=True)


class Opinion(Base):
    """One opinion a step: the community's, then the street's by somebody who did nothing else on it: triggers."""

    __tablename__ = "application_opinion"
    __table_args__ = (
        CheckConstraint(f"step IN {STEPS}", name="step"),
        CheckConstraint(f"outcome IN {OUTCOMES}", name="outcome"),
        CheckConstraint("outcome = 'agreed' OR reason <> ''", name="reason"),
        CheckConstraint("(effective_from IS NOT NULL) = (step = 'street' AND outcome = 'agreed')", name="effective"),
        {"sqlite_strict": True},
    )

    application_id: Mapped[int] = mapped_column(ForeignKey("application.id"), primary_key=True, autoincrement=False)
    step: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    effective_from: Mapped[date | None]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]
