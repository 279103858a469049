"""A server restored from a backup gets again what it lacks, and a tablet that it does not know enrols again."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenTill, Shop
from tests.browser.tills import Till
from tests.rigs.servers import Serve

pytestmark = pytest.mark.browser


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
