"""Read payouts for the desk: claims to pay, vouchers to check, payouts that are done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session, aliased

from canteen import names
from canteen.money import Fen
from canteen.places import Contract, Payee
from canteen.settlement.claims import payouts
from canteen.settlement.closing import parties
from canteen.settlement.models import Claim, ClaimLine, Decision, Payout, PayoutCheck, WithheldMeal


@dataclass(frozen=True, slots=True)
class PaidTo:
    """The payee and their account, as far as pages show it."""

    name: str
    bank: str
    tail: str


@dataclass(frozen=True, slots=True)
class PayRow:
    """A claim to be paid, or a payout with the outcome of its check."""

    claim: Claim
    canteen: str
    approved: Fen
    payout: Payout | None
    check: PayoutCheck | None
    entered_by: str
    checked_by: str
    payee: PaidTo
    funds: dict[str, Fen]
    before: PaidTo | None  # where the canteen was paid last, if that was elsewhere
    fund_names: Mapping[str, str]  # as its statement names them
    stated: PaidTo | None = None  # who the statement says is paid, if that is another than will be


@dataclass(slots=True)
class Paying:
    """Claims waiting for a voucher, vouchers waiting for a second person, and what is done, newest first."""

    to_enter: list[PayRow] = field(default_factory=list)
    to_check: list[PayRow] = field(default_factory=list)
    done: list[PayRow] = field(default_factory=list)


def paying(session: Session, contracts: Collection[str]) -> Paying:
    """Read all payouts within reach; of what is done the newest hundred."""
    paid = select(Decision.claim_id).where(Decision.to_state == "paid")
    approved = select(Decision.claim_id).where(Decision.to_state == "approved", Decision.claim_id.not_in(paid))
    found = Paying()
    for row in _pay_rows(session, contracts, Claim.id.in_(approved), most=None):
        if row.payout is not None and row.check is None:
            found.to_check.append(row)
    waiting = {row.claim.id for row in found.to_check}
    query = select(Claim, Payee).join(Contract, Contract.id == Claim.contract_id)
    query = query.join(Payee, Payee.id == Contract.payee_id).where(
        Claim.contract_id.in_(contracts), Claim.id.in_(approved), Claim.id.not_in(waiting)
    )
    rows = session.execute(query.order_by(Claim.from_day, Claim.number)).all()
    funds = _approved(session, [claim.id for claim, _ in rows])
    paid_to = _paid_to(session, {claim.contract_id for claim, _ in rows})
    named = parties.of_claims(session, [claim.id for claim, _ in rows])
    for claim, payee in rows:
        mine = named[claim.id]
        stated = PaidTo(mine.payee, mine.bank, mine.account_tail)
        to, last = PaidTo(payee.name, payee.bank, payee.account_tail), paid_to.get(claim.contract_id)
        of = funds.get(claim.id, {})
        elsewhere = last if last != to else None
        found.to_enter.append(
            PayRow(
                claim, mine.canteen, sum(of.values()), None, None, "", "", to, of, elsewhere, mine.funds,
                stated if stated != to else None,
            )
        )  # fmt: skip
    found.done = _pay_rows(session, contracts, PayoutCheck.payout_id.is_not(None), most=100)
    return found


def _approved(session: Session, claim_ids: Collection[int]) -> dict[int, dict[str, Fen]]:
    """Sum what of each claim is approved, by fund: its lines less what was kept out."""
    found: dict[int, dict[str, Fen]] = defaultdict(dict)
    lines = select(ClaimLine.claim_id, ClaimLine.fund, func.sum(ClaimLine.fen)).where(ClaimLine.claim_id.in_(claim_ids))
    for number, fund, fen in session.execute(
        lines.group_by(ClaimLine.claim_id, ClaimLine.fund).order_by(ClaimLine.fund)
    ):
        found[number][fund] = int(fen)
    kept = (
        select(WithheldMeal.claim_id, ClaimLine.fund, func.sum(WithheldMeal.fen))
        .join(ClaimLine, and_(ClaimLine.claim_id == WithheldMeal.claim_id, ClaimLine.n == WithheldMeal.line_n))
        .where(WithheldMeal.claim_id.in_(claim_ids))
        .group_by(WithheldMeal.claim_id, ClaimLine.fund)
    )
    for number, fund, fen in session.execute(kept):
        found[number][fund] -= int(fen)
    return found


def _paid_to(session: Session, contracts: Collection[str]) -> dict[str, PaidTo]:
    """Read where each contract's canteen was paid last, under any contract: a new account is looked at twice."""
    mine, theirs = aliased(Contract), aliased(Contract)
    query = (
        select(mine.id, Payout.payee_name, Payout.bank, Payout.account_tail)
        .join(theirs, theirs.canteen_id == mine.canteen_id)
        .join(Claim, Claim.contract_id == theirs.id)
        .join(Payout, Payout.claim_id == Claim.id)
        .join(PayoutCheck, and_(PayoutCheck.payout_id == Payout.id, PayoutCheck.outcome == "confirmed"))
        .where(mine.id.in_(contracts))
        .order_by(Payout.id)
    )
    return {contract: PaidTo(name, bank, tail) for contract, name, bank, tail in session.execute(query)}


def _pay_rows(
    session: Session, contracts: Collection[str], which: ColumnElement[bool], *, most: int | None
) -> list[PayRow]:
    """List payouts within reach, newest first."""
    query = (
        select(Claim, Payout, PayoutCheck)
        .join(Payout, Payout.claim_id == Claim.id)
        .outerjoin(PayoutCheck, PayoutCheck.payout_id == Payout.id)
        .where(Claim.contract_id.in_(contracts), which)
        .order_by(Payout.id.desc())
        .limit(most)
    )
    rows = session.execute(query).all()
    waiting = [claim for claim, _, check in rows if check is None]
    named = parties.of_claims(session, {claim.id for claim, _, _ in rows})
    actors = payouts.actors(payouts.PayoutStatus(payout, check) for _, payout, check in rows)
    staff = names.of(session, "person", actors)
    funds = _approved(session, [claim.id for claim in waiting])
    paid_to = _paid_to(session, {claim.contract_id for claim in waiting})
    found = []
    for claim, payout, check in rows:
        to, last = PaidTo(payout.payee_name, payout.bank, payout.account_tail), paid_to.get(claim.contract_id)
        elsewhere = last if check is None and last != to else None
        of = funds.get(claim.id, {})
        by = staff.at(payout.entered_by, payout.recorded)
        checked_by = staff.at(check.checked_by, check.recorded) if check else ""
        mine = named[claim.id]
        found.append(
            PayRow(claim, mine.canteen, payout.fen, payout, check, by, checked_by, to, of, elsewhere, mine.funds)
        )
    return found


def unchecked(session: Session, claim_ids: Collection[int]) -> set[int]:
    """Return which of the claims have a voucher that waits for a second person."""
    query = (
        select(Payout.claim_id)
        .outerjoin(PayoutCheck, PayoutCheck.payout_id == Payout.id)
        .where(Payout.claim_id.in_(claim_ids), PayoutCheck.payout_id.is_(None))
    )
    return set(session.execute(query).scalars())
