"""Each page by a request: its content, its permissions, and its messages when something is wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from sqlalchemy import select

from canteen.auth import change_requests, tablets
from canteen.auth.models import ChangeRequest, Grant, Person, Tablet
from canteen.db import db
from tests.auth.house import CITY, EAST, PASSWORD, PIN, Browser, Till, a_person, a_till

Browsers = Callable[[], Browser]


def alert(text: str) -> str:
    """What the page says went wrong."""
    found = re.search(r'role="alert">\s*(?:<p>)?([^<]+)', text)
    return found[1] if found else ""


@pytest.fixture
def root(city: None, browser: Browser) -> str:
    """The city's administrator, logged in."""
    person = a_person("root", ("admin", "area", CITY))
    browser.log_in("root")
    return person


def test_the_bare_address_leads_to_login_then_first_page(city: None, browser: Browser) -> None:
    a_person("it", ("operator_it", "area", CITY))
    a_person("nobody")

    assert browser.get("/").location == "/login"
    browser.log_in("it")
    assert browser.get("/").location == "/desk/tablets"
    browser.log_in("nobody")
    assert browser.get("/").location == "/desk/account"


def test_after_the_login_people_land_where_they_wanted_to_go(city: None, browser: Browser) -> None:
    a_person("root", ("admin", "area", CITY))
    asked = browser.get("/desk/people?q=li")
    assert asked.location == "/login?next=%2Fdesk%2Fpeople%3Fq%3Dli"

    answer = browser.post("/login", at="/login", login="root", password=PASSWORD, next="/desk/people?q=li")

    assert answer.location == "/desk/people?q=li"


@pytest.mark.parametrize(
    "target", ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "/a\nb", ""]
)
def test_a_login_never_leads_elsewhere(city: None, browser: Browser, target: str) -> None:
    a_person("root", ("admin", "area", CITY))

    answer = browser.post("/login", at="/login", login="root", password=PASSWORD, next=target)

    assert answer.location == "/"


def test_a_wrong_password_keeps_the_login_typed(city: None, browser: Browser) -> None:
    answer = browser.log_in("someone", "wrong-password-1")

    assert answer.status_code == 403
    assert alert(answer.text) == "登录名或密码不正确，请检查后再试。"
    assert 'value="someone"' in answer.text


def test_on_an_insecure_address_nobody_logs_in(city: None, browser: Browser) -> None:
    a_person("root", ("admin", "area", CITY))
    at = {"base_url": "http://canteen.example"}
    token = re.search(r'name="csrf" value="([^"]+)"', browser.get("/login", **at).text)
    assert token is not None

    answer = browser.client.post("/login", data={"csrf": token[1], "login": "root", "password": PASSWORD}, **at)

    assert answer.status_code == 403
    assert "https" in alert(answer.text)


def test_a_password_set_by_others_is_changed_first(city: None, browser: Browser) -> None:
    a_person("new", ("admin", "area", CITY), must_change=True)
    browser.log_in("new")
    assert browser.get("/desk/people").location == "/desk/account"

    chosen = "walnut-harbour-77"
    assert alert(browser.post("/desk/account/password", old=PASSWORD, new=chosen, again="x").text).startswith("两次")
    assert alert(browser.post("/desk/account/password", old="wrong", new=chosen, again=chosen).text).startswith(
        "原密码"
    )
    same = browser.post("/desk/account/password", old=PASSWORD, new=PASSWORD, again=PASSWORD)
    assert alert(same.text) == "新密码不能与原密码相同。"
    assert browser.post("/desk/account/password", old=PASSWORD, new=chosen, again=chosen).status_code == 302

    assert browser.get("/desk/people").status_code == 200


def test_a_pin_of_ones_own_needs_the_password(city: None, browser: Browser, till: Till) -> None:
    head = a_person("head", ("manager", "canteen", "east"))
    browser.log_in("head")
    fields = {"pin": PIN, "pin_again": PIN}

    assert browser.post("/desk/account/pin", password="wrong-password", **fields).status_code == 403
    assert till.log_in(head).status_code == 403
    assert browser.post("/desk/account/pin", password=PASSWORD, **fields).status_code == 302
    assert till.log_in(head).status_code == 201
    assert browser.get("/desk/account").status_code == 200


