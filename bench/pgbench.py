"""pgbench on one script: transactions a second, their latencies, and what they cost the processors."""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
from pathlib import Path

from bench.client import Load
from tests.rigs.postgres import Server, _program


def run(server: Server, database: str, script: Path, *, clients: int, seconds: int, rate: float | None = None) -> Load:
    """Run pgbench with prepared statements and no vacuum; with a `rate`, latency counts from the instants drawn."""
    before = _children()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                _program("pgbench"), "-n", "-M", "prepared", "-f", str(script), "-c", str(clients),
                "-j", str(min(clients, 2)), "-T", str(seconds), "-l", "--log-prefix", f"{folder}/log",
                *(["-R", str(rate)] if rate else []),
                "-h", "127.0.0.1", "-p", str(server.port), "-U", server.user, database,
            ],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        took = [
            int(line.split()[2]) / 1000 for log in Path(folder).glob("log.*") for line in log.read_text().splitlines()
        ]
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None or not took:
        raise RuntimeError(done.stdout + done.stderr)
    return Load(took, len(took) / float(found[1]), _children() - before)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
