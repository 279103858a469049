"""Tables of rulebooks. A version is immutable; a publication says where and from when it is in force."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base

LAYERS = ("city", "district", "street", "canteen")
LAYER_OF = {"city": "city", "district": "district", "functional": "district", "street": "street"}
"""The layer of an area by its level: a functional area (开发区) has rulebooks as a district has."""


class RulebookVersion(Base):
    """One version of a scheme: canonical JSON and the YAML that it was read from. `hash` is SHA-256 of `body`."""

    __tablename__ = "rulebook"
    __table_args__ = (
        UniqueConstraint("scheme", "version"),
        {"sqlite_strict": True},
    )

    hash: Mapped[str] = mapped_column(primary_key=True)
    scheme: Mapped[str]
    version: Mapped[int]
    body: Mapped[str]
    yaml: Mapped[str]
    drafted_by: Mapped[str]
    drafted_at: Mapped[datetime]
    recorded: Mapped[int]


class Publication(Base):
    """A rulebook in force at a place from a day on, until another of its layer there follows. Maker ≠ publisher (P23)."""

    __tablename__ = "publication"
    __table_args__ = (
        CheckConstraint(f"layer IN {LAYERS}", name="layer"),
        CheckConstraint("to_day IS NULL OR to_day >= from_day", name="days"),
        CheckConstraint("published_by <> drafted_by", name="two_people"),
        UniqueConstraint("layer", "node_id", "scheme", "from_day"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    rulebook_hash: Mapped[str] = mapped_column(ForeignKey("rulebook.hash"))
    scheme: Mapped[str]
    layer: Mapped[str]
    node_id: Mapped[str]  # area or canteen id
    from_day: Mapped[date]
    to_day: Mapped[date | None]
    drafted_by: Mapped[str]
    published_by: Mapped[str]
    published_at: Mapped[datetime]
    recorded: Mapped[int]


class JoinedRulebook(Base):
    """The layers in force somewhere joined into one, interned by hash at first use: sales name this hash."""

    __tablename__ = "joined_rulebook"
    __table_args__ = {"sqlite_strict": True}

    hash: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]
    parts: Mapped[str]  # JSON list of rulebook hashes, most general first


class RulebookDraft(Base):
    """A rulebook being written, kept until its writer submits it as a version. State: the text may change."""

    __tablename__ = "rulebook_draft"
    __table_args__ = (
        CheckConstraint(f"layer IN {LAYERS}", name="layer"),
        CheckConstraint("state IN ('open', 'submitted', 'dropped')", name="state"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    yaml: Mapped[str]  # as written; it may be faulty until it is submitted
    layer: Mapped[str]  # where it is meant for
    node_id: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")
    hash: Mapped[str | None]  # the version it became
    by: Mapped[str]
    changes: Mapped[int] = mapped_column(default=0)  # how often it was saved: two open windows are noticed
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class Simulation(Base):
    """A replay of past meals under a rulebook, asked for, at work, or done. State: its progress changes."""

    __tablename__ = "simulation"
    __table_args__ = (
        CheckConstraint(f"layer IN {LAYERS}", name="layer"),
        CheckConstraint("state IN ('waiting', 'running', 'done', 'failed', 'cancelled')", name="state"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str]  # canonical JSON of the rulebook that was tried
    hash: Mapped[str]
    layer: Mapped[str]
    node_id: Mapped[str]
    months: Mapped[str]  # '2026-09 2026-10'
    by: Mapped[str]
    asked_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="waiting")
    meals: Mapped[int] = mapped_column(default=0)
    of_meals: Mapped[int] = mapped_column(default=0)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    result: Mapped[str | None]  # JSON
    error: Mapped[str] = mapped_column(default="")


class PublicationFile(Base):
    """The review that the publisher saw: the difference in meaning, the closed periods, the newest simulation."""

    __tablename__ = "publication_file"
    __table_args__ = {"sqlite_strict": True}

    publication_id: Mapped[int] = mapped_column(ForeignKey("publication.id"), primary_key=True)
    diff: Mapped[str]  # JSON: lines of Chinese
    gate: Mapped[str]  # JSON: the comparison of closed periods
    replay: Mapped[str | None]  # JSON of the simulation


class Revaluation(Base):
    """Rules or facts known late, to be applied to days that are wholly past. It never prices a meal (ruling 18).

    cause     'notice': a rulebook in the place of its scheme's then version; 'facts': one elder as known now
    made_by   the writer of the rulebook, or the person asking; another person must confirm
    """

    __tablename__ = "revaluation"
    __table_args__ = (
        CheckConstraint("to_day >= from_day", name="days"),
        CheckConstraint("to_day < asked_on", name="wholly_past"),
        CheckConstraint(
            "(cause = 'notice' AND rulebook_hash IS NOT NULL AND elder_id IS NULL)"
            " OR (cause = 'facts' AND rulebook_hash IS NULL AND elder_id IS NOT NULL)",
            name="cause",
        ),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    cause: Mapped[str]
    title: Mapped[str]
    reason: Mapped[str]  # the notice's number, or the evidence of the facts
    rulebook_hash: Mapped[str | None] = mapped_column(ForeignKey("rulebook.hash"))
    scheme: Mapped[str]
    layer: Mapped[str]
    node_id: Mapped[str]
    elder_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("elder.id"))
    from_day: Mapped[date]
    to_day: Mapped[date]
    made_by: Mapped[str]
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    asked_on: Mapped[date]
    recorded: Mapped[int]


class RevaluationOrder(Base):
    """The second person's confirmation of a revaluation, with the review they saw. Facts are read up to its event."""

    __tablename__ = "revaluation_order"
    __table_args__ = (
        CheckConstraint('"by" <> made_by', name="two_people"),
        {"sqlite_strict": True},
    )

    revaluation_id: Mapped[int] = mapped_column(ForeignKey("revaluation.id"), primary_key=True)
    made_by: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]
    diff: Mapped[str]  # JSON: lines of Chinese
    gate: Mapped[str]  # JSON: the comparison
    preview: Mapped[str]  # JSON: counts and amounts that were shown
