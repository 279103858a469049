"""Limits hold whoever pays: the canteen's own price and a donor's gift are counted as subsidies are."""

from __future__ import annotations

from datetime import date

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.pos.models import SaleUse, Slot
from tests import world
from tests.pos.books import book
from tests.pos.test_limits import FEN, MEALS, at, claimable, sell_at
from tests.rigs.states import state
from tests.world import NOON, World


@state
def till(app: Flask, session: Session) -> World:
    return world.make(session)


@pytest.mark.parametrize("payer", ["donation", "concession"])
@pytest.mark.parametrize(
    ("limit", "quoted"),
    [
        pytest.param(f"id: t.month, {FEN}: 7.00, scope: person, window: month", [500, 200, 0], id="fen"),
        pytest.param(f"id: t.month, {MEALS}: 2, scope: person, window: month", [500, 500, 0], id="meals"),
    ],
)
def test_a_limit_holds_whoever_pays(session: Session, till: World, payer: str, limit: str, quoted: list[int]) -> None:
    world.a_rulebook(session, book(limit).replace("payer: subsidy", f"payer: {payer}"))
    card = world.a_card(session, world.an_elder(session))
    assert sell_at(till, card, *(at(date(2026, 5, day)) for day in (11, 12, 13))) == quoted


def test_amount_limit_counts_the_benefit_of_several_payers(session: Session, till: World) -> None:
    text = book(f"id: t.month, {FEN}: 7.00, scope: person, window: month", then=("shop",))
    text = text.replace("name: 区级, payer: subsidy", "name: 食堂, payer: concession")
    text = text.replace("fund: city", "split: [{fund: city, fen: 3.00}, {fund: shop, rest: yes}]")
    world.a_rulebook(session, text)
    card = world.a_card(session, world.an_elder(session))
    assert sell_at(till, card, *(at(date(2026, 5, day)) for day in (11, 12, 13))) == [500, 200, 0]
    assert claimable(session) == 500


def test_a_donors_budget_ends(session: Session, till: World) -> None:
    text = book(budget="limit: 7.00, window: month, at_end: stop").replace("payer: subsidy", "payer: donation")
    world.a_rulebook(session, text)
    cards = [world.a_card(session, world.an_elder(session)) for _ in range(3)]
    assert [sell_at(till, card, at(date(2026, 5, 11)))[0] for card in cards] == [500, 200, 0]


def test_a_void_gives_a_donors_limit_back(session: Session, till: World) -> None:
    text = book(f"id: t.day, {MEALS}: 1, scope: person, window: day").replace("payer: subsidy", "payer: donation")
    world.a_rulebook(session, text)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        sale = world.sell(till, card).sales[0]
        assert world.checkout_body(till, [card])["sales"][0]["quote"]["due"] == 1200
        world.bring(till, world.seal(till, world.void_body(sale), kind="void"))
        assert world.checkout_body(till, [card])["sales"][0]["quote"]["due"] == 700


def test_a_second_gift_sold_unseen_is_served_and_found(session: Session, till: World) -> None:
    """Two tills that had not heard of one another: nothing is taken back, the canteen's limit names both meals."""
    text = book(f"id: t.day, {MEALS}: 1, scope: person, window: day").replace("payer: subsidy", "payer: concession")
    world.a_rulebook(session, text)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        bodies = [world.checkout_body(till, [card]) for _ in range(2)]
        assert [world.bring(till, world.seal(till, each))[0].outcome for each in bodies] == ["created", "created"]
    session.rollback()
    asked = select(SaleUse.asked, SaleUse.granted).where(SaleUse.allowance == "t.day").order_by(SaleUse.granted)
    assert [tuple(row) for row in session.execute(asked)] == [(1, 0), (1, 1)]


SECOND_AT_HALF = """\
format: 1
id: test-nth
title: 第二餐半价
source: 测试
from: 2020-01-01
guard: none
funds:
  - {id: city, name: 市级, payer: subsidy}
allowances:
  - {id: t.meals, unit: meal, scope: person, window: day, limit: 9}
stages:
  - id: meals
    title: 第几餐
    rules:
      - {id: first, label: 助餐, reason: 第一餐原价, clause: 第一条, when: {used: {allowance: t.meals, below: 1}}, count: meal, limits: t.meals}
      - id: second
        label: 助餐
        reason: 第二餐半价
        clause: 第一条
        when: {used: {allowance: t.meals, from: 1, below: 2}}
        off: 50%
        limits: t.meals
        fund: city
"""


def test_full_price_meal_is_counted_where_the_second_is_cheaper(session: Session, till: World) -> None:
    world.a_rulebook(session, SECOND_AT_HALF)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        first = world.sell(till, card).sales[0]
        assert sell_at(till, card, NOON) == [600]
        assert claimable(session) == 600
    other = world.a_card(session, world.an_elder(session))
    assert sell_at(till, other, NOON) == [0]
    with clock.at(NOON):
        world.bring(till, world.seal(till, world.void_body(first, fen=1200), kind="void"))
    session.rollback()
    in_use = select(func.count()).select_from(Slot).where(Slot.allowance == "t.meals")
    assert session.execute(in_use).scalar_one() == 2
