"""What the bureau decides by form: dated, kept, checked, and for what is still open alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine, text

from canteen import clock, events, settings
from canteen.db import db, transaction
from canteen.settings import BadValue
from canteen.settlement.claims import steps
from canteen.settlement.claims.steps import BadSteps
from canteen.settlement.closing import schedule
from tests.auth.house import CITY, EAST, Browser, a_person, build_city
from tests.invariants.test_constraints import drop_trigger, owner, refused, run
from tests.rigs.states import state

__all__ = ["owner"]
TODAY = date(2026, 6, 9)
TWO_STEPS = '{"steps": ["submit", "approve"]}'


@state
def bureau(app: Flask) -> None:
    with clock.at(clock.instant(TODAY, 540)):
        build_city()
        a_person("whole", ("admin", "area", CITY))
        a_person("part", ("admin", "area", EAST))


@pytest.fixture
def desk(app: Flask, bureau: None) -> Iterator[Browser]:
    with clock.at(clock.instant(TODAY, 600)):
        browser = Browser(app.test_client())
        browser.log_in("whole")
        yield browser


def put(key: str, value: str, since: date | None = None) -> bool:
    with transaction() as session:
        return settings.put(session, key, value, since, by="p")


def now(key: str) -> str:
    found = settings.read(db.session()).text(key)
    db.session.rollback()
    return found


def test_an_administrator_sets_what_counts_from_a_day(desk: Browser) -> None:
    tomorrow = TODAY + timedelta(days=1)
    assert desk.post("/desk/settings/close_day", value="5", since=tomorrow.isoformat()).status_code == 302
    assert f"{tomorrow} 起改为：<strong>5 天</strong>" in desk.get("/desk/settings").text
    assert schedule.due_at(date(2026, 5, 31), settings.read(db.session())) == clock.instant(date(2026, 6, 3), 360)
    db.session.rollback()
    with clock.at(clock.instant(tomorrow, 60)):
        assert schedule.due_at(date(2026, 5, 31), settings.read(db.session())) == clock.instant(date(2026, 6, 5), 360)


def test_a_wrong_value_is_refused_in_chinese(desk: Browser) -> None:
    for key, value, since, sentence in (
        ("close_day", "29", TODAY, "1 到 28 的整数"),
        ("close_day", "三", TODAY, "1 到 28 的整数"),
        ("card_brand", "", TODAY, "1 到 24 个字"),
        ("contact_phone", "打给我", TODAY, "只填数字和短横"),
        ("card_name", "敬老卡", TODAY - timedelta(days=1), "今天或以后"),
    ):
        answer = desk.post(f"/desk/settings/{key}", value=value, since=since.isoformat())
        assert (answer.status_code, sentence in answer.text) == (422, True), key
    assert desk.post("/desk/settings/colour", value="1", since=TODAY.isoformat()).status_code == 404
    assert now("close_day") == "3"


def test_only_who_administers_all_places_sets(app: Flask, desk: Browser) -> None:
    other = Browser(app.test_client())
    other.log_in("part")
    assert "只有负责全部区域的管理员" in other.get("/desk/settings").text
    assert other.post("/desk/settings/close_day", value="5", since=TODAY.isoformat()).status_code == 404


def test_the_same_value_again_enters_nothing(desk: Browser) -> None:
    with transaction() as session:
        settings.begin(session, by="system")
    assert [put("card_name", "敬老卡") for _ in range(2)] == [True, False]
    head = events.head(db.session())
    with transaction() as session:
        settings.begin(session, by="system")
    assert (events.head(db.session()), now("card_name")) == (head, "敬老卡")


def test_tills_read_a_setting_after_its_event(desk: Browser) -> None:
    def at_the_till() -> str:
        session = db.session()
        found = settings.kept(session, events.head(session)).text("card_name")
        session.rollback()
        return found

    assert at_the_till() == "助餐卡"
    put("card_name", "敬老卡")
    assert at_the_till() == "敬老卡"


def test_a_claim_keeps_the_steps_known_when_made(desk: Browser) -> None:
    before = clock.now()
    with clock.at(clock.instant(TODAY, 605)):
        form = {"since": TODAY.isoformat(), "determine": "yes", "submit-determine": "yes"}
        assert desk.post(f"/desk/settings/{steps.KEY}", **form).status_code == 302
        found = settings.read(db.session())
        assert steps.of(found, before) == steps.DEFAULT
        assert steps.of(found, clock.now()).order == ("submit", "determine", "approve")
        assert steps.of(found, clock.now()).parted("submit", "determine")
        assert "申报 → 核定 → 审批" in desk.get("/desk/settings").text


def test_steps_by_command_are_checked(desk: Browser) -> None:
    assert put(steps.KEY, TWO_STEPS)
    assert json.loads(now(steps.KEY))["steps"] == ["submit", "approve"]
    for wrong in ("", "[]", '{"steps": ["approve"]}'):
        with pytest.raises(BadSteps):
            put(steps.KEY, wrong)


@pytest.mark.parametrize("phone", ["", "12345", "0431-12345", "0431-12345-678", "13912345678", "+8643112345"])
def test_a_phone_number_is_digits_and_dashes(phone: str) -> None:
    assert settings.kind_of("contact_phone").normal(phone) == phone


@pytest.mark.parametrize("phone", ["1", "12 345", "电话", "0431--12345", "1" * 30])
def test_another_phone_number_is_refused(phone: str) -> None:
    with pytest.raises(BadValue):
        settings.kind_of("contact_phone").normal(phone)


def test_the_database_keeps_settings_as_they_were(bureau: None, owner: Engine) -> None:
    row = """INSERT INTO setting (key, from_day, n, value, entered, by, at, recorded)
             VALUES ('{}', '{}', {}, '5', '2026-06-09', 'p', '2026-06-09T02:00:00.000000Z', 1)"""
    run(owner, row.format("close_day", "2026-06-09", 1))
    for key, day, n in (
        ("close_day", "2026-06-09", 1),
        ("close_day", "2026-06-09", 3),
        ("close_day", "2026-06-08", 1),
        ("colour", "2026-06-09", 1),
    ):
        assert refused(partial(run, owner, row.format(key, day, n))), (key, day, n)
    assert refused(partial(run, owner, "UPDATE setting SET value = '9'"))
    assert refused(partial(run, owner, "DELETE FROM setting"))
    drop_trigger(owner, "law_setting_in_turn")
    run(owner, row.format("close_day", "2026-06-09", 3))
    drop_trigger(owner, f"law_setting_no_{'update' if owner.dialect.name == 'sqlite' else 'change'}")
    run(owner, "UPDATE setting SET value = '9'")
    with owner.connect() as connection:
        assert set(connection.execute(text("SELECT value FROM setting")).scalars()) == {"9"}
