"""What all tests share: the rigs, and how hard they try.

`pytest --full` runs the full figures of the promises (`make soak`), plain `pytest` a share of them.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from canteen import clock

pytest_plugins = [
    f"tests.rigs.{rig}" for rig in ("applications", "states", "databases", "programs", "servers", "browsers")
]

# A slow machine is no fault; what failed once is printed so that it can be run again.
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("canteen", deadline=None, print_blob=True, suppress_health_check=SLOW)
hypothesis.settings.load_profile("canteen")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="the full figures of the promises")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse a run in which a test file that was asked for contains no test: it would pass without testing anything."""
    if config.option.keyword or config.option.markexpr or any("::" in given for given in config.args):
        return
    filled = {item.path for item in items}
    for given in config.args:
        path = Path(given) if Path(given).is_absolute() else config.invocation_params.dir / given
        files = [path] if path.is_file() else sorted(path.rglob("test_*.py"))
        empty = [file for file in files if file.resolve() not in filled]
        if empty:
            raise pytest.UsageError(f"no test in {', '.join(str(file) for file in empty)}")


def pytest_collection_finish() -> None:
    """Keep the garbage collector off the tests and the modules: walking through them again and again took a fifth of a run."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Fail the test that took the moved clock from this process, and not those that follow it."""
    with clock.at(clock.now()):
        pass


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run in which something was skipped: what is not tested must not look tested."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if exitstatus == 0 and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session")
def rounds(pytestconfig: pytest.Config) -> Callable[[int, int], int]:
    """rounds(usual, full): how many times to try, by how this run was started."""
    full = bool(pytestconfig.getoption("--full"))
    return lambda usual, most: most if full else usual
