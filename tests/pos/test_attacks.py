"""Input of an outsider or a faulty tablet: nothing is claimed twice or lost, and nothing blocks the rest."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import approvals
from canteen.auth.models import Person, Tablet
from canteen.db import transaction
from canteen.ledger import transfers
from canteen.pos import checkout, slots, stamps
from canteen.pos.models import Record, Sale, Void
from canteen.registry import credentials
from tests import world
from tests.auth.house import PIN, a_person, a_till
from tests.rigs.states import state
from tests.world import NOON, World

Body = dict[str, Any]


@state
def till(app: Flask, session: Session) -> World:
    made = world.make(session)
    world.a_rulebook(session)
    return made


@state
def card(session: Session, till: World) -> str:
    return world.a_card(session, world.an_elder(session))


def claimable(session: Session, contract: str = "k1") -> int:
    session.rollback()
    return transfers.balances(session, contract).get(("city", "open"), 0)


def sale_of(session: Session, sale: str) -> Sale:
    session.rollback()
    return session.get_one(Sale, uuid.UUID(sale))


def again(body: Body) -> Body:
    """The same content as a new checkout."""
    other = copy.deepcopy(body)
    other["payment"]["id"] = str(uuid.uuid4())
    for sale in other["sales"]:
        sale["id"] = str(uuid.uuid4())
    return other


def spoil(body: Body, path: str, value: object) -> Body:
    """A copy with one field changed; steps of the path are keys and places."""
    spoilt = copy.deepcopy(body)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at: Any = spoilt
    for step in steps:
        at = at[step]
    at[last] = value
    return spoilt


DEEP: Any = 0
for _ in range(400):
    DEEP = {"a": DEEP}


SPOILT: tuple[tuple[str, object, str], ...] = (
    ("sales.0.elder", "5f0c8f3e-0000-4000-8000-000000000000", "elder_unknown"),
    ("sales.0.lines.0.quantity", -1, "body_malformed"),
    ("sales.0.lines.0.quantity", 10**9, "body_malformed"),
    ("sales.0.lines.0.fen", -1200, "body_malformed"),
    ("sales.0.lines.0.quantity", 99, "quote_inconsistent"),
    ("sales.0.lines.0.name", "\u0000", "body_malformed"),
    ("sales.0.lines.0.name", "\ud800", "body_malformed"),
    ("sales.0.quote.due", -700, "quote_inconsistent"),
    ("sales.0.input", {"deep": DEEP}, "quote_inconsistent"),
    ("sales.0.canteen", "c2", "foreign_canteen"),
    ("payment.tenders.0.fen", -1, "body_malformed"),
    ("payment.tenders.0.change", 1, "body_malformed"),
)


def test_impossible_record_is_quarantined_and_the_next_is_booked(session: Session, till: World, card: str) -> None:
    """One test over all, for each would need a database of its own."""
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        sealed = [world.seal(till, spoil(again(body), path, value)) for path, value, _ in SPOILT]
        *results, good = world.bring(till, *sealed, world.seal(till, body))
    answered = {path: (result.outcome, result.reason) for (path, _, _), result in zip(SPOILT, results, strict=True)}
    assert answered == {path: ("quarantined", reason) for path, _, reason in SPOILT}
    assert good.outcome == "created"
    assert claimable(session) == 500


def test_second_use_of_a_payment_id_is_quarantined(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        other = spoil(again(world.checkout_body(till, [None])), "payment.id", body["payment"]["id"])
        first, second = world.bring(till, world.seal(till, body), world.seal(till, other))
    assert (first.outcome, second.outcome, second.reason) == ("created", "quarantined", "payment_taken")


def test_input_other_than_quoted_is_flagged_and_changes_no_price(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        rich = spoil(body, "sales.0.input.diner.classes", ["tekun"])
        result = world.bring(till, world.seal(till, rich))[0]
    assert "input_differs" in sale_of(session, result.sales[0]).flags.split()
    assert claimable(session) == 500


def test_replayed_stamp_claims_one_meal_and_late_proves_no_time(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        results = world.bring(till, *(world.seal(till, again(body)) for _ in range(5)))
    with clock.at(NOON + timedelta(days=4)):
        late = world.bring(till, world.seal(till, again(body)))[0]
    assert [result.outcome for result in results] == ["created"] + ["kept"] * 4
    assert claimable(session) == 500
    sale = sale_of(session, late.sales[0])
    assert (sale.service_day, sale.online, "clock" in sale.flags.split()) == (NOON.date(), False, True)


def test_stamp_of_another_tablet_or_elder_proves_nothing(session: Session, till: World, card: str) -> None:
    other = world.make(session, canteen="c2", contract="k2", tablet="t2")
    second = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        foreign = world.checkout_body(other, [card])["sales"][0]["stamp"]
        lent = world.checkout_body(till, [second])["sales"][0]["stamp"]
        body = world.checkout_body(till, [card])
        for stamp in (foreign, lent, "x", "x.y", "é.é"):
            result = world.bring(till, world.seal(till, spoil(again(body), "sales.0.stamp", stamp)))[0]
            assert not sale_of(session, result.sales[0]).online
    assert stamps.read(foreign, tablet=till.tablet) is None
    assert claimable(session) == 500


def test_two_tablets_of_one_canteen_share_every_limit(session: Session, till: World, card: str) -> None:
    with transaction():
        session.add(
            Tablet(
                id="t1b", name="二号机", canteen_id="c1", public_key=b"k", enrolled_at=NOON, enrolled_by=till.cashier
            )
        )
    twin = World(tablet="t1b")
    with clock.at(NOON):
        bodies = [(each, world.checkout_body(each, [card])) for each in (till, twin)]
        outcomes = [world.bring(each, world.seal(each, body))[0].outcome for each, body in bodies]
    assert outcomes == ["created", "kept"]
    assert claimable(session) == 500


def test_card_reassigned_to_another_elder_claims_nothing(session: Session, till: World, card: str) -> None:
    stranger = world.a_card(session, world.an_elder(session))
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        theirs = world.checkout_body(till, [stranger])["sales"][0]["credential"]
        result = world.bring(till, world.seal(till, spoil(body, "sales.0.credential", theirs)))[0]
    assert [(each.fen, each.reason) for each in result.excluded] == [(500, "card_of_another")]


def test_meal_sold_before_its_card_was_replaced_is_claimable(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
    with clock.at(NOON + timedelta(minutes=5)):
        with transaction():
            credentials.replace(session, body["sales"][0]["credential"], by="p-admin", reason="damaged")
        assert world.bring(till, world.seal(till, body, at=clock.local(NOON)))[0].outcome == "created"
    assert claimable(session) == 500


@pytest.mark.parametrize(("cashier", "flag"), [("p-nobody", "cashier_unknown"), ("p-elsewhere", "cashier_no_right")])
def test_who_might_not_sell_here_sold_all_the_same_and_is_named(
    session: Session, till: World, card: str, cashier: str, flag: str
) -> None:
    with transaction():
        session.add(Person(id="p-elsewhere", login="else", name="小赵", pin_hash="x", changed_at=NOON))
        world.log_in(session, till.tablet, cashier, at=NOON - timedelta(minutes=10))
    with clock.at(NOON):
        result = world.bring(till, world.seal(till, spoil(world.checkout_body(till, [card]), "cashier", cashier)))[0]
    assert result.outcome == "created"
    assert sale_of(session, result.sales[0]).flags == flag


WRONG = [timedelta(hours=26), timedelta(hours=-26), timedelta(days=40), timedelta(days=-40)]
OFFSETS = [None, 10**18, -(10**18), 40 * 86_400_000, -40 * 86_400_000]


def test_forged_clock_is_flagged_and_moves_no_meal_ahead(session: Session, till: World) -> None:
    sold: list[str] = []
    with clock.at(NOON):
        unstamped = spoil(world.checkout_body(till, [None]), "sales.0.stamp", None)
        for off in WRONG:
            for offset_ms in OFFSETS:
                body = spoil(again(unstamped), "clock.offset_ms", offset_ms)
                sold += world.bring(till, world.seal(till, body, at=clock.local(NOON + off)))[0].sales
    assert len(sold) == len(WRONG) * len(OFFSETS)
    for sale in [sale_of(session, each) for each in sold]:
        assert sale.service_day <= NOON.date()
        assert {"clock", "clock_unmeasured"} & set(sale.flags.split()), sale.flags


@pytest.mark.parametrize(
    ("at", "outcome"),
    [
        ("1970-01-01T00:00:10+08:00", "created"),
        ("0001-01-01T00:00:00+08:00", "quarantined"),
        ("9999-12-31T23:59:59-11:00", "quarantined"),
    ],
)
def test_absurd_clock_is_booked_if_possible_else_quarantined(
    session: Session, till: World, card: str, at: str, outcome: str
) -> None:
    with clock.at(NOON):
        body = spoil(world.checkout_body(till, [card]), "clock.offset_ms", None)
        result = world.bring(till, world.seal(till, body, at=datetime.fromisoformat(at)))[0]
        assert result.outcome == outcome
        assert world.sell(till, card).outcome == "created"
    kept = session.execute(select(func.count()).where(Record.state == "quarantined")).scalar_one()
    assert kept == int(outcome == "quarantined")


# --- voids ---


def void(till: World, sale: str, **options: Any) -> dict[str, Any]:
    return world.seal(till, world.void_body(sale, **options), kind="void")


def test_void_before_its_sale_waits_and_is_booked_on_resend(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        sold = world.seal(till, world.checkout_body(till, [card]))
        undone = void(till, _sale_in(sold))
        early = world.bring(till, undone)[0]
        booked = [result.outcome for result in world.bring(till, sold, undone, undone)]
    assert (early.outcome, early.reason) == ("quarantined", "sale_unknown")
    assert booked == ["created", "created", "have"]
    assert claimable(session) == 0
    accepted = session.execute(select(Record).where(Record.kind == "void", Record.state == "accepted")).scalar_one()
    assert accepted.resolves is not None


def _sale_in(sealed: dict[str, Any]) -> str:
    return str(json.loads(sealed["body"])["sales"][0]["id"])


def test_a_void_whose_sale_must_come_again_comes_again_with_it(
    session: Session, till: World, card: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crowded(*_: object) -> None:
        raise slots.RetryTransaction

    with clock.at(NOON):
        sold = world.seal(till, world.checkout_body(till, [card]))
        undone = void(till, _sale_in(sold))
        with monkeypatch.context() as patched:
            patched.setattr(checkout, "ring_up", crowded)
            assert [result.outcome for result in world.bring(till, sold, undone)] == ["later", "later"]
        assert [result.outcome for result in world.bring(till, sold, undone)] == ["created", "created"]


def test_void_of_a_foreign_or_quarantined_sale_is_refused(session: Session, till: World, card: str) -> None:
    other = world.make(session, canteen="c2", contract="k2", tablet="t2")
    with clock.at(NOON):
        sale = world.sell(till, card).sales[0]
        broken = world.seal(till, spoil(world.checkout_body(till, [None]), "sales.0.quote.due", 1))
        world.bring(till, broken)
        results = [*world.bring(other, void(other, sale)), *world.bring(till, void(till, _sale_in(broken)))]
    assert [(result.outcome, result.reason) for result in results] == [("quarantined", "sale_unknown")] * 2
    assert claimable(session) == 500


def test_void_id_and_approval_are_good_for_one_sale_only(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        first, second = (world.sell(till, card).sales[0], world.sell(till, None).sales[0])
        body = world.void_body(first)
        world.bring(till, world.seal(till, body, kind="void"))
        same = world.bring(till, world.seal(till, {**body, "sale": second}, kind="void"))[0]
        token = world.bring(till, void(till, second, fen=0, cashier="p-other", approval="forged"))[0]
    assert (same.outcome, token.outcome, token.reason) == ("quarantined", "quarantined", approvals.ApprovalRefused.code)
    session.rollback()
    assert session.execute(select(func.count()).select_from(Void)).scalar_one() == 1


def test_nobody_approves_the_void_of_what_he_sold_himself(app: Flask, session: Session, till: World, card: str) -> None:
    with clock.at(NOON - timedelta(days=1)):
        boss, deputy = (a_person(name, ("manager", "canteen", "c1"), pin=True) for name in ("boss", "deputy"))
    sold_by_boss = replace(till, cashier=boss)
    with clock.at(NOON):
        sale = world.sell(sold_by_boss, card).sales[0]
        own, other = (approvals.give(who, tablet_id=till.tablet, sale_id=uuid.UUID(sale)) for who in (boss, deputy))
        asking = a_till(app, "c1")
        asking.log_in(boss)
        asked = [
            asking.call("POST", "/api/v1/pos/approvals", {"manager": who, "pin": PIN, "sale": sale})
            for who in (boss, deputy)
        ]
    with clock.at(NOON + timedelta(minutes=30)):
        refused = world.bring(till, void(till, sale, cashier=boss, approval=own))[0]
        booked = world.bring(till, void(till, sale, cashier=boss, approval=other))[0]
    assert [answer.status_code for answer in asked] == [403, 201]
    assert "本人" in asked[0].json["detail"]
    assert (refused.outcome, refused.reason) == ("quarantined", "void_own_sale")
    assert booked.outcome == "created"


# --- many ---


def test_a_long_backlog_is_booked_in_its_order_and_once(
    session: Session, till: World, rounds: Callable[[int, int], int]
) -> None:
    many = rounds(100, 5000)
    with clock.at(NOON):
        body = world.checkout_body(till, [None])
        sealed = [world.seal(till, again(body)) for _ in range(many)]
    with clock.at(NOON + timedelta(days=3)):
        for start in range(0, many, 100):
            batch = sealed[start : start + 100]
            assert {result.outcome for result in world.bring(till, *batch)} == {"created"}
        assert {result.outcome for result in world.bring(till, *sealed[:20])} == {"have"}
    session.rollback()
    numbers = list(session.execute(select(Record.number).order_by(Record.id)).scalars())
    assert numbers == sorted(numbers)
    assert (len(numbers), session.execute(select(func.count()).select_from(Sale)).scalar_one()) == (many, many)


def test_a_day_long_past_is_booked_to_the_earliest_open_period(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        body = spoil(spoil(world.checkout_body(till, [card]), "sales.0.stamp", None), "clock.offset_ms", 0)
        past = clock.local(clock.instant(date(2019, 5, 12), 690))
        result = world.bring(till, world.seal(till, body, at=past))[0]
    sale = sale_of(session, result.sales[0])
    assert (sale.service_day, "no_contract" in sale.flags.split()) == (date(2019, 5, 12), True)
    assert claimable(session) == 0
