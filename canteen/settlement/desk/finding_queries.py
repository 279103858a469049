"""Read the findings of a claim with their newest answers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from canteen import names
from canteen.money import Fen
from canteen.settlement import labels
from canteen.settlement.models import Claim, Finding, FindingAnswer


@dataclass(frozen=True, slots=True)
class FindingRow:
    """A finding with the newest answer and its id; outcome '' and 0 while nobody answered."""

    id: int
    code: str
    subject: str
    sale: uuid.UUID | None
    fen: Fen
    body: dict[str, Any]
    outcome: str
    reason: str
    by: str
    answer: int


@dataclass(frozen=True, slots=True)
class FindingGroup:
    """The number of findings of one code, and of those that wait for an answer."""

    code: str
    count: int
    unanswered: int


def groups(session: Session, claim: Claim) -> list[FindingGroup]:
    """Count the findings of a claim's period by code; missing numbers are sent or declared lost: no answer is awaited."""
    answered = select(FindingAnswer.id).where(FindingAnswer.finding_id == Finding.id).exists()
    waits = case((or_(Finding.code == "gap", answered), 0), else_=1)
    query = (
        select(Finding.code, func.count(), func.sum(waits))
        .where(Finding.period_id == claim.period_id)
        .group_by(Finding.code)
        .order_by(Finding.code)
    )
    return [FindingGroup(code, count, int(waiting)) for code, count, waiting in session.execute(query)]


def findings(
    session: Session, claim: Claim, *, only: Collection[int] | None = None, after: int = 0, most: int | None = None
) -> list[FindingRow]:
    """Read the findings of a claim's period with their newest answers, in the order of the close.

    only   ids to read of them; None for all
    after  the id after which to begin
    most   how many to read; None for all
    """
    newest = (
        select(func.max(FindingAnswer.n))
        .where(FindingAnswer.finding_id == Finding.id)
        .correlate(Finding)
        .scalar_subquery()
    )
    query = (
        select(
            Finding.id, Finding.code, Finding.subject, Finding.sale_id, Finding.fen, Finding.body,
            FindingAnswer.outcome, FindingAnswer.reason, FindingAnswer.by, FindingAnswer.recorded, FindingAnswer.id,
        )
        .outerjoin(FindingAnswer, (FindingAnswer.finding_id == Finding.id) & (FindingAnswer.n == newest))
        .where(Finding.period_id == claim.period_id)
        .where(Finding.id > after, *([] if only is None else [Finding.id.in_(only)]))
        .order_by(Finding.id)
        .limit(most)
    )  # fmt: skip
    rows = session.execute(query).all()
    staff = names.of(session, "person", {row[7] for row in rows if row[7]})
    return [
        FindingRow(
            number,
            code,
            subject,
            sale,
            fen,
            _figures_of(code, body),
            outcome or "",
            reason or "",
            staff.at(by, recorded) if by else "",
            answer or 0,
        )
        for number, code, subject, sale, fen, body, outcome, reason, by, recorded, answer in rows
    ]


def _figures_of(code: str, body: str) -> dict[str, Any]:
    """Read the figures of a finding; those of a budget or of days also as a sentence, for pages and files."""
    found: dict[str, Any] = json.loads(body)
    said = {"prorated": labels.prorated, "day_provisional": labels.provisional}.get(code)
    return found | {"said": said(found)} if said else found
