"""P17 over random months: every subsidised fen is claimed, adjusted, excluded or open, and never two of them."""

from __future__ import annotations

import contextlib
import random
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from canteen import clock
from canteen.errors import Refusal
from canteen.ledger import transfers
from canteen.ledger.models import Account, Period, Transfer
from canteen.pos.models import Sale, Share, Void
from canteen.settlement.audit import trial_balance, verify
from canteen.settlement.claims import claims, payouts, review, workflow
from canteen.settlement.models import Claim, ClaimLine, Finding, WithheldMeal
from tests.settlement.conftest import Town, at

MOVES = (("submit", "p-manager"), ("review", "p-street"), ("determine", "p-finance"), ("approve", "p-chief2"))
CHAIN = ("meals", "supplement", "adjustment")


class Year:
    """Random things that happen at a canteen, day after day, and a bureau that settles month after month."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town, self.draw = town, random.Random(seed)
        self.sold: list[str] = []
        self.kept: list[dict[str, Any]] = []

    def day(self, day: date) -> None:
        town, draw = self.town, self.draw
        for _ in range(draw.randrange(3)):
            hour, card = draw.choice((7, 11, 12, 17)), draw.choice([*town.cards, None])
            options = {"amount": draw.randrange(300, 3000)} if draw.random() < 0.2 else {}
            if draw.random() < 0.25:
                self.kept.append(town.sealed(day, card, hour=hour, **options))
            else:
                self.sold += town.sell(day, card, hour=hour, **options)
        if self.kept and draw.random() < 0.2:
            self.bring(day)
        if self.sold and draw.random() < 0.15:
            town.void(draw.choice(self.sold), at(day, 20), refund=0)

    def bring(self, day: date) -> None:
        self.draw.shuffle(self.kept)
        for result in self.town.bring(at(day, 21), *self.kept):
            self.sold += result.sales
        self.kept.clear()

    def settle(self, month: str, on: date) -> None:
        """Judge at random, move as far as it goes, pay most of it."""
        town, draw = self.town, self.draw
        claim_id, period = town.claim(month).id, town.claim(month).period_id
        with clock.at(at(on)):
            for finding in town.session.execute(select(Finding.id).where(Finding.period_id == period)).scalars().all():
                self.attempt(
                    lambda n=finding: review.answer(n, draw.choice(review.OUTCOMES), reason="抽查核实", by="p-street")
                )
                self.attempt(lambda n=finding: review.answer(n, "accepted", reason="抽查核实", by="p-street"))
            for sale in draw.sample(self.sold, min(3, len(self.sold))):
                outcome = draw.choice(("withheld", "disallowed"))
                self.attempt(
                    lambda s=sale, o=outcome: review.withhold(
                        claim_id, uuid.UUID(s), o, reason="抽查核实", by="p-street"
                    )
                )
            for act, by in MOVES:
                self.attempt(lambda a=act, b=by: workflow.move(claim_id, a, by=b))
            for withheld in town.session.execute(select(WithheldMeal.id)).scalars().all():
                if draw.random() < 0.5:
                    outcome = draw.choice(("released", "disallowed"))
                    self.attempt(lambda h=withheld, o=outcome: review.clear(h, o, reason="复查核实", by="p-finance"))
            if claims.state(town.session, claim_id) == "approved" and draw.random() < 0.8:
                payout = payouts.enter(claim_id, voucher="2026-1", paid_on=on, by="p-pay")
                payouts.check(payout, "confirmed", by="p-check")

    @staticmethod
    def attempt(act: Callable[[], object]) -> None:
        with contextlib.suppress(Refusal):
            act()


def sums(session: Session) -> dict[str, int]:
    """The figures of the equation, each from its own table."""
    session.rollback()
    sold = (
        select(func.coalesce(func.sum(Share.fen), 0))
        .join(Sale, Sale.id == Share.sale_id)
        .outerjoin(Void, Void.sale_id == Sale.id)
        .where(Share.payer == "subsidy", Void.id.is_(None))
    )
    claimed = select(func.coalesce(func.sum(ClaimLine.fen), 0)).where(ClaimLine.kind.in_(CHAIN))
    open_periods = set(session.execute(select(Period.id).where(Period.state == "open")).scalars())
    source, target = aliased(Account), aliased(Account)
    waiting = struck = 0
    for row, from_kind, to_kind in session.execute(
        select(Transfer, source.kind, target.kind)
        .join(source, source.id == Transfer.source_id)
        .join(target, target.id == Transfer.target_id)
    ):
        if row.period_id in open_periods and row.movement in {"meal", "verdict", "void"}:
            waiting += row.fen * ((to_kind == "open") - (from_kind == "open"))
        if row.movement == "void" and from_kind == "disallowed":
            struck += row.fen
    balances = transfers.balances(session, "k1")
    session.rollback()
    return {
        "sold": int(session.execute(sold).scalar_one()),
        "claimed": int(session.execute(claimed).scalar_one()) - struck,
        "excluded": sum(fen for (_, kind), fen in balances.items() if kind == "excluded"),
        "waiting": waiting,
        "all": sum(balances.values()),
    }


@pytest.mark.parametrize("seed", range(3))
def test_accounts_sum_to_all_subsidies_over_random_months(town: Town, seed: int):
    year = Year(town, seed)
    for born in (1950, 1938, 1962):
        town.elder(born=date(born, 7, 1))
    day = date(2026, 1, 3)
    while day < date(2026, 4, 4):
        year.day(day)
        following = day + timedelta(days=1)
        if following.day == 4 and following.month > 1:
            month = f"2026-{following.month - 1:02d}"
            town.close(month, on=following)
            if year.draw.random() < 0.7:
                year.bring(following)
            year.settle(month, following)
        day = following

    found = sums(town.session)

    assert found["sold"] > 0
    assert found["claimed"] + found["excluded"] + found["waiting"] == found["sold"]
    assert found["all"] == 0
    assert [row.missing for row in trial_balance.trial("k1")] == [0]
    for period in town.session.execute(select(Claim.period_id).order_by(Claim.period_id)).scalars().all():
        assert verify.period(period).differences == ()
