"""What may be claimed of a meal is the lesser of sold and ours for each fund, whichever rule gave it, in the whole chain."""

from __future__ import annotations

import io
import uuid
from collections import Counter
from datetime import date

from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import transaction
from canteen.pos import lesser, records
from canteen.pos.models import Slot
from canteen.registry import elders
from canteen.registry.models import ElderFact
from canteen.settlement.audit import repriced, trial_balance, verify
from canteen.settlement.claims import withheld_meals
from canteen.settlement.closing.checks import PricedShare, SalePrice
from canteen.settlement.corrections import reallocation
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement.conftest import MADE, Town, at, exported, fresh, people

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
FUNDS = ("city", "district", "street")
RULES = """\
format: 1
id: test-city
title: 测试标准
source: 测试
from: 2020-01-01
funds:
  - {id: city, name: 市级, payer: subsidy}
  - {id: district, name: 区级, payer: subsidy}
  - {id: street, name: 街道, payer: subsidy}
stages:
  - id: subsidy
    title: 补贴
    pick: first
    rules:
      - {id: a, label: 助餐补贴, reason: 低保, clause: 甲, when: {class: dibao}, less: 7.00,
         split: [{fund: city, fen: 3.00}, {fund: district, fen: 2.00}, {fund: street, rest: yes}]}
      - {id: c, label: 助餐补贴, reason: 年满 60 周岁, clause: 丙, when: {age: {from: 60}}, less: 3.00, limits: [t.day],
         split: [{fund: city, fen: 1.00}, {fund: district, fen: 1.00}, {fund: street, rest: yes}]}
allowances:
  - {id: t.day, unit: meal, limit: 1, scope: person, window: day}
"""

parts = st.lists(
    st.builds(
        PricedShare,
        st.sampled_from(FUNDS),
        st.sampled_from(("subsidy", "subsidy", "concession", "donation")),
        st.sampled_from("abc"),
        st.integers(1, 400),
    ),
    max_size=6,
)


def sums(found: list[PricedShare]) -> Counter[tuple[str, str]]:
    total = Counter[tuple[str, str]]()
    for part in found:
        total[part.fund, part.payer] += part.fen
    return total


@given(parts, parts)
def test_the_lesser_is_exact_for_each_fund(sold: list[PricedShare], ours: list[PricedShare]) -> None:
    borne = lesser.borne(sold, ours)

    got, asked, given_ = Counter[tuple[str, str]](), sums(sold), sums(ours)
    by_rule = Counter[tuple[str, str, str]]()
    for part, taken in zip(sold, borne, strict=True):
        assert 0 <= taken.total() <= part.fen
        assert all(fen >= 0 for fen in taken.values())
        got[part.fund, part.payer] += taken.total()
        for rule, fen in taken.items():
            by_rule[part.fund, part.payer, rule] += fen
    assert +got == +Counter({key: min(fen, given_[key]) for key, fen in asked.items()})
    own = Counter[tuple[str, str, str]]()
    for part in ours:
        own[part.fund, part.payer, part.rule] += part.fen
    assert by_rule <= own  # no rule of ours bears more than it gives
    assert borne == lesser.borne(sold, ours)


@given(parts)
def test_a_price_that_is_ours_is_borne_by_its_own_rules(sold: list[PricedShare]) -> None:
    assert lesser.borne(sold, sold) == [Counter({part.rule: part.fen}) for part in sold]


@given(parts, parts)
def test_the_audit_shares_out_as_the_till_does(sold: list[PricedShare], ours: list[PricedShare]) -> None:
    first = [
        +taken if part.payer == "subsidy" else Counter()
        for part, taken in zip(sold, lesser.borne(sold, ours), strict=True)
    ]
    second = repriced.borne_of(sold, SalePrice(0, 0, tuple(ours)))

    assert [+each for each in second] == first
    assert [each.total() for each in repriced.borne_of(sold, None)] == [0] * len(sold)


@state
def struck(app: Flask, session: Session) -> Town:
    """Sold without a network to a man of class dibao, which is struck before the record comes: by rule c it is 3.00."""
    with clock.at(MADE):
        town = Town(world.make(session), session)
        world.a_rulebook(session, RULES)
        people(session, "p-manager", "p-street")
    town.elder(classes=["dibao"])
    return town


