"""Statements that go to libpq as they are answer and fail as the session's own would; on SQLite they are the session's own."""

from __future__ import annotations

import uuid
from contextlib import suppress
from datetime import UTC, date, datetime

import psycopg
import pytest
from sqlalchemy import Executable, bindparam, func, literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from canteen import prepared
from canteen.db import Big, Day, Instant, Uid, is_away, owner_engine, retried, transaction
from canteen.prepared import Prepared
from canteen.registry.models import Elder
from tests import world

ID, DAY = uuid.UUID("0f0e0d0c-0b0a-4909-8807-060504030201"), date(2024, 2, 29)
AT = datetime(2026, 5, 31, 15, 59, 59, 120000, tzinfo=UTC)
SUM = Prepared(select(literal(40) + bindparam("n")))
ELDERS = Prepared(select(Elder.id).where(Elder.id.in_(bindparam("ids", expanding=True))).order_by(Elder.id))


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


def end(url: str, pid: int) -> None:
    """End a connection at the server's side, and wait until it is gone."""
    with owner_engine(url).connect() as killer:
        assert killer.execute(text("SELECT pg_terminate_backend(:pid, 60000)"), {"pid": pid}).scalar_one()


def state_of(raw: object) -> str:
    """Name the state of a connection's transaction."""
    assert isinstance(raw, psycopg.Connection)
    return raw.info.transaction_status.name


def test_values_come_back_as_the_session_gives_them(session: Session) -> None:
    values = {"name": "𠮷'; --\\", "n": 2**40, "day": DAY, "at": AT, "id": ID, "none": None}
    statement: Executable = select(
        bindparam("name", "", type_=None),
        bindparam("n", 0, type_=Big),
        bindparam("day", DAY, type_=Day()),
        bindparam("at", AT, type_=Instant()),
        bindparam("id", ID, type_=Uid()),
        bindparam("none", None, type_=Day()),
        bindparam("n", 0, type_=Big) > 0,
    )
    assert Prepared(statement).rows(session, values) == [tuple(session.execute(statement, values).one())]


def test_a_list_may_have_any_length(session: Session) -> None:
    world.make(session)
    made = sorted(world.an_elder(session) for _ in range(3))
    for ids in ([], made[:1], made):
        assert ELDERS.rows(session, {"ids": ids}) == [(each,) for each in ids]


def test_a_character_that_would_end_the_text_is_refused(session: Session) -> None:
    with pytest.raises(DBAPIError, match="NUL"):
        Prepared(select(func.length(bindparam("name", "")))).rows(session, {"name": "李\0秀英"})


def test_a_statement_that_the_server_forgot_is_prepared_again(session: Session) -> None:
    tries = []

    @retried
    def total() -> int:
        with transaction() as inside:
            tries.append(1)
            return int(SUM.rows(inside, {"n": 2})[0][0])

    assert total() == 42
    with transaction() as inside:
        inside.execute(text("DEALLOCATE ALL"))
    assert total() == 42
    assert len(tries) == 3


def test_lists_of_many_lengths_share_few_forms(session: Session) -> None:
    world.make(session)
    made = sorted(world.an_elder(session) for _ in range(9))
    some = Prepared(select(Elder.id).where(Elder.id.in_(bindparam("ids", expanding=True))))
    for count in range(10):
        assert {each for (each,) in some.rows(session, {"ids": made[:count]})} == {*made[:count]}
    assert len(some._forms) == 6  # of 0, 1, 2, 4, 8 and 16


def test_a_connection_keeps_so_many_statements_prepared(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared, "MOST", 3)
    numbers = [Prepared(select(literal(n).label(f"n{n}"))) for n in range(5)]
    with transaction() as inside:
        for _ in range(2):
            assert [each.rows(inside, {})[0][0] for each in numbers] == [0, 1, 2, 3, 4]
        kept = inside.execute(text("SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'canteen%'"))
        assert kept.scalar_one() == 3


def test_a_read_begins_no_transaction_and_a_lock_does(session: Session) -> None:
    world.make(session)
    elder = world.an_elder(session)
    session.rollback()
    raw = session.connection().connection.driver_connection
    ELDERS.rows(session, {"ids": [elder]})
    assert state_of(raw) == "IDLE"
    locking = Prepared(select(Elder.id).where(Elder.id == bindparam("id")).with_for_update())
    assert locking.rows(session, {"id": elder}) == [(elder,)]
    assert state_of(raw) == "INTRANS"
    session.rollback()
    with transaction() as inside:
        assert SUM.rows(inside, {"n": 2}) == [(42,)]
        writing = inside.connection().connection.driver_connection
        assert state_of(writing) == "INTRANS"


def test_a_failed_transaction_is_never_taken_for_committed(session: Session) -> None:
    divided = Prepared(select(literal(1) / bindparam("n", 1)))
    with pytest.raises(DBAPIError, match="failed before"), transaction() as inside, suppress(DBAPIError):
        divided.rows(inside, {"n": 0})
    assert SUM.rows(session, {"n": 1}) == [(41,)]


def test_an_ended_connection_is_away_and_the_next_one_works(session: Session, database_url: str) -> None:
    with pytest.raises(DBAPIError) as refused, transaction() as inside:  # noqa: PT012 - the second statement raises
        pid = inside.execute(select(func.pg_backend_pid())).scalar_one()
        end(database_url, pid)
        SUM.rows(inside, {"n": 1})
    assert is_away(refused.value)
    with transaction() as inside:
        assert SUM.rows(inside, {"n": 1}) == [(41,)]


def test_an_idle_connections_end_is_noticed_before_its_use(session: Session, database_url: str) -> None:
    pid = session.execute(select(func.pg_backend_pid())).scalar_one()
    session.rollback()
    end(database_url, pid)
    assert SUM.rows(session, {"n": 1}) == [(41,)]
