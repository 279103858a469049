"""A backup is one moment of the whole database, encrypted, and comes back to the row and the fen."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy.orm import Session

from canteen import cli
from canteen.backups import backups, dumps, sealing
from canteen.backups.backups import Differs
from canteen.backups.dumps import NotEmpty
from canteen.backups.sealing import BadBackup
from canteen.config import SECRETS, Config
from canteen.db import db
from canteen.errors import Refusal
from canteen.keychecks import WrongKeys
from canteen.pos import incarnation
from tests import world
from tests.rigs.applications import running
from tests.rigs.databases import Logins
from tests.rigs.programs import Begin, environment_of
from tests.rigs.states import state

Command = Callable[..., Result]
OF_THE_RIG = {"fsync is off", "full_page_writes is off"}  # the tests' server waits for no disk


@state
def town(session: Session) -> world.World:
    """Two meals sold by a tablet that goes on selling."""
    made = world.make(session)
    world.a_rulebook(session)
    cards = [world.a_card(session, world.an_elder(session)) for _ in range(2)]
    for card in cards:
        world.sell(made, card)
    return made


@pytest.fixture
def target(config: Config, tmp_path: Path, request: pytest.FixtureRequest) -> Config:
    """The same installation on an empty database, of a login that owns it and is no superuser."""
    if config.sqlite:
        return replace(config, database_url=f"sqlite:///{tmp_path / 'new' / 'canteen.db'}", data_dir=tmp_path / "new")
    logins: Logins = request.getfixturevalue("plain_logins")
    logins.as_superuser(*(f'GRANT {role} TO "{logins.owner}"' for role in ("canteen_owner", "canteen_app")))
    return replace(config, database_url=logins.url(logins.owner), data_dir=tmp_path / "new")


def canteen(config: Config, *words: str) -> Result:
    """Run `canteen WORDS` on an installation; what is no refusal of ours is a fault of the test's."""
    result = CliRunner().invoke(cli.cli, words, env={**environment_of(config)})
    assert isinstance(result.exception, Refusal | SystemExit | None), result.exc_info
    return result


def test_what_was_backed_up_comes_back_whole(
    app: Flask, town: world.World, config: Config, target: Config, tmp_path: Path
) -> None:
    canteen(config, "init")
    (folder := tmp_path / "kept").mkdir()
    made = json.loads(canteen(config, "backup", str(folder), "--json").stdout)
    world.sell(town, None)  # after its moment
    life = incarnation.current(db.session())
    assert json.loads(canteen(config, "backup", "verify", made["path"], "--json").stdout) == made

    result = canteen(target, "restore", made["path"], "--json")

    assert result.exception is None, (result.exception, getattr(result.exception, "details", ""))
    assert json.loads(result.stdout)["sums"] == made["sums"]
    with running(target, shared=False):
        assert incarnation.current(db.session()) not in {life, ""}
    told = json.loads(canteen(target, "doctor", "--json").stdout)
    assert set(told["troubles"]) <= OF_THE_RIG
    assert told["backup"] == "never"  # what is restored was the database before its backup was noted
    assert json.loads(canteen(config, "doctor", "--json").stdout)["backup"] != "never"
    assert isinstance(canteen(target, "restore", made["path"]).exception, NotEmpty)


def test_sales_go_on_while_a_backup_is_made(
    app: Flask, town: world.World, config: Config, begin: Begin, tmp_path: Path
) -> None:
    program = begin("backup", str(path := tmp_path / "a.backup"))
    while program.process.is_alive() and town.number < 20:
        world.sell(town, None)
    code, _, errors = program.end()
    assert (code, errors) == (0, "")
    assert backups.verify(config, path).figures.rows["sale"] >= 2


def test_a_cut_or_changed_backup_is_refused(app: Flask, town: world.World, config: Config, tmp_path: Path) -> None:
    made = backups.make(config, tmp_path / "a.backup")
    whole = made.path.read_bytes()
    (bad := tmp_path / "b.backup").touch()
    for content in (b"", b"canteen", whole[:100], whole[:-1], whole[:-40] + bytes(40)):
        bad.write_bytes(content)
        with pytest.raises(BadBackup):
            backups.verify(config, bad)
    with pytest.raises(FileExistsError):
        backups.make(config, made.path)
    assert made.path.read_bytes() == whole


def test_a_backup_that_lacks_a_row_is_named(
    app: Flask, town: world.World, config: Config, target: Config, tmp_path: Path
) -> None:
    """The dump of a moment, under the figures of another."""
    (folder := tmp_path / "parts").mkdir()
    made = backups.make(config, tmp_path / "a.backup")
    sealing.read(made.path, folder, config.secret("backup"))
    doc = json.loads((folder / backups.MANIFEST).read_text())
    doc["figures"]["rows"]["sale"] += 1
    (folder / backups.MANIFEST).write_text(json.dumps(doc))
    sealing.write(bad := tmp_path / "b.backup", sorted(folder.iterdir()), config.secret("backup"))

    with pytest.raises(Differs) as refused:
        backups.verify(config, bad, "" if config.sqlite else target.database_url)
    assert refused.value.details == {"where": ["sale: 3, 2"]}


def test_a_backup_holds_no_key(app: Flask, town: world.World, config: Config, tmp_path: Path) -> None:
    (folder := tmp_path / "parts").mkdir()
    made = backups.make(config, tmp_path / "a.backup")
    sealing.read(made.path, folder, config.secret("backup"))
    assert {file.name for file in folder.iterdir()} == {backups.MANIFEST, dumps.DATABASE}
    content = b"".join(file.read_bytes() for file in folder.iterdir())
    for name in SECRETS:
        assert config.secret(name) not in content
        assert config.secret(name).hex().encode() not in content


def test_restoring_needs_the_keys_of_the_backup(
    app: Flask, town: world.World, config: Config, target: Config, tmp_path: Path
) -> None:
    path = str(backups.make(config, tmp_path / "a.backup").path)
    identity, own = config.keys_dir / "identity.key", config.keys_dir / "backup.key"
    kept = identity.read_bytes()
    identity.write_bytes(bytes(32))
    refused = canteen(target, "restore", path).exception
    assert isinstance(refused, WrongKeys)
    assert "identity.key 不是这个数据库的密钥" in refused.message
    identity.write_bytes(kept)
    own.unlink()
    assert "缺少 backup.key" in str(canteen(target, "restore", path).exception)
