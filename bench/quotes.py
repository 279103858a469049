"""Quotes: as tablets ask for them over HTTP, and by both engines alone.

The engines stand beside a loop that tells how fast Python and node are just now.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import date
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from bench import checkouts, client
from bench.checkouts import Point
from bench.report import Report, median
from bench.rig import Rig
from canteen import clock
from canteen.demo import city
from canteen.policy import case
from canteen.policy import quote as engine
from canteen.policy import rulebook as books
from canteen.policy.case import Diner
from canteen.rulebooks import yaml_reader

PATH = ("220000", "220100", "220104", "220104002", "220104002001")
DAY = clock.civil(date(2026, 11, 17))
ASKED = 100  # different cards of each tablet
MOST = 10_000  # quotes a second of one tablet that nothing here reaches


def served(rig: Rig, loads: Sequence[Point], rounds: int, seconds: int, report: Report) -> None:
    """Measure `POST /api/v1/pos/quotes` like a checkout: what is asked changes nothing, so it is asked again and again.

    The least shape is the two reads of base_quote.pgb.
    """
    for one in rig.contenders.values():
        rig.ask(one, ASKED)
    rows: list[dict[str, Any]] = []
    asked = [point for point in loads if point.diners == 1]
    for number in range(rounds):
        for point in asked:
            names = [name for name in point.contenders if name in ("least", "floor") or name in rig.contenders]
            at = number % len(names)
            rows += [
                {"round": number, "name": name, "point": point.name, **_ask(rig, name, point, seconds)}
                for name in names[at:] + names[:at]
            ]
    checkouts.add_to(report, "quotes", "Quote over HTTP", asked, rows, rounds, seconds)


def _ask(rig: Rig, name: str, point: Point, seconds: int) -> dict[str, Any]:
    if name == "least":
        return rig.pgbench("base_quote.pgb", point.clients, seconds, point.rate)
    one = rig.contenders.get(name) or next(iter(rig.contenders.values()))
    queues = [deque(islice(cycle(one.quotes[till]), MOST * seconds)) for till in point.tills]
    due = client.arrivals(point.rate, seconds, 1) if point.rate else None
    with rig.disturbed(one if point.events else None):
        return rig.over_http(name, queues, b'"stamp"', seconds, due, books=False)


def run(rounds: int, report: Report) -> None:
    """Measure the engines alone, without HTTP or database."""
    layers = [books.canonical(yaml_reader.read((city.SCHEMES / f"{name}.yaml").read_text("utf-8"))) for name in SCHEMES]
    joined = books.join(layers)
    book = books.load(joined)
    cases = [
        (_diner(age, classes), _meal(fen))
        for age in range(60, 100)
        for classes in ((), ("dibao",))
        for fen in (1000, 1500)
    ]

    def quote() -> int:
        for diner, meal in cases:
            engine.quote(book, diner, meal, ())
        return len(cases)

    def hashed() -> int:
        for diner, meal in cases:
            books.digest(books.canonical(case.case_doc(diner, meal, ())))
        return len(cases)

    def calibrate() -> int:
        digest = b""
        for _ in range(5000):
            digest = hashlib.sha256(digest + b"calibration").digest()
        return 5000

    contenders: dict[str, Callable[[], int]] = {
        "sha256 loop": calibrate,
        "engine.quote": quote,
        "input canonical, hashed": hashed,
    }
    speeds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        for name in names[number % 3 :] + names[: number % 3]:
            speeds[name].append(_speed(contenders[name]))
    base = speeds["sha256 loop"]
    rows = [
        [name, median(found), median(each / least for each, least in zip(found, base, strict=True))]
        for name, found in speeds.items()
    ]
    report.table(
        f"Pricing, two layers joined ({rounds} rounds)", ("what", "per second", "/ sha256 loop"), rows, raw=speeds
    )
    documents = [case.case_doc(diner, meal, ()) for diner, meal in cases]
    _on_the_tablet(joined, documents, quote, rounds, report)


AIMS = {"Python": 60, "JavaScript": 20}
"""Microseconds of a typical quote, the rulebook loaded once."""
ROOT = Path(__file__).resolve().parents[1]


def _on_the_tablet(
    book: bytes, cases: Sequence[object], python: Callable[[], int], rounds: int, report: Report
) -> None:
    """Measure the same quotes by the tablet's engine, a new node each round; both by processor time."""
    question = json.dumps({"book": book.decode(), "cases": cases, "seconds": 1})
    command = [ROOT / "tools" / "node", ROOT / "bench" / "policy.mjs"]
    found = [
        json.loads(subprocess.run(command, input=question, capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    ]
    script = median(one["quotes"] for one in found)
    rows: list[list[Any]] = [
        ["Python", 1e6 / median(_speed(python, time.process_time) for _ in range(rounds)), AIMS["Python"]],
        ["JavaScript", 1e6 / script, AIMS["JavaScript"]],
        ["JavaScript, rulebook loaded", 1e6 / median(one["loads"] for one in found), None],
        ["JavaScript, calibration: a turn of a plain loop", 1e6 / median(one["loop"] for one in found), None],
    ]
    report.table(f"One quote by processor time ({rounds} rounds)", ("engine", "µs", "aim"), rows, raw=found)
    report.figures("quotes", {"python_us": rows[0][1], "javascript_us": rows[1][1], "loop_us": rows[3][1]})


SCHEMES = ("demo-changchun", "demo-changchun-chaoyang")


def _speed(run_once: Callable[[], int], timer: Callable[[], float] = time.perf_counter) -> float:
    done, began = 0, timer()
    while timer() - began < 1.0:
        done += run_once()
    return done / (timer() - began)


def _diner(age: int, classes: tuple[str, ...]) -> Diner:
    birth = clock.civil(date(2026 - age, 3, 5))
    return Diner(kind="elder", birth_day=birth, hukou=PATH, residence=PATH, residence_since=0, classes=classes)


def _meal(fen: int) -> case.Meal:
    return case.Meal(
        day=DAY,
        period="lunch",
        mode="dine_in",
        canteen=case.MealCanteen(id="c1", class_="public_private", grade="good", level=0, areas=PATH),
        day_kind="workday",
        lines=(case.Line("set", fen, 1, ("set",)),),
        amount=None,
    )
