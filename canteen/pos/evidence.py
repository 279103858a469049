"""Evidence of when a sale was made and by whom: gathered at arrival, judged by `date_proof`.

A meal served is booked in any case, on the day that it claims. Where nothing proves that day, or the cashier named was
not logged in at the tablet, the sale is flagged and claims nothing until a reviewer has looked at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import contacts
from canteen.auth.models import TabletSilence
from canteen.pos import date_proof, envelope
from canteen.pos.arrivals import Arrival
from canteen.pos.date_proof import Evidence, Mark, Silence
from canteen.pos.flags import CLOCK_DAY, CLOCK_UNMEASURED, NOT_LOGGED_IN, SELF_DATED, Flag
from canteen.pos.models import Record
from canteen.pos.orders import Checkout
from canteen.pos.pricing import Place
from canteen.pos.service_time import Times
from canteen.pos.stamps import Stamp


def flags(
    session: Session,
    order: Checkout,
    arrival: Arrival,
    place: Place,
    times: Sequence[Times],
    stamped: Sequence[Stamp | None],
) -> list[tuple[Flag, ...]]:
    """Flag what is not proven of each sale: self_dated with its reason, cashier_not_logged_in, clock_day."""
    asked_for = all(stamp is not None and stamp.cashier == order.cashier for stamp in stamped)
    absent = () if asked_for or _on_duty(session, order, arrival, times) else (NOT_LOGGED_IN,)
    today = clock.business_day(arrival.at, turns_at=place.canteen.day_turns_at)
    found = []
    for timed, stamp in zip(times, stamped, strict=True):
        dated: tuple[Flag, ...] = ()
        if place.day < today:
            why = date_proof.doubt(_evidence(session, arrival, place, timed, stamp))
            dated = (SELF_DATED, why) if why else ()
        elif CLOCK_UNMEASURED in timed.flags and _over_a_turn_of_days(session, arrival, place):
            dated = (CLOCK_DAY,)
        found.append((*dated, *absent))
    return found


def _on_duty(session: Session, order: Checkout, arrival: Arrival, times: Sequence[Times]) -> bool:
    """Tell whether the cashier was logged in at each sale, or at its arrival if no clock tells the time of the sale."""
    when = {timed.estimated_at for timed in times}
    if all(contacts.on_duty(session, arrival.tablet_id, order.cashier, at) for at in when):
        return True
    unmeasured = all(CLOCK_UNMEASURED in timed.flags for timed in times)
    return unmeasured and contacts.on_duty(session, arrival.tablet_id, order.cashier, arrival.at)


def _evidence(session: Session, arrival: Arrival, place: Place, timed: Times, stamp: Stamp | None) -> Evidence:
    sent, turns = arrival.envelope, place.canteen.day_turns_at
    silences: list[Silence] = []
    if stamp is None and arrival.at - timed.scanned_at > date_proof.GRACE:
        since = max(timed.scanned_at - date_proof.SLACK, arrival.at - timedelta(days=place.canteen.offline_days + 1))
        silences = [_silence(row) for row in contacts.silences(session, arrival.tablet_id, since)]
    known = [one.before.number for one in silences if one.before]
    return Evidence(
        stated=timed.scanned_at,
        arrived=arrival.at,
        same_day=clock.business_day(timed.scanned_at, turns_at=turns) == place.day,
        stamp_age=arrival.at - stamp.at if stamp else None,
        measured=CLOCK_UNMEASURED not in timed.flags,
        epoch=sent.epoch,
        number=sent.number,
        mono_ms=sent.mono_ms,
        boot=sent.boot,
        silences=tuple(silences),
        chained=_chained(session, arrival, min(known)) if known else sent.number,
        days=place.canteen.offline_days,
    )


def _silence(row: TabletSilence) -> Silence:
    epoch, number, mono_ms, boot, skew_ms = row.epoch, row.number, row.mono_ms, row.boot, row.skew_ms
    before = None
    if epoch is not None and number is not None and mono_ms is not None and boot is not None and skew_ms is not None:
        before = Mark(epoch, number, mono_ms, boot, skew_ms)
    return Silence(row.from_at, row.until_at, before, row.until_epoch, row.until_number, row.until_skew_ms)


def _chained(session: Session, arrival: Arrival, since: int) -> int:
    """Return the lowest number >= `since` from which on all records up to this one have arrived.

    It is this record's own number if that does not carry the hash of the record before it.
    """
    sent, number = arrival.envelope, arrival.envelope.number
    if number == 1:
        return 1 if sent.previous == envelope.FIRST else 2
    rows = session.execute(
        select(Record.number, Record.hash)
        .where(Record.tablet_id == arrival.tablet_id, Record.epoch == sent.epoch)
        .where(Record.number >= max(1, since), Record.number < number)
    ).all()
    arrived = {each for each, _ in rows}
    if (number - 1, sent.previous) not in {(each, digest) for each, digest in rows}:
        return number
    while number - 1 in arrived:
        number -= 1
    return number


def _over_a_turn_of_days(session: Session, arrival: Arrival, place: Place) -> bool:
    """Tell whether the sale may be of an earlier day: the tablet was not heard from then until just now."""
    silences = contacts.silences(session, arrival.tablet_id, arrival.at - date_proof.BRINGING)
    turns = place.canteen.day_turns_at
    return bool(silences) and clock.business_day(silences[0].from_at, turns_at=turns) < place.day
