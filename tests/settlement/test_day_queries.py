"""A canteen's day on the desk: its meals, the money by kind of payment, and what of its meals may not be claimed."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from flask import Flask

from canteen import clock
from canteen.policy import outcome
from canteen.pos import notices
from canteen.settlement.desk import day_queries
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement.conftest import Town, at

JAN5 = date(2026, 1, 5)
PAGE = f"/desk/canteen/day?day={JAN5}"
PEOPLE = {
    "manager": ("manager", "canteen", "c1"),
    "street": ("reviewer", "area", world.STREET),
    "elsewhere": ("finance", "area", world.OTHER_DISTRICT),
    "neighbour": ("manager", "canteen", "c2"),
    "cashier2": ("cashier", "canteen", "c1"),
}
TOLD = "这位老人的补贴先前已用完（这一餐可能已在别处享受过），本单补贴 5.00 元不能申报，请勿再向老人收钱。有疑问请联系食堂负责人。"


@state
def day(town: Town) -> Town:
    """One elder's lunch priced twice before either was sent: the second has no subsidy left. A guest; a void."""
    for login, grant in PEOPLE.items():
        a_person(login, grant)
    twice = [town.sealed(JAN5, town.cards[0], minute=minute) for minute in (30, 31)]
    results = town.bring(at(JAN5, 11, 32), *twice)
    assert [result.outcome for result in results] == ["created", "kept"]
    town.sell(JAN5, None, minute=40)
    gone = town.sell(JAN5, town.elder(), minute=50)
    assert town.void(gone[0], at(JAN5, 11, 55)).outcome == "created"
    return town


@pytest.fixture
def desk(app: Flask, day: Town) -> Any:
    def enter(login: str) -> Browser:
        browser = Browser(app.test_client())
        browser.log_in(login)
        return browser

    return enter


def text(answer: Any) -> str:
    """The words of a page without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))


def test_the_day_shows_meals_money_and_what_is_excluded_why(desk: Any) -> None:
    page = text(desk("manager").get(PAGE))
    assert "午餐 3 36.00 10.00 26.00" in page
    assert "另有 1 份已撤单" in page
    assert "现金 33.00 7.00 26.00" in page
    assert "补贴不能申报的就餐（1 份，5.00 元）" in page
    assert f"2026-01-05 11:31 午餐 李秀英 小王 7.00 5.00 {notices.WHAT['used_up']}" in page
    assert page.count("荤素套餐") == 4


def test_the_day_is_seen_only_by_those_who_may_see_sales_there(desk: Any) -> None:
    assert "康乐食堂" in text(desk("street").get(f"{PAGE}&canteen=c1"))
    assert "食堂一日" in text(desk("manager").get("/desk/claims"))
    for login in ("elsewhere", "neighbour"):
        assert desk(login).get(f"{PAGE}&canteen=c1").status_code == 404
        assert "荤素套餐" not in desk(login).get(PAGE).text
    assert desk("cashier2").get(PAGE).status_code in {403, 404}


def test_a_day_without_meals_says_so_and_a_wrong_day_is_today(desk: Any) -> None:
    browser, before = desk("manager"), clock.today()
    assert "还没有收到就餐记录" in text(browser.get("/desk/canteen/day?day=2026-01-04"))
    for odd in ("x", "2026-13-01", "9999-12-31", ""):
        page = text(browser.get(f"/desk/canteen/day?day={odd}"))
        assert any(f"康乐食堂 {day}" in page for day in (before, clock.today()))


def test_a_voided_meal_is_not_among_the_excluded(day: Town) -> None:
    excluded = day_queries.on("c1", JAN5, {"k1"}, after=None).excluded
    day.void(str(excluded[0].meal.id), at(JAN5, 12))
    assert day_queries.on("c1", JAN5, {"k1"}, after=None).excluded == []


def test_a_long_day_goes_on_on_the_next_page(day: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_queries, "SIZE", 3)
    first = day_queries.on("c1", JAN5, {"k1"}, after=None)
    rest = day_queries.on("c1", JAN5, {"k1"}, after=first.after)
    assert (len(first.meals), len(rest.meals), rest.after) == (3, 1, None)
    assert len({one.meal.id for one in (*first.meals, *rest.meals)}) == 4
    assert [day_queries.on("c1", JAN5, {"k1"}, after=other).meals for other in ("nonsense", "1~2", "")] == [
        first.meals
    ] * 3


def test_a_late_or_repeated_record_is_answered_what_it_lost(town: Town) -> None:
    first, second = (town.sealed(JAN5, town.cards[0], minute=minute) for minute in (30, 31))
    town.bring(at(JAN5, 11, 32), first)
    results = [town.bring(when, second)[0] for when in (at(date(2026, 1, 6), 9), at(date(2026, 1, 7), 9))]
    notices_shown = [
        notices.sentences((one.sale, one.fen, one.reason) for one in result.excluded) for result in results
    ]
    assert [result.outcome for result in results] == ["kept", "have"]
    assert notices_shown == [{second_sale(second): TOLD}] * 2


def second_sale(sealed: dict[str, Any]) -> str:
    found = re.search(r'"sales":\[\{"id":"([^"]+)"', sealed["body"])
    assert found
    return found[1]


def test_a_counter_notice_names_no_status_and_no_death() -> None:
    for code in (*outcome.WHY, "after_death", "class", "a code of next year"):
        if code not in notices.WHAT:
            assert notices.what(code) == notices.OTHER
    assert "2.00 元暂不能申报" in notices.sentences([("s1", 200, "self_dated")])["s1"]
    shown = notices.sentences([("s1", 100, "used_up"), ("s1", 250, "class"), ("s2", 300, "class")])
    assert "3.50 元" in shown["s1"]
    assert shown["s2"].startswith(notices.OTHER)
