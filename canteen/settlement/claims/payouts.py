"""Pay an approved claim: one person enters voucher number and day, another checks them; paid only then."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth import humans
from canteen.db import retried, transaction
from canteen.errors import Conflict, Invalid, Missing
from canteen.ledger import periods, transfers
from canteen.places import Contract, Payee
from canteen.registry.imports import contracts
from canteen.settlement.claims import claims, steps, workflow
from canteen.settlement.claims.claims import MoveNotOpen, SamePerson, reason_given
from canteen.settlement.claims.steps import WorkflowSteps
from canteen.settlement.closing import carry_over
from canteen.settlement.models import Claim, Payout, PayoutCheck

_VOUCHER = re.compile(r"[0-9A-Za-z\u4e00-\u9fff〔〕（）()\-_/.第号]{1,40}")


class NoPayout(Missing):
    code = "payout_not_found"
    message = "没有找到这笔拨付，请刷新后再试。"


class BadVoucher(Invalid):
    code = "bad_voucher"
    message = "凭证号为 1 至 40 个字母、数字或汉字，请核对后再录。"


class BadPayDay(Invalid):
    code = "bad_pay_day"
    message = "拨付日期不能晚于今天，也不能早于所属期结束，请核对。"


class PayoutWaits(Conflict):
    code = "payout_waits"
    message = "已有一笔拨付等待复核或已复核，不能重复录入。"


class PayoutChecked(Conflict):
    code = "payout_checked"
    message = "这笔拨付已经复核过。"


@dataclass(frozen=True, slots=True)
class PayoutStatus:
    """A payout and its check by the second person; outcome None while it waits."""

    payout: Payout
    check: PayoutCheck | None

    @property
    def outcome(self) -> str | None:
        return self.check.outcome if self.check else None


def of_claim(session: Session, claim_id: int) -> list[PayoutStatus]:
    """Return all payouts of a claim, first to last."""
    rows = session.execute(
        select(Payout, PayoutCheck)
        .outerjoin(PayoutCheck, PayoutCheck.payout_id == Payout.id)
        .where(Payout.claim_id == claim_id)
        .order_by(Payout.attempt)
    )
    return [PayoutStatus(payout, check) for payout, check in rows]


def actors(statuses: Iterable[PayoutStatus]) -> set[str]:
    """Return everyone who entered or checked one of these payouts."""
    return {by for one in statuses for by in (one.payout.entered_by, one.check.checked_by if one.check else None) if by}


def _keep_from_signer(session: Session, claim: Claim, by: str) -> None:
    """Refuse whoever registered the contract, and with it the payee, to pay it. Raises SamePerson."""
    rows = session.execute(select(events.Event.actor, events.Event.body).where(events.Event.kind == contracts.MADE))
    registrations = [(actor, json.loads(body)) for actor, body in rows]
    signers = {
        one
        for actor, body in registrations
        if claim.contract_id in body["contracts"]
        for one in (actor, body.get("confirmed_by"))
    }
    if humans.same(session, by, {one for one in signers if one}):
        raise SamePerson("这份运营协议（收款账户）是您登记或复核的，拨付须由其他人办理。")


@retried
def enter(claim_id: int, *, voucher: str, paid_on: date, by: str, workflow_steps: WorkflowSteps = steps.DEFAULT) -> int:
    """Enter the voucher of an approved claim, with its payee as of now; answers the payout's id.

    A second one only after the first was refused. Raises NoClaim, MoveNotOpen, BadVoucher, BadPayDay, PayoutWaits, SamePerson.
    """
    voucher = voucher.strip()
    if not _VOUCHER.fullmatch(voucher):
        raise BadVoucher
    with transaction() as session:
        claim = claims.locked(session, claim_id)
        if claims.state(session, claim_id) != "approved":
            raise MoveNotOpen("这份申报还没有审批，或已拨付。")
        if not claim.to_day < paid_on <= clock.today():
            raise BadPayDay
        workflow.keep_apart(session, claim_id, "enter", by, workflow_steps)
        _keep_from_signer(session, claim, by)
        before = of_claim(session, claim_id)
        if any(one.outcome != "refused" for one in before):
            raise PayoutWaits
        payee = session.get_one(Payee, session.get_one(Contract, claim.contract_id).payee_id)
        attempt, fen = len(before) + 1, workflow.approved_fen(session, claim)
        body = {"attempt": attempt, "fen": fen, "voucher": voucher, "paid_on": paid_on.isoformat()}
        payout = Payout(
            claim_id=claim_id,
            attempt=attempt,
            fen=fen,
            voucher=voucher,
            paid_on=paid_on,
            payee_name=payee.name,
            bank=payee.bank,
            account_tail=payee.account_tail,
            entered_by=by,
            entered_at=clock.now(),
            recorded=events.record(session, "payout.enter", f"claim:{claim.number}", by=by, body=body),
        )
        session.add(payout)
        session.flush()
        return payout.id


@retried
def check(
    payout_id: int, outcome: str, *, by: str, reason: str = "", workflow_steps: WorkflowSteps = steps.DEFAULT
) -> str:
    """Check a payout as second person: 'confirmed' pays the claim, 'refused' allows another. Answers the state.

    Raises NoPayout, PayoutChecked, SamePerson, NeedsReason, Invalid.
    """
    if outcome not in {"confirmed", "refused"}:
        raise Invalid
    if outcome == "refused":
        reason = reason_given(reason, "请写明退回这笔拨付的原因（至少 4 个字）。")
    with transaction() as session:
        payout = session.get(Payout, payout_id)
        if payout is None:
            raise NoPayout
        found = session.get_one(Claim, payout.claim_id)
        gate = periods.gate(session, session.get_one(Contract, found.contract_id), found.to_day)
        claim = claims.locked(session, payout.claim_id)
        if session.get(PayoutCheck, payout_id) is not None:
            raise PayoutChecked
        workflow.keep_apart(session, claim.id, "check", by, workflow_steps)
        _keep_from_signer(session, claim, by)
        done = claims.decisions(session, claim.id)
        body = {"payout": payout_id, "outcome": outcome}
        number = events.record(session, f"payout.{outcome}", f"claim:{claim.number}", by=by, body=body)
        _record_check(session, payout, outcome, reason, by, number)
        if outcome == "refused":
            return done[-1].to_state
        moves = [
            workflow.signed(fund, ("claimed", "paid"), fen, "pay", claim.number, f"payout:{payout_id}", month)
            for (fund, month), fen in carry_over.approved_by_fund(session, claim.id).items()
        ]
        transfers.post(session, gate, moves)
        workflow.record_decision(session, claim.id, done, "pay", "paid", by=by, reason=payout.voucher, recorded=number)
        return "paid"


def _record_check(session: Session, payout: Payout, outcome: str, reason: str, by: str, number: int) -> None:
    """Store the second person's check of a payout; flushed, since the database refuses a paying decision before it."""
    session.add(
        PayoutCheck(
            payout_id=payout.id,
            outcome=outcome,
            reason=reason,
            entered_by=payout.entered_by,
            checked_by=by,
            checked_at=clock.now(),
            recorded=number,
        )
    )
    session.flush()
