"""Write what a revaluation books of one sale: the difference by fund, the limits that it was granted, its transfers."""

from __future__ import annotations

from sqlalchemy import insert
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import intern
from canteen.ledger import transfers
from canteen.ledger.models import Period, difference_share
from canteen.ledger.transfers import Move
from canteen.pos.models import QuoteInput
from canteen.rulebooks import layers
from canteen.settlement.corrections import delta, repricing
from canteen.settlement.corrections.revaluation_repricing import PastSale, RepricedSale
from canteen.settlement.models import RevaluedSale, RevaluedShare


def write(session: Session, revaluation_id: int, repriced: RepricedSale, period: Period) -> None:
    """Write the facts of one difference, and its transfers."""
    sale, changed = repriced.sale, repriced.changed
    layers.keep(session, repriced.book)
    intern(session, QuoteInput, [{"hash": repriced.input_hash, "body": repriced.input_body}])
    session.execute(
        insert(RevaluedSale).values(
            revaluation_id=revaluation_id, sale_id=sale.id, contract_id=sale.contract, service_day=sale.day,
            period_id=period.id, input_hash=repriced.input_hash, rulebook_hash=repriced.book.hash,
            outcome=changed.outcome, due_before=changed.due_before, due_fen=changed.due, refund_fen=changed.refund,
            at=clock.now(),
        )
    )  # fmt: skip
    numbered = [(difference_share(revaluation_id, n), fund) for n, fund in enumerate(changed.funds)]
    shares = [
        {
            "sale_id": sale.id,
            "share_n": n,
            "revaluation_id": revaluation_id,
            "contract_id": sale.contract,
            "fund": fund.fund,
            "before_fen": fund.before,
            "new_fen": fund.new,
            "fen": fund.fen,
            "over_limit_fen": fund.over_limit,
            "reason": "used_up" if fund.over_limit else "",
        }
        for n, fund in numbered
    ]
    if shares:
        session.execute(insert(RevaluedShare), shares)
    cause = f"revaluation:{revaluation_id}"
    repricing.write(session, repriced.granted, cause=cause)
    moves = [_move(cause, sale, n, fund) for n, fund in numbered if fund.fen]
    transfers.post(session, period, moves)


def _move(cause: str, sale: PastSale, n: int, fund: delta.Fund) -> Move:
    """Return one fund's difference; to the fund's good it is a counter-transfer."""
    ends = ("granted", "open") if fund.fen > 0 else ("open", "granted")
    return Move(fund.fund, *ends, abs(fund.fen), "revalue", cause, cause, sale.day, sale.id, n)
