"""The calendar: days that the regulation fixes, years not entered, and days entered after they had passed."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import calendars, clock, events
from canteen.db import transaction
from canteen.places import Contract
from canteen.pos.models import Sale
from canteen.settlement.corrections import revaluations
from canteen.settlement.models import RevaluedSale
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement import late
from tests.settlement.conftest import Town, at, town

__all__ = ["town"]

ASKS = world.GUARDED.replace("when: {age: {from: 60}}", "when: {age: {from: 60}, day_kind: [workday, makeup]}")
NEW_YEAR, FRIDAY, SUNDAY = date(2027, 1, 1), date(2027, 1, 8), date(2027, 1, 3)
SPRING = {  # the first day of the lunar year, as almanacs print it
    2026: "02-17", 2027: "02-06", 2028: "01-26", 2029: "02-13", 2030: "02-03", 2031: "01-23", 2032: "02-11",
    2033: "01-31", 2034: "02-19", 2035: "02-08",
}  # fmt: skip


# --- by regulation ---


@pytest.mark.parametrize("year", SPRING)
def test_the_regulation_fixes_the_same_days_every_year(year: int) -> None:
    found = calendars.statutory(year)
    counts = {name: list(found.values()).count(name) for name in found.values()}
    both = {} if year in (2028, 2031) else {"中秋节": 1}  # in these it falls on a day of 国庆

    assert counts == {"元旦": 1, "春节": 4, "清明节": 1, "劳动节": 2, "端午节": 1, "国庆节": 3} | both
    assert found[date.fromisoformat(f"{year}-{SPRING[year]}")] == "春节"
    assert found[date.fromisoformat(f"{year}-{SPRING[year]}") - timedelta(days=1)] == "春节"


def test_the_regulation_s_days_are_holidays_in_an_announced_year() -> None:
    assert {day: calendars.festival(day) for day in calendars.statutory(2026)} == calendars.statutory(2026)
    assert {calendars.day_kind(day) for day in calendars.statutory(2026)} == {"holiday"}


def test_a_year_not_announced_knows_the_fixed_days_and_weekdays() -> None:
    kinds = {day: calendars.day_kind(date.fromisoformat(day)) for day in (
        "2027-01-01", "2027-01-02", "2027-01-04", "2027-02-05", "2027-02-08", "2027-02-09", "2027-04-05", "2027-06-09",
        "2027-09-15", "2027-10-03", "2027-10-04",
    )}  # fmt: skip

    assert [day for day, kind in kinds.items() if kind == "holiday"] == [
        "2027-01-01", "2027-02-05", "2027-02-08", "2027-04-05", "2027-06-09", "2027-09-15", "2027-10-03",
    ]  # fmt: skip
    assert (kinds["2027-01-02"], kinds["2027-01-04"], kinds["2027-02-09"]) == ("weekend", "workday", "workday")


# --- what is entered ---


def enter_all(year: int, *, on: date) -> None:
    """Enter every day of the regulation, each by itself."""
    with clock.at(at(on)):
        for day, name in calendars.statutory(year).items():
            calendars.arrange(day, day, "holiday", name, by="p-admin")


def test_days_are_provisional_until_each_fixed_day_is_entered(app: Flask, session: Session) -> None:
    bridge = date(2027, 2, 9)
    assert calendars.is_provisional(session, bridge)
    assert not calendars.is_provisional(session, date(2026, 2, 9))
    session.rollback()
    with clock.at(at(date(2026, 11, 10))):
        calendars.arrange(bridge, bridge, "holiday", "春节", by="p-admin")
    assert not calendars.is_provisional(session, bridge)
    assert calendars.is_provisional(session, FRIDAY)
    session.rollback()

    enter_all(2027, on=date(2026, 11, 10))

    assert not calendars.provisional(session, 2027)
    assert not calendars.is_provisional(session, FRIDAY)
    assert calendars.is_provisional(session, FRIDAY, upto=1)


def test_a_provisional_day_may_be_entered_after_it_passed(app: Flask, session: Session) -> None:
    with clock.at(at(FRIDAY)):
        calendars.arrange(SUNDAY, SUNDAY, "makeup", "元旦", by="p-admin")
        assert calendars.kind_on(session, SUNDAY) == "makeup"
        event = session.execute(select(events.Event.number, events.Event.body)).one()
        assert calendars.kind_on(session, SUNDAY, upto=event[0] - 1) == "weekend"
        session.rollback()
        calendars.arrange(
            SUNDAY, SUNDAY, "weekend", "", by="p-admin"
        )  # a slip of the one before: no meal was priced by it
        assert calendars.kind_on(session, SUNDAY) == "weekend"
        session.rollback()
        with pytest.raises(calendars.DayPassed):
            calendars.arrange(date(2026, 12, 31), SUNDAY, "holiday", "", by="p-admin")


def test_a_passed_day_that_was_known_in_time_is_not_changed(app: Flask, session: Session) -> None:
    enter_all(2027, on=date(2026, 11, 10))
    with clock.at(at(FRIDAY)):
        for day in (NEW_YEAR, SUNDAY, FRIDAY):
            with pytest.raises(calendars.DayPassed):
                calendars.arrange(day, day, "makeup", "", by="p-admin")


def test_a_year_not_entered_is_missing_from_november_on(app: Flask, session: Session) -> None:
    assert calendars.missing_years(session, date(2026, 10, 31)) == []
    assert calendars.missing_years(session, date(2026, 11, 1)) == [2027]
    assert calendars.missing_years(session, date(2027, 3, 1)) == [2027]
    session.rollback()
    enter_all(2027, on=date(2026, 11, 10))
    assert calendars.missing_years(session, date(2026, 12, 31)) == []


def front(app: Flask, day: date) -> str:
    """Return the first page of the desk for a writer of rulebooks."""
    with clock.at(at(day)):
        a_person(f"writer{day:%m}", ("admin", "area", world.CITY))
        browser = Browser(app.test_client())
        browser.log_in(f"writer{day:%m}")
        return str(browser.get("/", follow_redirects=True).text)


def test_the_desk_opens_with_the_year_that_is_not_entered(app: Flask, town: Town) -> None:
    assert "尚未录入" not in front(app, date(2026, 10, 30))
    november = front(app, date(2026, 11, 2))
    assert "2027 年放假安排尚未录入" in november
    assert "请立即录入" not in november
    world.a_rulebook(town.session, ASKS, from_day=date(2026, 6, 1))

    december = front(app, date(2026, 12, 1))

    assert "“测试标准”按日期类别计算补贴，未录入会算错，请立即录入" in december


# --- meals of a provisional day ---


@state
def january(town: Town) -> Town:
    """Sell meals of 2027 under a rule for working days: on New Year's Day, a Sunday and a Friday."""
    with transaction() as session:
        session.get_one(Contract, "k1").from_day = NEW_YEAR
    world.a_rulebook(town.session, ASKS, from_day=date(2026, 6, 1))
    town.sold = {day: town.sell(day, town.cards[0], hour=11)[0] for day in (NEW_YEAR, SUNDAY, FRIDAY)}  # type: ignore[attr-defined]
    return town


