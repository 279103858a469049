"""Write what a revaluation books of one sale: the difference by fund, the limits that it takes, its transfers."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import intern
from canteen.ledger import transfers
from canteen.ledger.models import difference_share
from canteen.ledger.transfers import Move
from canteen.pos.models import AddedUse, QuoteInput, Slot
from canteen.rulebooks import layers
from canteen.settlement.corrections import delta
from canteen.settlement.corrections.repricing import Again, Meal
from canteen.settlement.models import RevaluedSale, RevaluedShare


def write(session: Session, revaluation_id: int, again: Again, period: Any) -> None:
    """The facts of one difference, and its transfers."""
    meal, changed = again.meal, again.changed
    layers.keep(session, again.book)
    intern(session, QuoteInput, [{"hash": again.input_hash, "body": again.input_body}])
    session.execute(
        insert(RevaluedSale).values(
            revaluation_id=revaluation_id, sale_id=meal.id, contract_id=meal.contract, service_day=meal.day,
            period_id=period.id, input_hash=again.input_hash, rulebook_hash=again.book.hash,
            outcome=changed.outcome, due_before=changed.due_before, due_fen=changed.due, refund_fen=changed.refund,
            at=clock.now(),
        )
    )  # fmt: skip
    numbered = [(difference_share(revaluation_id, n), fund) for n, fund in enumerate(changed.funds)]
    shares = [
        {
            "sale_id": meal.id,
            "share_n": n,
            "revaluation_id": revaluation_id,
            "contract_id": meal.contract,
            "fund": fund.fund,
            "before_fen": fund.before,
            "new_fen": fund.new,
            "fen": fund.fen,
            "lacking_fen": fund.lacking,
            "reason": "used_up" if fund.lacking else "",
        }
        for n, fund in numbered
    ]
    if shares:
        session.execute(insert(RevaluedShare), shares)
    if again.uses:
        session.execute(insert(AddedUse), list(again.uses))
    if again.slots:
        session.execute(insert(Slot), list(again.slots))
    moves = [_move(revaluation_id, meal, n, fund) for n, fund in numbered if fund.fen]
    transfers.post(session, period, moves)


def cause(revaluation_id: int) -> str:
    """What transfers and uses name as that which made them."""
    return f"revaluation:{revaluation_id}"


def _move(revaluation_id: int, meal: Meal, n: int, fund: delta.Fund) -> Move:
    """One fund's difference; to the fund's good it is a counter-transfer."""
    ends = ("granted", "open") if fund.fen > 0 else ("open", "granted")
    why = cause(revaluation_id)
    return Move(fund.fund, *ends, abs(fund.fen), "revalue", why, why, meal.day, meal.id, n)
