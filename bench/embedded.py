"""SQLite: the product's checkout beside the bare library doing the least checkout, in the journal mode in use."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
import uuid
from collections import deque
from pathlib import Path
from typing import Any

from bench import client, servers, trees, world
from bench.client import Load, Tablet
from bench.report import Report, median, ratio

SCHEMA = """
CREATE TABLE canteen(id INTEGER PRIMARY KEY, name TEXT NOT NULL) STRICT;
CREATE TABLE elder(id INTEGER PRIMARY KEY, name TEXT NOT NULL, category INTEGER NOT NULL) STRICT;
CREATE TABLE card(token TEXT PRIMARY KEY, elder_id INTEGER NOT NULL REFERENCES elder, revoked INTEGER NOT NULL) STRICT;
CREATE TABLE sale(id INTEGER PRIMARY KEY, canteen_id INTEGER NOT NULL REFERENCES canteen,
  elder_id INTEGER NOT NULL REFERENCES elder, day TEXT NOT NULL, list_fen INTEGER NOT NULL, elder_fen INTEGER NOT NULL) STRICT;
CREATE INDEX sale_elder_day ON sale(elder_id, day);
CREATE TABLE sale_line(sale_id INTEGER NOT NULL REFERENCES sale, n INTEGER NOT NULL, item_id INTEGER NOT NULL,
  price_fen INTEGER NOT NULL, PRIMARY KEY (sale_id, n)) STRICT;
CREATE TABLE ledger(id INTEGER PRIMARY KEY, sale_id INTEGER NOT NULL REFERENCES sale, account_id INTEGER NOT NULL,
  fen INTEGER NOT NULL) STRICT;
