"""A meal that was subsidised at another window first: the cashier sees what cannot be claimed, and to ask for no money."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTill, Shop
from tests.browser.tills import RECORDS, Till

pytestmark = pytest.mark.browser
TOLD = "这位老人的补贴先前已用完（这一餐可能已在别处享受过），本单补贴 5.00 元不能申报，请勿再向老人收钱。"


@pytest.fixture
def other(shop: Shop, till: Till, open_till: OpenTill) -> Till:
    """A second tablet, at which the elder of the first was priced as well; the first has sold since."""
    other = open_till()
    for each in (till, other):
        each.scan(shop.grandma)
        each.due("7.00 元")
    till.pay()
    till.sent()
    return other


def test_use_by_another_window_is_shown_and_stays_with_the_sale(shop: Shop, other: Till) -> None:
    other.pay()
    notice = other.page.locator("[data-slot=doneNotice]")
    expect(notice).to_contain_text(TOLD)
    expect(other.page.locator("html")).to_have_attribute("data-sound", "already")
    other.scan(shop.grandpa)
    other.due("7.00 元")
    expect(other.page.locator("[data-slot=latest]")).to_contain_text("有补贴不能申报，请看今日记录")
    other.open()
    other.at_the_counter()
    other.page.click("nav >> text=今日记录")
    expect(other.page.locator(".sold [data-slot=notice]")).to_contain_text(TOLD)
    assert shop.rows("SELECT sum(fen) FROM transfer WHERE movement = 'verdict'") == [(500,)]


def test_a_late_answer_and_a_repeated_one_are_shown_as_well(shop: Shop, other: Till) -> None:
    other.cut()
    other.pay()
    other.unsent(1)
    expect(other.page.locator("[data-slot=doneNotice]")).to_be_hidden()
    other.page.click("nav >> text=今日记录")
    notice = other.page.locator(".sold [data-slot=notice]")
    expect(notice).to_be_hidden()
    other.mend()
    other.sent()
    expect(notice).to_contain_text(TOLD)
    shop.run("UPDATE installation SET incarnation = 'restored'")
    other.page.click("nav >> text=设备状态")
    with other.page.expect_response(RECORDS) as answer:
        other.page.click("text=立即上传")
    assert answer.value.json()["results"][0]["outcome"] == "have"
    other.sent()
    other.page.click("nav >> text=今日记录")
    expect(notice).to_contain_text(TOLD)
    other.page.click(".sold button")
    other.page.click("dialog >> text=点错餐")
    other.page.click("dialog >> text=确认作废")
    expect(notice).to_be_hidden()
