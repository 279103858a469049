"""SQL for the balance of accounts of one kind, and the sign of a transfer in it; the audit decides it a second time.

By kind, over any contracts: join both ends with `with_ends`, then sum `net(kind)` or select `signed(kind)`.
By account, where one contract's few accounts are known: `signed_at` and `touching` need no join.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVarTuple

from sqlalchemy import ColumnElement, Select, case, func, or_, select
from sqlalchemy.orm import aliased

from canteen.ledger.models import Account, Transfer

Ts = TypeVarTuple("Ts")

SOURCE, TARGET = aliased(Account, name="source"), aliased(Account, name="target")
"""The two accounts of a transfer, in a query that `with_ends`, `from_source` or `to_target` joined."""


def from_source(query: Select[*Ts]) -> Select[*Ts]:
    """Join the account that a transfer takes from."""
    return query.join(SOURCE, SOURCE.id == Transfer.source_id)


def to_target(query: Select[*Ts]) -> Select[*Ts]:
    """Join the account that a transfer goes to."""
    return query.join(TARGET, TARGET.id == Transfer.target_id)


def with_ends(query: Select[*Ts]) -> Select[*Ts]:
    """Join both accounts of a transfer."""
    return to_target(from_source(query))


def signed(kind: str) -> ColumnElement[int]:
    """Return the fen of a transfer with its sign for accounts of `kind`: positive in, negative out, else 0."""
    return case((TARGET.kind == kind, Transfer.fen), (SOURCE.kind == kind, -Transfer.fen), else_=0)


def net(kind: str) -> ColumnElement[int]:
    """Sum what entered accounts of `kind` less what left them, in a query with both ends."""
    return func.sum(signed(kind))


def of_kind(kind: str) -> ColumnElement[bool]:
    """Select transfers into or out of accounts of `kind`, in a query with both ends."""
    return or_(SOURCE.kind == kind, TARGET.kind == kind)


def account_ids(contract_id: str, kind: str, *, fund: str | None = None) -> Select[int]:
    """Query the ids of a contract's accounts of a kind, of one fund or of all."""
    query = select(Account.id).where(Account.contract_id == contract_id, Account.kind == kind)
    return query if fund is None else query.where(Account.fund == fund)


def signed_at(accounts: Collection[int]) -> ColumnElement[int]:
    """Return the fen of a transfer with its sign for these accounts: positive in, negative out."""
    return case((Transfer.target_id.in_(accounts), Transfer.fen), else_=-Transfer.fen)


def touching(accounts: Collection[int]) -> ColumnElement[bool]:
    """Select transfers into or out of one of these accounts."""
    return or_(Transfer.target_id.in_(accounts), Transfer.source_id.in_(accounts))
