"""The layers that would be in force if a rulebook were published: the present ones, with one replaced.

Publications are read once, and nothing after them: publications are few, meals are many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.places import Canteen, below
from canteen.policy import rulebook as books
from canteen.policy.canonical import Document
from canteen.policy.rules import Rulebook
from canteen.rulebooks.models import LAYERS, Publication, RulebookVersion


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rulebook proposed for a place; from `first_day` on, or on any day where that is None."""

    layer: str
    node_id: str
    document: Document
    first_day: date | None = None

    @property
    def scheme(self) -> str:
        return str(self.document["id"])

    @property
    def body(self) -> bytes:
        return books.canonical(self.document)


@dataclass(frozen=True, slots=True)
class Joined:
    """Layers joined and compiled. `hash` is the one that a sale under them names."""

    book: Rulebook
    hash: str
    parts: tuple[str, ...]


class Layers:
    """Every publication, with one proposal among them or none."""

    def __init__(self, session: Session, proposal: Proposal | None = None) -> None:
        self._rows = [
            (row.layer, row.node_id, row.scheme, row.from_day, row.to_day, row.rulebook_hash)
            for row in session.execute(select(Publication).order_by(Publication.from_day, Publication.id)).scalars()
        ]
        found = session.execute(select(RulebookVersion.hash, RulebookVersion.body))
        self._bodies = {digest: body.encode() for digest, body in found}
        self._proposal = proposal
        self._proposed = books.digest(proposal.body) if proposal else ""
        if proposal:
            self._bodies[self._proposed] = proposal.body
        self._joined: dict[tuple[str, ...], Joined] = {}
        self._parts: dict[tuple[tuple[str, ...], date], tuple[str, ...]] = {}

    def covers(self, nodes: Sequence[str]) -> bool:
        """Tell whether the proposal would count at a canteen with these nodes (its areas and itself)."""
        return self._proposal is not None and self._proposal.node_id in nodes

    def parts(self, nodes: tuple[str, ...], on: date) -> tuple[str, ...]:
        """Return hashes of the rulebooks in force at nodes (most general first), as `layers.in_force` orders them."""
        key = (nodes, on)
        if key not in self._parts:
            self._parts[key] = self._in_force(nodes, on)
        return self._parts[key]

    def _in_force(self, nodes: tuple[str, ...], on: date, below: int = len(LAYERS)) -> tuple[str, ...]:
        newest: dict[tuple[int, int, str], str] = {}
        for layer, node, scheme, first, last, digest in self._rows:
            if node in nodes and first <= on and (last is None or last >= on):
                newest[LAYERS.index(layer), nodes.index(node), scheme] = digest
        one = self._proposal
        if one and one.node_id in nodes and (one.first_day is None or one.first_day <= on):
            newest[LAYERS.index(one.layer), nodes.index(one.node_id), one.scheme] = self._proposed
        return tuple(newest[key] for key in sorted(newest) if key[0] < below)

    def at(self, nodes: tuple[str, ...], on: date) -> Joined:
        """Return the joined rulebook of a canteen and a day."""
        return self._join(self.parts(nodes, on))

    def above(self, nodes: tuple[str, ...], on: date, layer: str) -> Joined:
        """Return the joined rulebook of the layers more general than `layer`, at a canteen on a day."""
        return self._join(self._in_force(nodes, on, LAYERS.index(layer)))

    def through(self, nodes: tuple[str, ...], on: date, layer: str) -> Joined:
        """Return the joined rulebook of `layer` and the more general ones, at a canteen on a day."""
        return self._join(self._in_force(nodes, on, LAYERS.index(layer) + 1))

    def document(self, part: str) -> dict[str, Any]:
        """Return the document of one of the rulebooks."""
        found = books.parse(self._bodies[part])
        assert isinstance(found, dict)
        return found

    def _join(self, parts: tuple[str, ...]) -> Joined:
        if parts not in self._joined:
            body = books.join([self._bodies[part] for part in parts])
            self._joined[parts] = Joined(books.load(body), books.digest(body), parts)
        return self._joined[parts]

    def conflicts(self, nodes: tuple[str, ...], on: date) -> list[books.Problem]:
        """List conflicts among the layers of a place, as sentences."""
        return books.lint_layers([self._bodies[part] for part in self.parts(nodes, on)])


def covered(session: Session, layer: str, node_id: str, on: date) -> list[Canteen]:
    """Return the canteens that a rulebook at a node counts at."""
    if layer == "canteen":
        found = select(Canteen).where(Canteen.id == node_id)
    else:
        found = select(Canteen).where(Canteen.area_id.in_(below(session, node_id, on)))
    return list(session.execute(found.order_by(Canteen.id)).scalars())


def on_any_day(document: dict[str, Any], first: int) -> dict[str, Any]:
    """Return the rulebook as if begun by `first` (a civil day) and without end: to try it on the past."""
    moved = {name: value for name, value in document.items() if name != "to"}
    return {**moved, "from": min(document["from"], first)}
