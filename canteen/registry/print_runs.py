"""From a batch of made cards to paper: a card's code can be read until the batch is confirmed printed, then never again."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import delete, exists, func, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.errors import Missing
from canteen.events import Event
from canteen.registry import credentials, keys
from canteen.registry.card_print import Face
from canteen.registry.credentials import MAKE
from canteen.registry.models import CardCode, Credential, CredentialFact, ElderFact, ElderIdentity

_PAGE = 200  # rows read at a time


class NoBatch(Missing):
    code = "batch_not_found"
    message = "没有这一批待打印的卡：可能已打印并销毁卡码，如需重打请换发新卡。"


@dataclass(frozen=True, slots=True)
class Batch:
    """Cards made together and not confirmed printed. `named` of them are made out to elders."""

    name: str
    cards: int
    named: int


@dataclass(frozen=True, slots=True)
class Reach:
    """The batches that a person may print: all holders live or are registered in `within`, or blank cards made `by` them."""

    within: Collection[str]
    by: str

    def outside(self, session: Session) -> set[str]:
        """Return the names of the waiting batches of others."""
        bound = select(CredentialFact.credential_id).where(CredentialFact.kind == "bound")
        known = exists().where(
            ElderFact.elder_id == CredentialFact.elder_id,
            ElderFact.kind.in_(("hukou", "residence")),
            ElderFact.value.in_(self.within),
        )
        foreign = CardCode.credential_id.in_(bound.where(~known))
        own = select(Event.subject).where(Event.kind == MAKE, Event.actor == self.by)
        blank = CardCode.credential_id.not_in(bound) & CardCode.batch.not_in(own)
        return set(session.execute(select(CardCode.batch).where(foreign | blank).distinct()).scalars())


def waiting(session: Session, reach: Reach | None = None) -> list[Batch]:
    """Return the batches that are not confirmed printed, newest first; with `reach`, those within it alone."""
    named = select(CredentialFact.credential_id).where(CredentialFact.kind == "bound").distinct().subquery()
    rows = session.execute(
        select(CardCode.batch, func.count(), func.count(named.c.credential_id))
        .outerjoin(named, named.c.credential_id == CardCode.credential_id)
        .group_by(CardCode.batch)
        .order_by(CardCode.batch.desc())
    )
    outside = reach.outside(session) if reach else set()
    return [Batch(*row) for row in rows if row[0] not in outside]


def need(session: Session, batch: str, reach: Reach | None) -> None:
    """Raise NoBatch, as if there were none, for a batch of others."""
    if reach and batch in reach.outside(session):
        raise NoBatch


def faces(session: Session, batch: str) -> Iterator[Face]:
    """Yield the faces of the cards of a batch, by number. Cards ended meanwhile are left out. Raises NoBatch."""
    last, found = "", False
    while page := _page(session, batch, last):
        found = True
        names = _names(session, [credential.id for credential, _ in page])
        for credential, code in page:
            last = credential.number or ""
            if (name := names.get(credential.id)) is not None:
                yield Face(_code(code), last, name)
    if not found:
        raise NoBatch


def printed(session: Session, batch: str, by: str) -> int:
    """Confirm that a batch is on paper: its codes are destroyed. Answers how many cards. Raises NoBatch."""
    ids = session.execute(select(CardCode.credential_id).where(CardCode.batch == batch)).scalars().all()
    if not ids:
        raise NoBatch
    recorded = events.record(session, "cards.print", batch, by=by, body={"cards": len(ids)})
    if session.execute(delete(CardCode).where(CardCode.batch == batch)).rowcount != len(ids):  # type: ignore[attr-defined]
        raise NoBatch  # another desk confirmed meanwhile
    session.add_all(
        CredentialFact(credential_id=each, kind="printed", elder_id=None, by=by, at=clock.now(), recorded=recorded)
        for each in ids
    )
    session.flush()
    return len(ids)


def _page(session: Session, batch: str, after: str) -> list[tuple[Credential, CardCode]]:
    rows = session.execute(
        select(Credential, CardCode)
        .join(CardCode, CardCode.credential_id == Credential.id)
        .where(CardCode.batch == batch, Credential.number > after)
        .order_by(Credential.number)
        .limit(_PAGE)
    )
    return list(rows)


def _names(session: Session, ids: list[uuid.UUID]) -> dict[uuid.UUID, str]:
    """Return the holder's name by card, '' for a blank card; lost and blocked cards are left out."""
    rows = session.execute(
        select(CredentialFact.credential_id, CredentialFact.kind, CredentialFact.elder_id)
        .where(CredentialFact.credential_id.in_(ids))
        .order_by(CredentialFact.id)
    )
    facts: dict[uuid.UUID, list[tuple[str, uuid.UUID | None]]] = {each: [] for each in ids}
    for credential_id, kind, elder_id in rows:
        facts[credential_id].append((kind, elder_id))
    states = {each: credentials.summed(rows) for each, rows in facts.items()}
    holders = {one.elder_id for one in states.values() if one.elder_id is not None}
    newest = select(func.max(ElderIdentity.id)).where(ElderIdentity.elder_id.in_(holders))
    newest = newest.group_by(ElderIdentity.elder_id)
    named = select(ElderIdentity.elder_id, ElderIdentity.name).where(ElderIdentity.id.in_(newest))
    names = dict(session.execute(named).all())
    return {
        each: names[one.elder_id] if one.elder_id else ""
        for each, one in states.items()
        if not one.lost and not one.blocked
    }


def _code(row: CardCode) -> str:
    return keys.keyring().wrap.open(row.cipher, f"card_code {row.credential_id}").decode()
