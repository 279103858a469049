"""A record at the door: kept as sent, once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.pos.envelope import Envelope
from canteen.pos.models import Record


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came, from which tablet, of which canteen, when."""

    envelope: Envelope
    tablet_id: str
    canteen_id: str
    at: datetime


def keep(session: Session, arrival: Arrival, *, state: str = "accepted", reason: str = "") -> int:
    """Store the record as sent and answer its id. One that waited in quarantine is named as resolved."""
    waiting = stored(session, arrival, state="quarantined") if state == "accepted" else None
    wanted = {**row(arrival), "state": state, "reason": reason, "resolves": waiting}
    number: int = session.execute(insert(Record).returning(Record.id), wanted).scalar_one()
    return number


def row(arrival: Arrival) -> dict[str, Any]:
    """The row of an accepted record that did not wait in quarantine."""
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
    }


def stored(session: Session, arrival: Arrival, *, state: str) -> int | None:
    """Id of this very record if it came before and is in `state`."""
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
    """The day of a stored record by its tablet's clock, or by its arrival where that tells no possible time.

    Records in quarantine are kept whatever they say, and are part of their tablet's chain all the same.
    """
    return clock.business_day(clock.read(tablet_at) or arrived_at)