def sales(session: Session) -> dict[date, tuple[int, str]]:
    session.rollback()
    return {row.service_day: (row.due_fen, row.flags) for row in session.execute(select(Sale)).scalars()}


def test_a_meal_on_a_provisional_day_is_sold_and_flagged(january: Town) -> None:
    assert sales(january.session) == {
        NEW_YEAR: (1200, "day_provisional"), SUNDAY: (1200, "day_provisional"), FRIDAY: (700, "day_provisional"),
    }  # fmt: skip


def test_nothing_is_flagged_where_no_rule_asks_the_day_kind(town: Town) -> None:
    town.sell(NEW_YEAR, town.cards[0])

    assert sales(town.session) == {NEW_YEAR: (700, "")}


def days_found(town: Town) -> list[Any]:
    return [json.loads(one.body)["days"] for one in town.findings("2027-01") if one.code == "day_provisional"]


def test_the_close_names_days_not_entered_or_entered_otherwise(january: Town) -> None:
    with clock.at(at(date(2027, 1, 9))):
        calendars.arrange(NEW_YEAR, NEW_YEAR, "holiday", "元旦", by="p-admin")  # as it was priced: nothing to judge
        calendars.arrange(SUNDAY, SUNDAY, "makeup", "元旦", by="p-admin")

    january.close("2027-01")

    assert days_found(january) == [[["2027-01-03", "weekend", 1, "makeup"], ["2027-01-08", "workday", 1, ""]]]


def test_a_revaluation_takes_the_kind_that_was_entered_later(january: Town) -> None:
    with clock.at(at(date(2027, 1, 9))):
        calendars.arrange(SUNDAY, SUNDAY, "makeup", "元旦", by="p-admin")
    assert sales(january.session)[SUNDAY] == (1200, "day_provisional")  # what was sold stays as it was sold

    number, found = late.notice(ASKS, NEW_YEAR, FRIDAY, on=date(2027, 1, 10))

    rows = january.session.execute(
        select(RevaluedSale.service_day, RevaluedSale.due_fen, RevaluedSale.refund_fen)
    ).all()
    assert [tuple(row) for row in rows] == [(SUNDAY, 700, 500)]
    january.close("2027-01")
    claimed = {(line[0], line[6]) for line in january.lines("2027-01")}
    assert claimed == {("meals", 500), ("revaluation", 500)}
    assert revaluations.find(january.session, number).cause == "notice"
    assert found["meals"] == 3
