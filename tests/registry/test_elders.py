import uuid
from collections.abc import Sequence
from datetime import date
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, text
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import db, transaction
from canteen.errors import Conflict
from canteen.events import Event
from canteen.prepared import Run
from canteen.registry import documents, elder_titles, elders
from canteen.registry.elders import BadElder, FactGone, NewElder, NewFact, NoElder, NumberTaken
from canteen.registry.facts import BadFact
from tests.registry.people import CITY, DISTRICT, OTHER, STREET, an_elder, number, some_areas

MAY = date(2026, 5, 1)


@pytest.fixture(autouse=True)
def areas(session: Session):
    some_areas(session)


def test_the_rules_see_the_facts_valid_on_the_day(session: Session):
    li = an_elder(
        session,
        NewFact("class", "dibao", date(2026, 1, 1), date(2026, 4, 30)),
        NewFact("class", "alone", date(2026, 1, 1)),
        NewFact("level", "care=3", date(2026, 1, 1)),
        NewFact("household", "H1", date(2026, 1, 1)),
    )
    person = elders.known(session, li, MAY)
    assert person.diner.birth_day == clock.civil(date(1946, 3, 5))
    assert person.diner.hukou == (CITY, DISTRICT, STREET)
    assert person.diner.classes == ("alone",)
    assert person.diner.levels == {"care": 3}
    assert (person.household, person.sex, person.root, person.ids) == ("H1", "f", li, (li,))
    assert elders.as_diner(session, li, date(2026, 4, 30)).classes == ("alone", "dibao")


def test_the_rules_see_since_when_an_approval_is_valid(session: Session):
    li = an_elder(
        session,
        NewFact("class", "dibao", date(2025, 1, 1), date(2025, 12, 31)),
        NewFact("class", "dibao", date(2026, 1, 1)),
        NewFact("level", "care=3", date(2026, 2, 1)),
        NewFact("status", "deceased", date(2026, 3, 9)),
    )
    assert elders.as_diner(session, li, MAY).since == {
        "class:dibao": clock.civil(date(2025, 1, 1)),
        "level:care": clock.civil(date(2026, 2, 1)),
        "status:deceased": clock.civil(date(2026, 3, 9)),
    }
    assert "status:deceased" not in elders.as_diner(session, li, date(2026, 3, 9)).since


def test_what_was_not_yet_known_then_does_not_show(session: Session):
    li = an_elder(session)
    before = events.head(session)[0]
    with transaction():
        elders.note(session, li, [NewFact("status", "deceased", date(2026, 4, 1))], "p-admin")
    assert elders.as_diner(session, li, MAY).statuses == ("deceased",)
    assert elders.as_diner(session, li, MAY, before).statuses == ()
    assert elders.as_diner(session, li, date(2026, 4, 1)).statuses == ()


def test_a_death_reported_in_error_is_retracted_on_record(session: Session):
    li = an_elder(session)
    with transaction():
        elders.note(session, li, [NewFact("status", "deceased", date(2026, 4, 1))], "p-admin")
        wrong = next(fact for fact in elders.facts_about(session, li) if fact.kind == "status")
        elders.note(session, li, [NewFact("status", "", date(2026, 4, 1), None, wrong.id)], "p-admin")
    assert not elders.is_stopped(session, li, MAY)
    assert len([fact for fact in elders.facts_about(session, li) if fact.kind == "status"]) == 2


def test_a_fact_is_answered_once(session: Session):
    li = an_elder(session, NewFact("class", "dibao", date(2026, 1, 1)))
    fact = next(fact for fact in elders.facts_about(session, li) if fact.kind == "class")
    with transaction():
        elders.note(session, li, [NewFact("class", "", fact.from_day, None, fact.id)], "p-admin")
    with pytest.raises(FactGone), transaction():
        elders.note(session, li, [NewFact("class", "", fact.from_day, None, fact.id)], "p-admin")


def test_a_fact_of_somebody_else_cannot_be_answered(session: Session):
    li, wang = an_elder(session, NewFact("class", "dibao", MAY)), an_elder(session, order=104)
    fact = next(fact for fact in elders.facts_about(session, li) if fact.kind == "class")
    with pytest.raises(BadFact), transaction():
        elders.note(session, wang, [NewFact("class", "", MAY, None, fact.id)], "p-admin")


def test_one_number_belongs_to_one_elder(session: Session):
    an_elder(session)
    with pytest.raises(NumberTaken):
        an_elder(session, name="王芳")


def test_the_unique_key_refuses_two_desks_with_one_number(session: Session):
    an_elder(session)
    mac = session.execute(text("SELECT number_mac FROM identity_key")).scalar_one()
    with pytest.raises(Exception, match=r"(?i)unique|duplicate|law"), transaction():
        session.execute(
            text("INSERT INTO identity_key (number_mac, key_id, elder_id) SELECT :mac, 'x', id FROM elder"),
            {"mac": mac},
        )


def test_the_number_is_nowhere_in_clear(session: Session):
    li = an_elder(session)
    row = session.execute(text("SELECT * FROM elder_identity")).mappings().one()
    assert number().encode() not in bytes(row["number_cipher"])
    assert number() not in str({key: value for key, value in row.items() if key != "number_cipher"})
    assert row["number_masked"] == f"2299{'*' * 10}{number()[-4:]}"
    bodies = " ".join(session.execute(select(Event.body)).scalars())
    assert number() not in bodies
    assert "李秀英" not in bodies
    assert str(li) in session.execute(select(Event.subject)).scalars().all()


