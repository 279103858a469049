"""Nothing sold is lost and nothing is doubled: cut lines, swallowed answers, servers that are down (P1, P3, P5, P6)."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from canteen import clock, packing
from tests.browser.conftest import OpenTill, Shop
from tests.browser.tills import RECORDS, Till
from tests.rigs.servers import Serve

pytestmark = pytest.mark.browser
DISK_FULL = """
() => {
  window.add = IDBObjectStore.prototype.add
  IDBObjectStore.prototype.add = () => { throw new DOMException('the disk is full', 'QuotaExceededError') }
}
"""


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
    body = json.loads(packing.unpack(sent))
    assert abs(body["clock"]["offset_ms"] + 26 * 3600_000) < 60_000
