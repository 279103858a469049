"""A cashier's day at the counter, on a real server, in a real browser."""

import pytest
from playwright.sync_api import expect

from canteen import clock
from tests.browser.conftest import OpenTill, Shop
from tests.browser.tills import CASHIER, Till

pytestmark = pytest.mark.browser


def test_price_is_shown_line_by_line_with_labels_for_the_counter(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    assert till.page.locator(".customer .price div").all_inner_texts() == [
        "原价\n12.00",
        "助餐补贴\n-5.00",
        "本人付\n7.00",
    ]


def test_change_is_suggested_and_one_touch_takes_the_note(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.page.click(".tender[data-kind=round]:has-text('收 10')")
    till.sees("找零 3.00 元")
    till.sent()
    assert shop.rows("SELECT kind, fen, given, change FROM tender") == [("cash", 700, 1000, 300)]


def test_any_other_sum_of_cash_is_typed(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.page.click("text=其他现金")
    till.press("dialog", "6.5")
    expect(till.page.locator("dialog .primary")).to_be_disabled()
    till.press("dialog", "0")
    till.page.click("dialog [data-key=back] >> nth=0")
    for _ in range(3):
        till.page.click("dialog [data-key=back]")
    till.press("dialog", "12")
    till.page.click("dialog .primary")
    till.sees("找零 5.00 元")


def test_phone_payment_is_one_touch_with_an_optional_reference(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.pay("mobile")
    till.scan(shop.grandpa)
    till.page.click("text=记流水号")
    till.press("dialog", "8812")
    till.page.click("dialog .primary")
    expect(till.done).to_be_visible()
    till.sent()
    assert shop.rows("SELECT kind, reference FROM tender ORDER BY reference") == [("mobile", ""), ("mobile", "8812")]


def test_a_finger_that_touches_twice_means_one_guest(till: Till) -> None:
    till.page.dblclick("text=散客（无卡）")
    till.due("12.00 元")
    expect(till.page.locator(".customer")).to_have_count(1)


def test_customers_stay_while_the_cashier_opens_other_screens(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.page.click("nav >> text=今日记录")
    till.sees("今日记录")
    till.page.click("nav >> text=收银")
    till.due("7.00 元")
    till.page.click("nav >> text=收银")
    till.due("7.00 元")
    till.page.click("text=其他现金")
    till.page.go_back()
    expect(till.page.locator("dialog")).to_have_count(0)
    till.page.click("nav >> text=设备状态")
    till.page.go_back()
    till.due("7.00 元")
    till.pay()
    till.sent()
    assert shop.count("sale") == 1


def test_unanswered_change_of_meal_keeps_the_earlier_quote(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.cut()
    till.page.click(".meal:has-text('两荤一素')")
    till.page.click(".meal:has-text('蛋花汤')")
    till.sees("网络不通")
    till.due("7.00 元")
    till.pay()
    till.mend()
    till.sent()
    assert shop.rows("SELECT name FROM sale_line") == [("荤素套餐",)]


def test_a_repeat_in_the_period_is_shown_at_full_price(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.pay()
    till.sent()
    till.scan(shop.grandma)
    till.sees("这一餐已享受过优惠，这一份不再享受。")
    till.due("12.00 元")
    assert till.page.evaluate("document.documentElement.dataset.sound") == "already"


def test_closed_day_sells_at_full_price_with_a_message(shop: Shop, till: Till) -> None:
    today = clock.today().isoformat()
    shop.run(f"INSERT INTO closure (canteen_id, from_day, to_day, reason) VALUES ('c1', '{today}', '{today}', '检修')")
    till.scan(shop.grandma)
    till.sees("今天不供餐，这一餐没有补贴。")
    till.due("12.00 元")
    till.pay()
    till.sent()
    assert shop.rows("SELECT due_fen FROM sale") == [(1200,)]


def test_a_couple_pays_once_for_two_sales(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.page.click("text=再加一人")
    till.scan(shop.grandpa)
    till.due("14.00 元")
    till.pay("mobile")
    till.sent()
    assert (shop.count("sale"), shop.count("payment"), shop.count("record")) == (2, 1, 1)
    assert shop.rows("SELECT due, fen FROM payment") == [(1400, 1400)]


def test_a_second_card_before_the_first_paid_is_asked_about(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.scan(shop.grandpa)
    till.page.click("dialog >> text=不要上一单，换这一位")
    till.due("7.00 元")
    assert till.page.locator(".customer").count() == 1
    till.pay()
    till.sent()
    assert shop.count("sale") == 1


def test_a_guest_without_card_pays_full_price(shop: Shop, till: Till) -> None:
    till.page.click("text=散客（无卡）")
    till.due("12.00 元")
    till.pay()
    till.sent()
    assert shop.rows("SELECT guest, elder_id, due_fen FROM sale") == [("guest", None, 1200)]


def test_another_meal_is_one_touch_and_more_of_it_are_counted(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.page.click(".meal:has-text('两荤一素')")
    till.due("10.00 元")
    till.page.click("text=再加一样")
    till.page.click(".meal:has-text('蛋花汤')")
    till.due("12.00 元")
    till.pay()
    till.sent()
    assert shop.rows("SELECT name, quantity FROM sale_line ORDER BY n") == [("两荤一素", 1), ("蛋花汤", 1)]


def test_a_partner_restaurant_types_the_amount_of_its_own_till(shop: Shop, open_till: OpenTill) -> None:
    shop.run("UPDATE canteen SET profile = 'partner'")
    till = open_till()
    till.scan(shop.grandma)
    till.sees("李奶奶")
    expect(till.page.locator(".tender")).to_have_count(0)
    till.press(".customer", "25.5")
    till.page.click(".customer .primary")
    till.due("20.50 元")
    till.pay("mobile")
    till.sent()
    assert shop.rows("SELECT amount, list_fen, due_fen FROM sale") == [(2550, 2550, 2050)]


def test_a_wrong_pin_is_reported_and_lets_nobody_in(shop: Shop, till: Till) -> None:
    till.page.click("text=交班")
    till.page.click(f".choice:has-text('{CASHIER}')")
    till.press("#screen", "246801")
    till.page.click("#screen .primary")
    till.sees("口令不正确")
    expect(till.page.locator(".counter")).to_have_count(0)
