"""Ask for a change that a second person confirms, before which it has no effect: maker and checker.

A kind of change is registered by the package that owns the act. Asking writes what is wanted as facts; confirming
performs the act in the same transaction as the answer, in the asker's name, and records who confirmed.
The answerer is neither the asker (the database refuses it) nor another account of the same human.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth import guard, humans
from canteen.auth.guard import Permission
from canteen.auth.models import ChangeAnswer, ChangeLine, ChangeRequest
from canteen.db import batches, db, retried, transaction
from canteen.errors import Conflict, Invalid, Missing
from canteen.policy.canonical import canonical

REASON = (4, 200)  # shortest and longest reason of a refusal, in characters


class NoRequest(Missing):
    code = "change_not_found"
    message = "没有找到这项待复核变更，或不在您负责的范围内。"


class Answered(Conflict):
    code = "change_answered"
    message = "这项变更已经复核过，请刷新后再看。"


class SameHuman(Conflict):
    code = "change_two_people"
    message = "这项变更是您自己经办的，须由另一位工作人员复核。"


class Overtaken(Conflict):
    code = "change_overtaken"
    message = "申请以后情况已有变化，不能照原样办理：请不予通过，由经办人重新提交。"


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A request about one subject. `asked` is plain JSON data; secrets in it are sealed."""

    subject: str
    asked: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Shown:
    """A line in words: its subject, the state before and after, and from which day."""

    name: str = field(repr=False)
    detail: str = field(repr=False)
    before: str
    after: str
    since: str
    warning: str = ""
    path: str = ""  # page of the subject, where it has one


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change.

    permission   who may confirm, at all places of the request
    perform      (session, request, lines, confirmer): the act, as `request.asked_by`; raises what the act raises
    show         (session, lines): each line in words
    """

    name: str
    title: str
    permission: Permission
    perform: Callable[[Session, ChangeRequest, Sequence[RequestLine], str], None]
    show: Callable[[Session, Sequence[RequestLine]], list[Shown]]


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request without an answer, and how many lines it has."""

    request: ChangeRequest
    lines: int

    @property
    def title(self) -> str:
        return kind_of(self.request.kind).title


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> None:
    """Make a kind of change known; naming it again replaces it."""
    _kinds[kind.name] = kind


def kind_of(name: str) -> Kind:
    """Return the kind of that name. Raises KeyError."""
    return _kinds[name]


def ask(
    session: Session,
    kind: str,
    subject: str,
    lines: Iterable[RequestLine],
    places: Iterable[tuple[str, str]],
    *,
    by: str,
) -> int | None:
    """Ask for a change inside the caller's transaction and return the request's id.

    places   nodes (kind, id) that the change touches
    Lines that an unanswered request asks for already are left out; None when none is left.
    """
    events.wait(session)
    texts = [(line.subject, canonical(dict(line.asked)).decode()) for line in lines]
    already = _asked_already(session, kind, {subject for subject, _ in texts})
    texts = [each for each in dict.fromkeys(texts) if each not in already]
    if not texts:
        return None
    digest = hashlib.sha256("\n".join(f"{subject} {asked}" for subject, asked in texts).encode()).hexdigest()
    body = {"kind": kind, "lines": len(texts), "asked": digest}
    number = events.record(session, "change.ask", subject, by=by, body=body)
    nodes = json.dumps(sorted({f"{node}:{node_id}" for node, node_id in places}))
    session.add(ChangeRequest(id=number, kind=kind, subject=subject, places=nodes, asked_by=by, asked_at=clock.now()))
    session.flush()
    rows = [
        {"request_id": number, "n": n, "subject": about, "asked": asked} for n, (about, asked) in enumerate(texts, 1)
    ]
    session.execute(insert(ChangeLine), rows)
    return number


@retried
def confirm(request_id: int, *, by: str) -> None:
    """Confirm a request as a second person: the act is done now, whole or not at all.

    Raises NoRequest, Answered, SameHuman, and what the act raises: the request then stays open.
    """
    with transaction() as session:
        request = _answerable(session, request_id, by)
        _answer(session, request, "confirmed", "", by)
        kind_of(request.kind).perform(session, request, lines_of(session, request_id), by)
        body = {"request": request_id, "kind": request.kind, "asked_by": request.asked_by}
        events.record(session, "change.confirm", request.subject, by=by, body=body)


@retried
def refuse(request_id: int, reason: str, *, by: str) -> None:
    """Refuse a request as a second person, with a reason. Raises NoRequest, Answered, SameHuman, Invalid."""
    reason = reason.strip()
    if not REASON[0] <= len(reason) <= REASON[1]:
        raise Invalid(f"请写明不予通过的原因（{REASON[0]} 至 {REASON[1]} 个字）。")
    with transaction() as session:
        request = _answerable(session, request_id, by)
        _answer(session, request, "refused", reason, by)
        body = {"request": request_id, "kind": request.kind, "asked_by": request.asked_by, "reason": reason}
        events.record(session, "change.refuse", request.subject, by=by, body=body)


def waiting(session: Session, person_id: str) -> list[Waiting]:
    """Return the unanswered requests that a person may confirm, asked for or audits; older first."""
    counted = select(func.count()).where(ChangeLine.request_id == ChangeRequest.id).scalar_subquery()
    rows = session.execute(select(ChangeRequest, counted).where(_open()).order_by(ChangeRequest.id))
    seen = _Sight(session, person_id)
    return [Waiting(request, lines) for request, lines in rows if seen.sees(request)]


