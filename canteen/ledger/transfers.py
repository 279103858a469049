"""Posting transfers and summing them. Balanced by construction: one amount, two accounts of one contract and fund."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session, aliased

from canteen import clock
from canteen.ledger.models import Account, Period, Transfer
from canteen.money import Fen
from canteen.prepared import database_of


@dataclass(frozen=True, slots=True)
class Move:
    """Fen (> 0) to be moved from one kind of account of a contract's fund to another, with the reason."""

    fund: str
    source: str
    target: str
    fen: Fen
    movement: str
    reason: str
    cause: str
    service_day: date
    sale_id: uuid.UUID | None = None
    share_n: int | None = None


def post(session: Session, period: Period, moves: Sequence[Move]) -> None:
    """Book the moves to `period`, which the caller has locked by periods.gate. Nothing to move is fine."""
    if moves:
        session.execute(insert(Transfer), rows(session, period, moves))


def rows(session: Session, period: Period, moves: Sequence[Move]) -> list[dict[str, Any]]:
    """Make the rows that `post` writes, for callers that write them together with other rows."""
    ends = {(move.fund, kind) for move in moves for kind in (move.source, move.target)}
    accounts = _accounts(session, period.contract_id, ends) if ends else {}
    at = clock.now()
    return [
        {
            "source_id": accounts[move.fund, move.source],
            "target_id": accounts[move.fund, move.target],
            "fen": move.fen,
            "movement": move.movement,
            "sale_id": move.sale_id,
            "share_n": move.share_n,
            "fund": move.fund,
            "contract_id": period.contract_id,
            "district_id": period.district_id,
            "service_month": clock.month_of(move.service_day),
            "service_day": move.service_day,
            "period_id": period.id,
            "reason": move.reason,
            "cause": move.cause,
            "at": at,
        }
        for move in moves
    ]


def _accounts(session: Session, contract_id: str, ends: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the ids of a contract's accounts by (fund, kind); open those that are missing."""
    where = (database_of(session), contract_id)
    if ends <= _seen.get(where, {}).keys():
        return _seen[where]
    query = select(Account.fund, Account.kind, Account.id).where(Account.contract_id == contract_id)
    known = {(fund, kind): number for fund, kind, number in session.execute(query)}
    if ends <= known.keys():
        _seen[where] = known
    if missing := sorted(ends - known.keys()):
        rows = [{"contract_id": contract_id, "fund": fund, "kind": kind} for fund, kind in missing]
        if session.get_bind().dialect.name == "postgresql":
            session.execute(pg_insert(Account).on_conflict_do_nothing(), rows)
        else:
            session.execute(insert(Account), rows)
        known = {(fund, kind): number for fund, kind, number in session.execute(query)}
    return known


# Accounts that a session saw without having to open any: they are never removed, so their ids may be remembered.
_seen: dict[Any, dict[tuple[str, str], int]] = {}


def forget() -> None:
    """Clear the cache of accounts: one opened in a transaction that was rolled back does not exist."""
    _seen.clear()


def balances(
    session: Session, contract_id: str, *, period_ids: Iterable[int] | None = None
) -> dict[tuple[str, str], Fen]:
    """Return the balance in fen of each (fund, kind) of a contract; 'granted' and 'elder' are negative."""
    result: dict[tuple[str, str], Fen] = {}
    for end, sign in ((Transfer.target_id, 1), (Transfer.source_id, -1)):
        account = aliased(Account)
        query = (
            select(account.fund, account.kind, func.sum(Transfer.fen))
            .join(account, account.id == end)
            .where(Transfer.contract_id == contract_id)
            .group_by(account.fund, account.kind)
        )
        if period_ids is not None:
            query = query.where(Transfer.period_id.in_(list(period_ids)))
        for fund, kind, fen in session.execute(query):
            result[fund, kind] = result.get((fund, kind), 0) + sign * int(fen)
    return result
