"""The timeline shows the days on which a rulebook gives something, not only those for which it was published."""

from __future__ import annotations

from datetime import date

from sqlalchemy.orm import Session

from canteen import clock
from canteen.rulebooks import publications
from canteen.ruledesk.desk import timeline
from canteen.ruledesk.publication.gate import names, review
from tests import world
from tests.ruledesk.test_desk import town  # noqa: F401
from tests.settlement.conftest import Town, at

TRIAL = world.GUARDED.replace("from: 2020-01-01", "from: 2026-03-01\nto: 2026-05-31")
AFTER = world.GUARDED.replace("from: 2020-01-01", "from: 2026-07-01")
FEB10 = date(2026, 2, 10)


def put_in_force(text: str, day: date) -> str:
    digest = publications.draft(text, by="p-admin")
    publications.publish(digest, layer="city", node_id=world.CITY, from_day=day, by="p-chief")
    return digest


def bars(session: Session, today: date) -> list[tuple[date, date | None, str]]:
    (row,) = timeline.draw(session, names(), today).rows
    return [(bar.first, bar.last, bar.state) for bar in row.bars]


def test_a_trial_ends_on_its_last_day_and_revives_nothing(town: Town) -> None:  # noqa: F811
    with clock.at(at(FEB10)):
        put_in_force(AFTER, date(2026, 7, 1))
        trial = put_in_force(TRIAL, date(2026, 3, 1))
    (first, last, state), second, third = bars(town.session, date(2026, 6, 15))

    assert (last, state) == (date(2026, 2, 28), "past")
    assert second == (date(2026, 3, 1), date(2026, 5, 31), "past")
    assert third == (date(2026, 7, 1), None, "ahead")
    assert first < date(2026, 2, 28)
    with clock.at(at(FEB10)):
        said = "；".join(review(trial, "city", world.CITY, date(2026, 3, 2), names()).warnings)
    assert "2026-07-01 起已发布了这项标准的另一版，本版只到 2026-06-30 为止" in said
    assert "本版到 2026-05-31 为止，以后没有这项标准" in said