def strike(town: Town, on: date) -> None:
    query = select(ElderFact.id).where(ElderFact.elder_id == town.elders[0], ElderFact.kind == "class")
    number = town.session.execute(query).scalar_one()
    town.session.rollback()
    with clock.at(at(on, 9)), transaction() as session:
        event = events.record(session, "elder.facts", str(town.elders[0]), by="p-admin")
        elders.add_fact(session, town.elders[0], "class", "", date(2020, 1, 1), None, "民政", event, retracts=number)


def exact(town: Town, month: str) -> None:
    assert verify.period(town.period(month).id).differences == ()
    town.session.rollback()
    assert not any(trial.missing for trial in trial_balance.trial(town.till.contract))


def test_a_class_struck_later_leaves_what_the_rules_give(app: Flask, struck: Town):
    sold = struck.sealed(JAN5, struck.cards[0])
    strike(struck, JAN6)
    (result,) = struck.bring(at(JAN6), sold)

    assert [(one.fen, one.reason) for one in result.excluded] == [(200, "class"), (100, "class"), (100, "class")]
    struck.close("2026-01")

    assert [(line[1], line[-1]) for line in struck.lines("2026-01")] == [(fund, 100) for fund in FUNDS]
    (finding,) = struck.findings("2026-01")
    assert (finding.code, finding.fen) == ("price_differs", 400)
    exact(struck, "2026-01")
    a_person("street", ("reviewer", "area", world.STREET))
    a_person("maker", ("finance", "area", world.DISTRICT))
    page = opened(app, "street").get("/desk/claims/k1-202601/findings")
    assert page.status_code == 200
    with exported(opened(app, "maker"), "/desk/claims/k1-202601") as answer:
        book = CalamineWorkbook.from_filelike(io.BytesIO(answer.data))
    rows = [row for name in book.sheet_names for row in book.get_sheet_by_name(name).to_python()]
    assert any(cell in {3.0, "3.00"} for row in rows for cell in row)


def opened(app: Flask, login: str) -> Browser:
    browser = Browser(app.test_client())
    browser.log_in(login)
    return browser


def two(town: Town) -> tuple[records.Result, records.Result]:
    """Sold under rule a, then under rule c, both without a network: the first is borne by rule c and takes its limit."""
    first = town.sealed(JAN5, town.cards[0])
    strike(town, JAN6)
    second = town.sealed(JAN5, town.cards[0], hour=12)
    (holder,) = town.bring(at(JAN6, 8), first)
    (excess,) = town.bring(at(JAN6, 9), second)
    return holder, excess


def open_fen(*results: records.Result) -> list[int]:
    session = fresh()
    return [sum(withheld_meals.open_shares(session, uuid.UUID(one.sales[0])).values()) for one in results]


def test_what_another_rule_bears_takes_that_rules_limit(struck: Town):
    """Else the next meal would be claimed under it too."""
    holder, excess = two(struck)

    in_use = {(str(slot.sale_id), slot.allowance) for slot in struck.session.execute(select(Slot)).scalars()}
    assert in_use == {(holder.sales[0], "t.day"), (holder.sales[0], "guard.meal")}
    assert open_fen(holder, excess) == [300, 0]
    struck.close("2026-01")
    assert struck.claim("2026-01").fen == 300
    exact(struck, "2026-01")


def test_a_benefit_borne_by_another_rule_is_moved_whole(struck: Town):
    holder, excess = two(struck)
    struck.close("2026-01")
    (finding,) = [one for one in struck.findings("2026-01") if one.code == "excess_slot"]
    assert str(finding.sale_id) == excess.sales[0]
    number = finding.id
    struck.session.rollback()

    with clock.at(at(date(2026, 2, 6))):
        reallocation.reallocate(number, reason="两餐核对签名", by="p-street", from_=uuid.UUID(holder.sales[0]))

    assert open_fen(holder, excess) == [0, 300]
    struck.close("2026-02")
    assert struck.claim("2026-02").fen == 0
    exact(struck, "2026-01")
    exact(struck, "2026-02")
