"""The demo city at a tenth of its size, built once on each database for all tests here, which only read it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from canteen import config
from canteen.config import Config
from canteen.db import db
from canteen.demo import database
from canteen.demo.builder import Size, build
from tests.rigs import postgres

SEED, TODAY = 11, date(2026, 11, 22)
SIZE = Size(elders=300, meals=240)


@dataclass(frozen=True)
class City:
    config: Config
    cards: Path

    @contextmanager
    def opened(self) -> Iterator[Any]:
        with database.opened(self.config):
            yield db.session()
            db.session.rollback()


def _made(url: str | None, folder: Path) -> City:
    env = {"CANTEEN_DATA": str(folder)} | ({"CANTEEN_DATABASE_URL": url} if url else {})
    settings = replace(config.from_environment(env), demo=True)
    with database.building(settings):
        build(SEED, TODAY, folder / "cards.pdf", SIZE, lambda _: None)
    return City(settings, folder / "cards.pdf")


@pytest.fixture(scope="session")
def city_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> City:
    return _made(None, tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def city_on_postgres(
    postgres_server: postgres.Server, dropping: Executor, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[City]:
    name = f"canteen_test_{os.getpid()}_demo_{uuid.uuid4().hex[:8]}"
    postgres_server.create(name, "template0")
    yield _made(postgres_server.url(name), tmp_path_factory.mktemp("postgres"))
    dropping.submit(postgres_server.drop, name)


@pytest.fixture(scope="session")
def cities(city_on_sqlite: City, city_on_postgres: City) -> dict[str, City]:
    """The same city twice, built apart: on SQLite and on PostgreSQL."""
    return {"sqlite": city_on_sqlite, "postgres": city_on_postgres}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def city(request: pytest.FixtureRequest) -> City:
    """The city on one database after the other, so that a worker with tests of one builds only that."""
    made: City = request.getfixturevalue(f"city_on_{request.param}")
    return made
