"""A roster of very many rows, applied by the command line, beside a bare COPY of the same file."""

from __future__ import annotations

import csv
import json
import random
import time
from datetime import date, timedelta
from pathlib import Path

from stdnum.cn import ric

from bench import programs, world
from bench.report import Report, median
from canteen.registry.imports.import_runs import template_of
from tests.rigs.postgres import Server

DATABASE = "canteen_bench_import"
SURNAMES, GIVEN = "王李张刘陈杨赵黄周吴", "秀英桂兰玉珍淑华建国志强永福德明"


def run(server: Server, folder: Path, rows: int, rounds: int, report: Report) -> None:
    """Measure the import once, as it changes the roster, and the bare COPY of the same file repeatedly."""
    folder.mkdir(parents=True)
    server.drop(DATABASE)
    server.create(DATABASE, "template0")
    url, path = server.url(DATABASE), folder / "roster.csv"
    environment = {"CANTEEN_DATABASE_URL": url, "CANTEEN_DATA": str(folder)}
    try:
        world.make(world.settings(url, folder), 0, 0, 0)
        columns = write(path, rows, world.home_area())
        bare = median(copied(server, path, columns) for _ in range(rounds))
        idle = programs.canteen(environment, "roster", "template", str(folder / "empty.csv"))
        done = programs.canteen(environment, "roster", "apply", str(path), "--others", "--json")
    finally:
        server.drop(DATABASE)
    said = json.loads(done.out.splitlines()[-1])
    if said["new"] != rows:
        raise RuntimeError(f"{said['new']} of {rows} rows were new: {said.get('faults', [])[:3]}")
    found = {
        "rows": rows,
        "wall_over_copy": done.seconds / bare,
        "cpu_us_per_row": done.cpu * 1e6 / rows,
        "rss_over_idle_mb": done.rss_mb - idle.rss_mb,
        "bases": {"copy_seconds": bare, "seconds": done.seconds, "idle_rss_mb": idle.rss_mb},
    }
    report.table(
        f"Roster of {rows} rows",
        ("part", "seconds", "/ COPY", "CPU s", "peak RSS MB"),
        [
            ["bare COPY of the file", bare, 1.0, None, None],
            ["an empty template: what starting costs", idle.seconds, None, idle.cpu, idle.rss_mb],
            ["canteen roster apply", done.seconds, done.seconds / bare, done.cpu, done.rss_mb],
        ],
        raw=found,
    )
    report.figures("import", found)


def write(path: Path, rows: int, area: str) -> int:
    """Write the file and answer how many columns it has."""
    rng, columns = random.Random(1), template_of("roster").columns
    given = {"hukou": area, "residence": area, "since": "2026-01-01"}
    with path.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.writer(out)
        writer.writerow([column.title for column in columns])
        for n in range(rows):
            row = {**given, "name": rng.choice(SURNAMES) + "".join(rng.sample(GIVEN, 2)), "number": number(n)}
            writer.writerow([row.get(column.key, "") for column in columns])
    return len(columns)


def number(n: int) -> str:
    """Return the n-th of different resident numbers, each of somebody over sixty."""
    born = date(1930, 1, 1) + timedelta(days=n % 12_000)
    head = f"220104{born:%Y%m%d}{n // 12_000 + 1:03d}"
    return head + ric.calc_check_digit(f"{head}0")


def copied(server: Server, path: Path, columns: int) -> float:
    """Seconds of COPY of the file into a plain table."""
    with server.connect(DATABASE) as connection:
        connection.execute("DROP TABLE IF EXISTS bare_roster")
        names = ", ".join(f"c{n} text" for n in range(columns))
        connection.execute(f"CREATE TABLE bare_roster ({names})".encode())
        began = time.perf_counter()
        with connection.cursor() as cursor, cursor.copy("COPY bare_roster FROM STDIN CSV HEADER") as copy:
            copy.write(path.read_bytes())
        return time.perf_counter() - began
