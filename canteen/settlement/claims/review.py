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

from canteen import clock, events, keyset
from canteen.auth import humans
from canteen.db import retried, transaction
from canteen.errors import Conflict, Invalid, Missing
from canteen.ledger import periods, transfers
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Period, Transfer
from canteen.ledger.queries import net, with_ends
from canteen.ledger.transfers import Move
from canteen.money import Fen
from canteen.places import Contract
from canteen.pos import slots
from canteen.pos.flags import NOT_LOGGED_IN
from canteen.pos.models import Sale, Void
from canteen.pos.sale_locks import lock_sale_parties
from canteen.settlement.claims import claims
from canteen.settlement.claims.claims import MoveNotOpen, SamePerson, reason_given
from canteen.settlement.closing import adjustments, lines
from canteen.settlement.models import (
    BenefitReallocation,
    Claim,
    ClaimLine,
    Finding,
    FindingAnswer,
    WithheldAnswer,
    WithheldMeal,
)

OPEN_STATES = ("draft", "returned", "submitted", "reviewed")  # a claim's meals are judged until it is determined
OUTCOMES = ("accepted", "withheld", "disallowed")


class NoFinding(Missing):
    code = "finding_not_found"
    message = "没有找到这条待核实事项，请刷新后再试。"


class NoWithheld(Missing):
    code = "withheld_not_found"
    message = "没有找到这笔暂缓记录，请刷新后再试。"


class NothingToWithhold(Conflict):
    code = "nothing_to_withhold"
    message = "这笔就餐在本申报中已没有补贴金额（未享受、已撤单或已处理）。"


class ClaimedBefore(Conflict):
    code = "claimed_before"
    message = "这笔就餐属于以前的申报，不能暂缓，只能核减（在下期冲减）或确认无误。"


class WithheldAnswered(Conflict):
    code = "withheld_answered"
    message = "这笔暂缓已经处理过，或已撤单自动冲抵。"


class Judged(Conflict):
    code = "judged_meanwhile"
    message = "这条事项刚由他人核实过，请查看最新结论后再办理。"


@retried
def answer(finding_id: int, outcome: str, *, reason: str, by: str, seen: int | None = None) -> None:
    """Judge a finding; withheld or disallowed also keeps its meal's subsidy out of the claim.

    A meal of an earlier claim that is disallowed is excluded by a counter-transfer: a line below zero in the next
    claim (ruling 11).

    seen  the newest answer that the person's page knew of: a later one to this finding is a conflict

    Raises NoFinding, Invalid, NeedsReason, MoveNotOpen, SamePerson, Judged, NothingToWithhold, ClaimedBefore, WithheldAnswered.
    """
    _check_outcome(outcome, reason)
    reason = reason.strip()
    with transaction() as session:
        finding, sale, claim, gate = _lock_finding(session, finding_id)
        not_own(session, claim, sale, by)
        last = _newest_answer(session, finding_id)
        if last is not None and seen is not None and last.id > seen:
            raise Judged
        _check_answerable(finding, outcome)
        number = _record_answer(session, claim, finding, 1 if last is None else last.n + 1, outcome, reason, by)
        if sale is None or (outcome == "disallowed" and _unproven(finding) and not open_shares(session, sale.id)):
            return  # no meal is concerned, or nothing of it is claimed and it stays so
        if _in_claim(session, claim, sale):
            _match_latest_answer(session, claim, gate, sale, outcome, reason, by, number)
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
        raise NothingToWithhold
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
            raise NothingToWithhold
        if _withheld_of(session, claim, sale):
            raise Judged("这笔就餐刚由他人处理过，请查看最新结论后再办理。")
        body = {"sale": str(sale_id), "outcome": outcome}
        number = events.record(session, "sale.withhold", f"claim:{claim.number}", by=by, body=body)
        _match_latest_answer(session, claim, gate, sale, outcome, reason.strip(), by, number)
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
        _answer_withheld(session, withheld, gate, outcome, reason, by, number)
        _disallow_differences(session, found, session.get_one(Sale, withheld.sale_id), outcome, f"event:{number}")