# --- people ---


def test_an_administrator_makes_accounts_and_changes_roles(root: str, browser: Browser) -> None:
    new = {"name": "李娜", "login": "lina", "role": "finance", "node": f"area:{EAST}", "password": PASSWORD}
    made = browser.post("/desk/people/new", at="/desk/people/new", **new)
    page = made.location.split("?")[0]
    assert "账号已建立；角色须由另一位管理员复核" in browser.get(made.location).text
    assert "没有任何角色" in browser.get(page).text
    request = db.session.execute(select(ChangeRequest.id)).scalar_one()
    db.session.rollback()
    change_requests.confirm(request, by=a_person("chief", ("admin", "area", CITY)))

    browser.post(f"{page}/grant", role="manager", node="canteen:east")
    shown = browser.get(page).text
    assert "南关区（区域）" in shown
    assert "east餐厅（食堂）" in shown

    lina = page.rsplit("/", 1)[1]
    for grant in db.session.execute(select(Grant.id).where(Grant.person_id == lina)).scalars().all():
        browser.post(f"{page}/end", grant=str(grant))
    assert "结束角色" not in browser.get(page).text


def test_what_was_typed_is_still_there_after_a_refusal(root: str, browser: Browser) -> None:
    new = {"name": "李娜", "login": "root", "role": "finance", "node": f"area:{EAST}", "password": PASSWORD}

    answer = browser.post("/desk/people/new", at="/desk/people/new", **new)

    assert answer.status_code == 409
    assert alert(answer.text) == "这个登录名已有人使用，请换一个。"
    assert 'value="李娜"' in answer.text
    assert PASSWORD not in answer.text


def test_accounts_are_reset_shut_and_opened(root: str, browser: Browser, browsers: Browsers, till: Till) -> None:
    clerk = a_person("clerk", ("manager", "canteen", "east"))
    page, other = f"/desk/people/{clerk}", browsers()

    browser.post(f"{page}/pin", pin=PIN)
    assert till.log_in(clerk).status_code == 201
    browser.post(f"{page}/password", password="walnut-harbour-77")
    assert other.log_in("clerk").status_code == 403
    assert other.log_in("clerk", "walnut-harbour-77").status_code == 302
    browser.post(f"{page}/disable")
    assert other.get("/desk/account").status_code == 302
    assert "已停用" in browser.get(page).text
    browser.post(f"{page}/enable")
    assert other.log_in("clerk", "walnut-harbour-77").status_code == 302
    assert "已解除锁定" in browser.get(browser.post(f"{page}/unlock").location).text
    assert browser.post(f"{page}/promote").status_code == 404


def test_people_outside_the_scope_answer_404(city: None, browser: Browser) -> None:
    a_person("easterner", ("admin", "area", EAST))
    western = a_person("western", ("cashier", "canteen", "west"))
    browser.log_in("easterner")

    assert browser.get(f"/desk/people/{western}").status_code == 404
    assert browser.post(f"/desk/people/{western}/disable").status_code == 404
    assert browser.get("/desk/people/unknown").status_code == 404
    assert "western" not in browser.get("/desk/people").text
    assert db.session.get_one(Person, western).disabled_at is None


def test_a_manager_is_offered_cashiers_and_the_own_canteen_alone(city: None, browser: Browser) -> None:
    a_person("head", ("manager", "canteen", "east"))
    browser.log_in("head")

    form = browser.get("/desk/people/new").text

    assert re.findall(r'<option value="([a-z_]+)"', form) == ["cashier"]
    assert re.findall(r'<option value="([a-z]+:[^"]+)"', form) == ["canteen:east"]


def test_an_auditor_reads_the_accounts_and_finds_no_button(city: None, browser: Browser) -> None:
    a_person("auditor", ("auditor", "area", CITY))
    cashier = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    browser.log_in("auditor")

    page = browser.get(f"/desk/people/{cashier}")

    assert page.status_code == 200
    assert "east餐厅" in page.text
    assert f"/desk/people/{cashier}/" not in page.text
    assert "新建账号" not in browser.get("/desk/people").text
    assert browser.get("/desk/people/new").status_code == 403


