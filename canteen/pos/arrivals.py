"""Arrivals of records, stored once and exactly as sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.memory import Head
from canteen.pos.envelope import Envelope
from canteen.pos.models import Record


@dataclass(frozen=True, slots=True)
class Arrival:
    """One envelope with its tablet, the tablet's canteen, the instant of arrival, and the newest event if it is known."""

    envelope: Envelope
    tablet_id: str
    canteen_id: str
    at: datetime
    head: Head | None = None


def keep(session: Session, arrival: Arrival, *, state: str = "accepted", reason: str = "") -> int:
    """Store the record as sent and return its id. It refers to the same record in quarantine, if any, as resolved."""
    waiting = stored(session, arrival, state="quarantined") if state == "accepted" else None
    wanted = {**row(arrival), "state": state, "reason": reason, "resolves": waiting}
    number: int = session.execute(insert(Record).returning(Record.id), wanted).scalar_one()
    return number


def row(arrival: Arrival) -> dict[str, Any]:
    """Make the row of an accepted record that did not wait in quarantine."""
    sent = arrival.envelope
    return {
        "tablet_id": arrival.tablet_id,
        "epoch": sent.epoch,
        "number": sent.number,
        "previous": sent.previous,
        "hash": sent.hash,
        "version": sent.version,
        "cipher": sent.cipher,
        "key_id": sent.key_id,
        "kind": sent.kind,
        "body": sent.body,
        "tablet_at": sent.at_text,
        "mono_ms": sent.mono_ms,
        "boot": sent.boot,
        "arrived_at": arrival.at,
        "state": "accepted",
        "reason": "",
        "resolves": None,
        "payment_id": None,
        "payment_due": None,
        "payment_fen": None,
        "tenders": None,
    }


def stored(session: Session, arrival: Arrival, *, state: str) -> int | None:
    """Return the id of this same record if it arrived before and is in `state`."""
    sent = arrival.envelope
    return session.execute(
        select(Record.id).where(
            Record.tablet_id == arrival.tablet_id,
            Record.epoch == sent.epoch,
            Record.number == sent.number,
            Record.hash == sent.hash,
            Record.state == state,
        )
    ).scalar_one_or_none()


def stated_day(tablet_at: str, arrived_at: datetime) -> date:
    """Return the day of a stored record by its tablet's clock, or by its arrival if that time is impossible.

    Records in quarantine are stored whatever they contain and belong to their tablet's chain too.
    """
    return clock.business_day(clock.read(tablet_at) or arrived_at)
