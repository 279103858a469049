"""ID numbers that are planted everywhere are found nowhere: not in logs, pages, addresses or the database (P28)."""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import date

import pypdfium2
import pytest
import structlog
from flask import Flask
from sqlalchemy import MetaData, select
from werkzeug.test import TestResponse

from canteen.db import db, transaction
from canteen.registry import credentials, documents, elders, lookup
from canteen.registry.elders import NewElder
from canteen.registry.imports import templates
from canteen.registry.imports.roster_columns import ROSTER
from tests.auth.house import CITY, EAST_STREET, Browser, Till, a_person, a_till
from tests.registry.people import number

CANARIES = [number(born=f"19{40 + n}0305", order=102 + n, region="290101") for n in range(12)]


def leaks(text: str) -> list[str]:
    """The canaries in a text."""
    return [each for each in CANARIES if each in text]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], str]]:
    """All that was written to any log since the test began, and to the standard streams by structlog."""
    caplog.set_level(logging.DEBUG)
    for noisy in ("fontTools", "fpdf", "PIL"):
        caplog.set_level(logging.WARNING, noisy)
    with structlog.testing.capture_logs() as entries:
        yield lambda: caplog.text + repr(entries)


@pytest.fixture
def admin(app: Flask, city: None) -> Browser:
    a_person("root", ("admin", "area", CITY))
    browser = Browser(app.test_client())
    browser.log_in("root")
    return browser


def everything_stored() -> str:
    """Each value of each row of each table, as text."""
    found: list[str] = []
    with db.engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        for table in tables.sorted_tables:
            for row in connection.execute(select(table)):
                found += [each.decode("latin-1") if isinstance(each, bytes) else str(each) for each in row]
    return "\n".join(found)


def a_roster(*numbers: str) -> bytes:
    usual = {"name": "李秀英", "residence": EAST_STREET, "since": "2026-01-01"}
    return templates.separated(
        ROSTER, [[(usual | {"number": each}).get(column.key, "") for column in ROSTER.columns] for each in numbers]
    )


def sent(desk: Browser, data: bytes, act: str) -> TestResponse:
    form = {"csrf": desk.token("/desk/account"), "kind": "roster", "act": act, "file": (io.BytesIO(data), "名册.csv")}
    return desk.client.post("/desk/imports", data=form)


def an_elder(id_number: str) -> uuid.UUID:
    with transaction() as session:
        document = documents.parse("resident", id_number)
        new = NewElder("王芳", document, residence=EAST_STREET, known_from=date(2020, 1, 1))
        return elders.register(session, new, "system")


def test_no_planted_number_comes_to_light_but_on_record(
    app: Flask, admin: Browser, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[TestResponse] = []
    imported, doubled, known, unknown, faulty = CANARIES[0], CANARIES[1], CANARIES[2], CANARIES[3], CANARIES[4]
    roster = a_roster(imported, doubled, doubled, f"{faulty}9")
    answers += [sent(admin, roster, "check"), sent(admin, roster, "apply"), admin.get("/desk/imports")]

    elder = an_elder(known)
    form = {"name": "赵丽", "document": "resident", "residence": EAST_STREET, "since": "2026-01-01"}
    answers += [
        admin.post("/desk/elders/new", **form, number=known),  # registered already
        admin.post("/desk/elders/new", **(form | {"residence": "no such place"}), number=unknown),
        admin.post("/desk/elders", q=known),
        admin.post("/desk/elders", q=unknown),
        admin.post("/desk/cards/find", scan=unknown),
        admin.post(f"/desk/elders/{elder}/merge", other=unknown),
        admin.post(f"/desk/elders/{elder}/bind", scan=unknown),
        admin.get(f"/desk/elders/{elder}"),
        admin.get("/desk/elders"),
    ]
    with transaction() as session:
        credentials.issue(session, [elder], "system", batch="paper")
    paper = admin.post("/desk/cards/paper/sheets", part="1")
    with pypdfium2.PdfDocument(paper.data) as document:
        assert not leaks("".join(page.get_textpage().get_text_range() for page in document))

    till = a_till(app, "east")
    till.log_in(a_person("cashier", ("cashier", "canteen", "east"), pin=True))
    answers += at_the_counter(till, known, unknown)

    assert [leaks(answer.text) for answer in answers] == [[]] * len(answers)
    assert not [leaks(answer.headers.get("Location", "")) for answer in answers if leaks(str(answer.headers))]
    assert known in admin.post(f"/desk/elders/{elder}/number", reason="核对申请表").text
    assert not leaks(everything_stored())
    assert not leaks(logged())


def at_the_counter(till: Till, known: str, unknown: str) -> list[TestResponse]:
    """Numbers typed where a scan or a name is asked for, and where they belong."""
    quote = {"sales": [{"scan": known, "mode": "dine_in", "items": []}]}
    return [
        till.call("POST", "/api/v1/pos/quotes", quote),
        till.call("POST", "/api/v1/pos/cards/bindings", {"scan": unknown, "id_number": known}),
        till.call("POST", "/api/v1/pos/cards/losses", {"id_number": known}),
        till.call("POST", "/api/v1/pos/cards/losses", {"id_number": unknown}),
        till.call("POST", "/api/v1/pos/sessions", {"person": known, "pin": "135792"}),
    ]


def test_an_unforeseen_error_is_logged_without_its_text(
    app: Flask, admin: Browser, logged: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError(f"no row for {CANARIES[5]}")

    monkeypatch.setattr(lookup, "find", break_down)
    app.testing = False  # as in production: nothing of the error's own words

    answer = admin.post("/desk/elders", q=CANARIES[5])

    assert answer.status_code == 500
    assert not leaks(answer.text + logged())
    assert "RuntimeError" in logged()
