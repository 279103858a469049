"""Review findings and single meals: accept, withhold, disallow; release withheld meals or disallow them for good.

Everything is named by (line, sale, share, fen). Nothing is taken back: a change of mind is another answer, and a
withheld meal that is cleared goes to the next claim, as does one struck out that the canteen answered for (ruling 47).
Nobody judges what they submitted or sold, and nobody releases a meal that they withheld or disallowed (P23).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth import humans
from canteen.db import retried, transaction
from canteen.errors import Conflict, Invalid, Missing
from canteen.ledger import periods, transfers
from canteen.ledger.models import Period, Transfer
from canteen.ledger.transfers import Move
from canteen.money import Fen
from canteen.places import Contract
from canteen.pos import slots
from canteen.pos.flags import NOT_LOGGED_IN
from canteen.pos.models import Sale
from canteen.pos.sale_locks import lock_sale_parties
from canteen.settlement.claims import claims, withheld_meals
from canteen.settlement.claims.claims import MoveNotOpen, SamePerson, reason_given
from canteen.settlement.closing import adjustments
from canteen.settlement.models import Claim, Finding, FindingAnswer, WithheldMeal

OPEN_STATES = ("draft", "returned", "submitted", "reviewed")  # a claim's meals are judged until it is determined
OUTCOMES = ("accepted", "withheld", "disallowed")


class NoFinding(Missing):
    code = "finding_not_found"
    message = "没有找到这条待核实事项，请刷新后再试。"


class NoWithheld(Missing):
    code = "withheld_not_found"
    message = "没有找到这笔暂缓记录，请刷新后再试。"


class ClaimedBefore(Conflict):
    code = "claimed_before"
    message = "这笔就餐属于以前的申报，不能暂缓，只能核减（在下期冲减）或确认无误。"


class Answered(Conflict):
    code = "judged_meanwhile"
    message = "这条事项刚由他人核实过，请查看最新结论后再办理。"


@retried
def answer(finding_id: int, outcome: str, *, reason: str, by: str, seen: int | None = None) -> None:
    """Judge a finding; withheld or disallowed also keeps its meal's subsidy out of the claim.

    A meal of an earlier claim that is disallowed is excluded by a counter-transfer: a line below zero in the next
    claim (ruling 11).

    seen  the newest answer that the person's page knew of: a later one to this finding is a conflict

    Raises NoFinding, Invalid, NeedsReason, MoveNotOpen, SamePerson, Answered, NothingToWithhold, ClaimedBefore, WithheldAnswered.
    """
    _check_outcome(outcome, reason)
    reason = reason.strip()
    with transaction() as session:
        finding, sale, claim, gate = _lock_finding(session, finding_id)
        not_own(session, claim, sale, by)
        last = _newest_answer(session, finding_id)
        if last is not None and seen is not None and last.id > seen:
            raise Answered
        _check_answerable(finding, outcome)
        number = _record_answer(session, claim, finding, 1 if last is None else last.n + 1, outcome, reason, by)
        if sale is None or (
            outcome == "disallowed" and _unproven(finding) and not withheld_meals.open_shares(session, sale.id)
        ):
            return  # no meal is concerned, or nothing of it is claimed and it stays so
        if _in_claim(session, claim, sale):
            withheld_meals.match_latest_answer(session, claim, gate, sale, outcome, reason, by, number)
            _disallow_differences(session, claim, sale, outcome, f"event:{number}")
        elif outcome == "withheld":
            raise ClaimedBefore
        elif outcome == "disallowed":
            _exclude(session, claim, sale, finding)


def _lock_finding(session: Session, finding_id: int) -> tuple[Finding, Sale | None, Claim, Period]:
    """Lock, in the order of all locks, the gate, the eater and the claim of a finding. Raises NoFinding, MoveNotOpen."""
    finding = session.get(Finding, finding_id)
    if finding is None:
        raise NoFinding
    claim = session.execute(select(Claim).where(Claim.period_id == finding.period_id)).scalar_one()
    gate = _claim_gate(session, claim)
    sale = session.get_one(Sale, finding.sale_id) if finding.sale_id else None
    lock_eaters(session, [] if sale is None else [sale])
    return finding, sale, open_claim(session, claim.id), gate


def _newest_answer(session: Session, finding_id: int) -> FindingAnswer | None:
    query = select(FindingAnswer).where(FindingAnswer.finding_id == finding_id).order_by(FindingAnswer.n.desc())
    return session.execute(query.limit(1)).scalar_one_or_none()


def _record_answer(session: Session, claim: Claim, finding: Finding, n: int, outcome: str, reason: str, by: str) -> int:
    """Store the n-th answer to a finding and its event; returns the event's number."""
    body = {"finding": finding.id, "outcome": outcome}
    number = events.record(session, "finding.answer", f"claim:{claim.number}", by=by, body=body)
    session.add(
        FindingAnswer(
            finding_id=finding.id, n=n, outcome=outcome, reason=reason, by=by, at=clock.now(), recorded=number
        )
    )
    return number


