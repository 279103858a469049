"""Registering a complaint, answering it within its deadline, and closing it by another than who answered.

All acts run inside the caller's transaction. The caller has checked that `by` may act at the canteen.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import ColumnElement, Select, and_, func, select
from sqlalchemy.orm import Session

from canteen import calendars, clock, events
from canteen.auth import humans
from canteen.errors import Conflict, Invalid, Missing
from canteen.places import Canteen
from canteen.registry import keys
from canteen.services.models import CATEGORIES, CHANNELS, STEPS, Complaint, ComplaintStep

ANSWER_WITHIN: Final = 5  # working days after the day a complaint came in, or was sent back
LONGEST: Final = 1000  # characters of words
OLDEST: Final = 90  # days that a complaint may have come in before it is registered
SIZE: Final = 50  # complaints on a page
WAITING: Final = ("register", "assign", "return")  # newest steps after which an answer is owed


class NoComplaint(Missing):
    code = "complaint_not_found"
    message = "没有找到这件投诉，或不在您负责的范围内。"


class BadComplaint(Invalid):
    code = "complaint_invalid"
    message = f"请选择食堂、来源和类别，填写收到日期（{OLDEST} 天以内）和投诉内容（最多 {LONGEST} 字）。"


class WordsNeeded(Invalid):
    code = "complaint_words_needed"
    message = f"请写明内容（最多 {LONGEST} 字）。"


class OutOfTurn(Conflict):
    code = "complaint_out_of_turn"
    message = "这件投诉的状态已经变了，这一步不能办理，请刷新后再看。"


class AnsweredByYou(Conflict):
    code = "complaint_two_people"
    message = "答复人不能自己办结，请由另一位工作人员办结。"


@dataclass(frozen=True, slots=True)
class NewComplaint:
    """A complaint as taken down; `contact` is how to reach the caller, '' for unknown."""

    canteen_id: str
    received_on: date
    channel: str
    category: str
    words: str
    caller_name: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A complaint with its newest step; `overdue`: an answer is owed and its last day is past."""

    complaint: Complaint
    step: ComplaintStep
    canteen: str
    overdue: bool


def register(session: Session, new: NewComplaint, *, by: str) -> int:
    """Register a complaint and return its number, counted from 1 in this installation. Raises BadComplaint."""
    today, words, name, contact = clock.today(), new.words.strip(), new.caller_name.strip(), new.contact.strip()
    if new.channel not in CHANNELS or new.category not in CATEGORIES or not 0 < len(words) <= LONGEST:
        raise BadComplaint
    if not today - timedelta(days=OLDEST) <= new.received_on <= today or len(name) > 30 or len(contact) > 60:
        raise BadComplaint
    if session.get(Canteen, new.canteen_id) is None:
        raise BadComplaint
    events.wait(session)
    number = session.execute(select(func.coalesce(func.max(Complaint.id), 0) + 1)).scalar_one()
    due = due_after(session, new.received_on)
    body = {"canteen": new.canteen_id, "due": due.isoformat()}
    recorded = events.record(session, "complaint.register", str(number), by=by, body=body)
    sealed = keys.keyring().identity.seal(contact.encode(), _about(number)) if contact else None
    session.add(
        Complaint(
            id=number,
            canteen_id=new.canteen_id,
            received_on=new.received_on,
            channel=new.channel,
            category=new.category,
            caller_name=name,
            contact_cipher=sealed,
            words=words,
            by=by,
            at=clock.now(),
            recorded=recorded,
        )
    )
    session.flush()
    _add(session, number, 1, "register", "", "", due, by, recorded)
    return number


def take_step(session: Session, number: int, kind: str, words: str, *, by: str, assignee: str = "") -> None:
    """Add a step to a complaint: 'assign', 'answer', 'return' (ask for another answer) or 'close'.

    assignee  of 'assign': the person who is to answer
    Raises NoComplaint, WordsNeeded, OutOfTurn, AnsweredByYou.
    """
    words = words.strip()
    if kind not in STEPS[1:]:
        raise OutOfTurn
    if len(words) > LONGEST or (not words and kind != "assign"):
        raise WordsNeeded
    events.wait(session)
    steps = steps_of(session, number)
    newest = steps[-1]
    if kind not in next_steps(newest.kind):
        raise OutOfTurn
    if kind == "close" and answered_by_same(session, steps, by):
        raise AnsweredByYou
    recorded = events.record(session, f"complaint.{kind}", str(number), by=by, body={"n": newest.n + 1})
    due = due_after(session, clock.today()) if kind == "return" else newest.due_on
    to = assignee if kind == "assign" else newest.assignee
    _add(session, number, newest.n + 1, kind, words, to, due, by, recorded)


