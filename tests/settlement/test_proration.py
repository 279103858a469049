"""A budget whose end is `prorate`: shared out in proportion at the close, never claimed beyond its limit."""

from __future__ import annotations

import uuid
from datetime import date
from fractions import Fraction
from pathlib import Path
from random import Random

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import transaction
from canteen.places import Contract
from canteen.settlement.audit import trial_balance, verify
from canteen.settlement.claims import review
from canteen.settlement.closing import close, proration, statement
from canteen.settlement.desk import explanation, exports
from canteen.settlement.models import WithheldMeal
from tests import world
from tests.pos.books import book
from tests.rigs.states import state
from tests.settlement import late
from tests.settlement.conftest import MADE, Town, at, people
from tests.settlement.test_closing import killed_after_the_flip
from tests.settlement.test_exports import sheets
from tests.settlement.test_verify import tamper

JAN5, JAN6, JAN7 = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)


@state
def towns(session: Session) -> tuple[Town, Town]:
    return two(session, "limit: 12.00, window: month, at_end: prorate")


def two(session: Session, budget: str) -> tuple[Town, Town]:
    """Two canteens on one budget, whose rule gives five yuan a meal."""
    with clock.at(MADE):
        tills = [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in (1, 2)]
        world.a_rulebook(session, book(budget=budget))
    here, there = (Town(till, session) for till in tills)
    return here, there


def meals(town: Town, many: int, day: date = JAN5) -> list[str]:
    return [town.sell(day, town.elder())[0] for _ in range(many)]


def claimed(*towns: Town, month: str = "2026-01") -> list[int]:
    return [town.claim(month).fen for town in towns]


def agree(*towns: Town, months: tuple[str, ...] = ("2026-01",)) -> None:
    for town in towns:
        for month in months:
            assert verify.period(town.period(month).id).differences == ()
        assert not any(row.missing for row in trial_balance.trial(town.till.contract))


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_two_canteens_share_a_budget_pro_rata_in_any_order(towns: tuple[Town, Town], order: tuple[int, int]):
    here, there = towns
    meals(here, 3)
    meals(there, 2, JAN6)
    for n in order:
        towns[n].close("2026-01")

    assert claimed(here, there) == [720, 480]  # 15.00 and 10.00 of 25.00 asked, of 12.00
    found = [(found.code, found.subject, found.fen) for found in here.findings("2026-01")]
    assert found == [("prorated", "budget:city/2026-01-01", 780)]
    agree(here, there)


def test_a_budget_that_suffices_reduces_nobody(app: Flask, session: Session):
    here, there = two(session, "limit: 25.00, window: month, at_end: prorate")
    meals(here, 3)
    meals(there, 2)
    for town in (here, there):
        town.close("2026-01")

    assert claimed(here, there) == [1500, 1000]
    assert [found.code for town in (here, there) for found in town.findings("2026-01")] == []
    agree(here, there)


def test_a_late_meal_gets_nothing_of_a_shared_out_budget(towns: tuple[Town, Town]):
    here, there = towns
    meals(here, 3)
    late = there.sealed(JAN6, there.elder())
    here.close("2026-01")
    there.bring(at(date(2026, 2, 6)), late)  # its own month is not closed yet
    there.close("2026-01", on=date(2026, 2, 7))

    assert claimed(here, there) == [1200, 0]
    assert [(found.code, found.fen) for found in there.findings("2026-01")] == [("prorated", 500)]
    agree(here, there)


@pytest.mark.parametrize("also", [False, True])
def test_a_late_meal_gets_only_what_was_left(towns: tuple[Town, Town], also: bool):
    """Ten of twelve yuan are asked at the close: two are left for whoever comes first, in a supplement."""
    here, there = towns
    meals(here, 2)
    late = [town.sealed(JAN6, town.elder()) for town in (there, here)]
    for town in (here, there):
        town.close("2026-01")
    there.bring(at(date(2026, 2, 6)), late[0])
    if also:
        here.bring(at(date(2026, 2, 7)), late[1])
    for town in (here, there):
        town.close("2026-02")

    assert claimed(here, there) == [1000, 0]
    assert claimed(here, there, month="2026-02") == [0, 200]
    assert [line[:3] + line[-1:] for line in there.lines("2026-02")] == [("supplement", "city", "2026-01", 200)]
    assert [found.fen for found in here.findings("2026-02")] == ([500] if also else [])
    agree(here, there, months=("2026-01", "2026-02"))


