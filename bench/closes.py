"""Closing a period of very many meals: claim part and verify part apart, beside the bare sum over the same transfers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from bench import memory, world
from bench.report import Report, median
from canteen import clock
from canteen.clock import Span
from canteen.db import db, upgrade
from canteen.demo import bulk, city, volume
from canteen.settlement.audit import verify
from canteen.settlement.closing import carry_over, close, lines
from tests.rigs.postgres import Server

DATABASE = "canteen_bench_close"
BARE = "SELECT fund, sum(fen) FROM transfer WHERE period_id = %(period)s AND movement = 'meal' GROUP BY fund"
TARGETS = {"claim": "<= 1.5", "close": "<= 6", "verify": None}


def run(server: Server, folder: Path, meals: int, rounds: int, report: Report) -> None:
    """Load, close once in a process of its own, then time each part again over the closed period."""
    server.drop(DATABASE)
    server.create(DATABASE, "template0")
    url = server.url(DATABASE)
    try:
        loaded = child("load", url, folder, meals)
        with server.connect(DATABASE) as connection:
            connection.execute("VACUUM ANALYZE")
        closed = child("close", url, folder, meals)
        parts = child("parts", url, folder, rounds)
        checked = child("verify", url, folder, meals)
    finally:
        server.drop(DATABASE)
    bare = median(parts["bare"])
    rows = [
        ["load by COPY", loaded["seconds"], None, None, loaded["rss_mb"]],
        ["SELECT fund, sum(fen) ... GROUP BY fund", bare, 1.0, None, None],
        [
            "claim part: lines by fund and month",
            median(parts["claim"]),
            _over(parts, "claim"),
            TARGETS["claim"],
            parts["rss_mb"],
        ],
        [
            "close: claim, statement, findings",
            closed["seconds"],
            closed["seconds"] / bare,
            TARGETS["close"],
            closed["rss_mb"],
        ],
        ["period verify", checked["seconds"], checked["seconds"] / bare, None, checked["rss_mb"]],
    ]
    title = f"Close of {meals} meals (claim {closed['fen']} fen, {checked['differences']} differences found by verify)"
    report.table(
        title, ("part", "seconds", "/ bare", "target", "peak RSS MB"), rows, raw=[loaded, closed, parts, checked]
    )


def _over(parts: dict[str, Any], name: str) -> float:
    return median(each / bare for each, bare in zip(parts[name], parts["bare"], strict=True))


def child(what: str, url: str, folder: Path, number: int) -> dict[str, Any]:
    """One part in a process of its own: what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.closes", what, url, str(folder), str(number)],
        cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def month() -> Span:
    """The month before this one: it can be closed."""
    return Span.month(clock.today().replace(day=1) - timedelta(days=1))


def _load(number: int) -> dict[str, Any]:
    city.name_installation(1)
    city.build_places(month().first)
    city.build_rulebooks(drafter="bench-a", publisher="bench-b", first=month().first)
    began = time.perf_counter()
    volume.add(1, number, month())
    return {"seconds": time.perf_counter() - began}


def _close(_number: int) -> dict[str, Any]:
    began = time.perf_counter()
    done = close.close(bulk.CONTRACT, month().last, by="system")
    spent = time.perf_counter() - began
    fen = db.session.connection().exec_driver_sql("SELECT fen FROM claim").scalar_one()
    return {"seconds": spent, "fen": int(fen), "claim": done.claim}


def _parts(rounds: int) -> dict[str, Any]:
    """The bare sum and the claim's sums in turn, over the closed period."""
    period = close.load(
        db.session.connection().exec_driver_sql("SELECT id FROM period WHERE state = 'closed'").scalar_one()
    )
    cut, _ = close.cut_of(period)

    def bare() -> None:
        db.session.connection().exec_driver_sql(BARE, {"period": period.id}).all()
        db.session.rollback()

    def claim() -> None:
        lines.booked(period)
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


if __name__ == "__main__":
    given, url_, folder_, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    settings = world.settings(url_, folder_)
    if given == "load":
        upgrade(url_)
    with world.opened(settings):
        memory.start()
        said = {"load": _load, "close": _close, "parts": _parts, "verify": _verify}[given](count)
        said["rss_mb"] = memory.peak_mb()
    print(json.dumps(said))
