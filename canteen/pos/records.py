"""Acceptance of records from tablets (decision 0003). A tablet that is online sends batches of one.

Each record is booked in its own transaction, so a bad one never blocks the next (P5). A record that cannot be booked
is stored as sent, in quarantine, with a reason; one that was booked before gets the same answer again (P1).
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.exc import DBAPIError, IntegrityError

from canteen import clock
from canteen.auth.models import Tablet
from canteen.auth.tablets import KnownTablet, TabletRevoked
from canteen.db import db, is_away, retried, transaction
from canteen.errors import Conflict, Refusal
from canteen.ledger import transfers
from canteen.memory import Head
from canteen.pos import arrivals, checkout, cipher, envelope, orders, slots, voids
from canteen.pos.arrivals import Arrival

_log = structlog.get_logger()

MOST_RECORDS = 100  # in one batch
# Not db.retried_when: here each error has its own number of tries, and the last of them its own answer to the tablet.
TRIES = 4  # where a unique row came first and the second look should find it
TRIES_IN_A_CROWD = 40  # where each failure means that somebody else was served


class HashWrong(Refusal):
    code = "hash_wrong"
    message = "记录在传送中损坏，已单独保存，请联系系统运维处理。"


class ForeignTablet(Refusal):
    code = "foreign_tablet"
    message = "这条记录不是本平板所记，已单独保存，请联系系统运维处理。"


class TooLarge(Refusal):
    code = "record_too_large"
    message = "这条记录过大，已单独保存，请联系系统运维处理。"


class KindUnknown(Refusal):
    code = "kind_unknown"
    message = "系统还不认识这类记录，已单独保存，请更新系统后处理。"


class PaymentTaken(Conflict):
    code = "payment_taken"
    message = "这笔付款的编号已用于另一次结账，已单独保存，请联系系统运维核对。"


class Unexpected(Refusal):
    code = "unexpected"
    message = "系统未能处理这条记录，已单独保存，请联系系统运维。"


@dataclass(frozen=True, slots=True)
class Excluded:
    """Fen of a sale that its claim will not contain, with the reason."""

    sale: str
    fen: int
    reason: str


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one record: created, have, kept (with exclusions), quarantined, refused or later."""

    id: str
    outcome: str
    sales: tuple[str, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    reason: str | None = None
    message: str | None = None


def accept(batch: Sequence[object], tablet: Tablet | KnownTablet, head: Head | None = None) -> list[Result]:
    """Book a tablet's records in the order given and return one result each. Never raises for the content of a record.

    head    the newest event, if it was read just now

    Records of a revoked tablet wait in quarantine: its present owner may not book, and no meal served before is lost.
    """
    whose = (tablet.id, tablet.canteen_id, tablet.revoked_at is not None)
    results: list[Result] = []
    for document in batch:
        some_later = any(result.outcome == "later" for result in results)
        results.append(_accept_one(document, *whose, head, some_later=some_later))
    return results


def _accept_one(
    document: object, tablet_id: str, canteen_id: str, revoked: bool, head: Head | None, *, some_later: bool
) -> Result:
    try:
        sent = envelope.read(document)
    except envelope.EnvelopeMalformed as refusal:
        return Result(_named(document), "refused", reason=refusal.code, message=refusal.message)
    arrival = Arrival(sent, tablet_id, canteen_id, clock.now(), head)
    try:
        arrival = replace(arrival, envelope=cipher.opened(sent))
        return _quarantine(arrival, TabletRevoked()) if revoked else _book_surely(arrival)
    except Refusal as refusal:
        waits = some_later and isinstance(refusal, voids.SaleUnknown)  # its sale may be one of those that come again
        return _later(arrival) if waits else _quarantine(arrival, refusal)
    except Exception as error:  # noqa: BLE001 - whatever a record does to us, those behind it must get through (P5)
        db.session.rollback()
        if is_away(error):
            return _later(arrival)
        details = {
            "kind": type(error).__name__,
            "at": traceback.format_tb(error.__traceback__),
        }  # its words may be anyone's
        _log.error("record.unexpected", record=sent.reference, tablet=arrival.tablet_id, **details)
        return _quarantine(arrival, Unexpected())


def _later(arrival: Arrival) -> Result:
    reference = arrival.envelope.reference
    return Result(reference, "later", reason="database_away", message="网络或系统繁忙，稍后自动重传。")


def _named(document: object) -> str:
    """Return the 'epoch/number' of an unreadable envelope, so that the tablet can tell which it was."""
    if isinstance(document, dict):
        return f"{str(document.get('epoch'))[:20]}/{str(document.get('number'))[:20]}"
    return "?"


def _book_surely(arrival: Arrival) -> Result:
    """Book the record, with retries after a lost race: the next attempt sees what the other did.

    Raises Conflict and PaymentTaken if the record can never be booked; after too many lost races it is sent again later.
    """
    for tried in range(TRIES_IN_A_CROWD):
        try:
            return _book(arrival)
        except slots.RetryTransaction:
            transfers.forget()
            arrival = replace(arrival, head=None)
        except IntegrityError as error:
            db.session.rollback()
            transfers.forget()
            refused_by = _constraint_of(error)
            _log.warning(
                "record.refused", record=arrival.envelope.reference, tablet=arrival.tablet_id, constraint=refused_by
            )
            if tried >= TRIES and not any(name in refused_by for name in ("slot", "amount_used", "period_chained")):
                raise (PaymentTaken if "payment" in refused_by or "tender" in refused_by else Conflict) from error
    return _later(arrival)


def _constraint_of(error: IntegrityError) -> str:
    """Return the name of the constraint that refused, without the values."""
    return str(error.orig).splitlines()[0][:120]


@retried
def _book(arrival: Arrival) -> Result:
    """Book one record in one transaction. Raises a Refusal for what must wait in quarantine."""
    sent = arrival.envelope
    _check(arrival)
    if sent.kind == "checkout":
        order = orders.read_checkout(sent.body)
        with transaction() as session:
            booked = checkout.ring_up(session, order, arrival)
            return Result(
                sent.reference,
                booked.outcome,
                tuple(str(sale.id) for sale in order.sales),
                tuple(Excluded(str(sale), fen, reason) for sale, fen, reason in booked.excluded),
            )
    if sent.kind == "void":
        void = orders.read_void(sent.body)
        with transaction() as session:
            outcome = voids.book(session, void, arrival)
            return Result(sent.reference, outcome, (str(void.sale),))
    raise KindUnknown


def _check(arrival: Arrival) -> None:
    sent = arrival.envelope
    if len(sent.body) > envelope.MOST_BYTES:
        raise TooLarge
    if sent.tablet != arrival.tablet_id:
        raise ForeignTablet
    if not sent.whole:
        raise HashWrong
    _ = sent.at  # raises where the clock is impossible


def _quarantine(arrival: Arrival, refusal: Refusal) -> Result:
    """Store a record that cannot be booked, whole and visible to reviewers; sending it again changes nothing."""
    sent = arrival.envelope
    try:
        with transaction() as session:
            if arrivals.stored(session, arrival, state="quarantined") is None:
                arrivals.keep(session, arrival, state="quarantined", reason=refusal.code)
    except IntegrityError:
        pass  # the same record came twice at once: the other one kept it
    except DBAPIError as error:
        if is_away(error):
            return _later(arrival)
        raise
    return Result(sent.reference, "quarantined", reason=refusal.code, message=refusal.message)
