"""The application in the tests' own process: its routes, schemas and templates made once a worker, all else once a test.

config, app, session, client   the application on `database_url`
running                        the same for a rig: an application on any installation, within a block
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from canteen import db as database
from canteen.config import Config

COMPILED: dict[str, tuple[Any, Any]] = {}  # by the dialect's name: the dialect, and what was compiled for it


@pytest.fixture
def config(database_url: str, tmp_path: Path) -> Config:
    """Settings of an installation on `database_url`, with keys of its own."""
    return config_for(database_url, tmp_path)


def config_for(url: str, folder: Path) -> Config:
    return Config(database_url=url, data_dir=folder / "data", keys_dir=folder / "keys", testing=True)


@pytest.fixture
def app(config: Config, request: pytest.FixtureRequest) -> Iterator[Flask]:
    """The application, inside its context. It takes further routes only in tests that are marked `own_app`."""
    with running(config, shared=not request.node.get_closest_marker("own_app")) as made:
        yield made


@contextmanager
def running(config: Config, *, shared: bool = True) -> Iterator[Flask]:
    """The application on `config`, inside its context.

    shared   with the routes and templates of all applications that have the usual settings; else with its own, which
             takes much longer to make
    """
    from canteen.app import create_app  # noqa: PLC0415 - tests of the pure parts start without the whole house

    usual = config == config_for(config.database_url, config.data_dir.parent)
    made = _copy(config) if shared and usual else create_app(config)
    with made.app_context():
        _share_compiled(database.db.engine)
        yield made
        database.db.session.remove()
        database.db.engine.dispose()


def _copy(config: Config) -> Flask:
    """An application with settings, extensions and engine of its own, and the routes and templates of the first one."""
    first = _first()
    made = copy.copy(first)
    made.config = copy.copy(first.config)
    made.config.update(
        CANTEEN=config,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=database.engine_options(config),
    )
    made.extensions = {name: each for name, each in first.extensions.items() if name != "sqlalchemy"}
    made.teardown_appcontext_funcs = []
    database.db.init_app(made)
    made._got_first_request = True  # so that Flask refuses what would change the routes of all
    return made


@functools.cache
def _first() -> Flask:
    """The application that all others are copied from; it never touches its database."""
    from canteen.app import create_app  # noqa: PLC0415 - as above

    return create_app(config_for("sqlite:////nowhere/canteen.db", Path("/nowhere")))


def _share_compiled(engine: Engine) -> None:
    """Let the engines of all tests share what SQLAlchemy compiled: each statement is made once a worker, not once a test.

    Compiled statements are kept by dialect, so the dialect is shared too, once the first engine's has met its database.
    """
    if engine.dialect.name not in COMPILED:
        engine.connect().close()
        COMPILED[engine.dialect.name] = (engine.dialect, engine._compiled_cache)
    engine.dialect, engine._compiled_cache = COMPILED[engine.dialect.name]
    engine.pool._dialect = engine.dialect


@pytest.fixture
def session(app: Flask) -> Session:
    """The application's session, as use cases see it."""
    return database.db.session()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
