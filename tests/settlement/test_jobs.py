"""A job runs once, is caught up after an absence, and goes on after a kill."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import func, select

from canteen import clock, jobs
from canteen.jobs import JobRun
from canteen.ledger import periods
from canteen.settings import Settings
from canteen.settlement.closing import close, schedule
from canteen.settlement.models import Claim
from tests.settlement.conftest import Town, at

JAN5 = date(2026, 1, 5)
NOON = at(date(2026, 2, 5), 12)


def test_a_job_that_is_held_is_not_taken_by_another(town: Town):
    with clock.at(NOON):
        first = jobs.take("close", "k1", "host-a")

        assert first is not None
        assert jobs.take("close", "k1", "host-b") is None


def test_a_dead_holder_s_job_is_taken_over_when_its_lease_ends(town: Town):
    with clock.at(NOON):
        dead = jobs.take("close", "k1", "host-a")
    with clock.at(NOON + jobs.LEASE + timedelta(seconds=1)):
        heir = jobs.take("close", "k1", "host-b")

        assert heir is not None
        assert dead is not None
        assert heir.token == dead.token + 1
        assert jobs.finish(dead) is False
        assert jobs.finish(heir) is True


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize(("seconds", "takes"), [(86_400, False), (-86_400, False), (90, True), (-90, True)])
def test_a_host_whose_clock_is_a_day_off_takes_no_job(
    town: Town, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, seconds: int, takes: bool
):
    true = clock.now
    monkeypatch.setattr(clock, "now", lambda: true() + timedelta(seconds=seconds))

    assert (jobs.take("close", "k1", "host-a") is not None) is takes
    assert ("this host's clock is" in caplog.text) is not takes


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_host_a_day_ahead_closes_no_period_before_it_is_over(town: Town, monkeypatch: pytest.MonkeyPatch):
    true, until = clock.now, clock.Span.month(clock.today()).last
    ahead = timedelta(days=(until - clock.today()).days + 1)
    monkeypatch.setattr(clock, "now", lambda: true() + ahead)
    for contract, day in close.due(town.session, until):
        close.close(contract, day, by="system")

    with pytest.raises(periods.PeriodNotOver):
        close.close("k1", until, by="system")


def test_a_job_that_is_done_is_not_run_again(town: Town):
    ran: list[int] = []
    with clock.at(NOON):
        assert jobs.run_once("close", "k1", lambda lease: ran.append(lease.token), "host-a") == "done"
    with clock.at(NOON + timedelta(days=40)):
        assert jobs.run_once("close", "k1", lambda lease: ran.append(lease.token), "host-b") == "not_ours"

    assert ran == [1]


def test_a_failed_job_keeps_its_error_and_retries_ever_later(town: Town):
    def fail(_: jobs.Lease) -> None:
        raise ValueError("disk full")

    with clock.at(NOON):
        assert jobs.run_once("close", "k1", fail, "a") == "failed"
        assert jobs.take("close", "k1", "a") is None
    row = town.session.get_one(JobRun, ("close", "k1"))
    assert (row.state, row.error) == ("failed", "ValueError: disk full")
    with clock.at(NOON + jobs.BACK_OFF + timedelta(seconds=1)):
        assert jobs.run_once("close", "k1", fail, "a") == "failed"
        assert jobs.take("close", "k1", "a") is None
    with clock.at(NOON + 2 * jobs.BACK_OFF + timedelta(seconds=2)):
        assert jobs.take("close", "k1", "a") is None


def test_a_period_closes_at_the_configured_shanghai_hour(town: Town):
    town.sell(JAN5, town.cards[0])
    assert clock.local(schedule.due_at(date(2026, 1, 31), Settings([]))).isoformat() == "2026-02-03T06:00:00+08:00"

    with clock.at(at(date(2026, 2, 3), 5, 59)):
        assert schedule.tick("a") == {}
    with clock.at(at(date(2026, 2, 3), 6, 0)):
        assert schedule.tick("a") == {"k1/2026-01-31": "done"}
        assert schedule.tick("b") == {}
    assert town.claim("2026-01").fen == 500


def test_a_scheduler_that_was_away_catches_up_oldest_first(town: Town):
    town.sell(JAN5, town.cards[0])
    town.sell(date(2026, 3, 9), town.cards[0])

    with clock.at(at(date(2026, 4, 20))):
        outcomes = schedule.tick("a")

    assert list(outcomes.items()) == [("k1/2026-01-31", "done"), ("k1/2026-02-28", "done"), ("k1/2026-03-31", "done")]
    assert town.session.execute(select(func.count()).select_from(Claim)).scalar_one() == 3


def test_a_killed_close_is_finished_at_a_later_tick(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.sell(JAN5, town.cards[0])

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(close, "settle", die)
        with clock.at(at(date(2026, 2, 3), 6, 0)), pytest.raises(Killed):
            schedule.tick("a")

    with clock.at(at(date(2026, 2, 3), 6, 5)):
        assert schedule.tick("b") == {"k1/2026-01-31": "not_ours"}
    with clock.at(at(date(2026, 2, 3), 6, 20)):
        assert schedule.tick("b") == {"k1/2026-01-31": "done"}
    assert town.claim("2026-01").fen == 500
