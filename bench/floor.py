"""The floor of the framework: Flask views that run the least checkout and the least quote, and nothing else.

`python -m bench.floor PORT DSN WORKERS THREADS` serves them by the same server with the same workers and threads as
`canteen serve`. The same requests are sent to it as to the product; it reads their bodies and looks at nothing.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import uuid
from pathlib import Path

import psycopg
from flask import Flask, Response, request
from granian import Granian
from granian.constants import Interfaces

CARD = "SELECT c.elder_id, x.category, x.name FROM base.card c JOIN base.elder x ON x.id = c.elder_id WHERE c.token = %s AND NOT c.revoked"
EATEN = "SELECT count(*) FROM base.sale WHERE elder_id = %s AND business_date = current_date"
SALE = "INSERT INTO base.sale (canteen_id, elder_id, business_date, meal_period, policy_version, list_fen, elder_fen) VALUES (%s, %s, current_date, 2, 1, %s, %s) RETURNING id"
LINE = "INSERT INTO base.sale_line VALUES (%s, 1, 7, 1, %s)"
LEDGER = "INSERT INTO base.ledger (sale_id, account_id, amount_fen) VALUES (%s, 1, %s), (%s, 2, %s), (%s, 3, %s), (%s, 4, %s)"
KEY = "INSERT INTO base.idem (key, sale_id) VALUES (%s, %s)"

app = Flask(__name__)
_local = threading.local()


@app.post("/api/v1/records")
def checkout() -> Response:
    """Run the eight statements of base.pgb."""
    json.loads(request.get_data())
    elder, fen = random.randint(1, 50_000), random.randint(800, 3000)
    connection = _connection()
    with connection.transaction():
        found = connection.execute(CARD + " FOR UPDATE OF c", (f"C{elder:08d}",)).fetchone()
        assert found is not None
        connection.execute(EATEN, (elder,)).fetchone()
        made = connection.execute(SALE, (1 + elder % 100, elder, fen, fen // 2)).fetchone()
        assert made is not None
        sale = made[0]
        connection.execute(LINE, (sale, fen))
        half, quarter = fen // 2, fen // 4
        parts = (sale, fen, sale, -half, sale, -quarter, sale, half + quarter - fen)
        connection.execute(LEDGER, parts)
        connection.execute(KEY, (uuid.uuid4(), sale))
    return _answer({"sale": sale, "elder": found[2], "outcome": "created"})


@app.post("/api/v1/pos/quotes")
def quote() -> Response:
    """Run the two reads of base_quote.pgb."""
    json.loads(request.get_data())
    elder = random.randint(1, 50_000)
    connection = _connection()
    with connection.transaction():
        found = connection.execute(CARD, (f"C{elder:08d}",)).fetchone()
        eaten = connection.execute(EATEN, (elder,)).fetchone()
    assert found is not None
    assert eaten is not None
    return _answer({"elder": found[2], "eaten": eaten[0], "stamp": ""})


def _answer(content: dict[str, object]) -> Response:
    return Response(json.dumps(content), mimetype="application/json")


def _connection() -> psycopg.Connection:
    """Return one for each thread, kept, with prepared statements."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["BENCH_FLOOR_DSN"], autocommit=True, prepare_threshold=0)
    found: psycopg.Connection = _local.connection
    return found


def main() -> None:
    port, dsn, workers, threads = sys.argv[1:]
    os.environ["BENCH_FLOOR_DSN"] = dsn
    Granian(
        "bench.floor:app", address="127.0.0.1", port=int(port), interface=Interfaces.WSGI, workers=int(workers),
        blocking_threads=int(threads), working_dir=Path(__file__).parent.parent, log_access=False,
    ).serve()  # fmt: skip


if __name__ == "__main__":
    main()
