"""What checkouts and quotes are measured on: one database server, and the contenders ready on it.

least     pgbench on the eight statements of base.pgb (for a quote: the two of base_quote.pgb)
floor     a Flask view that runs the same statements through psycopg, on the product's server
product   `canteen serve` of this tree
before    `canteen serve` of the build before; missing where the clone does not reach back to it

Every table holds the sales of a month before anything is measured. Nothing is emptied between rounds: what a round
adds is little beside them.
"""

from __future__ import annotations

import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import client, pgbench, processors, servers, trees
from bench.client import Load, Tablet
from bench.servers import Serving
from bench.trees import Tree
from tests.rigs.postgres import Server

HERE = Path(__file__).parent
LEAST = "canteen_bench_least"
SINGLES, COUPLES = range(16), range(16, 24)  # tills: those of one diner a checkout, and of two on one payment
WARM = 3  # requests of each tablet before it counts
EVENTS = 0.05  # seconds between two events that are nobody's business


@dataclass
class Contender:
    """A tree with its database, its server and what its tablets have ready to send."""

    tree: Tree
    url: str
    folder: Path
    database: str
    serving: Serving | None = None
    ready: dict[int, deque[bytes]] = field(default_factory=dict)
    quotes: dict[int, list[bytes]] = field(default_factory=dict)
    booked: int = 0  # sales so far
    size: int = 0  # bytes of the database before the first of them


