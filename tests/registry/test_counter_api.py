import uuid
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import select

from canteen.db import db, transaction
from canteen.events import Event
from canteen.registry import credentials, documents, elders
from canteen.registry.elders import NewElder
from tests.auth.house import EAST_STREET, Till, a_person, a_till
from tests.registry.people import number
from tests.rigs.states import state

NUMBER = number(region="220102")
TODAY = date(2026, 5, 12)


@pytest.fixture
def till(app: Flask, city: None) -> Till:
    """A tablet of canteen 'east' with a cashier at it."""
    made = a_till(app, "east")
    made.log_in(a_person("cashier", ("cashier", "canteen", "east"), pin=True))
    return made


@state
def li(city: None) -> uuid.UUID:
    new = NewElder("李秀英", documents.parse("resident", NUMBER), residence=EAST_STREET, known_from=date(2020, 1, 1))
    with transaction() as session:
        return elders.register(session, new, "system")


def a_blank_card() -> credentials.Made:
    with transaction() as session:
        return credentials.make(session, [None], batch="b", by="system")[0]


def test_a_blank_card_is_given_out_in_one_call(till: Till, li: uuid.UUID):
    card = a_blank_card()
    for _ in range(2):
        answer = till.call("POST", "/api/v1/pos/cards/bindings", {"scan": card.code, "id_number": NUMBER})
        assert answer.status_code == 201
        assert answer.json == {"title": "李奶奶", "initial": "李", "cards": [card.number]}
    assert credentials.resolve(db.session(), card.code, on=TODAY).elder_id == li
    assert NUMBER not in " ".join(db.session().execute(select(Event.body)).scalars())


def test_a_card_is_lost_by_id_number_and_found_by_scan(till: Till, li: uuid.UUID):
    with transaction() as session:
        card = credentials.issue(session, [li], "system")[0]
    lost = till.call("POST", "/api/v1/pos/cards/losses", {"id_number": NUMBER})
    assert lost.json["cards"] == [card.number]
    assert not credentials.state_of(db.session(), card.id).works
    db.session.rollback()
    nothing_left = till.call("POST", "/api/v1/pos/cards/losses", {"id_number": NUMBER})
    assert (nothing_left.status_code, nothing_left.json["code"]) == (404, "card_unknown")
    assert till.call("POST", "/api/v1/pos/cards/findings", {"scan": card.number}).status_code == 201
    assert credentials.state_of(db.session(), card.id).works


@pytest.mark.parametrize(
    ("given", "status", "code"),
    [
        (number(region="220102", order=104), 404, "elder_not_found"),
        (NUMBER[:17] + ("0" if NUMBER[17] != "0" else "1"), 422, "id_check_digit"),
        ("220102460305102", 422, "id_15_digits"),
    ],
)
def test_a_wrong_or_unknown_number_is_reported(till: Till, li: uuid.UUID, given: str, status: int, code: str):
    answer = till.call("POST", "/api/v1/pos/cards/bindings", {"scan": a_blank_card().code, "id_number": given})
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert given not in answer.text


def test_without_a_cashier_at_the_tablet_nothing_happens(till: Till, li: uuid.UUID):
    card = a_blank_card()
    till.call("DELETE", "/api/v1/pos/sessions")
    answer = till.call("POST", "/api/v1/pos/cards/bindings", {"scan": card.code, "id_number": NUMBER})
    assert answer.status_code == 401
    assert credentials.state_of(db.session(), card.id).elder_id is None


def test_a_blank_card_cannot_be_found(till: Till):
    answer = till.call("POST", "/api/v1/pos/cards/findings", {"scan": a_blank_card().code})
    assert (answer.status_code, answer.json["code"]) == (409, "card_unbound")
