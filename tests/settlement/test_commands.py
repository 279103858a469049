"""The commands of settlement: what they print for programs, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import cli, clock
from canteen.config import Config
from canteen.errors import Forbidden
from canteen.ledger.models import Period
from canteen.settlement.claims.claims import SamePerson
from canteen.settlement.claims.workflow import GapOpen
from canteen.settlement.closing import close
from tests import world
from tests.auth.house import PASSWORD, a_person
from tests.rigs.programs import Begin
from tests.rigs.states import state
from tests.settlement.conftest import Town, at
from tests.settlement.test_verify import tamper

JAN5 = date(2026, 1, 5)
Run = Callable[..., Result]


@pytest.fixture
def run(config: Config, session: Session, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command on the test's own installation, as whoever has PASSWORD."""
    for name, value in (
        ("CANTEEN_DATABASE_URL", config.database_url),
        ("CANTEEN_DATA", str(config.data_dir)),
        ("CANTEEN_KEYS", str(config.keys_dir)),
        ("CANTEEN_PASSWORD", PASSWORD),
    ):
        monkeypatch.setenv(name, value)

    def call(*words: str) -> Result:
        session.rollback()
        return CliRunner().invoke(cli.cli, words)

    return call


@state
def staff(town: Town) -> Town:
    """January with two meals, and people who may move its claim."""
    a_person("manager", ("manager", "canteen", "c1"))
    a_person("street", ("reviewer", "area", world.STREET))
    for login in ("maker", "chief", "payer", "checker"):
        a_person(login, ("finance", "area", world.DISTRICT))
    town.sell(JAN5, town.cards[0])
    town.sell(date(2026, 1, 6), town.cards[0])
    return town


def said(result: Result) -> list[dict[str, object]]:
    assert result.exit_code == 0, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_a_period_is_closed_shown_and_verified(run: Run, staff: Town):
    closed = said(run("period", "close", "k1", "2026-01", "--json"))
    assert [(row["claim"], row["closed_now"]) for row in closed] == [("k1-202601", True)]
    assert said(run("period", "close", "k1", "2026-01", "--json"))[0]["closed_now"] is False

    first = said(run("period", "status", "k1", "--json"))[0]
    assert (first["state"], first["claim"], first["claim_state"], first["fen"]) == (
        "closed",
        "k1-202601",
        "draft",
        1000,
    )
    assert first["silent"] == ["t1"]
    verified = said(run("period", "verify", "k1", "2026-01", "--json"))
    assert (verified[0]["sales"], verified[0]["fen"], verified[0]["differences"]) == (2, 1000, [])


def test_a_close_without_a_month_takes_all_due_oldest_first(run: Run, staff: Town):
    claims = [row["claim"] for row in said(run("period", "close", "k1", "--json"))]

    assert claims[:3] == ["k1-202601", "k1-202602", "k1-202603"]
    assert claims == sorted(claims)  # type: ignore[type-var]
    assert said(run("period", "close", "--json")) == []


def test_a_close_that_fails_is_reported_and_run_again_mends_it(run: Run, staff: Town, monkeypatch: pytest.MonkeyPatch):
    with monkeypatch.context() as broken:
        broken.setattr(close.checks, "of_chain", _overflow)
        result = run("period", "close", "k1")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("close_failed: k1 含 2026-01-31 的所属期未能结账（OverflowError")
    flipped = staff.session.execute(select(Period.to_day).where(Period.state == "closed")).scalars().all()
    assert flipped == [date(2026, 1, 31)]

    claims = [row["claim"] for row in said(run("period", "close", "k1", "--json"))]

    assert claims[:2] == ["k1-202601", "k1-202602"]


def test_a_close_that_fails_holds_up_no_other_contract(run: Run, staff: Town, monkeypatch: pytest.MonkeyPatch):
    with clock.at(at(JAN5)):
        world.make(staff.session, canteen="c2", contract="k2", tablet="t2")
    right = close.compute

    def compute(period_id: int) -> object:
        period = close.load(period_id)
        return _overflow() if period.contract_id == "k1" else right(period_id)

    monkeypatch.setattr(close, "compute", compute)
    result = run("period", "close", "--json")

    assert result.exit_code == 1
    assert {row["claim"][:2] for row in json.loads(result.stdout)} == {"k2"}


