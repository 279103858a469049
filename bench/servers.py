"""Servers under load, each with all its processes: `canteen serve` of a tree, and the floor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import processors
from bench.trees import ROOT, Tree
from tests.rigs.postgres import free_port

WORKERS, THREADS = 2, 8  # what `canteen serve` takes by itself on PostgreSQL
PATIENCE = 120.0  # seconds until a server that does not answer is given up


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    def cpu(self) -> float:
        """Processor seconds of all its processes so far."""
        return processors.spent(self.process.pid)

    def stop(self) -> None:
        """End it as Ctrl-C does, and wait."""
        os.killpg(self.process.pid, signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def product(tree: Tree, url: str, folder: Path, workers: int = WORKERS) -> Serving:
    """Serve a tree by `canteen serve` without the scheduler, which would close the filled month."""
    port = free_port()
    words = ["-m", "canteen", "serve", "--port", str(port), "--no-scheduler", "--workers", str(workers)]
    environment = tree.environment | {"CANTEEN_DATABASE_URL": url, "CANTEEN_DATA": str(folder)}
    return _start([*words, "--threads", str(THREADS)], tree.root, environment, port, folder / "server.log", "/healthz")


def floor(dsn: str, folder: Path) -> Serving:
    """Serve the Flask views of bench/floor.py."""
    port = free_port()
    words = ["-m", "bench.floor", str(port), dsn, str(WORKERS), str(THREADS)]
    return _start(words, ROOT, os.environ, port, folder / "floor.log", "/")


def _start(
    words: Sequence[str], root: Path, environment: Mapping[str, str], port: int, log: Path, path: str
) -> Serving:
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=root, env=environment, stdout=out, stderr=out, start_new_session=True
        )  # fmt: skip
    serving = Serving(port, process, log)
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5):
                return serving
        except urllib.error.HTTPError:
            return serving  # it answers, if only that there is nothing at this path
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    serving.stop()
    raise RuntimeError(f"a server does not answer:\n{log.read_text(errors='replace')[-3000:]}")
