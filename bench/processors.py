"""Processor time of whole trees of processes, from /proc (Linux): wall time on a shared machine tells little."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Stat:
    """One process: its parent, its own seconds, and those of its children that have ended and were waited for."""

    pid: int
    parent: int
    own: float
    ended: float


def read(text: str) -> Stat:
    """Read a line of /proc/PID/stat, whose second field is a name in parentheses that may itself contain some."""
    pid, rest = text.split(" ", 1)
    fields = rest[rest.rindex(")") + 2 :].split()
    user, system, user_ended, system_ended = (int(ticks) / TICKS for ticks in fields[11:15])
    return Stat(int(pid), int(fields[1]), user + system, user_ended + system_ended)


def spent(root: int, everyone: Iterable[Stat] | None = None) -> float:
    """Seconds that a process and all below it have used so far, also those below it that have ended.

    everyone    all processes; read from /proc by default
    """
    stats = {stat.pid: stat for stat in (everyone if everyone is not None else _everyone())}
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            total += stats[pid].own + stats[pid].ended
            waiting += children.get(pid, [])
    return total


def parent_of(pid: int) -> int:
    return read((PROC / str(pid) / "stat").read_text()).parent


def peak_mb(pid: int) -> float:
    """Return the most memory that a process has held at once so far, in MB; 0 once it has ended."""
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def memory_mb(root: int) -> int:
    """Return the resident memory of a process now, in MB."""
    line = next(row for row in (PROC / str(root) / "status").read_text().splitlines() if row.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def _everyone() -> list[Stat]:
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            try:
                found.append(read((entry / "stat").read_text()))
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended while we looked
    return found
