"""A claim's workbook is written in the background, once, and taken from any host for a day."""

from __future__ import annotations

import io
from datetime import date, timedelta

import pytest
from flask import Flask
from python_calamine import CalamineWorkbook
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events, jobs
from canteen.config import Config
from canteen.db import owner_engine, transaction
from canteen.settlement.desk import export_jobs, exports
from canteen.settlement.models import ClaimExport, ClaimExportPart
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement.conftest import Town, at, fresh

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
CLAIM = "/desk/claims/k1-202601"
NOON = at(date(2026, 2, 5), 12)


@state
def month(town: Town) -> Town:
    """January closed with two meals."""
    a_person("maker", ("finance", "area", world.DISTRICT))
    a_person("street", ("reviewer", "area", world.STREET))
    for day in (JAN5, JAN6):
        town.sell(day, town.cards[0])
    town.close("2026-01")
    return town


@pytest.fixture(autouse=True)
def many_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every file one of many parts."""
    monkeypatch.setattr(export_jobs, "PART", 1000)


def entered(app: Flask, login: str) -> Browser:
    browser = Browser(app.test_client())
    browser.log_in(login)
    return browser


def asked(town: Town) -> int:
    return export_jobs.ask(town.claim("2026-01").id, 2, insider=True, accounts=True, by="id-maker")


def states() -> list[str]:
    return list(fresh().execute(select(ClaimExport.state).order_by(ClaimExport.id)).scalars())


def test_an_export_is_asked_for_written_and_taken(app: Flask, month: Town):
    desk = entered(app, "maker")
    answer = desk.get(f"{CLAIM}/export.xlsx")
    page = answer.headers["Location"]
    waiting = desk.get(page).text
    assert "正在排队" in waiting
    assert 'http-equiv="refresh"' in waiting
    assert desk.get(f"{page}.xlsx").headers["Location"] == page

    outcomes = export_jobs.tick("host-b")

    assert list(outcomes.values()) == ["done"]
    assert "下载 Excel" in desk.get(page).text
    with desk.get(f"{page}.xlsx") as file:
        book = CalamineWorkbook.from_filelike(io.BytesIO(file.data))
    assert len(book.get_sheet_by_name("就餐明细").to_python()) == 3
    event = fresh().execute(select(events.Event).where(events.Event.kind == "claim.export")).scalar_one()
    assert event.actor == "id-maker"


def test_the_file_is_that_of_an_export_by_itself(month: Town, tmp_path):  # noqa: ANN001
    number = asked(month)
    export_jobs.run(number, "a")

    whole = exports.claim(month.claim("2026-01").id, tmp_path / "x.xlsx", accounts=True)

    assert b"".join(export_jobs.parts(number)) == whole.path.read_bytes()
    assert fresh().get_one(ClaimExport, number).hash == whole.hash


def test_two_clicks_make_one_export_until_it_is_over(month: Town):
    first = asked(month)

    assert asked(month) == first
    other = export_jobs.ask(month.claim("2026-01").id, 2, insider=False, accounts=False, by="x")
    assert other != first
    export_jobs.tick("a")
    assert asked(month) not in {first, other}


def test_a_second_export_under_way_is_refused_by_the_database(month: Town, session: Session, config: Config):
    row = session.get_one(ClaimExport, asked(month))
    copy = {column.name: getattr(row, column.name) for column in ClaimExport.__table__.columns if column.name != "id"}
    session.rollback()

    with pytest.raises(IntegrityError), transaction() as writing:
        writing.execute(insert(ClaimExport), copy)
    with owner_engine(config.database_url).begin() as owner:
        owner.execute(text("DROP INDEX uq_claim_export_under_way"))
    with transaction() as writing:
        writing.execute(insert(ClaimExport), copy)
    assert states() == ["waiting", "waiting"]


def test_an_export_is_taken_only_by_readers_of_its_kind(app: Flask, month: Town):
    page = entered(app, "maker").get(f"{CLAIM}/export.xlsx").headers["Location"]
    export_jobs.tick("a")

    for address in (page, f"{page}.xlsx"):
        assert entered(app, "street").get(address).status_code == 404


def test_the_export_of_a_killed_process_is_written_by_another(month: Town):
    number = asked(month)
    with clock.at(NOON):
        dead = jobs.take(export_jobs.JOB, str(number), "host-a", export_jobs.LEASE)
        assert export_jobs.tick("host-b") == {}
    with clock.at(NOON + export_jobs.LEASE + timedelta(seconds=1)):
        assert list(export_jobs.tick("host-b").values()) == ["done"]
    assert dead is not None
    assert jobs.finish(dead) is False
    assert states() == ["done"]


def test_a_writer_that_was_overtaken_leaves_the_file_alone(month: Town, monkeypatch: pytest.MonkeyPatch):
    number = asked(month)
    monkeypatch.setattr(jobs, "renew", lambda _: False)

    export_jobs.run(number, "a")

    assert states() == ["waiting"]
    assert fresh().execute(select(func.count()).select_from(ClaimExportPart)).scalar_one() == 0


def test_an_export_that_fails_says_so_and_may_be_asked_again(app: Flask, month: Town, monkeypatch: pytest.MonkeyPatch):
    desk = entered(app, "maker")
    page = desk.get(f"{CLAIM}/export.xlsx").headers["Location"]
    with monkeypatch.context() as broken:
        broken.setattr(exports, "claim", lambda *_, **__: 1 // 0)
        export_jobs.tick("a")

    assert "没有完成" in desk.get(page).text
    assert desk.get(f"{CLAIM}/export.xlsx").headers["Location"] != page


def test_a_file_is_removed_after_a_day(month: Town):
    number = asked(month)
    with clock.at(NOON):
        export_jobs.tick("a")
    with clock.at(NOON + export_jobs.KEPT):
        export_jobs.tick("a")
        assert states() == ["done"]
    with clock.at(NOON + export_jobs.KEPT + timedelta(seconds=1)):
        export_jobs.tick("a")

    assert states() == ["removed"]
    assert list(export_jobs.parts(number)) == []
