"""`make bench`: every benchmark, or those named with --only; figures on stdout and in bench/results/."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from bench import checkouts, closes, embedded, quotes, simulations
from bench.report import Report, machine
from tests.rigs import postgres

PARTS = ("checkout", "embedded", "quotes", "close", "simulate")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="million meals in the closed or replayed period (default 1)"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--clients", default="1,4,8")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given again")
    given = parser.parse_args()
    wanted = given.only or PARTS
    clients = tuple(int(count) for count in given.clients.split(","))
    server = postgres.find(durable=True)
    folder = Path(tempfile.mkdtemp(prefix="canteen-bench-"))
    report = Report(machine() | settings_of(server))
    try:
        if "checkout" in wanted:
            checkouts.run(checkouts.Bench(server, folder, clients, given.rounds, given.seconds), report)
        if "embedded" in wanted:
            embedded.run(folder / "embedded", given.rounds, given.seconds, report)
        if "quotes" in wanted:
            quotes.run(given.rounds, report)
        if "close" in wanted:
            closes.run(server, folder / "close", round(given.scale * 1_000_000), given.rounds, report)
        if "simulate" in wanted:
            simulations.run(server, folder / "simulate", round(given.scale * 1_000_000), report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        server.stop()
        print(f"\nKept in {report.write()}")


def settings_of(server: postgres.Server) -> dict[str, str]:
    with server.connect() as connection:
        shown = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        return {name: str(connection.execute(f"SHOW {name}").fetchone()[0]) for name in shown}  # type: ignore[index]


if __name__ == "__main__":
    main()
