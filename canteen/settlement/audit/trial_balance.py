"""Draw up the trial balance of a contract: every subsidised fen is in exactly one account (P7, P17)."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import and_, func, or_, select

from canteen import keyset
from canteen.ledger import transfers
from canteen.money import Fen
from canteen.pos.models import Sale, Share, Void
from canteen.settlement.audit import brought_forward
from canteen.settlement.audit.differences import Difference
from canteen.settlement.models import (
    Claim,
    ClaimLine,
    Decision,
    Payout,
    PayoutCheck,
    RevaluedShare,
    WithheldAnswer,
    WithheldMeal,
)

IN_BALANCE = ("open", "claimed", "disallowed", "paid", "excluded")


@dataclass(frozen=True, slots=True)
class Trial:
    """The balance of one fund: subsidies of valid sales = open + claimed + disallowed + paid + excluded."""

    fund: str
    sold: Fen
    balances: dict[str, Fen]

    @property
    def missing(self) -> Fen:
        return self.sold - sum(self.balances.values())


def trial(contract_id: str) -> list[Trial]:
    """Draw up the trial balance by fund: `sold` from the sales' shares and differences, the rest from transfers."""
    sold: Counter[str] = Counter()
    months = [
        row[0] for row in keyset.once(select(Sale.service_month).where(Sale.contract_id == contract_id).distinct())
    ]
    for month in sorted(months):
        query = (
            select(Share.fund, func.sum(Share.fen))
            .join(Sale, Sale.id == Share.sale_id)
            .outerjoin(Void, Void.sale_id == Sale.id)
            .where(
                Sale.contract_id == contract_id,
                Sale.service_month == month,
                Share.payer == "subsidy",
                Void.id.is_(None),
            )
            .group_by(Share.fund)
        )
        for fund, fen in keyset.once(query):
            sold[fund] += int(fen)
    sold.update(_revalued(contract_id))
    with keyset.reader() as session:
        balances = transfers.balances(session, contract_id)
    funds = sorted({fund for fund, kind in balances if kind in IN_BALANCE} | sold.keys())
    return [Trial(fund, sold[fund], {kind: balances.get((fund, kind), 0) for kind in IN_BALANCE}) for fund in funds]


def differences(contract_id: str) -> list[Difference]:
    """Compare the accounts with what sales, decisions and payouts make them."""
    rows = trial(contract_id)
    found = [
        Difference("trial_balance", row.fund, str(sum(row.balances.values())), str(row.sold))
        for row in rows
        if row.missing
    ]
    approved, paid = _approved(contract_id)
    struck = _struck(contract_id)
    for row in rows:
        for kind, expected in (
            ("claimed", approved[row.fund] - paid[row.fund]),
            ("paid", paid[row.fund]),
            ("disallowed", struck[row.fund]),
        ):
            there = row.balances[kind]
            found += [Difference(kind, row.fund, str(there), str(expected))] if there != expected else []
    vouchers = sum(
        row[0]
        for row in keyset.once(
            select(Payout.fen)
            .join(PayoutCheck, PayoutCheck.payout_id == Payout.id)
            .join(Claim, Claim.id == Payout.claim_id)
            .where(Claim.contract_id == contract_id, PayoutCheck.outcome == "confirmed")
        )
    )
    if vouchers != sum(paid.values()):
        found.append(Difference("payouts", contract_id, str(vouchers), str(sum(paid.values()))))
    return found


def _revalued(contract_id: str) -> dict[str, Fen]:
    """Sum what revaluations booked of valid sales, by fund."""
    query = (
        select(RevaluedShare.fund, func.sum(RevaluedShare.fen))
        .outerjoin(Void, Void.sale_id == RevaluedShare.sale_id)
        .where(RevaluedShare.contract_id == contract_id, Void.id.is_(None))
        .group_by(RevaluedShare.fund)
    )
    return {fund: int(fen) for fund, fen in keyset.once(query)}


def _struck(contract_id: str) -> Counter[str]:
    """Sum the fen of valid meals that were disallowed for good, by fund: at the approval, or when withheld before."""
    approved = select(Decision.claim_id).where(Decision.move == "approve")
    query = (
        select(ClaimLine.fund, func.sum(WithheldMeal.fen))
        .select_from(WithheldMeal)
        .join(Claim, Claim.id == WithheldMeal.claim_id)
        .join(ClaimLine, and_(ClaimLine.claim_id == WithheldMeal.claim_id, ClaimLine.n == WithheldMeal.line_n))
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .outerjoin(Void, Void.sale_id == WithheldMeal.sale_id)
        .where(
            Claim.contract_id == contract_id,
            Void.id.is_(None),
            or_(
                and_(
                    WithheldMeal.outcome == "disallowed",
                    WithheldAnswer.withheld_id.is_(None),
                    WithheldMeal.claim_id.in_(approved),
                ),
                WithheldAnswer.outcome == "disallowed",
            ),
        )
        .group_by(ClaimLine.fund)
    )
    return Counter({fund: int(fen) for fund, fen in keyset.once(query)})


def _approved(contract_id: str) -> tuple[Counter[str], Counter[str]]:
    """Sum approved and paid fen by fund, from lines, withheld meals and decisions."""
    approved: Counter[str] = Counter()
    paid: Counter[str] = Counter()
    sums = brought_forward.approved(contract_id)
    query = (
        select(Claim.id, Decision.to_state)
        .join(Decision, Decision.claim_id == Claim.id)
        .where(Claim.contract_id == contract_id, Decision.to_state.in_(("approved", "settled", "paid")))
    )
    for claim_id, state in keyset.once(query.order_by(Claim.id, Decision.n)):
        for (fund, _), fen in sums[claim_id].items():
            if state in {"approved", "settled"}:
                approved[fund] += fen
            if state in {"paid", "settled"}:
                paid[fund] += fen
    return approved, paid
