"""How many statements each page asks of the database: what a page may cost does not grow with what it shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select, text
from werkzeug.routing import Rule

from bench import routes
from canteen import clock, prepared
from canteen.auth import sessions, tablets
from canteen.auth.models import Person, Tablet
from canteen.db import db, transaction
from canteen.demo import database
from canteen.places import Area
from canteen.pos.models import Sale
from canteen.registry.applications import taking
from canteen.registry.applications.taking import NewApplication
from canteen.registry.elders import NewElder
from canteen.settlement.corrections import revaluations
from tests.demo.conftest import TODAY, City

LIMIT = 25
ADDRESSES = 6  # of one route
ROLES = ("manager-a", "street", "finance-1", "admin", "auditor", "it")


@pytest.fixture
def app(city_on_sqlite: City, tmp_path: Path) -> Iterator[Flask]:
    """The city in a copy of its own: to look at a page notes when its reader was last seen."""
    url = f"sqlite:///{shutil.copy(city_on_sqlite.config.data_dir / 'canteen.db', tmp_path)}"
    with (
        clock.at(clock.instant(TODAY, 9 * 60)),
        database.opened(replace(city_on_sqlite.config, database_url=url)) as app,
    ):
        yield app


@pytest.fixture
def asked(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that reach the database, as they do; that a transaction begins is none of the page's doing."""
    found: list[str] = []
    plain = prepared.Run.run

    def run(statement: prepared.Run, *given: Any) -> Any:
        found.append(statement.sql.decode())
        return plain(statement, *given)

    monkeypatch.setattr(prepared.Run, "run", run)

    def listen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            found.append(statement)

    event.listen(db.engine, "before_cursor_execute", listen)
    return found


def test_no_page_asks_the_database_more_than_25_times(
    app: Flask, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tablet = db.session.execute(select(Tablet.id)).scalars().first()
    monkeypatch.setattr(tablets, "verify", lambda session, *_, **__: session.get(Tablet, tablet))
    _revaluation()
    _application()
    readers, found, shut = _readers(app), dict[str, int](), set[str]()
    for rule in routes.reading(app):
        addresses = routes.addresses(app, rule, _rows, ADDRESSES)
        counts, opened = zip(*(_most(asked, reader, addresses) for reader in readers.values()), strict=True)
        found[rule.rule] = max(counts)
        if not any(opened):
            shut.add(rule.rule)
    assert {rule: count for rule, count in found.items() if count > LIMIT} == {}
    assert shut == set(), "nobody was shown these pages, so they were not looked at"


def test_a_route_with_arguments_must_be_listed(app: Flask) -> None:
    app.url_map.add(Rule("/desk/new/<int:number>", endpoint="new", methods=["GET"]))
    with pytest.raises(routes.Unlisted, match="/desk/new/<int:number>"):
        list(routes.reading(app))


def test_every_address_listed_is_of_a_route_that_there_is(app: Flask) -> None:
    assert set(routes.EXAMPLES) <= {rule.rule for rule in routes.reading(app)}


def _revaluation() -> None:
    """Ask that an elder's meals be revalued, which nobody in the demo city does, and preview it."""
    ate = select(Sale.elder_id).where(Sale.elder_id.is_not(None)).order_by(Sale.arrival).limit(1)
    elder = db.session.execute(ate).scalar_one()
    db.session.rollback()
    assert elder is not None
    week = (TODAY - timedelta(days=8), TODAY - timedelta(days=1))
    number = revaluations.ask_facts(elder, from_day=week[0], to_day=week[1], reason="证件补登", by="system")
    revaluations.request(number, preview=True, by="system")
    assert set(revaluations.tick("test").values()) == {"done"}


def _application() -> None:
    """Take an application of somebody of the first street."""
    with transaction() as session:
        street = session.execute(select(Area.id).where(Area.level == "street").order_by(Area.id)).scalars().first()
        assert street is not None
        elder = NewElder("申一", birth=date(1946, 3, 5), sex="f", residence=street)
        taking.take(session, NewApplication(elder, consent="signed"), "system", {street})


def _readers(app: Flask) -> dict[str, FlaskClient]:
    """A browser for each role, logged in, and one that nobody is logged in to."""
    found = {"": app.test_client()}
    for role in ROLES:
        with transaction() as session:
            person = session.execute(select(Person.id).where(Person.login == f"demo-{role}")).scalar_one()
            token = sessions.start(session, person)
        found[role] = app.test_client()
        found[role].set_cookie("desk", token)
    return found


def _most(asked: list[str], reader: FlaskClient, addresses: Sequence[str]) -> tuple[int, bool]:
    """The most statements that one of these addresses took, each seen twice, and whether any of them opened.

    The first time fills what is kept.
    """
    counts, opened = [0], False
    for address in addresses:
        for _ in range(2):
            db.session.rollback()
            asked.clear()
            with reader.get(address, buffered=True) as answer:
                assert answer.status_code < 500
                opened |= answer.status_code < 400
        counts.append(len(asked))
    return max(counts), opened


def _rows(statement: str) -> Sequence[Sequence[Any]]:
    rows = [tuple(row) for row in db.session.execute(text(statement)).all()]
    db.session.rollback()
    return rows
