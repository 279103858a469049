"""`period verify` names a fault planted in each part that it checks: in what the close stored, or in one table."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.pos import arrival_checks, sale_rows, slots
from canteen.pos import voids as void_bookings
from canteen.settlement.audit import proration as audited
from canteen.settlement.audit import trial_balance
from canteen.settlement.claims import payouts, review, withheld_meals, workflow
from canteen.settlement.closing import (
    adjustments,
    budgets,
    carry_over,
    checks,
    close,
    counts,
    proration,
    statement,
)
from canteen.settlement.closing import lines as claim_lines
from canteen.settlement.corrections import reallocation
from canteen.settlement.models import WithheldMeal
from tests import world
from tests.rigs.states import state
from tests.settlement import late
from tests.settlement.conftest import Town, at
from tests.settlement.test_findings import fact
from tests.settlement.test_proration import meals, two
from tests.settlement.test_reallocations import reallocate
from tests.settlement.test_reallocations import two as two_lunches
from tests.settlement.test_verify import MOVES, codes, tamper

MONTHS = ("2026-01", "2026-02", "2026-03")


def decide(town: Town, month: str, on: date) -> str:
    with clock.at(at(on)):
        return [workflow.move(town.claim(month).id, act, by=by) for act, by in MOVES][-1]


@state
def february(town: Town) -> Town:
    """January: four meals, one withheld, one struck out, paid; February, open: both answered, the other two voided."""
    sales = [town.sell(date(2026, 1, day), town.cards[0])[0] for day in (5, 6, 7, 8)]
    town.close("2026-01")
    claim = town.claim("2026-01").id
    review.withhold(claim, uuid.UUID(sales[0]), "withheld", reason="需要核实", by="p-street")
    review.withhold(claim, uuid.UUID(sales[1]), "disallowed", reason="无人就餐", by="p-street")
    assert decide(town, "2026-01", date(2026, 2, 6)) == "approved"
    with clock.at(at(date(2026, 2, 7))):
        payout = payouts.enter(claim, voucher="2026-1", paid_on=date(2026, 2, 7), by="p-pay")
        payouts.check(payout, "confirmed", by="p-check")
        withheld = town.session.execute(select(WithheldMeal.id).where(WithheldMeal.outcome == "withheld")).scalar_one()
        town.session.rollback()
        review.clear(withheld, "released", reason="已经核实", by="p-finance")
    for sale in sales[2:]:
        town.void(sale, at(date(2026, 2, 9)))
    return town


def march(town: Town) -> None:
    """February's claim is below zero and carried; March is closed after one meal."""
    assert decide(town, "2026-02", date(2026, 3, 6)) == "carried"
    town.sell(date(2026, 3, 9), town.cards[0])
    town.close("2026-03")


@pytest.fixture
def settled(february: Town) -> Town:
    february.close("2026-02")
    march(february)
    return february


def test_lines_handed_from_claim_to_claim_agree(settled: Town):
    assert settled.lines("2026-02") == [
        ("adjustment", "city", "2026-01", "k1-202601/1", 2, 1, -1000),
        ("released", "city", "2026-01", "k1-202601/1", 1, 1, 500),
    ]
    assert settled.lines("2026-03")[1] == ("carried", "city", "2026-01", "k1-202602", 0, 0, -500)
    assert [codes(settled, month) for month in MONTHS] == [set()] * 3
    assert trial_balance.differences("k1") == []


# --- the close stores something wrong, statement, lines and claim alike ---

Sums = dict[Any, tuple[int, int, int]]


def none(_: Sums) -> Sums:
    return {}


def a_fen_more(sums: Sums) -> Sums:
    return {key: (meals, persons, fen + 1) for key, (meals, persons, fen) in sums.items()}


def a_meal_more(sums: Sums) -> Sums:
    return {key: (meals + 1, persons, fen) for key, (meals, persons, fen) in sums.items()}


def of_another_claim(sums: Sums) -> Sums:
    return {type(key)(key.kind, key.fund, key.service_month, "k1-202512/1"): value for key, value in sums.items()}


