"""Voids: a sale is reversed with a reason. Shares are booked back, slots are freed, the refund is booked.

A cashier may void an own sale within ten minutes without approval; after that a manager approves (ruling 7).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import approvals, contacts, humans
from canteen.errors import Conflict, Forbidden, Missing
from canteen.ledger import periods, transfers
from canteen.ledger.models import Transfer
from canteen.ledger.queries import SOURCE, TARGET, with_ends
from canteen.ledger.transfers import Move
from canteen.places import Contract
from canteen.pos import arrivals, slots
from canteen.pos.arrivals import Arrival
from canteen.pos.models import Record, Sale, Void
from canteen.pos.orders import VoidOrder
from canteen.pos.sale_locks import lock_sale_parties

ALONE_WITHIN = timedelta(minutes=10)


class SaleUnknown(Missing):
    code = "sale_unknown"
    message = "要撤的这笔就餐还没有收到，已单独保存，待就餐记录到达后再处理。"


class NeedsManager(Forbidden):
    code = "void_needs_manager"
    message = "超过十分钟、不是本人的就餐或收银员当时未登录，须由食堂负责人输入口令同意后撤单。"


class OwnSale(Forbidden):
    code = "void_own_sale"
    message = "这笔是您本人收的，超过十分钟须由另一位负责人授权撤单。"


class AlreadyVoided(Conflict):
    code = "already_voided"
    message = "这笔就餐已经撤过单了。"


class RefundTooLarge(Conflict):
    code = "refund_too_large"
    message = "退款金额超过老人实付金额，请核对。"


def book(session: Session, order: VoidOrder, arrival: Arrival) -> str:
    """Book a void inside the caller's transaction; return 'created', or 'have' if it arrived before.

    Raises SaleUnknown, NeedsManager, AlreadyVoided, RefundTooLarge: the record waits in quarantine.
    Raises slots.RetryTransaction.
    """
    sale = session.get(Sale, order.sale)
    if sale is None or sale.canteen_id != arrival.canteen_id:
        raise SaleUnknown
    contract = session.get_one(Contract, sale.contract_id)
    period = periods.gate(session, contract, sale.service_day)
    _lock(session, sale)
    before = session.execute(select(Void).where(Void.sale_id == sale.id)).scalar_one_or_none()
    if before is not None:
        if before.id == order.id:
            return "have"
        raise AlreadyVoided
    if order.refund_fen > sale.due_fen:
        raise RefundTooLarge
    approver = _approver(session, order, sale, arrival)
    record_id = arrivals.keep(session, arrival)
    session.execute(
        insert(Void).values(
            id=order.id,
            sale_id=sale.id,
            record_id=record_id,
            service_month=sale.service_month,
            district_id=sale.district_id,
            cashier_id=order.cashier,
            approved_by=approver,
            reason=order.reason,
            refund_fen=order.refund_fen,
            refund_kind=order.refund_kind,
            tablet_at=arrival.envelope.at,
            arrived_at=arrival.at,
        )
    )
    slots.release_sale(session, sale.id)
    transfers.post(session, period, list(_moves(session, order, sale)))
    return "created"


def _lock(session: Session, sale: Sale) -> None:
    """Lock the persons and households whose slots the sale used, and its budgets: totals are read under these locks."""
    alone = lock_sale_parties(session, [sale])
    if sale.elder_id is None:
        alone = {sale.id}  # a guest has no row: what is booked of the sale later waits for this
    slots.lock_names(session, alone, slots.budgets_of(session, sale.id), 0)


def _approver(session: Session, order: VoidOrder, sale: Sale, arrival: Arrival) -> str | None:
    """Return who approved; None if the cashier needs no approval. Raises NeedsManager, OwnSale."""
    if order.approval:
        person_id = approvals.check(order.approval, tablet_id=arrival.tablet_id, sale_id=sale.id).person_id
        refuse_own(session, sale.id, person_id)
        return person_id
    elapsed = _elapsed(session, sale, arrival)
    own = order.cashier == sale.cashier_id and elapsed <= ALONE_WITHIN
    if own and contacts.on_duty(session, arrival.tablet_id, order.cashier, sale.estimated_at + elapsed):
        return None
    raise NeedsManager


def refuse_own(session: Session, sale_id: uuid.UUID, person_id: str) -> None:
    """Refuse an approval by the seller (P23). Raises OwnSale; a sale that has not arrived is checked with its void."""
    seller = session.execute(select(Sale.cashier_id).where(Sale.id == sale_id)).scalar()
    if seller is not None and humans.same(session, person_id, {seller}):
        raise OwnSale


def _elapsed(session: Session, sale: Sale, arrival: Arrival) -> timedelta:
    """Return the time between sale and void: by the monotonic clock within one page load, else by the best clocks."""
    sold = session.get_one(Record, sale.record_id)
    sent = arrival.envelope
    if sold.tablet_id == arrival.tablet_id and _same_boot(sold, arrival) and sent.mono_ms >= sold.mono_ms:
        return timedelta(milliseconds=sent.mono_ms - sold.mono_ms)
    return max(arrival.at - sale.arrived_at, _tablet_gap(sold.tablet_at, sent.at))


def _same_boot(sold: Record, arrival: Arrival) -> bool:
    return sold.boot == arrival.envelope.boot


def _tablet_gap(sold_at: str, voided_at: datetime) -> timedelta:
    sold = clock.read(sold_at)
    return timedelta.max if sold is None else voided_at - sold


def _moves(session: Session, order: VoidOrder, sale: Sale) -> Iterator[Move]:
    """Yield the moves that reverse every share's balance from its present account."""
    about = {"cause": f"void:{order.id}", "service_day": sale.service_day, "sale_id": sale.id}
    for (fund, kind, share_n), fen in sorted(_balances(session, sale).items()):
        if fen and kind in {"open", "excluded", "disallowed", "donated"}:  # below zero: a difference to the fund's good
            ends = (kind, "granted") if fen > 0 else ("granted", kind)
            yield Move(fund, *ends, abs(fen), "void", order.reason, share_n=share_n, **about)  # type: ignore[arg-type]
    if order.refund_fen and order.refund_kind != "free":
        cause = f"void:{order.id}"
        yield Move("", order.refund_kind, "elder", order.refund_fen, "refund", order.reason, cause, sale.service_day)


def _balances(session: Session, sale: Sale) -> dict[tuple[str, str, int], int]:
    """Sum the fen of each share by kind of account, over all movements of the meal itself."""
    rows = session.execute(
        with_ends(select(Transfer.fund, SOURCE.kind, TARGET.kind, Transfer.share_n, Transfer.fen))
        .where(Transfer.sale_id == sale.id, Transfer.share_n.is_not(None))
        .where(Transfer.movement.in_(("meal", "verdict", "void", "disallow", "revalue")))
    )
    balances: dict[tuple[str, str, int], int] = {}
    for fund, source_kind, target_kind, share_n, fen in rows:
        for kind, sign in ((source_kind, -1), (target_kind, 1)):
            key = (fund, kind, share_n or 0)
            balances[key] = balances.get(key, 0) + sign * fen
    return balances
