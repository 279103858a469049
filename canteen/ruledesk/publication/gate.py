"""Publish at the desk: by a second person, after checks of the changes, closed periods and the other layers.

`look` is the gate of `rulebooks.publications.publish` and cannot be bypassed. A publication never reaches into a
closed period, nor back to days on which meals were booked: a back-dated notice is a revaluation
(`settlement.corrections`). What the publisher saw is stored beside the publication as a fact.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock, keyset, places
from canteen.db import db
from canteen.errors import Conflict, Invalid
from canteen.ledger.models import Period
from canteen.places import Area, Canteen, Contract
from canteen.policy import rulebook as books
from canteen.policy.canonical import Document
from canteen.pos.models import Sale, Void
from canteen.rulebooks import publications
from canteen.rulebooks.models import LAYER_OF, LAYERS, Publication, PublicationFile, RulebookVersion
from canteen.rulebooks.publications import Seen
from canteen.ruledesk.editor import comparison, drafts
from canteen.ruledesk.editor.comparison import Difference
from canteen.ruledesk.editor.prose import Names
from canteen.ruledesk.proposal import Layers, Proposal, covered
from canteen.ruledesk.publication import layer_conflicts
from canteen.ruledesk.simulation import simulation_jobs
from canteen.settlement.closing.requote import Quotes

FARTHEST = timedelta(days=5 * 366)  # ahead: a publication is not taken back, and a year is easily mistyped


class BackDated(Conflict):
    code = "back_dated"
    message = (
        "生效日期在今天以前，或者今天已经有人就餐：已经发生的就餐按当时的标准计价，不能改价。请把生效日期改为明天或以后；"
        "文件要求补发以前月份的，请对以前的日期办理“重估”，按差额补发，已结账的所属期不变。"
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
    """The comparison of closed periods: none may change."""

    canteens: int = 0
    periods: int = 0
    days: int = 0
    changed: list[str] = field(default_factory=list)  # 'canteen day'
    replayed: int = 0  # meals of each canteen's newest closed period, all of them
    priced: int = 0  # of them priced again: the others have the very same rulebook
    differing: int = 0
    span: str = ""
    problems: list[str] = field(default_factory=list)  # between layers

    @property
    def passes(self) -> bool:
        return not self.changed and not self.differing and not self.problems


@dataclass(frozen=True, slots=True)
class Review:
    """All that a publisher should see before publishing."""

    document: Document
    layer: str
    node_id: str
    first_day: date
    differences: list[Difference]
    against: int | None  # version compared with
    warnings: list[str]
    gate: Gate
    simulation: int | None


def review(digest: str, layer: str, node_id: str, first_day: date, names: Names) -> Review:
    """Check a publication before it is made, by short reads of its own. Raises NoDraft, WrongPlace.

    It may take minutes, so the caller ends its own read first: on SQLite an open read holds up the tills.
    """
    with keyset.reader() as session:
        found = _reviewed(session, digest, layer, node_id, first_day, names)
    replayed = gate(Proposal(layer, node_id, found.document, first_day))
    replayed.problems += found.gate.problems
    return replace(found, gate=replayed)


def _reviewed(session: Session, digest: str, layer: str, node_id: str, first_day: date, names: Names) -> Review:
    """Return the review as far as it needs no replay."""
    version = drafts.version(session, digest)
    document = _document(version)
    _refuse_wrong_place(session, layer, node_id)
    before = in_force_at(session, version.scheme, layer, node_id, first_day)
    old = _document(before) if before else None
    problems = [*books.lint(document), *(books.lint_versions(old, document) if old else ())]
    simulated = simulation_jobs.newest(session, digest, layer, node_id)
    faults = [str(problem) for problem in problems if problem.severity == "error"]
    return Review(
        document,
        layer,
        node_id,
        first_day,
        comparison.compare(old, document, names),
        before.version if before else None,
        [
            *(str(problem) for problem in problems if problem.severity != "error"),
            *_likely_slips(session, document, layer, node_id, first_day),
        ],
        Gate(problems=[*faults, *_out_of_range(document, first_day)]),
        simulated.id if simulated else None,
    )


@publications.guarded_by
def look(digest: str, layer: str, node_id: str, first_day: date) -> Seen:
    """Check a publication at the gate, by short reads of its own; return what is stored beside it.

    Raises NoDraft, BackDated, PublishedThatDay, NotFit, PastChanges, WrongPlace. Where nothing was ever booked, a first
    publication may begin on a day that is past; today's meals too are priced by what was in force when they were eaten.
    """
    with keyset.reader() as session:
        _refuse_dated(session, drafts.version(session, digest).scheme, layer, node_id, first_day)
        known = _names(session)
    seen = review(digest, layer, node_id, first_day, known)
    refuse_unfit(seen.gate)
    with keyset.reader() as session:
        simulated = simulation_jobs.newest(session, digest, layer, node_id)
    return Seen(
        json.dumps([one.doc for one in seen.differences], ensure_ascii=False),
        json.dumps(asdict(seen.gate), ensure_ascii=False),
        simulated.result if simulated else None,
    )


def _refuse_dated(session: Session, scheme: str, layer: str, node_id: str, first_day: date) -> None:
    """Refuse a first day on which meals were eaten, or another version begins. Raises BackDated, PublishedThatDay."""
    today = clock.today()
    if first_day < today and publications.booked_at(session, layer, node_id):
        raise BackDated
    if first_day <= today and _ate(session, layer, node_id, today):
        raise BackDated
    same = select(Publication.id).where(
        Publication.scheme == scheme, Publication.layer == layer, Publication.node_id == node_id
    )
    if session.execute(same.where(Publication.from_day == first_day)).first():
        raise PublishedThatDay


def earliest(layer: str, node_id: str) -> date:
    """Return the first day from which a version may be published at a place: today while nobody has eaten, else tomorrow."""
    today = clock.today()
    return today + timedelta(days=1) if _ate(db.session(), layer, node_id, today) else today


def _ate(session: Session, layer: str, node_id: str, day: date) -> bool:
    """Tell whether a meal of that day was booked at a canteen that the place covers."""
    within = [canteen.id for canteen in covered(session, layer, node_id, day)]
    meals = select(Sale.id).where(Sale.service_day == day, Sale.canteen_id.in_(within))
    return session.execute(meals.limit(1)).first() is not None


def names() -> dict[str, str]:
    """Return names of every area and canteen."""
    return _names(db.session())


def _names(session: Session) -> dict[str, str]:
    found = dict(session.execute(select(Area.id, Area.name)).all())
    return found | dict(session.execute(select(Canteen.id, Canteen.name)).all())


def _out_of_range(document: dict[str, Any], first_day: date) -> list[str]:
    """Find days on which a version would be in force outside its own dates and give nobody anything."""
    begins, ends = clock.day_of(document["from"]), document.get("to")
    if first_day > clock.today() + FARTHEST:
        return ["生效日期在五年以后，请核对年份"]
    if first_day < begins:
        return [f"生效日期早于标准本身的起始日 {begins.isoformat()}，其间会没有补贴，请把生效日期改为该日或以后"]
    if ends is not None and clock.day_of(ends) < first_day:
        return [f"标准本身到 {clock.day_of(ends).isoformat()} 为止，晚于该日不能再生效"]
    return []


def _likely_slips(
    session: Session, document: dict[str, Any], layer: str, node_id: str, first_day: date
) -> Iterator[str]:
    """Find what may be meant but is often a slip: another version that follows, an end, another place."""
    same = (Publication.scheme == document["id"], Publication.layer == layer, Publication.node_id == node_id)
    later = select(Publication.from_day).where(*same, Publication.from_day > first_day)
    for day in session.execute(later.order_by(Publication.from_day).limit(1)).scalars():
        last = day - timedelta(days=1)
        yield f"{day.isoformat()} 起已发布了这项标准的另一版，本版只到 {last.isoformat()} 为止"
    if (ends := document.get("to")) is not None:
        yield f"本版到 {clock.day_of(ends).isoformat()} 为止，以后没有这项标准，此前的版本也不会恢复"
    place = document.get("place")
    if layer == "canteen":
        canteen = session.get(Canteen, node_id)
        within = [node_id, *(places.path(session, canteen.area_id, first_day) if canteen else ())]
    else:
        within = places.path(session, node_id, first_day)
    if place is not None and place not in within:
        known = _names(session)
        yield f"标准写明适用于 {known.get(place, place)}，却要发布到 {known.get(node_id, node_id)}"


def refuse_unfit(gate: Gate) -> None:
    """Refuse a publication whose gate does not pass. Raises NotFit or PastChanges."""
    if gate.problems:
        raise NotFit("不能发布：" + "；".join(gate.problems[:5]))
    if not gate.passes:
        raise PastChanges(details={"changed": gate.changed[:10], "differing": gate.differing})


def in_force_at(session: Session, scheme: str, layer: str, node_id: str, on: date) -> RulebookVersion | None:
    """Return the version of a scheme in force at a place on a day."""
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
    """Return what was stored beside a publication."""
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
        known = area is not None and LAYER_OF.get(area.level) == layer
    if layer not in LAYERS or not known:
        raise WrongPlace


# --- closed periods --------------------------------------------------------------------------------------------------


def gate(proposal: Proposal) -> Gate:
    """Compare what is in force on every day of every closed period with and without the publication.

    Replays all meals of the newest closed period, and checks that the layers do not conflict; by short reads of its own.
    """
    found, on = Gate(), proposal.first_day or clock.today()
    newest: Period | None = None
    conflicts: dict[str, None] = {}
    with keyset.reader() as session:
        before, after = Layers(session), Layers(session, proposal)
        canteens = covered(session, proposal.layer, proposal.node_id, on)
        found.canteens = len(canteens)
        for canteen in canteens:
            for period in _closed(session, canteen.id):
                found.periods += 1
                newest = period if newest is None or period.to_day > newest.to_day else newest
                _days(session, found, canteen, period, before, after)
            nodes = (*places.path(session, canteen.area_id, on), canteen.id)
            problems = after.conflicts(nodes, on)
            conflicts |= {str(problem): None for problem in problems if problem.severity == "error"}
        found.problems += [*conflicts, *layer_conflicts.lowered(session, proposal, canteens, on)]
    if newest is not None:
        _replay(found, newest, [canteen.id for canteen in canteens], before, after)
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
    """Replay all meals of a closed period, day by day.

    A meal whose rulebook would be the same bytes costs the same; every other distinct input is priced under the book in
    force and the proposed one.
    """
    found.span = f"{period.from_day.isoformat()} 至 {period.to_day.isoformat()}"
    with keyset.reader() as session:
        contracts = dict(
            session.execute(select(Contract.id, Contract.canteen_id).where(Contract.canteen_id.in_(canteens))).all()
        )
        homes = dict(session.execute(select(Canteen.id, Canteen.area_id).where(Canteen.id.in_(canteens))).all())
        paths = {area: tuple(places.path(session, area, period.to_day)) for area in set(homes.values())}
    quotes = Quotes()
    day = period.from_day
    while day <= period.to_day:
        of_day = (Sale.service_day == day, Void.id.is_(None))
        groups = (
            select(Sale.contract_id, Sale.own_rulebook_hash, func.count())
            .outerjoin(Void, Void.sale_id == Sale.id)
            .where(Sale.contract_id.in_(contracts), *of_day)
            .group_by(Sale.contract_id, Sale.own_rulebook_hash)
        )
        for contract, digest, meals in keyset.once(groups):
            canteen = contracts[contract]
            nodes = (*paths[homes[canteen]], canteen)
            now, would = before.at(nodes, day), after.at(nodes, day)
            found.replayed += meals
            if would.hash not in (digest, now.hash):
                mine = (Sale.contract_id == contract, Sale.own_rulebook_hash == digest)
                inputs = (
                    select(Sale.own_input_hash)
                    .outerjoin(Void, Void.sale_id == Sale.id)
                    .where(*mine, *of_day)
                    .distinct()
                )
                for (input_hash,) in keyset.once(inputs):
                    found.priced += 1
                    found.differing += quotes.under(input_hash, now.book) != quotes.under(input_hash, would.book)
        day += timedelta(days=1)
