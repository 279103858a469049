"""Names as they were: every name of a canteen, operator, payee, area, person or tablet, kept when it changes.

The live tables have the present name. A trigger adds a row here when one is made or changed, so that a document of a
closed period or an act of the past reads the name valid then, whatever the thing is called now.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import CheckConstraint, and_, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from canteen.db import Base, batches

Kind = Literal["canteen", "operator", "payee", "area", "person", "tablet"]


class NameEntry(Base):
    """A name from an event on; for a payee its bank and account too.

    recorded  the number of the first event that may have come with it
    """

    __tablename__ = "name_entry"
    __table_args__ = (
        CheckConstraint("kind IN ('canteen', 'operator', 'payee', 'area', 'person', 'tablet')", name="kind"),
        {"sqlite_strict": True},
    )

    kind: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True)  # from 1, without gaps
    name: Mapped[str]
    bank: Mapped[str]
    account_tail: Mapped[str]
    account_cipher: Mapped[bytes | None]
    recorded: Mapped[int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One row as it is read; `account_cipher` is None for all but payees."""

    recorded: int
    name: str
    bank: str
    account_tail: str
    account_cipher: bytes | None


@dataclass(frozen=True, slots=True)
class Names:
    """The names of some things of one kind, oldest first."""

    entries: Mapping[str, Sequence[Entry]]

    def entry(self, subject: str, upto: int | None = None) -> Entry | None:
        """Return the entry valid when event `upto` was recorded, the newest for None; the first if all are later."""
        known = self.entries.get(subject)
        if not known:
            return None
        count = len(known) if upto is None else bisect_right(known, upto, key=lambda one: one.recorded)
        return known[max(count, 1) - 1]

    def at(self, subject: str, upto: int | None = None) -> str:
        """Return the name valid when event `upto` was recorded, the newest for None; the id of what has no name."""
        found = self.entry(subject, upto)
        return found.name if found else subject


def of(session: Session, kind: Kind, subjects: Collection[str]) -> Names:
    """Return all names that these things ever had."""
    return of_kinds(session, {kind: subjects})[kind]


def of_kinds(session: Session, wanted: Mapping[Kind, Collection[str]]) -> dict[Kind, Names]:
    """Return all names that things of several kinds ever had, by kind, in one statement unless they are very many."""
    found: dict[str, dict[str, list[Entry]]] = {kind: {} for kind in wanted}
    columns = (
        NameEntry.kind, NameEntry.subject, NameEntry.recorded, NameEntry.name, NameEntry.bank, NameEntry.account_tail,
        NameEntry.account_cipher,
    )  # fmt: skip
    for part in batches((kind, subject) for kind, subjects in wanted.items() for subject in set(subjects)):
        among = [
            and_(NameEntry.kind == kind, NameEntry.subject.in_([subject for of, subject in part if of == kind]))
            for kind in dict.fromkeys(kind for kind, _ in part)
        ]
        some = select(*columns).where(or_(*among)).order_by(NameEntry.kind, NameEntry.subject, NameEntry.n)
        for row in session.execute(some):
            found[row[0]].setdefault(row[1], []).append(Entry(row[2], row[3], row[4], row[5], row[6]))
    return {kind: Names(found[kind]) for kind in wanted}
