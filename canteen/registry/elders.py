"""Elders: registering them, adding dated facts, and telling who they are to the rules on a day.

Writers take the session of an open transaction and record one event each, last.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, bindparam, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.errors import Conflict, Invalid, Missing
from canteen.places import Area
from canteen.policy.case import Diner
from canteen.prepared import Prepared
from canteen.registry import facts as dated
from canteen.registry import keys
from canteen.registry.documents import NONE, Document
from canteen.registry.facts import Fact
from canteen.registry.models import Elder, ElderFact, ElderIdentity, IdentityKey, ImportRun
from canteen.registry.paths import areas_above
from canteen.registry.text_forms import name_of, phone_of

STOPPED: Final = ("deceased", dated.WITHDRAWN)  # statuses that stop every credential


class NoElder(Missing):
    code = "elder_not_found"
    message = "没有找到这位老人，请核对后再试。"


class NumberTaken(Conflict):
    code = "id_taken"
    message = "这个证件号码已经登记过，请直接在名册中修改，不要重复登记。"


class BadElder(Invalid):
    code = "elder_malformed"
    message = "老人信息填写有误，请检查后再试。"


class FactGone(Conflict):
    code = "fact_answered"
    message = "这项信息已被更正过，请刷新后再看。"


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact to add. `retracts` names the fact that it answers; a fact that only retracts has value ''."""

    kind: str
    value: str
    from_day: date
    to_day: date | None = None
    retracts: int | None = None


@dataclass(frozen=True, slots=True)
class NewElder:
    """Somebody to register. Birth and sex in the document win over those given here, and must agree with them.

    hukou, residence   area codes; '' where not known
    facts              classes, levels, household and whatever else is valid from the start
    known_from         the first day for which hukou and residence are known
    """

    name: str = field(repr=False)
    document: Document = NONE
    birth: date | None = None
    sex: str | None = None
    hukou: str = ""
    residence: str = ""
    known_from: date | None = None
    phone: str = field(default="", repr=False)
    pinyin: str = ""
    facts: Sequence[NewFact] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class Known:
    """A person on a day, as known at an event. Limits are kept at `root` and count the past of all `ids`.

    id          the entry of the roster that was asked for: what this person does now is written under it, so that it
                stays with its person should two entries turn out to be two people after all
    household   '' where none is known; so is sex
    stopped     a status recorded of them stops their credentials
    """

    diner: Diner
    id: uuid.UUID
    root: uuid.UUID
    ids: tuple[uuid.UUID, ...]
    household: str
    sex: str
    stopped: bool


def register(session: Session, new: NewElder, by: str, *, source: str = "desk") -> uuid.UUID:
    """Put somebody on the roster and answer their id. Raises BadElder, BadFact, BadName, BadPhone, NumberTaken."""
    first = facts_of_new(session, new)
    elder_id = uuid.uuid4()
    key = identity_key_values(elder_id, new.document) if new.document.number else None
    if key is not None and session.get(IdentityKey, key["number_mac"]) is not None:
        raise NumberTaken
    kinds = sorted({fact.kind for fact in first})
    recorded = events.record(
        session, "elder.register", str(elder_id), by=by, body={"number": key and key["number_mac"], "facts": kinds}
    )
    session.add(Elder(id=elder_id, made_at=clock.now(), recorded=recorded))
    session.flush()
    session.add(ElderIdentity(**identity_values(elder_id, new, recorded)))
    if key is not None:
        session.add(IdentityKey(**key))
    session.add_all(ElderFact(**fact_values(elder_id, fact, source, recorded)) for fact in first)
    try:
        session.flush()
    except IntegrityError as error:  # two desks at once: the key's row decides
        raise NumberTaken from error
    return elder_id


def facts_of_new(session: Session, new: NewElder) -> list[NewFact]:
    """Return the checked facts that registering somebody adds. Raises BadElder and BadFact."""
    birth, sex = new.document.birth or new.birth, new.document.sex or new.sex
    if birth is None or sex not in {"f", "m"}:
        raise BadElder("缺少出生日期或性别，请补齐。")
    if (new.birth or birth) != birth or (new.sex or sex) != sex:
        raise BadElder("出生日期或性别与证件号码不一致，请对照证件核对。")
    since = new.known_from or clock.today()
    found = [NewFact("birth", birth.isoformat(), birth), NewFact("sex", sex, birth)]
    for kind, area in (("hukou", new.hukou), ("residence", new.residence)):
        if area:
            require_area(session, area)
            found.append(NewFact(kind, area, since))
    found += new.facts
    for fact in found:
        dated.checked(fact.kind, fact.value, fact.from_day, fact.to_day)
    return found


