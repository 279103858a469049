"""A stolen tablet reveals neither the eaters nor their entitlements."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright, expect

from canteen import clock
from canteen.db import db, transaction
from canteen.registry import documents, elders
from tests import world
from tests.browser.conftest import Shop
from tests.browser.tills import QUOTES, RECORDS, Till
from tests.registry.people import number
from tests.rigs.browsers import PATIENCE, lasting

pytestmark = pytest.mark.browser
BOOT = re.compile(r"/api/v1/pos/boot\b")
NUMBER = number("19480612", 124)
BORN = date(1948, 6, 12)
TITLE = "周奶奶"
PLANTED = {
    "classes": ("dibao", "disabled_severe", "低保", "重度残疾"),
    "birth": ("birth_day", "1948-06-12", "19480612", f":{clock.civil(BORN)},"),
    "areas": (world.STREET, world.COMMUNITY),
    "number": (NUMBER, NUMBER[6:]),
    "name": ("周玉兰",),
}

# Everything that this origin keeps, as one text: each store of each database, each cache, both storages
HELD = """
async () => {
  const asked = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
  const kept = { local: { ...localStorage }, session: { ...sessionStorage }, stores: {}, caches: {} }
  for (const { name } of await indexedDB.databases()) {
    const db = await asked(indexedDB.open(name))
    for (const store of db.objectStoreNames) {
      const rows = db.transaction(store).objectStore(store)
      kept.stores[`${name}/${store}`] = [await asked(rows.getAllKeys()), await asked(rows.getAll())]
    }
    db.close()
  }
  for (const name of await caches.keys()) {
    const cache = await caches.open(name)
    for (const request of await cache.keys()) {
      kept.caches[request.url] = request.url.includes('/static/') ? '' : await (await cache.match(request)).text()
    }
  }
  return JSON.stringify(kept)
}
"""

# As a version before this one kept it: the body in clear, the name in the row
OF_AN_EARLIER_VERSION = """
() => new Promise((resolve, reject) => {
  const opening = indexedDB.open('canteen-pos')
  opening.onsuccess = () => {
    const tx = opening.result.transaction('outbox', 'readwrite')
    const rows = tx.objectStore('outbox')
    rows.getAll().onsuccess = ({ target }) => {
      for (const { summary, notices, ...row } of target.result) rows.put({ ...row, titles: ['周奶奶'] })
    }
    tx.oncomplete = () => { opening.result.close(); resolve() }
    tx.onabort = () => reject(tx.error)
  }
})
"""

FORGOTTEN = """
() => new Promise((resolve, reject) => {
  const opening = indexedDB.open('canteen-pos')
  opening.onsuccess = () => {
    const tx = opening.result.transaction('settings', 'readwrite')
    tx.objectStore('settings').delete('encrypted')
    tx.oncomplete = () => { opening.result.close(); resolve() }
    tx.onabort = () => reject(tx.error)
  }
})
"""


@pytest.fixture
def card(shop: Shop) -> str:
    """Return the scan of an elder with an ID number whose class is 低保."""
    with shop.inside():
        since = date(2020, 1, 1)
        new = elders.NewElder(
            "周玉兰",
            documents.parse("resident", NUMBER),
            hukou=world.COMMUNITY,
            residence=world.COMMUNITY,
            known_from=since,
            facts=[elders.NewFact("class", code, since) for code in ("dibao", "disabled_severe")],
        )
        with transaction() as session:
            elder = elders.register(session, new, "p-admin")
        return world.a_card(db.session(), elder)


def shown_by(text: str) -> list[str]:
    return [word for words in PLANTED.values() for word in words if word in text]


def exported(page: Page) -> str:
    page.click("nav >> text=设备状态")
    with page.expect_download() as download:
        page.click("text=导出未上传记录")
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_tablet_keeps_no_trace_of_eaters_after_log_out(
    shop: Shop, card: str, playwright: Playwright, tmp_path: Path
) -> None:
    context = lasting(playwright, tmp_path / "profile", service_workers="allow", accept_downloads=True)
    till = Till(context.pages[0], shop.server.url)
    till.let_in(shop.code())
    till.log_in()
    with till.page.expect_response(QUOTES) as quoted:
        till.scan(card)
    assert {"dibao", "birth_day", world.COMMUNITY} <= {*shown_by(quoted.value.text())}  # it was planted well
    till.due("7.00 元")
    context.set_offline(True)
    till.pay()
    till.unsent(1)
    file = exported(till.page)
    waiting = till.page.evaluate(HELD)
    till.page.click("nav >> text=今日记录")
    expect(till.page.locator(".sold__who")).to_have_text([TITLE])
    context.set_offline(False)
    till.sent()
    till.page.click("nav >> text=收银")
    till.page.click("button:has-text('挂失')")
    till.press("dialog", NUMBER)
    till.page.click("dialog .primary")
    till.sees("已挂失")
    till.page.click("text=交班")
    till.sees("请选您的姓名")
    left = till.page.evaluate(HELD)
    context.close()
    assert [record["number"] for record in json.loads(file)["records"]] == [1]
    assert ('"state":"waiting"' in waiting, '"state":"settled"' in left, TITLE in waiting) == (True, True, True)
    assert [shown_by(text) for text in (file, waiting, left)] == [[], [], []]
    assert TITLE not in left
    assert "/pos" in left
    assert on_the_disk(tmp_path / "profile") == []


def on_the_disk(profile: Path) -> list[str]:
    """Planted words in any file of the profile, in any encoding of a browser; short words may be there by chance."""
    in_the_program = {"birth_day", f":{clock.civil(BORN)},"}
    words = [word for words in PLANTED.values() for word in words if len(word) > 4 and word not in in_the_program]
    return [
        f"{word} in {path.name}"
        for path in profile.rglob("*")
        if path.is_file()
        for data in [path.read_bytes()]
        for word in words
        if word.encode() in data or word.encode("utf-16-le") in data
    ]


def test_records_of_an_earlier_version_are_encrypted_unchanged(shop: Shop, card: str, till: Till) -> None:

    def without_a_key(route: Any) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={k: v for k, v in answer.json().items() if k != "record_key"})

    till.page.route(BOOT, without_a_key)
    till.open()
    till.at_the_counter()
    till.scan(card)
    till.due("7.00 元")
    till.pay()
    till.sent()
    till.page.route(RECORDS, lambda route: route.abort())
    till.scan(shop.grandma)
    till.due("7.00 元")
    till.pay()
    till.unsent(1)
    till.page.evaluate(OF_AN_EARLIER_VERSION)
    before = till.outbox()
    assert [row["state"] for row in before] == ["settled", "waiting"]
    assert "dibao" in before[0]["envelope"]["body"]
    assert json.loads(exported(till.page)) == {"records": []}
    till.sees("另有 1 笔要联网一次后才能导出")

    other = Till(till.page.context.new_page(), till.url)
    other.page.route(BOOT, lambda route: route.abort())
    other.open()
    other.at_the_counter()
    other.page.evaluate("() => { window.of_an_earlier_version = true }")
    till.page.evaluate(FORGOTTEN)
    till.page.unroute(BOOT)
    with till.page.expect_response(BOOT):
        till.open()
    till.at_the_counter()
    until(till, lambda: all(encrypted(row) for row in till.outbox()))
    other.page.wait_for_function("() => !window.of_an_earlier_version")  # it would stop at what it cannot read
    assert shown_by(till.page.evaluate(HELD)) == []
    after = till.outbox()
    assert [row["envelope"]["hash"] for row in after] == [row["envelope"]["hash"] for row in before]
    till.page.unroute(RECORDS)
    sent: list[Any] = []
    till.page.on(
        "request", lambda request: sent.append(request.post_data_json) if RECORDS.search(request.url) else None
    )
    shop.run("UPDATE installation SET incarnation = 'restored'")
    till.page.click("nav >> text=设备状态")
    till.page.click("text=立即上传")
    until(till, lambda: {1, 2} <= {record["number"] for batch in sent for record in batch["records"]})
    till.sent()
    assert shop.rows("SELECT number, state FROM record ORDER BY number") == [(1, "accepted"), (2, "accepted")]
    till.page.click("nav >> text=今日记录")
    till.sees("共 2 份，实收 14.00 元。")


def encrypted(row: dict[str, Any]) -> bool:
    return row["envelope"]["cipher"] == "p256" and "titles" not in row


def until(till: Till, holds: Callable[[], bool]) -> None:
    """Wait for background work of the page."""
    give_up = time.monotonic() + PATIENCE / 1000
    while not holds():
        assert time.monotonic() < give_up
        till.page.wait_for_timeout(100)
