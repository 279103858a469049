"""A district from an empty database to meals served, by README's commands and the screens alone."""

from __future__ import annotations

import re

import pypdfium2
import pytest
import zxingcpp
from playwright.sync_api import Page, expect

from canteen.errors import Refusal
from canteen.invariants import RolesMissing
from tests.browser.tills import Till
from tests.registry.people import CITY, number
from tests.rigs.browsers import OpenPage
from tests.rigs.servers import Serve, Server
from tests.stories import place_files
from tests.stories.place import OPTIONS_OF_TLS, PASSWORD, Place, place

__all__ = ["place"]

pytestmark = pytest.mark.browser
NEW_PASSWORD = "walnut-harbour-17"
DOTS = 200 / 72


def test_a_place_is_served_from_an_empty_database(place: Place, serve: Serve, open_page: OpenPage) -> None:
    place_files.fill(place.folder)
    place_files.messy(place.folder)
    make(place)
    server = place_of(place, serve)
    desk = Desk(open_page, server.url)
    for login in ("root", "chief"):
        desk.first_log_in(login, PASSWORD)
    enter_canteens(place, desk)
    publish_rules(desk)
    take_people_in(place, desk)
    scans = print_cards(place)
    till = sell(place, server, open_page, scans)
    assert place.left == []
    come_back(place, desk, till)


def make(place: Place) -> None:
    """The database under plain logins; what only a superuser may do is said, and done once."""
    owner = place.logins.owner
    place.step("keys", "init", login=owner)
    with pytest.raises(RolesMissing) as refused:
        place.run("init", login=owner)
    place.logins.as_superuser(*refused.value.details["sql"])  # type: ignore[misc]
    place.said |= {"app": place.logins.app}
    assert "Database ready" in place.step("init", "--app", login=owner)
    place.step("doctor")
    place.step("roster", "apply", "--kind", "areas")
    for login in ("root", "chief"):
        place.step("user", "add", login, text=f"{PASSWORD}\n{PASSWORD}\n")


def place_of(place: Place, serve: Serve) -> Server:
    given = place.left.pop(0)
    assert (given[0], *given[1::2]) == ("serve", *OPTIONS_OF_TLS)
    return serve(place.config(place.logins.app), options=("--no-scheduler",))


class Desk:
    """The desk as its people see it, each in a browser of their own."""

    def __init__(self, open_page: OpenPage, url: str) -> None:
        self.url = url
        self._open = open_page
        self._pages: dict[str, Page] = {}

    def first_log_in(self, login: str, password: str) -> Page:
        page = self._pages[login] = self._open()
        page.goto(f"{self.url}/login")
        page.fill("#login", login)
        page.fill("#password", password)
        page.click("main button")
        page.fill("[name=old]", password)
        page.fill("[name=new]", NEW_PASSWORD)
        page.fill("[name=again]", NEW_PASSWORD)
        page.click("text=修改密码 >> visible=true")
        expect(page.locator(".note.good")).to_be_visible()
        return page

    def of(self, login: str, path: str) -> Page:
        page = self._pages[login]
        page.goto(f"{self.url}{path}")
        return page

    def confirm_all(self, login: str) -> None:
        """Confirm as a second person whatever waits."""
        while (waiting := self.of(login, "/desk/changes").locator("tbody a.button:not(.second)")).count():
            waiting.first.click()
            self._pages[login].click("text=核对无误，通过")
            expect(self._pages[login].locator(".note.good")).to_be_visible()


def enter_canteens(place: Place, desk: Desk) -> None:
    for kind in ("canteens", "contracts"):
        place.step("roster", "apply", "--kind", kind)
    told = place.step("roster", "apply", "--kind", "staff")
    (place.said["pin"],) = re.findall(r"wang: 收银口令 (\d{6})", told)
    for login, password in re.findall(r"(\w+): 初始密码 (\w+)", told):
        desk.first_log_in(login, password)
    place.step("menu", "apply")
    place.step("points", "apply")
    desk.confirm_all("chief")  # the account that the contract is paid to
    assert "12.00" in place.step("menu", "show")


def publish_rules(desk: Desk) -> None:
    """Drafted by one, published by another, by form alone."""
    page = desk.of("root", "/desk/ruledesk")
    page.fill("[name=title]", "助餐补贴")
    page.fill("[name=scheme]", "notice-2026")
    page.select_option("[name=place]", f"city/{CITY}")
    page.select_option("[name=template]", "plain")
    page.click("text=开始起草")
    page.fill('[name="stages-0-rules-0-value"]', "3.00")
    page.fill("[name=source]", "民发〔2026〕1 号")
    page.locator('button[name=act][value="submit"]:not(.visually-hidden)').click()
    expect(page.locator(".note.good")).to_contain_text("等待另一位同事发布")
    page = desk.of("chief", page.url.removeprefix(desk.url).partition("?")[0])
    page.click("text=发布前核对")
    page.locator("form:not([action]) button:has-text('发布')").click()
    expect(page.locator(".note.good")).to_be_visible()