def test_the_menu_shows_what_the_caller_may_open(city: None, browser: Browser) -> None:
    a_person("root", ("admin", "area", CITY))
    a_person("clerk", ("finance", "area", CITY))

    def menu(login: str) -> list[str]:
        browser.log_in(login)
        found = re.search(r'<nav class="menu".*?</nav>', browser.get("/desk/account").text, re.DOTALL)
        return re.findall(r'href="([^"]+)"', found[0]) if found else []

    assert {"/desk/people", "/desk/tablets"} <= set(menu("root"))
    assert not {"/desk/people", "/desk/tablets"} & set(menu("clerk"))


def test_names_are_written_as_text(root: str, browser: Browser) -> None:
    new = {
        "name": "<script>x</script>",
        "login": "unknown-role",
        "role": "finance",
        "node": f"area:{EAST}",
        "password": PASSWORD,
    }
    browser.post("/desk/people/new", at="/desk/people/new", **new)

    assert "<script>x" not in browser.get("/desk/people").text
    assert "&lt;script&gt;x" in browser.get("/desk/people").text


# --- tablets ---


def test_a_manager_lets_a_tablet_in_and_shuts_it_out(city: None, browser: Browser, till: Till) -> None:
    a_person("head", ("manager", "canteen", "east"))
    browser.log_in("head")

    shown = browser.post("/desk/tablets/codes", canteen="east", name="二号窗口").text
    code = re.search(r"\d{4} \d{4} \d{4}", shown)
    assert code is not None
    assert tablets.enrol(code[0], till.public_key) != till.tablet
    assert "二号窗口" in browser.get("/desk/tablets").text

    page = f"/desk/tablets/{till.tablet}"
    assert browser.post(f"{page}/revoke", reason="").status_code == 422
    assert browser.post(f"{page}/revoke", reason="lost").status_code == 302
    assert till.call("GET", "/api/v1/pos/boot").status_code == 401
    assert "已停用" in browser.get(page).text


def test_a_code_needs_a_name(city: None, browser: Browser) -> None:
    a_person("head", ("manager", "canteen", "east"))
    browser.log_in("head")

    answer = browser.post("/desk/tablets/codes", canteen="east", name="")

    assert answer.status_code == 422
    assert alert(answer.text).startswith("请填写平板名称")


def test_tablets_outside_the_scope_answer_404(app: object, city: None, browser: Browser, till: Till) -> None:
    a_person("western", ("manager", "canteen", "west"))
    browser.log_in("western")
    page = f"/desk/tablets/{till.tablet}"

    assert browser.get(page).status_code == 404
    assert browser.post(f"{page}/revoke", reason="lost").status_code == 404
    assert browser.get(f"{page}/lost").status_code == 404
    lost = {"epoch": "1", "first": "1", "last": "1", "reason": "平板进水，无法开机"}
    assert browser.post(f"{page}/lost", **lost).status_code == 404
    assert browser.post("/desk/tablets/codes", canteen="east", name="x").status_code == 404
    assert till.tablet not in browser.get("/desk/tablets").text
    assert db.session.get_one(Tablet, till.tablet).revoked_at is None


def test_the_list_of_tablets_tells_clocks_that_are_wrong(root: str, browser: Browser, app: object, till: Till) -> None:
    a_till(app, "west")  # type: ignore[arg-type]
    headers = till.sign("GET", "/api/v1/pos/boot", at="2026-01-01T00:00:00+08:00")
    till.client.get("/api/v1/pos/boot", headers=headers)

    text = browser.get("/desk/tablets").text

    assert re.search(r"慢 \d+ 分钟", text)
    assert "尚未联络" in text


def test_a_nul_is_refused_in_forms_and_addresses(root: str, browser: Browser) -> None:
    refused = browser.post("/login", at="/login", login="ro\0ot", password=PASSWORD)
    asked = browser.get("/login?next=/desk%00")
    for answer in (refused, asked):
        assert answer.status_code == 422
        assert "无法保存的字符" in answer.text
