"""make screens: the pictures of README, taken from the demo city in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from canteen.config import ROOT
from tests.rigs.postgres import free_port

OUT = ROOT / "docs" / "screens"
PASSWORD, PIN = "jinglao-canting", "271828"
CANTEEN = str(ROOT / ".venv" / "bin" / "canteen")
SIZE = {"width": 1280, "height": 800}


def main() -> None:
    """Serve the demo city on a free port and write the pictures to docs/screens."""
    OUT.mkdir(parents=True, exist_ok=True)
    port = free_port()
    environment = {"CANTEEN_DATA": str(ROOT / "data" / "demo"), "CANTEEN_DEMO": "1"} | dict(os.environ)
    output = subprocess.run([CANTEEN, "demo"], env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    number = re.search(r"^\s+(\d{4}) (\d{4})\s", output, re.MULTILINE)
    server = subprocess.Popen(
        [CANTEEN, "serve", "--port", str(port), "--no-scheduler"],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    try:
        code = _code(server)
        _take(
            f"http://127.0.0.1:{port}", code, "".join(number.groups()) if number else sys.exit("no demo card is listed")
        )
    finally:
        server.terminate()
        server.wait()


def _code(server: subprocess.Popen[str]) -> str:
    """Return the one-time code that a demo server prints when it starts."""
    for line in server.stderr or ():
        if found := re.search(r"启用码 ([0-9 ]{14})", line):
            return found.group(1).replace(" ", "")
    sys.exit("the server printed no code for a tablet")


def _take(url: str, code: str, card: str) -> None:
    _wait(url)
    with sync_playwright() as driver:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"])
        settings: Any = {"locale": "zh-CN", "timezone_id": "Asia/Shanghai", "has_touch": True, "viewport": SIZE}
        _till(browser.new_context(**settings).new_page(), url, code, card)
        _desk(browser.new_context(**settings).new_page(), url)
        browser.close()


def _wait(url: str) -> None:
    for _ in range(300):
        try:
            urllib.request.urlopen(f"{url}/healthz", timeout=5).close()  # noqa: S310 - our own address
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit("the server does not answer")


def _till(page: Page, url: str, code: str, card: str) -> None:
    """Enrol the tablet, log a cashier in and type an elder's number."""
    page.goto(f"{url}/pos")
    _press(page, "#screen", code)
    page.click("#screen .primary")
    page.click(".choice >> nth=0")
    _press(page, "#screen", PIN)
    page.click("#screen .primary")
    page.click("text=一号窗口")
    page.click("button:has-text('输入卡号')")
    _press(page, "dialog", card)
    page.click("dialog .primary")
    page.wait_for_selector(".customer .price")
    _keep(page, "till")


def _press(page: Page, within: str, keys: str) -> None:
    for key in keys:
        page.click(f"{within} [data-key='{key}']")


def _desk(page: Page, url: str) -> None:
    """Finance looks at a month, a claim, a meal."""
    page.goto(f"{url}/login")
    page.fill("#login", "demo-finance-1")
    page.fill("#password", PASSWORD)
    page.click("main button")
    page.goto(f"{url}/desk/claims")
    _keep(page, "month")
    page.click("main table a >> nth=0")
    _keep(page, "claim")
    page.click("main table a >> nth=0")
    page.click("main a[href*='/desk/meals/'] >> nth=0")
    _keep(page, "meal")


def _keep(page: Page, name: str) -> None:
    path = OUT / f"{name}.png"
    page.screenshot(path=path)
    sys.stdout.write(f"{Path(path).relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
