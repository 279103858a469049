"""The pages where a canteen's manager writes the menu, and who reaches them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from flask import Flask
from PIL import Image

from canteen import clock
from canteen.db import db
from canteen.menus import offers
from tests.auth.house import Browser, a_person, build_city
from tests.rigs.states import state

TODAY = date(2026, 6, 9)
DISH = {"canteen": "east", "name": "红烧肉", "category": "meat", "periods": "lunch", "price": "18", "since": ""}


@state
def city(app: Flask) -> None:
    with clock.at(clock.instant(TODAY, 540)):
        build_city()
        a_person("manager", ("manager", "canteen", "east"))
        a_person("cashier", ("cashier", "canteen", "east"))


@pytest.fixture
def desk(app: Flask, city: None) -> Iterator[Browser]:
    with clock.at(clock.instant(TODAY, 600)):
        browser = Browser(app.test_client())
        browser.log_in("manager")
        yield browser


def offered(day: date = TODAY) -> list[tuple[str, int, bool]]:
    db.session.rollback()
    found = [(one.name, one.fen, one.sold_out) for one in offers.read_offers(db.session(), "east", day)]
    db.session.rollback()
    return found


def test_a_manager_writes_the_menu_and_prices_it(desk: Browser) -> None:
    assert "今天还没有可卖的菜品" in desk.get("/desk/canteen/menu").text
    added = desk.post("/desk/canteen/menu", **DISH)
    assert (added.status_code, offered()) == (302, [("红烧肉", 1800, False)])
    tomorrow = (TODAY + timedelta(days=1)).isoformat()
    dish = "/desk/canteen/menu/east-001"
    assert desk.post(f"{dish}/price", price="20.5", since=tomorrow).status_code == 302
    page = desk.get(dish).text
    assert all(text in page for text in ("涨 2.50", "manager同志", "首次定价"))
    assert f"{tomorrow} 起 20.50" in desk.get("/desk/canteen/menu").text
    desk.post("/desk/canteen/sold-out", item="east-001", period="lunch", gone="yes")
    assert (offered(), offered(TODAY + timedelta(days=1))) == (
        [("红烧肉", 1800, True)],
        [("红烧肉", 2050, False)],
    )
    desk.post(f"{dish}/amend", name="红烧肉饭", category="set", periods="dinner", position="3")
    desk.post(f"{dish}/end")
    assert offered() == []
    desk.post(f"{dish}/resume")
    assert offered() == [("红烧肉饭", 1800, False)]


def test_a_bad_dish_is_refused_and_what_was_typed_stays(desk: Browser) -> None:
    for wrong, said in (
        ({"price": "-1"}, "价格请填"),
        ({"price": "十八"}, "价格请填"),
        ({"name": " "}, "请填写菜品名称"),
        ({"since": "2026-06-08"}, "价格只能从今天"),
        ({"more_tags": "<b>"}, "补贴标签只能用"),
    ):
        answer = desk.post("/desk/canteen/menu", **DISH | wrong)
        assert answer.status_code in {400, 409, 422}, wrong
        assert said in answer.text
    assert 'value="18"' in answer.text
    assert offered() == []


def test_a_week_is_planned_copied_and_printed(desk: Browser) -> None:
    desk.post("/desk/canteen/menu", **DISH | {"periods": ""})
    for day, status in ((TODAY, 302), (TODAY - timedelta(days=1), 422)):
        answer = desk.post("/desk/canteen/plan", canteen="east", day=day.isoformat(), lunch="east-001")
        assert answer.status_code == status
    week = TODAY + timedelta(days=7)
    assert desk.post("/desk/canteen/plan", canteen="east", week=week.isoformat(), act="copy").status_code == 302

    assert offered(week) == [("红烧肉", 1800, False)]
    wall = desk.get(f"/desk/canteen/plan?week={week}&wall=1").text
    assert "红烧肉 18.00元" in wall


def test_a_photo_is_shown_as_it_was_made(desk: Browser) -> None:
    desk.post("/desk/canteen/menu", **DISH)
    picture = io.BytesIO()
    Image.new("RGB", (800, 800), "red").save(picture, "PNG")
    sent = {"csrf": desk.token("/desk/account"), "photo": (io.BytesIO(picture.getvalue()), "a.png")}
    assert desk.client.post("/desk/canteen/menu/east-001/photo", data=sent).status_code == 302

    shown = desk.get("/desk/canteen/menu/east-001/photo")
    assert (shown.mimetype, shown.data[:2]) == ("image/jpeg", b"\xff\xd8")
    assert shown.headers["X-Content-Type-Options"] == "nosniff"
    bad = {"csrf": desk.token("/desk/account"), "photo": (io.BytesIO(b"<svg/>"), "a.png")}
    assert "照片打不开" in desk.client.post("/desk/canteen/menu/east-001/photo", data=bad).text


def test_serving_points_are_named_ended_and_taken_up(desk: Browser) -> None:
    desk.post("/desk/canteen/points", canteen="east", name="一号窗口", kind="window")
    desk.post("/desk/canteen/points/east-p1/amend", name="送餐车", kind="delivery")
    assert "送餐车（送餐）" in desk.get("/desk/canteen/points").text
    desk.post("/desk/canteen/points/east-p1/end")
    assert "2026-06-09 起停用" in desk.get("/desk/canteen/points").text
    desk.post("/desk/canteen/points/east-p1/resume")
    assert "起停用" not in desk.get("/desk/canteen/points").text
    assert desk.post("/desk/canteen/points", canteen="east", name="", kind="window").status_code == 422


def test_a_canteen_that_cannot_sell_is_named(desk: Browser) -> None:
    front = desk.get("/desk", follow_redirects=True).text
    assert "east餐厅还不能收银" in front
    assert "没有标价的菜品" in front
    assert "west餐厅" not in front
    desk.post("/desk/canteen/menu", **DISH)
    front = desk.get("/desk", follow_redirects=True).text
    assert "没有供餐时间" in front
    assert "没有标价的菜品" not in front


def test_a_menu_elsewhere_does_not_exist(desk: Browser, app: Flask) -> None:
    desk.post("/desk/canteen/menu", **DISH)
    for path in ("menu", "plan", "points"):
        assert desk.get(f"/desk/canteen/{path}?canteen=west").status_code == 404
        assert desk.post(f"/desk/canteen/{path}", **DISH | {"canteen": "west"}).status_code == 404
    cashier = Browser(app.test_client())
    cashier.log_in("cashier")
    for path in ("menu", "plan", "points", "menu/east-001", "menu/east-001/photo"):
        assert cashier.get(f"/desk/canteen/{path}").status_code == 403
