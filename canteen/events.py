"""The audit log, of all acts except sales: numbered without gaps, chained by hash, append-only (P25).

A body is canonical JSON text, stored as written and hashed as stored; personal data stands in it
only as ciphertext or keyed hash. The event is the last lock of a transaction (decision 0005).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from canteen import clock, invariants
from canteen.db import Base
from canteen.prepared import Prepared

FIRST = "0" * 64  # what the first event names as the one before it


class Event(Base):
    """One act: who (`actor`, a person id or 'system'), what (`kind`, as in 'claim.approve'), on what (`subject`)."""

    __tablename__ = "event"
    __table_args__ = {"sqlite_strict": True}

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # 1, 2, 3 …: trigger
    at: Mapped[datetime]
    actor: Mapped[str]
    kind: Mapped[str] = mapped_column(index=True)
    subject: Mapped[str] = mapped_column(index=True)
    body: Mapped[str]
    previous: Mapped[str]  # hash of event number - 1: trigger
    hash: Mapped[str] = mapped_column(unique=True)


@dataclass(frozen=True, slots=True)
class Break:
    """A break of the chain."""

    number: int
    reason: str


def record(session: Session, kind: str, subject: str, *, by: str, body: Mapping[str, object] | None = None) -> int:
    """Append one event inside the caller's transaction and answer its number.

    Call it last: it takes the chain's lock and keeps it until the transaction ends.
    """
    wait(session)
    last = session.execute(select(Event.number, Event.hash).order_by(Event.number.desc()).limit(1)).first()
    number, previous = (last[0] + 1, last[1]) if last else (1, FIRST)
    event = Event(
        number=number,
        at=clock.now(),
        actor=by,
        kind=kind,
        subject=subject,
        body=json.dumps(body or {}, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False),
        previous=previous,
    )
    event.hash = digest(event)
    session.add(event)
    session.flush()
    return number


def wait(session: Session) -> None:
    """Take the chain's lock before an event is recorded, so that no other act changes what is read after it.

    For acts that look first and then do. The lock is the last of a transaction: persons are locked before it.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": invariants.CHAIN})


def head(session: Session) -> tuple[int, str]:
    """Return number and hash of the newest event; (0, FIRST) when there is none."""
    last = _NEWEST.rows(session, {})
    return (last[0][0], last[0][1]) if last else (0, FIRST)


NEWEST = select(Event.number, Event.hash).order_by(Event.number.desc()).limit(1)
"""Number and hash of the newest event: for statements that read it beside something else."""
_NEWEST = Prepared(NEWEST)


def between(session: Session, first: int, last: int) -> list[tuple[int, str, str, str, str]]:
    """Return number, hash, kind, subject and body of the events from `first` to `last`, in their order."""
    rows = _BETWEEN.rows(session, {"first": first, "last": last})
    return [(number, digest, kind, subject, body) for number, digest, kind, subject, body in rows]


_BETWEEN = Prepared(
    select(Event.number, Event.hash, Event.kind, Event.subject, Event.body)
    .where(Event.number.between(bindparam("first"), bindparam("last")))
    .order_by(Event.number)
)


def digest(event: Event) -> str:
    """Return the SHA-256 over the stored fields, each with its length in front, so that no two events read alike."""
    at = event.at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    fields = (str(event.number), at, event.actor, event.kind, event.subject, event.body, event.previous)
    text_of = "".join(f"{len(field.encode())}:{field}" for field in fields)
    return hashlib.sha256(text_of.encode()).hexdigest()


def breaks(session: Session, *, expected_head: tuple[int, str] | None = None) -> Iterator[Break]:
    """Walk the chain and name each break; `expected_head`, noted elsewhere before, finds a cut or rewritten tail."""
    number, previous, met = 0, FIRST, expected_head is None
    for event in session.execute(select(Event).order_by(Event.number).execution_options(yield_per=500)).scalars():
        number += 1
        if event.number != number:
            yield Break(number, f"缺少第 {number} 号事件")
            number = event.number
        if event.previous != previous:
            yield Break(number, "与前一事件的摘要不相接")
        if event.hash != digest(event):
            yield Break(number, "内容与摘要不符")
        previous = event.hash
        met = met or (expected_head == (event.number, event.hash))
    if not met and expected_head is not None:
        yield Break(expected_head[0], "找不到先前留存的链尾摘要")
