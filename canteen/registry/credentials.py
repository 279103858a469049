"""Credentials: making cards, giving them to elders, and telling whose card was scanned.

A credential's row never changes; its holder and whether it is dead are in its facts, in the order recorded.
Lost can be answered by found; blocked is for good. A card given to an elder ends that elder's former cards.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Final, Literal

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import batches
from canteen.errors import Conflict, Invalid, Missing
from canteen.prepared import Prepared
from canteen.registry import cards, elders, keys
from canteen.registry.models import CardCode, Credential, CredentialFact

BATCH_LIMIT = 5000  # cards made in one go
REASONS: Final = {
    "lost": "挂失",
    "damaged": "损坏",
    "replaced": "换新卡",
    "returned": "交回",
    "misuse": "他人冒用",
    "mistake": "办错",
    "other": "其他",
}

MAKE: Final = "cards.make"  # the event of a batch, by its maker
Report = Literal["lost", "found", "blocked"]


class UnknownCard(Missing):
    code = "card_unknown"
    message = "没有这张卡的登记，请核对卡号，或请社区补办。"


class BlockedCard(Conflict):
    code = "card_blocked"
    message = "此卡已停用，请联系社区"


class UnboundCard(Conflict):
    code = "card_unbound"
    message = "这是一张空白卡，还没有登记给老人，请先办理绑定。"


class CardTaken(Conflict):
    code = "card_taken"
    message = "这张卡已经登记给另一位老人，请换一张空白卡。"


class BatchTooLarge(Invalid):
    code = "batch_too_large"
    message = f"一次最多制 {BATCH_LIMIT} 张卡，请分批办理。"


@dataclass(frozen=True, slots=True)
class Life:
    """A credential with all that was ever recorded of it, in the order recorded: (kind, elder, instant)."""

    id: uuid.UUID
    digest: str
    facts: tuple[tuple[str, uuid.UUID | None, datetime], ...]


@dataclass(frozen=True, slots=True)
class Resolved:
    """Whose credential was read. `how`: 'card' for its code, 'number' for the digits printed for people."""

    elder_id: uuid.UUID
    credential_digest: str
    how: Literal["card", "number"]


@dataclass(frozen=True, slots=True)
class CardState:
    """What a credential's facts add up to: whose it is, and whether it works."""

    elder_id: uuid.UUID | None = None
    lost: bool = False
    blocked: bool = False
    printed: bool = False

    @property
    def works(self) -> bool:
        return self.elder_id is not None and not self.lost and not self.blocked


@dataclass(frozen=True, slots=True)
class Made:
    """A card just made. `code` is what its QR will say: known here, and in card_code until printed."""

    id: uuid.UUID
    digest: str
    number: str
    code: str = field(repr=False)


def resolve(session: Session, scan: str, *, on: date) -> Resolved:
    """Return the elder of a scan on a day. Raises ScanMalformed, ScanForeign, UnknownCard, BlockedCard, UnboundCard.

    The card of somebody recorded as deceased reads like any stopped card: registers err, and the person may be
    at the counter (ruling 12).
    """
    read = cards.read(scan)
    found = life(session, read)
    elder_id = owner(found)
    assert found is not None
    if elders.is_stopped(session, elder_id, on):
        raise BlockedCard
    return Resolved(elder_id, found.digest, read.how)


def life(session: Session, read: cards.Code) -> Life | None:
    """Return the life of the credential read; None when there is no such credential."""
    return next((found for text in texts(read) if (found := life_of(session, read.how, text))), None)


def life_of(session: Session, how: str, text: str) -> Life | None:
    """Return the life of the credential of a digest ('card') or printed number; None when there is none."""
    rows = _facts_by(how).rows(session, {"text": text})
    facts = tuple((kind, elder, at) for _, _, kind, elder, at in rows if kind is not None)
    return Life(rows[0][0], rows[0][1], facts) if rows else None


def holder(life: Life, *, at: datetime) -> uuid.UUID | None:
    """Return the holder of a credential at an instant; None when it had none, was lost or blocked then."""
    state = summed((kind, elder) for kind, elder, since in life.facts if since <= at)
    return state.elder_id if state.works else None


def owner(life: Life | None) -> uuid.UUID:
    """Return whose credential this is now. Raises UnknownCard, BlockedCard, UnboundCard."""
    if life is None:
        raise UnknownCard
    state = summed((kind, elder) for kind, elder, _ in life.facts)
    if state.blocked or state.lost:
        raise BlockedCard
    if state.elder_id is None:
        raise UnboundCard
    return state.elder_id


def state_of(session: Session, credential_id: uuid.UUID) -> CardState:
    """Return the present state of a credential."""
    rows = session.execute(
        select(CredentialFact.kind, CredentialFact.elder_id)
        .where(CredentialFact.credential_id == credential_id)
        .order_by(CredentialFact.id)
    )
    return summed(rows)