def identity_values(elder_id: uuid.UUID, new: NewElder, recorded: int) -> dict[str, Any]:
    """Name and number of an elder as they are stored: number and phone sealed, bound to this elder."""
    ring, phone = keys.keyring(), phone_of(new.phone)
    number = new.document.number
    return {
        "elder_id": elder_id,
        "name": name_of(new.name),
        "pinyin": new.pinyin,
        "document": new.document.kind,
        "number_cipher": ring.identity.seal(number.encode(), f"elder.number {elder_id}") if number else None,
        "number_masked": new.document.masked,
        "phone_cipher": ring.identity.seal(phone.encode(), f"elder.phone {elder_id}") if phone else None,
        "recorded": recorded,
    }


def identity_key_values(elder_id: uuid.UUID, document: Document) -> dict[str, Any]:
    """Return the row by which an elder is found by the number of this document."""
    ring = keys.keyring()
    return {"number_mac": ring.mac(document.key), "key_id": ring.lookup_id, "elder_id": elder_id}


def add_fact(
    session: Session,
    elder_id: uuid.UUID,
    kind: str,
    value: str,
    from_day: date,
    to_day: date | None,
    source: str,
    recorded: int,
    retracts: int | None = None,
) -> ElderFact:
    """Add one fact under an event that the caller has recorded. Raises BadFact, FactGone.

    With `retracts` it answers that fact of the same elder and kind; value '' only takes it back.
    """
    new = _checked(session, elder_id, NewFact(kind, value, from_day, to_day, retracts))
    row = ElderFact(**fact_values(elder_id, new, source, recorded))
    session.add(row)
    session.flush()
    return row


def note(
    session: Session,
    elder_id: uuid.UUID,
    facts: Sequence[NewFact],
    by: str,
    *,
    source: str = "desk",
    confirmed_by: str = "",
) -> int:
    """Add facts about an elder as one act and return the event's number. Raises NoElder, BadFact, FactGone.

    A fact that may raise a benefit is added only once a second person confirmed it: see `fact_requests`.
    """
    lock_parties(session, elder_id, facts)
    check_facts(session, elder_id, facts)
    body: dict[str, object] = {"facts": [{"kind": fact.kind, "retracts": fact.retracts} for fact in facts]}
    if confirmed_by:
        body["confirmed_by"] = confirmed_by
    recorded = events.record(session, "elder.note", str(elder_id), by=by, body=body)
    for fact in facts:
        add_fact(session, elder_id, fact.kind, fact.value, fact.from_day, fact.to_day, source, recorded, fact.retracts)
    return recorded


def check_facts(session: Session, elder_id: uuid.UUID, facts: Sequence[NewFact]) -> list[NewFact]:
    """Return the facts about an elder as they would be stored; writes nothing. Raises NoElder, BadFact, FactGone."""
    checked = []
    for fact in facts:
        if fact.kind in {"hukou", "residence"} and fact.value:
            require_area(session, fact.value)
        if fact.kind == "merged" and fact.value:
            _may_merge(session, elder_id, uuid.UUID(fact.value))
        checked.append(_checked(session, elder_id, fact))
    return checked


def _checked(session: Session, elder_id: uuid.UUID, fact: NewFact) -> NewFact:
    if fact.retracts is not None:
        answered = session.get(ElderFact, fact.retracts)
        if answered is None or answered.elder_id != elder_id or answered.kind != fact.kind:
            raise dated.BadFact("要更正的信息不属于这位老人，请刷新后再试。")
        if session.execute(select(ElderFact.id).where(ElderFact.retracts == fact.retracts)).first():
            raise FactGone
    if not fact.value and fact.retracts is not None:
        return fact
    return replace(fact, value=dated.checked(fact.kind, fact.value, fact.from_day, fact.to_day))