def disallowed(session: Session, claim: Claim, cause: str) -> Iterator[Move]:
    """Move open -> disallowed each meal that a claim's reviewers disallowed and that is not voided or released."""
    rows = session.execute(
        select(WithheldMeal)
        .outerjoin(WithheldAnswer, WithheldAnswer.withheld_id == WithheldMeal.id)
        .where(
            WithheldMeal.claim_id == claim.id,
            WithheldMeal.outcome == "disallowed",
            WithheldAnswer.withheld_id.is_(None),
        )
        .order_by(WithheldMeal.id)
    ).scalars()
    for withheld in rows:
        yield from _disallow_moves(session, withheld, cause)


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


def _match_latest_answer(
    session: Session, claim: Claim, gate: Period, sale: Sale, outcome: str, reason: str, by: str, number: int
) -> None:
    """Make the withheld shares of one meal match the latest answer."""
    withheld_before = _withheld_of(session, claim, sale)
    if not withheld_before and outcome != "accepted":
        _withhold_shares(session, claim, sale, outcome, reason, by, number)
    wanted = "released" if outcome == "accepted" else outcome
    for withheld in withheld_before:
        answered = session.get(WithheldAnswer, withheld.id)
        if (answered.outcome if answered else withheld.outcome) == wanted:
            continue
        if answered is not None:
            raise WithheldAnswered
        if wanted == "withheld":
            raise WithheldAnswered("这笔已核减，不能改为暂缓；如核减有误，可由另一人放行。")
        _answer_withheld(session, withheld, gate, wanted, reason, by, number)


def _withheld_of(session: Session, claim: Claim, sale: Sale) -> list[WithheldMeal]:
    query = select(WithheldMeal).where(WithheldMeal.claim_id == claim.id, WithheldMeal.sale_id == sale.id)
    return list(session.execute(query.order_by(WithheldMeal.id)).scalars())


def not_own(session: Session, claim: Claim, sale: Sale | None, by: str) -> None:
    """Refuse whoever submitted the claim or sold the meal to judge it. Raises SamePerson."""
    if humans.same(session, by, claims.actors_by_move(session, claim.id)["submit"]):
        raise SamePerson("这份申报是您申报的，核实须由另一人办理。")
    if sale is not None and humans.same(session, by, {sale.cashier_id}):
        raise SamePerson("这笔就餐是您收银的，核实须由另一人办理。")


def _withhold_shares(
    session: Session, claim: Claim, sale: Sale, outcome: str, reason: str, by: str, number: int
) -> None:
    if session.get(BenefitReallocation, sale.id) is not None:  # its money is not in this claim but in a later one
        raise NothingToWithhold("这笔就餐的补贴经审核补入，计入后期申报，在本申报中不能暂缓或核减。")
    standing = open_shares(session, sale.id)
    if not standing or session.execute(select(Void.id).where(Void.sale_id == sale.id)).first():
        raise NothingToWithhold
    for (fund, share_n), fen in sorted(standing.items()):
        session.add(
            WithheldMeal(
                claim_id=claim.id,
                line_n=_line_of(session, claim, sale, fund),
                sale_id=sale.id,
                share_n=share_n,
                fen=fen,
                outcome=outcome,
                reason=reason,
                by=by,
                at=clock.now(),
                recorded=number,
            )
        )
    session.flush()


def open_shares(session: Session, sale_id: uuid.UUID) -> dict[tuple[str, int], Fen]:
    """Return the fen of a sale's shares that are in `open`, by (fund, share)."""
    return dict(standing(session, [sale_id]).get(sale_id, ()))


def standing(session: Session, sale_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[tuple[tuple[str, int], Fen]]]:
    """Return of each sale as sold its ((fund, share), fen) in `open`; approvals move sums, so they do not show here."""
    rows = session.execute(
        with_ends(select(Transfer.sale_id, Transfer.fund, Transfer.share_n, net("open")))
        .where(keyset.among(Transfer.sale_id, sale_ids), Transfer.share_n < FIRST_DIFFERENCE_SHARE)
        .where(Transfer.movement.in_((*lines.CLAIMABLE, "disallow")))
        .group_by(Transfer.sale_id, Transfer.fund, Transfer.share_n)
        .order_by(Transfer.sale_id, Transfer.fund, Transfer.share_n)
    )
    found: dict[uuid.UUID, list[tuple[tuple[str, int], Fen]]] = {}
    for sale, fund, share_n, fen in rows:
        if sale is not None and fen:
            found.setdefault(sale, []).append(((fund, share_n or 0), int(fen)))
    return found


