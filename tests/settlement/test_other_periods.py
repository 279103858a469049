"""Periods that do not begin on the 1st: by configuration, by a contract that begins in mid-month, by one that ends there."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import date

import pytest
from flask import Flask

from canteen import clock
from canteen.config import Config
from canteen.db import transaction
from canteen.ledger.models import Period
from canteen.places import Contract
from canteen.settlement.audit import verify
from canteen.settlement.claims import claims, payouts, review, workflow
from canteen.settlement.closing import close
from canteen.settlement.models import Claim
from tests import world
from tests.settlement.conftest import Town, at

FIRST, SECOND = "k1-20260101-20260125", "k1-20260126-20260225"
MOVES = (("submit", "p-manager"), ("review", "p-street"), ("determine", "p-finance"), ("approve", "p-chief2"))


@pytest.mark.parametrize(
    ("day", "begins", "expected"),
    [
        (date(2026, 1, 25), 26, "2025-12-26..2026-01-25"),
        (date(2026, 1, 26), 26, "2026-01-26..2026-02-25"),
        (date(2026, 3, 1), 28, "2026-02-28..2026-03-27"),
        (date(2024, 2, 29), 1, "2024-02-01..2024-02-29"),
        (date(2026, 12, 31), 16, "2026-12-16..2027-01-15"),
    ],
)
def test_a_month_may_begin_on_any_of_its_first_28_days(day: date, begins: int, expected: str):
    assert str(clock.Span.month(day, begins=begins)) == expected


def over(on: date) -> list[str]:
    """Close all that is over on a day; answers the claims."""
    with clock.at(at(on, 6, 0)):
        due = close.due(world.db.session(), on)
        return [close.close(contract, day, by="system").claim for contract, day in due]


def line(town: Town, number: str) -> list[tuple[str, str, str, int]]:
    town.session.rollback()
    found = claims.lines(town.session, claims.of_number(town.session, number).id)
    return [(one.kind, one.service_month, one.origin, one.fen) for one in found]


def honest(town: Town) -> None:
    for (number,) in town.session.query(Claim.period_id).order_by(Claim.id).all():
        assert verify.period(number).differences == ()


@pytest.fixture
def from_26(app: Flask, config: Config, town: Town) -> Town:
    app.config["CANTEEN"] = replace(config, period_from=26)
    return town


def test_periods_from_a_configured_day_are_claimed_and_paid(from_26: Town):
    town = from_26
    town.elder()
    late = town.sealed(date(2026, 1, 20), town.cards[0])
    gone = town.sell(date(2026, 1, 21), town.cards[0])[0]
    town.sell(date(2026, 1, 25), town.cards[0])
    assert over(date(2026, 1, 26)) == [FIRST]
    withheld = town.sell(date(2026, 1, 26), town.cards[0])[0]
    town.sell(date(2026, 2, 3), *town.cards)
    town.void(gone, at(date(2026, 2, 5)))
    town.bring(at(date(2026, 2, 5)), late)
    town.sell(date(2026, 2, 25), town.cards[1])
    town.sell(date(2026, 2, 26), town.cards[1])
    assert over(date(2026, 2, 25)) == []
    assert over(date(2026, 2, 26)) == [SECOND]

    assert line(town, FIRST) == [("meals", "2026-01", "", 1000)]
    assert line(town, SECOND) == [
        ("meals", "2026-01", "", 500),
        ("meals", "2026-02", "", 1500),
        ("supplement", "2026-01", FIRST, 500),
        ("adjustment", "2026-01", f"{FIRST}/1", -500),
    ]
    with clock.at(at(date(2026, 3, 1))):
        claim_id = claims.of_number(town.session, SECOND).id
        review.withhold(claim_id, uuid.UUID(withheld), "withheld", reason="需要核实", by="p-street")
        for act, by in MOVES:
            workflow.move(claim_id, act, by=by)
        payout = payouts.enter(claim_id, voucher="2026-1", paid_on=date(2026, 3, 1), by="p-pay")
        assert payouts.check(payout, "confirmed", by="p-check") == "paid"
    honest(town)


def test_a_new_first_day_counts_after_the_existing_periods(app: Flask, config: Config, town: Town):
    town.sell(date(2026, 1, 5), town.cards[0])
    app.config["CANTEEN"] = replace(config, period_from=16)
    town.sell(date(2026, 2, 20), town.cards[0])

    chain = town.session.query(Period).order_by(Period.from_day).all()
    assert [(str(one.from_day), str(one.to_day)) for one in chain] == [
        ("2026-01-01", "2026-01-31"),
        ("2026-02-01", "2026-02-15"),
        ("2026-02-16", "2026-03-15"),
    ]


def test_a_contract_change_in_mid_month_makes_two_claims(town: Town):
    with transaction() as session:
        session.get_one(Contract, "k1").to_day = date(2026, 1, 15)
        columns = {c.name: getattr(session.get_one(Contract, "k1"), c.name) for c in Contract.__table__.columns}
        session.add(Contract(**{**columns, "id": "k2", "from_day": date(2026, 1, 16), "to_day": None}))
    late = town.sealed(date(2026, 1, 14), town.cards[0])
    town.sell(date(2026, 1, 15), town.cards[0])
    town.sell(date(2026, 1, 16), town.cards[0])
    assert over(date(2026, 2, 3)) == ["k1-202601", "k2-20260116-20260131"]
    town.bring(at(date(2026, 2, 9)), late)
    assert over(date(2026, 3, 3)) == ["k1-202602", "k2-202602"]
    assert over(date(2026, 4, 3)) == ["k2-202603"]

    assert line(town, "k1-202601") == line(town, "k2-20260116-20260131") == [("meals", "2026-01", "", 500)]
    assert line(town, "k1-202602") == [("supplement", "2026-01", "k1-202601", 500)]
    assert line(town, "k2-202602") == []
    honest(town)
