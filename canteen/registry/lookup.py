"""Finding elders for the desk: within the caller's areas, by name, ID number or card; masked in every answer."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import ColumnElement, and_, exists, select
from sqlalchemy.orm import Session, aliased

from canteen import places
from canteen.db import batches
from canteen.errors import Invalid
from canteen.places import Area, AreaLink
from canteen.registry import cards, credentials, documents, elders, facts, keys
from canteen.registry.credentials import UnknownCard
from canteen.registry.documents import BadNumber, Document
from canteen.registry.models import Elder, ElderFact, ElderIdentity, IdentityKey
from canteen.registry.text_forms import close_up, fold

SHOWN = 50
_AREA_KINDS = ("hukou", "residence")


class NoArea(Invalid):
    code = "area_not_found"
    message = "区划表中没有这个代码，请核对。"


@dataclass(frozen=True, slots=True)
class ElderMatch:
    """One elder in a list."""

    id: uuid.UUID
    name: str = field(repr=False)
    masked: str


def find(session: Session, asked: str, within: Collection[str], *, limit: int = SHOWN) -> list[ElderMatch]:
    """Return elders by the beginning of a name, a whole ID number, or a card's number or scan, by name.

    `within`: areas; elders whose hukou or residence was never in one of them are not found.
    """
    text = fold(asked)
    if not text:
        return _listed(session, within, None, limit)
    ids = _by_number(session, text) or _by_card(session, text)
    if ids is not None:
        return _listed(session, within, ElderIdentity.elder_id.in_(ids), limit)
    name = close_up(text) if not text.isascii() else text
    return _listed(session, within, ElderIdentity.name.startswith(name, autoescape=True), limit)


def reached(session: Session, elder_id: uuid.UUID, within: Collection[str]) -> bool:
    """Return whether an elder may be shown to somebody who answers for these areas."""
    return bool(reached_among(session, [elder_id], within))


def reached_among(session: Session, elder_ids: Iterable[uuid.UUID], within: Collection[str]) -> set[uuid.UUID]:
    """Return those of these elders who may be shown to somebody who answers for these areas."""
    found = set[uuid.UUID]()
    for some in batches(elder_ids):
        query = select(Elder.id).where(Elder.id.in_(some), _known_in(within), elders.visible())
        found |= set(session.execute(query).scalars())
    return found


def belongs(session: Session, elder_id: uuid.UUID, within: Collection[str], on: date) -> bool:
    """Return whether an elder lives or is registered in these areas on a day or later.

    Who moved away is still found by the old street, and changed by the new one. Nobody's home known: `reached` decides.
    """
    known = elders.facts_about(session, elder_id)
    _, ids = elders.cluster_in(known, elder_id)
    homes = [f for f in facts.unretracted(known) if f.elder_id in ids and f.kind in _AREA_KINDS]
    current = {f.value for f in facts.on_day(homes, on)} | {f.value for f in homes if f.from_day > on}
    return not current.isdisjoint(within) if current else reached(session, elder_id, within)


def living_in(session: Session, area: str, on: date) -> list[uuid.UUID]:
    """Return everybody whose residence lies in the area on a day, except the deceased and the merged. Raises NoArea."""
    if session.get(Area, area) is None:
        raise NoArea
    there = places.below(session, area, on)
    ever = select(ElderFact.elder_id).where(ElderFact.kind == "residence", ElderFact.value.in_(there)).distinct()
    query = select(Elder.id).where(Elder.id.in_(ever), elders.visible()).order_by(Elder.id)
    found, ids = list[uuid.UUID](), session.execute(query).scalars().all()
    for part in batches(ids):
        for elder_id, known in elders.facts_of_many(session, part).items():
            valid = facts.on_day(facts.unretracted(known), on)
            gone = any(fact.kind == "merged" or fact.value in elders.STOPPED for fact in valid)
            if not gone and any(fact.kind == "residence" and fact.value in there for fact in valid):
                found.append(elder_id)
    return found


def by_document(session: Session, document: Document) -> uuid.UUID | None:
    """Return the elder with this ID number, wherever registered; None while an import still stages them."""
    mac = keys.keyring().mac(document.key)
    owner = select(IdentityKey.elder_id).join(Elder, Elder.id == IdentityKey.elder_id)
    return session.execute(owner.where(IdentityKey.number_mac == mac, elders.visible())).scalar_one_or_none()


def area_choices(session: Session, within: Collection[str], on: date) -> list[tuple[str, str]]:
    """Return streets and communities among these areas, with the areas above them: ('220104001', '朝阳区 桂林街道')."""
    above = aliased(Area)
    query = (
        select(Area.id, above.name, Area.name)
        .join(AreaLink, AreaLink.area_id == Area.id)
        .join(above, above.id == AreaLink.parent_id)
        .where(Area.level.in_(("street", "community")), above.level != "functional", places.valid_on(AreaLink, on))
        .order_by(Area.id)
    )
    return [(code, f"{parent} {name}") for code, parent, name in session.execute(query) if code in within]


def _by_number(session: Session, text: str) -> list[uuid.UUID] | None:
    """Return the elder with this ID number; None when it is no such number."""
    for kind in ("resident", "hmt", "foreign"):
        try:
            document = documents.parse(kind, text)
        except BadNumber:
            continue
        if document.birth is None and len(document.number) == cards.NUMBER:
            continue  # 8 digits are a card's number here
        owner = by_document(session, document)
        if owner is not None:
            return [owner]
        if document.birth is not None:
            return []
    return None


def _by_card(session: Session, text: str) -> list[uuid.UUID] | None:
    """Return the holder of the card; None when the text is no scan."""
    if not any(char.isdigit() for char in text):
        return None
    try:
        card = credentials.find(session, text)
    except UnknownCard:
        return []
    except Invalid:
        return None
    holder = credentials.state_of(session, card.id).elder_id
    return [holder] if holder else []


def _listed(
    session: Session, within: Collection[str], wanted: ColumnElement[bool] | None, limit: int
) -> list[ElderMatch]:
    later = aliased(ElderIdentity)
    superseded = exists().where(later.elder_id == ElderIdentity.elder_id, later.id > ElderIdentity.id)
    query = (
        select(ElderIdentity.elder_id, ElderIdentity.name, ElderIdentity.number_masked)
        .join(Elder, Elder.id == ElderIdentity.elder_id)
        .where(_known_in(within), elders.visible(), ~superseded)
        .order_by(ElderIdentity.name, ElderIdentity.id)
        .limit(limit)
    )
    if wanted is not None:
        query = query.where(wanted)
    return [ElderMatch(*row) for row in session.execute(query)]


def _known_in(within: Collection[str]) -> ColumnElement[bool]:
    lived = and_(ElderFact.elder_id == Elder.id, ElderFact.kind.in_(_AREA_KINDS), ElderFact.value.in_(within))
    return exists().where(lived)