def _overflow(*_: object) -> object:
    raise OverflowError("date value out of range")


def test_an_audit_that_differs_exits_1_and_names_the_difference(run: Run, staff: Town):
    run("period", "close", "k1", "2026-01")
    tamper("UPDATE transfer SET fen = fen + 1 WHERE id = (SELECT min(id) FROM transfer WHERE movement = 'meal')")

    result = run("period", "verify", "k1")

    assert result.exit_code == 1
    assert "transfer sale:" in result.stdout
    assert "复算不一致" in result.stderr


def test_a_claim_is_moved_and_paid_by_people_with_passwords(run: Run, staff: Town, tmp_path: Path):
    run("period", "close", "k1", "2026-01")
    for act, login in (("submit", "manager"), ("review", "street"), ("determine", "maker"), ("approve", "chief")):
        assert run("claims", "move", "k1-202601", act, "--as", login).exit_code == 0
    listed = said(run("claims", "list", "--state", "approved", "--json"))
    assert [(row["number"], row["fen"]) for row in listed] == [("k1-202601", 1000)]

    entered = run("payouts", "enter", "k1-202601", "2026-0137", "2026-02-06", "--as", "payer")
    assert "waits for a second person" in entered.output
    assert isinstance(run("payouts", "check", "1", "--as", "payer").exception, SamePerson)
    assert said(run("payouts", "check", "1", "--as", "checker", "--json"))["state"] == "paid"  # type: ignore[call-overload]
    assert [row["outcome"] for row in said(run("payouts", "list", "--json"))] == ["confirmed"]

    path = tmp_path / "claim.xlsx"
    exported = said(run("claims", "export", "k1-202601", str(path), "--as", "maker", "--json"))
    assert exported["meals"] == 2  # type: ignore[call-overload]
    assert path.read_bytes()[:2] == b"PK"


def test_no_move_without_the_right_or_by_another_s_password(run: Run, staff: Town):
    run("period", "close", "k1", "2026-01")

    assert isinstance(run("claims", "move", "k1-202601", "submit", "--as", "street").exception, Forbidden)
    assert isinstance(
        run("claims", "move", "k1-202601", "submit", "--as", "manager", "--password", "wrong-guess-1").exception,
        Forbidden,
    )
    assert said(run("claims", "list", "--json"))[0]["state"] == "draft"


def test_two_accounts_tied_to_one_human_are_kept_apart(run: Run, staff: Town):
    run("period", "close", "k1", "2026-01")
    assert run("user", "same", "maker", "chief").exit_code == 0
    for act, login in (("submit", "manager"), ("review", "street"), ("determine", "maker")):
        run("claims", "move", "k1-202601", act, "--as", login)

    assert isinstance(run("claims", "move", "k1-202601", "approve", "--as", "chief").exception, SamePerson)


def test_a_gap_stops_the_submission_at_the_command_line_too(run: Run, staff: Town):
    staff.sealed(date(2026, 1, 7), None)
    staff.sell(date(2026, 1, 8), None)
    run("period", "close", "k1", "2026-01")

    assert isinstance(run("claims", "move", "k1-202601", "submit", "--as", "manager").exception, GapOpen)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("period", "close", "nowhere", "2026-01"), 1),
        (("period", "verify", "nowhere"), 1),
        (("period", "close", "k1", "January"), 2),
        (("claims", "move", "k1-202601", "bless", "--as", "x"), 2),
        (("period", "status", "k1"), 0),
    ],
)
def test_a_command_ends_with_0_done_1_refused_2_wrong_usage(
    begin: Begin, town: Town, words: tuple[str, ...], code: int
):
    town.session.rollback()
    ended, _, errors = begin(*words).end()

    assert ended == code, errors
    assert bool(errors) == (code != 0)
    assert "Traceback" not in errors


def test_the_scheduler_runs_what_is_due_once_and_ends(run: Run, staff: Town):
    outcomes = json.loads(run("scheduler", "--once", "--json").stdout)

    assert outcomes["k1/2026-01-31"] == "done"
    assert set(outcomes.values()) == {"done"}
    assert json.loads(run("scheduler", "--once", "--json").stdout) == {}
