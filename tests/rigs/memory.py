"""Where tests keep databases: in memory where there is enough, since a commit waits for the disk and a test has many."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - the system's own, files in it are given names nobody guesses
ENOUGH = 4 * 1024**3  # bytes: databases of both kinds of all workers at one time, many times over


def memory() -> Path | None:
    """A folder that lives in memory; None, so that files go where temporary ones do, when there is none or too little."""
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ENOUGH:
        return MEMORY
    return None
