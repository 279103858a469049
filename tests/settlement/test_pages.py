"""The desk's pages: each opens for whom it is meant, says what a clerk needs, and knows nothing of other places."""

from __future__ import annotations

import html
import io
import re
from datetime import date

import pytest
from flask import Flask
from python_calamine import CalamineWorkbook
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import transaction
from canteen.places import Contract, Payee
from canteen.registry import elders
from canteen.settlement.claims import claims
from canteen.settlement.desk import line_queries
from canteen.settlement.models import WithheldMeal
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement.conftest import Town, at, exported

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
CLAIM = "/desk/claims/k1-202601"
PEOPLE = {
    "manager": ("manager", "canteen", "c1"),
    "street": ("reviewer", "area", world.STREET),
    "maker": ("finance", "area", world.DISTRICT),
    "chief": ("finance", "area", world.DISTRICT),
    "payer": ("finance", "area", world.DISTRICT),
    "checker": ("finance", "area", world.DISTRICT),
    "auditor": ("auditor", "area", world.CITY),
    "elsewhere": ("finance", "area", world.OTHER_DISTRICT),
    "cashier2": ("cashier", "canteen", "c1"),
}


@state
def month(town: Town) -> Town:
    """January closed: two meals, of which one after the elder's death."""
    for login, grant in PEOPLE.items():
        a_person(login, grant)
    town.sales = [town.sell(JAN5, town.cards[0])[0], town.sell(JAN6, town.cards[0])[0]]  # type: ignore[attr-defined]
    with clock.at(at(date(2026, 1, 20))), transaction() as session:
        number = events.record(session, "elder.facts", str(town.elders[0]), by="p-admin")
        elders.add_fact(session, town.elders[0], "status", "deceased", JAN5, None, "民政", number)
    town.close("2026-01")
    return town


@pytest.fixture
def desk(app: Flask, month: Town):
    def enter(login: str) -> Browser:
        browser = Browser(app.test_client())
        browser.log_in(login)
        return browser

    return enter