def _line_of(session: Session, claim: Claim, sale: Sale, fund: str) -> int:
    """Return the number of the claim's line that includes this meal's money from a fund."""
    kind = "meals" if sale.service_day >= claim.from_day else "supplement"
    query = select(ClaimLine.n).where(
        ClaimLine.claim_id == claim.id,
        ClaimLine.kind == kind,
        ClaimLine.fund == fund,
        ClaimLine.service_month == sale.service_month,
    )
    if kind == "supplement":
        origin = lines.Origins(claim.contract_id).of_day(sale.service_day)
        query = query.where(ClaimLine.origin == origin)
    return session.execute(query).scalar_one()


def _answer_withheld(
    session: Session, withheld: WithheldMeal, gate: Period, outcome: str, reason: str, by: str, number: int
) -> None:
    if outcome == "released" and humans.same(session, by, {withheld.by}):
        raise SamePerson("这笔是您暂缓或核减的，放行须由另一人办理。")
    voided = session.execute(select(Void.id).where(Void.sale_id == withheld.sale_id)).first()
    if withheld.outcome == outcome or voided or session.get(WithheldAnswer, withheld.id):
        raise WithheldAnswered
    if withheld.outcome == "disallowed" and adjustments.any_of(session, withheld.sale_id):
        raise WithheldAnswered("这笔就餐核减后又有重估，不能放行；请按重估结果另行办理。")
    session.add(
        WithheldAnswer(withheld_id=withheld.id, outcome=outcome, reason=reason, by=by, at=clock.now(), recorded=number)
    )
    session.flush()
    if outcome == "disallowed":
        transfers.post(session, gate, list(_disallow_moves(session, withheld, f"withheld:{withheld.id}")))
    elif withheld.outcome == "disallowed":
        transfers.post(session, gate, list(_release_moves(session, withheld, reason)))


def _release_moves(session: Session, withheld: WithheldMeal, reason: str) -> Iterator[Move]:
    """Move disallowed -> open a meal that was disallowed and whose claim was approved without it."""
    rows = session.execute(
        with_ends(select(Transfer.fund, Transfer.service_day, net("disallowed")))
        .where(
            Transfer.sale_id == withheld.sale_id, Transfer.share_n == withheld.share_n, Transfer.movement == "disallow"
        )
        .group_by(Transfer.fund, Transfer.service_day)
    )
    for fund, day, fen in rows:
        if fen:
            yield Move(
                fund,
                "disallowed",
                "open",
                int(fen),
                "disallow",
                reason,
                f"withheld:{withheld.id}",
                day,
                withheld.sale_id,
                withheld.share_n,
            )


def _disallow_differences(session: Session, claim: Claim, sale: Sale, outcome: str, cause: str) -> None:
    """Take out of the claim what revaluations booked of a meal that is disallowed."""
    if outcome == "disallowed":
        moves = list(adjustments.struck(session, sale, "disallowed", cause))
        transfers.post(session, gate_of(session, claim, sale), moves)


def _disallow_moves(session: Session, withheld: WithheldMeal, cause: str) -> Iterator[Move]:
    for (fund, share_n), fen in open_shares(session, withheld.sale_id).items():
        if share_n == withheld.share_n and fen > 0:
            day = session.get_one(Sale, withheld.sale_id).service_day
            yield Move(
                fund,
                "open",
                "disallowed",
                min(fen, withheld.fen),
                "disallow",
                withheld.reason,
                cause,
                day,
                withheld.sale_id,
                share_n,
            )


def _exclude_moves(session: Session, sale: Sale, finding: Finding) -> Iterator[Move]:
    """Move open -> excluded a meal of an earlier claim: the next claim takes it back."""
    for (fund, share_n), fen in sorted(open_shares(session, sale.id).items()):
        yield Move(
            fund, "open", "excluded", fen, "verdict", finding.code, f"finding:{finding.id}", sale.service_day, sale.id,
            share_n,
        )  # fmt: skip
