"""Codes that reach the counter: by the camera, a scanner or the printed number, good and foreign ones."""

from pathlib import Path

import pytest
import qrcode
from playwright.sync_api import expect

from tests.browser.conftest import OpenTill, Shop
from tests.browser.tills import Till
from tests.rigs.browsers import CameraClip

pytestmark = pytest.mark.browser


DELAY_QUOTES = """
() => {
  const { fetch } = window
  const released = new Promise((resolve) => (window.release = resolve))
  window.fetch = async (path, options) => {
    if (path.includes('/pos/quotes')) await released
    return fetch(path, options)
  }
}
"""


BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)


@BOTH
def test_card_at_the_camera_sells_with_one_touch_and_is_booked(
    shop: Shop, open_till: OpenTill, camera_clip: CameraClip, tmp_path: Path
) -> None:
    picture = tmp_path / "card.png"
    with picture.open("wb") as out:
        qrcode.make(shop.grandma, version=2, error_correction=qrcode.constants.ERROR_CORRECT_H, border=8).save(out)
    till = open_till(camera=camera_clip(picture))
    till.sees("李奶奶")
    till.due("7.00 元")
    till.pay("cash")
    till.sees("李奶奶 已完成")
    till.sent()
    assert shop.rows("SELECT how_read, list_fen, due_fen, flags FROM sale") == [("camera", 1200, 700, "")]
    assert shop.rows("SELECT kind, fen, given, change FROM tender") == [("cash", 700, 700, 0)]


def test_the_printed_number_is_typed_on_a_large_pad(shop: Shop, till: Till) -> None:
    till.page.click("button:has-text('输入卡号')")
    till.press("dialog", shop.number)
    till.page.click("dialog .primary")
    till.due("7.00 元")
    till.pay()
    till.sent()
    assert shop.rows("SELECT how_read FROM sale") == [("typed",)]


def test_scanner_input_is_caught_while_a_field_has_the_focus(shop: Shop, open_till: OpenTill) -> None:
    till = open_till(own=True)  # its clock is stopped
    till.page.evaluate("document.body.prepend(Object.assign(document.createElement('input'), {id: 'field'}))")
    till.page.fill("#field", "7")
    till.page.focus("#field")
    till.type_like_a_scanner(shop.grandma)
    assert till.page.input_value("#field") == "7"
    till.due("7.00 元")


def test_a_scanner_presses_no_button_that_has_the_focus(shop: Shop, open_till: OpenTill) -> None:
    till = open_till(own=True)  # its clock is stopped
    till.page.focus("[data-act=type]")
    till.type_like_a_scanner(shop.grandma)
    till.due("7.00 元")
    assert till.page.locator("dialog[open]").count() == 0


def test_a_scanner_is_heard_while_a_chinese_input_method_is_on(shop: Shop, till: Till) -> None:
    till.page.evaluate(
        """(digits) => {
          for (const digit of digits) {
            const event = { key: 'Process', code: `Digit${digit}`, keyCode: 229, bubbles: true, cancelable: true }
            document.body.dispatchEvent(new KeyboardEvent('keydown', event))
          }
        }""",
        shop.grandma,
    )
    till.due("7.00 元")


def test_the_same_card_scanned_twice_is_one_scan(shop: Shop, till: Till) -> None:
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.scan(shop.grandma)
    till.due("7.00 元")
    assert till.page.locator(".customer").count() == 1


def test_card_scanned_during_another_lookup_is_not_lost(shop: Shop, till: Till) -> None:
    till.page.evaluate(DELAY_QUOTES)
    till.scan(shop.grandma)
    till.sees("正在查卡")
    till.scan(shop.grandpa)
    expect(till.page.locator("dialog")).to_have_count(0)
    till.page.evaluate("release()")
    till.page.click("dialog >> text=两人一起付")
    till.due("14.00 元")


def test_a_scan_on_another_screen_leads_to_the_counter(shop: Shop, till: Till) -> None:
    till.page.click("nav >> text=今日记录")
    till.sees("今日记录")
    till.scan(shop.grandma)
    till.due("7.00 元")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://pay.example.com/qr/123", "这不是助餐卡的二维码"),
        ("12345678901234567890123456", "卡码没有读全"),
        ("00000000", "卡"),
    ],
)
def test_foreign_code_is_refused_in_words_and_with_its_own_sound(till: Till, text: str, said: str) -> None:
    till.scan(text)
    expect(till.page.locator("[data-slot=message]")).to_contain_text(said)
    assert till.page.evaluate("document.documentElement.dataset.sound") == "refused"