def lock_parties(session: Session, elder_id: uuid.UUID, facts: Sequence[NewFact]) -> None:
    """Lock the elder of these facts, and all that a merge affects. Raises NoElder.

    A merge, or its undoing, waits for the sales of all it affects, since a sale names its elder.
    """
    merges = [fact for fact in facts if fact.kind == "merged"]
    named = [uuid.UUID(fact.value) for fact in merges if fact.value]
    touched = [elder_id, *(each for each in named if session.get(Elder, each) is not None)] if merges else []
    locked = set[uuid.UUID]()
    while (
        fresh := {elder_id, *(cluster(session, each)[0] for each in touched)} - locked
    ):  # again after another merge meanwhile
        for each in sorted(fresh):
            lock(session, each)
        locked |= fresh


def visible() -> ColumnElement[bool]:
    """Return the SQL condition of elders that may be listed: not those that an import is still staging."""
    staging = select(ImportRun.begun_event).where(ImportRun.state == "staged", ImportRun.begun_event.is_not(None))
    return Elder.recorded.not_in(staging)


def lock(session: Session, elder_id: uuid.UUID) -> None:
    """Lock the elder's row to the end of the transaction. Raises NoElder."""
    query = select(Elder.id).where(Elder.id == elder_id).with_for_update(key_share=True)
    if session.execute(query).first() is None:
        raise NoElder


def require_area(session: Session, area_id: str) -> None:
    """Raise BadFact when there is no such area."""
    if session.get(Area, area_id) is None:
        raise dated.BadFact("区划代码不在区划表中，请先登记该区划或核对代码。")


def facts_about(session: Session, elder_id: uuid.UUID) -> list[Fact]:
    """Return every fact ever recorded about an elder and the entries merged with them, retracted ones too.

    One query for somebody who was never merged.
    """
    found, asked, asking = dict[int, Fact](), set[uuid.UUID](), {elder_id}
    while asking:
        found |= {fact.id: fact for fact in _rows(session, sorted(asking))}
        asked |= asking
        asking = _relatives(found.values()) - asked
    return list(found.values())


def facts_of_many(session: Session, ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, list[Fact]]:
    """Return every fact ever recorded about each of these elders, without those recorded under merged ids."""
    found: dict[uuid.UUID, list[Fact]] = {each: [] for each in ids}
    rows = session.execute(select(*FACT_COLUMNS).where(ElderFact.elder_id.in_(ids)))
    for row in rows:
        found[row[1]].append(Fact(*row))
    return found


def cluster(
    session: Session, elder_id: uuid.UUID, known_at: int | None = None
) -> tuple[uuid.UUID, tuple[uuid.UUID, ...]]:
    """Return the root id of a person and all ids of this person, sorted. Limits belong to the whole cluster."""
    return cluster_in(facts_about(session, elder_id), elder_id, known_at)


def cluster_in(
    facts: Iterable[Fact], elder_id: uuid.UUID, known_at: int | None = None
) -> tuple[uuid.UUID, tuple[uuid.UUID, ...]]:
    """Return `cluster` from facts already read by `facts_about`."""
    into = dated.merged_into(dated.unretracted(facts, known_at))
    root = _root(str(elder_id), into)
    same = {str(elder_id), root} | {each for each in into if _root(each, into) == root}
    return uuid.UUID(root), tuple(uuid.UUID(each) for each in sorted(same))


def as_diner(session: Session, elder_id: uuid.UUID, on: date, known_at: int | None = None) -> Diner:
    """Return an elder as the rules see them on a day, as known at event `known_at` (None: now). Raises NoElder."""
    return known(session, elder_id, on, known_at).diner


Above = Callable[[Session, Sequence[str], date], Mapping[str, tuple[str, ...]]]


def known(
    session: Session, elder_id: uuid.UUID, on: date, known_at: int | None = None, above: Above = areas_above
) -> Known:
    """Return `as_diner` and the rest that a sale needs, by two short queries. Raises NoElder.

    above   returns the path of each of some areas on a day
    """
    facts = facts_about(session, elder_id)
    root, ids = cluster_in(facts, elder_id, known_at)
    own = [fact for fact in dated.unretracted(facts, known_at) if fact.elder_id in ids]
    valid = dated.on_day(own, on)
    one = {fact.kind: fact for fact in valid}
    if "birth" not in one:
        raise NoElder
    many: dict[str, set[str]] = {}
    for fact in valid:
        many.setdefault(fact.kind, set()).add(fact.value)
    homes = [fact for fact in own if fact.kind == "residence" and "residence" in one]
    areas = {one[kind].value: None for kind in ("hukou", "residence") if kind in one} | {
        fact.value: None for fact in homes
    }
    paths = above(session, list(areas), on)
    lived = dated.lived_since(homes, one["residence"], paths) if len(homes) > 1 else {}
    diner = Diner(
        kind="elder",
        birth_day=clock.civil(date.fromisoformat(one["birth"].value)),
        hukou=paths[one["hukou"].value] if "hukou" in one else (),
        residence=paths[one["residence"].value] if "residence" in one else (),
        residence_since=clock.civil(one["residence"].from_day) if "residence" in one else None,
        classes=tuple(sorted(many.get("class", ()))),
        levels=dict(sorted(_level(value) for value in many.get("level", ()))),
        statuses=tuple(sorted(many.get("status", ()))),
        enrolled=tuple(sorted(many.get("enrolled", ()))),
        benefits=tuple(sorted(many.get("benefit", ()))),
        since={key: clock.civil(day) for key, day in sorted({**dated.since(own, on), **lived}.items())},
    )
    household, sex = (one[kind].value if kind in one else "" for kind in ("household", "sex"))
    stopped = any(status in STOPPED for status in diner.statuses)
    return Known(diner, elder_id, root, ids, household, sex, stopped=stopped)


