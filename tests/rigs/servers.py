"""Real server processes: `canteen serve` on a free port, as people run it.

server   one, on `database_url`
serve    starts more: serve(config) -> Server, as many as the test wants, also on one database

They are forked from a process that has loaded the house (`warm`): of a server's start, loading takes nine tenths.
"""

from __future__ import annotations

import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from canteen.config import Config
from tests.rigs import warm
from tests.rigs.postgres import free_port
from tests.rigs.programs import environment_of

PATIENCE = 120  # seconds until a server that does not answer is given up


@dataclass
class Server:
    """A running `canteen serve` and all its processes, in a process group of their own."""

    config: Config
    port: int
    log: Path
    process: BaseProcess = field(repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Ask it to end, as Ctrl-C does, and wait."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End all its processes at once, as a power cut does."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process.pid
        if self.process.is_alive():
            os.killpg(self.process.pid, number)
        self.process.join(PATIENCE)
        if self.process.is_alive():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.join()
            raise AssertionError(f"the server did not end when asked to:\n{self.log.read_text(errors='replace')}")

    def wait(self) -> None:
        """Until it answers. Raises AssertionError with its log when it does not."""
        give_up = time.monotonic() + PATIENCE
        while time.monotonic() < give_up and self.process.is_alive():
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=5) as answer:  # noqa: S310 - our own address
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.05)
        raise AssertionError(f"the server does not answer:\n{self.log.read_text(errors='replace')}")


Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """serve(config, port=None, options=(), **environment): a server that answers; all are ended with the test.

    options   further words of `canteen serve`
    """
    running: list[Server] = []

    def start(config: Config, *, port: int | None = None, options: tuple[str, ...] = (), **environment: str) -> Server:
        port = port or free_port()
        log = tmp_path / f"server-{len(running)}.log"
        words = ("serve", "--port", str(port), *options)
        process = warm.start(words, {**os.environ, **_environment(config), **environment}, log)
        running.append(Server(config, port, log, process))
        running[-1].wait()
        return running[-1]

    yield start
    for server in running:
        server.kill()


@pytest.fixture
def server(config: Config, serve: Serve) -> Server:
    """`canteen serve` on `database_url`."""
    return serve(config)


def _environment(config: Config) -> Mapping[str, str]:
    return {**environment_of(config), "CANTEEN_DEMO": str(int(config.demo)), "PYTHONUNBUFFERED": "1"}
