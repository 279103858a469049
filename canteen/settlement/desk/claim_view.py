"""Decide what the page of one claim shows to one reader: which moves are theirs, which are ready, and why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from canteen.auth import humans
from canteen.auth.guard import Permission
from canteen.keyset import reader
from canteen.money import Fen
from canteen.settlement.claims import claims, missing_records, payouts, steps
from canteen.settlement.claims.claims import LineAmounts
from canteen.settlement.claims.missing_records import Gap, Silent
from canteen.settlement.claims.payouts import PayoutStatus
from canteen.settlement.claims.steps import WorkflowSteps
from canteen.settlement.closing import adjustments
from canteen.settlement.desk import claim_queries, claim_summary, finding_queries
from canteen.settlement.desk.claim_queries import Step
from canteen.settlement.desk.claim_summary import About
from canteen.settlement.labels import say
from canteen.settlement.models import Claim

BEFORE_SUBMISSION = ("draft", "returned")
FINISHED = {
    "paid": "已拨付，办理完毕。",
    "settled": "核定金额为零，无需拨付。",
    "carried": "核定金额低于零，将在下一期申报中抵减。",
}


@dataclass(frozen=True, slots=True)
class Viewer:
    """The reader of a claim: their id, what they may do at its contract, and whether they see why (rulings 12 and 14)."""

    person: str
    may: Callable[[Permission], bool]
    judges: bool
    insider: bool


@dataclass(frozen=True, slots=True)
class MoveChoice:
    """A move that the reader's rights open. `blocked_by` names their own earlier act that forbids it, '' where none does.

    ready   whether it may be made now: no number missing, no finding unanswered
    amount  what it would approve, shown on the button; None for a submission and a return
    """

    move: str
    blocked_by: str
    ready: bool
    amount: Fen | None


@dataclass(frozen=True, slots=True)
class MissingRun:
    """A run of missing numbers, and the other claims whose submission waits for it."""

    gap: Gap
    others: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClaimView:
    """One claim as its page shows it to one reader. `note` is said where nothing is theirs to do."""

    about: About
    state: str
    digest: str
    lines: list[LineAmounts]
    approved: Fen
    notices: Mapping[str, str]
    history: list[Step]
    payouts: list[PayoutStatus]
    findings: list[finding_queries.FindingGroup]
    moves: list[MoveChoice]
    waits_for_answers: int  # findings that must be answered before the claim passes; 0 where it waits for none
    asks_for_answer: bool  # it was returned: whoever submits it again says what was done about the reason
    note: str
    missing: list[MissingRun]
    quarantined: int
    silent: list[Silent]
    may_export: bool
    may_enter: bool
    may_answer: bool
    insider: bool


def of(
    claim: Claim, viewer: Viewer, workflow_steps: WorkflowSteps, open_moves: Callable[[str], Sequence[str]]
) -> ClaimView:
    """Read a claim and decide what `viewer` sees of it; `open_moves` names those that their rights open in a state."""
    with reader() as session:
        decided = claims.decisions(session, claim.id)
    state = decided[-1].to_state if decided else steps.START
    moves = open_moves(state)
    owed = missing_records.owed(claim) if state in BEFORE_SUBMISSION else missing_records.NOTHING
    with reader() as session:
        lines, paid = claims.lines(session, claim.id), payouts.of_claim(session, claim.id)
        actors = claims.by_move(decided, (one.payout.entered_by for one in paid))
        blocked_by = _blocked_by(session, actors, viewer.person, workflow_steps, moves)
        spans = [(gap.tablet, gap.span) for gap in owed.missing]
        waiting = missing_records.claims_waiting_between(session, spans)
        about, history = claim_summary.about(session, claim, state), claim_queries.steps_of(session, decided)
        findings = finding_queries.groups(session, claim)
    missing = [
        MissingRun(gap, tuple(other for other in others if other != claim.number))
        for gap, others in zip(owed.missing, waiting, strict=True)
    ]
    notices = adjustments.titles() if any(line.kind == "revaluation" for line in lines) else {}
    approved, unanswered = sum(line.approved for line in lines), sum(group.unanswered for group in findings)
    waits_for_answers = unanswered if state == "submitted" else 0
    return ClaimView(
        about=about,
        state=state,
        digest=claim.statement_hash,
        lines=lines,
        approved=approved,
        notices=notices,
        history=history,
        payouts=paid,
        findings=findings,
        moves=[
            MoveChoice(
                move,
                blocked_by[move],
                ready=move == "return" or not (missing if move == "submit" else waits_for_answers),
                amount=approved if move in workflow_steps.order[1:] else None,
            )
            for move in moves
        ],
        waits_for_answers=waits_for_answers,
        asks_for_answer=state == steps.RETURNED,
        note=FINISHED.get(state, f"目前{say('state', state)}，没有需要您办理的事项。"),
        missing=missing,
        quarantined=owed.quarantined,
        silent=owed.silent,
        may_export=viewer.may(Permission.EXPORT),
        may_enter=state == "approved" and viewer.may(Permission.PAY_ENTER),
        may_answer=viewer.judges and unanswered > 0,
        insider=viewer.insider,
    )


def _blocked_by(
    session: Session,
    actors: Mapping[str, set[str]],
    person: str,
    workflow_steps: WorkflowSteps,
    moves: Sequence[str],
) -> dict[str, str]:
    """Name for each move the first of the person's own earlier acts that must be kept apart from it; '' for none."""
    theirs = humans.accounts(session, person) if moves else set()

    def made(act: str) -> bool:
        return not theirs.isdisjoint(actors.get(act, ()))

    return {move: next(filter(made, sorted(workflow_steps.conflicting_moves(move))), "") for move in moves}
