"""Commands run as programs of their own: how long they took, what they used, how much memory they held."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench import processors
from bench.trees import ROOT

LOOK = 0.02  # seconds between two looks at a program's memory


@dataclass(frozen=True, slots=True)
class Done:
    """A command that succeeded. `cpu` in seconds, with its children's; `rss_mb` is the most that it held at once."""

    seconds: float
    cpu: float
    rss_mb: float
    out: str


def canteen(environment: Mapping[str, str], *words: str) -> Done:
    """Run a command of the product. Raises RuntimeError with what it said when it fails."""
    return run([sys.executable, "-m", "canteen", *words], environment)


def run(words: Sequence[str], environment: Mapping[str, str]) -> Done:
    """Run a program in the project's folder, with these variables besides our own."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as wrong:
        began = time.perf_counter()
        process = subprocess.Popen(words, cwd=ROOT, env={**os.environ, **environment}, stdout=out, stderr=wrong)
        most, pid = 0.0, 0
        while not pid:
            # What the system itself would tell as the most includes what we held when we started the program.
            most = max(most, processors.peak_mb(process.pid))
            time.sleep(LOOK)
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - began
        out.seek(0)
        wrong.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(words[:6])} ended with {process.returncode}:\n{wrong.read()[-3000:]}")
        return Done(seconds, used.ru_utime + used.ru_stime, most, out.read())
