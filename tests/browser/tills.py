"""Steps of a cashier at a tablet."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.rigs.browsers import PATIENCE

CASHIER, MANAGER, PIN = "王秀兰", "陈志强", "135792"
API = "**/api/**"
RECORDS = re.compile(r"/api/v1/records\b")
QUOTES = "**/api/v1/pos/quotes"

OUTBOX = """
() => new Promise((resolve, reject) => {
  const opening = indexedDB.open('canteen-pos')
  opening.onerror = () => reject(opening.error)
  opening.onsuccess = () => {
    const all = opening.result.transaction('outbox').objectStore('outbox').getAll()
    all.onsuccess = () => { opening.result.close(); resolve(all.result) }
  }
})
"""

# What the screens of enrolment and log-in do, by the page's own modules, in one step
BEGIN = """
async ({ code, cashier, pin }) => {
  const names = ['net/keys', 'net/api', 'store/db', 'store/outbox', 'store/settings']
  const modules = await Promise.all(names.map((name) => import(`/static/pos/${name}.js`)))
  const { makeKeys, publicPoint, asker, openStore, newChain, put } = Object.assign({}, ...modules)
  await new Promise((resolve) => (indexedDB.deleteDatabase('canteen-pos').onsuccess = resolve)) // of a server that is gone
  const [store, keys] = await Promise.all([openStore(), makeKeys()])
  let device = null
  const ask = asker(() => device, { heard() {}, lost() {} }, async () => '')
  const { tablet } = await ask('POST', '/api/v1/pos/tablets', { code, public_key: await publicPoint(keys) })
  device = { ...tablet, keys }
  const boot = await ask('GET', '/api/v1/pos/boot')
  const { id } = boot.cashiers.find(({ name }) => name === cashier)
  const { person, manager } = await ask('POST', '/api/v1/pos/sessions', { person: id, pin })
  const shift = { person, manager, point: boot.points[0] ?? null, seen: Date.now() }
  await put(store, { device, chain: newChain(tablet.id), boot, shift })
  store.close()
}
"""

# The keys come 5 ms apart by their own time stamps, as the device made them, however late the page hears of them
SCANNER = """
(keys) => {
  const began = performance.now()
  keys.forEach((key, n) => {
    const event = new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })
    Object.defineProperty(event, 'timeStamp', { value: began + n * 5 })
    ;(document.activeElement ?? document.body).dispatchEvent(event)
  })
}
"""


class Till:
    """A page at /pos; each step waits for what a person would see."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open(self) -> None:
        self.page.goto(f"{self.url}/pos")

    def let_in(self, code: str) -> None:
        self.open()
        self.press("#screen", code)
        self.page.click("#screen .primary")
        expect(self.page.get_by_role("heading", name="请选您的姓名")).to_be_visible()

    def log_in(self, name: str = CASHIER, pin: str = PIN) -> None:
        self.page.click(f".choice:has-text('{name}')")
        self.press("#screen", pin)
        self.page.click("#screen .primary")
        self.at_the_counter()

    def begin(self, code: str) -> None:
        """Open at the counter, enrolled and logged in without a touch of the screen."""
        self.page.goto(f"{self.url}/static/icon.svg")  # of the same origin, and no page of the till yet
        self.page.evaluate(BEGIN, {"code": code, "cashier": CASHIER, "pin": PIN})
        self.open()
        self.at_the_counter()

    def at_the_counter(self) -> None:
        expect(self.page.locator(".counter")).to_be_visible()

    def press(self, within: str, keys: str) -> None:
        """Touch the keys of a pad on the screen."""
        for key in keys:
            self.page.click(f"{within} [data-key='{key}']")

    def scan(self, text: str) -> None:
        """Type as a keyboard scanner does."""
        self.page.evaluate(SCANNER, [*text, "Enter"])

    def type_like_a_scanner(self, text: str) -> None:
        """Press real keys, to see what reaches the focused element. The clock of the page's context is
        stopped meanwhile: this machine may be too slow for a scanner."""
        self.page.clock.install()
        self.page.clock.pause_at(datetime.now(UTC) + timedelta(minutes=2))
        self.page.keyboard.type(f"{text}\n")
        self.page.clock.resume()

    def sees(self, text: str) -> None:
        expect(self.page.locator("#screen").get_by_text(text).first).to_be_visible()

    def due(self, text: str) -> None:
        expect(self.page.locator("[data-slot=due]")).to_have_text(text)

    def pay(self, kind: str = "cash") -> None:
        self.page.click(f".tender[data-kind={kind}] >> nth=0")
        expect(self.done).to_be_visible()

    @property
    def done(self) -> Locator:
        return self.page.locator("[data-slot=done]")

    def sent(self) -> None:
        """All is with the server. The outbox is asked first: the bar is written a moment after a sale was kept."""
        give_up = time.monotonic() + PATIENCE / 1000
        while waiting := [row["number"] for row in self.outbox() if row["state"] == "waiting"]:
            assert time.monotonic() < give_up, f"not sent: {waiting}"
            self.page.wait_for_timeout(100)
        expect(self.page.locator("#bar [data-slot=unsent]")).to_have_text("全部已上传")

    def unsent(self, count: int) -> None:
        expect(self.page.locator("#bar [data-slot=unsent]")).to_have_text(f"{count} 笔待上传")

    def cut(self) -> None:
        """The line behind the router is down: the browser does not notice, requests fail."""
        self.page.route(API, lambda route: route.abort())

    def mend(self) -> None:
        self.page.unroute(API)

    def outbox(self) -> list[dict[str, Any]]:
        """Every record the tablet holds, oldest first."""
        rows: list[dict[str, Any]] = self.page.evaluate(OUTBOX)
        return rows
