"""A browser that is killed loses nothing and doubles nothing: what was done is on the disk."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Error, Playwright, Route

from tests.browser.conftest import Shop
from tests.browser.tills import RECORDS, Till
from tests.rigs.browsers import lasting

pytestmark = pytest.mark.browser


BOTH = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)


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
