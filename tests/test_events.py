"""The chain of events: whatever is done to it behind its back is found, and many who write at once make one chain (P25)."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, text
from sqlalchemy.orm import Session

from canteen import events, invariants
from canteen.config import Config
from canteen.db import db, owner_engine, transaction
from canteen.events import Event

EVENTS = 24
FIELDS = ("at", "actor", "kind", "subject", "body", "previous", "hash")


@dataclasses.dataclass
class Chain:
    """The stored rows, to be read and rewritten as somebody with all rights would."""

    rows: list[Event]

    @classmethod
    def read(cls, connection: Connection) -> Chain:
        with Session(connection) as session:
            found = list(session.query(Event).order_by(Event.number))
            session.expunge_all()
        return cls(found)

    def write(self, connection: Connection) -> None:
        connection.execute(text("DELETE FROM event"))
        with Session(connection, join_transaction_mode="create_savepoint") as session:
            for row in self.rows:
                session.add(Event(**{name: getattr(row, name) for name in ("number", *FIELDS)}))
            session.flush()
            session.commit()

    def seal(self, start: int) -> None:
        """Number and chain the rows anew from a place on, as one who knows the code would."""
        for at in range(start, len(self.rows)):
            row = self.rows[at]
            row.number = at + 1
            row.previous = self.rows[at - 1].hash if at else events.FIRST
            row.hash = events.digest(row)


def edit(chain: Chain, draw: random.Random) -> None:
    row, name = draw.choice(chain.rows), draw.choice(FIELDS)
    changed = row.at + timedelta(microseconds=1) if name == "at" else f"{getattr(row, name)[:-1]}!"
    setattr(row, name, changed)


def remove(chain: Chain, draw: random.Random) -> None:
    del chain.rows[draw.randrange(EVENTS - 1)]  # the last one is a cut tail


def insert(chain: Chain, draw: random.Random) -> None:
    at = draw.randrange(EVENTS)
    new = Event(at=datetime.now(UTC), actor="who", kind="k", subject="s", body="{}", number=0, previous="", hash="")
    chain.rows.insert(at, new)
    for place, row in enumerate(chain.rows):
        row.number = place + 1
    new.previous = chain.rows[at - 1].hash if at else events.FIRST
    new.hash = events.digest(new)


def swap(chain: Chain, draw: random.Random) -> None:
    one, other = draw.sample(chain.rows, 2)
    one.number, other.number = other.number, one.number


def cut(chain: Chain, draw: random.Random) -> None:
    del chain.rows[draw.randrange(EVENTS) :]


def rewrite(chain: Chain, draw: random.Random) -> None:
    at = draw.randrange(EVENTS)
    chain.rows[at].body = '{"fen":1}'
    chain.seal(at)


def drop_and_rewrite(chain: Chain, draw: random.Random) -> None:
    at = draw.randrange(EVENTS)
    del chain.rows[at]
    chain.seal(at)


ACTS: tuple[Callable[[Chain, random.Random], None], ...] = (edit, remove, insert, swap, cut, rewrite, drop_and_rewrite)
NEED_A_HEAD = {cut, rewrite, drop_and_rewrite}


@pytest.fixture
def superuser(config: Config, app: Flask) -> Iterator[Connection]:
    """A connection without the table's invariants; what it does is rolled back."""
    with transaction() as session:
        for n in range(EVENTS):
            events.record(session, f"kind.{n % 3}", f"subject {n}", by="id-root", body={"n": n, "word": "演示"})
    owner: Engine = owner_engine(config.database_url)
    with owner.connect() as connection:
        _drop_invariants(connection)
        yield connection
        connection.rollback()
    owner.dispose()


def _drop_invariants(connection: Connection) -> None:
    for name in invariants.installed_triggers(connection):
        if not name.startswith("law_event_"):
            continue
        on = "" if connection.dialect.name == "sqlite" else " ON event"
        connection.execute(text(f"DROP TRIGGER {name}{on}"))


def found(connection: Connection, head: tuple[int, str] | None = None) -> list[events.Break]:
    with Session(connection, join_transaction_mode="create_savepoint") as session:
        return list(events.breaks(session, expected_head=head))


def test_every_tampering_is_found(superuser: Connection, rounds: Callable[[int, int], int]) -> None:
    draw = random.Random(20261128)
    whole = Chain.read(superuser)
    head = (whole.rows[-1].number, whole.rows[-1].hash)
    assert found(superuser, head) == []

    for _ in range(rounds(8, 100)):
        for act in ACTS:
            chain = Chain.read(superuser)
            act(chain, draw)
            trial = superuser.begin_nested()
            chain.write(superuser)
            headed, unheaded = found(superuser, head), found(superuser)
            trial.rollback()
            assert headed, act.__name__
            assert unheaded or act in NEED_A_HEAD, act.__name__

    assert found(superuser, head) == []


def test_many_who_write_at_once_make_one_chain(app: Flask, rounds: Callable[[int, int], int]) -> None:
    writers, each = 8, rounds(5, 200)

    def write(writer: int) -> None:
        with app.app_context():
            for n in range(each):
                with transaction() as session:
                    events.record(session, "test.write", f"{writer}/{n}", by="system")
            db.session.remove()

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))

    session = db.session()
    assert list(events.breaks(session)) == []
    assert events.head(session)[0] == writers * each