def count(person_id: str) -> int:
    """Count the requests that wait for this person, for the menu."""
    session = db.session()
    sight = _Sight(session, person_id)
    rows = session.execute(select(ChangeRequest).where(_open())).scalars()
    return sum(sight.confirms(each) and each.asked_by != person_id for each in rows)


def found(session: Session, request_id: int, person_id: str) -> ChangeRequest:
    """Return a request, answered or not, that the person may see. Raises NoRequest."""
    request = session.get(ChangeRequest, request_id)
    if request is None or not _Sight(session, person_id).sees(request):
        raise NoRequest
    return request


def may_answer(session: Session, request: ChangeRequest, person_id: str) -> bool:
    """Return whether the person may confirm or refuse: holds the right at all places and is not the asker."""
    confirms = _Sight(session, person_id).confirms(request)
    return confirms and not humans.same(session, person_id, {request.asked_by})


def answerable(session: Session, requests: Collection[ChangeRequest], person_id: str) -> set[int]:
    """Return which of these requests the person may confirm or refuse, by id."""
    sight, mine = _Sight(session, person_id), humans.accounts(session, person_id)
    return {each.id for each in requests if sight.confirms(each) and each.asked_by not in mine}


def answer_of(session: Session, request_id: int) -> ChangeAnswer | None:
    """Return the answer to a request."""
    return session.get(ChangeAnswer, request_id)


def lines_of(session: Session, request_id: int, *, start: int = 0, most: int | None = None) -> list[RequestLine]:
    """Return the lines of a request in order, from number `start` + 1 on."""
    query = select(ChangeLine.subject, ChangeLine.asked).where(
        ChangeLine.request_id == request_id, ChangeLine.n > start
    )
    return [
        RequestLine(subject, json.loads(asked))
        for subject, asked in session.execute(query.order_by(ChangeLine.n).limit(most))
    ]


def first_lines(session: Session, request_ids: Collection[int]) -> dict[int, RequestLine]:
    """Return the first line of each of these requests."""
    query = select(ChangeLine.request_id, ChangeLine.subject, ChangeLine.asked).where(
        ChangeLine.request_id.in_(request_ids), ChangeLine.n == 1
    )
    return {number: RequestLine(subject, json.loads(asked)) for number, subject, asked in session.execute(query)}


def asked_about(
    session: Session, kind: str, subjects: Iterable[str]
) -> dict[str, list[tuple[ChangeRequest, RequestLine]]]:
    """Return the unanswered requests of a kind about each of these subjects, older first."""
    asked: dict[str, list[tuple[ChangeRequest, RequestLine]]] = {}
    for part in batches(set(subjects)):
        query = _open_lines(kind).where(ChangeLine.subject.in_(part)).order_by(ChangeLine.request_id, ChangeLine.n)
        for request, subject, text in session.execute(query):
            asked.setdefault(subject, []).append((request, RequestLine(subject, json.loads(text))))
    return asked


class _Sight:
    """Which requests a person may see, and which confirm; each scope is read once."""

    def __init__(self, session: Session, person_id: str) -> None:
        self._session, self._person = session, person_id
        self._scopes: dict[str, guard.Scope] = {}

    def sees(self, request: ChangeRequest) -> bool:
        return request.asked_by == self._person or self._covers(Permission.SEE_AUDIT, request) or self.confirms(request)

    def confirms(self, request: ChangeRequest) -> bool:
        return self._covers(kind_of(request.kind).permission, request)

    def _covers(self, permission: str, request: ChangeRequest) -> bool:
        if permission not in self._scopes:
            self._scopes[permission] = guard.scope_of(self._session, self._person, permission)
        scope = self._scopes[permission]
        nodes = [node.partition(":") for node in json.loads(request.places)]
        return bool(scope) and all(scope.covers_node(self._session, kind, node_id) for kind, _, node_id in nodes)


def _answerable(session: Session, request_id: int, by: str) -> ChangeRequest:
    request = session.get(ChangeRequest, request_id)
    if request is None or not _Sight(session, by).confirms(request):
        raise NoRequest
    if answer_of(session, request_id) is not None:
        raise Answered
    if humans.same(session, by, {request.asked_by}):
        raise SameHuman
    return request


def _answer(session: Session, request: ChangeRequest, outcome: str, reason: str, by: str) -> None:
    session.add(ChangeAnswer(request_id=request.id, outcome=outcome, reason=reason, by=by, at=clock.now()))
    try:
        session.flush()
    except IntegrityError as error:  # two checkers at once: the key decides
        raise Answered from error


def _open() -> ColumnElement[bool]:
    return ~exists().where(ChangeAnswer.request_id == ChangeRequest.id)


def _open_lines(kind: str) -> Select[ChangeRequest, str, str]:
    return (
        select(ChangeRequest, ChangeLine.subject, ChangeLine.asked)
        .join(ChangeLine, ChangeLine.request_id == ChangeRequest.id)
        .where(ChangeRequest.kind == kind, _open())
    )


def _asked_already(session: Session, kind: str, subjects: set[str]) -> set[tuple[str, str]]:
    already = set[tuple[str, str]]()
    for part in batches(subjects):
        rows = session.execute(_open_lines(kind).where(ChangeLine.subject.in_(part)))
        already |= {(subject, asked) for _, subject, asked in rows}
    return already
