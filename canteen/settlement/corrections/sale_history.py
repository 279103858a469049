"""Read what became of past sales: earlier revaluations, what a person judged, the inputs of their quotes. Reads only."""

from __future__ import annotations

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import keyset
from canteen.ledger.models import Transfer
from canteen.policy import case
from canteen.policy.case import Case
from canteen.pos.models import QuoteInput
from canteen.settlement.corrections.delta import BOOKED
from canteen.settlement.models import RevaluedSale, RevaluedShare, WithheldAnswer, WithheldMeal


@dataclass(slots=True)
class Earlier:
    """Earlier revaluations of some sales: which, the newest quote booked (input, rulebook), fen by fund, refunds."""

    done: set[tuple[int, uuid.UUID]] = field(default_factory=set)  # revaluation, sale
    last: dict[uuid.UUID, tuple[str, str]] = field(default_factory=dict)
    booked: dict[uuid.UUID, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    refunds: Counter[uuid.UUID] = field(default_factory=Counter)


def earlier(session: Session, ids: Sequence[uuid.UUID]) -> Earlier:
    """Read what revaluations booked of these sales."""
    found = Earlier()
    query = select(RevaluedSale).where(keyset.among(RevaluedSale.sale_id, ids)).order_by(RevaluedSale.id)
    for row in session.execute(query).scalars():
        found.done.add((row.revaluation_id, row.sale_id))
        found.refunds[row.sale_id] += row.refund_fen
        if row.outcome == BOOKED:
            found.last[row.sale_id] = (row.input_hash, row.rulebook_hash)
    shares = select(RevaluedShare.sale_id, RevaluedShare.fund, RevaluedShare.fen)
    for sale, fund, fen in session.execute(shares.where(keyset.among(RevaluedShare.sale_id, ids))):
        found.booked[sale][fund] += fen
    return found


def judged_of(session: Session, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Select the sales that a person withholds from a claim, or struck out: their money is left to that person."""
    withheld = (
        select(WithheldMeal.sale_id)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(
            keyset.among(WithheldMeal.sale_id, ids),
            (WithheldAnswer.outcome.is_(None)) | (WithheldAnswer.outcome != "released"),
        )
    )
    struck = select(Transfer.sale_id).where(
        keyset.among(Transfer.sale_id, ids),
        (Transfer.movement == "disallow") | ((Transfer.movement == "verdict") & Transfer.cause.not_like("sale:%")),
    )
    return {sale for query in (withheld, struck) for sale in session.execute(query).scalars() if sale is not None}


def inputs_of(session: Session, hashes: Iterable[str]) -> dict[str, Case]:
    """Read the inputs of quotes by their hash."""
    rows = session.execute(
        select(QuoteInput.hash, QuoteInput.body).where(keyset.among(QuoteInput.hash, sorted(hashes)))
    )
    return {digest: case.known_case(json.loads(body)) for digest, body in rows}