CREATE INDEX ledger_sale ON ledger(sale_id);
CREATE TABLE idem(key TEXT PRIMARY KEY, sale_id INTEGER NOT NULL REFERENCES sale) STRICT;
"""
MOST = 600  # checkouts a second of one till that nothing here reaches
NAMES = {"bare": "sqlite3, least shape", "served": "canteen serve, over HTTP", "accept": "records.accept, in process"}


def run(folder: Path, meals: int, rounds: int, seconds: int, report: Report) -> None:
    """Measure one writer on one machine, each on a file of its own that already contains `meals` sales."""
    folder.mkdir(parents=True)
    tree, template = trees.product(), folder / "template.db"
    url, each = f"sqlite:///{template}", MOST * seconds
    tree.run("make", url, folder, elders=2 * each, tills=1, meals=meals)
    paths = {name: folder / f"{name}.jsonl" for name in ("served", "accept")}
    mode, rows = _mode(template), list[dict[str, Any]]()
    names = list(NAMES)
    for number in range(rounds):
        # Each round begins on a copy of the template, where nobody has eaten yet.
        state = (folder / "state.json").read_text()
        tree.run("seal", url, folder, wanted=[each], path=str(paths["served"]), diners=1)
        (folder / "state.json").write_text(state)
        shutil.copyfile(paths["served"], paths["accept"])
        for name in names[number % 3 :] + names[: number % 3]:
            rows.append({"round": number, "name": name, **_measure(name, folder, template, mode, seconds)})
    shown = [
        [
            label,
            *(median(row[key] for row in rows if row["name"] == name) for key in ("tps", "p50", "p99", "cpu_ms")),
            ratio(rows, name, "bare", "tps"),
        ]
        for name, label in NAMES.items()
    ]
    title = f"Checkout on SQLite, {meals} sales in it, one writer, journal_mode {mode}, synchronous FULL"
    columns = ("contender", "tps", "p50 ms", "p99 ms", "CPU ms", "tps/bare")
    report.table(f"{title} ({rounds} rounds of {seconds} s)", columns, shown, raw=rows)
    cpu = ratio(rows, "bare", "served", "cpu_ms")
    report.figures(
        "embedded",
        {
            "journal_mode": mode,
            "tps_over_bare": ratio(rows, "served", "bare", "tps"),
            "p99_over_bare": ratio(rows, "served", "bare", "p99"),
            "tps_over_bare_by_cpu": cpu,
            "in_process_tps_over_bare": ratio(rows, "accept", "bare", "tps"),
            "bases": {row[0]: dict(zip(("tps", "p50", "p99", "cpu_ms"), row[1:5], strict=True)) for row in shown},
        },
    )


def _mode(path: Path) -> str:
    with world.opened(world.settings(f"sqlite:///{path}", path.parent)):
        from canteen.db import db  # noqa: PLC0415 - bound to the application just opened

        mode: str = db.session.connection().exec_driver_sql("PRAGMA journal_mode").scalar_one()
    return mode


def _measure(name: str, folder: Path, template: Path, mode: str, seconds: int) -> dict[str, float]:
    if name == "bare":
        return figures(bare(folder / "bare.db", mode, seconds), None)
    copy = folder / "run.db"
    for left in folder.glob("run.db*"):
        left.unlink()
    shutil.copyfile(template, copy)
    tree, url = trees.product(), f"sqlite:///{copy}"
    if name == "accept":
        said = tree.run("accept", url, folder, path=str(folder / "accept.jsonl"), seconds=seconds)
        return figures(Load(said["took"], said["seconds"], said["cpu"]), None)
    serving = servers.product(tree, url, folder, workers=1)
    try:
        tablet = Tablet(serving.address, deque(client.requests(folder / "served.jsonl")[0]))
        client.closed([tablet], 60.0, b"created", each=3)
        before = serving.cpu()
        load = client.closed([tablet], seconds, b"created")
        tablet.close()
        return figures(load, serving.cpu() - before)
    finally:
        serving.stop()


def figures(load: Load, server: float | None) -> dict[str, float]:
    """Return tps, latencies and milliseconds of processor each: the server's and the client's where there are two."""
    took = sorted(load.took)
    cpu = (load.cpu + (server or 0.0)) * 1000 / len(took)
    return {"tps": load.tps, "p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)], "cpu_ms": cpu}


def bare(path: Path, mode: str, seconds: float) -> Load:
    """Measure the least checkout by the bare library: lock, read, count, write four tables, commit."""
    for left in path.parent.glob(f"{path.name}*"):
        left.unlink()
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in (f"journal_mode = {mode}", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    connection.executescript(SCHEMA)
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO canteen VALUES (?, 'c')", [(n,) for n in range(1, 101)])
    connection.executemany("INSERT INTO elder VALUES (?, 'e', 1)", [(n,) for n in range(1, 50_001)])
    connection.executemany("INSERT INTO card VALUES (?, ?, 0)", [(f"C{n:08d}", n) for n in range(1, 50_001)])
    connection.execute("COMMIT")
    rng, took = random.Random(1), list[float]()
    began, busy = time.perf_counter(), time.process_time()
    while (before := time.perf_counter()) < began + seconds:
        _least(connection, rng.randrange(1, 50_001), rng.randrange(800, 3000))
        took.append((time.perf_counter() - before) * 1000)
    spent, busy = time.perf_counter() - began, time.process_time() - busy
    connection.close()
    return Load(took, spent, busy)


def _least(connection: sqlite3.Connection, elder: int, fen: int) -> None:
    run_ = connection.execute
    run_("BEGIN IMMEDIATE")
    card = "SELECT c.elder_id, e.category FROM card c JOIN elder e ON e.id = c.elder_id WHERE token = ? AND NOT revoked"
    run_(card, (f"C{elder:08d}",)).fetchone()
    run_("SELECT count(*) FROM sale WHERE elder_id = ? AND day = '2026-11-22'", (elder,)).fetchone()
    made = run_("INSERT INTO sale VALUES (NULL, ?, ?, '2026-11-22', ?, ?)", (1 + elder % 100, elder, fen, fen // 2))
    sale = made.lastrowid
    run_("INSERT INTO sale_line VALUES (?, 1, 7, ?)", (sale, fen))
    parts = ((1, fen), (2, -(fen // 2)), (3, -(fen // 4)), (4, -(fen - fen // 2 - fen // 4)))
    connection.executemany("INSERT INTO ledger VALUES (NULL, ?, ?, ?)", [(sale, *part) for part in parts])
    run_("INSERT INTO idem VALUES (?, ?)", (str(uuid.uuid4()), sale))
    run_("COMMIT")
