"""A contract's gap-free chain of periods, and the gate that a booking locks while it writes (decision 0006).

Locks: `gate` locks the period's row in shared mode, `flip` exclusively; so a sale is wholly before a close or after it.
"""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from canteen import clock, config
from canteen.db import time_at
from canteen.errors import Conflict, Missing
from canteen.ledger.models import Period
from canteen.places import Contract
from canteen.prepared import Prepared


class NoPeriod(Missing):
    code = "period_not_found"
    message = "没有找到这个所属期，请核对后再试。"


class PeriodNotOver(Conflict):
    code = "period_not_over"
    message = "这个所属期还没有结束，不能结账。"


class EarlierPeriodOpen(Conflict):
    code = "earlier_period_open"
    message = "之前的所属期还没有结账，请先结前一期。"


OPEN_FROM = (
    select(Period.id, Period.district_id, Period.from_day, Period.to_day)
    .where(Period.contract_id == bindparam("contract"), Period.state == "open", Period.to_day >= bindparam("day"))
    .order_by(Period.from_day)
    .limit(1)
    .with_for_update(read=True)
)
"""The gate's row, locked in shared mode. A row of it makes a period by `locked`."""
_OPEN_FROM = Prepared(OPEN_FROM)


def gate(session: Session, contract: Contract, day: date) -> Period:
    """Lock and return the period for bookings of service day `day`, in shared mode until the transaction ends.

    It is the period of the day if that is open, else the earliest open one; missing periods are added. The returned
    object is not attached to the session.
    """
    while True:
        for row in _OPEN_FROM.rows(session, {"contract": contract.id, "day": day}):
            return locked(contract, *row)
        # none: the chain ends too early, or a close took the row while we waited for it; look again either way
        _grow(session, contract, day)


def locked(contract: Contract, number: int, district: str, first: date, last: date) -> Period:
    """Make the period of a row of OPEN_FROM."""
    return Period(id=number, contract_id=contract.id, district_id=district, from_day=first, to_day=last, state="open")


def _grow(session: Session, contract: Contract, day: date) -> None:
    """Add periods until an open one ends on or after `day`. Concurrent calls make the same rows."""
    last, open_to = session.execute(
        select(func.max(Period.to_day), func.max(Period.to_day).filter(Period.state == "open")).where(
            Period.contract_id == contract.id
        )
    ).one()
    if open_to is not None and open_to >= day:
        return
    first = contract.from_day if last is None else last + timedelta(days=1)
    row = {
        "contract_id": contract.id,
        "district_id": contract.district_id,
        "from_day": first,
        "to_day": span_from(first).last,
        "state": "open",
    }
    if session.get_bind().dialect.name == "postgresql":
        session.execute(pg_insert(Period).values(row).on_conflict_do_nothing())
    else:
        session.execute(insert(Period).values(row))


def span_from(first: date) -> clock.Span:
    """Return the period from `first` to the end of its month, as this installation counts months."""
    return clock.Span(first, clock.Span.month(first, begins=config.current().period_from).last)


def flip(session: Session, period_id: int) -> bool:
    """Close the period: True if this call did it, False if it was closed before. Raises as `lock_for_close` does."""
    if lock_for_close(session, period_id) is None:
        return False
    session.execute(update(Period).where(Period.id == period_id).values(state="closed", closed_at=clock.now()))
    return True


def lock_for_close(session: Session, period_id: int) -> Period | None:
    """Lock the period exclusively until the transaction ends, if it may be closed; None if it was closed before.

    Waits for the bookings that have locked its gate. Raises NoPeriod, PeriodNotOver, EarlierPeriodOpen.
    """
    period = session.execute(
        select(Period).where(Period.id == period_id).with_for_update().execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if period is None:
        raise NoPeriod
    if period.state == "closed":
        return None
    if min(clock.today(), _witnessed_day(session)) <= period.to_day:
        raise PeriodNotOver
    earlier = select(Period.id).where(
        Period.contract_id == period.contract_id, Period.state == "open", Period.from_day < period.from_day
    )
    if session.execute(earlier).first():
        raise EarlierPeriodOpen
    return period


def _witnessed_day(session: Session) -> date:
    """Return today by the database's clock: a host whose clock runs a day ahead must not close a period too early."""
    if session.get_bind().dialect.name != "postgresql" or clock.moved():
        return clock.today()
    return clock.business_day(time_at(session))


def chain(session: Session, contract_id: str) -> list[Period]:
    """Return all periods of a contract, oldest first."""
    return list(
        session.execute(select(Period).where(Period.contract_id == contract_id).order_by(Period.from_day)).scalars()
    )
