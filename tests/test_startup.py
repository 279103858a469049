"""Nothing begins to work on a database that this program or these keys do not fit, and no key is made over data."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from canteen import cli, clock, keychecks, startup
from canteen import db as database
from canteen.auth import pins
from canteen.auth.models import Person
from canteen.config import SECRETS, Config
from canteen.db import DatabaseAway, WrongSchema, newest_revision, refuse_schema, transaction, upgrade
from canteen.errors import Refusal
from canteen.keychecks import KeyCheck, WrongKeys
from canteen.registry import credentials, keys
from canteen.registry.imports import import_runs
from canteen.registry.models import Elder
from tests.invariants.test_constraints import drop_trigger, owner, refused, run
from tests.registry.people import a_roster, an_elder, cells, some_areas
from tests.rigs.databases import Logins
from tests.rigs.programs import Begin, environment_of

__all__ = ["owner"]

Command = Callable[..., Result]
PROVED = ("identity", "identity-lookup", "card-wrap", "card-salt")  # by what is stored


@pytest.fixture
def canteen(app: Flask, session: Session, config: Config, monkeypatch: pytest.MonkeyPatch) -> Command:
    """canteen("roster", "check", …): the command on the test's own installation."""
    for name, value in environment_of(config).items():
        monkeypatch.setenv(name, value)

    def call(*words: str) -> Result:
        session.rollback()
        return CliRunner().invoke(cli.cli, words)

    return call


@pytest.fixture
def town(session: Session, config: Config) -> Session:
    """An elder with a number, one with a card, and somebody with a PIN, under the first keys."""
    some_areas(session)
    with transaction():
        elder = an_elder(session)
        credentials.make(session, [elder], batch="first", by="system")
        made = Person(id="p", login="p", name="小王", pin_hash=pins.hash_pin("274951"), changed_at=clock.now())
        session.add(made)
    return session


def replace(config: Config, name: str, secret: bytes | None = None) -> None:
    """Put another secret, as a new process would find it; the processes of an installation read each file once."""
    (config.keys_dir / f"{name}.key").write_bytes(secret or secrets.token_bytes(32))


def kept(session: Session) -> set[str]:
    names = set(session.execute(select(KeyCheck.name)).scalars())
    session.rollback()
    return names


def message() -> str:
    with pytest.raises(WrongKeys) as found:
        startup.check()
    return found.value.message


# --- keys ---


def test_a_new_installation_keeps_a_check_value_of_each_key(app: Flask, session: Session, config: Config) -> None:
    startup.check()

    assert kept(session) == set(SECRETS) - {"session"}
    values = keychecks.recorded(session)
    for name in values:
        secret = config.secret(name)
        assert secret.hex() not in values[name]
        assert values[name] == keychecks.value_of(name, secret) != keychecks.value_of("other", secret)


@pytest.mark.parametrize("name", keychecks.GUARDED)
def test_another_key_or_none_is_named_and_refused(app: Flask, config: Config, name: str) -> None:
    startup.check()
    replace(config, name)
    assert f"{name}.key 不是这个数据库的密钥" in message()

    (config.keys_dir / f"{name}.key").unlink()
    assert f"缺少 {name}.key" in message()
    assert not (config.keys_dir / f"{name}.key").exists(), "a key was made in place of the one that is missing"


def test_another_session_secret_refuses_nothing(app: Flask, config: Config) -> None:
    startup.check()
    replace(config, "session")

    startup.check()


def test_keys_of_an_older_database_prove_themselves_first(app: Flask, town: Session, config: Config) -> None:
    old = {name: (config.keys_dir / f"{name}.key").read_bytes() for name in PROVED}
    for name, right in old.items():
        replace(config, name)
        assert f"{name}.key 不是" in message()
        replace(config, name, right)
    assert kept(town) == set()

    startup.check()
    assert kept(town) == {*PROVED, "stamp", "backup"}  # no stored row tells which pepper is right


def test_the_oldest_row_tells_whose_the_database_is(app: Flask, town: Session, config: Config) -> None:
    """What was written later under other keys does not make those the right ones."""
    first = (config.keys_dir / "identity.key").read_bytes()
    other = keys.made_of(secrets.token_bytes(32), *(config.secret(name) for name in PROVED[1:]))
    app.extensions["canteen-keyring"] = other
    with transaction():
        an_elder(town, order=103)

    replace(config, "identity", b"x" * 32)
    assert "identity.key 不是" in message()
    replace(config, "identity", first)
    startup.check()


def test_the_pepper_proves_itself_by_a_pin_that_fits(app: Flask, town: Session, config: Config) -> None:
    startup.check()
    assert "pepper" not in kept(town)
    keychecks.prove("session")  # not one that waits for proof
    keychecks.prove("pepper")

    assert kept(town) == set(keychecks.GUARDED)
    replace(config, "pepper")
    assert "pepper.key 不是" in message()


def test_a_check_value_is_never_changed_or_removed(app: Flask, owner: Engine) -> None:
    startup.check()
    changed = "UPDATE key_check SET value = 'x'"
    assert refused(lambda: run(owner, changed))
    assert refused(lambda: run(owner, "DELETE FROM key_check"))
    for act in ("change",) if owner.dialect.name == "postgresql" else ("update", "delete"):
        drop_trigger(owner, f"law_key_check_no_{act}")
    run(owner, changed)
    assert "identity.key 不是" in message()


