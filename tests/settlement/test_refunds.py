"""退差: what elders overpaid, listed by canteen to be signed, handed back once."""

from __future__ import annotations

import io
import uuid
import zipfile
from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from python_calamine import CalamineWorkbook
from sqlalchemy import select

from canteen import clock
from canteen.db import db, transaction
from canteen.pos.models import Sale
from canteen.registry import documents, elders
from canteen.settlement.corrections import refunds
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement import late
from tests.settlement.conftest import MADE, Town, at
from tests.settlement.test_revaluation import DAY, JAN

NUMBER = "11010519491231002X"


@state
def owing(town: Town) -> Town:
    """Two meals of one elder of low income, each a yuan overpaid."""
    with clock.at(MADE), transaction():
        low = elders.NewFact("class", "minimum_living", date(2020, 1, 1))
        new = elders.NewElder("王桂兰", documents.parse("resident", NUMBER), hukou=world.COMMUNITY, facts=[low])
        elder = elders.register(town.session, new, "p-admin")
    with clock.at(MADE):
        town.cards.append(world.a_card(town.session, elder))
    town.elders.append(elder)
    for hour in (11, 17):
        town.sell(DAY, town.cards[1], hour=hour)
    town.close("2026-01")
    late.notice(late.SIX, *JAN)
    return town


def test_an_elder_s_overpayment_is_handed_back_once(owing: Town) -> None:
    (row,) = refunds.owed(db.session(), ["c1"])
    assert (row.name, row.meals, row.fen, row.revaluations) == ("王桂兰", 2, 200, (1,))
    assert NUMBER not in row.number
    assert refunds.give("c1", owing.elders[1], 200, by="p-manager") == 1
    assert refunds.owed(db.session(), ["c1"]) == []
    with pytest.raises(refunds.OwedOtherwise):
        refunds.give("c1", owing.elders[1], 200, by="p-manager")


def test_another_amount_than_is_owed_is_refused(owing: Town) -> None:
    with pytest.raises(refunds.OwedOtherwise):
        refunds.give("c1", owing.elders[1], 100, by="p-manager")


def test_a_voided_meal_is_owed_no_more_and_a_past_refund_shown(owing: Town) -> None:
    found = db.session.execute(select(Sale.id).where(Sale.elder_id == owing.elders[1])).scalars().all()
    db.session.rollback()
    owing.void(str(found[0]), at(date(2026, 2, 12), 9))
    assert [row.fen for row in refunds.owed(db.session(), ["c1"])] == [100]
    refunds.give("c1", owing.elders[1], 100, by="p-manager")
    owing.void(str(found[1]), at(date(2026, 2, 12), 10))
    assert [row.fen for row in refunds.owed(db.session(), ["c1"])] == [-100]


def test_the_workbook_has_a_place_to_sign_and_no_number_or_class(owing: Town, tmp_path: Path) -> None:
    refunds.workbook(refunds.owed(db.session(), ["c1"]), tmp_path / "list.xlsx")
    book = CalamineWorkbook.from_path(tmp_path / "list.xlsx")
    rows = book.get_sheet_by_index(0).to_python()
    assert rows[1] == list(refunds.COLUMNS)
    assert rows[2][2] == "王桂兰"
    assert rows[2][4:6] == [2.0, 2.0]
    with zipfile.ZipFile(tmp_path / "list.xlsx") as parts:
        everything = "".join(parts.read(name).decode("utf-8", "replace") for name in parts.namelist())
    assert "<f>" not in everything
    assert NUMBER not in everything
    assert "低保" not in everything


def test_a_manager_hands_back_at_the_own_canteen_alone(app: Flask, owing: Town) -> None:
    world.make(owing.session, canteen="c2", contract="k2", tablet="t2")
    owing.session.rollback()
    a_person("mine", ("manager", "canteen", "c1"))
    a_person("other", ("manager", "canteen", "c2"))
    a_person("auditor", ("auditor", "area", world.CITY))

    def enter(login: str) -> Browser:
        browser = Browser(app.test_client())
        browser.log_in(login)
        return browser

    where = f"/desk/refunds/c1/{owing.elders[1]}"
    other, auditor, mine = enter("other"), enter("auditor"), enter("mine")
    assert "王桂兰" not in other.get("/desk/refunds").text
    assert other.get("/desk/refunds?canteen=c1").text.count("王桂兰") == 0
    assert other.post(where, fen="200").status_code == 404
    assert other.get("/desk/refunds/export.xlsx?canteen=c1").status_code == 404
    assert "2.00" in auditor.get("/desk/refunds").text
    assert auditor.post(where, fen="200").status_code == 403
    file = mine.get("/desk/refunds/export.xlsx")
    assert CalamineWorkbook.from_filelike(io.BytesIO(file.data)).sheet_names == ["退差 c1"]
    file.close()
    page = mine.get("/desk/refunds").text
    assert "已退已签字" in page
    assert mine.post(where, fen="200").status_code == 302
    assert "没有待退的差额" in mine.get("/desk/refunds").text
    assert mine.post(where, fen="200").status_code == 409
    assert mine.post(f"/desk/refunds/c1/{uuid.uuid4()}", fen="200").status_code == 404
