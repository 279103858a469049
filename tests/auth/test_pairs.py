"""Two accounts of one human are named to the auditor: one browser, one hour, or a password set by the other."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from flask import Flask

from canteen import clock
from canteen.auth import change_requests, humans, pairs, people
from canteen.db import db
from tests.auth.house import CITY, EAST, Browser, a_person

MORNING = clock.instant(date(2026, 11, 30), 8 * 60)


def found() -> list[pairs.Pair]:
    answer = pairs.pairs(db.session())
    db.session.rollback()
    return answer


def log_in(browser: Browser, login: str, minutes: int) -> None:
    with clock.at(MORNING + timedelta(minutes=minutes)):
        assert browser.log_in(login).status_code == 302
        browser.log_out()


@pytest.fixture
def desk(app: Flask, city: None) -> Browser:
    """One browser, and three accounts in the city."""
    for login in ("one", "other", "third"):
        a_person(login, ("admin", "area", CITY))
    return Browser(app.test_client())


def test_accounts_of_one_browser_are_named_nearest_first(desk: Browser) -> None:
    log_in(desk, "one", 0)
    log_in(desk, "other", 20)
    log_in(desk, "third", 200)

    named = found()

    assert named[0].ids == ("id-one", "id-other")
    assert [pair.near for pair in named] == [True, False, False]
    assert named[0].apart == timedelta(minutes=20)


def test_accounts_of_two_browsers_are_not_named(desk: Browser, app: Flask) -> None:
    log_in(desk, "one", 0)
    log_in(Browser(app.test_client()), "other", 1)

    assert found() == []


def test_a_browser_whose_id_was_made_up_is_a_new_one(desk: Browser, app: Flask) -> None:
    log_in(desk, "one", 0)
    forged = Browser(app.test_client())
    kept = desk.client.get_cookie("browser")
    assert kept is not None
    forged.client.set_cookie("browser", kept.value.partition(".")[0] + ".0")
    log_in(forged, "other", 1)

    assert found() == []


def asked_and_confirmed(asker: str, checker: str) -> None:
    spare = a_person("spare")
    with clock.at(MORNING + timedelta(minutes=300)):
        people.grant(spare, "finance", "area", EAST, by=asker)
        request = change_requests.waiting(db.session(), checker)[0].request.id
        change_requests.confirm(request, by=checker)


def test_a_pair_that_both_acted_on_one_thing_stands_first(desk: Browser) -> None:
    log_in(desk, "one", 0)
    log_in(desk, "other", 20)
    log_in(desk, "third", 200)
    asked_and_confirmed("id-one", "id-third")

    first = found()[0]

    assert first.ids == ("id-one", "id-third")
    assert [each.partition(":")[0] for each in first.acted] == ["change"]


def test_a_password_set_by_the_other_before_both_acted_is_named(desk: Browser) -> None:
    with clock.at(MORNING):
        people.reset_password("id-other", "walnut-harbour-77", by="id-one")
    asked_and_confirmed("id-one", "id-other")

    (pair,) = found()

    assert (pair.ids, pair.reset, pair.browsers) == (("id-one", "id-other"), True, 0)


def test_the_auditor_finds_the_pairs_on_a_page_and_others_do_not(desk: Browser, app: Flask) -> None:
    log_in(desk, "one", 0)
    log_in(desk, "other", 20)
    humans.tie("id-one", "id-other", by="system")
    a_person("auditor", ("auditor", "area", CITY))
    a_person("clerk", ("finance", "area", CITY))
    auditor, clerk = Browser(app.test_client()), Browser(app.test_client())
    auditor.log_in("auditor")
    clerk.log_in("clerk")

    page = auditor.get("/desk/audit/accounts").text

    assert all(word in page for word in ("one同志（one）", "other同志（other）", "20 分钟", "已登记为同一人"))
    assert clerk.get("/desk/audit/accounts").status_code == 403
