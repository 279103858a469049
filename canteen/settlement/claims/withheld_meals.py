"""Keep a meal's shares out of a claim: the rows that withhold them, their answers, and the transfers of both."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, keyset
from canteen.auth import humans
from canteen.errors import Conflict
from canteen.ledger import transfers
from canteen.ledger.models import FIRST_DIFFERENCE_SHARE, Period, Transfer
from canteen.ledger.queries import net, with_ends
from canteen.ledger.transfers import Move
from canteen.money import Fen
from canteen.pos.models import Sale, Void
from canteen.settlement.claims.claims import SamePerson
from canteen.settlement.closing import adjustments, lines
from canteen.settlement.models import BenefitReallocation, Claim, ClaimLine, WithheldAnswer, WithheldMeal


class NothingToWithhold(Conflict):
    code = "nothing_to_withhold"
    message = "这笔就餐在本申报中已没有补贴金额（未享受、已撤单或已处理）。"


class WithheldAnswered(Conflict):
    code = "withheld_answered"
    message = "这笔暂缓已经处理过，或已撤单自动冲抵。"


def match_latest_answer(
    session: Session, claim: Claim, gate: Period, sale: Sale, outcome: str, reason: str, by: str, number: int
) -> None:
    """Make the withheld shares of one meal match the latest answer."""
    withheld_before = of_sale(session, claim, sale)
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
        answer(session, withheld, gate, wanted, reason, by, number)


def of_sale(session: Session, claim: Claim, sale: Sale) -> list[WithheldMeal]:
    """Return the shares of a meal that were ever kept out of the claim."""
    query = select(WithheldMeal).where(WithheldMeal.claim_id == claim.id, WithheldMeal.sale_id == sale.id)
    return list(session.execute(query.order_by(WithheldMeal.id)).scalars())


def _withhold_shares(
    session: Session, claim: Claim, sale: Sale, outcome: str, reason: str, by: str, number: int
) -> None:
    if session.get(BenefitReallocation, sale.id) is not None:  # its money is not in this claim but in a later one
        raise NothingToWithhold("这笔就餐的补贴经审核补入，计入后期申报，在本申报中不能暂缓或核减。")
    open_fen = open_shares(session, sale.id)
    if not open_fen or session.execute(select(Void.id).where(Void.sale_id == sale.id)).first():
        raise NothingToWithhold
    for (fund, share_n), fen in sorted(open_fen.items()):
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


def answer(
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


def open_shares(session: Session, sale_id: uuid.UUID) -> dict[tuple[str, int], Fen]:
    """Return the fen of a sale's shares that are in `open`, by (fund, share)."""
    return dict(open_by_share(session, [sale_id]).get(sale_id, ()))


def open_by_share(
    session: Session, sale_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, list[tuple[tuple[str, int], Fen]]]:
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
