"""`canteen doctor` reports an installation's state, and ends with 1 and a sentence for each fault."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from canteen import cli, clock
from canteen import db as database
from canteen.commands import doctor as checks
from canteen.config import Config
from canteen.db import newest_revision, transaction
from canteen.places import Installation
from canteen.settlement.closing import close
from tests import world
from tests.invariants.test_constraints import drop_trigger, owner, run
from tests.world import NOON

__all__ = ["owner"]

Doctor = Callable[..., Result]


@pytest.fixture
def doctor(app: Flask, session: Session, config: Config, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """The command on a sound installation."""
    with transaction():
        session.add(Installation(id=1, incarnation="x", demo=False, made_at=clock.now()))
    monkeypatch.setenv("CANTEEN_DATABASE_URL", config.database_url)
    monkeypatch.setenv("CANTEEN_DATA", str(config.data_dir))
    monkeypatch.setenv("CANTEEN_KEYS", str(config.keys_dir))

    def call(*words: str) -> Result:
        session.rollback()
        return CliRunner().invoke(cli.cli, ["doctor", *words])

    return call


def trouble(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert "sound" not in result.stdout
    return result.stderr


def test_a_sound_installation_is_reported_in_full(doctor: Doctor, config: Config) -> None:
    result = doctor("--json")

    report = json.loads(result.stdout)
    fleeting = {"fsync is off", "full_page_writes is off"}  # as the rig's server is, for speed
    assert set(report["troubles"]) <= fleeting, result.output
    assert result.exit_code == bool(report["troubles"])
    assert report["schema"] == newest_revision()
    assert {"python", "sqlite", "sqlalchemy"} <= report["versions"].keys()
    assert (report["decided"]["close_day"], report["decided"]["close_hour"]) == ("3", "6")
    assert report["triggers"] > 90
    if not config.sqlite:
        assert report["roles"] == ["canteen_app", "canteen_auditor", "canteen_owner"]
        assert report["application"] == {"acts_as": "canteen_app", "isolation": "read committed"}


def test_a_trigger_that_is_gone_is_named(doctor: Doctor, owner: Engine) -> None:
    drop_trigger(owner, "law_transfer_booked")

    assert "trigger law_transfer_booked is missing" in trouble(doctor())


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_trigger_that_is_disabled_or_written_over_is_named(doctor: Doctor, owner: Engine) -> None:
    run(owner, "ALTER TABLE transfer DISABLE TRIGGER law_transfer_no_change")
    run(
        owner,
        """CREATE OR REPLACE FUNCTION law_transfer_booked() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN RETURN NEW; END $$""",
    )

    said = trouble(doctor())
    assert "trigger law_transfer_no_change is missing or disabled" in said
    assert "trigger law_transfer_booked refuses nothing" in said


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("grant", "named"),
    [
        ("GRANT UPDATE (fen) ON transfer TO canteen_app", "canteen_app may UPDATE transfer.fen"),
        ("GRANT DELETE ON sale TO canteen_app", "canteen_app may DELETE sale"),
        ("GRANT TRUNCATE ON event TO canteen_app", "canteen_app may TRUNCATE event"),
        ("GRANT INSERT ON claim TO canteen_auditor", "canteen_auditor may INSERT claim"),
    ],
)
def test_a_right_too_many_is_named(doctor: Doctor, owner: Engine, grant: str, named: str) -> None:
    run(owner, grant)

    assert named in trouble(doctor())


def test_a_schema_that_is_behind_is_named(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    there = newest_revision()
    monkeypatch.setattr(database, "_revisions", lambda: ("0099", frozenset({str(there), "0099"})))

    assert f"the schema is at {there}" in trouble(doctor())


def test_a_database_that_is_not_there_is_a_sentence_and_no_trace(
    doctor: Doctor, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = "sqlite:////nowhere/x.db" if config.sqlite else "postgresql://nobody:secret@127.0.0.1:9/none"
    monkeypatch.setenv("CANTEEN_DATABASE_URL", nowhere)

    said = trouble(doctor())
    assert "run canteen init" in said if config.sqlite else "cannot be used" in said
    assert "Traceback" not in said
    assert "secret" not in said


def test_secrets_that_are_missing_in_production_are_named(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "forbid_moving", lambda: None)  # it would apply to the tests that follow
    monkeypatch.setenv("CANTEEN_PRODUCTION", "1")

    assert "the secret identity is missing" in trouble(doctor())


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_clock_that_is_off_is_named(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    true = clock.now
    monkeypatch.setattr(clock, "now", lambda: true() + timedelta(days=1))

    assert "clock is +86400 s" in trouble(doctor())


def test_a_warning_is_reported_and_leaves_the_exit_status(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "SETTINGS", (lambda _settings, report: report.warnings.append("due in January"),))
    monkeypatch.setattr(checks, "AS_OWNER", (checks._schema,))  # the rig's server does not sync, which is a trouble

    result = doctor()
    assert result.exit_code == 0
    assert "WARNING due in January" in result.stderr
    assert result.stdout.endswith("sound\n")


def test_a_closed_period_without_a_claim_is_named(
    doctor: Doctor, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    with clock.at(NOON):
        till = world.make(session)
        world.a_rulebook(session)
        world.sell(till, None)
    with clock.at(NOON + timedelta(days=30)), monkeypatch.context() as broken:
        broken.setattr(close, "compute", _overflow)
        with pytest.raises(OverflowError):
            close.close("k1", date(2026, 1, 1), by="system")
        assert close.unclaimed(session, before=clock.now()) == []
    asked = "period 2026-01-01..2026-01-31 of k1 is closed and has no claim; run canteen period close k1 2026-01-01"
    assert asked in trouble(doctor())

    close.close("k1", date(2026, 1, 1), by="system")

    assert "has no claim" not in doctor().stderr


def _overflow(_: int) -> None:
    raise OverflowError("date value out of range")


def test_a_missing_calendar_warns_louder_where_a_rule_asks(doctor: Doctor, session: Session) -> None:
    def warned(day: date) -> list[str]:
        with clock.at(clock.instant(day)):
            result = doctor("--json")
        report = json.loads(result.stdout)
        assert result.exit_code == bool(report["troubles"])
        return [one for one in report["warnings"] if "calendar" in one]

    world.make(session)
    assert warned(date(2026, 10, 31)) == []
    (quiet,) = warned(date(2026, 11, 1))
    world.a_rulebook(session, world.GUARDED.replace("when: {age", "when: {day_kind: [workday], age"))
    (loud,) = warned(date(2027, 1, 5))

    assert quiet.startswith("the calendar of 2027 is not entered")
    assert loud.startswith("URGENT the calendar of 2027 is not entered")
    assert "测试标准" in loud