def test_a_void_gives_back_only_what_was_left_of_the_share(towns: tuple[Town, Town]):
    here, there = towns
    first, *_ = meals(here, 4)
    late = there.sealed(JAN6, there.elder())
    for town in (here, there):
        town.close("2026-01")
    here.void(first, at(date(2026, 2, 6)))
    there.bring(at(date(2026, 2, 7)), late)
    for town in (here, there):
        town.close("2026-02")

    assert claimed(here, there) == [1200, 0]
    assert here.lines("2026-02") == [("adjustment", "city", "2026-01", "k1-202601/1", 1, 1, -300)]
    assert claimed(there, month="2026-02") == [0]
    agree(here, there, months=("2026-01", "2026-02"))


def test_a_meal_voided_before_the_close_leaves_its_part_once(
    towns: tuple[Town, Town],
):
    """Fifteen asked of twelve, the first five given back: ten stand, so two are left, not five."""
    here, there = towns
    first, *_ = meals(here, 3)
    here.void(first, at(JAN5, 13))
    late = [there.sealed(day, there.elder()) for day in (JAN6, JAN7)]
    for town in (here, there):
        town.close("2026-01")
    there.bring(at(date(2026, 2, 7)), *late)
    for town in (here, there):
        town.close("2026-02")

    assert claimed(here, there) == [1000, 0]
    assert claimed(here, there, month="2026-02") == [0, 200]
    agree(here, there, months=("2026-01", "2026-02"))


def test_a_quarter_s_budget_adjusts_the_earlier_claims(app: Flask, session: Session):
    here, there = two(session, "limit: 12.00, window: quarter, at_end: prorate")
    meals(here, 1)
    meals(there, 1, date(2026, 2, 3))
    meals(here, 1, date(2026, 3, 3))
    for month in ("2026-01", "2026-02", "2026-03"):
        for town in (here, there):
            town.close(month)

    assert [claimed(here, there, month=month) for month in ("2026-01", "2026-02")] == [[500, 0], [0, 500]]
    assert [(line[0], line[2], line[3], line[-1]) for line in here.lines("2026-03")] == [
        ("meals", "2026-03", "", 400),
        ("adjustment", "2026-01", "k1-202601/1", -100),
    ]
    assert claimed(there, month="2026-03") == [-100]
    agree(here, there, months=("2026-01", "2026-02", "2026-03"))


def test_an_ended_contract_is_closed_to_its_budget_s_end(app: Flask, session: Session):
    here, there = two(session, "limit: 12.00, window: quarter, at_end: prorate")
    meals(here, 2)
    meals(there, 1)
    with transaction():
        session.get_one(Contract, "k1").to_day = date(2026, 1, 31)
    due = [last for contract, last in close.due(session, date(2026, 4, 5)) if contract == "k1"]
    assert due == [date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)]
    for month in ("2026-01", "2026-02", "2026-03"):
        for town in (there, here):
            town.close(month)

    assert [sum(claimed(town, month=f"2026-0{n}")[0] for n in (1, 2, 3)) for town in (here, there)] == [800, 400]
    agree(here, there, months=("2026-01", "2026-02", "2026-03"))


