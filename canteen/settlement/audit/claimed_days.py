"""Check what a close kept by day and fund against the transfers booked to the period."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from sqlalchemy import select

from canteen import keyset
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Period, Transfer
from canteen.ledger.queries import net, of_kind, with_ends
from canteen.money import Fen
from canteen.settlement.audit.differences import Difference
from canteen.settlement.models import ClaimedDay

OF_MEALS = ("meal", "verdict", "void")


def differences(row: Period) -> Iterator[Difference]:
    """Compare each day and fund with the sum of its transfers, which `bookings` compares with the meals."""
    kept = select(ClaimedDay.service_day, ClaimedDay.fund, ClaimedDay.fen).where(ClaimedDay.period_id == row.id)
    there: dict[tuple[date, str], Fen] = {(day, fund): fen for day, fund, fen in keyset.once(kept)}
    sums = (
        with_ends(select(Transfer.service_day, Transfer.fund, net("open")))
        .where(Transfer.period_id == row.id, Transfer.movement.in_(OF_MEALS), of_kind("open"))
        .where(Transfer.share_n < FIRST_DIFFERENCE_SHARE)
        .group_by(Transfer.service_day, Transfer.fund)
    )
    booked = {(day, fund): int(fen) for day, fund, fen in keyset.once(sums)}
    for day, fund in sorted(there.keys() | booked.keys()):
        was, right = there.get((day, fund), 0), booked.get((day, fund), 0)
        if was != right:
            yield Difference("claimed_day", f"{day.isoformat()}/{fund}", str(was), str(right))
