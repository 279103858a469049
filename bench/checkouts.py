"""Checkouts as tablets send them, over HTTP, at several loads; every contender in turn, round by round."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from bench import client
from bench.report import Report, median, ratio
from bench.rig import COUPLES, SINGLES, WARM, Contender, Rig

RATE = 40.0  # checkouts a second at a fixed arrival rate: sixteen busy counters ring up fewer
GUESS = 250.0  # checkouts a second that a contender is thought to do before it has been measured
SPARE = 1.4  # of what it did last time lies ready
CREATED = b"created"


@dataclass(frozen=True, slots=True)
class Point:
    """One load. `diners` sales stand on one payment; `events`: caches are emptied meanwhile by other events."""

    name: str
    clients: int
    rate: float | None = None
    diners: int = 1
    events: bool = False

    @property
    def tills(self) -> range:
        return (COUPLES if self.diners > 1 else SINGLES)[: self.clients]

    @property
    def contenders(self) -> tuple[str, ...]:
        return ("product", "before") if self.events or self.diners > 1 else ("least", "floor", "product", "before")


def points(clients: Sequence[int], rate: float = RATE) -> list[Point]:
    """Return the loads: a closed loop at each number of clients, the fixed rate, couples, and a stream of events."""
    return [
        *(Point(str(count), count) for count in clients),
        Point("rate", 16, rate=rate),
        Point("couples", 8, diners=2),
        Point("events", 8, events=True),
    ]


def run(rig: Rig, loads: Sequence[Point], rounds: int, seconds: int, report: Report) -> None:
    """Measure in rotating order, print, and keep the ratios."""
    rows: list[dict[str, Any]] = []
    for number in range(rounds):
        for one in rig.contenders.values():
            _stock(rig, one, loads, rows, seconds)
        for point in loads:
            names = [name for name in point.contenders if name in ("least", "floor") or name in rig.contenders]
            at = number % len(names)
            for name in names[at:] + names[:at]:
                found = _measure(rig, name, point, seconds, number)
                rows.append({"round": number, "name": name, "point": point.name, **found})
                print(f"  round {number + 1} {point.name} {name}: {found['tps']:.0f} a second", flush=True)
    add_to(report, "checkout", f"Checkout on PostgreSQL, {rig.meals} sales in the tables", loads, rows, rounds, seconds)
    report.figures("checkout", {"bytes_per_sale": _bytes(rig)})


def _stock(rig: Rig, one: Contender, loads: Sequence[Point], rows: Sequence[dict[str, Any]], seconds: int) -> None:
    """Seal what the tablets will send in this round, on top of what was left over."""
    for diners in sorted({point.diners for point in loads}):
        wanted = [0] * COUPLES.stop
        for point in (point for point in loads if point.diners == diners):
            past = [row["tps"] for row in rows if row["name"] == one.tree.name and row["point"] == point.name]
            each = needed(point, past[-1] if past else GUESS, seconds)
            for till in point.tills:
                wanted[till] += each
        rig.seal(one, [max(0, n - len(one.ready.get(till, ()))) for till, n in enumerate(wanted)], diners)


def needed(point: Point, sales_a_second: float, seconds: int) -> int:
    """Return how many checkouts each till should have ready for one measurement."""
    rate = point.rate * 1.3 if point.rate else sales_a_second * SPARE / point.diners
    return WARM + 5 + round(rate * seconds / point.clients)


def _measure(rig: Rig, name: str, point: Point, seconds: int, number: int) -> dict[str, Any]:
    if name == "least":
        return rig.pgbench("base.pgb", point.clients, seconds, point.rate)
    due = client.arrivals(point.rate, seconds, number) if point.rate else None
    if name == "floor":
        # Any tree's requests will do: it reads them and looks at nothing.
        some = next(iter(rig.contenders.values())).ready
        queues = [deque(islice(cycle(list(some[till])[:50]), 100_000)) for till in point.tills]
        return rig.over_http(name, queues, CREATED, seconds, due)
    one = rig.contenders[name]
    with rig.disturbed(one if point.events else None):
        return rig.over_http(name, [one.ready[till] for till in point.tills], CREATED, seconds, due, point.diners)


def add_to(
    report: Report, part: str, title: str, loads: Sequence[Point], rows: list[dict[str, Any]], rounds: int, seconds: int
) -> None:
    """Print a table of all loads and contenders, and keep the ratios of each load."""
    shown = []
    for point in loads:
        for name in point.contenders:
            if mine := [row for row in rows if row["name"] == name and row["point"] == point.name]:
                medians = [_median(mine, figure) for figure in FIGURES]
                over = [ratio(rows, name, "least", "tps", point=point.name), *(
                    ratio(rows, name, "least", figure, point=point.name) for figure in ("p99", "pg_cpu_ms")
                )]  # fmt: skip
                shown.append([point.name, name, *medians, *over])
    columns = ("load", "contender", "tps", "p50 ms", "p99 ms", "PG CPU ms", "server CPU ms", "client CPU ms")
    report.table(f"{title} ({rounds} rounds of {seconds} s)", (*columns, "tps/L", "p99/L", "PG CPU/L"), shown, raw=rows)
    report.figures(part, {point.name: ratios(rows, point.name) for point in loads})


FIGURES = ("tps", "p50", "p99", "pg_cpu_ms", "server_cpu_ms", "client_cpu_ms")


def ratios(rows: list[dict[str, Any]], point: str) -> dict[str, Any]:
    """Return the product over each base at one load, medians over rounds, and the bases themselves.

    `…_by_cpu` says by how much more or less the machine could do if only processors limited it: where others use the
    machine too, wall time and processors disagree, and processors decide.
    """
    mine = [{**row, "cpu_ms": total_cpu(row)} for row in rows if row["point"] == point]

    def over(base: str, figure: str) -> float | None:
        return ratio(mine, "product", base, figure, point=point)

    names = sorted({row["name"] for row in mine})
    return {
        "tps_over_l": over("least", "tps"),
        "p99_over_l": over("least", "p99"),
        "pg_cpu_over_l": over("least", "pg_cpu_ms"),
        "server_cpu_over_floor": over("floor", "server_cpu_ms"),
        "tps_over_floor": over("floor", "tps"),
        "tps_over_before": over("before", "tps"),
        "p99_over_before": over("before", "p99"),
        "pg_cpu_over_before": over("before", "pg_cpu_ms"),
        "server_cpu_over_before": over("before", "server_cpu_ms"),
        "tps_over_l_by_cpu": _inverse(over("least", "cpu_ms")),
        "tps_over_before_by_cpu": _inverse(over("before", "cpu_ms")),
        "bases": {
            name: {figure: _median([row for row in mine if row["name"] == name], figure) for figure in FIGURES}
            for name in names
        },
    }


def total_cpu(row: dict[str, Any]) -> float | None:
    """Return milliseconds of processor that one sale cost client, server and database together; None where unknown."""
    if row["pg_cpu_ms"] is None:
        return None
    return float(row["pg_cpu_ms"] + (row["server_cpu_ms"] or 0.0) + row["client_cpu_ms"])


def _inverse(value: float | None) -> float | None:
    return 1 / value if value else None


def _median(rows: Sequence[dict[str, Any]], figure: str) -> float | None:
    found = [row[figure] for row in rows if row[figure] is not None]
    return median(found) if found else None


def _bytes(rig: Rig) -> dict[str, float | None]:
    """Return by how much the databases grew with each sale, indexes included."""
    found: dict[str, float | None] = {
        name: (rig.size(one) - one.size) / one.booked for name, one in rig.contenders.items() if one.booked
    }
    base, ours = found.get("before"), found.get("product")
    return found | {"product_over_before": ours / base if ours and base else None}
