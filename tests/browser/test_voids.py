"""A sale taken back at the counter: by whom, within which time, and how the money goes back."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Shop
from tests.browser.tills import MANAGER, PIN, Till

pytestmark = pytest.mark.browser


A_DAY_PASSES = """
() => new Promise((resolve) => {
  const opening = indexedDB.open('canteen-pos')
  opening.onsuccess = () => {
    const change = opening.result.transaction('outbox', 'readwrite')
    const rows = change.objectStore('outbox').getAll()
    rows.onsuccess = () => {
      for (const row of rows.result) change.objectStore('outbox').put({ ...row, made: row.made - 24 * 3600_000 })
    }
    change.oncomplete = () => { opening.result.close(); resolve() }
  }
})
"""


def test_an_own_sale_is_taken_back_alone_within_ten_minutes(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.pay()
    till.page.click("text=这一单有误，作废")
    till.page.click(".sold button")
    till.page.click("dialog >> text=扫错卡")
    till.page.click("dialog >> text=退现金 7.00 元，确认作废")
    till.sees("已作废，请退给顾客现金 7.00 元。")
    till.sent()
    assert shop.rows("SELECT reason, refund_fen, refund_kind, approved_by FROM void") == [("扫错卡", 700, "cash", None)]
    till.scan(shop.grandma)
    till.due("7.00 元")


def test_refund_by_phone_is_not_asked_for_in_cash_too(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.pay("mobile")
    till.page.click("text=这一单有误，作废")
    till.page.click(".sold button")
    till.page.click("dialog >> text=不要了")
    till.page.click("dialog >> text=手机已退 7.00 元，确认作废")
    till.sees("已作废，7.00 元已从手机退回，不要再退现金。")


def test_void_of_another_cashiers_sale_needs_the_managers_pin(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.pay()
    till.sent()
    till.page.click("text=交班")
    till.log_in(MANAGER)
    till.page.click("text=今日记录")
    till.page.click(".sold button")
    till.page.click("dialog >> text=重复收款")
    till.page.click(f"dialog .choice:has-text('{MANAGER}')")
    till.press("dialog", PIN)
    till.page.click("dialog .primary")
    till.page.click("dialog >> text=确认作废")
    till.sees("已作废")
    till.sent()
    manager = shop.rows("SELECT id FROM person WHERE login = 'chen'")[0][0]
    assert shop.rows("SELECT approved_by FROM void") == [(manager,)]


def test_void_of_an_earlier_days_sale_needs_the_managers_pin(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.pay()
    till.sent()
    till.page.evaluate(A_DAY_PASSES)
    till.page.click("nav >> text=今日记录")
    till.sees("共 0 份")
    till.page.click("text=前一天")
    till.sees("共 1 份")
    till.page.click(".sold button")
    till.page.click("dialog >> text=点错餐")
    till.page.click(f"dialog .choice:has-text('{MANAGER}')")
    till.press("dialog", PIN)
    till.page.click("dialog .primary")
    till.page.click("dialog >> text=确认作废")
    till.sees("已作废")
    till.sees("共 0 份")
    till.sent()
    assert shop.count("void") == 1


def test_who_sold_it_is_not_asked_to_approve_its_void(shop: Shop, till: Till) -> None:
    till.page.click("text=交班")
    till.log_in(MANAGER)
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.pay()
    till.sent()
    till.page.evaluate(A_DAY_PASSES)
    till.page.click("nav >> text=今日记录")
    till.page.click("text=前一天")
    till.page.click(".sold button")
    till.page.click("dialog >> text=点错餐")
    expect(till.page.locator("dialog")).to_contain_text("需要另一位负责人同意")
    expect(till.page.locator("dialog .choice")).to_have_count(0)
