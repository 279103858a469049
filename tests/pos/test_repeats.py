"""The message to the counter about a second meal in one period."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from canteen import clock
from canteen.pos import scan_quotes
from canteen.pos.scan_quotes import Answer, Asked
from tests import world
from tests.world import NOON, World

WITH_A_PRICE_OF_THE_CANTEENS_OWN = world.GUARDED.replace(
    "stages:\n",
    """\
  - {id: house, name: 食堂, payer: concession}
stages:
  - id: house
    title: 让利
    rules:
      - id: nine_tenths
        label: 敬老价
        reason: 对老人九折
        clause: 第二条
        when: {age: {from: 60}}
        pay_percent: 90%
        fund: house
""",
)


@pytest.mark.parametrize("rulebook", [world.GUARDED, WITH_A_PRICE_OF_THE_CANTEENS_OWN])
def test_second_meal_has_its_message_despite_a_canteens_discount(app: Flask, session: Session, rulebook: str) -> None:
    till = world.make(session)
    world.a_rulebook(session, rulebook)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        first = _quoted(session, till, card)
        world.sell(till, card)
        second = _quoted(session, till, card)
    assert (first.repeat, second.repeat) == ("", "这一餐已享受过优惠，这一份不再享受。")
    assert {share.payer for share in second.priced.quote.shares} <= {"concession"}


LIMITED = """\
        limits: [test.limit]
allowances:
  - {id: test.limit, unit: UNIT, scope: SCOPE, window: WINDOW, LIMIT}
"""


@pytest.mark.parametrize(
    ("unit", "scope", "window", "said"),
    [
        ("meal", "person", "day", "今天的享受次数已用完，这一份不再享受。"),
        ("meal", "person", "week", "本周的享受次数已用完，这一份不再享受。"),
        ("day", "person", "month", "本月的享受次数已用完，这一份不再享受。"),
        ("fen", "person", "month", "本月的优惠金额已用完，这一份不再享受。"),
        ("meal", "household", "month", "全家本月的享受次数已用完，这一份不再享受。"),
        ("fen", "person", "year", "今年的优惠金额已用完，这一份不再享受。"),
        ("meal", "person", "ever", "享受次数已用完，这一份不再享受。"),
    ],
)
def test_a_limit_that_is_used_up_is_named_by_the_time_it_counts(
    app: Flask, session: Session, unit: str, scope: str, window: str, said: str
) -> None:
    limit = "limit_fen: 5.00" if unit == "fen" else "limit: 1"
    till = world.make(session)
    limited = LIMITED.replace("UNIT", unit).replace("SCOPE", scope).replace("WINDOW", window).replace("LIMIT", limit)
    world.a_rulebook(session, world.GUARDED + limited)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        world.sell(till, card)
    with clock.at(NOON + timedelta(hours=6) if window == "day" else NOON + timedelta(days=1)):
        later = _quoted(session, till, card)
    assert later.repeat == said


def _quoted(session: Session, till: World, card: str) -> Answer:
    asked = Asked(card, None, None, "dine_in", ((f"{till.canteen}-set-a", 1),), None)
    quoted = scan_quotes.quote(session, till.canteen, [asked], tablet_id=till.tablet)
    session.rollback()
    return quoted.answers[0]