def test_two_funds_of_one_meal_are_shared_out_separately(app: Flask, session: Session):
    """The city's twelve yuan are each canteen's own, the district's four are for both."""
    text = book(budget="limit: 12.00, window: month, at_end: prorate, where: canteen")
    area = "  - {id: area, name: 区级, payer: subsidy, budget: {limit: 4.00, window: month, at_end: prorate}}\nstages:"
    split = "        split:\n          - {fund: city, fen: 3.00}\n          - {fund: area, rest: yes}\n"
    with clock.at(MADE):
        tills = [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in (1, 2)]
        world.a_rulebook(session, text.replace("stages:", area).replace("        fund: city\n", split))
    towns = [Town(till, session) for till in tills]
    for town, many in zip(towns, (5, 2), strict=True):
        meals(town, many)
    for town in towns:
        town.close("2026-01")

    sums = [[(line[1], line[-1]) for line in town.lines("2026-01")] for town in towns]
    assert sums == [[("area", 286), ("city", 1200)], [("area", 114), ("city", 600)]]
    found = [[(found.subject, found.fen) for found in town.findings("2026-01")] for town in towns]
    assert found[0] == [("budget:area/2026-01-01", 714), ("budget:city@c1/2026-01-01", 300)]
    agree(*towns)


def test_meals_of_another_end_in_the_same_month_come_off_first(app: Flask, session: Session):
    here, there = two(session, "limit: 12.00, window: month, at_end: queue")
    meals(here, 1)
    with clock.at(at(JAN5, 20)):
        text = book(budget="limit: 12.00, window: month, at_end: prorate")
        world.a_rulebook(session, text, from_day=JAN6)
    meals(here, 2, JAN6)
    meals(there, 1, JAN7)
    for town in (here, there):
        town.close("2026-01")

    assert claimed(here, there) == [967, 233]  # 5.00, and 7.00 shared by three
    agree(here, there)


NOTICED = date(2026, 2, 1), date(2026, 2, 28)


def test_a_revaluation_takes_nothing_from_a_shared_out_budget(app: Flask, session: Session):
    here, there = two(session, "limit: 12.00, window: month, at_end: prorate")
    meals(here, 2, date(2026, 2, 3))
    for town in (here, there):
        town.close("2026-01")
        town.close("2026-02")
    _, report = late.notice(eight("12.00", "month"), *NOTICED, on=date(2026, 3, 10))
    here.close("2026-03")

    assert (report["left"], report["changed"]) == ({"budget_over": 2}, 0)
    assert [claimed(here, month=month) for month in ("2026-02", "2026-03")] == [[1000], [0]]
    agree(here, months=("2026-02", "2026-03"))


def test_a_revaluation_s_take_is_subtracted_before_sharing(app: Flask, session: Session):
    """Twenty yuan: six went to two meals of February known late, fourteen are shared by four that asked twenty."""
    here, there = two(session, "limit: 20.00, window: quarter, at_end: prorate")
    for town in (here, there):
        town.close("2026-01")
    meals(here, 2, date(2026, 2, 3))
    late.notice(eight("20.00", "quarter"), *NOTICED, on=date(2026, 3, 2))
    meals(there, 2, date(2026, 3, 3))
    for month in ("2026-02", "2026-03"):
        for town in (here, there):
            town.close(month)

    withheld = [sum(claimed(town, month=month)[0] for month in ("2026-02", "2026-03")) for town in (here, there)]
    assert withheld == [600 + 700, 700]
    agree(here, there, months=("2026-02", "2026-03"))


def eight(limit: str, window: str) -> str:
    return book(budget=f"limit: {limit}, window: {window}, at_end: prorate").replace("less: 5.00", "less: 8.00")


def test_a_close_that_is_killed_and_resumed_books_the_parts_once(
    towns: tuple[Town, Town], monkeypatch: pytest.MonkeyPatch
):
    here, there = towns
    meals(here, 3)
    meals(there, 2)
    killed_after_the_flip(here, "2026-01", monkeypatch)
    clean = statement.body(close.compute(here.period("2026-01").id))
    there.close("2026-01")

    closed = here.close("2026-01", on=date(2026, 2, 9))
    assert closed.hash == statement.digest(clean)
    assert here.close("2026-01").hash == closed.hash
    assert claimed(here, there) == [720, 480]
    agree(here, there)


def test_a_close_killed_before_the_flip_leaves_no_parts(towns: tuple[Town, Town], monkeypatch: pytest.MonkeyPatch):
    here, there = towns
    meals(here, 3)
    with monkeypatch.context() as patch:
        patch.setattr(close.events, "record", _breaks)
        with pytest.raises(RuntimeError):
            here.close("2026-01")
    meals(there, 2, JAN6)
    for town in (here, there):
        town.close("2026-01")

    assert claimed(here, there) == [720, 480]
    agree(here, there)


