"""pgbench on one script: transactions a second and their latencies."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from tests.rigs.postgres import Server, _program


def run(server: Server, database: str, script: Path, *, clients: int, seconds: int) -> dict[str, float]:
    """tps, p50 and p99 in milliseconds, prepared statements, no vacuum."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                _program("pgbench"), "-n", "-M", "prepared", "-f", str(script), "-c", str(clients),
                "-j", str(min(clients, 2)), "-T", str(seconds), "-l", "--log-prefix", f"{folder}/log",
                "-h", "127.0.0.1", "-p", str(server.port), "-U", server.user, database,
            ],
            capture_output=True,
            text=True,
            check=False,
        )  # fmt: skip
        took = sorted(
            int(line.split()[2]) / 1000 for log in Path(folder).glob("log.*") for line in log.read_text().splitlines()
        )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None or not took:
        raise RuntimeError(done.stdout + done.stderr)
    return {"tps": float(found.group(1)), "p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}
