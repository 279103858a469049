"""Two tabs of one tablet: one chain of numbers, one sender, one cashier."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Shop
from tests.browser.tills import MANAGER, Till

pytestmark = pytest.mark.browser


WRITE_MANY = """
() => {
  const moment = { at: '2026-11-22T12:00:00.000+08:00', mono: 1, boot: 'b' }
  const note = { titles: [], made: Date.now() }
  window.all = (async () => {
    const { openStore } = await import('/static/pos/store/db.js')
    const { append } = await import('/static/pos/store/outbox.js')
    const store = await openStore()
    await Promise.all(Array.from({ length: 25 }, (_, n) => append(store, 'count', { n }, moment, note)))
  })()
}
"""


def test_two_tabs_give_gapless_numbers_and_one_of_them_sends(shop: Shop, till: Till) -> None:
    other = Till(till.page.context.new_page(), till.url)
    other.open()
    other.at_the_counter()
    senders: list[str] = []
    till.page.on("request", lambda request: senders.append("first") if "records" in request.url else None)
    other.page.on("request", lambda request: senders.append("second") if "records" in request.url else None)
    till.scan(shop.grandma)
    other.scan(shop.grandpa)
    till.due("7.00 元")
    other.due("7.00 元")
    till.pay()
    other.pay()
    till.sent()
    other.sent()
    assert set(senders) == {"first"}
    assert [row["number"] for row in till.outbox()] == [1, 2]
    assert shop.rows("SELECT number, state FROM record ORDER BY number") == [(1, "accepted"), (2, "accepted")]
    assert shop.count("sale") == 2


def test_two_tabs_at_once_use_each_number_once_in_one_chain(shop: Shop, till: Till) -> None:
    other = Till(till.page.context.new_page(), till.url)
    other.open()
    other.at_the_counter()
    till.cut()
    other.cut()
    for each in (till, other):
        each.page.evaluate(WRITE_MANY)
    for each in (till, other):
        each.page.evaluate("() => window.all")
    rows = till.outbox()
    assert [row["number"] for row in rows] == list(range(1, 51))
    hashes = [row["envelope"]["hash"] for row in rows]
    assert [row["envelope"]["prev"] for row in rows] == ["0" * 64, *hashes[:-1]]


def test_who_leaves_or_comes_in_one_tab_leaves_or_comes_in_all(shop: Shop, till: Till) -> None:
    other = Till(till.page.context.new_page(), till.url)
    other.open()
    other.at_the_counter()
    till.page.click("text=交班")
    other.sees("请选您的姓名")
    till.log_in(MANAGER)
    other.at_the_counter()
    expect(other.page.locator("#bar [data-slot=cashier]")).to_have_text(f"收银员 {MANAGER}")
    other.scan(shop.grandma)
    other.due("7.00 元")
    other.pay()
    other.sent()
    assert shop.rows("SELECT cashier_id FROM sale") == shop.rows("SELECT id FROM person WHERE login = 'chen'")


def test_sale_voided_in_one_tab_is_not_refunded_in_another(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.pay()
    till.sent()
    other = Till(till.page.context.new_page(), till.url)
    other.open()
    for each in (till, other):
        each.page.click("nav >> text=今日记录")
        each.page.click(".sold button")
        each.page.click("dialog >> text=点错餐")
    till.page.click("dialog >> text=确认作废")
    till.sees("已作废，请退给顾客现金 7.00 元。")
    other.page.click("dialog >> text=确认作废")
    other.sees("不要再退款")
    till.sent()
    assert shop.count("record") == 2
