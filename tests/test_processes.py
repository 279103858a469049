"""The scheduler is watched, seen from every host, and ends with the server that started it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from apscheduler.jobstores.memory import MemoryJobStore
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from canteen import clock, heartbeats, processes
from canteen.commands import serve as serving
from canteen.commands.serve import AddressTaken
from canteen.config import Config
from canteen.db import WrongSchema
from canteen.settlement.closing import schedule
from tests.rigs.postgres import free_port
from tests.rigs.servers import Serve

PATIENCE = 60  # seconds


def until(there: Callable[[], object]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not there():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def parents() -> dict[int, int]:
    """Parent by process, of all that run and are no zombies."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue  # it has just ended
        if state != "Z":
            found[int(folder.name)] = int(parent)
    return found


def scheduler_of(server: int) -> int | None:
    """The scheduler that runs under a server."""
    for process, parent in parents().items():
        if parent == server and b"--tied" in words_of(process):
            return process
    return None


def words_of(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""  # it has just ended


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_killed_scheduler_restarts_and_ends_with_the_server(config: Config, serve: Serve) -> None:
    server = serve(config)
    main = server.process.pid
    assert main
    until(lambda: scheduler_of(main))
    first = scheduler_of(main)
    assert first
    os.kill(first, signal.SIGKILL)
    until(lambda: scheduler_of(main) not in {None, first})
    assert "定时任务进程意外退出（信号 9），1 秒后重新启动" in server.log.read_text()

    started = [process for process, parent in parents().items() if parent == main]
    assert len(started) >= 2  # a worker and the scheduler
    os.kill(main, signal.SIGKILL)
    until(lambda: not set(started) & set(parents()))
    socket.create_server(("127.0.0.1", server.port)).close()


def test_a_child_that_ends_is_started_again_after_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PAUSES", (0.01, 0.03))
    messages: list[str] = []
    watched = processes.Watched([sys.executable, "-c", "raise SystemExit(3)"], messages.append)

    watched.start()
    until(lambda: len(messages) >= 3)
    watched.stop()

    assert all("退出码 3" in one for one in messages)


def test_a_child_that_cannot_be_started_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PAUSES", (0.01, 0.01))
    messages: list[str] = []
    watched = processes.Watched(["/nowhere/at/all"], messages.append)

    watched.start()
    until(lambda: messages)
    watched.stop()

    assert "无法启动" in messages[0]


def test_of_two_servers_that_start_at_once_one_gets_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two that start at once nobody listens yet, and what the workers bind they would share."""
    monkeypatch.setattr(serving, "ENDING", 0.1)
    port = free_port()
    with serving._reserve_port("127.0.0.1", port):
        with pytest.raises(AddressTaken, match="已被占用"):
            serving._reserve_port("127.0.0.1", port)
        serving._reserve_port("127.0.0.1", free_port()).close()
    serving._reserve_port("127.0.0.1", port).close()


# --- seen from every host ---


def test_health_tells_that_no_scheduler_looks_and_stays_200(app: Flask, client: FlaskClient, session: Session) -> None:
    now = clock.now()

    def health(minutes: int) -> tuple[int, object]:
        session.rollback()
        with clock.at(now + timedelta(minutes=minutes)):
            answer = client.get("/healthz")
        return answer.status_code, answer.json.get("troubles")

    assert health(0) == (200, None)  # none has run yet
    with clock.at(now):
        heartbeats.beat("a", begins=True)
        heartbeats.beat("b", begins=True)
    assert health(5) == (200, None)
    assert health(6) == (200, ["scheduler_silent"])
    with clock.at(now + timedelta(minutes=6)):
        schedule.tick("b")
    assert health(7) == (200, None)


def test_metrics_tell_how_long_no_scheduler_has_looked(client: FlaskClient, session: Session) -> None:
    assert "canteen_scheduler_starts 0.0" in client.get("/metrics").text
    with clock.at(clock.now() - timedelta(minutes=9)):
        heartbeats.beat("a", begins=True)
        heartbeats.beat("b", begins=True)

    metrics = client.get("/metrics").text
    assert "canteen_scheduler_starts 2.0" in metrics
    age = next(line for line in metrics.splitlines() if line.startswith("canteen_scheduler_age_seconds "))
    assert 540 <= float(age.split()[1]) < 600


@pytest.fixture
def sigterm() -> Iterator[None]:
    """SIGTERM as it was, after a scheduler in this process has taken it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm")
def test_a_scheduler_ends_when_the_schema_is_changed_under_it(app: Flask, session: Session) -> None:
    asked: list[int] = []

    def first() -> None:
        asked.append(1)
        if len(asked) > 1:
            raise WrongSchema

    with pytest.raises(WrongSchema):
        schedule.run(app, every=1, first=first)


@pytest.mark.usefixtures("sigterm")
def test_a_scheduler_that_is_just_starting_jobs_ends_on_sigterm(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[object] = []

    def start(self: MemoryJobStore, job: object) -> None:
        started.append(job)
        if len(started) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        update(self, job)

    update = MemoryJobStore.update_job
    monkeypatch.setattr(MemoryJobStore, "update_job", start)
    schedule.run(app, every=1)
    assert started


@pytest.mark.usefixtures("sigterm")
def test_no_work_that_people_asked_for_waits_for_another(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    together, met, ended = threading.Barrier(2), threading.Event(), threading.Lock()

    def meet(_holder: str) -> dict[str, str]:
        try:
            if not met.is_set():
                together.wait(PATIENCE)  # a scheduler that does one work after the other never gets past this
                met.set()
        finally:
            if ended.acquire(blocking=False):  # once: a second signal could come when the scheduler takes none any more
                os.kill(os.getpid(), signal.SIGTERM)
        return {}

    monkeypatch.setattr(schedule, "_asked", [partial(meet), partial(meet)])
    schedule.run(app, every=1)
    assert met.is_set()
