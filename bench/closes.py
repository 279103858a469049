"""Closing a period of very many meals: claim and audit apart, beside the bare sum over the same transfers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import memory, pages, processors, world
from bench.report import Report, median
from bench.trees import ROOT
from canteen import jobs
from canteen.db import db, upgrade
from canteen.demo import bulk, volume
from canteen.settlement.audit import verify
from canteen.settlement.closing import carry_over, close, lines
from canteen.settlement.desk import export_jobs
from tests.rigs.postgres import Server

DATABASE = "canteen_bench_close"
BARE = "SELECT fund, sum(fen) FROM transfer WHERE period_id = %(period)s AND movement = 'meal' GROUP BY fund"
TARGETS = {"claim": "<= 1.5", "close": "<= 50", "verify": None}
NAMED = 2000  # elders on the roster besides those who only eat


def run(server: Server, folder: Path, meals: int, rounds: int, report: Report, parts: Sequence[str]) -> None:
    """Load and close once, each in a process of its own; then what is asked for of `parts`: close, export, pages.

    close   the claim's sums again and again beside the bare sum, and the whole audit once
    export  the claim's workbook, as the scheduler writes it
    pages   every page of the desk over the closed month
    """
    server.drop(DATABASE)
    server.create(DATABASE, "template0")
    url = server.url(DATABASE)
    try:
        loaded = child("load", url, folder, meals)
        with server.connect(DATABASE) as connection:
            connection.execute("VACUUM ANALYZE")
        closed = child("close", url, folder, meals)
        if "close" in parts:
            again, checked = child("parts", url, folder, rounds), child("verify", url, folder, meals)
            _tell(meals, loaded, closed, again, checked, report)
        if {"export", "pages"} & {*parts}:
            _tell_export(meals, child("export", url, folder, meals), report)
        if "pages" in parts:
            pages.run(_child("bench.pages", url, str(folder), str(4 * rounds)), meals, report)
    finally:
        server.drop(DATABASE)


def _tell(
    meals: int,
    loaded: dict[str, Any],
    closed: dict[str, Any],
    again: dict[str, Any],
    checked: dict[str, Any],
    report: Report,
) -> None:
    bare = median(again["bare"])
    rows = [
        ["load by COPY", loaded["seconds"], loaded["cpu"], None, None, loaded["rss_mb"]],
        ["SELECT fund, sum(fen) ... GROUP BY fund", bare, None, 1.0, None, None],
        ["claim part: lines by fund and month", median(again["claim"]), None, _over(again), TARGETS["claim"], None],
        ["close: claim, statement, findings", *_part(closed, bare), TARGETS["close"], closed["rss_mb"]],
        ["period verify", *_part(checked, bare), TARGETS["verify"], checked["rss_mb"]],
    ]
    title = f"Close of {meals} meals (claim {closed['fen']} fen, {checked['differences']} differences found by verify)"
    columns = ("part", "seconds", "CPU s", "/ bare", "target", "peak RSS MB")
    report.table(title, columns, rows, raw=[loaded, closed, again, checked])
    report.figures(
        "close",
        {
            "meals": meals,
            "wall_over_group_by": closed["seconds"] / bare,
            "cpu_us_per_meal": closed["cpu"] * 1e6 / meals,
            "rss_over_idle_mb": closed["rss_mb"] - closed["idle_mb"],
            "claim_over_group_by": _over(again),
            "verify_over_group_by": checked["seconds"] / bare,
            "verify_cpu_us_per_meal": checked["cpu"] * 1e6 / meals,
            "verify_rss_over_idle_mb": checked["rss_mb"] - checked["idle_mb"],
            "bases": {
                "group_by_seconds": bare,
                "seconds": closed["seconds"],
                "verify_seconds": checked["seconds"],
                "idle_rss_mb": closed["idle_mb"],
            },
        },
    )


def _tell_export(meals: int, written: dict[str, Any], report: Report) -> None:
    row = ["workbook, from asking to the file", *(written[name] for name in ("seconds", "cpu", "mb", "rss_mb"))]
    over_idle = written["rss_mb"] - written["idle_mb"]
    title = f"Export of {meals} meals ({over_idle:.0f} MB above the idle process)"
    report.table(title, ("part", "seconds", "CPU s", "file MB", "peak RSS MB"), [row], raw=written)
    report.figures("export", {"meals": meals, "rss_over_idle_mb": over_idle, **written})


def _part(found: dict[str, Any], bare: float) -> tuple[float, float, float]:
    return found["seconds"], found["cpu"], found["seconds"] / bare


def _over(again: dict[str, Any]) -> float:
    return median(each / bare for each, bare in zip(again["claim"], again["bare"], strict=True))


def child(what: str, url: str, folder: Path, number: int) -> dict[str, Any]:
    """Return one part in a process of its own: what it measured."""
    return _child("bench.closes", what, url, str(folder), str(number))


def _child(module: str, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _load(number: int) -> dict[str, Any]:
    world.build_places()
    world.add_elders(NAMED)
    began = time.perf_counter()
    volume.add(1, number, world.month())
    return {"seconds": time.perf_counter() - began}


def _close(_number: int) -> dict[str, Any]:
    began = time.perf_counter()
    done = close.close(bulk.CONTRACT, world.month().last, by="system")
    spent = time.perf_counter() - began
    fen = db.session.connection().exec_driver_sql("SELECT fen FROM claim").scalar_one()
    return {"seconds": spent, "fen": int(fen), "claim": done.claim}


def _parts(rounds: int) -> dict[str, Any]:
    """Measure the bare sum and the claim's sums in turn, over the closed period."""
    period = close.load(
        db.session.connection().exec_driver_sql("SELECT id FROM period WHERE state = 'closed'").scalar_one()
    )
    cut, _ = close.cut_of(period)

    def bare() -> None:
        db.session.connection().exec_driver_sql(BARE, {"period": period.id}).all()
        db.session.rollback()

    def claim() -> None:
        lines.booked(period, lines.by_day(period))
        carry_over.lines(period, cut)

    found: dict[str, list[float]] = {"bare": [], "claim": []}
    both: dict[str, Callable[[], None]] = {"bare": bare, "claim": claim}
    for number in range(rounds + 1):
        for name in ("bare", "claim") if number % 2 else ("claim", "bare"):
            began = time.perf_counter()
            both[name]()
            if number:  # the first round warms the cache
                found[name].append(time.perf_counter() - began)
    return dict(found)


