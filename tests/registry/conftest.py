"""The city and browsers of the tests at the doors, for the registry's pages."""

from __future__ import annotations

import pytest
from flask import Flask

from tests.auth.house import Browser, build_city
from tests.rigs.states import state


@state
def city(app: Flask) -> None:
    """A city of two districts, with a canteen in each."""
    build_city()


@pytest.fixture
def desk(app: Flask) -> Browser:
    return Browser(app.test_client())
