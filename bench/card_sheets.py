"""Very many cards to print, as PDF by the command line, beside the least that their codes cost."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

from qrcode.constants import ERROR_CORRECT_H
from qrcode.main import QRCode
from qrcode.util import QRData

from bench import programs, signing, world
from bench.report import Report
from tests.rigs.postgres import Server

DATABASE = "canteen_bench_cards"
CODES = 200  # drawn for the base
NUMERIC: Final = 1  # the QR standard's mode for digits
MASK = 3


def run(server: Server, folder: Path, count: int, report: Report) -> None:
    """Make cards for `count` elders, then write their sheets."""
    folder.mkdir(parents=True)
    server.drop(DATABASE)
    server.create(DATABASE, "template0")
    url = server.url(DATABASE)
    environment = {"CANTEEN_DATABASE_URL": url, "CANTEEN_DATA": str(folder)}
    try:
        world.make(world.settings(url, folder), count, 0, 0, cards=False)
        made = programs.canteen(environment, "cards", "issue", "--area", world.home_area(), "--json")
        idle = programs.canteen(environment, "cards", "print", "--json")
        batch = json.loads(made.out)["batch"]
        done = programs.canteen(environment, "cards", "print", batch, "--out", str(folder / "out"), "--json")
    finally:
        server.drop(DATABASE)
    written = sum(path.stat().st_size for path in (folder / "out").glob("*.pdf"))
    least = encoding()
    each = (done.cpu - idle.cpu) / count
    found = {
        "cards": count,
        "seconds_per_10k": done.seconds / count * 10_000,
        "cpu_ms_per_card": each * 1000,
        "cpu_over_encoding": each / least,
        "rss_over_idle_mb": done.rss_mb - idle.rss_mb,
        "bytes_per_card": written / count,
        "bases": {"encoding_ms_per_card": least * 1000, "idle_rss_mb": idle.rss_mb, "issue_seconds": made.seconds},
    }
    report.table(
        f"Cards for {count} elders",
        ("part", "seconds", "CPU s", "peak RSS MB"),
        [
            ["make the cards", made.seconds, made.cpu, made.rss_mb],
            ["list what waits: what starting costs", idle.seconds, idle.cpu, idle.rss_mb],
            ["write the sheets", done.seconds, done.cpu, done.rss_mb],
            ["base: encode each code with one mask", None, least * count, None],
        ],
        raw=found,
    )
    report.figures("cards", found)


def encoding() -> float:
    """Processor seconds of one code's QR matrix when the mask is not chosen but given."""
    began = time.process_time()
    for n in range(CODES):
        qr = QRCode(version=2, error_correction=ERROR_CORRECT_H, border=0, mask_pattern=MASK)
        qr.add_data(QRData(signing.card_code(n), mode=NUMERIC), optimize=0)
        qr.make(fit=False)
    return (time.process_time() - began) / CODES
