"""Publishing at the desk: by a second person, after a look at what changes, at closed periods, and at the other layers.

A publication never reaches into a closed period. A back-dated notice needs revaluation lines, which are not made
here: it is refused with that sentence. What the publisher saw is kept beside the publication as a fact.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock, places
from canteen.db import db, transaction
from canteen.errors import Conflict, Invalid
from canteen.ledger.models import Period
from canteen.places import Area, Canteen, Contract
from canteen.policy import rulebook as books
from canteen.policy.canonical import Document
from canteen.pos.models import Sale, Void
from canteen.rulebooks import publishing
from canteen.rulebooks.models import LAYERS, Publication, PublicationFile, RulebookVersion
from canteen.ruledesk import comparing, drafts, simulating
from canteen.ruledesk.comparing import Difference
from canteen.ruledesk.proposing import Layers, Proposal, covered
from canteen.ruledesk.prose import Names
from canteen.settlement import paging
from canteen.settlement.requoting import Quotes

_REPLAYED = 3000  # distinct inputs of the newest closed period that are priced again


class BackDated(Conflict):
    code = "back_dated"
    message = (
        "生效日期在今天以前，已经就餐的餐次按当时的标准计价，不能改价。请把生效日期改为今天以后；"
        "文件要求补发以前月份的，须按重估另行核算，本系统不直接倒签发布。"
    )


class NotFit(Invalid):
    code = "rulebook_not_fit"
    message = "这个版本还不能发布，请按提示修改后再试。"


class PublishedThatDay(Conflict):
    code = "published_that_day"
    message = "这个范围在同一生效日期已经发布过这项标准，请改用另一个日期。"


class WrongPlace(Invalid):
    code = "publication_place"
    message = "发布范围与级别不符，请重新选择。"


class PastChanges(Conflict):
    code = "closed_period_changes"
    message = "回放显示已结账所属期的计价会改变，不能发布，请改用之后的生效日期。"


@dataclass
class Gate:
    """What was compared of closed periods: none may change."""

    canteens: int = 0
    periods: int = 0
    days: int = 0
    changed: list[str] = field(default_factory=list)  # 'canteen day'
    replayed: int = 0
    differing: int = 0
    span: str = ""
    problems: list[str] = field(default_factory=list)  # between layers

    @property
    def passes(self) -> bool:
        return not self.changed and not self.differing and not self.problems


@dataclass(frozen=True, slots=True)
class Review:
    """All that a publisher should see before publishing."""

    version: RulebookVersion
    document: Document
    layer: str
    node_id: str
    first_day: date
    differences: list[Difference]
    against: int | None  # version compared with
    warnings: list[str]
    gate: Gate
    simulation: int | None


def review(session: Session, digest: str, layer: str, node_id: str, first_day: date, names: Names) -> Review:
    """Look at a publication before it is made. Raises NoDraft, WrongPlace."""
    version = drafts.version(session, digest)
    document = _document(version)
    _refuse_wrong_place(session, layer, node_id)
    before = in_force_at(session, version.scheme, layer, node_id, first_day)
    old = _document(before) if before else None
    problems = [*books.lint(document), *(books.lint_versions(old, document) if old else ())]
    simulated = simulating.newest(session, digest, layer, node_id)
    found = Review(
        version,
        document,
        layer,
        node_id,
        first_day,
        comparing.compare(old, document, names),
        before.version if before else None,
        [str(problem) for problem in problems if problem.severity != "error"],
        gate(session, Proposal(layer, node_id, document, first_day)),
        simulated.id if simulated else None,
    )
    found.gate.problems += [str(problem) for problem in problems if problem.severity == "error"]
    found.gate.problems += _out_of_range(document, first_day)
    return found


def publish(digest: str, layer: str, node_id: str, first_day: date, names: Names, *, by: str) -> int:
    """Publish a version and keep what stood beside it; answers the publication's id.

    Raises BackDated, NotFit, PastChanges, WrongPlace, and SamePerson, ClosedPeriodTouched of rulebooks.publishing.
    """
    session = db.session()
    version = drafts.version(session, digest)
    if version.drafted_by == by:
        raise publishing.SamePerson
    if first_day < clock.today():
        raise BackDated
    same = select(Publication.id).where(
        Publication.scheme == version.scheme, Publication.layer == layer, Publication.node_id == node_id
    )
    if session.execute(same.where(Publication.from_day == first_day)).first():
        raise PublishedThatDay
    seen = review(session, digest, layer, node_id, first_day, names)
    refuse_unfit(seen.gate)
    simulated = simulating.newest(session, digest, layer, node_id)
    replay = simulated.result if simulated else None
    diff = json.dumps([one.doc for one in seen.differences], ensure_ascii=False)
    with transaction() as writing:
        number = publishing.publish(digest, layer=layer, node_id=node_id, from_day=first_day, by=by)
        kept = json.dumps(asdict(seen.gate), ensure_ascii=False)
        writing.add(PublicationFile(publication_id=number, diff=diff, gate=kept, replay=replay))
    return number


def _out_of_range(document: dict[str, Any], first_day: date) -> list[str]:
    """A version in force on days that its own dates leave out would give nobody anything on them."""
    begins, ends = clock.day_of(document["from"]), document.get("to")
    if first_day < begins:
        return [f"生效日期早于标准本身的起始日 {begins.isoformat()}，其间会没有补贴，请把生效日期改为该日或以后"]
    if ends is not None and clock.day_of(ends) < first_day:
        return [f"标准本身到 {clock.day_of(ends).isoformat()} 为止，晚于该日不能再生效"]
    return []


def refuse_unfit(gate: Gate) -> None:
    """Raises NotFit or PastChanges when a gate does not pass."""
    if gate.problems:
        raise NotFit("不能发布：" + "；".join(gate.problems[:5]))
    if not gate.passes:
        raise PastChanges(details={"changed": gate.changed[:10], "differing": gate.differing})


def in_force_at(session: Session, scheme: str, layer: str, node_id: str, on: date) -> RulebookVersion | None:
    """The version of a scheme that holds at a place on a day."""
    found = session.execute(
        select(RulebookVersion)
        .join(Publication, Publication.rulebook_hash == RulebookVersion.hash)
        .where(Publication.scheme == scheme, Publication.layer == layer, Publication.node_id == node_id)
        .where(places.valid_on(Publication, on))
        .order_by(Publication.from_day.desc(), Publication.id.desc())
        .limit(1)
    )
    return found.scalar_one_or_none()


def file_of(session: Session, publication_id: int) -> PublicationFile | None:
    """What was kept beside a publication."""
    return session.get(PublicationFile, publication_id)


def _document(version: RulebookVersion) -> dict[str, Any]:
    document = books.parse(version.body.encode())
    assert isinstance(document, dict)
    return document


def _refuse_wrong_place(session: Session, layer: str, node_id: str) -> None:
    if layer == "canteen":
        known = session.get(Canteen, node_id) is not None
    else:
        area = session.get(Area, node_id)
        known = area is not None and area.level in {layer, "functional"}
    if layer not in LAYERS or not known:
        raise WrongPlace


# --- closed periods --------------------------------------------------------------------------------------------------


def gate(session: Session, proposal: Proposal) -> Gate:
    """Compare what holds on every day of every closed period with and without the publication.

    The newest closed period's distinct inputs are priced under both; besides, the layers must go together.
    """
    found = Gate()
    before, after = Layers(session), Layers(session, proposal)
    here = covered(session, proposal.layer, proposal.node_id, proposal.first_day or clock.today())
    found.canteens = len(here)
    newest: Period | None = None
    conflicts: dict[str, None] = {}
    for canteen in here:
        for period in _closed(session, canteen.id):
            found.periods += 1
            newest = period if newest is None or period.to_day > newest.to_day else newest
            _days(session, found, canteen, period, before, after)
        nodes = (*places.path(session, canteen.area_id, proposal.first_day or clock.today()), canteen.id)
        problems = after.conflicts(nodes, proposal.first_day or clock.today())
        conflicts |= {str(problem): None for problem in problems if problem.severity == "error"}
    found.problems += list(conflicts)
    session.rollback()
    if newest is not None:
        _replay(found, newest, [canteen.id for canteen in here], before, after)
    return found


def _closed(session: Session, canteen_id: str) -> Sequence[Period]:
    query = select(Period).join(Contract, Contract.id == Period.contract_id)
    return list(session.execute(query.where(Contract.canteen_id == canteen_id, Period.state == "closed")).scalars())


def _days(session: Session, found: Gate, canteen: Canteen, period: Period, before: Layers, after: Layers) -> None:
    nodes = (*places.path(session, canteen.area_id, period.to_day), canteen.id)
    day = period.from_day
    while day <= period.to_day:
        found.days += 1
        if before.parts(nodes, day) != after.parts(nodes, day):
            found.changed.append(f"{canteen.name} {day.isoformat()}")
        day += timedelta(days=1)


def _replay(found: Gate, period: Period, canteens: Sequence[str], before: Layers, after: Layers) -> None:
    """Distinct inputs of the newest closed period, priced under the book that holds and the one that would."""
    found.span = f"{period.from_day.isoformat()} 至 {period.to_day.isoformat()}"
    query = (
        select(Sale.own_input_hash, func.min(Sale.service_day), func.min(Sale.canteen_id))
        .outerjoin(Void, Void.sale_id == Sale.id)
        .where(Sale.canteen_id.in_(canteens), Void.id.is_(None))
        .where(Sale.service_day >= period.from_day, Sale.service_day <= period.to_day)
        .group_by(Sale.own_input_hash)
        .limit(_REPLAYED)
    )
    rows = paging.once(query)
    session = db.session()
    homes = dict(session.execute(select(Canteen.id, Canteen.area_id).where(Canteen.id.in_(canteens))).all())
    paths = {area: tuple(places.path(session, area, period.to_day)) for area in set(homes.values())}
    session.rollback()
    quotes = Quotes()
    for digest, day, canteen in rows:
        nodes = (*paths[homes[canteen]], canteen)
        now, would = before.at(nodes, day), after.at(nodes, day)
        found.replayed += 1
        if now.hash != would.hash and quotes.under(digest, now.book) != quotes.under(digest, would.book):
            found.differing += 1
