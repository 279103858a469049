"""The desk's own pages in a real browser, lying down and standing up: readable, reachable, nothing blocked or cut off."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page, expect

from canteen import clock
from canteen.app import create_app
from canteen.auth import tablets
from canteen.config import ROOT
from canteen.db import db, transaction
from canteen.menus import changes, points
from canteen.menus.changes import NewItem
from canteen.pos import lost_numbers
from canteen.pos.models import TabletAhead
from tests.auth.house import CITY, PASSWORD, Till, a_person, build_city
from tests.rigs.applications import config_for
from tests.rigs.browsers import OpenPage
from tests.rigs.servers import Serve

pytestmark = pytest.mark.browser

SIZES = [{"width": 1280, "height": 800}, {"width": 800, "height": 1280}]
AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
FAULTS = """
async () => (await axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag2aaa', 'best-practice']}))
  .violations.map(({id, nodes}) => [id, nodes.map(({html}) => html)])
"""
SMALL_TARGETS = """
() => [...document.querySelectorAll('button, a.button, summary, input:not([type=hidden]), select')]
  .filter((each) => each.offsetParent && each.getBoundingClientRect().height < 48).map((each) => each.outerHTML)
"""
SMALLEST_TEXT = """
() => Math.min(...[...document.querySelectorAll('body *')].filter((each) => each.offsetParent && each.innerText)
  .map((each) => parseFloat(getComputedStyle(each).fontSize)))
"""
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def desk(sqlite_url: str, tmp_path: Path, serve: Serve) -> str:
    """Address of a server with an administrator, people and a tablet; the tablet's id follows '#'."""
    config = config_for(sqlite_url, tmp_path)
    app = create_app(config)
    with app.app_context():
        build_city()
        a_person("root", ("admin", "area", CITY))
        a_person("wang", ("manager", "canteen", "east"), ("cashier", "canteen", "west"), pin=True)
        a_person("new", ("finance", "area", CITY), must_change=True)
        till = Till(app.test_client())
        till.tablet = tablets.enrol(tablets.make_code("east", "一号窗口", by="system").code, till.public_key)
        with transaction() as session:
            row = {"epoch": 1, "received": 0, "acknowledged": 9, "incarnation": "x", "since": clock.now()}
            session.add(TabletAhead(tablet_id=till.tablet, **row))
        lost_numbers.declare(till.tablet, lost_numbers.Run(1, 1, 3), "平板进水，无法开机", by="id-wang")
        tablets.make_code("east", "二号窗口", by="system")
        with transaction() as session:
            dish = changes.add(session, "east", NewItem("红烧肉", tags=("set",)), 1800, clock.today(), by="id-root")
            changes.price(session, dish, 2000, clock.today(), by="id-wang")
            changes.plan(session, "east", [(clock.today(), "lunch", [dish])], by="id-wang")
            points.add(session, "east", "一号窗口", "window", by="id-wang")
        db.session.remove()
        db.engine.dispose()
    return f"{serve(config, options=('--no-scheduler',)).url}#{till.tablet}"


def log_in(page: Page, url: str, login: str) -> None:
    page.goto(f"{url}/login")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("main button")
    page.wait_for_url(lambda address: "/login" not in address)


def faults(page: Page) -> dict[str, object]:
    """What old eyes and hands would stumble over on the page; empty when nothing."""
    for fold in page.locator("main details > summary").all():
        fold.click()
    page.evaluate(AXE)
    found = {
        "axe": page.evaluate(FAULTS),
        "small targets": page.evaluate(SMALL_TARGETS),
        "small text": [size] if (size := page.evaluate(SMALLEST_TEXT)) < 18 else [],
        "sideways": [wide] if (wide := page.evaluate(SIDEWAYS)) > 0 else [],
    }
    return {name: what for name, what in found.items() if what}


@pytest.mark.parametrize("size", SIZES, ids=["lying", "standing"])
def test_every_page_can_be_read_and_reached(desk: str, open_page: OpenPage, size: dict[str, int]) -> None:
    url, _, tablet = desk.partition("#")
    page, said = open_page(viewport=size), list[str]()

    def note(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and "status of 404" not in message.text:
            said.append(message.text)

    page.on("console", note)
    page.goto(f"{url}/desk/people")
    found = {"login": faults(page)}
    log_in(page, url, "root")
    lost = (f"tablets/{tablet}/lost?epoch=1&first=4&last=9", "lost")
    menus = ("canteen/menu", "canteen/menu/east-001", "canteen/plan", "canteen/plan?wall=1", "canteen/points")
    for path in (
        *menus,
        "people",
        "people/id-wang",
        "people/new",
        "tablets",
        f"tablets/{tablet}",
        *lost,
        "account",
        "nothing",
    ):
        page.goto(f"{url}/desk/{path}")
        found[path] = faults(page)
    page.goto(f"{url}/desk/tablets")
    page.select_option("#canteen", "east")
    page.fill("#name", "三号窗口")
    page.click("text=生成启用码")
    page.wait_for_selector(".code")
    found["code"] = faults(page)
    page.click("text=退出")
    page.wait_for_url("**/login*")
    log_in(page, url, "new")
    found["must change"] = faults(page)

    assert {path: what for path, what in found.items() if what} == {}
    assert said == []


def test_the_keyboard_alone_logs_in_and_out(desk: str, open_page: OpenPage) -> None:
    url, _, _ = desk.partition("#")
    page = open_page()
    page.goto(f"{url}/desk/people")
    expect(page.locator("#login")).to_be_focused()  # a browser under load focuses only after its first frame

    page.keyboard.type("root")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/desk/people")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "跳到正文"
    for _ in range(3):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "退出"
    page.keyboard.press("Enter")
    page.wait_for_url("**/login*")

    assert "您已安全退出" in page.inner_text("main")
