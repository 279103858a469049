"""Tables of people, grants (a role at any place), sessions, tablets, and changes that two people make."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base

ROLES = ("cashier", "manager", "reviewer", "finance", "admin", "auditor", "operator_it")
NODES = ("area", "operator", "canteen")


class Person(Base):
    """Someone who works with the system. Cashiers log in by PIN on an enrolled tablet, others by password."""

    __tablename__ = "person"
    __table_args__ = (
        CheckConstraint("password_hash IS NOT NULL OR pin_hash IS NOT NULL OR disabled_at IS NOT NULL", name="way_in"),
        {"sqlite_strict": True},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str | None]
    pin_hash: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    changed_at: Mapped[datetime]  # sessions older than this are dead
    must_change: Mapped[bool] = mapped_column(default=False)  # the password was set by someone else


class Grant(Base):
    """A role at a node of any kind; it covers all below the node. Ended, never removed."""

    __tablename__ = "role_grant"
    __table_args__ = (
        CheckConstraint(f"role IN {ROLES}", name="role"),
        CheckConstraint(f"node_kind IN {NODES}", name="node"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    role: Mapped[str]
    node_kind: Mapped[str]
    node_id: Mapped[str]
    granted_by: Mapped[str]
    granted_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]


class WebSession(Base):
    """A login, kept on the server so that logout is real (P21). `id` is the SHA-256 of the cookie's token."""

    __tablename__ = "web_session"
    __table_args__ = {"sqlite_strict": True}

    id: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), index=True)
    tablet_id: Mapped[str | None] = mapped_column(ForeignKey("tablet.id"))
    csrf: Mapped[str]
    made_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Attempts(Base):
    """Wrong guesses counted in one place for all workers and hosts (P22). `key` names account and device."""

    __tablename__ = "attempts"
    __table_args__ = (CheckConstraint("failures >= 0", name="failures"), {"sqlite_strict": True})

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int]
    since: Mapped[datetime]
    locked_until: Mapped[datetime | None]


class Tablet(Base):
    """An enrolled tablet: its public key signs what it sends. It serves points of one operator."""

    __tablename__ = "tablet"
    __table_args__ = {"sqlite_strict": True}

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"), index=True)
    public_key: Mapped[bytes]  # uncompressed P-256 point
    enrolled_at: Mapped[datetime]
    enrolled_by: Mapped[str]
    seen_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    skew_ms: Mapped[int | None]
    epoch: Mapped[int | None]  # of its newest record, as last reported; None when it reported nothing
    number: Mapped[int | None]
    mono_ms: Mapped[int | None]  # its monotonic clock then, and the page load that this belongs to
    boot: Mapped[str | None]


class TabletSilence(Base):
    """A time in which a tablet was not heard, and its reports before and after: evidence of what it did alone."""

    __tablename__ = "tablet_silence"
    __table_args__ = (
        UniqueConstraint("tablet_id", "from_at"),
        CheckConstraint("until_at > from_at", name="order"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tablet_id: Mapped[str] = mapped_column(ForeignKey("tablet.id"))
    from_at: Mapped[datetime]
    epoch: Mapped[int | None]
    number: Mapped[int | None]
    mono_ms: Mapped[int | None]
    boot: Mapped[str | None]
    skew_ms: Mapped[int | None]
    until_at: Mapped[datetime]
    until_epoch: Mapped[int | None]
    until_number: Mapped[int | None]
    until_skew_ms: Mapped[int | None]


class TillLogin(Base):
    """A cashier logged in at a tablet, or out: one at a time, so that the next one ends the one before."""

    __tablename__ = "till_login"
    __table_args__ = (Index("ix_till_login_tablet", "tablet_id", "at"), {"sqlite_strict": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    tablet_id: Mapped[str] = mapped_column(ForeignKey("tablet.id"))
    person_id: Mapped[str]
    opens: Mapped[bool]
    at: Mapped[datetime]


class EnrolmentCode(Base):
    """A one-time code that lets a tablet in; kept as a digest, used once."""

    __tablename__ = "enrolment_code"
    __table_args__ = {"sqlite_strict": True}

    digest: Mapped[str] = mapped_column(primary_key=True)
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"))
    name: Mapped[str]
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    tablet_id: Mapped[str | None] = mapped_column(ForeignKey("tablet.id"))


class LostNumbers(Base):
    """A run of a tablet's numbers declared lost, both ends included: by two people, with a reason. No two overlap."""

    __tablename__ = "lost_numbers"
    __table_args__ = (
        UniqueConstraint("tablet_id", "epoch", "first_number"),
        CheckConstraint("first_number >= 1 AND last_number >= first_number", name="run"),
        CheckConstraint("confirmed_by IS NULL OR confirmed_by <> declared_by", name="two_people"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    tablet_id: Mapped[str] = mapped_column(ForeignKey("tablet.id"))
    epoch: Mapped[int]
    first_number: Mapped[int]
    last_number: Mapped[int]
    reason: Mapped[str]
    declared_by: Mapped[str]
    declared_at: Mapped[datetime]
    confirmed_by: Mapped[str | None]
    confirmed_at: Mapped[datetime | None]


class ChangeRequest(Base):
    """A change that one person asks for and a second one confirms; until then it is a wish and nothing reads it.

    id       number of the event that recorded the asking
    places   JSON list of the nodes it touches, 'kind:id': the confirmer answers for all of them
    """

    __tablename__ = "change_request"
    __table_args__ = {"sqlite_strict": True}

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    subject: Mapped[str]
    places: Mapped[str]
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]


class ChangeLine(Base):
    """The line of a change request about one subject, as canonical JSON; an import asks for many at once."""

    __tablename__ = "change_line"
    __table_args__ = (Index("ix_change_line_subject", "subject"), {"sqlite_strict": True})

    request_id: Mapped[int] = mapped_column(ForeignKey("change_request.id"), primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    subject: Mapped[str]
    asked: Mapped[str]


class ChangeAnswer(Base):
    """The one answer to a change request, never by the asker: trigger."""

    __tablename__ = "change_answer"
    __table_args__ = (
        CheckConstraint("outcome IN ('confirmed', 'refused')", name="outcome"),
        CheckConstraint("outcome = 'confirmed' OR reason <> ''", name="reason"),
        {"sqlite_strict": True},
    )

    request_id: Mapped[int] = mapped_column(ForeignKey("change_request.id"), primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]


class DeskLogin(Base):
    """A login from a browser, by the browser's random id, so that two accounts of one human are seen."""

    __tablename__ = "desk_login"
    __table_args__ = {"sqlite_strict": True}

    browser: Mapped[str] = mapped_column(primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey("person.id"), primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
