"""Where tests keep databases: in memory where there is enough, since a commit waits for the disk and a test has many."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the system's own, files in it are given names nobody guesses
ENOUGH = 4 * 1024**3  # bytes: databases of both kinds of all workers at one time, many times over
PREFIX = "canteen-test-"


def memory() -> Path | None:
    """A folder that lives in memory; None, so that files go where temporary ones do, when there is none or too little."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH:
        return MEMORY
    return None


def prefix() -> str:
    """How a folder of this process is called, so that it is known for a left one when the process is no more."""
    return f"{PREFIX}{os.getpid()}-"


def sweep() -> None:
    """Remove leftovers of killed processes, in memory too: a cluster that still runs there is ended."""
    for parent in {Path(tempfile.gettempdir()), MEMORY}:
        for left in parent.glob(f"{PREFIX}*"):
            pid = left.name.removeprefix(PREFIX).partition("-")[0]
            if not (pid.isdigit() and Path(f"/proc/{pid}").exists()):
                with contextlib.suppress(OSError, ValueError):
                    os.kill(int((left / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
                shutil.rmtree(left, ignore_errors=True)
