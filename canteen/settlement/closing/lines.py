"""Sum transfers to claim lines, set by set (decision 0008): what a period moved into and out of `open`.

PostgreSQL sums a period in one statement; SQLite sums page by page, so that no read keeps a till waiting.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import aliased

from canteen import clock, keyset
from canteen.db import db
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Account, Period, Transfer
from canteen.ledger.queries import account_ids, signed_at, touching
from canteen.money import Fen
from canteen.pos.models import Sale
from canteen.settlement.closing.statement import DayFund, Key
from canteen.settlement.models import Claim, ClaimLine

CLAIMABLE = ("meal", "verdict", "void")  # movements that decide what of a meal may be claimed
PAGE = 20_000


def by_day(period: Period) -> dict[DayFund, Fen]:
    """Sum by service day and fund the fen moved to `open` less what left it, also where nothing is left.

    The transfers are gone through once, summed by their two accounts (the database requires that the fund is theirs).
    """
    sums: dict[DayFund, Fen] = defaultdict(int)
    funds = _funds(period.contract_id, "open")
    groups = (Transfer.source_id, Transfer.target_id, Transfer.service_day)
    for low, high in _ranges(period):
        query = select(*groups, func.sum(Transfer.fen)).where(*_sold(period, low, high))
        for source, target, day, fen in keyset.once(query.group_by(*groups)):
            for account, sign in ((target, 1), (source, -1)):
                if fund := funds.get(account):
                    sums[day, fund] += sign * int(fen)
    return dict(sums)


def booked(
    period: Period, days: Mapping[DayFund, Fen], person: Callable[[str], str] = str
) -> tuple[dict[Key, Fen], dict[Key, tuple[int, int, Fen]]]:
    """Sum by line the fen moved to `open` less what left it: of the period's own days, and of earlier ones.

    days     the answer of `by_day`; what was booked of earlier days is looked into only where there is any
    person   tells which elder an entry of the roster is
    """
    sums: dict[Key, Fen] = {}
    first = min((day for day, _ in days), default=period.from_day)
    for (day, fund), fen in days.items():
        if day >= period.from_day:
            key = Key("meals", fund, clock.month_of(day))
            sums[key] = sums.get(key, 0) + fen
    return sums, _before(period, person) if first < period.from_day else {}


def funds(period: Period) -> list[str]:
    """List the funds that sales booked to the period drew on, in order."""
    drawn = select(Transfer.fund).where(
        Transfer.period_id == period.id,
        Transfer.movement == "meal",
        Transfer.target_id.in_(_accounts(period.contract_id, "open")),
    )
    return sorted(fund for (fund,) in keyset.once(drawn.distinct()))


def by_share(period: Period, sale_ids: Sequence[uuid.UUID]) -> Iterator[tuple[uuid.UUID, int, str, Fen]]:
    """Return (sale, share, fund, fen) that the period's transfers of these sales left in `open`."""
    accounts = _accounts(period.contract_id, "open")
    query = (
        select(Transfer.sale_id, Transfer.share_n, Transfer.fund, func.sum(signed_at(accounts)))
        .where(*_of(period, accounts, None, None), keyset.among(Transfer.sale_id, sale_ids))
        .group_by(Transfer.sale_id, Transfer.share_n, Transfer.fund)
        .order_by(Transfer.sale_id, Transfer.share_n)
    )
    for sale, share_n, fund, fen in keyset.once(query):
        if sale is not None and share_n is not None:
            yield sale, share_n, fund, int(fen)


def _before(period: Period, person: Callable[[str], str]) -> dict[Key, tuple[int, int, Fen]]:
    """Sum of meals served before the period, by line: (meals, persons, fen).

    A late sale is a supplement that names the claim of its day; what takes back or gives again an earlier
    claim is an adjustment that names claim and line (rulings 9 and 10).
    """
    fen: dict[Key, Fen] = defaultdict(int)
    meals: dict[Key, set[uuid.UUID]] = defaultdict(set)
    persons: dict[Key, set[str]] = defaultdict(set)
    for key, sale, elder, _, amount in _late(period):
        fen[key] += amount
        if amount:
            meals[key].add(sale)
            persons[key].add(person(str(elder)))
    return {key: (len(meals[key]), len(persons[key]), fen[key]) for key in fen}


def late(period: Period) -> Iterator[tuple[Key, uuid.UUID, date, Fen]]:
    """Yield meal by meal what `booked` sums of earlier days: (line, sale, day, fen)."""
    for key, sale, _, day, amount in _late(period):
        yield key, sale, day, amount


