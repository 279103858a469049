"""`make bench`: every benchmark, or those named with --only; figures on stdout, in bench/results/ and where asked."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import card_sheets, checkouts, closes, embedded, imports, quotes, simulations, trees
from bench.report import Report, machine
from bench.rig import Rig
from tests.rigs import postgres

PARTS = ("checkout", "quotes", "embedded", "close", "export", "pages", "import", "cards", "simulate")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="million sales in the tables (default 1)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each measurement")
    parser.add_argument("--clients", default="1,8,16")
    parser.add_argument("--rate", type=float, default=checkouts.RATE, help="arrivals a second at the fixed rate")
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given again")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    wanted = given.only or PARTS
    server = postgres.find(durable=True)
    folder = Path(tempfile.mkdtemp(prefix="canteen-bench-"))
    meals = round(given.scale * 1_000_000)
    report = Report(machine() | settings_of(server) | {"before": trees.BEFORE, "meals": meals})
    try:
        if {"checkout", "quotes"} & {*wanted}:
            _over_http(server, folder, meals, given, wanted, report)
        _alone(server, folder, meals, given.rounds, given.seconds, wanted, report)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        server.stop()
        print(f"\nKept in {report.write(given.json)}")


def _over_http(
    server: postgres.Server,
    folder: Path,
    meals: int,
    given: argparse.Namespace,
    wanted: Sequence[str],
    report: Report,
) -> None:
    """Measure at the door of a running server."""
    loads = checkouts.points([int(count) for count in given.clients.split(",")], given.rate)
    with rigged(server, folder / "rig", meals, given.rounds * given.seconds) as rig:
        if "before" not in rig.contenders:
            print(f"The build before ({trees.BEFORE}) is not in this clone: no ratio to it.")
        if "checkout" in wanted:
            checkouts.run(rig, loads, given.rounds, given.seconds, report)
        if "quotes" in wanted:
            quotes.served(rig, loads, given.rounds, given.seconds, report)


def _alone(
    server: postgres.Server, folder: Path, meals: int, rounds: int, seconds: int, wanted: Sequence[str], report: Report
) -> None:
    """Measure by programs that do one thing and end."""
    parts: dict[str, Callable[[], None]] = {
        "quotes": lambda: quotes.run(rounds, report),
        "embedded": lambda: embedded.run(folder / "embedded", meals // 10, rounds, seconds, report),
        "import": lambda: imports.run(server, folder / "import", max(100, meals // 10), rounds, report),
        "cards": lambda: card_sheets.run(server, folder / "cards", max(10, meals // 100), report),
        "simulate": lambda: simulations.run(server, folder / "simulate", meals, report),
    }
    for part, run in parts.items():
        if part in wanted:
            run()
    if over_a_month := [part for part in ("close", "export", "pages") if part in wanted]:
        closes.run(server, folder / "close", meals, rounds, report, over_a_month)


@contextmanager
def rigged(server: postgres.Server, folder: Path, meals: int, seconds: int) -> Iterator[Rig]:
    """Make the rig of checkouts and quotes once for both; `seconds` of each load decide the number of elders."""
    rig = Rig(server, folder, meals, elders=2_000 + seconds * 4_000)
    try:
        rig.prepare()
        yield rig
    finally:
        rig.close()


def settings_of(server: postgres.Server) -> dict[str, str]:
    with server.connect() as connection:
        shown = ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        return {name: str(connection.execute(f"SHOW {name}").fetchone()[0]) for name in shown}  # type: ignore[index]


if __name__ == "__main__":
    main()
