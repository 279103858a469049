"""Processes of their own on a test's installation, forked from one that has loaded the house (`warm`).

begin   begin(*words): a started `canteen WORDS`, as many at one time as the test wants
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

import pytest

from canteen.config import Config
from tests.rigs import warm

PATIENCE = 900  # seconds: a machine that is busy with other things is no fault of the program


@dataclass
class Program:
    """A process that was begun."""

    process: BaseProcess
    out: Path
    errors: Path

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; return (exit code or minus the signal, stdout, stderr)."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, f"it does not end:\n{self.errors.read_text()}"
        return self.process.exitcode, self.out.read_text(), self.errors.read_text()


class Begin(Protocol):
    def __call__(self, *words: str, text: str = "", **environment: str) -> Program: ...


@pytest.fixture
def begin(config: Config, tmp_path: Path) -> Iterator[Begin]:
    """begin(*words, text="", **environment): a started `canteen WORDS`, or the program `text` with these arguments."""
    begun: list[Program] = []
    numbers = itertools.count(1)

    def start(*words: str, text: str = "", **environment: str) -> Program:
        out, errors = (tmp_path / f"program-{next(numbers)}.txt" for _ in range(2))
        variables = {**os.environ, **environment_of(config), **environment}
        begun.append(Program(warm.start(words, variables, out, errors, text=text), out, errors))
        return begun[-1]

    yield start
    for each in begun:
        each.process.kill()


def environment_of(config: Config) -> Mapping[str, str]:
    """Return the environment that names the installation to a process."""
    return {
        "CANTEEN_DATABASE_URL": config.database_url,
        "CANTEEN_DATA": str(config.data_dir),
        "CANTEEN_KEYS": str(config.keys_dir),
    }
