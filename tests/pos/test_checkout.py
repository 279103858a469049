"""Booking of a checkout: what it does and what it never does."""

from __future__ import annotations

import copy
import itertools
from datetime import date, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import transaction
from canteen.ledger import periods, transfers
from canteen.places import Contract
from canteen.pos.models import Record, Sale, SaleUse, Share, Slot
from canteen.registry import credentials, elders
from tests import world
from tests.rigs.states import state
from tests.world import NOON, World


@state
def till(app: Flask, session: Session) -> World:
    made = world.make(session)
    world.a_rulebook(session)
    return made


@state
def card(session: Session, till: World) -> str:
    return world.a_card(session, world.an_elder(session))


def only_sale(session: Session) -> Sale:
    session.rollback()
    return session.execute(select(Sale)).scalar_one()


def count(session: Session, table: Any) -> int:
    session.rollback()
    return session.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.mark.parametrize("later", [timedelta(0), timedelta(microseconds=1), timedelta(microseconds=250_000)])
def test_card_issued_and_used_within_a_second_is_valid(session: Session, till: World, later: timedelta) -> None:
    bound = NOON + timedelta(microseconds=400_100)
    fresh = world.a_card(session, world.an_elder(session), at=bound)
    with clock.at(bound + later):
        sealed = world.seal(till, world.checkout_body(till, [fresh]), mono=1000)  # paid in the millisecond of the quote
    with clock.at(bound + timedelta(seconds=2)):
        (result,) = world.bring(till, sealed)
    assert (result.outcome, result.excluded) == ("created", ())


