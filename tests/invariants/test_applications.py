"""Applications: what the database refuses whatever code would get wrong."""

from __future__ import annotations

from datetime import date
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine

from canteen import clock
from canteen.db import transaction
from canteen.registry import documents
from canteen.registry.applications import taking
from canteen.registry.applications.taking import AskedClass, NewApplication
from canteen.registry.elders import NewElder
from tests.auth.house import EAST_COMMUNITY, build_city
from tests.invariants.test_constraints import drop_constraint, drop_trigger, owner, refused, run
from tests.registry.people import number

__all__ = ["owner"]

AGAIN = """INSERT INTO application (id, elder_id, area_id, canteen_id, registers, mode, details_cipher, notice, consent,
                                    taken_by, taken_at)
           SELECT max(id) + 1000, elder_id, area_id, canteen_id, registers, mode, details_cipher, {notice}, {consent},
                  taken_by, taken_at FROM application WHERE id < 1000 GROUP BY id"""


@pytest.fixture(autouse=True)
def _applied(app: Flask, owner: Engine) -> None:
    """An application that p-taker took."""
    build_city()
    with clock.at(clock.instant(date(2026, 5, 12), 600)), transaction() as session:
        elder = NewElder("李秀英", documents.parse("resident", number()), residence=EAST_COMMUNITY)
        new = NewApplication(elder, [AskedClass("dibao", "低保证")], consent="signed")
        taking.take(session, new, "p-taker", {EAST_COMMUNITY})


def again(notice: str = "notice", consent: str = "consent") -> str:
    return AGAIN.format(notice=notice, consent=consent)


def opinion(step: str, by: str, outcome: str = "agreed", reason: str = "", effective: str = "NULL") -> str:
    return f"""INSERT INTO application_opinion (application_id, step, outcome, reason, effective_from, "by", at, recorded)
               SELECT id, '{step}', '{outcome}', '{reason}', {effective}, '{by}', taken_at, id
               FROM application WHERE id < 1000"""


COMMUNITY = opinion("community", "p-community")
REFUSED = opinion("community", "p-community", "refused", "不在本社区居住")
street = partial(opinion, "street", effective="'2026-06-01'")


def test_one_application_of_an_elder_is_open(owner: Engine) -> None:
    assert refused(partial(run, owner, again()))
    run(owner, COMMUNITY)
    assert refused(partial(run, owner, again()))
    drop_trigger(owner, "law_application_one_open")
    run(owner, again())


@pytest.mark.parametrize("closing", [[REFUSED], [COMMUNITY, street("p-street")]])
def test_a_decided_application_makes_room(owner: Engine, closing: list[str]) -> None:
    run(owner, *closing, again())


def test_the_street_speaks_after_the_community_agreed(owner: Engine) -> None:
    assert refused(partial(run, owner, street("p-street")))
    run(owner, REFUSED)
    assert refused(partial(run, owner, street("p-street")))
    drop_trigger(owner, "law_opinion_in_turn")
    run(owner, street("p-street"))


def test_the_street_is_neither_taker_nor_community(owner: Engine) -> None:
    run(owner, COMMUNITY)
    for person in ("p-taker", "p-community"):
        assert refused(partial(run, owner, street(person)))
    drop_trigger(owner, "law_opinion_two_people")
    run(owner, street("p-taker"))


def test_a_step_is_decided_once(owner: Engine) -> None:
    run(owner, COMMUNITY)
    assert refused(partial(run, owner, opinion("community", "p-other")))


@pytest.mark.parametrize(
    ("constraint", "wrong"),
    [
        ("ck_application_opinion_step", opinion("district", "p-x")),
        ("ck_application_opinion_outcome", opinion("community", "p-x", "perhaps", "原因")),
        ("ck_application_opinion_reason", opinion("community", "p-x", "refused")),
        ("ck_application_opinion_effective", opinion("community", "p-x", effective="'2026-06-01'")),
        ("ck_application_opinion_effective", COMMUNITY + ";" + opinion("street", "p-x")),
    ],
)
def test_an_opinion_is_whole(owner: Engine, constraint: str, wrong: str) -> None:
    before, _, last = wrong.rpartition(";")
    assert refused(partial(run, owner, *filter(None, [before, last])))
    drop_constraint(owner, "application_opinion", constraint)
    run(owner, *filter(None, [before, last]))


@pytest.mark.parametrize(
    ("constraint", "wrong"),
    [
        ("ck_application_notice", again(notice="''")),
        ("ck_application_consent", again(consent="'none'")),
    ],
)
def test_consent_is_kept_with_the_notice(owner: Engine, constraint: str, wrong: str) -> None:
    run(owner, REFUSED)
    assert refused(partial(run, owner, wrong))
    if owner.dialect.name == "postgresql":  # SQLite drops a constraint with its table, and these rows are needed
        drop_constraint(owner, "application", constraint)
        run(owner, wrong)


def test_applications_and_opinions_stay_as_they_are(owner: Engine) -> None:
    run(owner, COMMUNITY)
    for table, change in {
        "application": "consent = 'fingerprint'",
        "application_class": "class_code = 'tekun'",
        "application_opinion": "outcome = 'refused', reason = '改'",
    }.items():
        assert refused(partial(run, owner, f"UPDATE {table} SET {change}"))
        assert refused(partial(run, owner, f"DELETE FROM {table}"))
