"""Check a claim against the ledger (CLAIM_NE_LOG): its lines, its total and its statement against sums of transfers.

Called before an approval, so that a claim whose rows or transfers were changed after the close is never paid. It only
compares sums, so it is much cheaper than `period verify`. It calls the functions that made the lines at the close
(`closing/lines.py`, `carry_over.py`, `adjustments.py`), so it finds later changes but no fault in those functions;
`period verify` finds such faults, because it computes every line by code of its own (docs/architecture.md).
"""

from __future__ import annotations

from sqlalchemy import select

from canteen import keyset
from canteen.money import Fen
from canteen.settlement.claims.claims import NoClaim
from canteen.settlement.closing import adjustments, carry_over, close, statement
from canteen.settlement.closing import lines as claim_lines
from canteen.settlement.closing.statement import Key
from canteen.settlement.models import Claim, ClaimLine, Statement


def matches_ledger(claim_id: int) -> bool:
    """Tell whether a claim's lines, total and statement equal one another and the sums of its transfers. Raises NoClaim."""
    found = keyset.once(select(Claim.period_id, Claim.fen, Claim.statement_hash).where(Claim.id == claim_id))
    if not found:
        raise NoClaim
    period_id, total, digest = found[0]
    rows = keyset.once(
        select(ClaimLine.kind, ClaimLine.fund, ClaimLine.service_month, ClaimLine.origin, ClaimLine.fen).where(
            ClaimLine.claim_id == claim_id
        )
    )
    claimed = {Key(kind, fund, month, origin): fen for kind, fund, month, origin, fen in rows}
    stated = keyset.once(select(Statement.body).where(Statement.period_id == period_id))
    if not stated or statement.digest(stated[0][0]) != digest:
        return False
    stated_lines = {line.key: line.fen for line in statement.lines_of(stated[0][0])}
    return (
        claimed == stated_lines and sum(claimed.values()) == total and _nonzero(claimed) == _nonzero(_booked(period_id))
    )


def _booked(period_id: int) -> dict[Key, Fen]:
    period = close.load(period_id)
    cut, _ = close.cut_of(period)
    own, earlier = claim_lines.booked(period, claim_lines.by_day(period))
    others = earlier | carry_over.lines(period, cut) | adjustments.lines(period)
    return own | {key: fen for key, (_, _, fen) in others.items()}


def _nonzero(lines: dict[Key, Fen]) -> dict[Key, Fen]:
    return {key: fen for key, fen in lines.items() if fen}
