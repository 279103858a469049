"""How many statements a warm quote and a warm checkout ask over HTTP. The figures may only fall."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import sessions, tablets
from canteen.db import db, transaction
from canteen.places import Installation
from tests import world
from tests.races.rig import Key
from tests.rigs.states import state
from tests.world import NOON, World

QUOTE = 2
CHECKOUT = {"postgresql": 5, "sqlite": 10}


@dataclass
class Shop:
    till: World
    cards: Sequence[str]
    token: str


@state
def shop(session: Session) -> Shop:
    with clock.at(NOON):
        till = world.make(session)
        world.a_rulebook(session)
        cards = [world.a_card(session, world.an_elder(session)) for _ in range(3)]
        with transaction():
            session.add(Installation(id=1, incarnation="i", demo=False, made_at=clock.now()))
            return Shop(till, cards, sessions.start(session, till.cashier, till.tablet))


@dataclass
class Till:
    shop: Shop
    client: FlaskClient
    key: Key

    def post(self, path: str, content: object) -> Any:
        body = json.dumps(content).encode()
        db.session.remove()
        return self.client.post(path, data=body, headers=self.key.headers("POST", path, body))

    def quote(self, card: str) -> Any:
        sale = {"scan": card, "how": "camera", "lines": [{"item": "c1-set-a", "quantity": 1}]}
        return self.post("/api/v1/pos/quotes", {"canteen": "c1", "sales": [sale]})

    def sell(self, card: str) -> list[dict[str, Any]]:
        """Return what is to be brought."""
        return [world.seal(self.shop.till, world.checkout_body(self.shop.till, [card]))]

    def bring(self, records: list[dict[str, Any]]) -> Any:
        number = self.shop.till.number - 1
        path = "/api/v1/records" + (f"?incarnation=i&acknowledged=1/{number}" if number else "")
        return self.post(path, {"records": records})


@pytest.fixture
def till(shop: Shop, client: FlaskClient) -> Any:
    with clock.at(NOON):
        client.set_cookie("till", shop.token)
        yield Till(shop, client, Key.given_to(shop.till.tablet))


def test_a_warm_quote_asks_so_many_statements(till: Till, asked: list[str]) -> None:
    assert till.quote(till.shop.cards[0]).status_code == 200
    asked.clear()

    assert till.quote(till.shop.cards[0]).status_code == 200
    assert len(asked) == QUOTE, asked


def test_a_warm_checkout_asks_so_many_statements(till: Till, asked: list[str]) -> None:
    for card in till.shop.cards[:2]:  # the first contact of the minute, the accounts, the rulebook
        assert till.bring(till.sell(card)).json["results"][0]["outcome"] == "created"
    records = till.sell(till.shop.cards[2])
    asked.clear()

    assert till.bring(records).json["results"][0]["outcome"] == "created"
    assert len(asked) == CHECKOUT[db.engine.dialect.name], asked


def test_a_revoked_tablet_is_refused_at_the_next_request(till: Till) -> None:
    assert till.quote(till.shop.cards[0]).status_code == 200
    tablets.revoke(till.shop.till.tablet, by="p-admin", reason="lost")

    assert till.quote(till.shop.cards[0]).json["code"] == "tablet_revoked"
    assert till.bring(till.sell(till.shop.cards[1])).json["results"][0]["outcome"] == "quarantined"
