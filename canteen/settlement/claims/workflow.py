"""Move a claim: submit, review, return, determine, approve. Each move is a numbered decision and an event.

Who may not do what both is checked by people, not accounts (P23); the database refuses a second decision of one
number, and an approver who submitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date

from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth import humans
from canteen.db import retried, transaction
from canteen.errors import Conflict
from canteen.keyset import reader
from canteen.ledger import periods, transfers
from canteen.ledger.models import Period
from canteen.ledger.transfers import Move
from canteen.money import Fen, show
from canteen.places import Contract
from canteen.settlement.claims import claims, ledger_check, missing_records, review, steps, withheld_meals
from canteen.settlement.claims.claims import MoveNotOpen, SamePerson
from canteen.settlement.claims.steps import WorkflowSteps
from canteen.settlement.closing import carry_over
from canteen.settlement.labels import say
from canteen.settlement.models import Claim, Decision


class GapOpen(Conflict):
    code = "gap_open"
    message = "还有平板流水缺号，补齐或由两人确认遗失后才能申报。"


class Unjudged(Conflict):
    code = "findings_unanswered"
    message = "还有待核实事项没有结论，请逐项核实后再通过。"


class AmountMoved(Conflict):
    code = "amount_moved"
    message = "核定金额刚有变动，请核对最新金额后再办理。"


class NotAsLogged(Conflict):
    code = "claim_differs_from_log"
    message = "申报金额与就餐流水不一致，不能审批；请退回申报，并联系审计核查。"


class ApprovedTooMuch(Conflict):
    code = "approved_exceeds_claimed"
    message = "核定金额不得超过申报金额，请核对。"


def move(
    claim_id: int,
    act: str,
    *,
    by: str,
    reason: str = "",
    workflow_steps: WorkflowSteps = steps.DEFAULT,
    at: int | None = None,
    approved: Fen | None = None,
) -> str:
    """Make one move of a claim and answer the state it led to.

    at        the number of decisions that the person saw: somebody else's move in between is a conflict
    approved  the amount that the person saw, likewise: a meal withheld in between changes it

    Raises MoveNotOpen, AmountMoved, SamePerson, NeedsReason, GapOpen (submit), Unjudged (the first move after submit),
    NotAsLogged (approve), ApprovedTooMuch.
    """
    if act == "return":
        claims.reason_given(reason, "请写明退回的原因（至少 4 个字）。")
    if act == "submit":
        _nothing_missing(claim_id)
    if act == "approve" and not ledger_check.matches_ledger(claim_id):
        raise NotAsLogged
    if len(reason.strip()) > claims.MOST:
        raise claims.NeedsReason(f"说明最多 {claims.MOST} 字，请写得简短些。")
    return _move(claim_id, act, by=by, reason=reason.strip(), workflow_steps=workflow_steps, at=at, seen=approved)


def _nothing_missing(claim_id: int) -> None:
    with reader() as session:
        claim = session.get(Claim, claim_id)
        if claim is None:
            raise claims.NoClaim
        period = session.get_one(Period, claim.period_id)
    missing = missing_records.missing(period)
    if missing:
        named = "；".join(f"{gap.tablet_name} 第 {gap.first}–{gap.last} 号" for gap in missing[:5])
        raise GapOpen(f"平板流水缺号（{named}），补齐或由两人确认遗失后才能申报。")


@retried
def _move(
    claim_id: int, act: str, *, by: str, reason: str, workflow_steps: WorkflowSteps, at: int | None, seen: Fen | None
) -> str:
    with transaction() as session:
        gate = _lock(session, claim_id, act)
        claim, done = claims.locked(session, claim_id), claims.decisions(session, claim_id)
        before = done[-1].to_state if done else steps.START
        if before not in workflow_steps.sources(act) or (at is not None and at != len(done)):
            raise MoveNotOpen
        keep_apart(session, claim_id, act, by, workflow_steps)
        if before == "submitted" and act != "return" and claims.unanswered(session, claim.period_id):
            raise Unjudged
        approved = approved_fen(session, claim)
        if seen is not None and seen != approved:
            raise AmountMoved
        after = workflow_steps.target(act, approved)
        body = {"n": len(done) + 1, "to": after, "approved": approved}
        number = events.record(session, f"claim.{act}", f"claim:{claim.number}", by=by, body=body)
        if gate is not None:
            transfers.post(session, gate, list(_approval_moves(session, claim, f"decision:{number}", after)))
        record_decision(session, claim_id, done, act, after, by=by, reason=reason, recorded=number)
        return after


def _lock(session: Session, claim_id: int, act: str) -> Period | None:
    """Lock what comes before the claim's row, and return the gate of an approval's transfers. Raises NoClaim.

    Only an approval moves money: it needs the gate, the first of all locks (decision 0005), and the eaters.
    """
    claim = session.get(Claim, claim_id)
    if claim is None:
        raise claims.NoClaim
    if act != "approve":
        return None
    gate = periods.gate(session, session.get_one(Contract, claim.contract_id), claim.to_day)
    review.lock_disallowed_meals(session, claim_id)
    return gate


def record_decision(
    session: Session, claim_id: int, done: Sequence[Decision], act: str, to_state: str, *, by: str, reason: str,
    recorded: int,
) -> None:  # fmt: skip
    """Add the decision that follows those in `done`; `recorded` is the number of its event."""
    session.add(
        Decision(
            claim_id=claim_id,
            n=len(done) + 1,
            move=act,
            from_state=done[-1].to_state if done else steps.START,
            to_state=to_state,
            by=by,
            reason=reason,
            at=clock.now(),
            recorded=recorded,
        )
    )


def keep_apart(session: Session, claim_id: int, act: str, by: str, workflow_steps: WorkflowSteps) -> None:
    """Refuse whoever did an act that `act` must be kept apart from. Raises SamePerson."""
    actors_by_move = claims.actors_by_move(session, claim_id)
    if act == "submit" and humans.same(session, by, claims.judges(session, claim_id)):
        raise SamePerson("这份申报的待核实事项是您核实的，申报须由另一人办理。")
    for other in sorted(workflow_steps.conflicting_moves(act)):
        if actors_by_move.get(other) and humans.same(session, by, actors_by_move[other]):
            raise SamePerson(f"这份申报的“{say('move', other)}”是您办理的，“{say('move', act)}”须由另一人办理。")


def approved_fen(session: Session, claim: Claim) -> Fen:
    """Return what of a claim is approved as of now. Raises ApprovedTooMuch when that exceeds what was claimed."""
    lines = claims.lines(session, claim.id)
    claimed, approved = sum(line.fen for line in lines), sum(line.approved for line in lines)
    if approved > claimed or claimed != claim.fen:
        raise ApprovedTooMuch(f"申报 {show(claim.fen)} 元，核定 {show(approved)} 元：核定金额不得超过申报金额。")
    return approved


def _approval_moves(session: Session, claim: Claim, cause: str, after: str) -> Iterator[Move]:
    """Move an approved claim's money by fund and month, reversed where a fund is below zero, and disallowed meals.

    open -> claimed, on to paid when nothing is to pay ('settled'); nothing of a total below zero ('carried').
    """
    if after != "carried":
        for (fund, month), fen in carry_over.approved_by_fund(session, claim.id).items():
            yield signed(fund, ("open", "claimed"), fen, "claim", claim.number, cause, month)
            if after == "settled":
                yield signed(fund, ("claimed", "paid"), fen, "pay", claim.number, cause, month)
    yield from withheld_meals.disallowed(session, claim, cause)


def signed(fund: str, ends: tuple[str, str], fen: Fen, movement: str, reason: str, cause: str, month: str) -> Move:
    """Build one move of a service month's money, reversed where the amount is below zero."""
    source, target = ends if fen > 0 else ends[::-1]
    return Move(fund, source, target, abs(fen), movement, reason, cause, date.fromisoformat(f"{month}-01"))
