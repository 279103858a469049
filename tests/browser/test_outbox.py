"""Nothing sold is lost and nothing is doubled: cut lines, swallowed answers, killed browsers, two tabs (P1, P3, P5, P6)."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import shutil
import signal
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Error, Playwright, Route, expect

from canteen import clock
from tests.browser.conftest import OpenTill, Shop
from tests.browser.tills import MANAGER, QUOTES, RECORDS, Till
from tests.rigs.browsers import lasting
from tests.rigs.servers import Serve

pytestmark = pytest.mark.browser
LATER = '{"incarnation":"INCARNATION","at":"","results":[{"id":"1/1","outcome":"later","reason":"database_away","message":null}]}'
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


def sell(till: Till, *cards: str, due: str = "7.00 元") -> None:
    for card in cards:
        till.scan(card)
        till.due(due)
        till.pay()


def upload_now(till: Till) -> None:
    till.page.click("nav >> text=设备状态")
    till.page.click("text=立即上传")
    till.sees("已通知上传")


@dataclass(frozen=True)
class Backup:
    """The shop's database as it was, to be put back under its server."""

    shop: Shop
    serve: Serve
    kept: Path

    @classmethod
    def of(cls, shop: Shop, serve: Serve, kept: Path) -> Backup:
        with closing(sqlite3.connect(cls.database(shop))) as live, closing(sqlite3.connect(kept)) as copy:
            live.backup(copy)
        return cls(shop, serve, kept)

    @staticmethod
    def database(shop: Shop) -> Path:
        return Path(shop.config.database_url.removeprefix("sqlite:///"))

    def restore(self) -> None:
        database = self.database(self.shop)
        self.shop.server.kill()
        for leftover in database.parent.glob(f"{database.name}*"):
            leftover.unlink()
        shutil.copyfile(self.kept, database)
        self.serve(self.shop.config, port=self.shop.server.port, options=("--no-scheduler",))


def test_restored_server_gets_all_again_before_all_is_well(
    shop: Shop, serve: Serve, till: Till, tmp_path: Path
) -> None:
    missing = "服务器缺 3 笔，待补传"
    bar, notice = till.page.locator("#bar [data-slot=unsent]"), till.page.locator("#notice")
    sell(till, shop.grandma)
    till.sent()
    backup = Backup.of(shop, serve, tmp_path / "backup.db")
    sell(till, shop.grandpa)
    sell(till, shop.grandma, shop.grandpa, due="12.00 元")  # the second meal of a day
    till.sent()
    backup.restore()

    upload_now(till)
    expect(bar).to_have_text(missing)
    expect(notice).to_contain_text("缺本机已上传的 3 笔，请告诉管理员")
    expect(till.page.locator("body")).not_to_contain_text("全部已上传")
    till.open()
    till.at_the_counter()
    expect(bar).to_have_text(missing)
    sell(till, shop.grandma, due="12.00 元")
    expect(till.page.locator("[data-slot=done][data-state=settled][data-number='5']")).to_be_visible()
    expect(bar).to_have_text(missing)  # what was sold since hides nothing
    till.page.click("nav >> text=今日记录")
    expect(till.page.get_by_text("服务器缺这一笔，待补传")).to_have_count(3)
    assert shop.rows("SELECT number FROM record ORDER BY number") == [(1,), (5,)]
    assert any("canteen incarnation renew" in each and "1/2-4" in each for each in shop.troubles())

    assert shop.canteen("incarnation", "renew").exit_code == 0
    upload_now(till)
    till.sent()
    expect(notice).to_be_hidden()
    assert shop.rows("SELECT number, state FROM record ORDER BY number") == [(n, "accepted") for n in range(1, 6)]
    assert (shop.count("sale"), shop.count("payment")) == (5, 5)
    assert not any("tablet" in each for each in shop.troubles())


def test_tablet_newer_than_the_backup_enrols_again_with_sales(
    shop: Shop, serve: Serve, open_till: OpenTill, tmp_path: Path
) -> None:
    backup = Backup.of(shop, serve, tmp_path / "backup.db")
    till = open_till()
    sell(till, shop.grandma)
    till.sent()
    backup.restore()

    upload_now(till)
    expect(till.page.locator("#notice")).to_contain_text("服务器不认识这台平板")
    expect(till.page.locator("body")).not_to_contain_text("全部已上传")
    till.page.click("text=交班")
    till.page.click("button:has-text('重新启用这台平板')")
    till.press("#screen", shop.code())
    till.page.click("#screen .primary")
    till.log_in()
    till.sent()
    assert [(row["number"], row["state"]) for row in till.outbox()] == [(1, "settled")]
    assert (shop.count("sale"), shop.count("tablet")) == (1, 2)


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


class Killable:
    """A browser with a profile of its own, which can be ended as a power switch does."""

    def __init__(self, playwright: Playwright, profile: Path) -> None:
        self.playwright = playwright
        self.profile = profile

    def start(self) -> BrowserContext:
        return lasting(self.playwright, self.profile)

    def kill(self) -> None:
        """SIGKILL to every process of this profile, and to no other; waits until each is gone and the profile free."""
        mark = f"--user-data-dir={self.profile}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                if mark in (folder / "cmdline").read_bytes():
                    end(int(folder.name))


def end(process: int) -> None:
    """SIGKILL, and wait until it is gone."""
    handle = os.pidfd_open(process)
    try:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        select.select([handle], [], [])
    finally:
        os.close(handle)


@BOTH
@pytest.mark.parametrize("arrived", [False, True], ids=["before it arrived", "after it was booked"])
def test_browser_killed_before_the_answer_books_exactly_once(
    shop: Shop, playwright: Playwright, tmp_path: Path, arrived: bool
) -> None:
    browser = Killable(playwright, tmp_path / "profile")
    context = browser.start()
    till = Till(context.pages[0], shop.server.url)
    till.let_in(shop.code())
    till.log_in()
    killed: list[int] = []

    def kill(route: Route) -> None:
        killed.append(route.fetch().status if arrived else 0)
        browser.kill()

    till.page.route(RECORDS, kill)
    till.scan(shop.grandma)
    till.due("7.00 元")
    with context.expect_event("close"), contextlib.suppress(Error):
        till.page.click(".tender[data-kind=cash]")
    assert killed == [200 if arrived else 0]
    assert shop.count("sale") == int(arrived)

    again = Till(browser.start().pages[0], shop.server.url)
    again.open()
    again.at_the_counter()
    again.sees("上一单")
    again.sent()
    assert (shop.count("sale"), shop.count("record"), shop.count("payment")) == (1, 1, 1)
    assert [(row["number"], row["state"]) for row in again.outbox()] == [(1, "settled")]
    again.page.context.close()


def test_done_is_shown_only_after_the_record_is_on_the_disk(shop: Shop, playwright: Playwright, tmp_path: Path) -> None:
    browser = Killable(playwright, tmp_path / "profile")
    till = Till(browser.start().pages[0], shop.server.url)
    till.let_in(shop.code())
    till.log_in()
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.cut()
    till.pay()
    browser.kill()
    again = Till(browser.start().pages[0], shop.server.url)
    again.open()
    again.sent()
    assert shop.count("sale") == 1
    again.page.context.close()
