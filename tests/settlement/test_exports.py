"""A claim's workbook: what it says, and that no cell can run."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import select

from canteen import clock, events
from canteen.auth.models import Person
from canteen.db import transaction
from canteen.places import Payee
from canteen.pos.models import Sale
from canteen.registry import elders, keys
from canteen.settlement.claims import payouts, steps, workflow
from canteen.settlement.claims import review as claim_review
from canteen.settlement.desk import exports
from canteen.workbook import Book
from tests.rigs.states import state
from tests.settlement.conftest import Town, at

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)


@state
def month(town: Town) -> Town:
    """January closed: two meals, one voided, a guest; the cashier's name begins like a formula."""
    with transaction() as session:
        session.get_one(Person, "p-cashier").name = "=1+2"
    town.sell(JAN5, town.cards[0])
    town.void(town.sell(JAN6, town.cards[0])[0], at(JAN6, 12))
    town.sell(JAN6, None, hour=12)
    town.close("2026-01")
    return town


def sheets(path: Path) -> dict[str, list[list[object]]]:
    book = CalamineWorkbook.from_path(str(path))
    return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def test_the_workbook_has_exact_amounts_and_ids_as_text(month: Town, tmp_path: Path):
    written = exports.claim(month.claim("2026-01").id, tmp_path / "claim.xlsx")

    found = sheets(written.path)
    head, *rows = found["就餐明细"]
    meals = [dict(zip(head, row, strict=True)) for row in rows]
    assert [meal["日期"] for meal in meals] == [JAN5, JAN6, JAN6]
    first = meals[0]
    assert (first["原价"], first["补贴：市级"], first["个人实付"], first["可申报金额"]) == (12.0, 5.0, 7.0, 5.0)
    assert isinstance(first["就餐编号"], str)
    assert len(str(first["卡号尾号"])) == 4
    assert isinstance(first["卡号尾号"], str)
    assert (first["姓名"], first["年龄"], first["餐别"], first["是否离线"]) == ("李秀英", 81.0, "午餐", "否")
    assert any("已撤单" in str(meal["备注"]) and meal["可申报金额"] == 0.0 for meal in meals)
    assert {meal["姓名"] for meal in meals} == {"李秀英", "散客"}


def test_the_summary_agrees_with_the_claim(month: Town, tmp_path: Path):
    claim = month.claim("2026-01")
    exports.claim(claim.id, tmp_path / "claim.xlsx")

    summary = sheets(tmp_path / "claim.xlsx")["结算汇总"]
    assert summary[0][0] == "老年助餐补贴月结算汇总表"
    assert summary[1][:2] == ["申报单号", "k1-202601"]
    total = next(row for row in summary if row[0] == "合计")
    assert total[7] == month.claim("2026-01").fen / 100
    rate = next(row for row in summary if row[0] == "助餐补贴")
    assert rate[1:7] == ["市级", "午餐", 1.0, 1.0, 5.0, 5.0]


def amounts(path: Path) -> dict[str, float]:
    """Sums of a workbook that must be the claim's, by what they are."""
    found = sheets(path)
    head, *rows = found["就餐明细"]
    meals = [dict(zip(head, row, strict=True)) for row in rows]
    summary = {str(row[0]): row for row in found["结算汇总"]}
    return {
        "line": float(str(summary["合计"][7])),
        "meals": sum(float(str(meal["可申报金额"])) for meal in meals),
        "by fund": sum(float(str(meal["申报：市级"])) for meal in meals),
        "rates": float(str(summary["就餐补贴小计"][6])),
        "payable": float(str(summary["应付"][6])) + sum(float(str(meal["暂缓"])) for meal in meals),
    }


def test_meals_and_rates_sum_to_the_claim_with_an_excluded_meal(town: Town, tmp_path: Path):
    late = town.sealed(JAN5, town.cards[0])
    town.sell(JAN5, town.cards[0], hour=12)
    town.bring(at(JAN5, 13), late)
    town.close("2026-01")

    written = exports.claim(town.claim("2026-01").id, tmp_path / "claim.xlsx")

    assert written.meals == 2
    assert set(amounts(written.path).values()) == {5.0}


def test_a_paid_month_s_file_is_unchanged_by_later_corrections(month: Town, tmp_path: Path):
    claim_id = month.claim("2026-01").id
    before = exports.claim(claim_id, tmp_path / "before.xlsx")
    sale = month.session.execute(select(Sale.id).where(Sale.service_day == JAN5)).scalar_one()
    month.void(str(sale), at(date(2026, 2, 5)))
    with clock.at(at(date(2026, 2, 6))), transaction() as session:
        number = events.record(session, "elder.facts", str(month.elders[0]), by="p-admin")
        elders.add_fact(session, month.elders[0], "birth", "1930-01-01", date(1930, 1, 1), None, "民政", number)
    month.close("2026-02")

    after = exports.claim(claim_id, tmp_path / "after.xlsx")

    assert after.hash == before.hash
    assert set(amounts(after.path).values()) == {5.0}


