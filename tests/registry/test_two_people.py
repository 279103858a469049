"""A change that may raise a benefit is asked for by one person and takes effect once another confirmed it."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from canteen import clock
from canteen.auth import change_requests, humans
from canteen.auth.models import ChangeAnswer, ChangeRequest
from canteen.db import db
from canteen.events import Event
from canteen.registry import elders
from tests.auth.house import EAST, EAST_STREET, WEST, WEST_STREET, Browser, a_person
from tests.registry.people import number
from tests.registry.test_pages import NUMBER, an_elder

TODAY = date(2026, 11, 30)


@pytest.fixture(autouse=True)
def today():
    with clock.at(clock.instant(TODAY, 600)):
        yield


@pytest.fixture
def clerk(city: None, app: Flask) -> Browser:
    """An administrator of the eastern district at a desk."""
    a_person("east", ("admin", "area", EAST))
    browser = Browser(app.test_client())
    browser.log_in("east")
    return browser


@pytest.fixture
def checker(city: None, app: Flask) -> Browser:
    """Another one of the same district."""
    a_person("chief", ("admin", "area", EAST))
    browser = Browser(app.test_client())
    browser.log_in("chief")
    return browser


def note(browser: Browser, elder: uuid.UUID, **fields: str) -> str:
    """Note a fact on the elder's page; answers what the page said was done."""
    fields = {key.rstrip("_"): value for key, value in fields.items()}
    location = browser.post(f"/desk/elders/{elder}/note", **fields).location or "?done="
    return location.partition("done=")[2]


def classes(elder: uuid.UUID, on: date = TODAY) -> tuple[str, ...]:
    found = elders.as_diner(db.session(), elder, on).classes
    db.session.rollback()
    return found


def requests() -> list[int]:
    found = list(db.session.execute(select(ChangeRequest.id).order_by(ChangeRequest.id)).scalars())
    db.session.rollback()
    return found


def the_request() -> int:
    (found,) = requests()
    return found


def test_a_back_dated_class_has_no_effect_until_another_confirms(clerk: Browser, checker: Browser):
    li = an_elder()
    assert note(clerk, li, kind="class", value="tekun", from_="2026-10-01") == "asked"
    assert classes(li) == classes(li, date(2026, 10, 1)) == ()
    assert "特困" in clerk.get(f"/desk/elders/{li}").text
    assert "待复核" in clerk.get(f"/desk/elders/{li}").text
    path = f"/desk/changes/{the_request()}"
    assert clerk.post(path, act="confirm").status_code == 409
    assert classes(li) == ()
    page = checker.get(path).text
    assert all(
        word in page for word in ("李秀英", "人员类别：无", "人员类别：特困", "2026-10-01", "east同志", "早于今天")
    )
    assert NUMBER not in page
    assert checker.post(path, act="confirm").location == "/desk/changes?done=confirmed"
    assert classes(li) == classes(li, date(2026, 10, 1)) == ("tekun",)
    assert "待复核，尚未生效" not in clerk.get(f"/desk/elders/{li}").text


def test_the_events_of_a_confirmed_change_name_both_people(clerk: Browser, checker: Browser):
    li = an_elder()
    note(clerk, li, kind="class", value="tekun", from_="2026-12-01")
    checker.post(f"/desk/changes/{the_request()}", act="confirm")
    acts = {event.kind: (event.actor, event.body) for event in db.session.execute(select(Event)).scalars()}
    assert acts["elder.note"][0] == "id-east"
    assert '"confirmed_by":"id-chief"' in acts["elder.note"][1]
    assert acts["change.confirm"][0] == "id-chief"
    assert '"asked_by":"id-east"' in acts["change.confirm"][1]


def test_a_refused_change_is_never_valid_and_says_why(clerk: Browser, checker: Browser):
    li = an_elder()
    note(clerk, li, kind="class", value="tekun", from_="2026-12-01")
    path = f"/desk/changes/{the_request()}"
    assert checker.post(path, act="refuse", reason="").status_code == 422
    assert checker.post(path, act="refuse", reason="没有民政文件").status_code == 302
    assert classes(li, date(2026, 12, 2)) == ()
    assert "没有民政文件" in clerk.get(path).text
    assert checker.post(path, act="confirm").status_code == 409
    assert classes(li, date(2026, 12, 2)) == ()


