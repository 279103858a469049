"""Read one canteen's day: its meals, what was taken in by kind of payment, and what of its meals may not be claimed."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from canteen.keyset import reader
from canteen.ledger.models import Transfer
from canteen.ledger.queries import of_kind, signed, with_ends
from canteen.money import Fen
from canteen.places import Canteen, Contract
from canteen.pos.models import Sale, Share, Tender, Void
from canteen.settlement.desk import meal_queries
from canteen.settlement.desk.meal_queries import MealRow
from canteen.web.numbers import whole

SIZE = 50  # meals on a page


@dataclass(frozen=True, slots=True)
class Total:
    """The valid meals of a meal period."""

    period: str
    meals: int
    list_fen: Fen
    subsidy: Fen
    due: Fen


@dataclass(frozen=True, slots=True)
class TakenIn:
    """Money by one kind of payment: given at the counter, and handed back for voids."""

    kind: str
    fen: Fen
    refunded: Fen


@dataclass(frozen=True, slots=True)
class Served:
    """A meal with the time at which it was paid."""

    meal: MealRow
    at: datetime


@dataclass(frozen=True, slots=True)
class Excluded(Served):
    """A valid meal of which `fen` may not be claimed; `reasons` are stable codes."""

    fen: Fen
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServingDay:
    """A canteen's service day; `voids` counts voided meals, which are in no total."""

    totals: list[Total]
    voids: int
    taken: list[TakenIn]
    excluded: list[Excluded]
    meals: list[Served]
    after: str | None


def canteens(session: Session, contracts: Collection[str]) -> list[tuple[str, str]]:
    """Return id and name of the canteens that these contracts run or ran."""
    query = select(Canteen.id, Canteen.name).join(Contract, Contract.canteen_id == Canteen.id)
    found = session.execute(query.where(Contract.id.in_(contracts)).distinct().order_by(Canteen.name, Canteen.id))
    return [(row[0], row[1]) for row in found]


def on(canteen: str, day: date, contracts: Collection[str], *, after: str | None) -> ServingDay:
    """Read what was sold at a canteen on a service day under the given contracts; its meals a page at a time.

    after   what the page before answered; anything else starts anew
    """
    of_day = and_(Sale.canteen_id == canteen, Sale.service_day == day, Sale.contract_id.in_(contracts))
    with reader() as session:
        query = select(Sale).where(of_day, Sale.arrival > whole(after or "")).order_by(Sale.arrival).limit(SIZE + 1)
        found = session.execute(query).scalars().all()
        totals, taken = _totals(session, of_day), _taken(session, of_day)
        voids = session.execute(
            select(func.count()).select_from(Void).join(Sale, Sale.id == Void.sale_id).where(of_day)
        )
        gone, left = voids.scalar_one(), _left_excluded(session, of_day)
    sales = found[:SIZE]
    ids = dict.fromkeys([*left, *(sale.id for sale in sales)])
    meals = {meal.id: meal for meal in meal_queries.by_ids(list(ids), insider=False)}
    excluded = [Excluded(meals[sale], *about) for sale, about in left.items() if not meals[sale].voided]
    served = [Served(meals[sale.id], sale.estimated_at) for sale in sales]
    more = str(sales[-1].arrival) if len(found) > SIZE else None
    return ServingDay(totals, gone, taken, excluded, served, more)


def _totals(session: Session, of_day: ColumnElement[bool]) -> list[Total]:
    unvoided = of_day & Sale.id.not_in(select(Void.sale_id))
    subsidies: dict[str, Fen] = dict(
        session.execute(
            select(Sale.period, func.sum(Share.fen))
            .join(Share, Share.sale_id == Sale.id)
            .where(unvoided, Share.payer == "subsidy")
            .group_by(Sale.period)
        ).all()
    )
    rows = session.execute(
        select(Sale.period, func.count(), func.sum(Sale.list_fen), func.sum(Sale.due_fen))
        .where(unvoided)
        .group_by(Sale.period)
    ).all()
    found = {
        period: Total(period, count, int(price), int(subsidies.get(period, 0)), int(due))
        for period, count, price, due in rows
    }
    return [found[period] for period in ("breakfast", "lunch", "dinner") if period in found]


def _taken(session: Session, of_day: ColumnElement[bool]) -> list[TakenIn]:
    paid = select(Tender.kind, func.sum(Tender.fen)).where(Tender.payment_id.in_(select(Sale.payment_id).where(of_day)))
    back = select(Void.refund_kind, func.sum(Void.refund_fen)).join(Sale, Sale.id == Void.sale_id).where(of_day)
    given = _by_kind(session, paid.group_by(Tender.kind))
    refunded = _by_kind(session, back.group_by(Void.refund_kind))
    return [
        TakenIn(kind, given.get(kind, 0), refunded.get(kind, 0))
        for kind in ("cash", "mobile")
        if given.get(kind) or refunded.get(kind)
    ]


def _by_kind(session: Session, query: Select[str, int]) -> dict[str, Fen]:
    return {kind: int(fen) for kind, fen in session.execute(query)}


def _left_excluded(
    session: Session, of_day: ColumnElement[bool]
) -> dict[uuid.UUID, tuple[datetime, Fen, tuple[str, ...]]]:
    """Read meals with something that may not be claimed: when eaten, how much, and why."""
    moved = select(Sale.id, Sale.estimated_at, Transfer.reason, signed("excluded"))
    rows = session.execute(
        with_ends(moved.join(Sale, Sale.id == Transfer.sale_id))
        .where(of_day, of_kind("excluded"))
        .order_by(Sale.arrival, Transfer.id)
    )
    fen: dict[uuid.UUID, Fen] = {}
    reasons: dict[uuid.UUID, dict[str, None]] = {}
    times: dict[uuid.UUID, datetime] = {}
    for sale, at, reason, amount in rows:
        times[sale] = at
        fen[sale] = fen.get(sale, 0) + amount
        if amount > 0:
            reasons.setdefault(sale, {})[reason] = None
    return {sale: (at, fen[sale], tuple(reasons[sale])) for sale, at in times.items() if fen[sale] > 0}