def _breaks(*_: object, **__: object) -> int:
    raise RuntimeError


def test_a_withheld_meal_gets_its_budget_part_when_released(app: Flask, session: Session):
    here, there = two(session, "limit: 12.00, window: quarter, at_end: prorate")
    with clock.at(MADE):
        people(session, "p-manager", "p-street", "p-finance")
    (sale,) = meals(here, 1)
    meals(there, 2, date(2026, 2, 3))
    here.close("2026-01")
    claim = here.claim("2026-01").id
    with clock.at(at(date(2026, 2, 6))):
        review.withhold(claim, uuid.UUID(sale), "withheld", reason="需要核实", by="p-street")
    for town, month in ((there, "2026-01"), (here, "2026-02"), (there, "2026-02"), (here, "2026-03")):
        town.close(month)
    withheld = session.execute(select(WithheldMeal.id)).scalar_one()
    with clock.at(at(date(2026, 4, 8))):
        review.clear(withheld, "released", reason="已经核实", by="p-finance")
    here.close("2026-04")

    assert here.claim("2026-03").fen == 0
    assert sorted((line[0], line[-1]) for line in here.lines("2026-04")) == [("adjustment", -100), ("released", 500)]
    agree(here, months=("2026-01", "2026-03", "2026-04"))


@pytest.mark.parametrize(
    ("statement_", "named"),
    [
        ("UPDATE proration SET limit_fen = limit_fen + 1", "proration"),
        ("UPDATE proration SET asked_fen = asked_fen + 1", "proration_parts"),
        ("UPDATE proration_part SET part_fen = part_fen + 1 WHERE contract_id = 'k1'", "proration_parts"),
        ("UPDATE proration_part SET part_fen = part_fen + 1 WHERE contract_id = 'k2'", "proration_parts"),
        ("UPDATE proration_part SET asked_fen = asked_fen + 1 WHERE contract_id = 'k1'", "proration_asked"),
        ("UPDATE prorated_share SET fen = fen - 1 WHERE sale_id = (SELECT min(sale_id) FROM prorated_share WHERE period_id = (SELECT id FROM period WHERE contract_id = 'k1' AND state = 'closed'))", "prorated"),
        ("DELETE FROM prorated_share WHERE sale_id = (SELECT min(sale_id) FROM prorated_share WHERE period_id = (SELECT id FROM period WHERE contract_id = 'k1' AND state = 'closed'))", "prorated"),
        ("UPDATE transfer SET fen = fen - 1 WHERE id = (SELECT min(id) FROM transfer WHERE reason = 'prorated' AND contract_id = 'k1')", "transfer"),
        ("UPDATE amount_used SET used = used - 1 WHERE used = 1000", "amount"),
    ],
)  # fmt: skip
def test_verify_names_one_fen_altered_behind_its_back(towns: tuple[Town, Town], statement_: str, named: str):
    here, there = towns
    meals(here, 2)
    meals(there, 3)
    for town in (here, there):
        town.close("2026-01")
    agree(here, there)
    if named == "prorated" and here.session.get_bind().dialect.name == "postgresql":
        statement_ = statement_.replace("min(sale_id)", "min(sale_id::text)::uuid")

    tamper(statement_)
    assert named in {found.code for found in verify.period(here.period("2026-01").id).differences}


def test_a_reduced_meal_says_so_to_people(towns: tuple[Town, Town], tmp_path: Path):
    here, _ = towns
    sale, *_ = meals(here, 3)
    here.close("2026-01")
    claim = here.claim("2026-01").id
    explained = explanation.of(here.session, uuid.UUID(sale))
    assert explained is not None
    assert [(move.target, move.fen, move.reason) for move in explained.moves][-1] == ("不予申报", 100, "预算按比例核减")
    here.session.rollback()
    written = exports.claim(claim, tmp_path / "claim.xlsx")
    cells = [str(cell) for rows in sheets(written.path).values() for row in rows for cell in row]
    assert any("预算按比例核减" in cell for cell in cells)
    assert any("12.00" in cell and "15.00" in cell for cell in cells)