def _verify(_number: int) -> dict[str, Any]:
    period = db.session.connection().exec_driver_sql("SELECT id FROM period WHERE state = 'closed'").scalar_one()
    db.session.rollback()
    began = time.perf_counter()
    done = verify.period(period)
    return {"seconds": time.perf_counter() - began, "differences": len(done.differences), "sales": done.sales}


def _export(meals: int) -> dict[str, Any]:
    claim, began = db.session.connection().exec_driver_sql("SELECT id FROM claim").scalar_one(), time.perf_counter()
    db.session.rollback()
    number = export_jobs.ask(claim, meals, insider=True, accounts=False, by="bench-a")
    if export_jobs.run(number, jobs.holder_name()) != "done":
        raise RuntimeError("the export did not end well")
    spent = time.perf_counter() - began
    sizes = db.session.connection().exec_driver_sql("SELECT size FROM claim_export ORDER BY id DESC LIMIT 1")
    return {"seconds": spent, "mb": sizes.scalar_one() / (1 << 20)}


_WHAT = {"load": _load, "close": _close, "parts": _parts, "verify": _verify, "export": _export}


if __name__ == "__main__":
    given, url_, folder_, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    settings = world.settings(url_, folder_)
    if given == "load":
        upgrade(url_)
    with world.opened(settings):
        db.session.connection()
        db.session.rollback()
        memory.start()
        idle, busy = processors.memory_mb(os.getpid()), time.process_time()
        said = _WHAT[given](count)
        said |= {"rss_mb": memory.peak_mb(), "idle_mb": idle, "cpu": time.process_time() - busy}
    print(json.dumps(said))
