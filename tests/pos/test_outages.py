"""A database that fails in mid-sale: nothing is half booked, and the tablet is asked to send again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Connection, Engine, event, func, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import QueuePool

from canteen import clock
from canteen.auth.models import Tablet
from canteen.db import Base, db, owner_engine
from canteen.pos import records
from canteen.pos.models import QuoteInput, Record, Sale, SaleUse, Slot
from tests import world
from tests.world import NOON, World

HALVES: tuple[type[Base], ...] = (Record, QuoteInput, Sale, SaleUse, Slot)


def rows(session: Session) -> list[int]:
    session.rollback()
    found = [session.execute(select(func.count()).select_from(table)).scalar_one() for table in HALVES]
    session.rollback()
    return found


def a_sale(session: Session) -> tuple[World, dict[str, Any]]:
    till = world.make(session)
    world.a_rulebook(session)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        return till, world.seal(till, world.checkout_body(till, [card]))


@contextmanager
def as_owner() -> Iterator[Connection]:
    """A connection of the database's owner, beside the application's."""
    engine = owner_engine(str(db.engine.url.render_as_string(hide_password=False)))
    with engine.connect() as connection:
        yield connection
    engine.dispose()


WAITING = text("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize("table", ["period", "elder", "sale", "slot"])
def test_backend_ended_in_mid_sale_says_later_and_books_nothing(app: Flask, session: Session, table: str) -> None:
    till, sealed = a_sale(session)

    def bring() -> str:
        with app.app_context(), clock.at(NOON):
            return world.bring(till, sealed)[0].outcome

    assert rows(session) == [0] * len(HALVES)
    with as_owner() as owner, as_owner() as killer, ThreadPoolExecutor(1) as pool:
        owner.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
        outcome = pool.submit(bring)
        patience = threading.Event()
        while not (waiting := killer.execute(WAITING).scalars().all()) and not outcome.done():
            killer.rollback()
            patience.wait(0.01)
        killer.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": waiting[0]})
        assert outcome.result() == "later"
    assert rows(session) == [0] * len(HALVES)
    with clock.at(NOON):
        assert world.bring(till, sealed)[0].outcome == "created"
    assert rows(session)[2] == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_full_disk_is_answered_later_and_leaves_nothing_half(app: Flask, session: Session) -> None:
    till, first = a_sale(session)
    with clock.at(NOON):
        sealed = [first, *(world.seal(till, world.checkout_body(till, [None])) for _ in range(40))]
        with full_disk(db.engine):
            full = [world.bring(till, each)[0].outcome for each in sealed]
            booked = full.count("created")
            assert set(full) <= {"created", "later"}
            assert full[-1] == "later"
            known, guests = min(booked, 1), min(booked - 1, 1)  # all guests ask for the same price and use no limit
            assert rows(session) == [booked, known + max(guests, 0), booked, known, known]
        emptied = [result.outcome for result in world.bring(till, *sealed)]
    assert (emptied.count("have"), emptied.count("created")) == (booked, len(sealed) - booked)
    assert rows(session)[2] == len(sealed)


@contextmanager
def full_disk(engine: Engine) -> Iterator[None]:
    """No page more than the file has now, on every connection of the engine."""

    def bound(connection: Any, _record: Any) -> None:
        connection.execute("VACUUM")
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    db.session.remove()
    engine.dispose()
    event.listen(engine, "connect", bound)
    yield
    event.remove(engine, "connect", bound)
    db.session.remove()
    engine.dispose()


def test_sale_without_a_free_connection_is_sent_again_later(app: Flask, session: Session) -> None:
    """More threads than connections is a crowd, and nothing wrong with the record."""
    till, sealed = a_sale(session)
    tablet = session.get_one(Tablet, till.tablet)
    session.expunge(tablet)
    session.rollback()
    pool = db.engine.pool
    assert isinstance(pool, QueuePool)
    pool._timeout = 0.1
    with ExitStack() as held, clock.at(NOON):
        for _ in range(pool.size() + pool._max_overflow):
            held.enter_context(db.engine.connect())
        assert [result.outcome for result in records.accept([sealed], tablet)] == ["later"]
    assert rows(session) == [0] * len(HALVES)
    with clock.at(NOON):
        assert world.bring(till, sealed)[0].outcome == "created"
