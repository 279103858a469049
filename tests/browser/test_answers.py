"""What a tablet makes of the server's answers: lost, cut, late, refused in part (P1, P5)."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.browser.conftest import Shop
from tests.browser.tills import QUOTES, RECORDS, Till

pytestmark = pytest.mark.browser
LATER = '{"incarnation":"INCARNATION","at":"","results":[{"id":"1/1","outcome":"later","reason":"database_away","message":null}]}'
BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)


@BOTH
def test_lost_answer_is_asked_for_again_and_books_once(shop: Shop, till: Till) -> None:
    swallowed: list[int] = []

    def swallow(route: Route) -> None:
        if len(swallowed) < 2:
            swallowed.append(route.fetch().status)
            route.abort()
        else:
            route.continue_()

    till.page.route(RECORDS, swallow)
    till.scan(shop.grandma)
    till.pay()
    till.sent()
    assert swallowed == [200, 200]
    assert (shop.count("sale"), shop.count("record"), shop.count("payment")) == (1, 1, 1)
    assert [row["state"] for row in till.outbox()] == ["settled"]


@pytest.mark.parametrize("body", ["", '{"at":"2026-11-2'], ids=["nothing of it", "a part of it"])
def test_an_answer_of_which_only_a_part_came_is_no_answer(shop: Shop, till: Till, body: str) -> None:
    till.page.route(QUOTES, lambda route: route.fulfill(status=200, content_type="application/json", body=body))
    till.scan(shop.grandma)
    till.sees("网络不通")
    till.page.unroute(QUOTES)
    till.scan(shop.grandma)
    till.due("7.00 元")


def test_unreadable_record_does_not_block_the_others(shop: Shop, till: Till) -> None:
    paid: list[str] = []

    def refuse_the_first(route: Route) -> None:
        sent: Any = route.request.post_data_json
        if len(paid) < 2:
            route.abort()  # so that both wait, and go together
        elif any(record["number"] == 1 for record in sent["records"]):
            body = '{"code":"envelope_malformed","detail":"记录无法识别"}'
            route.fulfill(status=422, content_type="application/problem+json", body=body)
        else:
            route.continue_()

    till.page.route(RECORDS, refuse_the_first)
    for card in (shop.grandma, shop.grandpa):
        till.scan(card)
        till.due("7.00 元")
        till.pay()
        paid.append(card)
    expect(till.page.locator("[data-slot=done][data-state=settled][data-number='2']")).to_be_visible()
    till.unsent(1)
    assert shop.count("sale") == 1
    till.page.click("text=今日记录")
    till.sees("待上传，服务器未接收：记录无法识别")
    till.page.click("nav >> text=设备状态")
    expect(till.page.locator(".unaccepted li")).to_have_text(re.compile("第 1/1 号.*李奶奶.*服务器未接收"))
    till.page.unroute(RECORDS)
    till.sent()
    assert shop.count("sale") == 2


def test_a_server_that_cannot_book_just_now_is_asked_again(shop: Shop, till: Till) -> None:
    later = (200, LATER.replace("INCARNATION", shop.incarnation))
    answers = itertools.chain([(503, "{}"), later], itertools.repeat((503, "{}")))

    def busy(route: Route) -> None:
        status, body = next(answers)
        route.fulfill(status=status, content_type="application/json", body=body)

    till.page.route(RECORDS, busy)
    till.scan(shop.grandma)
    till.due("7.00 元")
    answered = itertools.count(1)
    with till.page.expect_response(lambda response: "/records" in response.url and next(answered) == 3):
        till.pay()
    till.unsent(1)
    till.page.unroute(RECORDS)
    till.sent()
    assert shop.count("sale") == 1


def test_quarantined_record_is_listed_and_the_next_one_is_booked(shop: Shop, till: Till) -> None:
    def set_aside(route: Route) -> None:
        sent: Any = route.request.post_data_json
        if sent["records"][0]["number"] == 1:
            kept = route.fetch()
            refused = {"outcome": "quarantined", "reason": "hash", "message": "签名有误"}
            route.fulfill(response=kept, json={**kept.json(), "results": [{**kept.json()["results"][0], **refused}]})
        else:
            route.continue_()

    till.page.route(RECORDS, set_aside)
    till.scan(shop.grandma)
    till.pay()
    till.sent()
    till.scan(shop.grandpa)
    till.pay()
    till.sent()
    till.page.click("text=设备状态")
    expect(till.page.locator(".unaccepted li")).to_have_text(re.compile("第 1/1 号.*李奶奶.*签名有误"))
    assert [row["state"] for row in till.outbox()] == ["quarantined", "settled"]