def _exclude(session: Session, claim: Claim, sale: Sale, finding: Finding) -> None:
    """Exclude by counter-transfers what an earlier claim includes of a disallowed meal. Raises NothingToWithhold."""
    moves = list(_exclude_moves(session, sale, finding))
    moves += adjustments.struck(session, sale, finding.code, f"finding:{finding.id}")
    if not moves:
        raise withheld_meals.NothingToWithhold
    transfers.post(session, gate_of(session, claim, sale), moves)


@retried
def withhold(claim_id: int, sale_id: uuid.UUID, outcome: str, *, reason: str, by: str) -> None:
    """Keep a meal's subsidy out of a claim, withheld for now or disallowed; once only. Raises as `answer` does."""
    _check_outcome(outcome, reason)
    with transaction() as session:
        found = session.get(Claim, claim_id)
        sale = session.get(Sale, sale_id)
        if found is None or sale is None:
            raise claims.NoClaim
        gate = _claim_gate(session, found)
        lock_eaters(session, [sale])
        claim = open_claim(session, claim_id)
        not_own(session, claim, sale, by)
        if not _in_claim(session, claim, sale):
            raise withheld_meals.NothingToWithhold
        if withheld_meals.of_sale(session, claim, sale):
            raise Answered("这笔就餐刚由他人处理过，请查看最新结论后再办理。")
        body = {"sale": str(sale_id), "outcome": outcome}
        number = events.record(session, "sale.withhold", f"claim:{claim.number}", by=by, body=body)
        withheld_meals.match_latest_answer(session, claim, gate, sale, outcome, reason.strip(), by, number)
        _disallow_differences(session, claim, sale, outcome, f"event:{number}")


@retried
def clear(withheld_id: int, outcome: str, *, reason: str, by: str) -> None:
    """Release a withheld or disallowed meal to the next claim, or disallow a withheld one for good; by another person.

    Raises NoWithheld, WithheldAnswered, SamePerson, NeedsReason, Invalid.
    """
    if outcome not in {"released", "disallowed"}:
        raise Invalid
    reason = reason_given(reason, "请写明放行或核减的依据（至少 4 个字）。")
    with transaction() as session:
        withheld = session.get(WithheldMeal, withheld_id)
        if withheld is None:
            raise NoWithheld
        found = session.get_one(Claim, withheld.claim_id)
        gate = _claim_gate(session, found)
        lock_eaters(session, [session.get_one(Sale, withheld.sale_id)])
        claim = claims.locked(session, withheld.claim_id)
        body = {"withheld": withheld_id, "outcome": outcome}
        number = events.record(session, f"withheld.{outcome}", f"claim:{claim.number}", by=by, body=body)
        withheld_meals.answer(session, withheld, gate, outcome, reason, by, number)
        _disallow_differences(session, found, session.get_one(Sale, withheld.sale_id), outcome, f"event:{number}")


def _check_answerable(finding: Finding, outcome: str) -> None:
    """Refuse an answer that a finding of this kind cannot have. Raises Invalid."""
    if outcome != "accepted" and finding.code == "revaluation":
        raise Invalid("重估后应付上升的就餐按规定不向老人追缴，也未调整资金；确认知悉即可，需要追回的请另行办理。")
    if outcome == "accepted" and _unproven(finding):
        raise Invalid("这笔就餐的补贴尚未计入申报；核实无误请办理放行，使补贴计入下一期申报。")
    if outcome != "accepted" and finding.sale_id is None:
        raise Invalid("这条事项不对应单笔就餐，只能确认无误，或退回申报。")