@dataclass
class Rig:
    """Everything that runs while checkouts and quotes are measured. `close` ends it."""

    server: Server
    folder: Path
    meals: int
    elders: int
    contenders: dict[str, Contender] = field(default_factory=dict)
    floor: Serving | None = None

    def prepare(self) -> None:
        """Make the databases, the trees at once, and start the servers."""
        found = [trees.product(), trees.before(self.folder / "before")]
        for tree in filter(None, found):
            database = f"canteen_bench_{tree.name}"
            folder = self.folder / f"data-{tree.name}"
            folder.mkdir(parents=True)
            self._fresh(database)
            self.contenders[tree.name] = Contender(tree, self.server.url(database), folder, database)
        making = [(one, self._making(one)) for one in self.contenders.values()]
        self._least()
        for one, process in making:
            if process.wait():
                raise RuntimeError(f"the world of {one.tree.name} was not made")
            with self.server.connect(one.database) as connection:
                connection.execute("VACUUM ANALYZE")
            one.serving = servers.product(one.tree, one.url, one.folder)
            one.size = self.size(one)
        dsn = f"host=127.0.0.1 port={self.server.port} user={self.server.user} dbname={LEAST}"
        self.floor = servers.floor(dsn, self.folder)

    def close(self) -> None:
        for serving in (self.floor, *(one.serving for one in self.contenders.values())):
            if serving is not None:
                serving.stop()
        for name in (LEAST, *(one.database for one in self.contenders.values())):
            self.server.drop(name)

    def size(self, one: Contender) -> int:
        """Return bytes of a contender's database, indexes included."""
        with self.server.connect(one.database) as connection:
            row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
        assert row is not None
        return int(row[0])

    # --- getting ready ---

    def seal(self, one: Contender, wanted: Sequence[int], diners: int) -> None:
        """Let a contender's tablets have so many more checkouts ready; `wanted` by till."""
        path = one.folder / "requests.jsonl"
        one.tree.run("seal", one.url, one.folder, wanted=list(wanted), path=str(path), diners=diners)
        for till, some in client.requests(path).items():
            one.ready.setdefault(till, deque()).extend(some)

    def ask(self, one: Contender, count: int) -> None:
        """Let each of a contender's tablets have `count` quotes to ask for, again and again."""
        path = one.folder / "quotes.jsonl"
        one.tree.run("ask", one.url, one.folder, count=count, path=str(path))
        one.quotes = client.requests(path)

    # --- measuring ---

    def pgbench(self, script: str, clients: int, seconds: int, rate: float | None) -> dict[str, float]:
        """Run the least shape by pgbench.

        At a fixed rate its processor time is not reported: beside so few statements its connections, new each time, count.
        """
        self._checkpoint("least")
        before = self._database_cpu()
        load = pgbench.run(self.server, LEAST, HERE / script, clients=clients, seconds=seconds, rate=rate)
        return _figures(load, len(load.took), None if rate else self._database_cpu() - before, None)

    def over_http(
        self, name: str, queues: Sequence[deque[bytes]], right: bytes, seconds: int, due: Sequence[float] | None,
        each: int = 1, *, books: bool = True,
    ) -> dict[str, float]:  # fmt: skip
        """Load a contender with a server, or the floor: one tablet for each queue.

        right   what a good answer holds
        due     instants of a fixed arrival rate; None for a closed loop
        each    sales of one request, for which all is counted
        books   whether the requests leave sales behind
        """
        serving = self.floor if name == "floor" else self.contenders[name].serving
        assert serving is not None
        tablets = [Tablet(serving.address, queue) for queue in queues]
        try:
            warm = client.closed(tablets, 60.0, right, each=WARM)
            self._checkpoint(name)
            database, own = self._database_cpu(), serving.cpu()
            load = client.steady(tablets, due, right) if due is not None else client.closed(tablets, seconds, right)
            database, own = self._database_cpu() - database, serving.cpu() - own
        finally:
            for tablet in tablets:
                tablet.close()
        if books and name in self.contenders:
            self.contenders[name].booked += (len(warm.took) + len(load.took)) * each
        return _figures(load, len(load.took) * each, database, own)

    @contextmanager
    def disturbed(self, one: Contender | None) -> Iterator[None]:
        """While a process records events which change nothing: they empty whatever the server keeps in memory."""
        if one is None:
            yield
            return
        line = one.tree.program("disturb", one.url, one.folder, every=EVENTS)
        process = subprocess.Popen(
            line, cwd=one.tree.root, env=one.tree.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )  # fmt: skip
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.communicate()

    def _database_cpu(self) -> float:
        """Processor seconds of all processes of the database server so far."""
        with self.server.connect() as connection:
            return processors.spent(processors.parent_of(connection.info.backend_pid))

    def _checkpoint(self, name: str) -> None:
        """Write out what was written before, so that nobody pays for another's pages."""
        with self.server.connect(self.contenders[name].database if name in self.contenders else LEAST) as connection:
            connection.execute("CHECKPOINT")

    # --- making ---

    def _making(self, one: Contender) -> subprocess.Popen[bytes]:
        tills = COUPLES.stop
        line = one.tree.program("make", one.url, one.folder, elders=self.elders, tills=tills, meals=self.meals)
        return subprocess.Popen(line, cwd=one.tree.root, env=one.tree.environment, stdout=sys.stderr)

    def _least(self) -> None:
        self._fresh(LEAST)
        with self.server.connect(LEAST) as connection:
            connection.execute((HERE / "base.sql").read_text())
            for statement in (HERE / "base_volume.sql").read_text().split(";\n"):
                if statement.strip():
                    connection.execute((statement % {"meals": self.meals}).encode())
            connection.execute("VACUUM ANALYZE")

    def _fresh(self, database: str) -> None:
        self.server.drop(database)
        self.server.create(database, "template0")


def _figures(load: Load, sales: int, database: float | None, own: float | None) -> dict[str, Any]:
    took = sorted(load.took)
    if not took:
        raise RuntimeError("nothing was measured: the tablets had nothing to send")
    return {
        "tps": sales / load.seconds,
        "p50": took[len(took) // 2],
        "p99": took[int(len(took) * 0.99)],
        "pg_cpu_ms": database * 1000 / sales if database is not None else None,
        "server_cpu_ms": own * 1000 / sales if own is not None else None,
        "client_cpu_ms": load.cpu * 1000 / sales,
        "ran_out": load.ran_out,
    }
