"""Logins live on the server: what ends there is dead at the next request on every host (P21)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from canteen import clock
from canteen.auth import people, sessions
from canteen.auth.models import WebSession
from canteen.db import db, transaction
from tests.auth.house import CITY, PASSWORD, PIN, Browser, Till, a_person, a_till, end_grants
from tests.rigs.states import state

NOW = datetime(2026, 5, 12, 3, 0, tzinfo=UTC)
Browsers = Callable[[], Browser]


@pytest.fixture
def other_host(another_host: Callable[..., Flask]) -> Browser:
    return Browser(another_host().test_client())


def is_in(browser: Browser) -> bool:
    return browser.get("/desk/account").status_code == 200


@state
def boss(city: None) -> str:
    return a_person("boss", ("admin", "area", CITY))


def test_a_login_gets_a_new_id_and_the_one_before_is_dead(boss: str, browser: Browser, browsers: Browsers) -> None:
    browser.log_in("boss")
    first = browser.cookie
    browser.log_in("boss")
    second = browser.cookie
    thief = browsers()
    thief.client.set_cookie("desk", first or "")

    assert first != second
    assert is_in(browser)
    assert not is_in(thief)


def test_a_planted_cookie_never_becomes_a_login(boss: str, browser: Browser, browsers: Browsers) -> None:
    browser.client.set_cookie("desk", "planted-by-someone")
    browser.log_in("boss")
    planter = browsers()
    planter.client.set_cookie("desk", "planted-by-someone")

    assert is_in(browser)
    assert browser.cookie != "planted-by-someone"
    assert not is_in(planter)


def test_the_table_contains_no_usable_token(boss: str, browser: Browser) -> None:
    browser.log_in("boss")

    kept = db.session.execute(select(WebSession.id)).scalars().all()

    assert kept
    assert browser.cookie not in kept


def test_a_logged_out_cookie_is_dead_on_every_host(boss: str, browser: Browser, other_host: Browser) -> None:
    browser.log_in("boss")
    copied = browser.cookie or ""
    other_host.client.set_cookie("desk", copied)
    assert is_in(other_host)

    browser.log_out()
    browser.client.set_cookie("desk", copied)

    assert not is_in(browser)
    assert not is_in(other_host)


def test_a_disabled_person_is_out_at_the_next_request(boss: str, browser: Browser, other_host: Browser) -> None:
    browser.log_in("boss")
    other_host.log_in("boss")
    assert is_in(other_host)

    people.disable(boss, by="system")

    assert not is_in(browser)
    assert not is_in(other_host)
    assert browser.log_in("boss").status_code == 403


def test_a_role_change_is_seen_at_the_next_request_on_every_host(boss: str, other_host: Browser) -> None:
    other_host.log_in("boss")
    assert other_host.get("/desk/people").status_code == 200

    end_grants(boss)

    assert other_host.get("/desk/people").status_code == 403


def test_a_new_password_ends_all_other_logins(boss: str, browser: Browser, other_host: Browser) -> None:
    browser.log_in("boss")
    other_host.log_in("boss")
    before = browser.cookie

    chosen = "walnut-harbour-77"
    answer = browser.post("/desk/account/password", old=PASSWORD, new=chosen, again=chosen)

    assert answer.status_code == 302
    assert is_in(browser)
    assert browser.cookie != before
    assert not is_in(other_host)
    assert other_host.log_in("boss").status_code == 403
    assert other_host.log_in("boss", chosen).status_code == 302


def test_a_login_older_than_the_accounts_last_change_is_dead(boss: str, browser: Browser) -> None:
    browser.log_in("boss")
    with transaction() as session:
        session.get_one(people.Person, boss).changed_at = clock.now() + timedelta(seconds=1)

    assert not is_in(browser)


def test_a_desk_idle_for_a_quarter_of_an_hour_is_logged_out(city: None, browser: Browser) -> None:
    with clock.at(NOW):
        a_person("clerk", ("admin", "area", CITY))
        browser.log_in("clerk")
    with clock.at(NOW + timedelta(minutes=14)):
        assert is_in(browser)
    with clock.at(NOW + timedelta(minutes=28)):
        assert is_in(browser)
    with clock.at(NOW + timedelta(minutes=44)):
        assert not is_in(browser)


def test_no_login_outlives_twelve_hours_however_busy(city: None, browser: Browser) -> None:
    with clock.at(NOW):
        a_person("clerk", ("admin", "area", CITY))
        browser.log_in("clerk")
    for minutes in range(10, 12 * 60, 10):
        with clock.at(NOW + timedelta(minutes=minutes)):
            assert is_in(browser)
    with clock.at(NOW + timedelta(hours=12, seconds=1)):
        assert not is_in(browser)


def test_reading_writes_at_most_once_a_minute(city: None, browser: Browser) -> None:
    def seen() -> datetime:
        db.session.rollback()
        return db.session.execute(select(WebSession.seen_at)).scalar_one()

    with clock.at(NOW):
        a_person("clerk", ("admin", "area", CITY))
        browser.log_in("clerk")
    with clock.at(NOW + timedelta(seconds=59)):
        is_in(browser)
        assert seen() == NOW
    with clock.at(NOW + timedelta(seconds=61)):
        is_in(browser)
        assert seen() == NOW + timedelta(seconds=61)


# --- tills ---


@state
def cashier(city: None) -> str:
    return a_person("cashier", ("cashier", "canteen", "east"), pin=True)


def who(till: Till) -> object:
    answer = till.call("GET", "/api/v1/pos/boot")
    return answer.json["session"] if answer.status_code == 200 else answer.status_code


def test_a_pin_opens_a_session_on_its_tablet_alone(app: Flask, till: Till, cashier: str) -> None:
    other = a_till(app, "east")
    assert till.log_in(cashier).status_code == 201
    cookie = till.client.get_cookie("till")
    assert cookie is not None
    other.client.set_cookie("till", cookie.value)

    assert who(till) == {"id": cashier, "name": "cashier同志"}
    assert who(other) is None


def test_a_till_session_opens_no_page_of_the_desk(app: Flask, till: Till, city: None) -> None:
    person = a_person("head", ("manager", "canteen", "east"), pin=True)
    assert till.log_in(person).status_code == 201
    cookie = till.client.get_cookie("till")
    assert cookie is not None
    desk = Browser(app.test_client())
    desk.client.set_cookie("desk", cookie.value)
    desk.client.set_cookie("till", cookie.value)

    assert desk.get("/desk/people").status_code == 302
    assert not is_in(desk)


def test_logging_out_of_the_till_ends_it_on_the_server(till: Till, cashier: str) -> None:
    till.log_in(cashier)
    cookie = till.client.get_cookie("till")
    assert cookie is not None

    assert till.call("DELETE", "/api/v1/pos/sessions").status_code == 204
    till.client.set_cookie("till", cookie.value)

    assert who(till) is None


def test_a_new_pin_ends_the_sessions_of_the_old_one(app: Flask, till: Till, cashier: str) -> None:
    other = a_till(app, "east")
    till.log_in(cashier)
    other.log_in(cashier)

    answer = till.call("PUT", "/api/v1/pos/pin", {"pin": PIN, "new_pin": "274951"})

    assert answer.status_code == 204
    assert who(till) == {"id": cashier, "name": "cashier同志"}
    assert who(other) is None
    assert other.log_in(cashier).status_code == 403
    assert other.log_in(cashier, "274951").status_code == 201


def test_a_pin_set_by_a_manager_ends_the_cashiers_session(till: Till, cashier: str) -> None:
    till.log_in(cashier)

    people.reset_pin(cashier, "274951", by="system")

    assert who(till) is None


def test_a_cashier_whose_role_ended_sells_no_more(till: Till, cashier: str) -> None:
    till.log_in(cashier)

    end_grants(cashier)

    answer = till.call("POST", "/api/v1/pos/approvals", {"manager": "x", "pin": "1", "sale": "x"})
    assert answer.status_code == 403
    assert answer.json["code"] == "forbidden"


def test_a_till_session_does_not_idle_out_but_ends_with_the_day(till: Till, cashier: str) -> None:
    with clock.at(clock.now()):
        start = clock.now()
        till.log_in(cashier)
    with clock.at(start + timedelta(hours=11)):
        assert who(till) is not None
    with clock.at(start + timedelta(hours=12, seconds=1)):
        assert who(till) is None


def test_rows_of_long_dead_sessions_are_cleared_away(boss: str) -> None:
    with clock.at(NOW), transaction() as session:
        old = sessions.start(session, boss)
    with clock.at(NOW + timedelta(days=31)), transaction() as session:
        sessions.start(session, boss)

    assert sessions.find(db.session(), old) is None
    assert len(db.session.execute(select(WebSession.id)).all()) == 1