# --- arithmetic ---

ASKED = st.lists(st.integers(1, 5000), min_size=1, max_size=40)


@given(ASKED, st.integers(0, 100_000))
def test_parts_come_to_the_limit_and_nobody_gets_more_than_asked(asked: list[int], room: int):
    parts = proration.parts(room, asked)
    assert sum(parts) == min(room, sum(asked))
    assert all(0 <= part <= fen for part, fen in zip(parts, asked, strict=True))
    if sum(asked) > room:
        exact = [Fraction(room * fen, sum(asked)) for fen in asked]
        assert all(abs(part - share) < 1 for part, share in zip(parts, exact, strict=True))


@given(ASKED, st.integers(0, 100_000), st.randoms())
def test_losses_do_not_depend_on_the_order_in_which_meals_came(asked: list[int], room: int, random: Random):
    mine = [((uuid.UUID(int=n), 1), fen) for n, fen in enumerate(asked)]
    lost = proration.reductions(min(room, sum(asked)), dict(mine), {})
    random.shuffle(mine)
    assert proration.reductions(min(room, sum(asked)), dict(mine), {}) == lost
    assert sum(asked) - sum(lost.values()) == min(room, sum(asked))


@given(ASKED, st.integers(0, 100_000), st.integers(0, 5000))
def test_what_a_revaluation_took_back_is_not_lost_twice(asked: list[int], room: int, back: int):
    mine = {(uuid.UUID(int=n), 1): fen for n, fen in enumerate(asked)}
    part, first = min(room, sum(asked)), uuid.UUID(int=0)
    taken = min(back, asked[0])
    lost = proration.reductions(part, mine, {first: taken})
    assert sum(asked) - taken - sum(lost.values()) <= part
    assert asked[0] - taken - lost.get((first, 1), 0) >= 0


# --- whatever happens ---


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("window", ["month", "quarter"])
def test_no_order_of_events_claims_more_than_the_budget(app: Flask, session: Session, seed: int, window: str):
    """Three months of meals, late meals, voids and closes in any order: what stands of the fund is never beyond its limit."""
    chance = Random(f"{seed}{window}")
    limit = chance.choice([700, 1700, 2900])
    towns = two(session, f"limit: {limit // 100}.00, window: {window}, at_end: prorate")
    cards = [town.elder() for town in towns for _ in range(2)]
    kept: list[tuple[Town, dict[str, object]]] = []
    sold: list[tuple[Town, str]] = []
    for month in (1, 2, 3, 4):
        for _ in range(8):
            town, day = chance.choice(towns), date(2026, month, chance.randint(5, 28))
            act, card = chance.choice(["sell", "sell", "keep", "bring", "void"]), chance.choice(cards)
            if act == "sell":
                sold.append((town, town.sell(day, card)[0]))
            elif act == "keep":
                kept.append((town, town.sealed(day, card)))
            elif act == "bring" and kept:
                town, record = kept.pop(chance.randrange(len(kept)))
                sold += [(town, sale) for sale in town.bring(at(date(2026, month, 28), 22), record)[0].sales]
            elif act == "void" and sold:
                town, sale = sold.pop(chance.randrange(len(sold)))
                town.void(sale, at(date(2026, month, 28), 23), refund=0)
        for town in chance.sample(towns, 2):
            town.close(f"2026-{month:02}")

    months = ("2026-01", "2026-02", "2026-03")
    for of in [(month,) for month in months] if window == "month" else [months]:
        assert claimed_fen(*towns, of=of) <= limit
    agree(*towns, months=("2026-01", "2026-02", "2026-03", "2026-04"))


def claimed_fen(*towns: Town, of: tuple[str, ...]) -> int:
    """What all claims hold of meals of these months."""
    lines = [
        line for town in towns for month in ("2026-01", "2026-02", "2026-03", "2026-04") for line in town.lines(month)
    ]
    return sum(line[-1] for line in lines if line[2] in of)
