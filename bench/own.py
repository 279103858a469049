"""The product's own statements as a pgbench script: what one checkout costs the database, without any Python.

One checkout is rung up while its statements are listened to; ids that must differ from sale to sale become variables,
drawn by one statement more at the head of the script. So it never lags behind what the product does.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event

from bench import world
from canteen import clock
from canteen.auth.models import Tablet
from canteen.config import Config
from canteen.db import db
from canteen.pos import envelope, records
from canteen.prepared import Form, Values

WARM = 40  # checkouts before the one that is listened to
NUMBER = 700_000_001  # a record number that is found again in the statements
HEAD = """\\set e random(0, {last})
\\set number random(1, 2000000000)
\\set window random(1, 2000000000)
SELECT gen_random_uuid()::text AS sale, gen_random_uuid()::text AS payment, e.elder_id::text AS elder, c.digest AS card, md5(random()::text) || md5(random()::text) AS input FROM credential c JOIN credential_fact e ON e.credential_id = c.id WHERE c.digest = lpad(to_hex(:e::int), 64, '0') \\gset
"""


def script(config: Config, till: int, last: int, path: Path) -> int:
    """Write the script, drawing elders by card 0 to `last`; answers how many statements a checkout has."""
    lines = world_file(config, till).read_text().splitlines()
    with world.opened(config):
        tablet = Tablet(id=f"bench{till:02d}", canteen_id=world.SITE.id)
        document, statements = _heard(lines, tablet)
    names = _names(json.loads(document["body"]))
    text = "BEGIN;\n" + "".join(f"{_inline(sql, values, names)};\n" for sql, values in statements) + "COMMIT;\n"
    path.write_text(HEAD.format(last=last) + text)
    return len(statements) + 2


def _heard(lines: Sequence[str], tablet: Tablet) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """A checkout and its statements: the first one, after some, that opens no account and finds everything warm."""
    statements: list[tuple[str, Any]] = []

    def listen(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        statements.append((statement, parameters))

    def prepared(form: Form, connection: Connection, values: Values) -> list[tuple[Any, ...]]:
        statements.append((form.sql.decode(), form.in_order(values)))
        return run(form, connection, values)

    event.listen(db.engine, "before_cursor_execute", listen)
    run, Form.rows = Form.rows, prepared  # type: ignore[method-assign,assignment]
    for n, line in enumerate(lines):
        statements.clear()
        document = json.loads(line)
        document["number"] = NUMBER if n >= WARM else n + 1
        document["hash"] = envelope.record_hash(envelope.read(document))
        with clock.at(world.sold_at(n)):
            (result,) = records.accept([document], tablet)
        if result.outcome != "created":
            raise SystemExit(f"{result.outcome}: {result.reason}")
        if n >= WARM and not any("INTO account" in sql for sql, _ in statements):
            return document, statements
    raise SystemExit("every checkout opened an account")


def world_file(config: Config, till: int) -> Path:
    """Where the sealed checkouts of a till lie."""
    return config.data_dir / f"sealed{till}.jsonl"


def _names(body: Mapping[str, Any]) -> dict[str, str]:
    """What differs from sale to sale, by the variable that stands for it."""
    sale = body["sales"][0]
    windows = {use["window"] for use in sale["quote"]["uses"]}
    return {
        sale["id"]: "sale",
        body["payment"]["id"]: "payment",
        sale["elder"]: "elder",
        sale["credential"]: "card",
        sale["input_hash"]: "input",
        str(NUMBER): "number",
        **dict.fromkeys(windows, "window"),
    }


def _inline(sql: str, values: Any, names: Mapping[str, str]) -> str:
    """The statement with its parameters written in, on one line."""
    if isinstance(values, Mapping):
        text = re.sub(r"%\((\w+)\)s", lambda found: _literal(values[found.group(1)], names), sql)
    else:
        text = re.sub(r"\$(\d+)", lambda found: _literal(values[int(found.group(1)) - 1], names), sql)
    return text.replace("%%", "%").replace("\n", " ")


def _literal(value: Any, names: Mapping[str, str]) -> str:
    """A value as SQL; no colon may stand in it, since pgbench would take what follows for a variable."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return ":number" if value == NUMBER else str(value)
    if isinstance(value, list | tuple):
        return f"ARRAY[{', '.join(_literal(each, names) for each in value)}]"
    if isinstance(value, bytes):
        return f"E'\\\\x{value.hex()}'::bytea"
    obj = getattr(value, "obj", value)  # psycopg's wrappers of JSON
    if isinstance(obj, dict):
        obj = json.dumps(obj)
    kind = _kind(obj)
    return f"({_text(str(obj), names)}){kind}"


def _kind(value: Any) -> str:
    kinds: Sequence[tuple[type, str]] = (
        (uuid.UUID, "::uuid"),
        (dt.datetime, "::timestamptz"),
        (dt.date, "::date"),
    )
    return next((cast for kind, cast in kinds if isinstance(value, kind)), "")


def _text(value: str, names: Mapping[str, str]) -> str:
    parts = re.split("(" + "|".join(map(re.escape, sorted(names, key=len, reverse=True))) + ")", value)
    return " || ".join(f":{names[part]}::text" if part in names else _quoted(part) for part in parts if part) or "''"


def _quoted(part: str) -> str:
    escaped = part.replace("\\", "\\\\").replace("'", "''").replace(":", "\\x3a").replace("\n", "\\n")
    return f"E'{escaped}'"
