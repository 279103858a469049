"""Statements that go to SQLite's driver as they are answer and fail as the session's own would."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Executable, bindparam, func, literal, select
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from canteen.db import Big, Day, Digest, Flag, Instant, Uid, transaction
from canteen.prepared import Local, Prepared, connection_of
from canteen.registry.models import Elder
from tests import world

ID, DAY = uuid.UUID("0f0e0d0c-0b0a-4909-8807-060504030201"), date(2024, 2, 29)
AT = datetime(2026, 5, 31, 15, 59, 59, 120000, tzinfo=UTC)
ELDERS = Prepared(select(Elder.id).where(Elder.id.in_(bindparam("ids", expanding=True))).order_by(Elder.id))


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def test_values_come_back_as_the_session_gives_them(session: Session) -> None:
    values = {"name": "𠮷'; --\\", "n": 2**40, "day": DAY, "at": AT, "id": ID, "none": None, "hash": "0a" * 32}
    statement: Executable = select(
        bindparam("name", "", type_=None),
        bindparam("n", 0, type_=Big),
        bindparam("day", DAY, type_=Day()),
        bindparam("at", AT, type_=Instant()),
        bindparam("id", ID, type_=Uid()),
        bindparam("hash", "", type_=Digest()),
        bindparam("none", None, type_=Day()),
        literal(True, Flag()),
    )
    assert Prepared(statement).rows(session, values) == [tuple(session.execute(statement, values).one())]


def test_a_list_may_have_any_length(session: Session) -> None:
    world.make(session)
    made = sorted(world.an_elder(session) for _ in range(3))
    for ids in ([], made[:1], made):
        assert ELDERS.rows(session, {"ids": ids}) == [(each,) for each in ids]


def test_errors_are_those_of_the_session(session: Session) -> None:
    with pytest.raises(OperationalError, match="no such function"):
        Prepared(select(func.not_there())).rows(session, {})
    twice = Local("INSERT INTO area (id, name, level) VALUES (?1, ?1, ?2)", [Uid(), Big])
    with pytest.raises(IntegrityError), transaction() as inside:
        twice.add(connection_of(inside), [(ID, 1), (ID, 1)])
    assert session.connection().exec_driver_sql("SELECT count(*) FROM area").scalar_one() == 0
