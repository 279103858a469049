"""The rulebook in force at a place and day: the published layers joined into one, interned by hash.

A layer is published at an area or a canteen. From the most general to the canteen itself, each layer's
newest publication of a scheme that is in force on the day counts; a lower layer only adds shares (decision 0007).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from canteen import places
from canteen.db import intern
from canteen.errors import Missing
from canteen.policy import rulebook as books
from canteen.policy.rules import Rulebook
from canteen.rulebooks.models import LAYERS, JoinedRulebook, Publication, RulebookVersion


class NoRulebook(Missing):
    code = "rulebook_not_in_force"
    message = "当日没有生效的补贴标准，按原价就餐，请联系民政部门。"


@dataclass(frozen=True, slots=True)
class InForce:
    """The joined rulebook of a place and day; `hash` is its permanent name."""

    book: Rulebook
    hash: str
    body: str
    parts: tuple[str, ...]

    @property
    def asks_day_kind(self) -> bool:
        """Tell whether some rule asks what kind of day it is."""
        return asks_day_kind(self.body)


def asks_day_kind(body: str) -> bool:
    """Tell whether a stored rulebook has a rule that asks what kind of day it is."""
    return '"day_kind":' in body


def asking_day_kind(session: Session, on: date) -> list[str]:
    """Return titles of the rulebooks in force anywhere on `on` or later that ask what kind of day it is."""
    rows = session.execute(
        select(Publication.layer, Publication.node_id, Publication.scheme, Publication.from_day, RulebookVersion.body)
        .join(RulebookVersion, RulebookVersion.hash == Publication.rulebook_hash)
        .where(or_(Publication.to_day.is_(None), Publication.to_day >= on))
        .order_by(Publication.from_day, Publication.id)
    )
    bodies = {(layer, node, scheme, max(first, on)): body for layer, node, scheme, first, body in rows}
    return sorted({str(document(body)["title"]) for body in bodies.values() if asks_day_kind(body)})


def in_force(session: Session, canteen_id: str, areas: Sequence[str], on: date) -> InForce:
    """Return the rulebook that prices a meal on `on` at a canteen lying in `areas` (most general first).

    Where none is published, an empty one: everything at list price.
    """
    parts = _parts(session, (*areas, canteen_id), on)
    return _JOINED.get(parts) or _join(session, parts)


def without_rules(session: Session, on: date) -> list[str]:
    """Return ids of the canteens open on `on` for which no rulebook is in force: everybody pays the list price there."""
    nodes = set(session.execute(select(Publication.node_id).where(places.valid_on(Publication, on))).scalars())
    rows = session.execute(
        select(places.Canteen.id, places.Canteen.area_id)
        .where(places.Canteen.opened_on <= on)
        .order_by(places.Canteen.id)
    ).all()
    above = {area: set(places.path(session, area, on)) for area in {area for _, area in rows}}
    return [canteen for canteen, area in rows if not nodes & {canteen, *above[area]}]


def with_others(
    session: Session, nodes: tuple[str, ...], on: date, instead: Mapping[tuple[str, str, str], str]
) -> InForce:
    """Join what would be in force on a day if these rulebooks, by (layer, node, scheme), replaced those in force."""
    newest = _newest(session, nodes, on)
    newest |= {_place(nodes, *key): digest for key, digest in instead.items() if key[1] in nodes}
    parts = tuple(newest[key] for key in sorted(newest))
    return _JOINED.get(parts) or _join(session, parts)


def document(body: str) -> dict[str, Any]:
    """Return the document of a stored body."""
    found = books.parse(body.encode())
    assert isinstance(found, dict)
    return found


def keep(session: Session, book: InForce) -> None:
    """Intern the joined rulebook, so that a sale which names its hash can always be priced again.

    Rows are never removed, so a hash once seen in the database is not looked up again; one that this
    transaction inserted may still be rolled back.
    """
    seen = (session.get_bind().engine.url, book.hash)
    if seen in _KEPT:
        return
    own: set[str] = session.info.setdefault("interned", set())
    if session.execute(select(JoinedRulebook.hash).where(JoinedRulebook.hash == book.hash)).first():
        if book.hash not in own:
            _KEPT.add(seen)
        return
    own.add(book.hash)
    intern(session, JoinedRulebook, [{"hash": book.hash, "body": book.body, "parts": json.dumps(list(book.parts))}])


def _parts(session: Session, nodes: tuple[str, ...], on: date) -> tuple[str, ...]:
    """Return hashes of the rulebooks in force at the nodes, most general first, each scheme once a node."""
    newest = _newest(session, nodes, on)
    return tuple(newest[key] for key in sorted(newest))


def _newest(session: Session, nodes: tuple[str, ...], on: date) -> dict[tuple[int, int, str], str]:
    rows = session.execute(
        select(Publication.layer, Publication.node_id, Publication.scheme, Publication.rulebook_hash)
        .where(Publication.node_id.in_(nodes), places.valid_on(Publication, on))
        .order_by(Publication.from_day, Publication.id)
    )
    return {_place(nodes, layer, node, scheme): digest for layer, node, scheme, digest in rows}


def _place(nodes: tuple[str, ...], layer: str, node: str, scheme: str) -> tuple[int, int, str]:
    """Return the sort key of a scheme's rulebook among the layers of a place."""
    return LAYERS.index(layer), nodes.index(node), scheme


_KEPT: set[tuple[Any, str]] = set()
_JOINED: dict[tuple[str, ...], InForce] = {}  # joining is pure: one answer a tuple of parts for the life of the process


def _join(session: Session, parts: tuple[str, ...]) -> InForce:
    found = dict(
        session.execute(select(RulebookVersion.hash, RulebookVersion.body).where(RulebookVersion.hash.in_(parts))).all()
    )
    body = books.join([found[part].encode() for part in parts])
    joined = InForce(books.load(body), books.digest(body), body.decode(), parts)
    _JOINED[parts] = joined
    return joined


def stored(session: Session, digest: str) -> Rulebook:
    """Return the rulebook that a sale names by its joined hash. Raises NoRulebook."""
    body = stored_body(session, digest)
    if body is None:
        raise NoRulebook
    return loaded(digest, body)


def stored_body(session: Session, digest: str) -> str | None:
    """Return the text of a joined rulebook; None where it is not stored."""
    return session.execute(select(JoinedRulebook.body).where(JoinedRulebook.hash == digest)).scalar_one_or_none()


@lru_cache(maxsize=256)
def loaded(digest: str, body: str) -> Rulebook:
    """Return the rulebook of a stored text, which its hash names."""
    del digest
    return books.load(body.encode())
