"""A price above the menu's: charged, stored with its rule, no subsidy, and shown wherever the price is."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import pytest
from flask import Flask
from python_calamine import CalamineWorkbook
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.pos.models import Payment, Sale, Surcharge
from canteen.settlement.audit import verify
from canteen.settlement.desk import exports
from canteen.settlement.models import Statement
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement.conftest import MADE, Town, people
from tests.settlement.test_verify import codes, tamper

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
RULES = (
    world.GUARDED
    + """\
  - id: public
    title: 对外价
    rules:
      - id: public
        label: 对外价
        reason: 客人每份加 4 元
        clause: 第二条
        when: {kind: guest}
        prices: [{item: c1-set-a, price: 16.00}]
        fund: city
"""
)


@state
def town(app: Flask, session: Session) -> Town:
    with clock.at(MADE):
        till = world.make(session)
        world.a_rulebook(session, RULES)
        people(session, "p-manager")
    made = Town(till, session)
    made.elder()
    return made


@state
def month(town: Town) -> Town:
    town.sell(JAN5, town.cards[0])
    town.sell(JAN6, None)
    town.close("2026-01")
    return town


def guest(session: Session) -> Sale:
    session.rollback()
    return session.execute(select(Sale).where(Sale.guest.is_not(None))).scalar_one()


def test_a_guest_pays_more_than_the_menu_s_price(town: Town, session: Session):
    town.sell(JAN6, None)

    sale = guest(session)
    assert (sale.list_fen, sale.surcharge_fen, sale.due_fen, sale.flags) == (1200, 400, 1600, "")
    assert session.execute(select(Payment.due, Payment.fen)).one() == (1600, 1600)
    [row] = session.execute(select(Surcharge)).scalars()
    assert (row.rule, row.clause, row.fen, row.label, row.reason) == (
        "test-city/public", "第二条", 400, "对外价", "客人每份加 4 元",
    )  # fmt: skip


def test_a_sale_without_its_surcharge_is_named_at_the_close(town: Town):
    with clock.at(world.NOON.replace(year=2026, month=1, day=6)):
        body = world.checkout_body(town.till, [None])
        quote = body["sales"][0]["quote"]
        quote["due"] = quote["list"]
        del quote["surcharges"]
        body["payment"] = {
            **body["payment"],
            "due": 1200,
            "tenders": [{**body["payment"]["tenders"][0], "fen": 1200, "given": 1200}],
        }
        assert world.bring(town.till, world.seal(town.till, body))[0].outcome == "created"
    town.close("2026-01")

    [found] = town.findings("2026-01")
    body = json.loads(found.body)
    assert (found.code, body["due"], body["surcharge"]) == ("price_differs", [1200, 1600], [0, 400])


def test_a_sale_whose_surcharge_is_not_in_its_due_waits(town: Town):
    with clock.at(world.NOON.replace(year=2026, month=1, day=6)):
        body = world.checkout_body(town.till, [None])
        body["sales"][0]["quote"]["due"] = 1200
        found = world.bring(town.till, world.seal(town.till, body))[0]
    assert (found.outcome, found.reason) == ("quarantined", "quote_inconsistent")


def test_a_month_with_a_surcharge_adds_up(month: Town):
    assert verify.period(month.period("2026-01").id).differences == ()
    assert month.findings("2026-01") == []
    period = month.period("2026-01").id
    stated = json.loads(
        month.session.execute(select(Statement.body).where(Statement.period_id == period)).scalar_one()
    )["totals"]
    assert (stated["list"], stated["due"], stated["surcharge"], stated["subsidy"]) == (2400, 2300, 400, 500)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sale SET surcharges = replace(surcharges, ',400,', ',401,') WHERE surcharges <> '[]'",
        "UPDATE sale SET surcharge_fen = surcharge_fen + 1 WHERE surcharge_fen > 0",
        "UPDATE sale SET surcharges = '[]' WHERE surcharges <> '[]'",
    ],
)
def test_an_altered_surcharge_is_named(month: Town, statement: str):
    tamper(statement)
    assert {"surcharge", "shares_do_not_add_up"} & codes(month)


def test_the_file_has_a_column_where_something_was_added(month: Town, tmp_path: Path):
    written = exports.claim(month.claim("2026-01").id, tmp_path / "claim.xlsx")
    head, *rows = CalamineWorkbook.from_path(str(written.path)).get_sheet_by_name("就餐明细").to_python()
    prices = [(row[head.index("原价")], row[head.index("加收")], row[head.index("个人实付")]) for row in rows]
    assert prices == [(12.0, 0.0, 7.0), (12.0, 4.0, 16.0)]


def test_the_meal_s_page_says_what_was_added_and_by_which_clause(app: Flask, month: Town, session: Session):
    with clock.at(MADE):
        a_person("street", ("reviewer", "area", world.STREET))
    browser = Browser(app.test_client())
    browser.log_in("street")
    page = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", browser.get(f"/desk/meals/{guest(session).id}").text))
    assert "对外价 加收，无人分担 · 第二条 · 客人每份加 4 元 ＋4.00 个人应付 16.00" in page
    assert "本餐在原价上加收 4.00 元，没有补贴" in page
