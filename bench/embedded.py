"""SQLite: the product's checkout beside the bare library doing the least checkout, in the journal mode in use."""

from __future__ import annotations

import random
import shutil
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

from bench import world
from bench.checkouts import drive
from bench.report import Report, median, ratio

ELDERS = 3_000
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


def run(folder: Path, rounds: int, seconds: int, report: Report) -> None:
    """One writer, as on one machine; both on files of their own in the same folder."""
    folder.mkdir()
    template = folder / "template.db"
    config = world.settings(f"sqlite:///{template}", folder)
    world.make(config, ELDERS, 1)
    world.seal(config, 0, list(range(ELDERS)), folder / "sealed0.jsonl")
    mode = _mode(template)
    rows: list[dict[str, Any]] = []
    for number in range(rounds):
        contenders = ["bare", "product"] if number % 2 else ["product", "bare"]
        for name in contenders:
            found = bare(folder / "bare.db", mode, seconds) if name == "bare" else _product(folder, template, seconds)
            rows.append({"round": number, "name": name, **found})
    shown = [
        [
            label,
            *(median(row[key] for row in rows if row["name"] == name) for key in ("tps", "p50", "p99")),
            ratio(rows, name, "bare", "tps"),
            median(row["cpu_ms"] for row in rows if row["name"] == name) if name == "product" else None,
        ]
        for name, label in (("bare", "sqlite3, least shape"), ("product", "records.accept"))
    ]
    title = f"Checkout on SQLite, one writer, journal_mode {mode}, synchronous FULL ({rounds} rounds of {seconds} s)"
    report.table(title, ("contender", "tps", "p50 ms", "p99 ms", "tps/bare", "CPU ms"), shown, raw=rows)


def _mode(path: Path) -> str:
    with world.opened(world.settings(f"sqlite:///{path}", path.parent)):
        from canteen.db import db  # noqa: PLC0415 - bound to the application just opened

        mode: str = db.session.connection().exec_driver_sql("PRAGMA journal_mode").scalar_one()
    return mode


def _product(folder: Path, template: Path, seconds: int) -> dict[str, float]:
    copy = folder / "run.db"
    shutil.copyfile(template, copy)
    return drive(f"sqlite:///{copy}", folder, 1, seconds)


def bare(path: Path, mode: str, seconds: float) -> dict[str, float]:
    """The least checkout by the bare library: lock, read, count, write four tables, commit."""
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
    began = time.perf_counter()
    while (before := time.perf_counter()) < began + seconds:
        _least(connection, rng.randrange(1, 50_001), rng.randrange(800, 3000))
        took.append((time.perf_counter() - before) * 1000)
    spent = time.perf_counter() - began
    connection.close()
    took.sort()
    return {"tps": len(took) / spent, "p50": took[len(took) // 2], "p99": took[int(len(took) * 0.99)]}


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
