"""An import of people taken back within a day: counter-facts, nobody deleted, who ate or changed is left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import transaction
from canteen.registry import credentials, elders, facts, lookup
from canteen.registry.elders import NewFact
from canteen.registry.imports import import_runs, import_undo
from canteen.registry.imports.import_undo import CannotUndo, NoRun, TooLate, UndoReport
from canteen.registry.models import Elder, ElderFact, IdentityKey
from tests.registry.people import STREET, a_roster, an_elder, cells, number, some_areas

NOW = clock.instant(date(2026, 11, 22), 600)
TODAY = date(2026, 11, 22)


@pytest.fixture(autouse=True)
def areas(session: Session) -> Iterator[None]:
    some_areas(session)
    with clock.at(NOW):
        yield


def applied(session: Session, folder: Path, *rows: list[str], name: str = "r.csv") -> str:
    path = a_roster(folder, *rows, name=name)
    session.rollback()
    run = import_runs.apply(path, "roster", "p-admin", others=True).run
    assert run is not None
    return run


def undo(session: Session, run: str) -> UndoReport:
    session.rollback()
    report = import_undo.undo(run, by="p-admin")
    session.rollback()
    return report


def elder_of(session: Session, id_number: str) -> elders.Known:
    mac = elders.keys.keyring().mac(f"resident:{id_number}")
    found = session.execute(select(IdentityKey.elder_id).where(IdentityKey.number_mac == mac))
    return elders.known(session, found.scalar_one(), TODAY)


def test_elders_it_created_are_out_of_use(session: Session, tmp_path: Path) -> None:
    run = applied(session, tmp_path, cells(), cells(number=number(order=203)))
    living = len(lookup.living_in(session, STREET, TODAY))
    report = undo(session, run)
    assert (living, report.withdrawn, report.restored, report.left) == (2, 2, 0, [])
    assert lookup.living_in(session, STREET, TODAY) == []
    assert elder_of(session, number()).stopped
    assert session.execute(select(func.count()).select_from(Elder)).scalar_one() == 2


def test_elders_known_before_are_as_before(session: Session, tmp_path: Path) -> None:
    elder = an_elder(session)
    run = applied(session, tmp_path, cells(name="李秀琴", status="暂停", phone="13900000000"))
    assert "suspended" in {fact.value for fact in elders.facts_about(session, elder)}
    assert undo(session, run).restored == 1
    home = {
        fact.kind: fact.value for fact in facts.on_day(facts.unretracted(elders.facts_about(session, elder)), TODAY)
    }
    assert home["residence"] == STREET
    assert lookup.find(session, "李秀英", {STREET})[0].name == "李秀英"


def test_the_same_file_can_be_imported_again(session: Session, tmp_path: Path) -> None:
    undo(session, applied(session, tmp_path, cells()))
    applied(session, tmp_path, cells())
    assert not elder_of(session, number()).stopped
    assert len(lookup.living_in(session, STREET, TODAY)) == 1


def test_twice_changes_nothing(session: Session, tmp_path: Path) -> None:
    run = applied(session, tmp_path, cells())
    undo(session, run)
    before = events.head(session), session.execute(select(func.count()).select_from(ElderFact)).scalar_one()
    assert undo(session, run).already
    assert before == (events.head(session), session.execute(select(func.count()).select_from(ElderFact)).scalar_one())


def test_who_was_changed_or_given_a_card_is_left(session: Session, tmp_path: Path) -> None:
    run = applied(session, tmp_path, *(cells(number=number(order=order)) for order in (203, 304, 405)))
    changed, carded = (elder_of(session, number(order=order)).id for order in (203, 304))
    session.rollback()
    with transaction() as writing:
        elders.note(writing, changed, [NewFact("status", "suspended", TODAY)], "p-admin")
    with transaction() as writing:
        credentials.issue(writing, [carded], "p-admin")
    report = undo(session, run)
    assert (report.withdrawn, {one.elder_id: one.reason for one in report.left}) == (
        1,
        {changed: import_undo.CHANGED, carded: import_undo.CARDED},
    )
    assert len(lookup.living_in(session, STREET, TODAY)) == 2


def test_after_a_day_or_of_another_kind_it_is_refused(session: Session, tmp_path: Path) -> None:
    run = applied(session, tmp_path, cells())
    with clock.at(NOW + timedelta(days=1, seconds=1)), pytest.raises(TooLate, match="超过一天"):
        undo(session, run)
    with pytest.raises(NoRun):
        undo(session, "no-run")
    with transaction() as writing:
        writing.get_one(import_runs.ImportRun, run).kind = "areas"
    with pytest.raises(CannotUndo):
        undo(session, run)
