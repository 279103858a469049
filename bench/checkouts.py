"""Checkouts a second: pgbench on the least shape, pgbench on our own statements, and the product itself."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import own, pgbench, world
from bench.report import Report, median, ratio
from tests.rigs.postgres import Server

ELDERS = 20_000
STRIDE = 2_400  # cards between two clients
SPARE = 60  # of them, for the checkouts that open accounts and are listened to
WARM = 25
HERE = Path(__file__).parent
TARGETS = {1: (0.75, 1.5), 4: (0.40, 3.0), 8: (0.40, 3.0)}  # clients: tps / least, p99 / p99 of least
NAMES = {"least": "pgbench, least shape", "own": "pgbench, our statements", "product": "records.accept"}


@dataclass(frozen=True, slots=True)
class Bench:
    """What a run is made of."""

    server: Server
    folder: Path
    clients: tuple[int, ...]
    rounds: int
    seconds: int

    def sealed(self, till: int) -> int:
        """How many checkouts lie ready for a client: the more clients share the machine, the fewer each will do."""
        return WARM + self.seconds * (500 if till == 0 else 250 if till < 4 else 120)

    @property
    def template(self) -> str:
        return "canteen_bench_world"

    @property
    def base(self) -> str:
        return "canteen_bench_least"


def prepare(bench: Bench) -> int:
    """Make the template database, the sealed checkouts and the scripts; answers how many statements a checkout has."""
    for name in (bench.template, bench.base):
        bench.server.drop(name)
        bench.server.create(name, "template0")
    with bench.server.connect(bench.base) as connection:
        connection.execute((HERE / "base.sql").read_text())
    config = world.settings(bench.server.url(bench.template), bench.folder)
    most = max(bench.clients)
    world.make(config, ELDERS, most + 1)
    for till in range(most):
        cards = [(till * STRIDE + n) % (ELDERS - SPARE) for n in range(bench.sealed(till))]
        world.seal(config, till, cards, bench.folder / f"sealed{till}.jsonl")
    # The first checkouts open period and accounts, so that they stand in the template and have their ids.
    world.seal(config, most, range(ELDERS - SPARE, ELDERS), bench.folder / f"sealed{most}.jsonl")
    return own.script(config, most, ELDERS - SPARE - 1, bench.folder / "own.pgb")


def run(bench: Bench, report: Report) -> None:
    """Measure in rotating order and print."""
    statements = prepare(bench)
    contenders = ["least", "own", "product"]
    rows: list[dict[str, Any]] = []
    for number in range(bench.rounds):
        for clients in bench.clients:
            at = number % len(contenders)
            for name in contenders[at:] + contenders[:at]:
                found = _measure(bench, name, clients)
                rows.append({"round": number, "name": name, "clients": clients, **found})
    shown = [_row(rows, name, clients) for clients in bench.clients for name in contenders]
    report.table(
        f"Checkout on PostgreSQL ({bench.rounds} rounds of {bench.seconds} s; one checkout is {statements} statements)",
        (
            "clients",
            "contender",
            "tps",
            "p50 ms",
            "p99 ms",
            "tps/least",
            "target",
            "p99/least",
            "target",
            "tps/own",
            "CPU ms",
        ),
        shown,
        raw=rows,
    )
    _memory(report, rows)
    for name in (bench.template, bench.base):
        bench.server.drop(name)


def _row(rows: list[dict[str, Any]], name: str, clients: int) -> list[object]:
    mine = [row for row in rows if row["name"] == name and row["clients"] == clients]
    least, latest = TARGETS.get(clients, (None, None))
    product = name == "product"
    return [
        clients,
        NAMES[name],
        median(row["tps"] for row in mine),
        median(row["p50"] for row in mine),
        median(row["p99"] for row in mine),
        ratio(rows, name, "least", "tps", clients=clients),
        f">= {least}" if product else None,
        ratio(rows, name, "least", "p99", clients=clients),
        f"<= {latest}" if product else None,
        ratio(rows, name, "own", "tps", clients=clients),
        median(row["cpu_ms"] for row in mine) if product else None,
    ]


def _memory(report: Report, rows: list[dict[str, Any]]) -> None:
    most = max((row["rss_mb"] for row in rows if row.get("rss_mb")), default=None)
    report.table("Memory of one checkout process", ("what", "peak RSS MB"), [("records.accept", most)])


def _measure(bench: Bench, name: str, clients: int) -> dict[str, float]:
    if name == "least":
        with bench.server.connect(bench.base) as connection:
            connection.execute("TRUNCATE base.sale, base.sale_line, base.ledger, base.idem RESTART IDENTITY CASCADE")
            connection.execute("CHECKPOINT")
        return pgbench.run(bench.server, bench.base, HERE / "base.pgb", clients=clients, seconds=bench.seconds)
    database = "canteen_bench_run"
    _copy(bench, database)
    try:
        if name == "own":
            script = bench.folder / "own.pgb"
            return pgbench.run(bench.server, database, script, clients=clients, seconds=bench.seconds)
        return drive(bench.server.url(database), bench.folder, clients, bench.seconds)
    finally:
        bench.server.drop(database)


def _copy(bench: Bench, name: str) -> None:
    bench.server.drop(name)
    bench.server.create(name, bench.template)
    with bench.server.connect(name) as connection:
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")


def drive(url: str, folder: Path, clients: int, seconds: int) -> dict[str, float]:
    """Run so many client processes at once and put their times together."""
    command = [sys.executable, "-m", "bench.load", url, str(folder)]
    started = [
        subprocess.Popen(
            [*command, str(till), str(seconds), str(WARM)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parent,
        )
        for till in range(clients)
    ]  # fmt: skip
    for process in started:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "ready":
            raise RuntimeError("a client did not get ready")
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in started]
    took = sorted(each for one in found for each in one["took"])
    if any(one["ran_out"] for one in found):
        print("  (a client ran out of sealed checkouts before its time was over)", flush=True)
    return {
        "tps": sum(len(one["took"]) / one["seconds"] for one in found),
        "p50": took[len(took) // 2],
        "p99": took[int(len(took) * 0.99)],
        "cpu_ms": median(one["cpu_ms"] for one in found),
        "rss_mb": max(one["rss_mb"] for one in found),
    }
