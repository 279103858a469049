"""Nothing sold is lost and nothing is doubled: cut lines, swallowed answers, servers that are down (P1, P3, P5, P6)."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from canteen import clock
from tests.browser.conftest import OpenTill, Shop
from tests.browser.tills import QUOTES, RECORDS, Till
from tests.rigs.servers import Serve

pytestmark = pytest.mark.browser
LATER = '{"incarnation":"INCARNATION","at":"","results":[{"id":"1/1","outcome":"later","reason":"database_away","message":null}]}'
DISK_FULL = """
() => {
  window.add = IDBObjectStore.prototype.add
  IDBObjectStore.prototype.add = () => { throw new DOMException('the disk is full', 'QuotaExceededError') }
}
"""
BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)


def test_a_line_cut_between_quote_and_pay_does_not_stop_the_sale(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.cut()
    till.pay()
    till.unsent(1)
    till.sees("已存在本机")
    assert shop.count("sale") == 0
    till.mend()
    till.sent()
    assert shop.rows("SELECT due_fen FROM sale") == [(700,)]


def test_a_server_that_is_down_gets_the_sale_when_it_is_back(shop: Shop, serve: Serve, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    shop.server.kill()
    till.pay()
    till.unsent(1)
    serve(shop.config, port=shop.server.port, options=("--no-scheduler",))
    till.sent()
    assert shop.count("sale") == 1


def test_each_request_carries_the_newest_number_of_the_chain(shop: Shop, till: Till) -> None:
    with till.page.expect_request("**/api/v1/pos/quotes") as asked:
        till.scan(shop.grandma)
    till.due("7.00 元")
    before = asked.value.headers["x-tablet-at"].split(";")
    with till.page.expect_request(RECORDS) as brought:
        till.pay()
    after = brought.value.headers["x-tablet-at"].split(";")
    assert (before[1:3], after[1:3]) == (["1", "0"], ["1", "1"])
    assert before[4] == after[4]
    assert int(before[3]) < int(after[3])


def test_offline_lookup_of_a_new_card_fails_with_a_message(shop: Shop, till: Till) -> None:
    till.cut()
    till.scan(shop.grandma)
    till.sees("网络不通")
    assert till.outbox() == []


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


def test_a_clock_set_right_again_hides_no_sale_of_today(shop: Shop, till: Till) -> None:
    till.page.evaluate("{ const now = Date.now; Date.now = () => now() + 26 * 3600_000 }")
    till.page.click("nav >> text=设备状态")
    till.page.click("text=立即上传")
    till.sees("已通知上传")  # the clock was compared with the server's
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.pay()
    till.sent()
    till.open()
    till.at_the_counter()
    till.scan(shop.grandpa)
    till.due("7.00 元")
    till.page.click(".tender[data-kind=round]:has-text('收 10')")
    till.sent()
    till.sees("找零 3.00 元")
    till.page.click("nav >> text=今日记录")
    expect(till.page.locator(".sold")).to_have_count(2)
    till.sees("共 2 份")


def test_a_reload_keeps_the_cashier_and_what_is_not_sent(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.cut()
    till.pay()
    till.open()
    till.at_the_counter()
    till.unsent(1)
    till.sees("上一单")
    till.mend()
    till.sent()
    assert shop.count("sale") == 1


def test_sale_voided_before_sending_arrives_with_its_void(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.cut()
    till.pay()
    till.page.click("text=这一单有误，作废")
    till.page.click(".sold button")
    till.page.click("dialog >> text=点错餐")
    till.page.click("dialog >> text=确认作废")
    till.unsent(2)
    till.mend()
    till.sent()
    assert (shop.count("sale"), shop.count("void")) == (1, 1)
    assert [row["state"] for row in till.outbox()] == ["settled", "settled"]
    till.scan(shop.grandma)
    till.due("7.00 元")


def test_unsent_records_stay_on_the_tablet_after_log_out(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.cut()
    till.pay()
    till.page.click("text=交班")
    till.sees("1 笔待上传，联网后自动上传，不会丢失。")
    till.mend()
    till.log_in()
    till.sent()
    assert shop.count("sale") == 1


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


def test_a_record_that_the_disk_refuses_is_not_called_done(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.page.evaluate(DISK_FULL)
    till.page.click(".tender[data-kind=cash]")
    till.sees("没有存下这一单")
    assert not re.search("[A-Za-z]", till.page.inner_text("[data-slot=message]"))
    expect(till.done).to_be_hidden()
    till.due("7.00 元")
    assert till.outbox() == []
    till.page.evaluate("() => { IDBObjectStore.prototype.add = window.add }")
    till.pay()
    till.sent()
    assert [row["number"] for row in till.outbox()] == [1]


def test_tablet_a_day_ahead_sells_on_the_servers_day_flagged(shop: Shop, open_till: OpenTill) -> None:
    till, before = open_till(), clock.today()
    till.page.add_init_script("{ const now = Date.now; Date.now = () => now() + 26 * 3600_000 }")
    till.open()
    till.log_in()
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.pay()
    till.sent()
    [(day, flags, skew)] = shop.rows("SELECT service_day, flags, skew_ms FROM sale")
    assert str(before) <= str(day) <= str(clock.today())
    assert "clock" in str(flags)
    assert abs(int(str(skew)) - 26 * 3600_000) < 60_000
    [(sent,)] = shop.rows("SELECT body FROM record")
    assert isinstance(sent, bytes)
    body = json.loads(sent)
    assert abs(body["clock"]["offset_ms"] + 26 * 3600_000) < 60_000
