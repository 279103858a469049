"""`period verify` agrees with an honest month and names every fen that was altered behind its back."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date

import pytest
from sqlalchemy import select, text

from canteen import clock
from canteen.db import db, owner_engine
from canteen.ledger import periods
from canteen.pos.models import Sale
from canteen.settlement.audit import trial_balance, verify
from canteen.settlement.claims import payouts, review, workflow
from tests import world
from tests.pos.books import book
from tests.rigs.states import state
from tests.settlement.conftest import Town, at

JAN5, JAN6, JAN7 = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)
MOVES = (("submit", "p-manager"), ("review", "p-street"), ("determine", "p-finance"), ("approve", "p-chief2"))


def tamper(statement: str) -> None:
    """Run a statement as the owner, with the triggers disabled."""
    url = db.engine.url.render_as_string(hide_password=False)
    db.session.rollback()
    engine = owner_engine(url)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET session_replication_role = replica"))
        else:
            for (name,) in connection.execute(text("SELECT name FROM sqlite_master WHERE type = 'trigger'")).all():
                connection.execute(text(f'DROP TRIGGER "{name}"'))
        assert connection.exec_driver_sql(statement).rowcount == 1
    engine.dispose()


def codes(town: Town, month: str = "2026-01") -> set[str]:
    found = verify.period(town.period(month).id)
    return {difference.code for difference in found.differences}


@state
def month(town: Town) -> Town:
    """January closed: two meals of one elder, a couple at one payment, a void, a guest, a second lunch sold offline."""
    town.elder()
    town.sell(JAN5, town.cards[0])
    town.sell(JAN6, *town.cards)
    voided = town.sell(JAN7, town.cards[0])[0]
    town.void(voided, at(JAN7, 12))
    town.sell(JAN7, None, hour=12)
    offline = town.sealed(JAN7, town.cards[1])
    town.sell(JAN7, town.cards[1], hour=12, minute=10)
    town.bring(at(JAN7, 13), offline)
    town.close("2026-01")
    return town


def test_an_honest_month_has_no_difference(month: Town):
    pages = list[int]()
    found = verify.period(month.period("2026-01").id, done=pages.append)

    assert sum(pages) == verify.sales_of(month.period("2026-01").id) == 7
    assert found.differences == ()
    assert (found.sales, found.fen) == (7, 2000)
    assert found.fen == month.claim("2026-01").fen


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE sale SET share_fens = replace(share_fens, '500', '501') WHERE id = (SELECT sale_id FROM share ORDER BY sale_id LIMIT 1)", "share"),
        ("UPDATE record SET payment_fen = payment_fen + 1 WHERE id = (SELECT min(record_id) FROM payment)", "payment"),
        ("UPDATE transfer SET fen = fen + 1 WHERE id = (SELECT min(id) FROM transfer WHERE movement = 'meal')", "transfer"),
        ("UPDATE transfer SET fen = fen - 1 WHERE id = (SELECT min(id) FROM transfer WHERE movement = 'payment')", "money_taken"),
        ("UPDATE transfer SET fen = fen - 1 WHERE id = (SELECT min(id) FROM transfer WHERE movement = 'void')", "transfer"),
        ("UPDATE claim_line SET fen = fen + 1", "claim_line"),
        ("UPDATE claimed_day SET fen = fen + 1 WHERE service_day = '2026-01-06'", "claimed_day"),
        ("DELETE FROM claimed_day WHERE service_day = '2026-01-06'", "claimed_day"),
        ("UPDATE claim SET fen = fen + 1", "claim"),
        ("UPDATE statement SET body = replace(body, '\"fen\":2000', '\"fen\":2001')", "statement_hash"),
        ("UPDATE sale SET list_fen = list_fen + 1 WHERE guest IS NOT NULL", "list_price"),
        ("UPDATE claim SET persons = persons + 1", "claim_counts"),
        ("UPDATE claim_line SET meals = meals + 1", "line_counts"),
        ("UPDATE claim SET statement_hash = 'x'", "statement_hash"),
        ("UPDATE statement SET hash = 'x'", "statement_hash"),
        ("UPDATE finding SET fen = fen + 1", "finding"),
        ("DELETE FROM finding", "finding"),
        ("UPDATE record SET tenders = replace(tenders, ',1200', ',1201') WHERE payment_id = (SELECT payment_id FROM sale WHERE guest IS NOT NULL)", "payment"),
    ],
)  # fmt: skip
def test_an_altered_fen_is_named(month: Town, statement: str, named: str):
    assert codes(month) == set()

    tamper(statement)

    assert named in codes(month)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE claim_line SET fen = fen + 1 WHERE n = 1",
        "UPDATE claim_line SET fen = fen - 1 WHERE n = 1",
        "UPDATE claim SET fen = fen + 1",
        "UPDATE transfer SET fen = fen + 1 WHERE id = (SELECT min(id) FROM transfer WHERE movement = 'meal')",
    ],
)
def test_a_claim_that_differs_from_the_ledger_is_not_approved(month: Town, statement: str):
    claim_id = month.claim("2026-01").id
    with clock.at(at(date(2026, 2, 6))):
        for finding in month.findings("2026-01"):
            review.answer(finding.id, "accepted", reason="", by="p-street")
        for act, by in MOVES[:-1]:
            workflow.move(claim_id, act, by=by)
        tamper(statement)

        with pytest.raises(workflow.NotAsLogged):
            workflow.move(claim_id, *MOVES[-1][:1], by=MOVES[-1][1])


def test_a_slot_freed_by_hand_is_named(month: Town):
    tamper("DELETE FROM slot WHERE sale_id = (SELECT sale_id FROM slot ORDER BY sale_id LIMIT 1)")

    assert "slot" in codes(month)


def test_a_slot_taken_by_hand_is_named(month: Town):
    tamper("""INSERT INTO slot (person_id, allowance, window_start, n, limited_to, unit_day, sale_id)
              SELECT person_id, allowance, window_start, 2, 2, NULL, sale_id FROM slot ORDER BY sale_id LIMIT 1""")

    assert {"slot", "slot_limit"} <= codes(month)


def test_an_amount_used_is_the_sum_of_what_stands(town: Town):
    with clock.at(at(JAN5, 8)):
        world.a_rulebook(town.session, world.LIMITED.replace("id: test-city", "id: test-limited"), from_day=JAN5)
    town.void(town.sell(JAN5, town.cards[0])[0], at(JAN5, 12))
    town.sell(JAN6, town.cards[0])
    town.sell(JAN7, town.cards[0])
    town.close("2026-01")
    assert codes(town) == set()

    tamper("UPDATE amount_used SET used = used - 1")
    assert codes(town) == {"amount"}


def test_a_day_shared_under_two_limits_survives_a_void(town: Town):
    """Lunch came first, under a limit of four days; dinner's record was computed under a later notice's three."""
    limit = "id: t.day, unit: day, limit: {}, scope: person, window: month"
    with clock.at(at(JAN5, 8)):
        world.a_rulebook(town.session, book(limit.format(4), id_="t"), from_day=JAN5)
    (lunch,) = town.sell(JAN5, town.cards[0])
    town.sell(JAN5, town.cards[0], hour=17)
    tamper("UPDATE sale_use SET limited_to = 3 WHERE allowance = 't.day' AND sale_id <> "
           f"'{uuid.UUID(lunch)}'")  # fmt: skip
    assert town.void(lunch, at(JAN5, 18), refund=0).outcome == "created"
    town.close("2026-01")

    assert codes(town) == set()


def settle(town: Town, month: str, when: Callable[[], date]) -> None:
    with clock.at(at(when())):
        for finding in town.findings(month):
            review.answer(finding.id, "accepted", reason="", by="p-street")
        for act, by in MOVES:
            workflow.move(town.claim(month).id, act, by=by)
        payout = payouts.enter(town.claim(month).id, voucher="2026-1", paid_on=when(), by="p-pay")
        payouts.check(payout, "confirmed", by="p-check")


def test_a_paid_month_and_the_adjustments_after_it_agree_too(month: Town):
    settle(month, "2026-01", lambda: date(2026, 2, 6))
    sale = month.sell(date(2026, 2, 9), month.cards[0])[0]
    month.void(sale, at(date(2026, 2, 9), 12))
    first = next(s for s in _sales(month, JAN5))
    month.void(first, at(date(2026, 2, 10)))
    month.sell(date(2026, 2, 11), *month.cards)
    month.close("2026-02")

    assert codes(month) == set()
    assert codes(month, "2026-02") == set()
    assert [t.missing for t in trial_balance.trial("k1")] == [0]


def _sales(town: Town, day: date) -> list[str]:
    town.session.rollback()
    return [str(one) for one in town.session.execute(select(Sale.id).where(Sale.service_day == day)).scalars()]


def test_a_withheld_and_a_disallowed_meal_verify(month: Town):
    claim_id = month.claim("2026-01").id
    withheld, struck = _sales(month, JAN5)[0], _sales(month, JAN6)[0]
    review.withhold(claim_id, uuid.UUID(withheld), "withheld", reason="需要核实", by="p-street")
    review.withhold(claim_id, uuid.UUID(struck), "disallowed", reason="无人就餐", by="p-street")
    settle(month, "2026-01", lambda: date(2026, 2, 6))
    month.void(withheld, at(date(2026, 2, 10)))
    month.void(struck, at(date(2026, 2, 10)))
    month.close("2026-02")

    assert codes(month) == set()
    assert codes(month, "2026-02") == set()
    assert [t.missing for t in trial_balance.trial("k1")] == [0]


def test_an_altered_fen_of_a_meal_struck_out_is_named(month: Town):
    struck = _sales(month, JAN6)[0]
    review.withhold(month.claim("2026-01").id, uuid.UUID(struck), "disallowed", reason="无人就餐", by="p-street")
    assert codes(month) == set()
    settle(month, "2026-01", lambda: date(2026, 2, 6))
    assert codes(month) == set()

    tamper("UPDATE transfer SET fen = fen - 1 WHERE movement = 'disallow'")
    assert codes(month) == {"disallowed"}


def test_a_period_that_is_open_cannot_be_verified(month: Town):
    month.sell(date(2026, 2, 9), month.cards[0])
    with pytest.raises(periods.PeriodNotOver):
        verify.period(month.period("2026-02").id)


def test_the_month_s_findings_are_named_once_not_near_misses(month: Town):
    assert [finding.code for finding in month.findings("2026-01")] == ["excess_slot"]
