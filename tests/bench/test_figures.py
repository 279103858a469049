from __future__ import annotations

from pathlib import Path

import pytest

from bench import own, report


def test_a_ratio_is_the_median_over_rounds_of_two_figures_of_the_same_round() -> None:
    rows = [
        {"round": number, "name": name, "clients": 4, "tps": tps}
        for number, (base, ours) in enumerate([(100.0, 50.0), (1000.0, 400.0), (10.0, 9.0)])
        for name, tps in (("base", base), ("ours", ours))
    ]
    assert report.ratio(rows, "ours", "base", "tps", clients=4) == 0.5
    assert report.ratio(rows, "ours", "base", "tps", clients=8) is None


def test_a_table_is_printed_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    kept = report.Report({"cores": 2})
    kept.table("Speed", ("what", "tps"), [("base", 1234.5), ("ours", None)])
    assert "1234" in capsys.readouterr().out
    assert '"Speed"' in kept.write().read_text()


def test_what_differs_from_sale_to_sale_becomes_a_variable_and_no_colon_is_left_in_a_literal() -> None:
    names = {"abc-1": "sale", "700000001": "number"}
    text = own._inline(
        "INSERT INTO t VALUES (%(cause)s::text, %(number)s, %(none)s, %(raw)s)",
        {"cause": "sale:abc-1 'x'", "number": own.NUMBER, "none": None, "raw": b"\x01"},
        names,
    )
    assert text == (
        "INSERT INTO t VALUES ((E'sale\\x3a' || :sale::text || E' ''x''')::text, :number, NULL, E'\\\\x01'::bytea)"
    )
