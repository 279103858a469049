"""A month of very many meals replayed under next year's notice: how long the job takes, and in how much memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import closes, memory, world
from bench.report import Report
from canteen import clock, jobs
from canteen.db import db
from canteen.demo import areas, notice
from canteen.rulebooks import yaml_reader
from canteen.ruledesk.simulation import simulation_jobs
from tests.rigs.postgres import Server

DATABASE = "canteen_bench_simulate"
BARE = "SELECT service_day, sum(list_fen), sum(due_fen) FROM sale GROUP BY service_day"


def run(server: Server, folder: Path, meals: int, report: Report) -> None:
    """Load by COPY, then run the job as the scheduler does, in a process of its own; beside it the bare sum of a day."""
    server.drop(DATABASE)
    server.create(DATABASE, "template0")
    url = server.url(DATABASE)
    try:
        loaded = closes.child("load", url, folder, meals)
        with server.connect(DATABASE) as connection:
            connection.execute("VACUUM ANALYZE")
        found = _child(url, folder)
    finally:
        server.drop(DATABASE)
    rows = [
        ["load by COPY", loaded["seconds"], None, loaded["rss_mb"]],
        ["SELECT service_day, sum(list_fen) ... GROUP BY", found["bare"], None, None],
        ["simulation, from asking to result", found["seconds"], found["per_minute"], found["rss_mb"]],
    ]
    title = f"Simulation of {found['meals']} meals ({found['changed']} changed, {found['open']} open)"
    report.table(title, ("part", "seconds", "meals / minute", "peak RSS MB"), rows, raw=[loaded, found])
    million = {"seconds_a_million": found["seconds"] / meals * 1e6, "cpu_a_million": found["cpu"] / meals * 1e6}
    report.figures("simulate", {**million, **found})


def _child(url: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "bench.simulations", url, str(folder)],
        cwd=Path(__file__).parent.parent, stdout=subprocess.PIPE, text=True, check=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _simulate() -> dict[str, Any]:
    began = time.perf_counter()
    db.session.connection().exec_driver_sql(BARE).all()
    db.session.rollback()
    bare, began = time.perf_counter() - began, time.perf_counter()
    document = yaml_reader.read(notice.written(clock.today().year + 1))
    month = clock.month_of(world.month().first)
    number = simulation_jobs.ask(document, layer="city", node_id=areas.CITY, over=[month], by="bench-a")
    if simulation_jobs.run(number, jobs.holder_name()) != "done":
        raise RuntimeError("the simulation did not end well")
    spent, used = time.perf_counter() - began, time.process_time()
    found = simulation_jobs.result(simulation_jobs.find(db.session(), number)) or {}
    counts = {name: found[name] for name in ("meals", "changed", "open")}
    return {**counts, "bare": bare, "seconds": spent, "cpu": used, "per_minute": round(found["meals"] / spent * 60)}


if __name__ == "__main__":
    with world.opened(world.settings(sys.argv[1], Path(sys.argv[2]))):
        memory.start()
        said = _simulate()
        said["rss_mb"] = memory.peak_mb()
    print(json.dumps(said))
