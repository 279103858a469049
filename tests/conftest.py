"""What all tests share: the rigs, and how hard they try.

`pytest --full` runs the full figures of the promises (`make soak`), plain `pytest` a share of them.
"""

from __future__ import annotations

from collections.abc import Callable

import hypothesis
import pytest

pytest_plugins = ["tests.rigs.databases", "tests.rigs.servers", "tests.rigs.browsers"]

# A slow machine is no fault; what failed once is printed so that it can be run again.
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("canteen", deadline=None, print_blob=True, suppress_health_check=SLOW)
hypothesis.settings.load_profile("canteen")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the full figures of the promises")


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """rounds(usual, full): how many times to try, by how this run was started."""
    full = bool(pytestconfig.getoption("--full"))
    return lambda usual, most: most if full else usual
