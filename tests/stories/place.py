"""A place that begins from nothing: its own database under logins without rights, the commands of README in their order."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from canteen import cli, clock
from canteen.config import ROOT, Config
from canteen.db import owner_engine
from canteen.errors import Refusal
from tests.rigs.databases import Logins
from tests.rigs.programs import environment_of

PASSWORD: Final = "apricot-kettle-42"
SECTION: Final = re.compile(r"^## A real place$(.*?)^## ", re.MULTILINE | re.DOTALL)
OF_THE_RIG: Final = {"TROUBLE fsync is off", "TROUBLE full_page_writes is off"}  # the tests' server waits for no disk
OPTIONS_OF_TLS: Final = ("--certificate", "--key")


def commands_of_readme() -> list[list[str]]:
    """Return the words of each `canteen …` of README's real place, in their order, without their remarks."""
    found = SECTION.search((ROOT / "README.md").read_text(encoding="utf-8"))
    assert found, "README has no real place"
    lines = [line.strip() for line in found[1].splitlines() if line.startswith("    canteen ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@dataclass
class Place:
    """An installation on an empty PostgreSQL database, worked by the commands of README alone.

    left   the commands that README has still to give
    said   values that a command printed and a later one names, as BATCH
    """

    logins: Logins
    folder: Path
    left: list[list[str]] = field(default_factory=commands_of_readme)
    said: dict[str, str] = field(default_factory=dict)

    def config(self, login: str) -> Config:
        return Config(
            database_url=self.logins.url(login),
            data_dir=self.folder / "data",
            keys_dir=self.folder / "keys",
            testing=True,
        )

    def step(self, *words: str, login: str | None = None, text: str = "") -> str:
        """Run the next command of README, which is to begin with `words`; return what it printed."""
        given = self.left.pop(0)
        assert tuple(given[: len(words)]) == words, given
        return self.run(*given, login=login, text=text)

    def run(self, *words: str, login: str | None = None, text: str = "") -> str:
        """Run `canteen WORDS` in the place's folder; return what it printed, and raise what it refused."""
        command = [self.said.get(word, word) for word in words]
        command = [
            str(self.folder / word) if (self.folder / word).is_file() or word == "." else word for word in command
        ]
        variables = {**environment_of(self.config(login or self.logins.app)), "CANTEEN_PRODUCTION": "1"}
        result = CliRunner().invoke(cli.cli, command, input=text, env=variables)
        if isinstance(result.exception, Refusal):
            raise result.exception
        troubles = {line for line in result.output.splitlines() if line.startswith("TROUBLE")} - OF_THE_RIG
        assert result.exit_code == 0 or (words[0] == "doctor" and not troubles), (command, result.output)
        return result.output

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        engine = owner_engine(self.logins.url(self.logins.superuser))
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(sa.text(sql))]
        engine.dispose()
        return found


@pytest.fixture
def place(plain_logins: Logins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A place before its first command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        clock, "forbid_moving", lambda: None
    )  # its commands run here: it would apply to the tests that follow
    return Place(plain_logins, tmp_path)
