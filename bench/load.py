"""One client of the checkout benchmark, a process of its own: `python -m bench.load URL FOLDER TILL SECONDS WARM`.

Says "ready" when it is warm, waits for a line, books sealed checkouts one by one as a tablet would bring them, each a
batch of one, and prints what it took of each in milliseconds and its memory.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from bench import memory, world
from canteen import clock
from canteen.auth.models import Tablet
from canteen.pos import records


def main() -> None:
    url, folder, till, seconds, warm = (
        sys.argv[1],
        Path(sys.argv[2]),
        int(sys.argv[3]),
        float(sys.argv[4]),
        int(sys.argv[5]),
    )
    with world.opened(world.settings(url, folder)):
        tablet = Tablet(id=f"bench{till:02d}", canteen_id=world.SITE.id)
        lines = (folder / f"sealed{till}.jsonl").read_text().splitlines()
        for n, line in enumerate(lines[:warm]):
            _book(line, n, tablet)
        memory.start()
        print("ready", flush=True)
        sys.stdin.readline()
        took: list[float] = []
        began, busy = time.perf_counter(), time.process_time()
        ends = began + seconds
        for n, line in enumerate(lines[warm:], warm):
            before = time.perf_counter()
            if before > ends:
                break
            _book(line, n, tablet)
            took.append((time.perf_counter() - before) * 1000)
        spent, busy = time.perf_counter() - began, time.process_time() - busy
    cpu = busy * 1000 / max(1, len(took))
    ran_out = len(took) + warm == len(lines)
    print(json.dumps({"took": took, "seconds": spent, "cpu_ms": cpu, "rss_mb": memory.peak_mb(), "ran_out": ran_out}))


def _book(line: str, n: int, tablet: Tablet) -> None:
    with clock.at(world.sold_at(n)):
        (result,) = records.accept([json.loads(line)], tablet)
    if result.outcome != "created":
        raise SystemExit(f"{result.outcome}: {result.reason} {result.message}")


if __name__ == "__main__":
    main()