def summed(facts: Iterable[tuple[str, uuid.UUID | None]]) -> CardState:
    """Sum facts (kind, elder), in the order recorded, to one state."""
    elder_id, lost, blocked, printed = None, False, False, False
    for kind, elder in facts:
        if kind == "bound":
            elder_id = elder
        elif kind in {"lost", "found"}:
            lost = kind == "lost"
        else:
            blocked, printed = blocked or kind == "blocked", printed or kind == "printed"
    return CardState(elder_id, lost, blocked, printed)


def make(session: Session, holders: Sequence[uuid.UUID | None], *, batch: str, by: str) -> list[Made]:
    """Make one card for each holder, in that order; None makes a blank card. Nothing is printed yet.

    Raises BatchTooLarge.
    """
    if len(holders) > BATCH_LIMIT:
        raise BatchTooLarge
    ring, at = keys.keyring(), clock.now()
    numbers = _fresh_numbers(session, len(holders))
    drawn = [(uuid.uuid4(), number, cards.new_code()) for number in numbers]
    made = [Made(each, ring.digest(code), number, code) for each, number, code in drawn]
    recorded = events.record(session, MAKE, batch, by=by, body={"cards": len(made)})
    session.add_all(_row(card, ring, at, recorded) for card in made)
    session.flush()
    for card, holder in zip(made, holders, strict=True):
        sealed = ring.wrap.seal(card.code.encode(), f"card_code {card.id}")
        session.add(CardCode(credential_id=card.id, cipher=sealed, batch=batch))
        if holder is not None:
            session.add(_fact(card.id, "bound", by, recorded, elder_id=holder))
    session.flush()
    return made


def issue(session: Session, elder_ids: Sequence[uuid.UUID], by: str, *, batch: str | None = None) -> list[Made]:
    """Make a card for each of these elders without a working one; a card reported lost ends. Safe to repeat."""
    events.wait(session)  # two desks at once, or a second click
    states = _states_of(session, elder_ids)
    working = {each.elder_id for each in states.values() if each.works}
    wanting = [each for each in dict.fromkeys(elder_ids) if each not in working]
    if not wanting:
        return []
    made = make(session, wanting, batch=batch or new_batch(), by=by)
    lost = [card for card, each in states.items() if each.elder_id in set(wanting) and not each.blocked]
    recorded = session.get_one(Credential, made[0].id).recorded
    session.add_all(_fact(card, "blocked", by, recorded, reason="replaced") for card in lost)
    session.flush()
    return made


def blank(session: Session, count: int, by: str) -> str:
    """Make numbered cards that are given to elders later, at the counter; answers the batch."""
    if count < 1:
        raise BatchTooLarge
    batch = new_batch()
    make(session, [None] * count, batch=batch, by=by)
    return batch


def replace(session: Session, digest: str, by: str, reason: str) -> Made:
    """End a card for good and make a new one for the same elder; the new one must be printed.

    Raises UnknownCard, UnboundCard, and BlockedCard when it was ended before.
    """
    old = by_digest(session, digest)
    events.wait(session)  # a second click finds the card ended
    state = state_of(session, old.id)
    if state.blocked:
        raise BlockedCard("此卡已永久停用，不能再换发。")
    if state.elder_id is None:
        raise UnboundCard
    report(session, digest, "blocked", by, reason)
    return make(session, [state.elder_id], batch=new_batch(), by=by)[0]


def new_batch() -> str:
    """Make a name for a batch of cards: the day and a few characters that tell two batches apart."""
    return f"{clock.today():%Y%m%d}-{secrets.token_hex(3)}"


def bind(session: Session, scan: str, elder_id: uuid.UUID, by: str) -> Credential:
    """Give a blank card to an elder at the counter; the elder's former cards stop. Safe to repeat.

    Raises UnknownCard, BlockedCard, CardTaken, elders.NoElder.
    """
    credential = _find(session, cards.read(scan))
    elders.lock(session, elder_id)
    state = state_of(session, credential.id)
    if state.blocked or state.lost:
        raise BlockedCard
    if state.elder_id == elder_id:
        return credential
    if state.elder_id is not None:
        raise CardTaken
    former = [card for card, its in of_elder(session, elder_id) if card.kind == "card" and not its.blocked]
    body = {"elder": str(elder_id), "ended": sorted(str(card.id) for card in former)}
    recorded = events.record(session, "card.bind", str(credential.id), by=by, body=body)
    if state_of(session, credential.id) != state:  # the chain is locked now: another counter was first
        raise CardTaken
    session.add(_fact(credential.id, "bound", by, recorded, elder_id=elder_id))
    session.add_all(_fact(card.id, "blocked", by, recorded, reason="replaced") for card in former)
    session.flush()
    return credential


