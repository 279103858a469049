"""An approved claim is paid by a voucher that one person enters and another checks."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import select

from canteen import clock, events
from canteen.db import transaction
from canteen.ledger import transfers
from canteen.registry.imports import contracts
from canteen.settlement.claims import claims, payouts, workflow
from canteen.settlement.claims.claims import MoveNotOpen, SamePerson
from canteen.settlement.models import Decision
from tests.rigs.states import state
from tests.settlement.conftest import Town, at

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
FEB6 = at(date(2026, 2, 6), 9)


@state
def approved(town: Town) -> Town:
    """January closed with two meals, 10.00 claimed and approved."""
    for day in (JAN5, JAN6):
        town.sell(day, town.cards[0])
    town.close("2026-01")
    claim_id = town.claim("2026-01").id
    with clock.at(FEB6):
        for act, by in (
            ("submit", "p-manager"),
            ("review", "p-street"),
            ("determine", "p-finance"),
            ("approve", "p-chief2"),
        ):
            workflow.move(claim_id, act, by=by)
    return town


def enter(town: Town, by: str = "p-pay", *, day: date = date(2026, 2, 6)) -> int:
    with clock.at(at(date(2026, 2, 7))):
        return payouts.enter(town.claim("2026-01").id, voucher="2026-0137", paid_on=day, by=by)


def test_a_claim_is_paid_only_after_a_second_person_s_check(approved: Town):
    payout = enter(approved)
    assert claims.state(approved.session, approved.claim("2026-01").id) == "approved"
    with clock.at(FEB6), pytest.raises(SamePerson):
        payouts.check(payout, "confirmed", by="p-pay")

    with clock.at(FEB6):
        assert payouts.check(payout, "confirmed", by="p-check") == "paid"

    approved.session.rollback()
    balances = {key: fen for key, fen in transfers.balances(approved.session, "k1").items() if key[0] == "city" and fen}
    assert balances == {("city", "granted"): -1000, ("city", "paid"): 1000}
    (last,) = approved.session.execute(select(Decision).where(Decision.move == "pay")).scalars()
    assert (last.by, last.reason, last.to_state) == ("p-check", "2026-0137", "paid")


def test_the_payee_is_kept_as_it_was(approved: Town):
    enter(approved)

    (one,) = payouts.of_claim(approved.session, approved.claim("2026-01").id)
    assert (one.payout.payee_name, one.payout.bank, one.payout.account_tail, one.payout.fen) == (
        "康乐餐饮",
        "工商银行",
        "0001",
        1000,
    )


@pytest.mark.parametrize("signer", ["by", "confirmed_by"])
def test_whoever_registered_the_payee_handles_no_payout(approved: Town, signer: str):
    two = {"by": "p-maker", "confirmed_by": "p-checker"} | {signer: "p-pay"}
    with transaction() as session:
        body = {"contracts": ["k1"], "confirmed_by": two["confirmed_by"]}
        events.record(session, contracts.MADE, "event:1", by=two["by"], body=body)
    with pytest.raises(SamePerson):
        enter(approved)
    payout = enter(approved, "p-check")

    with clock.at(FEB6), pytest.raises(SamePerson):
        payouts.check(payout, "confirmed", by="p-pay")


def test_a_second_payout_needs_the_first_to_be_refused(approved: Town):
    first = enter(approved)
    with pytest.raises(payouts.PayoutWaits):
        enter(approved)
    with clock.at(FEB6):
        payouts.check(first, "refused", by="p-check", reason="凭证号有误")

    second = enter(approved)

    with clock.at(FEB6), pytest.raises(payouts.PayoutChecked):
        payouts.check(first, "confirmed", by="p-check")
    with clock.at(FEB6):
        assert payouts.check(second, "confirmed", by="p-check") == "paid"


def test_a_claim_that_is_not_approved_is_not_paid(town: Town):
    town.sell(JAN5, town.cards[0])
    town.close("2026-01")

    with pytest.raises(MoveNotOpen):
        enter(town)


@pytest.mark.parametrize("day", [date(2026, 1, 31), date(2026, 2, 8)])
def test_a_pay_day_within_the_period_or_in_future_is_refused(approved: Town, day: date):
    with pytest.raises(payouts.BadPayDay):
        enter(approved, day=day)