@pytest.mark.parametrize(
    ("name", "change", "named"),
    [
        ("released", none, "claim_line"),
        ("released", a_fen_more, "claim_line"),
        ("released", of_another_claim, "claim_line"),
        ("released", a_meal_more, "line_counts"),
        ("carried", none, "claim_line"),
        ("carried", a_fen_more, "claim_line"),
        ("carried", of_another_claim, "claim_line"),
    ],
)
def test_a_close_that_hands_on_wrongly_is_named(
    february: Town, monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Sums], Sums], named: str
):
    right = getattr(carry_over, name)
    with monkeypatch.context() as during_the_close:
        if name == "released":
            during_the_close.setattr(carry_over, name, lambda period, cut: change(right(period, cut)))
        february.close("2026-02")
        if name == "carried":
            during_the_close.setattr(carry_over, name, lambda period, cut: change(right(period, cut)))
            march(february)

    assert named in codes(february, "2026-02" if name == "released" else "2026-03")


def test_a_meal_summed_wrongly_by_the_close_is_named(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.sell(date(2026, 1, 5), town.cards[0])
    right = claim_lines.booked

    def a_fen_too_many(*asked: Any) -> Any:
        own, earlier = right(*asked)
        return {key: fen + 1 for key, fen in own.items()}, earlier

    with monkeypatch.context() as during_the_close:
        during_the_close.setattr(claim_lines, "booked", a_fen_too_many)
        town.close("2026-01")

    assert codes(town) == {"claim_line", "claim"}


def test_a_meal_counted_twice_by_the_close_is_named(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.sell(date(2026, 1, 5), town.cards[0])

    def twice(right: Callable[..., None]) -> Callable[..., None]:
        def counted(*asked: Any) -> None:
            right(*asked)
            right(*asked)

        return counted

    with monkeypatch.context() as during_the_close:
        for name in ("_sales", "_lines"):
            during_the_close.setattr(counts, name, twice(getattr(counts, name)))
        town.close("2026-01")

    assert codes(town) == {"claim_counts", "line_counts"}


def test_a_difference_left_out_by_the_close_is_named(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.sell(date(2026, 1, 5), town.cards[0])
    town.close("2026-01")
    late.notice(late.SIX, date(2026, 1, 1), date(2026, 1, 31))
    with monkeypatch.context() as during_the_close:
        during_the_close.setattr(adjustments, "lines", lambda _: {})
        town.close("2026-02")

    assert codes(town, "2026-02") == {"claim_line", "claim"}


def test_an_approval_that_moves_too_much_is_named(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.sell(date(2026, 1, 5), town.cards[0])
    town.close("2026-01")
    right = carry_over.approved_by_fund
    with monkeypatch.context() as during_the_approval:
        during_the_approval.setattr(
            carry_over, "approved_by_fund", lambda *asked: {key: fen - 1 for key, fen in right(*asked).items()}
        )
        assert decide(town, "2026-01", date(2026, 2, 6)) == "approved"

    assert codes(town) == {"claimed"}


@pytest.mark.parametrize(
    ("module", "name", "wrong", "named"),
    [
        (proration, "reductions", lambda right: lambda *asked: {k: fen - 1 for k, fen in right(*asked).items()}, "prorated"),
        (proration, "parts", lambda _: lambda room, asked: [min(room, asked[0]), *(0 for _ in asked[1:])], "proration_parts"),
        (budgets, "last_day", lambda _: lambda *_: date(2026, 2, 28), "proration"),
        (budgets, "prorated", lambda _: lambda *_: False, "proration"),
    ],
)  # fmt: skip
def test_a_budget_shared_out_wrongly_by_the_close_is_named(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, wrong: Any, named: str
):
    here, there = two(session, "limit: 12.00, window: month, at_end: prorate")
    meals(here, 2)
    meals(there, 2)
    with monkeypatch.context() as during_the_close:
        during_the_close.setattr(module, name, wrong(getattr(module, name)))
        here.close("2026-01")

    assert named in codes(here)


ASKED = st.lists(st.integers(1, 5000), min_size=1, max_size=8)


@given(ASKED, st.integers(0, 40_000), st.integers(0, 5000))
def test_the_audit_shares_a_budget_out_as_the_close_does(asked: list[int], room: int, back: int):
    shares = {(uuid.UUID(int=n // 2), n % 2): fen for n, fen in enumerate(asked)}
    taken = {uuid.UUID(int=0): back}
    part = min(room, sum(asked))

    assert audited._parts(room, asked) == proration.parts(room, asked)
    assert audited._reductions(part, shares, taken) == proration.reductions(part, shares, taken)
    assert audited._beyond(room, shares) == proration.beyond(room, shares)


# --- a till, a reviewer or the close books something wrong ---

Wrong = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Takes the right function; answers the one with a fault."""


def less(movement: str) -> Wrong:
    """A fen is missing of each move of a kind."""
    return lambda right: (
        lambda *asked: [replace(move, fen=move.fen - (move.movement == movement)) for move in right(*asked)]
    )


def a_fen_less(right: Callable[..., dict[Any, int]]) -> Callable[..., dict[Any, int]]:
    return lambda *asked: {key: fen - 1 for key, fen in right(*asked).items()}


def nothing(_: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *_, **__: []


def sells(town: Town) -> None:
    town.sell(date(2026, 1, 5), town.cards[0])
    town.close("2026-01")


def voids(town: Town) -> None:
    (sale,) = town.sell(date(2026, 1, 5), town.cards[0])
    town.void(sale, at(date(2026, 1, 5), 12))
    town.sell(date(2026, 1, 5), town.cards[0], hour=12)
    town.close("2026-01")


def draws_amounts(town: Town) -> None:
    with clock.at(at(date(2026, 1, 3), 8)):
        book = world.LIMITED.replace("id: test-city", "id: test-limited")
        world.a_rulebook(town.session, book, from_day=date(2026, 1, 5))
    sells(town)


def strikes_out_and_pays(town: Town) -> None:
    (struck,) = town.sell(date(2026, 1, 5), town.cards[0])
    town.sell(date(2026, 1, 6), town.cards[0])
    town.close("2026-01")
    claim = town.claim("2026-01").id
    review.withhold(claim, uuid.UUID(struck), "disallowed", reason="无人就餐", by="p-street")
    decide(town, "2026-01", date(2026, 2, 6))
    with clock.at(at(date(2026, 2, 7))):
        payout = payouts.enter(claim, voucher="2026-1", paid_on=date(2026, 2, 7), by="p-pay")
        payouts.check(payout, "confirmed", by="p-check")


def moves_a_benefit(town: Town) -> None:
    holder, _ = two_lunches(town)
    town.close("2026-01")
    reallocate(town, from_=holder)
    town.close("2026-02")


def another_payee(right: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    return lambda *asked: right(*asked) | {"payee": "另一家"}


@pytest.mark.parametrize(
    ("acts", "module", "name", "wrong", "named"),
    [
        (sells, sale_rows, "_moves", less("meal"), {"transfer", "trial_balance"}),
        (sells, sale_rows, "_moves", less("payment"), {"money_taken"}),
        (voids, void_bookings, "_moves", less("void"), {"transfer", "trial_balance"}),
        (voids, void_bookings, "_moves", less("refund"), {"money_taken"}),
        (voids, slots, "_release_slot", nothing, {"slot"}),
        (sells, slots, "slot_row", lambda right: lambda *asked: right(*asked) | {"limited_to": 9}, {"slot_limit"}),
        (draws_amounts, slots, "_add_amount", lambda right: lambda *asked: right(*asked[:-1], asked[-1] - 1), {"amount"}),
        (strikes_out_and_pays, withheld_meals, "disallowed", less("disallow"), {"disallowed"}),
        (strikes_out_and_pays, carry_over, "approved_by_fund", a_fen_less, {"paid"}),
        (moves_a_benefit, reallocation, "given_now", a_fen_less, {"reallocation"}),
        (moves_a_benefit, reallocation, "_moves", less("verdict"), {"transfer"}),
        (moves_a_benefit, reallocation, "_taken_away", nothing, {"transfer"}),
        (sells, close, "_named", another_payee, {"names"}),
        (sells, statement, "sales_hash", lambda _: lambda hashes: (len(list(hashes)), "~"), {"sales_hash"}),
        (sells, statement, "digest", lambda right: lambda text: right(text + "~"), {"statement_hash"}),
    ],
)  # fmt: skip
def test_what_code_booked_wrongly_is_named(
    town: Town,
    monkeypatch: pytest.MonkeyPatch,
    acts: Callable[[Town], None],
    module: Any,
    name: str,
    wrong: Wrong,
    named: set[str],
):
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(module, name, wrong(getattr(module, name)))
        acts(town)

    assert named <= codes(town, "2026-02" if acts is moves_a_benefit else "2026-01")


def test_a_payment_that_no_finding_names_is_named(town: Town, monkeypatch: pytest.MonkeyPatch):
    right = sale_rows.of_checkout

    def a_fen_too_much(*asked: Any) -> Any:
        made = right(*asked)
        made.record["payment_fen"] += 1
        return made

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(sale_rows, "of_checkout", a_fen_too_much)
        meanwhile.setattr(checks, "of_payments", nothing(checks.of_payments))
        sells(town)

    assert codes(town) == {"payment"}


def test_a_sale_that_the_close_left_out_is_named(town: Town, monkeypatch: pytest.MonkeyPatch):
    sold = town.sealed(date(2026, 1, 5), town.cards[0])
    fact(town, date(2026, 1, 6), "birth", "1980-01-01", date(2021, 1, 1))
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(arrival_checks, "stands_out", lambda *_, **__: False)
        town.bring(at(date(2026, 1, 6)), sold)
        town.close("2026-01")

    assert codes(town) == {"to_check"}


# --- one table differs from the others ---


def first(table: str, where: str) -> str:
    return f"id = (SELECT min(id) FROM {table} WHERE {where})"


ALTERED = [
    ("2026-01", "transfer", "fen", first("transfer", "movement = 'claim'"), "claimed"),
    ("2026-01", "transfer", "fen", first("transfer", "movement = 'pay'"), "paid"),
    ("2026-01", "transfer", "fen", first("transfer", "movement = 'disallow'"), "disallowed"),
    ("2026-01", "transfer", "fen", first("transfer", "movement = 'meal'"), "trial_balance"),
    ("2026-01", "payout", "fen", "attempt = 1", "payouts"),
    ("2026-02", "transfer", "fen", first("transfer", "movement = 'refund'"), "money_taken"),
    ("2026-02", "withheld_meal", "fen", "outcome = 'withheld'", "claim_line"),
    ("2026-02", "withheld_meal", "fen", "outcome = 'disallowed'", "disallowed"),
    ("2026-02", "claim_line", "fen", "kind = 'released'", "claim_line"),
    ("2026-02", "claim_line", "fen", "kind = 'released'", "statement_lines"),
    ("2026-02", "claim_line", "meals", "kind = 'released'", "line_counts"),
    ("2026-03", "claim_line", "fen", "kind = 'carried'", "claim_line"),
]
UNREADABLE = [
    ("2026-01", "statement", "sales_hash", "period_id = {period}", "sales_hash"),
    ("2026-01", "statement", "body", "period_id = {period}", "statement_hash"),
    ("2026-01", "claim", "statement_hash", "period_id = {period}", "statement_hash"),
]


def test_one_unit_in_any_table_of_a_settled_month_is_named(settled: Town):
    for month, table, column, where, named in ALTERED:
        tamper(f"UPDATE {table} SET {column} = {column} + 1 WHERE {where}")
        found = codes(settled, month)
        assert named in found, (table, column, where, found)
        tamper(f"UPDATE {table} SET {column} = {column} - 1 WHERE {where}")
    for month, table, column, where, named in UNREADABLE:
        row = where.format(period=settled.period(month).id)
        tamper(f"UPDATE {table} SET {column} = {column} || '~' WHERE {row}")
        assert named in codes(settled, month), (table, column)
        tamper(f"UPDATE {table} SET {column} = replace({column}, '~', '') WHERE {row}")
    assert [codes(settled, month) for month in MONTHS] == [set()] * 3


def test_a_released_answer_taken_away_is_named(settled: Town):
    tamper("DELETE FROM withheld_answer WHERE outcome = 'released'")

    assert "claim_line" in codes(settled, "2026-02")


def test_an_approval_taken_away_is_named(settled: Town):
    tamper("DELETE FROM decision WHERE to_state = 'carried'")

    assert "claim_line" in codes(settled, "2026-03")


def test_a_verdict_taken_away_is_named(town: Town):
    kept = town.sealed(date(2026, 1, 5), town.cards[0])
    town.sell(date(2026, 1, 5), town.cards[0], hour=12, minute=10)
    town.bring(at(date(2026, 1, 5), 13), kept)
    town.close("2026-01")
    assert codes(town) == set()

    tamper("DELETE FROM transfer WHERE movement = 'verdict'")

    assert "transfer" in codes(town)


def test_a_statement_taken_away_is_named(town: Town):
    town.sell(date(2026, 1, 5), town.cards[0])
    town.close("2026-01")

    tamper("DELETE FROM statement")

    assert codes(town) == {"statement"}