def test_two_accounts_of_one_human_are_no_two_people(clerk: Browser, checker: Browser):
    li = an_elder()
    note(clerk, li, kind="class", value="tekun", from_="2026-12-01")
    humans.tie("id-east", "id-chief", by="system")
    assert checker.post(f"/desk/changes/{the_request()}", act="confirm").status_code == 409
    assert classes(li, date(2026, 12, 2)) == ()


def test_only_who_answers_for_the_place_sees_or_confirms(clerk: Browser, app: Flask):
    li = an_elder()
    note(clerk, li, kind="class", value="tekun", from_="2026-12-01")
    path = f"/desk/changes/{the_request()}"
    for login, role, area in (("west", "admin", WEST), ("street", "reviewer", EAST_STREET)):
        a_person(login, (role, "area", area))
        other = Browser(app.test_client())
        other.log_in(login)
        assert other.post(path, act="confirm").status_code in {403, 404}
        assert "李秀英" not in other.get("/desk/changes").text
    assert classes(li, date(2026, 12, 2)) == ()


def test_the_menu_counts_what_waits_for_this_very_person(clerk: Browser, checker: Browser):
    note(clerk, an_elder(), kind="class", value="tekun", from_="2026-12-01")
    assert 'class="waits">1<' in checker.get("/desk/changes").text
    assert 'class="waits"' not in clerk.get("/desk/changes").text


def test_the_auditor_reads_what_waits_and_answers_nothing(clerk: Browser, app: Flask):
    note(clerk, an_elder(), kind="class", value="tekun", from_="2026-12-01")
    a_person("auditor", ("auditor", "area", EAST))
    auditor = Browser(app.test_client())
    auditor.log_in("auditor")
    path = f"/desk/changes/{the_request()}"
    assert "特困" in auditor.get(path).text
    assert 'value="confirm"' not in auditor.get(path).text
    assert auditor.post(path, act="confirm").status_code == 403


def test_ending_or_lowering_a_benefit_is_valid_at_once(clerk: Browser, checker: Browser):
    li = an_elder()
    note(clerk, li, kind="class", value="dibao", from_="2026-01-01")
    checker.post(f"/desk/changes/{the_request()}", act="confirm")
    assert note(clerk, li, kind="status", value="deceased", from_="2026-11-01") == "noted"
    fact = next(each for each in elders.facts_about(db.session(), li) if each.kind == "class")
    db.session.rollback()
    done = clerk.post(f"/desk/elders/{li}/take_back", fact=str(fact.id))
    assert done.location.endswith("taken_back")
    assert classes(li) == ()
    assert len(requests()) == 1


@pytest.mark.parametrize(
    ("fields", "done"),
    [
        ({"kind": "class", "value": "alone", "from_": "2026-12-01"}, "asked"),
        ({"kind": "level", "value": "3", "from_": "2026-12-01"}, "asked"),
        ({"kind": "residence", "value": EAST, "from_": "2026-11-29"}, "asked"),
        ({"kind": "hukou", "value": EAST, "from_": "2026-11-29"}, "asked"),
        ({"kind": "residence", "value": EAST, "from_": "2026-11-30"}, "noted"),
        ({"kind": "household", "value": "H1", "from_": "2026-11-30"}, "noted"),
        ({"kind": "household", "value": "H1", "from_": "2026-11-29"}, "asked"),
        ({"kind": "status", "value": "suspended", "from_": "2026-10-01"}, "noted"),
    ],
)
def test_a_second_person_is_asked_for_what_may_raise(clerk: Browser, fields: dict[str, str], done: str):
    assert note(clerk, an_elder(), **fields) == done


def test_a_death_is_undone_by_two_people(clerk: Browser, checker: Browser):
    li = an_elder()
    note(clerk, li, kind="status", value="deceased", from_="2026-11-30")
    fact = next(each for each in elders.facts_about(db.session(), li) if each.kind == "status")
    assert clerk.post(f"/desk/elders/{li}/take_back", fact=str(fact.id)).location.endswith("asked")
    tomorrow = date(2026, 12, 1)
    assert elders.as_diner(db.session(), li, tomorrow).statuses == ("deceased",)
    db.session.rollback()
    checker.post(f"/desk/changes/{the_request()}", act="confirm")
    assert elders.as_diner(db.session(), li, tomorrow).statuses == ()


