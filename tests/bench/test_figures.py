from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bench import checkouts, processors, report
from bench.checkouts import Point
from bench.processors import Stat


def test_a_ratio_is_the_median_of_ratios_within_rounds() -> None:
    rows = [
        {"round": number, "name": name, "clients": 4, "tps": tps}
        for number, (base, ours) in enumerate([(100.0, 50.0), (1000.0, 400.0), (10.0, 9.0)])
        for name, tps in (("base", base), ("ours", ours))
    ]
    assert report.ratio(rows, "ours", "base", "tps", clients=4) == 0.5
    assert report.ratio(rows, "ours", "base", "tps", clients=8) is None


def test_tables_and_figures_are_kept_where_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    kept = report.Report({"cores": 2})
    kept.table("Speed", ("what", "tps"), [("base", 1234.5), ("ours", None)])
    kept.figures("checkout", {"8": {"tps_over_l": 0.5}})
    kept.figures("checkout", {"bytes_per_sale": None})
    assert kept.write(tmp_path / "out.json") == tmp_path / "out.json"
    found = json.loads((tmp_path / "out.json").read_text())
    assert "1234" in capsys.readouterr().out
    assert found["checkout"] == {"8": {"tps_over_l": 0.5}, "bytes_per_sale": None}
    assert found["tables"]["Speed"]["rows"] == [["base", 1234.5], ["ours", None]]


def a_row(name: str, tps: float, pg: float, server: float | None) -> dict[str, object]:
    cpu = {"pg_cpu_ms": pg, "server_cpu_ms": server, "client_cpu_ms": 0.1}
    return {"round": 0, "point": "8", "name": name, "tps": tps, "p50": 1.0, "p99": 2.0, **cpu}


def test_a_load_is_judged_beside_all_its_bases() -> None:
    rows = [
        a_row("least", 1000.0, 0.5, None),
        a_row("floor", 700.0, 0.5, 1.0),
        a_row("product", 300.0, 1.0, 1.4),
        a_row("before", 100.0, 2.4, 6.0),
    ]
    found = checkouts.ratios(rows, "8")
    assert found["tps_over_l"] == 0.3
    assert found["pg_cpu_over_l"] == 2.0
    assert found["server_cpu_over_floor"] == 1.4
    assert found["tps_over_before"] == 3.0
    assert found["tps_over_before_by_cpu"] == pytest.approx(8.5 / 2.5)
    assert found["bases"]["least"]["server_cpu_ms"] is None
    assert found["bases"]["product"]["tps"] == 300.0


def test_a_base_that_was_not_measured_leaves_no_ratio() -> None:
    found = checkouts.ratios([a_row("product", 300.0, 1.0, 1.4)], "8")
    assert found["tps_over_before"] is None
    assert found["tps_over_l_by_cpu"] is None


def test_a_till_has_ready_what_its_part_of_the_load_takes() -> None:
    assert checkouts.needed(Point("8", 8), 400.0, 4) == 288
    assert checkouts.needed(Point("couples", 8, diners=2), 400.0, 4) == 148
    assert checkouts.needed(Point("rate", 16, rate=40.0), 9999.0, 4) == 21


def test_processor_time_is_read_past_a_name_with_blanks() -> None:
    fields = "S 7 1 1 0 -1 0 0 0 0 0 300 100 50 25 20 0".split()
    found = processors.read(f"42 (a (strange) name) {' '.join(fields)}")
    ticks = processors.TICKS
    assert found == Stat(42, 7, 400 / ticks, 75 / ticks)


def test_processor_time_is_that_of_all_processes_below() -> None:
    everyone = [Stat(1, 0, 9.0, 9.0), Stat(10, 1, 1.0, 0.5), Stat(11, 10, 2.0, 0.0), Stat(12, 11, 4.0, 0.0)]
    assert processors.spent(10, everyone) == 7.5
    assert processors.spent(99, everyone) == 0.0


def test_memory_is_read_of_one_process_and_none_of_an_ended_one() -> None:
    assert 1 < processors.memory_mb(os.getpid()) <= processors.peak_mb(os.getpid()) + 1
    assert processors.peak_mb(2**22 + 1) == 0.0