def next_steps(newest: str) -> tuple[str, ...]:
    """Return which steps may follow the newest one of a complaint."""
    if newest == "close":
        return ()
    return ("return", "close") if newest == "answer" else ("assign", "answer")


def answered_by_same(session: Session, steps: Collection[ComplaintStep], by: str) -> bool:
    """Return whether the human being behind `by` gave one of the answers."""
    answerers = {step.by for step in steps if step.kind == "answer"}
    return bool(answerers) and humans.same(session, by, answerers)


def due_after(session: Session, received: date, within: int = ANSWER_WITHIN) -> date:
    """Return the last of so many working days after a day, by the bureau's calendar."""
    day = received
    while within > 0:
        day += timedelta(days=1)
        within -= calendars.kind_on(session, day) in ("workday", "makeup")
    return day


def steps_of(session: Session, number: int) -> list[ComplaintStep]:
    """Return the steps of a complaint in order, at least one. Raises NoComplaint."""
    query = select(ComplaintStep).where(ComplaintStep.complaint_id == number).order_by(ComplaintStep.n)
    found = list(session.execute(query).scalars())
    if not found:
        raise NoComplaint
    return found


def contact_of(row: Complaint) -> str:
    """Return how to reach the caller; '' where nothing was given."""
    if row.contact_cipher is None:
        return ""
    return keys.keyring().identity.open(row.contact_cipher, _about(row.id)).decode()


def standing(
    session: Session, canteens: Collection[str], state: str = "open", before: int | None = None
) -> tuple[list[Standing], int | None]:
    """Return a page of the complaints about these canteens, newest first, and the number to go on before, if any.

    state   'open', 'overdue', 'closed' or 'all'
    """
    query = _newest().where(Complaint.canteen_id.in_(canteens)).order_by(Complaint.id.desc()).limit(SIZE + 1)
    today = clock.today()
    wanted = {
        "open": ComplaintStep.kind != "close",
        "closed": ComplaintStep.kind == "close",
        "overdue": and_(ComplaintStep.kind.in_(WAITING), ComplaintStep.due_on < today),
    }
    if state in wanted:
        query = query.where(wanted[state])
    if before is not None:
        query = query.where(Complaint.id < before)
    rows = [Standing(*row, is_overdue(row[1], today)) for row in session.execute(query)]
    return rows[:SIZE], rows[SIZE - 1].complaint.id if len(rows) > SIZE else None


def one(session: Session, number: int) -> Standing:
    """Return a complaint with its newest step. Raises NoComplaint."""
    row = session.execute(_newest().where(Complaint.id == number)).one_or_none()
    if row is None:
        raise NoComplaint
    return Standing(row[0], row[1], row[2], is_overdue(row[1], clock.today()))


def overdue_counts(session: Session, canteens: Collection[str] | None = None) -> dict[str, int]:
    """Return, by canteen name, how many answers are overdue.

    canteens  only of these; None for all
    """
    query = (
        select(Canteen.name, func.count())
        .select_from(Complaint)
        .join(ComplaintStep, ComplaintStep.complaint_id == Complaint.id)
        .join(Canteen, Canteen.id == Complaint.canteen_id)
        .where(_is_newest(), ComplaintStep.kind.in_(WAITING), ComplaintStep.due_on < clock.today())
        .group_by(Canteen.name)
        .order_by(Canteen.name)
    )
    if canteens is not None:
        query = query.where(Complaint.canteen_id.in_(canteens))
    return dict(session.execute(query).all())


def is_overdue(step: ComplaintStep, today: date) -> bool:
    """Return whether an answer is owed after this newest step and its last day is past."""
    return step.kind in WAITING and step.due_on < today


def _newest() -> Select[Complaint, ComplaintStep, str]:
    return (
        select(Complaint, ComplaintStep, Canteen.name)
        .join(ComplaintStep, ComplaintStep.complaint_id == Complaint.id)
        .join(Canteen, Canteen.id == Complaint.canteen_id)
        .where(_is_newest())
    )


def _is_newest() -> ColumnElement[bool]:
    newest = select(func.max(ComplaintStep.n)).where(ComplaintStep.complaint_id == Complaint.id)
    return ComplaintStep.n == newest.correlate(Complaint).scalar_subquery()


def _add(
    session: Session, number: int, n: int, kind: str, words: str, assignee: str, due: date, by: str, recorded: int
) -> None:
    session.add(
        ComplaintStep(
            complaint_id=number,
            n=n,
            kind=kind,
            words=words,
            assignee=assignee,
            due_on=due,
            by=by,
            at=clock.now(),
            recorded=recorded,
        )
    )
    session.flush()


def _about(number: int) -> str:
    return f"complaint.contact {number}"