def test_taking_back_the_end_of_a_class_is_a_gain(clerk: Browser, checker: Browser):
    li = an_elder()
    note(clerk, li, kind="class", value="dibao", from_="2026-01-01")
    checker.post(f"/desk/changes/{the_request()}", act="confirm")
    session = db.session()
    known = next(each for each in elders.facts_about(session, li) if each.kind == "class")
    ended = elders.NewFact("class", "dibao", known.from_day, date(2026, 10, 31), known.id)
    with change_requests.transaction() as writing:
        elders.note(writing, li, [ended], "id-east")
    last = max(elders.facts_about(db.session(), li), key=lambda fact: fact.id)
    assert clerk.post(f"/desk/elders/{li}/take_back", fact=str(last.id)).location.endswith("asked")
    assert classes(li) == ()


def test_a_new_person_comes_in_at_once_and_the_classes_wait(clerk: Browser, checker: Browser):
    form = {"name": "李秀英", "document": "resident", "hukou": EAST_STREET, "since": "2026-01-01", "class": "dibao"}
    done = clerk.post("/desk/elders/new", **form, number=NUMBER)
    assert done.location.endswith("registered_asked")
    li = uuid.UUID(done.location.split("/")[-1].partition("?")[0])
    assert classes(li) == ()
    assert elders.as_diner(db.session(), li, TODAY).hukou[-1] == EAST_STREET
    db.session.rollback()
    checker.post(f"/desk/changes/{the_request()}", act="confirm")
    assert classes(li, date(2026, 1, 1)) == ("dibao",)


def merge(browser: Browser, elder: uuid.UUID, other: str) -> str:
    return str(browser.post(f"/desk/elders/{elder}/merge", other=other).location).partition("done=")[2]


def test_a_merge_that_gains_something_shows_both_and_waits(clerk: Browser, checker: Browser):
    poor = an_elder()
    note(clerk, poor, kind="class", value="dibao", from_="2026-12-01")
    checker.post(f"/desk/changes/{the_request()}", act="confirm")
    rich_number = number("19580305", 105)
    rich = an_elder(name="王强", id_number=rich_number)
    with clock.at(clock.instant(date(2026, 12, 2), 600)):
        clerk.log_in("east")
        checker.log_in("chief")
        assert merge(clerk, rich, NUMBER) == "asked"
        later = date(2026, 12, 3)
        assert classes(rich, later) == ()
        page = checker.get(f"/desk/changes/{requests()[-1]}").text
        assert all(word in page for word in ("王强", "李秀英", "本登记类别：无", "低保", "出生日期不同", "性别不同"))
        checker.post(f"/desk/changes/{requests()[-1]}", act="confirm")
        assert classes(rich, later) == ("dibao",)


def test_a_merge_of_equal_entries_is_valid_at_once(clerk: Browser):
    an_elder()
    twin = an_elder(name="李秀瑛", id_number=number(order=104, region="220102"))
    assert merge(clerk, twin, NUMBER) == "merged"
    assert requests() == []


def test_a_change_overtaken_meanwhile_stays_open(clerk: Browser, checker: Browser):
    li = an_elder()
    note(clerk, li, kind="status", value="deceased", from_="2026-11-30")
    fact = next(each for each in elders.facts_about(db.session(), li) if each.kind == "status")
    clerk.post(f"/desk/elders/{li}/take_back", fact=str(fact.id))
    with change_requests.transaction() as session:
        elders.note(session, li, [elders.NewFact("status", "", fact.from_day, None, fact.id)], "id-east")
    answer = checker.post(f"/desk/changes/{the_request()}", act="confirm")
    assert answer.status_code == 409
    assert db.session.execute(select(ChangeAnswer)).first() is None


def test_the_same_wish_is_asked_for_once(clerk: Browser):
    li = an_elder()
    fields: dict[str, Any] = {"kind": "class", "value": "tekun", "from_": "2026-12-01"}
    assert [note(clerk, li, **fields), note(clerk, li, **fields)] == ["asked", "asked"]
    assert len(requests()) == 1


def test_an_elder_elsewhere_is_asked_about_where_one_answers_for(clerk: Browser, checker: Browser):
    li = an_elder()
    assert note(clerk, li, kind="residence", value=WEST_STREET, from_="2026-11-30") == "noted"
    assert note(clerk, li, kind="class", value="tekun", from_="2026-12-01") == "asked"
    assert checker.post(f"/desk/changes/{the_request()}", act="confirm").status_code == 302