def take_people_in(place: Place, desk: Desk) -> None:
    """Five offices' files: an old workbook, a register, words of one's own, a page named .xls, a list of one kind."""
    for file, code in (("page.xls", "file_kind"), ("words.csv", "file_columns")):
        with pytest.raises(Refusal) as refused:
            place.run("roster", "check", file)
        assert refused.value.code == code
    place.step("roster", "check", "words.csv", "--map", "map.yaml")
    place.step("roster", "apply", "words.csv", "--map", "map.yaml")
    assert "隐藏的工作表" in place.run("roster", "apply", "old.xls")
    place.run("roster", "apply", "register.xlsx", "--map", "map.yaml")
    told = place.step("roster", "apply", "--kind", "classes", "dibao.csv")
    assert "1 changed" in told
    assert "id_rounded" in told
    desk.confirm_all("chief")


def print_cards(place: Place) -> list[str]:
    """Return what a scanner reads from the printed cards, in order."""
    told = place.step("cards", "issue", "--area")
    place.said["BATCH"] = told.split("batch: ")[1].split()[0]
    place.step("cards", "print", "BATCH")
    (file,) = place.folder.glob("*.pdf")
    with pypdfium2.PdfDocument(file) as document:
        sheet = document[0].render(scale=DOTS).to_pil().convert("RGB")
    found = [one.text for one in zxingcpp.read_barcodes(sheet)]
    assert len(found) == 4
    return found


def sell(place: Place, server: Server, open_page: OpenPage, scans: list[str]) -> Till:
    """The first meal, and a dish by its button."""
    code = place.step("tablet", "code").split("  until")[0]
    till = Till(open_page(), server.url)
    till.let_in(re.sub(r"\D", "", code))
    till.log_in("王秀兰", place.said["pin"])
    till.scan(scans[0])
    till.page.click(".meal:has-text('红烧肉')")
    till.due("15.00 元")
    till.pay("cash")
    till.sent()
    place.step("doctor")
    assert place.rows("SELECT count(*) FROM sale") == [(1,)]
    return till


def come_back(place: Place, desk: Desk, till: Till) -> None:
    """An elder who applies at the counter, loses the card, moves, is reported dead by mistake, and eats again."""
    application = apply(desk)
    page = desk.of("root", "/desk/elders")
    page.fill("#q", "孙秀珍")
    page.click("main form button")
    page.click("tbody th a")
    elder = page.url.removeprefix(desk.url).partition("?")[0]
    first = new_card(page)
    type_card(till, first)
    till.due("9.00 元")  # as of her age, before anybody decided on her class
    till.pay("cash")
    till.sent()
    agree(desk, application)
    page = desk.of("root", elder)
    page.click("text=挂失")
    expect(page.locator(".state.warn")).to_contain_text("已挂失")
    type_card(till, first)
    till.sees("此卡已停用")
    page = desk.of("root", elder)
    page.click("text=换发新卡")
    note(page, "迁居、家庭、照护等级", value=place_files.OTHER_STREET)
    note(page, "状态（已故", value="deceased")
    page = desk.of("root", elder)
    page.locator("tr:has-text('已故') details").first.evaluate("each => each.open = true")
    page.click("tr:has-text('已故') >> text=记错了，不再计入")
    desk.confirm_all("chief")  # nobody comes back to life by one hand
    second = new_card(desk.of("root", elder))
    type_card(till, second)
    till.sees("这一餐已享受过优惠，这一份不再享受。")
    till.pay("mobile")
    till.sent()
    assert place.rows("SELECT count(*) FROM sale") == [(3,)]


def apply(desk: Desk) -> str:
    """Take an application at the canteen's own desk; return its page."""
    page = desk.of("chen", "/desk/applications/new")
    given = {
        "name": "孙秀珍",
        "number": number("19380210", 205),
        "residence": place_files.COMMUNITY,
        "proof-1": "低保证",
    }
    for name, value in given.items():
        page.fill(f"[name={name}]", value)
    page.select_option("[name=class-1]", "dibao")
    page.check("[name=agrees]")
    page.click("text=提交申请")
    expect(page.locator(".note.good")).to_contain_text("申请已受理")
    return page.url.removeprefix(desk.url).partition("?")[0]


def agree(desk: Desk, application: str) -> None:
    """The opinion of the community, then of the street, by two people."""
    for login, button in (("she", "社区同意，报街道"), ("jie", "街道同意，按此生效")):
        page = desk.of(login, application)
        page.click(f"text={button}")
        expect(page.locator(".note.good")).to_contain_text("意见已记录")


def note(page: Page, fold: str, *, value: str) -> None:
    """Write a change of a person, from today on, with the form that unfolds under `fold`."""
    form = page.locator(f"details:has(> summary:has-text('{fold}'))")
    form.evaluate("each => each.open = true")
    field = form.locator("[name=value]")
    (field.select_option if field.evaluate("each => each.tagName") == "SELECT" else field.fill)(value)
    form.locator("form button").click()
    expect(page.locator(".note.good")).to_be_visible()


def new_card(page: Page) -> str:
    """Make a card with the elder's name; return its number of eight digits."""
    page.click("text=制一张带姓名的卡")
    expect(page.locator(".note.good")).to_be_visible()
    return page.locator(".card-row:has(.state.good) strong").first.inner_text().replace(" ", "")


def type_card(till: Till, number_on_it: str) -> None:
    till.page.click("button:has-text('输入卡号')")
    till.press("dialog", number_on_it)
    till.page.click("dialog .primary")