def test_birth_and_sex_must_agree_with_the_number(session: Session):
    document = documents.parse("resident", number())
    with pytest.raises(BadElder), transaction():
        elders.register(session, NewElder("李秀英", document, birth=date(1946, 3, 6)), "p-admin")
    with pytest.raises(BadElder), transaction():
        elders.register(session, NewElder("李秀英"), "p-admin")


def test_an_area_must_be_known(session: Session):
    with pytest.raises(BadFact), transaction():
        elders.register(session, NewElder("李秀英", birth=MAY.replace(year=1946), sex="f", hukou="999"), "p-admin")


def test_merged_people_are_one_until_the_merge_is_undone(session: Session):
    li = an_elder(session, NewFact("class", "dibao", date(2026, 1, 1)))
    twin = an_elder(session, order=104)
    third = an_elder(session, order=106)
    before = events.head(session)[0]
    with transaction():
        elders.note(session, twin, [NewFact("merged", str(li), MAY)], "p-admin")
        elders.note(session, third, [NewFact("merged", str(twin), MAY)], "p-admin")
    everybody = (li, tuple(sorted((li, twin, third))))
    assert [elders.cluster(session, each) for each in (li, twin, third)] == [everybody] * 3
    assert elders.cluster(session, twin, before) == (twin, (twin,))
    assert elders.as_diner(session, third, MAY).classes == ("dibao",)
    assert elders.as_diner(session, third, MAY, before).classes == ()
    merge = next(f for f in elders.facts_about(session, twin) if f.kind == "merged" and f.elder_id == twin)
    with transaction():
        elders.note(session, twin, [NewFact("merged", "", MAY, None, merge.id)], "p-admin")
    assert elders.cluster(session, li) == (li, (li,))
    assert elders.cluster(session, third) == (twin, tuple(sorted((twin, third))))


def test_a_merge_in_a_circle_is_refused(session: Session):
    li, twin = an_elder(session), an_elder(session, order=104)
    with transaction():
        elders.note(session, twin, [NewFact("merged", str(li), MAY)], "p-admin")
    with pytest.raises(BadFact), transaction():
        elders.note(session, li, [NewFact("merged", str(twin), MAY)], "p-admin")


def test_one_of_a_cluster_reported_dead_stops_all(session: Session):
    li, twin = an_elder(session), an_elder(session, order=104)
    with transaction():
        elders.note(session, twin, [NewFact("merged", str(li), MAY)], "p-admin")
        elders.note(session, twin, [NewFact("status", "deceased", date(2026, 4, 30))], "p-admin")
    assert elders.is_stopped(session, li, MAY)


def test_a_move_to_another_district_counts_from_its_day(session: Session):
    li = an_elder(session)
    with transaction():
        elders.note(session, li, [NewFact("residence", OTHER, MAY)], "p-admin")
    assert elders.as_diner(session, li, date(2026, 4, 30)).residence == (CITY, DISTRICT, STREET)
    moved = elders.as_diner(session, li, MAY)
    assert (moved.residence, moved.residence_since) == ((CITY, OTHER), clock.civil(MAY))


def test_a_move_within_the_city_keeps_the_days_lived_there(session: Session):
    li = an_elder(session)
    with transaction():
        elders.note(session, li, [NewFact("residence", OTHER, MAY)], "p-admin")
    moved = elders.as_diner(session, li, MAY)
    assert moved.since == {f"lives:{CITY}": clock.civil(date(2020, 1, 1))}
    assert elders.as_diner(session, li, date(2026, 4, 30)).since == {}


def test_the_counter_learns_title_and_initial(session: Session):
    li = an_elder(session)
    title = elder_titles.title(session, li, MAY)
    assert (title.surname_title, title.initial, title.photo) == ("李奶奶", "李", False)


def test_nobody_is_nobody(session: Session):
    for ask in (elders.as_diner, elder_titles.title):
        with pytest.raises(NoElder):
            ask(session, uuid.uuid4(), MAY)
    with pytest.raises(NoElder), transaction():
        elders.note(session, uuid.uuid4(), [NewFact("class", "dibao", MAY)], "p-admin")


def test_a_scan_asks_the_database_twice_for_the_diner(session: Session, monkeypatch: pytest.MonkeyPatch):
    li = an_elder(session)
    elders.known(session, li, MAY)
    asked, to_libpq = list[object](), Run.run

    def heard(statement: Run, connection: Connection, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        asked.append(statement.sql)
        return to_libpq(statement, connection, values)

    monkeypatch.setattr(Run, "run", heard)
    event.listen(db.engine, "before_cursor_execute", lambda *args: asked.append(args[2]))
    elders.known(session, li, MAY)
    assert len(asked) == 2


def test_a_number_taken_is_a_conflict_that_reveals_nothing(session: Session):
    an_elder(session)
    with pytest.raises(Conflict) as refused:
        an_elder(session, name="王芳")
    assert "李" not in refused.value.message
    assert refused.value.details == {}
