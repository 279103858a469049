"""Every page of the desk, over a closed month of very many meals: how long each takes, and in how many statements.

`python -m bench.pages URL FOLDER ROUNDS` measures in a process of its own, each address by the first role that may
open it; without HTTP, since what grows with the tables lies behind it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, text

from bench import routes, world
from bench.report import Report, median
from canteen.auth import people, sessions
from canteen.db import db, transaction
from canteen.demo import areas, bulk
from canteen.prepared import Run

ROLES = ("finance", "reviewer", "auditor", "manager", "operator_it", "admin")
"""The administrator comes last: once there is one, roles need a second."""
MOST = 3  # addresses of one route
STATEMENTS, SLOW = 25, 300.0
LONGEST = 10_000.0  # ms after which a page is not asked for again


def run(found: dict[str, Any], meals: int, report: Report) -> None:
    """Print and keep what the process measured."""
    pages = found["pages"]
    slowest = sorted(pages.items(), key=lambda item: -item[1]["p95_ms"])
    report.table(
        f"Pages over {meals} meals",
        ("page", "role", "p95 ms", "CPU ms", "statements"),
        [[rule, one["role"], one["p95_ms"], one["cpu_ms"], one["statements"]] for rule, one in slowest],
        raw=found,
    )
    if found["unseen"]:
        print(f"  nothing to show on: {', '.join(found['unseen'])}")
    report.figures(
        "pages",
        {
            "worst_p95_ms": max(one["p95_ms"] for one in pages.values()),
            "most_statements": max(one["statements"] for one in pages.values()),
            "over_25_statements": sorted(rule for rule, one in pages.items() if one["statements"] > STATEMENTS),
            "over_300_ms": sorted(rule for rule, one in pages.items() if one["p95_ms"] > SLOW),
            "bases": {"statements": STATEMENTS, "p95_ms": SLOW},
            "pages": pages,
        },
    )


class Counting:
    """The statements that reach the database, also those of prepared forms, which are sent past the ORM."""

    def __init__(self) -> None:
        self.count = 0
        event.listen(db.engine, "before_cursor_execute", self._one)
        sent = Run.run

        def run(statement: Run, *given: Any) -> list[tuple[Any, ...]]:
            self._one()
            return sent(statement, *given)

        Run.run = run  # type: ignore[method-assign,assignment]

    def _one(self, *_: Any) -> None:
        self.count += 1


def measure(app: Flask, rounds: int) -> dict[str, Any]:
    """Return every reading route of the desk that this database can show."""
    counting, clients = Counting(), {role: _client(app, role) for role in ROLES}
    found: dict[str, Any] = {"pages": {}, "unseen": []}
    for rule in routes.reading(app):
        if not rule.rule.startswith("/desk"):
            continue
        each = [
            one for path in routes.addresses(app, rule, _rows, MOST) if (one := _page(clients, path, rounds, counting))
        ]
        if each:
            found["pages"][rule.rule] = max(each, key=lambda one: float(one["p95_ms"]))
        else:
            found["unseen"].append(rule.rule)
    return found


def _page(clients: dict[str, FlaskClient], path: str, rounds: int, counting: Counting) -> dict[str, Any] | None:
    for role, client in clients.items():
        with client.get(path, buffered=True) as answer:
            if answer.status_code not in (200, 302):
                continue
        took, busy, statements = list[float](), list[float](), list[int]()
        for _ in range(rounds):
            if sum(took) > LONGEST:
                break
            counted, began, cpu = counting.count, time.perf_counter(), time.process_time()
            client.get(path, buffered=True).close()
            took.append((time.perf_counter() - began) * 1000)
            busy.append((time.process_time() - cpu) * 1000)
            statements.append(counting.count - counted)
        took.sort()
        p95 = took[min(len(took) - 1, int(len(took) * 0.95))]
        return {"role": role, "p95_ms": p95, "cpu_ms": median(busy), "statements": max(statements)}
    return None


def _client(app: Flask, role: str) -> FlaskClient:
    """Return a browser in which somebody with this role is logged in."""
    node = ("canteen", bulk.CANTEEN) if role == "manager" else ("area", areas.CITY)
    person = people.create(f"bench-{role}", role, pin="271828", grants=[(role, *node)], by="system")
    with transaction() as session:
        token = sessions.start(session, person)
    client = app.test_client()
    client.set_cookie("desk", token)
    return client


def _rows(statement: str) -> Sequence[Sequence[Any]]:
    found = [tuple(row) for row in db.session.execute(text(statement)).all()]
    db.session.rollback()
    return found


if __name__ == "__main__":
    with world.opened(world.settings(sys.argv[1], Path(sys.argv[2]))) as app_:
        said = measure(app_, int(sys.argv[3]))
    print(json.dumps(said))