def _late(period: Period) -> Iterator[tuple[Key, uuid.UUID, uuid.UUID | None, date, Fen]]:
    """Read what was booked here of earlier days, one row per sale, fund and origin: (line, sale, elder, day, fen)."""
    accounts = _accounts(period.contract_id, "open")
    origins = Origins(period.contract_id)
    booked = aliased(Transfer)
    same = and_(booked.sale_id == Transfer.sale_id, booked.share_n == Transfer.share_n, booked.movement == "meal")
    query = (
        select(
            Transfer.sale_id, Transfer.fund, Sale.elder_id, Transfer.service_day, booked.period_id,
            func.sum(signed_at(accounts)),
        )
        .join(booked, same)
        .join(Sale, Sale.id == Transfer.sale_id)
        .where(*_of(period, accounts, None, None), Transfer.service_day < period.from_day)
        .group_by(Transfer.sale_id, Transfer.fund, Sale.elder_id, Transfer.service_day, booked.period_id)
    )  # fmt: skip
    for page in keyset.rows(query, (Transfer.sale_id, Transfer.fund)):
        for sale, fund, elder, day, number, amount in page:
            assert sale is not None
            added = number == period.id
            origin = origins.of_day(day) if added else origins.of_line(number, fund, day)
            yield (
                Key("supplement" if added else "adjustment", fund, clock.month_of(day), origin),
                sale,
                elder,
                day,
                int(amount),
            )


def excluded(period: Period) -> dict[str, Fen]:
    """Sum by reason the fen moved to `excluded` less what left it, of all that was booked to the period."""
    accounts = _accounts(period.contract_id, "excluded")
    result: dict[str, Fen] = defaultdict(int)
    signed = signed_at(accounts)
    why = case((Transfer.movement == "void", "void"), else_=Transfer.reason)  # a void's reason is free text
    for low, high in _ranges(period):
        query = select(why, func.sum(signed)).where(*_of(period, accounts, low, high)).group_by(why)
        for reason, fen in keyset.once(query):
            result[reason] += int(fen)
    return {reason: fen for reason, fen in sorted(result.items()) if fen}


def _funds(contract_id: str, kind: str) -> dict[int, str]:
    """Read the contract's accounts of a kind, and the fund of each."""
    accounts = select(Account.id, Account.fund).where(Account.contract_id == contract_id, Account.kind == kind)
    return dict(keyset.once(accounts))


def _accounts(contract_id: str, kind: str) -> list[int]:
    return [number for (number,) in keyset.once(account_ids(contract_id, kind))]


def _of(period: Period, accounts: list[int], low: int | None, high: int | None) -> list[ColumnElement[bool]]:
    return [*_sold(period, low, high), touching(accounts)]


def _sold(period: Period, low: int | None, high: int | None) -> list[ColumnElement[bool]]:
    sold = Transfer.share_n < FIRST_DIFFERENCE_SHARE  # differences made later have lines of their own
    found = [Transfer.period_id == period.id, Transfer.movement.in_(CLAIMABLE), sold]
    if low is not None and high is not None:
        found.append(and_(Transfer.id > low, Transfer.id <= high))
    return found


def _ranges(period: Period) -> Iterator[tuple[int | None, int | None]]:
    """Return ranges of transfer ids to sum apart: one for all on PostgreSQL, pages of them on SQLite."""
    if db.engine.dialect.name == "postgresql":
        yield None, None
        return
    ids = select(Transfer.id).where(Transfer.period_id == period.id)
    low, last = -1, None
    while True:
        edge = keyset.once(ids.where(Transfer.id > low).order_by(Transfer.id).offset(PAGE - 1).limit(1))
        if not edge:
            break
        last = edge[0][0]
        yield low, last
        low = last
    ((top,),) = keyset.once(select(func.max(Transfer.id)).where(Transfer.period_id == period.id))
    if top is not None and top > low:
        yield low, top


class Origins:
    """Numbers of a contract's earlier claims and their lines, for lines that follow them."""

    def __init__(self, contract_id: str) -> None:
        self._periods = {
            number: (first, last)
            for number, first, last in keyset.once(
                select(Period.id, Period.from_day, Period.to_day).where(Period.contract_id == contract_id)
            )
        }
        claims = keyset.once(select(Claim.period_id, Claim.number).where(Claim.contract_id == contract_id))
        self._claims: dict[int, str] = dict(claims)
        lines = keyset.once(
            select(Claim.period_id, ClaimLine.n, ClaimLine.kind, ClaimLine.fund, ClaimLine.service_month)
            .join(ClaimLine, ClaimLine.claim_id == Claim.id)
            .where(Claim.contract_id == contract_id, ClaimLine.kind.in_(("meals", "supplement")))
        )
        self._lines: dict[tuple[int, str, str, str], int] = {
            (period_id, kind, fund, month): n for period_id, n, kind, fund, month in lines
        }

    def of_day(self, day: date) -> str:
        """Return the claim of the period that contains `day`, or ''."""
        for number, (first, last) in self._periods.items():
            if first <= day <= last:
                return self._claims.get(number, "")
        return ""

    def of_line(self, period_id: int, fund: str, day: date) -> str:
        """Return 'claim/line' where a meal of `day` was first claimed from `fund`; the claim alone without one."""
        claim = self._claims.get(period_id, "")
        first, last = self._periods[period_id]
        kind = "meals" if first <= day <= last else "supplement"
        n = self._lines.get((period_id, kind, fund, clock.month_of(day)))
        return f"{claim}/{n}" if claim and n else claim
