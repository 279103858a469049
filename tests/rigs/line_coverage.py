"""Count which lines of the product the tests run: `pytest -p tests.rigs.line_coverage`, merged over all workers.

Loaded before the product is: a module that was imported earlier is not counted. Processes that tests start are not counted.
SlipCover instruments bytecode and takes a quarter of what a tracing function costs on Python 3.11.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from slipcover import Slipcover
from slipcover.importer import FileMatcher, ImportManager

PRODUCT = Path(__file__).resolve().parents[2] / "canteen"
RUN, MISSED = "lines_run", "lines_missed"

_cover = Slipcover(source=[str(PRODUCT)])
ImportManager(_cover, FileMatcher(sources=[str(PRODUCT)])).__enter__()
_of_workers: list[dict[str, dict[str, list[int]]]] = []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add the counts of a worker."""
    _of_workers.append(getattr(node, "workeroutput", {}).get("line_coverage", {}))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the lines that this worker ran to the controller."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["line_coverage"] = _lines()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counted = _of_workers or [_lines()]
    every = {file for one in counted for file in one}
    run = {(file, line) for one in counted for file in one for line in one[file][RUN]}
    missed = {(file, line) for one in counted for file in one for line in one[file][MISSED]} - run
    share = 100 * len(run) / max(1, len(run) + len(missed))
    terminalreporter.write_line(
        f"{share:.1f} % of {len(run) + len(missed)} lines in {len(every)} modules were run by the tests"
    )


def _lines() -> dict[str, dict[str, list[int]]]:
    files: dict[str, Any] = _cover.get_coverage()["files"]
    return {
        name: {RUN: list(lines["executed_lines"]), MISSED: list(lines["missing_lines"])}
        for name, lines in files.items()
    }
