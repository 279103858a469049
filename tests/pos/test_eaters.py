"""Who has eaten since a moment, asked before an import is taken back."""

from __future__ import annotations

from datetime import date, timedelta

from sqlalchemy.orm import Session

from canteen import clock
from canteen.pos.eaters import eaters
from tests import world

NOON = clock.instant(date(2026, 6, 9), 690)


def test_who_ate_since_is_named(session: Session) -> None:
    with clock.at(NOON - timedelta(days=30)):
        till = world.make(session)
        world.a_rulebook(session)
        eater, other = world.an_elder(session), world.an_elder(session)
        card = world.a_card(session, eater)
    with clock.at(NOON):
        world.sell(till, card)
    session.rollback()
    both = [eater, other]
    assert eaters(session, both, NOON - timedelta(hours=1)) == {eater}
    assert eaters(session, both, NOON + timedelta(hours=1)) == set()