def test_keys_init_makes_no_key_over_data(canteen: Command, town: Session, config: Config) -> None:
    (config.keys_dir / "identity.key").unlink()

    refusal = canteen("keys", "init").exception
    assert isinstance(refusal, WrongKeys)
    assert "缺少 identity.key" in refusal.message
    assert not (config.keys_dir / "identity.key").exists()


def test_keys_init_makes_what_nothing_depends_on(canteen: Command, config: Config) -> None:
    assert canteen("keys", "init").exit_code == 0
    assert all((config.keys_dir / f"{name}.key").is_file() for name in SECRETS)


def test_a_roster_is_not_read_with_other_keys(
    canteen: Command, town: Session, config: Config, tmp_path: Path, app: Flask
) -> None:
    path = a_roster(tmp_path, cells())
    startup.check()
    replace(config, "identity")

    for act in ("check", "apply"):
        assert isinstance(canteen("roster", act, str(path)).exception, WrongKeys)
    with pytest.raises(WrongKeys):  # as the desk does it, in a process that began with the right keys
        import_runs.check(path, "roster", "system")
    with pytest.raises(WrongKeys):
        import_runs.apply(path, "roster", "system")
    assert len(town.execute(select(Elder.id)).all()) == 1


def test_commands_that_read_nothing_sealed_need_no_keys(canteen: Command, config: Config, app: Flask) -> None:
    startup.check()
    replace(config, "identity")

    assert canteen("audit", "verify").exit_code == 0
    assert isinstance(canteen("scheduler", "--once").exception, WrongKeys)
    assert isinstance(canteen("serve", "--port", "0").exception, WrongKeys)


def test_doctor_names_the_keys_that_are_not_this_database_s(canteen: Command, config: Config, town: Session) -> None:
    replace(config, "card-salt")
    result = canteen("doctor")

    assert result.exit_code == 1
    assert "card-salt.key 不是这个数据库的密钥" in result.stderr
    assert "the secret pepper has not proved itself yet" in result.stderr
    assert kept(town) == set()
    assert "keys init" not in result.stderr


# --- an empty database ---


def test_doctor_says_one_thing_of_an_empty_database(
    plain_logins: Logins, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(config).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CANTEEN_DATABASE_URL", plain_logins.url(plain_logins.owner))
    result = CliRunner().invoke(cli.cli, ["doctor"])
    told = [line for line in result.stderr.splitlines() if "fsync" not in line and "full_page" not in line]
    assert (result.exit_code, told) == (1, ["TROUBLE the database is empty; run canteen init"])


# --- schema ---


def test_a_schema_that_is_not_ours_is_refused_with_what_to_do() -> None:
    refuse_schema(newest_revision())
    for there, said in ((None, "请先运行 canteen init"), ("0001", "请先更新程序"), ("9999", "请先更新程序")):
        with pytest.raises(WrongSchema) as found:
            refuse_schema(there)
        assert said in found.value.message
        assert str(newest_revision()) in found.value.message
        assert found.value.details["present"] == (there or "-")


@pytest.mark.parametrize("newest", ["0000", "0099"])
def test_nothing_begins_on_another_schema(
    canteen: Command, config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, newest: str
) -> None:
    """The program's newest migration is the one before the database's, or the one after it."""
    revision = newest_revision()
    assert revision is not None
    monkeypatch.setattr(database, "_revisions", lambda: (newest, frozenset({"0000", newest, min(revision, newest)})))
    path = a_roster(tmp_path, cells())

    for words in (("serve", "--port", "0"), ("scheduler",), ("scheduler", "--once"), ("roster", "apply", str(path))):
        refusal = canteen(*words).exception
        assert isinstance(refusal, WrongSchema), words
        assert revision in refusal.message


def test_a_schema_newer_than_the_program_is_not_upgraded(config: Config, app: Flask, owner: Engine) -> None:
    run(owner, "UPDATE alembic_version SET version_num = '9999'")

    with pytest.raises(WrongSchema, match="请先更新程序"):
        upgrade(config.database_url)


def test_without_a_database_nothing_begins_and_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "none.db"
    for name, value in {"CANTEEN_DATABASE_URL": f"sqlite:///{place}", "CANTEEN_DATA": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)

    refusal = CliRunner().invoke(cli.cli, ["serve", "--port", "0"]).exception
    assert isinstance(refusal, WrongSchema)
    assert "请先运行 canteen init" in refusal.message
    assert not place.exists()


def test_a_worker_with_other_keys_ends_with_1(app: Flask, config: Config, begin: Begin) -> None:
    startup.check()
    replace(config, "identity")

    code, out, errors = begin(text="import wsgi").end()
    assert (code, out) == (1, "")
    assert errors.startswith("keys_wrong: 密钥与数据库不符：identity.key 不是")


@pytest.mark.own_app
def test_a_worker_checks_a_returned_database_before_answering(
    app: Flask, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[Refusal | None] = [DatabaseAway(), DatabaseAway(), WrongKeys(), None]

    def check() -> None:
        if (refusal := answers.pop(0)) is not None:
            raise refusal

    monkeypatch.setattr(startup, "check", check)
    startup.begin(app)
    client = app.test_client()

    assert [client.get("/login").status_code for _ in range(4)] == [503, 503, 200, 200]
    assert answers == []
