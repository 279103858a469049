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
from canteen.settlement import exports
from tests.settlement.conftest import Town, at

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)


@pytest.fixture
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


def test_the_workbook_reads_back_with_exact_amounts_and_ids_as_text(month: Town, tmp_path: Path):
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
    assert (first["姓名"], first["年龄"], first["餐次"], first["是否离线"]) == ("李秀英", 81.0, "午餐", "否")
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
    assert rate[1:6] == ["市级", "午餐", 1.0, 5.0, 5.0]


def test_no_cell_is_a_formula_or_a_link(month: Town, tmp_path: Path):
    written = exports.claim(month.claim("2026-01").id, tmp_path / "claim.xlsx")

    with zipfile.ZipFile(written.path) as parts:
        whole = b"".join(parts.read(name) for name in parts.namelist() if "worksheets" in name)
    assert b"=1+2" in whole
    assert b"<f>" not in whole
    assert b"<f " not in whole
    assert b"hyperlink" not in whole


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


def test_late_meals_and_voids_stand_on_a_sheet_of_their_own_with_their_origin(month: Town, tmp_path: Path):
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
