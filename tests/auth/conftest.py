"""The city, browsers and tills of the tests at the doors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from canteen.app import create_app
from canteen.config import Config
from canteen.db import db
from tests.auth.house import Browser, Till, a_till, build_city
from tests.rigs.states import state


@state
def city(app: Flask) -> None:
    """A city of two districts: canteen 'east' run by operator 'kang', canteen 'west' by 'le'."""
    build_city()


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def browsers(app: Flask) -> Callable[[], Browser]:
    """As many separate browsers as the test wants."""
    return lambda: Browser(app.test_client())


@pytest.fixture
def till(app: Flask, city: None) -> Till:
    """A tablet let into canteen 'east'."""
    return a_till(app, "east")


@pytest.fixture
def another_host(config: Config) -> Iterator[Callable[..., Flask]]:
    """another_host(max_body=…): the same installation in a further process, with settings of its own."""
    made: list[Flask] = []

    def start(**settings: Any) -> Flask:
        made.append(create_app(dataclasses.replace(config, **settings)))
        return made[-1]

    yield start
    for each in made:
        with each.app_context():
            db.session.remove()
            db.engine.dispose()