def test_review_and_payout_have_their_forms(month: Town, tmp_path: Path):
    claim_id = month.claim("2026-01").id
    sale = month.session.execute(select(Sale.id).where(Sale.service_day == JAN5)).scalar_one()
    month.elder()
    with clock.at(at(date(2026, 2, 6))):
        claim_review.withhold(claim_id, sale, "disallowed", reason="查无此人", by="p-street")
        for act, by in (("submit", "p-manager"), ("review", "p-street"), ("determine", "p-finance")):
            workflow.move(claim_id, act, by=by)

    found = sheets(exports.claim(claim_id, tmp_path / "claim.xlsx").path)

    review = found["审核表"]
    assert ["1", "当期就餐", "市级", "2026-01", "5.0", "0.0", "5.0", "0.0", "查无此人"] in [
        [str(cell).removesuffix(".0") if n == 0 else str(cell) for n, cell in enumerate(row)] for row in review
    ]
    assert any(row[1:4] == ["核减", 5.0, str(sale)] and row[4:6] == ["p-street", "查无此人"] for row in review)
    assert [row[0] for row in review if row[1] in {"p-manager", "p-street", "p-finance"}] == [
        "申报",
        "初审通过",
        "核定",
    ]
    assert found["拨付表"][1][:7] == ["批次", "收款单位", "开户行", "账号", "资金来源", "金额", "凭证号"]


def test_an_empty_period_has_its_file_too(town: Town, tmp_path: Path):
    town.close("2026-01")

    found = sheets(exports.claim(town.claim("2026-01").id, tmp_path / "claim.xlsx").path)

    assert len(found["就餐明细"]) == 1
    assert ["应付", "0.0"] in [[str(row[0]), str(row[6])] for row in found["结算汇总"]]


def test_the_whole_account_is_shown_only_to_those_who_pay(month: Town, tmp_path: Path):
    with transaction() as session:
        (payee,) = session.execute(select(Payee)).scalars()
        payee.account_cipher = keys.keyring().identity.seal(b"622202000000110001", f"payee.account {payee.id}")
    claim_id = month.claim("2026-01").id
    with clock.at(at(date(2026, 2, 6))):
        for act, by in zip(steps.ORDER, ("p-manager", "p-street", "p-finance", "p-chief2"), strict=True):
            workflow.move(claim_id, act, by=by)
        payouts.enter(claim_id, voucher="2026-01", paid_on=date(2026, 2, 6), by="p-pay")

    whole = sheets(exports.claim(claim_id, tmp_path / "one.xlsx", accounts=True).path)["拨付表"][2]
    masked = sheets(exports.claim(claim_id, tmp_path / "two.xlsx").path)["拨付表"][2]

    assert (whole[1], masked[1], whole[4], whole[5], whole[6]) == ("康乐餐饮", "康乐餐饮", "市级", 5.0, "2026-01")
    assert (whole[3], masked[3]) == ("622202000000110001", "尾号 0001")


def test_no_cell_is_a_formula_or_a_link(month: Town, tmp_path: Path):
    written = exports.claim(month.claim("2026-01").id, tmp_path / "claim.xlsx")

    with zipfile.ZipFile(written.path) as parts:
        whole = b"".join(parts.read(name) for name in parts.namelist() if "worksheets" in name)
    assert b"=1+2" in whole
    assert b"<f>" not in whole
    assert b"<f " not in whole
    assert b"hyperlink" not in whole


@pytest.mark.parametrize("text", ["<r><t>x</t></r>", "a & b < c", " 李 ", "_x0041_", "一\n二", "=1+2", "长" * 32_767])
def test_a_cell_has_its_text_whatever_it_holds(text: str, tmp_path: Path):
    book = Book(tmp_path / "x.xlsx")
    book.sheet("一").row((text, None, 7))
    book.close()

    assert sheets(tmp_path / "x.xlsx")["一"] == [[text, "", 7.0]]


def test_the_same_claim_gives_the_same_file(month: Town, tmp_path: Path):
    claim_id = month.claim("2026-01").id

    first = exports.claim(claim_id, tmp_path / "one.xlsx")
    with clock.at(at(date(2026, 5, 1))):
        second = exports.claim(claim_id, tmp_path / "two.xlsx")

    assert first.hash == second.hash


def test_who_took_which_file_is_recorded(month: Town, tmp_path: Path):
    claim_id = month.claim("2026-01").id
    written = exports.claim(claim_id, tmp_path / "claim.xlsx")
    exports.record(claim_id, written, by="p-finance")

    event = month.session.execute(select(events.Event).where(events.Event.kind == "claim.export")).scalar_one()
    assert event.actor == "p-finance"
    assert written.hash in event.body


def test_late_meals_and_voids_have_a_sheet_citing_their_origin(month: Town, tmp_path: Path):
    sale = month.sell(date(2026, 2, 3), month.cards[0])[0]
    late = month.sealed(date(2026, 2, 4), month.cards[0])
    month.close("2026-02")
    month.void(sale, at(date(2026, 3, 9)))
    month.bring(at(date(2026, 3, 9)), late)
    month.close("2026-03")

    exports.claim(month.claim("2026-03").id, tmp_path / "claim.xlsx")

    _, *rows = sheets(tmp_path / "claim.xlsx")["补录与冲减"]
    assert [(row[0], row[1], row[4], row[5]) for row in rows] == [
        ("冲减", date(2026, 2, 3), "k1-202602/1", -5.0),
        ("补录", date(2026, 2, 4), "k1-202602", 5.0),
    ]
