"""Draft a version and publish it: by two people, through one gate, from a day on, never into a closed period (P23).

There is one way to publish. A gate checks each publication against closed periods, meals and the other layers, which
this package may not import; `ruledesk.publication.gate` registers it. Without a gate nothing can be published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from sqlalchemy import Select, func, insert, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.auth import humans
from canteen.db import db, transaction
from canteen.errors import Conflict, Forbidden, Invalid
from canteen.ledger.models import Period
from canteen.places import Canteen, Contract, below
from canteen.policy import rulebook as books
from canteen.rulebooks import yaml_reader
from canteen.rulebooks.models import LAYERS, Publication, PublicationFile, RulebookVersion


class RulebookFaulty(Invalid):
    code = "rulebook_faulty"
    message = "补贴标准文件有误，请按提示修改后再试。"


class SamePerson(Forbidden):
    code = "same_person"
    message = "经办人与复核人不能是同一人，请由另一位同事发布。"


class ClosedPeriodTouched(Conflict):
    code = "closed_period_touched"
    message = "生效日期落在已结账的所属期内，不能发布；请改用之后的日期，或按重估办理以前月份的补差。"


class PublishedMeanwhile(Conflict):
    code = "published_meanwhile"
    message = "核对以后又有标准发布，这次没有发布，请重新核对后再试。"


@dataclass(frozen=True, slots=True)
class Seen:
    """The review that the publisher saw, as JSON: it is stored beside the publication."""

    diff: str
    gate: str
    replay: str | None


Gate = Callable[[str, str, str, date], Seen]
"""(hash of the version, layer, node, first day) -> what the publisher saw. Raises a Refusal where it may not be published."""

_gates: list[Gate] = []


def guarded_by(gate: Gate) -> Gate:
    """Register the gate that every publication must pass."""
    _gates[:] = [gate]
    return gate


def draft(text: str, *, by: str) -> str:
    """Store a version of a scheme and return its hash; the same content again is the same version.

    Raises RulebookFaulty with every finding of the reader and the lint.
    """
    document = yaml_reader.read(text)
    problems = [problem for problem in books.lint(document) if problem.severity == "error"]
    if problems:
        raise RulebookFaulty(details={"problems": [problem.message for problem in problems]})
    body = books.canonical(document)
    digest = books.digest(body)
    with transaction() as session:
        if session.get(RulebookVersion, digest) is None:
            _keep(session, str(document["id"]), digest, body.decode(), text, by)
    return digest


def _keep(session: Session, scheme: str, digest: str, body: str, text: str, by: str) -> None:
    recorded = events.record(session, "rulebook.draft", digest, by=by, body={"scheme": scheme})
    if session.execute(select(RulebookVersion.hash).where(RulebookVersion.hash == digest)).first():
        return  # the same content was submitted at the same moment
    newest = session.execute(select(func.max(RulebookVersion.version)).where(RulebookVersion.scheme == scheme)).scalar()
    session.execute(
        insert(RulebookVersion).values(
            hash=digest,
            scheme=scheme,
            version=(newest or 0) + 1,
            body=body,
            yaml=text,
            drafted_by=by,
            drafted_at=clock.now(),
            recorded=recorded,
        )
    )


def publish(digest: str, *, layer: str, node_id: str, from_day: date, by: str) -> int:
    """Put a drafted version in force at a place from `from_day` on, and return the publication's id.

    What the gate saw is stored beside it and must still be true: other publications since then are checked too.
    Raises RulebookFaulty, SamePerson, ClosedPeriodTouched, PublishedMeanwhile, and what the gate raises.
    """
    if not _gates:
        raise RuntimeError("no publication without the gate")
    if layer not in LAYERS:
        raise RulebookFaulty
    version = db.session().get(RulebookVersion, digest)
    if version is None:
        raise RulebookFaulty
    if humans.same(db.session(), by, {version.drafted_by}):
        raise SamePerson
    newest = db.session.execute(_NEWEST).scalar()
    db.session.rollback()  # the gate may take minutes: this read ends before it
    seen = _gates[0](digest, layer, node_id, from_day)
    with transaction() as session:
        version = session.get_one(RulebookVersion, digest)
        recorded = events.record(
            session,
            "rulebook.publish",
            digest,
            by=by,
            body={"layer": layer, "node": node_id, "from": from_day.isoformat()},
        )
        if session.execute(_NEWEST).scalar() != newest:  # read under the lock of the event
            raise PublishedMeanwhile
        _refuse_closed(session, layer, node_id, from_day)
        row = Publication(
            rulebook_hash=digest,
            scheme=version.scheme,
            layer=layer,
            node_id=node_id,
            from_day=from_day,
            to_day=None,
            drafted_by=version.drafted_by,
            published_by=by,
            published_at=clock.now(),
            recorded=recorded,
        )
        session.add(row)
        session.flush()
        session.add(PublicationFile(publication_id=row.id, diff=seen.diff, gate=seen.gate, replay=seen.replay))
        return row.id


_NEWEST = select(func.max(Publication.id))


def _refuse_closed(session: Session, layer: str, node_id: str, from_day: date) -> None:
    """Refuse a version that reaches into a period already closed at a canteen it covers."""
    closed = _periods(session, layer, node_id).where(Period.to_day >= from_day, Period.state == "closed")
    if session.execute(closed.limit(1)).first():
        raise ClosedPeriodTouched


def booked_at(session: Session, layer: str, node_id: str) -> bool:
    """Tell whether anything was ever booked at a canteen that the place covers."""
    return session.execute(_periods(session, layer, node_id).limit(1)).first() is not None


def _periods(session: Session, layer: str, node_id: str) -> Select[int]:
    """Return the periods of the canteens that a place covers."""
    if layer == "canteen":
        covered = select(Canteen.id).where(Canteen.id == node_id)
    else:
        covered = select(Canteen.id).where(Canteen.area_id.in_(below(session, node_id, clock.today())))
    of_contract = select(Period.id).join(Contract, Contract.id == Period.contract_id)
    return of_contract.where(Contract.canteen_id.in_(covered))
