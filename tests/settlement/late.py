"""Rules and facts known late, for tests: a notice asked for by the writer, previewed, ordered by the chief, run."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

from canteen import clock, jobs
from canteen.db import db
from canteen.rulebooks import publications
from canteen.settlement.corrections import revaluations
from canteen.settlement.models import RevaluationRun
from tests import world
from tests.settlement.conftest import at

SIX = world.GUARDED.replace("less: 5.00", "less: 6.00")
FOUR = world.GUARDED.replace("less: 5.00", "less: 4.00")
NOTICE = "民发〔2026〕8 号"
LATER_ON = date(2026, 2, 10)


def asked(
    text: str, first: date, last: date, *, on: date = LATER_ON, node: str = world.CITY, layer: str = "city"
) -> int:
    """A notice asked for and previewed; answers the revaluation."""
    with clock.at(at(on, 9)):
        digest = publications.draft(text, by="p-admin")
        number = revaluations.ask_notice(
            digest, layer=layer, node_id=node, from_day=first, to_day=last, reason=NOTICE, by="p-admin"
        )
        run(number, preview=True, on=on)
    return number


def ordered(number: int, *, on: date = LATER_ON) -> int:
    """Ordered by the chief; answers the run that it asks for."""
    with clock.at(at(on, 10)):
        return revaluations.order(number, by="p-chief", diff="[]")


def notice(text: str, first: date, last: date, *, on: date = LATER_ON, **where: str) -> tuple[int, dict[str, Any]]:
    """A notice ordered and run; answers the revaluation and what the run found."""
    number = asked(text, first, last, on=on, **where)
    with clock.at(at(on, 10)):
        return number, done(ordered(number, on=on))


def facts(elder: uuid.UUID, first: date, last: date, *, on: date = LATER_ON) -> tuple[int, dict[str, Any]]:
    """One elder computed again as known now, asked for by the administrator and ordered by the chief."""
    with clock.at(at(on, 9)):
        number = revaluations.ask_facts(elder, from_day=first, to_day=last, reason="低保证 2026-17", by="p-admin")
        run(number, preview=True, on=on)
        return number, done(ordered(number, on=on))


def run(number: int, *, preview: bool = False, on: date = LATER_ON) -> dict[str, Any]:
    """Another run, or a preview; answers what it found."""
    with clock.at(at(on, 11)):
        return done(revaluations.request(number, preview=preview, by="p-admin"))


def done(run_id: int) -> dict[str, Any]:
    """Do a run that was asked for; answers what it found."""
    assert revaluations.run(run_id, jobs.holder_name()) == "done"
    db.session.expire_all()
    row = db.session.get(RevaluationRun, run_id)
    assert row is not None
    assert row.state == "done", row.error
    found = revaluations.result(row)
    assert found is not None
    db.session.rollback()
    return found
