"""Read what revaluations booked, for claims, exports and pages; share numbers from FIRST_DIFFERENCE_SHARE on."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock, keyset
from canteen.db import db
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Period, Transfer, revaluation_of
from canteen.ledger.queries import account_ids, net, signed_at, touching, with_ends
from canteen.ledger.transfers import Move
from canteen.money import Fen
from canteen.pos.models import Sale
from canteen.rulebooks.models import Revaluation
from canteen.settlement.closing import lines as claim_lines
from canteen.settlement.closing.checks import Finding
from canteen.settlement.closing.statement import Key
from canteen.settlement.models import RevaluedSale, RevaluedShare

MOVED = ("revalue", "void", "verdict")  # movements that decide what of a difference may be claimed


@dataclass(frozen=True, slots=True)
class Booked:
    """One difference as a period's claim includes it: below zero where it takes back."""

    key: Key
    sale: uuid.UUID
    share_n: int
    elder: uuid.UUID | None
    day: date
    fen: Fen


def booked(period: Period) -> Iterator[Booked]:
    """Read every difference that moved into or out of `open` in the period, one for each sale and share."""
    accounts = [row[0] for row in keyset.once(account_ids(period.contract_id, "open"))]
    fen = func.sum(signed_at(accounts))
    moved = (
        select(Transfer.sale_id, Transfer.share_n, Transfer.fund, Sale.elder_id, Transfer.service_day, fen)
        .join(Sale, Sale.id == Transfer.sale_id)
        .where(
            Transfer.period_id == period.id, Transfer.share_n >= FIRST_DIFFERENCE_SHARE, Transfer.movement.in_(MOVED)
        )
        .where(touching(accounts))
        .group_by(Transfer.sale_id, Transfer.share_n, Transfer.fund, Sale.elder_id, Transfer.service_day)
    )
    origins: claim_lines.Origins | None = None
    for page in keyset.rows(moved, (Transfer.sale_id, Transfer.share_n)):
        origins = origins or claim_lines.Origins(period.contract_id)
        for sale, share_n, fund, elder, day, amount in page:
            assert sale is not None
            assert share_n is not None
            yield Booked(key_of(origins, fund, day, share_n), sale, share_n, elder, day, int(amount))


def key_of(origins: claim_lines.Origins, fund: str, day: date, share_n: int) -> Key:
    """Return the line of a difference: it cites the claim of its day, if that is closed, and the revaluation."""
    origin = f"{origins.of_day(day)}/R{revaluation_of(share_n)}".removeprefix("/")
    return Key("revaluation", fund, clock.month_of(day), origin)


def lines(period: Period) -> dict[Key, tuple[int, int, Fen]]:
    """Return the claim lines of a period's differences: (meals, persons, fen)."""
    fen: dict[Key, Fen] = defaultdict(int)
    meals: dict[Key, set[uuid.UUID]] = defaultdict(set)
    persons: dict[Key, set[uuid.UUID | None]] = defaultdict(set)
    for one in booked(period):
        fen[one.key] += one.fen
        if one.fen:
            meals[one.key].add(one.sale)
            persons[one.key].add(one.elder)
    return {key: (len(meals[key]), len(persons[key]), fen[key]) for key in fen}


def findings(period: Period) -> Iterator[Finding]:
    """Find meals whose due would rise, or that a canteen or donor would pay more of: not booked, but judged."""
    query = (
        select(
            RevaluedSale.sale_id, RevaluedSale.revaluation_id, RevaluedSale.outcome, RevaluedSale.due_before,
            RevaluedSale.due_fen,
        ).where(RevaluedSale.period_id == period.id, RevaluedSale.outcome != "booked").order_by(RevaluedSale.id)
    )  # fmt: skip
    rows = keyset.once(query)
    amounts: dict[tuple[uuid.UUID, int], tuple[dict[str, Fen], dict[str, Fen]]] = defaultdict(lambda: ({}, {}))
    for page in _batches([row[0] for row in rows]):
        shares = select(
            RevaluedShare.sale_id, RevaluedShare.revaluation_id, RevaluedShare.fund, RevaluedShare.before_fen,
            RevaluedShare.new_fen,
        ).where(keyset.among(RevaluedShare.sale_id, page))  # fmt: skip
        for sale, number, fund, before, new in keyset.once(shares):
            amounts[sale, number][0][fund] = before
            amounts[sale, number][1][fund] = new
    for sale, number, outcome, due_before, due in rows:
        sold, ours = amounts[sale, number]
        body = {"revaluation": number, "why": outcome, "due": [due_before, due], "sold": sold, "ours": ours}
        fen = sum(sold.values()) - sum(ours.values())
        yield Finding("revaluation", f"sale:{sale}/R{number}", str(sale), fen, body)


def open_differences(session: Session, sale_id: uuid.UUID) -> list[tuple[str, int, Fen]]:
    """Return (fund, share, fen) of a sale's differences in `open`; below zero where one favours the fund."""
    rows = session.execute(
        with_ends(select(Transfer.fund, Transfer.share_n, net("open")))
        .where(Transfer.sale_id == sale_id, Transfer.share_n >= FIRST_DIFFERENCE_SHARE, Transfer.movement.in_(MOVED))
        .group_by(Transfer.fund, Transfer.share_n)
        .order_by(Transfer.fund, Transfer.share_n)
    )
    return [(fund, share_n or 0, int(fen)) for fund, share_n, fen in rows if fen]


def any_of(session: Session, sale_id: uuid.UUID) -> bool:
    """Tell whether a revaluation booked anything of a sale."""
    query = select(RevaluedShare.sale_id).where(RevaluedShare.sale_id == sale_id, RevaluedShare.fen != 0)
    return session.execute(query.limit(1)).first() is not None


def struck(session: Session, sale: Sale, reason: str, cause: str) -> Iterator[Move]:
    """Move a sale's differences out of `open` when the sale itself is disallowed, each with its sign."""
    for fund, share_n, fen in open_differences(session, sale.id):
        ends = ("open", "excluded") if fen > 0 else ("excluded", "open")
        yield Move(fund, *ends, abs(fen), "verdict", reason, cause, sale.service_day, sale.id, share_n)


def titles() -> dict[str, str]:
    """Return what each revaluation is called, 'R3' -> title with notice number; of a person's papers nothing."""
    rows = keyset.once(select(Revaluation.id, Revaluation.cause, Revaluation.title, Revaluation.reason))
    return {
        f"R{number}": f"{title}（{reason}）" if cause == "notice" else title for number, cause, title, reason in rows
    }


def _batches(ids: Sequence[uuid.UUID]) -> Iterator[Sequence[uuid.UUID]]:
    for at in range(0, len(ids), keyset.PAGE):
        yield ids[at : at + keyset.PAGE]


def of_sale(sale_id: uuid.UUID) -> list[tuple[Revaluation, RevaluedSale, list[RevaluedShare]]]:
    """Read what revaluations made of one meal, oldest first."""
    session = db.session()
    rows = session.execute(
        select(Revaluation, RevaluedSale)
        .join(RevaluedSale, RevaluedSale.revaluation_id == Revaluation.id)
        .where(RevaluedSale.sale_id == sale_id)
        .order_by(RevaluedSale.id)
    ).all()
    shares = session.execute(
        select(RevaluedShare).where(RevaluedShare.sale_id == sale_id).order_by(RevaluedShare.share_n)
    ).scalars()
    by_number: dict[int, list[RevaluedShare]] = defaultdict(list)
    for share in shares:
        by_number[share.revaluation_id].append(share)
    return [(asked, row, by_number[row.revaluation_id]) for asked, row in rows]
