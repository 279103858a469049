"""A notice entered by the form alone in a real browser, and every page on its way read lying down and standing up."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.auth.house import CITY
from tests.rigs.browsers import OpenPage
from tests.web.test_desk_in_a_browser import SIZES, desk, faults, log_in  # noqa: F401

pytestmark = pytest.mark.browser


def press(page: Page, act: str) -> None:
    page.locator(f'button[name=act][value="{act}"]:not(.visually-hidden)').click()


def test_a_notice_is_entered_by_the_form_alone(desk: str, open_page: OpenPage) -> None:  # noqa: F811
    page = open_page(viewport=SIZES[0])
    log_in(page, desk.partition("#")[0], "root")
    wrong = {}

    def look(name: str) -> None:
        for size in SIZES:
            page.set_viewport_size(size)  # type: ignore[arg-type]
            page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = false })")
            found = {
                kind: what for kind, what in faults(page).items() if kind != "small targets"
            }  # ticks: the label is
            if found:
                wrong[name, size["width"]] = found
        page.set_viewport_size(SIZES[0])  # type: ignore[arg-type]

    page.goto(f"{desk.partition('#')[0]}/desk/ruledesk")
    look("home")
    page.fill("[name=title]", "助餐补贴")
    page.fill("[name=scheme]", "notice-2027")
    page.select_option("[name=place]", f"city/{CITY}")
    page.select_option("[name=template]", "plain")
    page.click("text=开始起草")
    expect(page.locator("#preview")).to_contain_text("请付10.00元")

    page.fill('[name="stages-0-rules-0-value"]', "3.00")
    expect(page.locator("#preview")).to_contain_text("请付9.00元")
    look("form")
    page.fill("[name=source]", "民发〔2026〕1 号")
    press(page, "yaml")
    expect(page.locator("#yaml")).to_be_visible()
    assert "less: 3.00" in page.input_value("#yaml")
    look("yaml")
    press(page, "submit")
    expect(page.locator(".note.good")).to_contain_text("等待另一位同事发布")
    look("version")
    page.click("text=发布前核对")
    expect(page.locator("main")).to_contain_text("须由另一位同事发布")
    look("publish")

    assert wrong == {}