def _unproven(finding: Finding) -> bool:
    return releasable(finding.code, json.loads(finding.body), finding.fen)


def releasable(code: str, body: Mapping[str, object], fen: Fen) -> bool:
    """Tell whether a finding's meal claims nothing for want of proof, so that a reviewer may release its subsidy."""
    flags = body.get("flags")
    not_logged_in = code == "seller" and isinstance(flags, list) and NOT_LOGGED_IN in flags
    return fen > 0 and (code == "self_dated" or not_logged_in)


def grantable(code: str, body: Mapping[str, object], fen: Fen) -> bool:
    """Tell whether a reviewer may give the meal of a finding a benefit that was not granted when it arrived."""
    return code == "excess_slot" or releasable(code, body, fen)


def _check_outcome(outcome: str, reason: str) -> None:
    if outcome not in OUTCOMES:
        raise Invalid
    if outcome != "accepted":
        reason_given(reason, "暂缓或核减须写明原因（至少 4 个字）。")


def _claim_gate(session: Session, claim: Claim) -> Period:
    """Lock the open period that counter-transfers are booked to: the first of all locks."""
    return periods.gate(session, session.get_one(Contract, claim.contract_id), claim.to_day)


def gate_of(session: Session, claim: Claim, sale: Sale) -> Period:
    return periods.gate(session, session.get_one(Contract, claim.contract_id), sale.service_day)


def lock_disallowed_meals(session: Session, claim_id: int) -> None:
    """Lock the eaters of a claim's disallowed meals, before the claim: its approval moves their money."""
    disallowed_sales = select(WithheldMeal.sale_id).where(
        WithheldMeal.claim_id == claim_id, WithheldMeal.outcome == "disallowed"
    )
    lock_eaters(session, session.execute(select(Sale).where(Sale.id.in_(disallowed_sales))).scalars().all())


def lock_eaters(session: Session, meals: Sequence[Sale]) -> None:
    """Lock whose meals these are, before the claim, so that no void and no revaluation moves their money meanwhile."""
    lock_sale_parties(session, meals)
    slots.lock_names(session, [meal.id for meal in meals if meal.elder_id is None], {}, 0)


def open_claim(session: Session, claim_id: int) -> Claim:
    """Lock and return the claim. Raises MoveNotOpen when it is determined already."""
    claim = claims.locked(session, claim_id)
    if claims.state(session, claim_id) not in OPEN_STATES:
        raise MoveNotOpen("这份申报已核定，不能再改核实结论；需要更正请先退回。")
    return claim


def _in_claim(session: Session, claim: Claim, sale: Sale) -> bool:
    """Tell whether the sale's subsidy was booked to the claim's period."""
    query = select(Transfer.id).where(
        Transfer.sale_id == sale.id, Transfer.movement == "meal", Transfer.period_id == claim.period_id
    )
    return session.execute(query.limit(1)).first() is not None


def not_own(session: Session, claim: Claim, sale: Sale | None, by: str) -> None:
    """Refuse whoever submitted the claim or sold the meal to judge it. Raises SamePerson."""
    if humans.same(session, by, claims.actors_by_move(session, claim.id)["submit"]):
        raise SamePerson("这份申报是您申报的，核实须由另一人办理。")
    if sale is not None and humans.same(session, by, {sale.cashier_id}):
        raise SamePerson("这笔就餐是您收银的，核实须由另一人办理。")


def _disallow_differences(session: Session, claim: Claim, sale: Sale, outcome: str, cause: str) -> None:
    """Take out of the claim what revaluations booked of a meal that is disallowed."""
    if outcome == "disallowed":
        moves = list(adjustments.struck(session, sale, "disallowed", cause))
        transfers.post(session, gate_of(session, claim, sale), moves)


def _exclude_moves(session: Session, sale: Sale, finding: Finding) -> Iterator[Move]:
    """Move open -> excluded a meal of an earlier claim: the next claim takes it back."""
    for (fund, share_n), fen in sorted(withheld_meals.open_shares(session, sale.id).items()):
        yield Move(
            fund, "open", "excluded", fen, "verdict", finding.code, f"finding:{finding.id}", sale.service_day, sale.id,
            share_n,
        )  # fmt: skip
