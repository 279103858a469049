"""What only a real browser shows: a file checked and applied without choosing it twice, a card bound by a scanner."""

import re
from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect
from sqlalchemy import func, select

from canteen.db import db, transaction
from canteen.registry import credentials, documents, elders
from canteen.registry.elders import NewElder
from canteen.registry.imports import templates
from canteen.registry.imports.roster_columns import ROSTER
from canteen.registry.models import Elder
from tests.auth.house import EAST_STREET, PASSWORD, a_person
from tests.registry.people import number
from tests.rigs.browsers import OpenPage
from tests.rigs.servers import Serve

pytestmark = pytest.mark.browser
STANDING_UP = {"width": 800, "height": 1280}
NUMBER = number(region="220102")


@pytest.fixture(params=[None, STANDING_UP], ids=["lying", "standing"])
def page(request: pytest.FixtureRequest, open_page: OpenPage, serve: Serve, app: Flask, city: None) -> Page:
    """The desk of the eastern district's administrator."""
    a_person("east", ("admin", "area", "220102"))
    server = serve(app.config["CANTEEN"])
    opened = open_page(base_url=server.url, **({"viewport": request.param} if request.param else {}))
    opened.goto("/login")
    opened.fill("[name=login]", "east")
    opened.fill("[name=password]", PASSWORD)
    opened.click("main button")
    opened.wait_for_url(re.compile("/desk"))
    return opened


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """What the browser does is the same on both databases."""
    return sqlite_url


def test_a_file_is_checked_and_applied_without_choosing_it_again(page: Page, tmp_path: Path):
    row = {"name": "李秀英", "number": NUMBER, "hukou": EAST_STREET, "since": "2026-01-01"}
    bad = row | {"number": "220102460305102"}
    path = tmp_path / "名册.csv"
    path.write_bytes(
        templates.separated(ROSTER, [[each.get(column.key, "") for column in ROSTER.columns] for each in (row, bad)])
    )
    page.goto("/desk/imports")
    page.set_input_files("#file", path)
    page.get_by_role("button", name="检查").click()
    expect(page.locator("#result")).to_contain_text("18 位")
    heading = page.locator("#result caption").bounding_box()
    assert heading is not None
    assert heading["width"] > heading["height"]  # in one line, standing up too
    with page.expect_download() as downloaded:
        page.get_by_role("link", name="下载需要改正的行").click()
    assert downloaded.value.path().read_bytes().startswith(b"PK")
    page.get_by_role("button", name="导入其余 1 行").click()
    expect(page.locator("#result")).to_contain_text("已导入，立即生效")
    assert db.session().execute(select(func.count()).select_from(Elder)).scalar_one() == 1
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_refusal_from_the_door_is_shown_beside_the_form_too(page: Page, tmp_path: Path):
    (path := tmp_path / "名册.csv").write_bytes(b"x" * (22 * 1024 * 1024))
    page.goto("/desk/imports")
    page.set_input_files("#file", path)
    page.get_by_role("button", name="检查").click()
    expect(page.locator("#result [role=alert]")).to_be_visible()


def test_a_scanner_finds_an_elder_and_binds_a_blank_card(page: Page):
    document = documents.parse("resident", NUMBER)
    with transaction() as session:
        new = NewElder("李秀英", document, hukou=EAST_STREET, residence=EAST_STREET, known_from=date(2020, 1, 1))
        li = elders.register(session, new, "system")
        card = credentials.make(session, [None], batch="b", by="system")[0]
    page.goto("/desk/elders")
    expect(page.locator("#q")).to_be_focused()  # a browser under load focuses only after its first frame
    page.keyboard.type(f"{NUMBER}\n")
    page.wait_for_url(re.compile(str(li)))
    page.get_by_label("扫空白卡").click()
    page.keyboard.type(f"{card.code}\n")
    expect(page.get_by_text("已绑定")).to_be_visible()
    expect(page.get_by_text(f"{card.number[:4]} {card.number[4:]}")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