def test_a_meal_is_booked_with_its_shares_slot_and_transfers(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        result = world.sell(till, card)
    assert result.outcome == "created"
    sale = only_sale(session)
    assert (sale.list_fen, sale.due_fen, sale.service_day, sale.period, sale.online) == (
        1200,
        700,
        date(2026, 5, 12),
        "lunch",
        True,
    )
    assert [(s.fund, s.fen, s.clause) for s in session.execute(select(Share)).scalars()] == [("city", 500, "第一条")]
    assert transfers.balances(session, "k1") == {
        ("city", "granted"): -500,
        ("city", "open"): 500,
        ("", "elder"): -700,
        ("", "cash"): 700,
    }
    assert count(session, Slot) == 1


def test_second_lunch_of_a_day_is_quoted_and_sold_at_full_price(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        world.sell(till, card)
        body = world.checkout_body(till, [card])
        result = world.bring(till, world.seal(till, body))[0]
    assert body["sales"][0]["quote"]["due"] == 1200
    assert result.outcome == "created"
    assert transfers.balances(session, "k1")["city", "open"] == 500


def test_a_dinner_after_lunch_is_another_period(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        world.sell(till, card)
    with clock.at(NOON + timedelta(hours=6)):
        world.sell(till, card)
    session.rollback()
    assert transfers.balances(session, "k1")["city", "open"] == 1000


def test_the_same_record_again_is_answered_and_not_booked_again(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        record = world.seal(till, world.checkout_body(till, [card]))
        first = world.bring(till, record)[0]
    with clock.at(NOON + timedelta(days=40)):
        again = world.bring(till, record)[0]
    assert (first.outcome, again.outcome) == ("created", "have")
    assert first.sales == again.sales
    assert count(session, Sale) == 1


def test_the_same_sale_id_with_other_content_waits_in_quarantine(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        world.bring(till, world.seal(till, body))
        forged = copy.deepcopy(body)
        forged["cashier"] = "p-other"
        result = world.bring(till, world.seal(till, forged))[0]
    assert (result.outcome, result.reason) == ("quarantined", "sale_conflict")
    assert only_sale(session).cashier_id == till.cashier
    assert count(session, Record) == 2


def test_one_bad_record_does_not_block_the_ones_behind_it(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        good = world.seal(till, world.checkout_body(till, [card]))
        bodies: tuple[dict[str, Any], ...] = ({"nothing": 1}, {"sales": []})
        bad = [world.seal(till, body) for body in bodies]
        broken = {**world.seal(till, world.checkout_body(till, [None])), "hash": "0" * 64}
        results = world.bring(till, bad[0], broken, {"v": 9}, good, bad[1])
    assert [result.outcome for result in results] == ["quarantined", "quarantined", "refused", "created", "quarantined"]


def test_of_two_offline_canteens_only_the_first_arrival_claims(session: Session, till: World, card: str) -> None:
    other = world.make(session, canteen="c2", contract="k2", tablet="t2")
    with clock.at(NOON):
        here = world.seal(till, world.checkout_body(till, [card]))
        there = world.seal(other, world.checkout_body(other, [card]))
        for order in itertools.permutations([(till, here), (other, there)]):
            outcomes = [world.bring(where, record)[0] for where, record in order]
    assert {outcome.outcome for outcome in outcomes} == {"have"}
    session.rollback()
    assert transfers.balances(session, "k1")["city", "open"] == 500
    assert transfers.balances(session, "k2")["city", "open"] == 0
    assert transfers.balances(session, "k2")["city", "excluded"] == 500
    asked = session.execute(select(func.count()).where(SaleUse.granted == 0)).scalar_one()
    assert asked == 1


def test_price_above_our_quote_is_claimable_only_up_to_ours(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        quote = body["sales"][0]["quote"]
        quote["shares"][0]["fen"], quote["due"] = 800, 400
        body["payment"].update(due=400, tenders=[{"kind": "cash", "fen": 400, "given": 400, "change": 0}])
        result = world.bring(till, world.seal(till, body))[0]
    assert result.outcome == "kept"
    assert [(each.fen, each.reason) for each in result.excluded] == [(300, "price_differs")]
    assert only_sale(session).due_fen == 400
    assert transfers.balances(session, "k1")["city", "open"] == 500


def test_figures_that_do_not_add_up_wait_in_quarantine(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        body = world.checkout_body(till, [card])
        body["sales"][0]["quote"]["due"] = 600
        result = world.bring(till, world.seal(till, body))[0]
    assert (result.outcome, result.reason) == ("quarantined", "quote_inconsistent")
    assert count(session, Sale) == 0


def test_a_couple_pays_once_and_a_guest_pays_the_list_price(session: Session, till: World, card: str) -> None:
    second = world.a_card(session, world.an_elder(session, born=date(1950, 1, 1)))
    with clock.at(NOON):
        result = world.sell(till, card, second, None)
    assert (result.outcome, len(result.sales)) == ("created", 3)
    session.rollback()
    assert transfers.balances(session, "k1")["", "cash"] == 700 + 700 + 1200


def test_the_same_elder_twice_in_one_checkout_gets_one_benefit(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        world.sell(till, card, card)
    session.rollback()
    assert transfers.balances(session, "k1")["city", "open"] == 500
    assert transfers.balances(session, "k1")["", "cash"] == 700 + 1200


def test_a_meal_outside_the_windows_is_full_price_and_flagged(session: Session, till: World, card: str) -> None:
    with clock.at(clock.instant(date(2026, 5, 12), 15 * 60)):
        assert world.sell(till, card).outcome == "created"
    sale = only_sale(session)
    assert (sale.due_fen, sale.flags) == (1200, "outside_window")


def test_a_late_record_of_a_closed_month_goes_to_the_open_one(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        record = world.seal(till, world.checkout_body(till, [card]))
    with clock.at(clock.instant(date(2026, 6, 3))):
        for month in range(1, 6):
            _close(session, date(2026, month, 1))
        assert world.bring(till, record)[0].outcome == "created"
    sale = only_sale(session)
    assert (sale.service_day, sale.online) == (date(2026, 5, 12), False)


def _close(session: Session, first: date) -> None:
    with transaction():
        found = periods.gate(session, session.get_one(Contract, "k1"), first)
        periods.flip(session, found.id)


@pytest.mark.parametrize(
    ("hours", "day", "flags"), [(26, 12, "clock clock_day"), (-26, 12, "clock clock_day"), (0.05, 12, "")]
)
def test_a_wrong_tablet_clock_does_not_move_a_meal_made_online(
    session: Session, till: World, card: str, hours: float, day: int, flags: str
) -> None:
    with clock.at(NOON):
        wrong = clock.local(NOON + timedelta(hours=hours))
        world.bring(till, world.seal(till, world.checkout_body(till, [card]), at=wrong))
    sale = only_sale(session)
    assert (sale.service_day, sale.flags) == (date(2026, 5, day), flags)
    assert sale.skew_ms == round(hours * 3_600_000)


def test_lost_card_stops_and_its_later_sales_are_excluded(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        record = world.checkout_body(till, [card])
    with clock.at(NOON - timedelta(hours=1)), transaction():
        digest = record["sales"][0]["credential"]
        credentials.report(session, digest, kind="lost", by="p-cashier", reason="lost")
    with clock.at(NOON):
        with pytest.raises(credentials.BlockedCard):
            world.checkout_body(till, [card])
        result = world.bring(till, world.seal(till, record))[0]
    assert [(each.fen, each.reason) for each in result.excluded] == [(500, "card_dead")]
    assert only_sale(session).due_fen == 700


def test_limits_follow_the_person_after_a_merge(session: Session, till: World, card: str) -> None:
    twin = world.an_elder(session)
    other = world.a_card(session, twin)
    with clock.at(NOON):
        world.sell(till, card)
        holder = only_sale(session).elder_id
        with transaction():
            elders.note(session, twin, [elders.NewFact("merged", str(holder), date(2020, 1, 1))], "p-admin")
        body = world.checkout_body(till, [other])
    assert body["sales"][0]["quote"]["due"] == 1200


# --- voids ---


def test_void_frees_everything_and_the_meal_can_be_sold_again(session: Session, till: World, card: str) -> None:
    with clock.at(NOON):
        sale = world.sell(till, card).sales[0]
        void = world.seal(till, world.void_body(sale), kind="void", mono=60_000)
        assert world.bring(till, void)[0].outcome == "created"
        assert world.bring(till, void)[0].outcome == "have"
        session.rollback()
        assert set(transfers.balances(session, "k1").values()) == {0}
        assert count(session, Slot) == 0
        assert world.checkout_body(till, [card])["sales"][0]["quote"]["due"] == 700


@pytest.mark.parametrize(
    ("mono", "cashier", "outcome"),
    [
        (9 * 60_000, "p-cashier", "created"),
        (11 * 60_000, "p-cashier", "quarantined"),
        (60_000, "p-other", "quarantined"),
    ],
)
def test_cashier_alone_voids_only_own_sales_of_ten_minutes(
    till: World, card: str, mono: int, cashier: str, outcome: str
) -> None:
    with clock.at(NOON):
        sale = world.sell(till, card).sales[0]
        void = world.seal(till, world.void_body(sale, cashier=cashier), kind="void", mono=mono + 2000)
        assert world.bring(till, void)[0].outcome == outcome


def test_sale_is_voided_once_and_refunds_at_most_its_due(till: World, card: str) -> None:
    with clock.at(NOON):
        sale = world.sell(till, card).sales[0]
        greedy = world.bring(till, world.seal(till, world.void_body(sale, fen=701), kind="void"))[0]
        first = world.bring(till, world.seal(till, world.void_body(sale), kind="void"))[0]
        second = world.bring(till, world.seal(till, world.void_body(sale), kind="void"))[0]
    assert (greedy.reason, first.outcome, second.reason) == ("refund_too_large", "created", "already_voided")
