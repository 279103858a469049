"""Read claims: their state, amounts by line, and who did what."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen.errors import Conflict, Forbidden, Invalid, Missing
from canteen.ledger.models import Transfer
from canteen.money import Fen
from canteen.settlement.claims import steps
from canteen.settlement.models import Claim, ClaimLine, Decision, Finding, FindingAnswer, Payout, WithheldMeal

FEWEST = 4  # characters of a reason
MOST = 500


class NoClaim(Missing):
    code = "claim_not_found"
    message = "没有找到这份申报，请核对后再试。"


class MoveNotOpen(Conflict):
    code = "move_not_open"
    message = "这份申报现在不能办理此步骤，请刷新后查看。"


class SamePerson(Forbidden):
    code = "same_person"
    message = "经办与复核须为不同的人，请另一位同事办理。"


class NeedsReason(Invalid):
    code = "needs_reason"
    message = "请写明原因（至少 4 个字）。"


def reason_given(text: str, message: str) -> str:
    """Return the reason, trimmed. Raises NeedsReason saying `message` when it is too short or too long."""
    if len(text.strip()) < FEWEST:
        raise NeedsReason(message)
    if len(text.strip()) > MOST:
        raise NeedsReason(f"原因最多 {MOST} 字，请写得简短些。")
    return text.strip()


@dataclass(frozen=True, slots=True)
class LineAmounts:
    """A line with what was kept out of it: claimed = approved + withheld + disallowed."""

    n: int
    kind: str
    fund: str
    service_month: str
    origin: str
    meals: int
    persons: int
    fen: Fen
    withheld: Fen
    disallowed: Fen

    @property
    def approved(self) -> Fen:
        return self.fen - self.withheld - self.disallowed


def of_number(session: Session, number: str) -> Claim:
    """Return the claim of this number. Raises NoClaim."""
    found = session.execute(select(Claim).where(Claim.number == number)).scalar_one_or_none()
    if found is None:
        raise NoClaim
    return found


def locked(session: Session, claim_id: int) -> Claim:
    """Lock the claim's row to the end of the transaction, so that its state cannot change meanwhile. Raises NoClaim."""
    found = session.execute(
        select(Claim).where(Claim.id == claim_id).with_for_update().execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if found is None:
        raise NoClaim
    return found


def decisions(session: Session, claim_id: int) -> list[Decision]:
    """Return all moves of a claim, first to last."""
    return list(session.execute(select(Decision).where(Decision.claim_id == claim_id).order_by(Decision.n)).scalars())


def state(session: Session, claim_id: int) -> str:
    """Return the state that the last decision led to; 'draft' before the first."""
    query = select(Decision.to_state).where(Decision.claim_id == claim_id).order_by(Decision.n.desc()).limit(1)
    return session.execute(query).scalar_one_or_none() or steps.START


def actors_by_move(session: Session, claim_id: int) -> dict[str, set[str]]:
    """Return who did which act on a claim, over all its rounds, payouts included: act -> accounts."""
    entered = session.execute(select(Payout.entered_by).where(Payout.claim_id == claim_id)).scalars()
    return by_move(decisions(session, claim_id), entered)


def by_move(made: Iterable[Decision], entered: Iterable[str]) -> dict[str, set[str]]:
    """Name the accounts behind each act of a claim, of its decisions and of those who entered its payouts."""
    done: dict[str, set[str]] = defaultdict(set)
    for decision in made:
        done[decision.move].add(decision.by)
    for by in entered:
        done["enter"].add(by)
    return done


def judges(session: Session, claim_id: int) -> set[str]:
    """Return who judged findings or single meals of a claim."""
    answers = (
        select(FindingAnswer.by)
        .join(Finding, Finding.id == FindingAnswer.finding_id)
        .join(Claim, Claim.period_id == Finding.period_id)
        .where(Claim.id == claim_id)
    )
    kept = select(WithheldMeal.by).where(WithheldMeal.claim_id == claim_id)
    return {by for query in (answers, kept) for by in session.execute(query.distinct()).scalars()}


def lines(session: Session, claim_id: int) -> list[LineAmounts]:
    """Return the lines of a claim with what is withheld and disallowed of each."""
    kept: dict[tuple[int, str], Fen] = defaultdict(int)
    out = select(WithheldMeal.line_n, WithheldMeal.outcome, func.sum(WithheldMeal.fen)).where(
        WithheldMeal.claim_id == claim_id
    )
    for n, outcome, fen in session.execute(out.group_by(WithheldMeal.line_n, WithheldMeal.outcome)):
        kept[n, outcome] = int(fen)
    rows = session.execute(select(ClaimLine).where(ClaimLine.claim_id == claim_id).order_by(ClaimLine.n)).scalars()
    return [
        LineAmounts(
            row.n, row.kind, row.fund, row.service_month, row.origin, row.meals, row.persons, row.fen,
            kept[row.n, "withheld"], kept[row.n, "disallowed"],
        )
        for row in rows
    ]  # fmt: skip


def unanswered(session: Session, period_id: int) -> int:
    """Count the findings of a period that nobody judged yet; gaps and forks are settled by filling them."""
    query = (
        select(func.count())
        .select_from(Finding)
        .outerjoin(FindingAnswer, FindingAnswer.finding_id == Finding.id)
        .where(Finding.period_id == period_id, Finding.code != "gap", FindingAnswer.id.is_(None))
    )
    return session.execute(query).scalar_one()


def claim_of_sale(session: Session, sale_id: uuid.UUID) -> Claim | None:
    """Return the claim that a sale's subsidy was booked to, once its period is closed."""
    return session.execute(
        select(Claim)
        .join(Transfer, Transfer.period_id == Claim.period_id)
        .where(Transfer.sale_id == sale_id, Transfer.movement == "meal")
        .limit(1)
    ).scalar_one_or_none()