def text(answer: object) -> str:
    """The words of a page without its marks."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))  # type: ignore[attr-defined]


def test_the_month_s_page_shows_state_amounts_and_findings(desk):  # noqa: ANN001
    page = text(desk("maker").get("/desk/claims"))

    assert "2026年1月结算" in page
    assert "康乐食堂 2 / 1 10.00 10.00 1 项待核 待申报" in page
    assert "市级 10.00" in page


def test_a_long_line_leads_to_the_meals_of_each_day(desk, month: Town, monkeypatch: pytest.MonkeyPatch):  # noqa: ANN001
    browser = desk("street")
    assert "1 月 6 日 5.00 元" not in text(browser.get(f"{CLAIM}/lines/1"))
    monkeypatch.setattr(line_queries, "SIZE", 1)
    line = browser.get(f"{CLAIM}/lines/1")
    assert "2026-01-05 午餐" in text(line)

    (there,) = re.findall(r'href="([^"]+)">1 月 6 日 5.00 元', line.text)

    sixth = text(browser.get(html.unescape(there)))
    assert "2026-01-06 午餐" in sixth
    assert "2026-01-05 午餐" not in sixth


def test_a_line_leads_to_its_meals_and_they_to_explanations(desk, month: Town):  # noqa: ANN001
    browser = desk("street")
    line = browser.get(f"{CLAIM}/lines/1")
    assert line.status_code == 200
    assert "2026-01-05 午餐 李秀英 荤素套餐 12.00 7.00 5.00" in text(line)

    meal = text(browser.get(f"/desk/meals/{month.sales[0]}"))  # type: ignore[attr-defined]
    for words in (
        "第一条",
        "年满 60 周岁",
        "本系统按当日标准复算：个人应付 7.00 元",
        "出生日期",
        "一号机 1-1",
        "可申报金额 5.00 元",
    ):
        assert words in meal


@pytest.mark.parametrize(
    "page", ["/desk/claims", CLAIM, f"{CLAIM}/findings", f"{CLAIM}/lines/1", "/desk/withheld", "/desk/payouts"]
)
def test_every_page_opens_for_readers_of_claims_not_cashiers(desk, page: str):  # noqa: ANN001
    for login in ("manager", "street", "maker", "auditor"):
        assert desk(login).get(page).status_code == 200, login
    assert desk("cashier2").get(page).status_code == 403


@pytest.mark.parametrize(
    "page", [CLAIM, f"{CLAIM}/findings", f"{CLAIM}/lines/1", f"{CLAIM}/export.xlsx", "/desk/meals/{sale}"]
)
def test_another_district_s_claims_and_meals_do_not_exist(desk, month: Town, page: str):  # noqa: ANN001
    assert desk("elsewhere").get(page.format(sale=month.sales[0])).status_code == 404  # type: ignore[attr-defined]


def test_another_district_s_month_is_empty(desk):  # noqa: ANN001
    page = text(desk("elsewhere").get("/desk/claims"))

    assert "还没有结算单" in page
    assert "康乐" not in page


def test_buttons_stand_only_where_the_caller_may_press_them(desk):  # noqa: ANN001
    def offered(login: str) -> list[str]:
        return re.findall(r'name="move" value="(\w+)"', desk(login).get(CLAIM).text)

    assert offered("manager") == ["submit"]
    assert offered("street") == offered("maker") == offered("auditor") == []


def test_a_move_outside_one_s_right_is_refused(desk, session: Session, month: Town):  # noqa: ANN001
    assert desk("street").post(f"{CLAIM}/move", move="submit").status_code in {403, 404}
    assert desk("auditor").post(f"{CLAIM}/move", move="submit").status_code == 403
    assert claims.state(session, month.claim("2026-01").id) == "draft"


def test_six_people_take_a_claim_from_canteen_to_voucher(desk, session: Session, month: Town):  # noqa: ANN001
    def press(login: str, move: str, **fields: str) -> str:
        answer = desk(login).post(f"{CLAIM}/move", move=move, **fields)
        return text(answer) if answer.status_code != 302 else answer.headers["Location"]

    assert "done=submit" in press("manager", "submit", seen="0")
    assert "还有待核实事项没有结论" in press("street", "review")
    (finding,) = month.findings("2026-01")
    answered = desk("street").post(
        f"{CLAIM}/findings", finding=str(finding.id), outcome="disallowed", reason="已核对户籍"
    )
    assert answered.status_code == 302
    assert "done=review" in press("street", "review")
    assert "请刷新后查看" in press("maker", "determine", seen="1")
    assert "done=determine" in press("maker", "determine", seen="2")
    assert "须由另一人办理" in press("maker", "approve")
    assert "须由另一人办理" in text(desk("maker").get(CLAIM))
    assert "done=approve" in press("chief", "approve")

    entered = desk("payer").post(f"{CLAIM}/payouts", voucher="2026-0137", paid_on=clock.today().isoformat())
    assert "done=entered" in entered.headers["Location"]
    assert "您录入的拨付须由另一人复核" in text(desk("payer").get("/desk/payouts"))
    checked = desk("checker").post("/desk/payouts/1/check", outcome="confirmed")
    assert "done=confirmed" in checked.headers["Location"]
    assert claims.state(session, month.claim("2026-01").id) == "paid"
    page = text(desk("auditor").get(CLAIM))
    assert "已拨付，办理完毕" in page
    assert "10.00 – 5.00 5.00" in page


def test_a_withheld_meal_waits_until_another_releases_it(desk, session: Session, month: Town):  # noqa: ANN001
    desk("street").post(f"/desk/meals/{month.sales[0]}/withhold", outcome="withheld", reason="需要核实")  # type: ignore[attr-defined]
    session.rollback()
    withheld = session.execute(select(WithheldMeal.id)).scalar_one()
    assert "k1-202601 / 1" in text(desk("maker").get("/desk/withheld"))

    refused = desk("street").post("/desk/withheld", withheld=str(withheld), outcome="released", reason="已经核对")
    assert (refused.status_code, "放行须由另一人办理" in text(refused)) == (403, True)
    released = desk("maker").post("/desk/withheld", withheld=str(withheld), outcome="released", reason="已经核对")

    assert released.status_code == 302
    assert "没有暂缓支付的就餐" in text(desk("maker").get("/desk/withheld"))


def approved(desk, month: Town) -> None:  # noqa: ANN001
    (finding,) = month.findings("2026-01")
    desk("street").post(f"{CLAIM}/findings", finding=str(finding.id), outcome="accepted", seen="0")
    for login, act in (("manager", "submit"), ("street", "review"), ("maker", "determine"), ("chief", "approve")):
        desk(login).post(f"{CLAIM}/move", move=act, approved="1000")


def test_a_payout_shows_payee_funds_and_a_changed_account(desk, month: Town):  # noqa: ANN001
    approved(desk, month)
    page = text(desk("payer").get("/desk/payouts"))
    assert "10.00 元 康乐餐饮，工商银行，尾号 0001 市级 10.00 收款账户与上次拨付不同" not in page
    assert "10.00 元 康乐餐饮，工商银行，尾号 0001 市级 10.00" in page

    refused = desk("payer").post(f"{CLAIM}/payouts", voucher="=1+1", paid_on=clock.today().isoformat())
    assert refused.status_code == 422
    assert 'value="=1+1"' in refused.text
    assert f'value="{clock.today().isoformat()}"' in refused.text

    desk("payer").post(f"{CLAIM}/payouts", voucher="2026-1", paid_on=clock.today().isoformat())
    desk("checker").post("/desk/payouts/1/check", outcome="confirmed")
    with transaction() as session:
        session.add(Payee(id="new", name="新单位", bank="农业银行", account_cipher=b"x", account_tail="9999"))
        session.flush()
        session.get_one(Contract, "k1").payee_id = "new"
    with clock.at(at(date(2026, 2, 3))):
        month.sell(date(2026, 2, 3), month.elder())
    month.close("2026-02")
    for login, act in (("manager", "submit"), ("street", "review"), ("maker", "determine"), ("chief", "approve")):
        desk(login).post("/desk/claims/k1-202602/move", move=act)

    warned = text(desk("payer").get("/desk/payouts"))
    assert "收款账户与上次拨付不同（上次：康乐餐饮，工商银行，尾号 0001）" in warned


def test_a_decision_on_an_old_amount_is_refused_with_a_sentence(desk, month: Town):  # noqa: ANN001
    approved_by = desk("maker")
    desk("manager").post(f"{CLAIM}/move", move="submit", seen="0", approved="1000")
    (finding,) = month.findings("2026-01")
    desk("street").post(f"{CLAIM}/findings", finding=str(finding.id), outcome="withheld", reason="核对户籍", seen="0")

    stale = desk("street").post(f"{CLAIM}/move", move="review", seen="1", approved="1000")
    assert (stale.status_code, "核定金额刚有变动" in text(stale)) == (409, True)
    second = approved_by.post(f"{CLAIM}/findings", finding=str(finding.id), outcome="accepted", seen="0")
    assert (second.status_code, "刚由他人核实过" in text(second)) == (409, True)


def test_a_disallowed_meal_is_released_on_its_page_by_another(desk, month: Town):  # noqa: ANN001
    sale = month.sales[0]  # type: ignore[attr-defined]
    desk("street").post(f"/desk/meals/{sale}/withhold", outcome="disallowed", reason="无人就餐")
    assert "核减" in text(desk("manager").get(f"{CLAIM}/lines/1"))
    assert "放行须由另一人办理" in text(desk("street").get(f"/desk/meals/{sale}"))

    page = desk("maker").get(f"/desk/meals/{sale}")
    (withheld,) = re.findall(r'name="withheld" value="(\d+)"', page.text)
    answer = desk("maker").post("/desk/withheld", withheld=withheld, outcome="released", reason="食堂已说明")

    assert answer.status_code == 302
    assert "放行 ： 食堂已说明" in text(desk("manager").get(f"/desk/meals/{sale}")).replace("放行：", "放行 ： ")


def test_no_code_stands_for_a_name_on_a_meal_s_page(desk, month: Town):  # noqa: ANN001
    page = text(desk("street").get(f"/desk/meals/{month.sales[0]}"))  # type: ignore[attr-defined]

    assert "每人每餐别 1 次" in page
    for code in ("guard.meal", "/lunch", "any/", " lunch", "granted"):
        assert code not in page


def test_a_canteen_never_reads_of_a_death_behind_an_earlier_meal(desk, month: Town):  # noqa: ANN001
    approved(desk, month)
    sale = month.sales[0]  # type: ignore[attr-defined]
    with clock.at(at(date(2026, 2, 8))), transaction() as session:
        number = events.record(session, "elder.facts", str(month.elders[0]), by="p-admin")
        elders.add_fact(session, month.elders[0], "status", "deceased", date(2026, 1, 4), None, "民政", number)
    month.close("2026-02")
    found = next(one for one in month.findings("2026-02") if str(one.sale_id) == sale)
    desk("street").post(
        "/desk/claims/k1-202602/findings", finding=str(found.id), outcome="disallowed", reason="社区已核实", seen="0"
    )

    assert "身故" in desk("street").get(f"/desk/meals/{sale}").text
    assert "身故" not in desk("manager").get(f"/desk/meals/{sale}").text


def test_a_canteen_s_own_people_do_not_see_deaths(desk, month: Town):  # noqa: ANN001
    for page in (CLAIM, f"{CLAIM}/findings", f"/desk/meals/{month.sales[1]}"):  # type: ignore[attr-defined]
        assert "身故" not in desk("manager").get(page).text
        assert "身故" in desk("street").get(page).text
    with exported(desk("manager"), CLAIM) as answer:
        book = CalamineWorkbook.from_filelike(io.BytesIO(answer.data))
    assert "身故" not in str([book.get_sheet_by_name(name).to_python() for name in book.sheet_names])


def test_the_export_is_a_workbook_and_is_recorded(desk, session: Session):  # noqa: ANN001
    with exported(desk("maker"), CLAIM) as answer:
        assert answer.status_code == 200
        assert "k1-202601.xlsx" in answer.headers["Content-Disposition"]
        assert CalamineWorkbook.from_filelike(io.BytesIO(answer.data)).sheet_names[0] == "结算汇总"
    session.rollback()
    event = session.execute(select(events.Event).where(events.Event.kind == "claim.export")).scalar_one()
    assert event.actor == "id-maker"


def test_a_form_without_its_token_changes_nothing(app: Flask, desk, session: Session, month: Town):  # noqa: ANN001
    answer = desk("manager").client.post(f"{CLAIM}/move", data={"move": "submit"})

    assert answer.status_code in {400, 403}
    assert claims.state(session, month.claim("2026-01").id) == "draft"


@pytest.mark.parametrize(
    ("path", "fields", "words"),
    [
        (f"{CLAIM}/findings", {"outcome": "accepted"}, "请先勾选"),
        (f"{CLAIM}/payouts", {"voucher": "=1", "paid_on": "2026-02-06"}, "凭证号"),
        (f"{CLAIM}/payouts", {"voucher": "1", "paid_on": "soon"}, "拨付日期"),
        (f"{CLAIM}/payouts", {"voucher": "1", "paid_on": "2026-02-06"}, "还没有审批"),
    ],
)
def test_a_form_filled_in_badly_is_answered_with_a_sentence(desk, path: str, fields: dict[str, str], words: str):  # noqa: ANN001
    answer = desk("maker").post(path, **fields)

    assert answer.status_code in {409, 422}
    assert words in text(answer)


def test_unbooked_records_are_shown_before_the_submission(desk, month: Town):  # noqa: ANN001
    assert "未能入账" not in desk("manager").get(CLAIM).text
    with clock.at(at(JAN6, 12)):
        broken = world.seal(month.till, world.checkout_body(month.till, [None]))
    broken["hash"] = "0" * 64
    month.bring(at(JAN6, 12), broken)

    assert "有 1 条平板记录未能入账" in text(desk("manager").get(CLAIM))


@pytest.fixture
def excess(desk, month: Town) -> tuple[str, str, str]:  # noqa: ANN001 - the people of `desk` stand first
    """February closed with a lunch and a second one of the same day: (page of its finding, holder, excess)."""
    del desk
    day = date(2026, 2, 9)
    month.elder()
    kept = month.sealed(day, month.cards[1], minute=10)
    (first,) = month.sell(day, month.cards[1])
    (second,) = month.bring(at(day, 13), kept)
    month.close("2026-02")
    (found,) = [one for one in month.findings("2026-02") if one.code == "excess_slot"]
    return f"/desk/claims/k1-202602/findings/{found.id}/reallocation", first, second.sales[0]


def test_a_reallocation_on_its_page_is_shown_on_both_meals(
    desk,  # noqa: ANN001
    excess: tuple[str, str, str],
):
    page, first, second = excess
    assert page in desk("street").get("/desk/claims/k1-202602/findings").text
    assert page not in desk("manager").get("/desk/claims/k1-202602/findings").text
    shown = desk("street").get(page)
    assert "名额已空出，直接补入本餐" in text(shown)
    assert f'value="{first}"' in shown.text

    refused = desk("street").post(page, **{"from": "free", "reason": "核对签名无误", "seen": "0"})
    assert (refused.status_code, "仍被占用" in text(refused), "核对签名无误" in refused.text) == (409, True, True)
    for missing in (
        {"from": "", "reason": "核对签名无误"},
        {"from": first, "reason": ""},
        {"from": "x", "reason": "y"},
    ):
        assert desk("street").post(page, **missing).status_code == 422
    answer = desk("street").post(page, **{"from": first, "reason": "核对签名无误", "seen": "0"})
    assert answer.status_code == 302
    again = desk("maker").post(page, **{"from": first, "reason": "核对签名无误", "seen": "0"})
    assert (again.status_code, "由他人核实过" in text(again)) == (409, True)

    received, gave = (text(desk("street").get(f"/desk/meals/{sale}")) for sale in (second, first))
    assert "本餐原为超次，经审核由 另一餐" in received
    assert "可申报金额 5.00 元" in received
    assert "不予申报：" not in received.split("补贴依据")[0]
    assert "本餐的享受经审核转给了 另一餐" in gave
    assert "可申报金额 0.00 元 （不予申报：享受转让）" in gave
    assert "由另一餐转给本餐享受：核对签名无误" in text(desk("street").get("/desk/claims/k1-202602/findings"))


def test_the_reallocation_page_is_open_to_its_judges_alone(desk, excess: tuple[str, str, str]):  # noqa: ANN001
    page, first, _ = excess
    for login in ("manager", "auditor", "elsewhere", "cashier2"):
        assert desk(login).get(page).status_code in {403, 404}
        assert desk(login).post(page, **{"from": first, "reason": "核对签名无误"}).status_code in {403, 404}