def is_stopped(session: Session, elder_id: uuid.UUID, on: date) -> bool:
    """Return whether a status recorded of this person stops their credentials on a day."""
    return stopped_in(facts_about(session, elder_id), elder_id, on)


def stopped_in(facts: Sequence[Fact], elder_id: uuid.UUID, on: date) -> bool:
    """Return `is_stopped` from facts already read by `facts_about`."""
    return any(fact.kind == "status" and fact.value in STOPPED for fact in of_person(facts, elder_id, on))


def of_person(facts: Sequence[Fact], elder_id: uuid.UUID, on: date, known_at: int | None = None) -> list[Fact]:
    """Return the facts of a person (the whole cluster) valid on a day as known at an event."""
    _, ids = cluster_in(facts, elder_id, known_at)
    return dated.on_day([fact for fact in dated.unretracted(facts, known_at) if fact.elder_id in ids], on)


def _level(value: str) -> tuple[str, int]:
    scale, _, number = value.partition("=")
    return scale, int(number)


def fact_values(elder_id: uuid.UUID, fact: NewFact, source: str, recorded: int) -> dict[str, Any]:
    """Return the column values of a fact's row."""
    return {
        "elder_id": elder_id,
        "kind": fact.kind,
        "value": fact.value,
        "from_day": fact.from_day,
        "to_day": fact.to_day,
        "recorded": recorded,
        "source": source,
        "retracts": fact.retracts,
    }


def _rows(session: Session, ids: Iterable[uuid.UUID]) -> list[Fact]:
    """Return the facts of these elders, and the merges into them: one query each, since hardly anybody is merged."""
    found = list[Fact]()
    for each in ids:
        found += [Fact(*row) for row in _facts_of_one().rows(session, {"elder": each, "text": str(each)})]
    return found


FACT_COLUMNS: Final = (  # in the order of `facts.Fact`
    ElderFact.id,
    ElderFact.elder_id,
    ElderFact.kind,
    ElderFact.value,
    ElderFact.from_day,
    ElderFact.to_day,
    ElderFact.recorded,
    ElderFact.source,
    ElderFact.retracts,
)

# The statements of every scan are built once: building them costs more than running them.


@cache
def _facts_of_one() -> Prepared:
    merged_here = and_(ElderFact.kind == "merged", ElderFact.value == bindparam("text"))
    return Prepared(select(*FACT_COLUMNS).where(or_(ElderFact.elder_id == bindparam("elder"), merged_here)))


def _relatives(facts: Iterable[Fact]) -> set[uuid.UUID]:
    """Return every elder that these facts name, as their subject or as the one merged into."""
    merges = [fact for fact in facts if fact.kind == "merged" and fact.value]
    return {fact.elder_id for fact in merges} | {uuid.UUID(fact.value) for fact in merges}


def _root(elder: str, into: Mapping[str, str]) -> str:
    seen = {elder}
    while elder in into and into[elder] not in seen:
        elder = into[elder]
        seen.add(elder)
    return elder


def _may_merge(session: Session, elder_id: uuid.UUID, target: uuid.UUID) -> None:
    """Raise NoElder; BadFact when the merge would run in a circle."""
    if session.get(Elder, target) is None:
        raise NoElder
    root, _ = cluster(session, target)
    if root == elder_id:
        raise dated.BadFact("这两位已经合并为同一人，请刷新后再看。")
