"""Rules and facts known late (rulings 18 and 19): asked for by one person, ordered by another, for days wholly past.

A revaluation is not a publication. `layers.in_force` never reads it, so it prices no sale and quotes nothing. `Books`
returns what would have been in force; only `settlement.corrections` reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen.errors import Missing
from canteen.policy import rulebook as books
from canteen.rulebooks import layers
from canteen.rulebooks.layers import InForce
from canteen.rulebooks.models import Revaluation, RevaluationOrder, RulebookVersion


class NoRevaluation(Missing):
    code = "revaluation_not_found"
    message = "没有找到这次重估。"


def find(session: Session, revaluation_id: int) -> Revaluation:
    """Return a revaluation. Raises NoRevaluation."""
    row = session.get(Revaluation, revaluation_id)
    if row is None:
        raise NoRevaluation
    return row


def ordered(session: Session, revaluation_id: int) -> RevaluationOrder | None:
    """Return the second person's confirmation; None before it is given."""
    return session.get(RevaluationOrder, revaluation_id)


class Books:
    """The layers that would have been in force: each scheme's newest ordered notice replaces its version.

    supposed  a notice not ordered yet, previewed as if it were the newest
    """

    def __init__(self, session: Session, supposed: Revaluation | None = None) -> None:
        self._newest = _newest(session)
        rows = list(
            session.execute(
                select(Revaluation)
                .join(RevaluationOrder, RevaluationOrder.revaluation_id == Revaluation.id)
                .where(Revaluation.cause == "notice", RevaluationOrder.recorded <= self._newest)
                .order_by(RevaluationOrder.recorded)
            ).scalars()
        )
        if supposed is not None and supposed.cause == "notice" and all(row.id != supposed.id for row in rows):
            rows.append(supposed)
        self._notices = [
            (row.id, (row.layer, row.node_id, row.scheme), row.from_day, row.to_day, str(row.rulebook_hash))
            for row in rows
        ]
        self._joined: dict[tuple[tuple[str, ...], date], InForce] = {}

    def is_current(self, session: Session) -> bool:
        """Tell whether no notice was ordered since this was read."""
        return _newest(session) == self._newest

    def is_newest(self, revaluation_id: int, on: date) -> bool:
        """Tell whether no later notice of the same scheme and place has replaced this one on a day."""
        own = next((key for number, key, *_ in self._notices if number == revaluation_id), None)
        newest = [number for number, key, first, last, _ in self._notices if key == own and first <= on <= last]
        return bool(newest) and newest[-1] == revaluation_id

    def conflicts(self, session: Session, nodes: tuple[str, ...], on: date) -> list[str]:
        """List conflicts among the layers of a place and a day, as sentences."""
        parts = self.at(session, nodes, on).parts
        found = session.execute(select(RulebookVersion.hash, RulebookVersion.body)).all()
        bodies = {digest: body.encode() for digest, body in found}
        problems = books.lint_layers([bodies[part] for part in parts])
        return [str(problem) for problem in problems if problem.severity == "error"]

    def at(self, session: Session, nodes: tuple[str, ...], on: date) -> InForce:
        """Return the joined rulebook of a place (its areas, most general first, and the canteen) and a day."""
        if (nodes, on) not in self._joined:
            instead = {key: digest for _, key, first, last, digest in self._notices if first <= on <= last}
            self._joined[nodes, on] = layers.with_others(session, nodes, on, instead)
        return self._joined[nodes, on]


def _newest(session: Session) -> int:
    """Return the event by which the newest notice was ordered; 0 before the first."""
    newest = select(func.coalesce(func.max(RevaluationOrder.recorded), 0))
    return session.execute(newest).scalar_one()


def covers(row: Revaluation, nodes: Sequence[str]) -> bool:
    """Tell whether a notice counts at a canteen with these nodes; facts go with the person everywhere."""
    return row.cause == "facts" or row.node_id in nodes
