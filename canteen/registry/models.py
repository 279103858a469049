"""Tables of elders and credentials. Facts about elders have two dates: true from/to, and recorded (an event number)."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base

FACTS = (
    "birth",  # value: ISO day
    "sex",  # value: 'f' | 'm'
    "hukou",  # value: area code
    "residence",  # value: area code
    "class",  # value: class code, many at once
    "level",  # value: 'scale=number', one a scale
    "status",  # value: 'deceased', 'institution' …, many at once
    "benefit",  # value: code of another benefit drawn, many at once
    "enrolled",  # value: canteen or area id, many at once
    "household",  # value: household id; 低保 hangs on it
    "merged",  # value: id of the elder that this one is the same person as
)
SINGLE = ("birth", "sex", "hukou", "residence", "household", "merged")  # of these one is valid at a time
CREDENTIALS = ("card", "id_card", "social_card", "phone_code")


class Elder(Base):
    """A person on the roster. The row itself never changes; what is known of them is in facts."""

    __tablename__ = "elder"
    __table_args__ = {"sqlite_strict": True}

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    made_at: Mapped[datetime]
    recorded: Mapped[int]  # event number


class ElderFact(Base):
    """One dated fact, added and never edited; `retracts` names a fact that it answers.

    A fact that only retracts has value ''. Of single-valued kinds the one with the latest `from_day`
    counts, then the latest recorded.
    """

    __tablename__ = "elder_fact"
    __table_args__ = (
        CheckConstraint(f"kind IN {FACTS}", name="kind"),
        CheckConstraint("to_day IS NULL OR to_day >= from_day", name="days"),
        UniqueConstraint("retracts"),
        Index("ix_elder_fact_elder", "elder_id", "kind"),
        Index("ix_elder_fact_value", "kind", "value"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("elder.id"))
    kind: Mapped[str]
    value: Mapped[str]
    from_day: Mapped[date]
    to_day: Mapped[date | None]
    recorded: Mapped[int]  # event number: when we knew
    source: Mapped[str]
    retracts: Mapped[int | None] = mapped_column(ForeignKey("elder_fact.id"))


class ElderIdentity(Base):
    """Name, ID number and contact of an elder: personal data, apart from the facts, each version a row.

    Number and phone are sealed by keys.Box; by its number an elder is found in IdentityKey.
    """

    __tablename__ = "elder_identity"
    __table_args__ = (
        CheckConstraint("document IN ('resident', 'hmt', 'foreign', 'none')", name="document"),
        CheckConstraint("(document = 'none') = (number_cipher IS NULL)", name="number"),
        Index("ix_elder_identity_elder", "elder_id"),
        Index("ix_elder_identity_pinyin", "pinyin"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("elder.id"))
    name: Mapped[str]
    pinyin: Mapped[str] = mapped_column(default="")
    document: Mapped[str]
    number_cipher: Mapped[bytes | None]
    number_masked: Mapped[str]
    phone_cipher: Mapped[bytes | None]
    recorded: Mapped[int]


class IdentityKey(Base):
    """One row per known ID number: the guard that a number belongs to one elder only.

    number_mac  the number's keyed hash; `key_id` names the secret identity-lookup under which it was made
    """

    __tablename__ = "identity_key"
    __table_args__ = {"sqlite_strict": True}

    number_mac: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[str]
    elder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("elder.id"))


class ElderPhoto(Base):
    """A small portrait shown to the cashier; the newest counts."""

    __tablename__ = "elder_photo"
    __table_args__ = (Index("ix_elder_photo_elder", "elder_id"), {"sqlite_strict": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("elder.id"))
    jpeg: Mapped[bytes]
    recorded: Mapped[int]


class Agent(Base):
    """Whom an elder names to take their meals. The row never changes; AgentEnd ends it.

    phone_cipher  sealed by keys.Box
    phone_mac     its keyed hash: how many elders have the same agent
    """

    __tablename__ = "agent"
    __table_args__ = (
        CheckConstraint("name <> '' AND relation <> ''", name="named"),
        CheckConstraint("to_day IS NULL OR to_day >= from_day", name="days"),
        Index("ix_agent_elder", "elder_id"),
        Index("ix_agent_phone", "phone_mac"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    elder_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("elder.id"))
    name: Mapped[str]
    relation: Mapped[str]
    phone_cipher: Mapped[bytes]
    phone_mac: Mapped[str]
    from_day: Mapped[date]
    to_day: Mapped[date | None]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class AgentEnd(Base):
    """An agent takes no more meals from then on: once, for good."""

    __tablename__ = "agent_end"
    __table_args__ = {"sqlite_strict": True}

    agent_id: Mapped[int] = mapped_column(ForeignKey("agent.id"), primary_key=True, autoincrement=False)
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class Credential(Base):
    """A means to identify an elder. The row never changes; its holder and whether it is dead are in its facts."""

    __tablename__ = "credential"
    __table_args__ = (
        CheckConstraint(f"kind IN {CREDENTIALS}", name="kind"),
        {"sqlite_strict": True},
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)  # hex, HKDF of code and salt; sales store this, never the code
    number: Mapped[str | None] = mapped_column(unique=True)  # 8 digits printed for people
    salt_id: Mapped[str]
    row_key: Mapped[bytes | None]  # wrapped: seals this card's row on tablets
    made_at: Mapped[datetime]
    recorded: Mapped[int]


class CardCode(Base):
    """The code of a card as ciphertext, only until it is printed: the one row here that is deleted."""

    __tablename__ = "card_code"
    __table_args__ = {"sqlite_strict": True}

    credential_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("credential.id"), primary_key=True)
    cipher: Mapped[bytes]
    batch: Mapped[str] = mapped_column(index=True)


class CredentialFact(Base):
    """bound (to an elder) · lost · found · blocked for good · printed, in the order recorded."""

    __tablename__ = "credential_fact"
    __table_args__ = (
        CheckConstraint("kind IN ('bound', 'lost', 'found', 'blocked', 'printed')", name="kind"),
        CheckConstraint("(kind = 'bound') = (elder_id IS NOT NULL)", name="bound"),
        Index("ix_credential_fact_credential", "credential_id", "id"),
        Index("ix_credential_fact_elder", "elder_id"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    credential_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("credential.id"))
    kind: Mapped[str]
    elder_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("elder.id"))
    reason: Mapped[str] = mapped_column(default="")
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class ImportRun(Base):
    """A file staged and applied by one flip; the same file twice changes nothing (P31)."""

    __tablename__ = "import_run"
    __table_args__ = (
        CheckConstraint("state IN ('staged', 'applied', 'refused', 'undone')", name="state"),
        {"sqlite_strict": True},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]  # one of `import_runs.KINDS`
    file_hash: Mapped[str] = mapped_column(index=True)
    file_name: Mapped[str]
    rows: Mapped[int]
    bad_rows: Mapped[int]
    report: Mapped[str]  # JSON: bad rows by number, field, reason; no personal data
    state: Mapped[str]
    by: Mapped[str]
    at: Mapped[datetime]
    begun_event: Mapped[int | None]  # of a large roster: new elders are written under it and unseen until applied
    applied_event: Mapped[int | None]
