"""Values read from the database that change by events alone, kept in this process until an event concerns them.

A request reads the newest event, the head. If the head has moved, the events since are read once a process, and of each
concern (see `concerns`) the newest event is noted. A value is used while no event newer than it concerns it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from canteen import concerns, events
from canteen.prepared import database_of

V = TypeVar("V")
Head = tuple[int, str]

MOST_EVENTS = 500  # read to learn what they concern; beyond, all is read anew
MOST_CONCERNS = 20_000


@dataclass(slots=True)
class History:
    """What the events of one database concerned, as far as this process has read them.

    hashes      of the newest events, by number: a head that is not among them is of another history
    newest      the newest event of each concern; of concerns that are not in it, `floor` or an earlier one
    generation  changes when the events turn out not to continue those read: after a restore, or when an event that was
                seen inside its transaction was rolled back
    """

    number: int
    hashes: OrderedDict[int, str]
    generation: object = field(default_factory=object)
    floor: int = 0
    newest: OrderedDict[str, int] = field(default_factory=OrderedDict)

    def add(self, number: int, digest: str, concerned: Iterable[str]) -> None:
        self.number = number
        self.hashes[number] = digest
        if len(self.hashes) > MOST_EVENTS:
            self.hashes.popitem(last=False)
        for concern in concerned:
            self.newest[concern] = number
            self.newest.move_to_end(concern)
        while len(self.newest) > MOST_CONCERNS:
            self.floor = max(self.floor, self.newest.popitem(last=False)[1])

    def newest_of(self, concerned: Iterable[str]) -> int:
        """Return the number of the newest event of these concerns, or a later one."""
        return max(self.newest.get(each, self.floor) for each in (concerns.EVERYTHING, *concerned))


_histories: dict[str, History] = {}
_lock = Lock()


@dataclass(frozen=True, slots=True)
class _Entry(Generic[V]):
    value: V
    generation: object
    at: int
    concerned: tuple[str, ...]


class Kept(Generic[V]):
    """Values by key, at most `most` of them in all databases together. Safe among threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Hashable, _Entry[V]] = OrderedDict()

    def get(
        self,
        session: Session,
        head: Head,
        key: Hashable,
        read: Callable[[], V],
        concerned: Callable[[V], Iterable[str]],
    ) -> V:
        """Return the value of `key` as of `head`, the newest event of this session; computed by `read` when not kept.

        concerned    names the concerns that a value was read from

        An act that writes asks before its first row, or after both its event and its rows: a value is kept as of `head`.
        """
        database = database_of(session)
        history = _history(session, database, head)
        whole = (database, key)
        with _lock:
            entry = self._values.get(whole)
            if entry is not None and _holds(entry, history, head):
                return entry.value
            generation = history.generation
        value = read()
        entry = _Entry(value, generation, head[0], tuple(concerned(value)))
        with _lock:
            if history.hashes.get(head[0]) == head[1]:
                self._values[whole] = entry
                self._values.move_to_end(whole)
            if len(self._values) > self._most:
                self._values.popitem(last=False)
        return value


def concerned_since(session: Session, since: Head, head: Head, concerned: Iterable[str]) -> bool:
    """Tell whether an event after `since`, up to `head`, concerns any of these; True where that is not known for sure."""
    history = _history(session, database_of(session), head)
    with _lock:
        if history.hashes.get(since[0]) != since[1]:
            return True
        return history.newest_of(concerned) > since[0]


def _holds(entry: _Entry[V], history: History, head: Head) -> bool:
    """Tell whether the value is as the database is at `head`: not one read later, in a transaction still open."""
    same = entry.generation is history.generation and entry.at <= head[0] and history.hashes.get(head[0]) == head[1]
    return same and history.newest_of(entry.concerned) <= entry.at


def _history(session: Session, database: str, head: Head) -> History:
    """Return the history of a database, read up to `head`."""
    number, digest = head
    with _lock:
        known = _histories.get(database)
        if known is not None and known.hashes.get(number) == digest:
            return known
    since = known.number if known is not None and number - known.number <= MOST_EVENTS else number
    found = events.between(session, since, number) if number > since else []
    with _lock:
        known = _histories.get(database)
        continues = bool(known and found and known.hashes.get(found[0][0]) == found[0][1])
        if known is None or not continues:
            known = _histories[database] = History(number, OrderedDict({number: digest}), floor=number)
            return known
        for each, hashed, kind, subject, body in found[1:]:
            if each > known.number:
                known.add(each, hashed, concerns.of(kind, subject, body))
        return known
