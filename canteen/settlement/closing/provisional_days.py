"""Name once per period the meals priced by a provisional kind of day, to be revalued when the year is entered."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date

from sqlalchemy import and_, select

from canteen import calendars, keyset
from canteen.ledger.models import Period
from canteen.pos.flags import DAY_PROVISIONAL
from canteen.pos.models import QuoteInput, Sale, Void
from canteen.settlement.closing import gather
from canteen.settlement.closing.checks import Finding
from canteen.settlement.closing.statement import Cut


def findings(period: Period, cut: Cut) -> Iterator[Finding]:
    """Find the days of the period's meals whose kind was not entered by the cut-off, or was entered as another."""
    query = (
        select(Sale.id, Sale.service_day, QuoteInput.body)
        .join(QuoteInput, QuoteInput.hash == Sale.own_input_hash)
        .outerjoin(Void, and_(Void.sale_id == Sale.id, Void.record_id <= cut.records))
        .where(gather.belongs(period, cut), Sale.flags.like(f"%{DAY_PROVISIONAL}%"), Void.id.is_(None))
    )
    sold_as: Counter[tuple[date, str]] = Counter()
    for page in keyset.rows(query, (Sale.id,), read=keyset.bare):
        sold_as.update((day, json.loads(body)["meal"]["day_kind"]) for _, day, body in page)
    days: list[list[str | int]] = []
    with keyset.reader() as session:
        for (day, sold), meals in sorted(sold_as.items()):
            waits = calendars.is_provisional(session, day, cut.facts)
            now = "" if waits else calendars.kind_on(session, day, cut.facts)
            if now != sold:
                days.append([day.isoformat(), sold, meals, now])
    if days:
        yield Finding("day_provisional", f"calendar:{period.from_day.isoformat()}", None, 0, {"days": days})
