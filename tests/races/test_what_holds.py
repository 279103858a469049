"""Proof of the races: without both the person's lock and the slot's primary key they fail; either alone suffices.

PostgreSQL: SQLite has one writer, whose lock cannot be taken away.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from canteen.config import Config
from canteen.db import db, owner_engine
from canteen.pos.models import Slot
from tests import world
from tests.pos.books import book
from tests.races.rig import Key
from tests.races.test_races import canteens, claimable, open_all_day, volley
from tests.rigs.servers import Serve, Server
from tests.world import World

__all__ = ["canteens"]

UNLOCKED = str(Path(__file__).parent / "unlocked")
Rounds = Callable[[int, int], int]


@pytest.fixture
def database_url(postgres_url: str) -> str:
    return postgres_url


def two(config: Config, serve: Serve, **environment: str) -> list[Server]:
    return [serve(config, options=("--no-scheduler", "--workers", "2"), **environment) for _ in range(2)]


def as_owner(*statements: str) -> None:
    with owner_engine(str(db.engine.url.render_as_string(hide_password=False))).begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


DROP_KEY = "ALTER TABLE slot DROP CONSTRAINT pk_slot"
ADD_KEY = "ALTER TABLE slot ADD CONSTRAINT pk_slot PRIMARY KEY (person_id, allowance, window_start, n)"


class Street:
    """Canteens with their keys, and elders, each sold to at all canteens at once."""

    def __init__(self, session: Session, tills: list[World]) -> None:
        self.session, self.tills = session, tills
        self.keys = {till.tablet: Key.given_to(till.tablet) for till in tills}

    def slots_of_a_race(self, hosts: list[Server]) -> int:
        """Uses of the one meal that were granted, and no record lost on the way."""
        elder: uuid.UUID = world.an_elder(self.session)
        outcomes = volley(self.tills, self.keys, hosts, world.a_card(self.session, elder))
        assert {result["outcome"] for result in outcomes} <= {"created", "kept"}
        granted = self.session.execute(select(func.count()).where(Slot.person_id == elder)).scalar_one()
        assert claimable(self.session, elder) == 500 * granted
        return granted


def test_lock_or_key_alone_refuses_a_second_grant(
    app: Flask, session: Session, canteens: list[World], config: Config, serve: Serve, rounds: Rounds
) -> None:
    world.a_rulebook(session, book())
    open_all_day(session)
    street = Street(session, canteens)

    unlocked = two(config, serve, PYTHONPATH=UNLOCKED)
    as_owner(DROP_KEY)
    assert any(street.slots_of_a_race(unlocked) > 1 for _ in range(rounds(10, 50)))

    as_owner("DELETE FROM slot", ADD_KEY)
    assert all(street.slots_of_a_race(unlocked) == 1 for _ in range(rounds(3, 200)))

    for server in unlocked:
        server.kill()
    locked = two(config, serve)
    as_owner(DROP_KEY)
    assert all(street.slots_of_a_race(locked) == 1 for _ in range(rounds(3, 200)))
    for server in locked:
        server.kill()
