"""Counting what a till asks of the database."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event

from canteen import prepared
from canteen.db import db


@pytest.fixture
def asked(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that reach the database, as they do; that a transaction begins is not among them."""
    found: list[str] = []
    plain = prepared.Run.run

    def run(statement: prepared.Run, *given: Any) -> Any:
        found.append(statement.sql.decode())
        return plain(statement, *given)

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            found.append(statement)

    monkeypatch.setattr(prepared.Run, "run", run)
    event.listen(db.engine, "before_cursor_execute", listen)
    return found
