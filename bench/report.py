"""Tables on stdout; the same figures, and the ratios by which the product is judged, as JSON beside."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


class Report:
    """Gathers rows and prints tables; `write` keeps all of it in one file.

    The file holds `header`, one entry for each part measured (its ratios and the bases they rest on), and `tables`.
    """

    def __init__(self, header: dict[str, Any]) -> None:
        self._all: dict[str, Any] = {"header": header, "tables": {}}
        print("  ".join(f"{name}: {value}" for name, value in header.items()), flush=True)

    def figures(self, part: str, found: Mapping[str, Any]) -> None:
        """Keep figures of a part, beside those kept of it before."""
        self._all.setdefault(part, {}).update(found)

    def table(
        self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, raw: object = None
    ) -> None:
        """Print a table and keep it; `raw` is what was measured round by round."""
        kept = [list(row) for row in rows]
        shown = [[_cell(value) for value in row] for row in kept]
        widths = [max(map(len, column)) for column in zip(columns, *shown, strict=True)]
        print(f"\n{title}")
        for row in ([*columns], *shown):
            print(
                "  "
                + "  ".join(
                    cell.rjust(w) if at else cell.ljust(w) for at, (cell, w) in enumerate(zip(row, widths, strict=True))
                )
            )
        print(flush=True, end="")
        self._all["tables"][title] = {"columns": list(columns), "rows": kept, "raw": raw}

    def write(self, path: Path | None = None) -> Path:
        """Write everything to bench/results, and to `path` as well; answers where it stands."""
        RESULTS.mkdir(exist_ok=True)
        kept = RESULTS / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
        for place in (kept, path):
            if place is not None:
                place.write_text(json.dumps(self._all, ensure_ascii=False, indent=1, default=str))
        return path or kept


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if 0 < value < 0.1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"
    return "-" if value is None else str(value)


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def ratio(rows: Sequence[dict[str, Any]], of: str, base: str, figure: str, **where: object) -> float | None:
    """Return the median over rounds of one contender's figure over another's in the same round."""
    per_round: dict[tuple[int, str], float] = {
        (row["round"], row["name"]): row[figure]
        for row in rows
        if all(row.get(name) == value for name, value in where.items()) and row.get(figure)
    }
    found = [
        value / per_round[number, base]
        for (number, name), value in per_round.items()
        if name == of and (number, base) in per_round
    ]
    return median(found) if found else None


def machine() -> dict[str, Any]:
    """Describe the machine of the measurements."""
    return {
        "at": time.strftime("%Y-%m-%d %H:%M"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