def report(session: Session, digest: str, kind: Report, by: str, reason: str) -> CardState:
    """Report a credential lost, found again, or blocked for good; return its state then. Safe to repeat.

    Raises UnknownCard. A blocked credential cannot be found again: BlockedCard.
    """
    credential = by_digest(session, digest)
    state = state_of(session, credential.id)
    if state.blocked and kind != "blocked":
        raise BlockedCard("此卡已永久停用，不能再启用，请换发新卡。")
    done = {"lost": state.lost, "found": not state.lost, "blocked": state.blocked}[kind]
    if done:
        return state
    recorded = events.record(session, f"card.{kind}", str(credential.id), by=by, body={"reason": reason})
    session.add(_fact(credential.id, kind, by, recorded, reason=reason))
    session.flush()
    return state_of(session, credential.id)


def of_elder(session: Session, elder_id: uuid.UUID) -> list[tuple[Credential, CardState]]:
    """Return the credentials last given to an elder, newest first, each with its state."""
    ever = select(CredentialFact.credential_id).where(CredentialFact.elder_id == elder_id)
    rows = session.execute(
        select(Credential, CredentialFact.kind, CredentialFact.elder_id)
        .join(CredentialFact, CredentialFact.credential_id == Credential.id)
        .where(Credential.id.in_(ever))
        .order_by(Credential.recorded.desc(), Credential.id, CredentialFact.id)
    )
    facts: dict[Credential, list[tuple[str, uuid.UUID | None]]] = {}
    for credential, kind, elder in rows:
        facts.setdefault(credential, []).append((kind, elder))
    found = [(credential, summed(rows)) for credential, rows in facts.items()]
    return [(credential, state) for credential, state in found if state.elder_id == elder_id]


def by_digest(session: Session, digest: str) -> Credential:
    """Return the credential of a digest. Raises UnknownCard."""
    found = session.execute(select(Credential).where(Credential.digest == digest)).scalar_one_or_none()
    if found is None:
        raise UnknownCard
    return found


def find(session: Session, scan: str) -> Credential:
    """Return the credential of a scan or a typed number, whatever its state. Raises UnknownCard and scan errors."""
    return _find(session, cards.read(scan))


def _states_of(session: Session, elder_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, CardState]:
    """Return the state of every card last given to one of these elders."""
    found: dict[uuid.UUID, CardState] = {}
    for part in batches(elder_ids):
        ever = select(CredentialFact.credential_id).where(CredentialFact.elder_id.in_(part))
        rows = session.execute(
            select(CredentialFact.credential_id, CredentialFact.kind, CredentialFact.elder_id)
            .join(Credential, Credential.id == CredentialFact.credential_id)
            .where(Credential.kind == "card", Credential.id.in_(ever))
            .order_by(CredentialFact.id)
        )
        facts: dict[uuid.UUID, list[tuple[str, uuid.UUID | None]]] = {}
        for credential_id, kind, elder_id in rows:
            facts.setdefault(credential_id, []).append((kind, elder_id))
        found |= {card: summed(rows) for card, rows in facts.items()}
    return found


@cache
def _facts_by(how: str) -> Prepared:
    named = (Credential.number if how == "number" else Credential.digest) == bindparam("text")
    fact = CredentialFact
    return Prepared(
        select(Credential.id, Credential.digest, fact.kind, fact.elder_id, fact.at)
        .outerjoin(fact, fact.credential_id == Credential.id)
        .where(named)
        .order_by(fact.id)
    )


def _find(session: Session, read: cards.Code) -> Credential:
    column = Credential.number if read.how == "number" else Credential.digest
    found = session.execute(select(Credential).where(column.in_(texts(read)))).scalar_one_or_none()
    if found is None:
        raise UnknownCard
    return found


def texts(read: cards.Code) -> list[str]:
    """Return what the credential may be stored under: its number, or its digest by each salt in use."""
    ring = keys.keyring()
    return [read.digits] if read.how == "number" else [ring.digest(read.digits, salt) for salt in ring.salts]


def _row(card: Made, ring: keys.Keyring, at: datetime, recorded: int) -> Credential:
    return Credential(
        id=card.id,
        kind="card",
        digest=card.digest,
        number=card.number,
        salt_id=ring.salt_id,
        row_key=ring.wrap.seal(ring.row_key(card.code), f"credential.row_key {card.id}"),
        made_at=at,
        recorded=recorded,
    )


def _fresh_numbers(session: Session, count: int) -> list[str]:
    """Draw card numbers that no card has yet; the unique column is what refuses a double."""
    fresh = set[str]()
    while len(fresh) < count:
        drawn = {cards.new_number() for _ in range(count - len(fresh))}
        for part in batches(sorted(drawn)):
            drawn -= set(session.execute(select(Credential.number).where(Credential.number.in_(part))).scalars())
        fresh |= drawn
    return list(fresh)


def _fact(
    credential_id: uuid.UUID, kind: str, by: str, recorded: int, *, elder_id: uuid.UUID | None = None, reason: str = ""
) -> CredentialFact:
    return CredentialFact(
        credential_id=credential_id,
        kind=kind,
        elder_id=elder_id,
        reason=reason,
        by=by,
        at=clock.now(),
        recorded=recorded,
    )
