"""What the counter is told of a second meal in one period."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from canteen import clock
from canteen.pos import quoting
from canteen.pos.quoting import Answer, Asked
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
def test_a_second_meal_in_the_period_is_told_whatever_the_canteen_itself_takes_off(
    app: Flask, session: Session, rulebook: str
) -> None:
    till = world.make(session)
    world.a_rulebook(session, rulebook)
    card = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        first = _quoted(session, till, card)
        world.sell(till, card)
        second = _quoted(session, till, card)
    assert (first.repeat, second.repeat) == (False, True)
    assert {share.payer for share in second.priced.quote.shares} <= {"concession"}


def _quoted(session: Session, till: World, card: str) -> Answer:
    asked = Asked(card, None, None, "dine_in", ((f"{till.canteen}-set-a", 1),), None)
    quoted = quoting.quote(session, till.canteen, [asked], tablet_id=till.tablet)
    session.rollback()
    return quoted.answers[0]
