"""Rules known late change no settled month: differences, once each, in the next claim (rulings 18 and 20)."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterable
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session

from canteen import clock
from canteen.config import Config
from canteen.db import db, owner_engine, transaction
from canteen.ledger.models import Transfer
from canteen.pos import slots
from canteen.pos.models import Slot, UseChange
from canteen.registry import elders
from canteen.rulebooks import layers, publications
from canteen.rulebooks.models import Publication
from canteen.settlement.audit import trial_balance, verify
from canteen.settlement.audit.verify import Verified
from canteen.settlement.claims import claims, review, withheld_meals, workflow
from canteen.settlement.corrections import revaluations
from canteen.settlement.corrections.revaluation_run import RevaluationRunner
from canteen.settlement.models import Claim, Finding, RevaluedSale, RevaluedShare, Statement, WithheldMeal
from tests import world
from tests.settlement import late
from tests.settlement.conftest import Town, at, fresh

JAN = date(2026, 1, 1), date(2026, 1, 31)
DAY = date(2026, 1, 12)


def statements(session: Session) -> dict[int, tuple[str, str]]:
    session.rollback()
    return {row.period_id: (row.body, row.hash) for row in session.execute(select(Statement)).scalars()}


def verified(town: Town, month: str) -> Verified:
    fresh()
    number = town.period(month).id
    town.session.rollback()
    return verify.period(number)


def shares(session: Session) -> list[tuple[str, int, int, int, int]]:
    """(fund, before, new, fen, over_limit) of all differences."""
    session.rollback()
    rows = session.execute(select(RevaluedShare).order_by(RevaluedShare.sale_id, RevaluedShare.share_n)).scalars()
    return [(row.fund, row.before_fen, row.new_fen, row.fen, row.over_limit_fen) for row in rows]


def outcomes(session: Session) -> list[tuple[str, int, int, int]]:
    """(outcome, due before, due, refund) of all meals revalued."""
    session.rollback()
    rows = session.execute(select(RevaluedSale).order_by(RevaluedSale.id)).scalars()
    return [(row.outcome, row.due_before, row.due_fen, row.refund_fen) for row in rows]


def balanced(town: Town) -> bool:
    town.session.rollback()
    return not trial_balance.differences(town.till.contract)


# --- paid once, in the next claim ---


def test_a_back_dated_notice_is_paid_in_the_next_claim(town: Town) -> None:
    town.sell(DAY, town.cards[0])
    town.close("2026-01")
    before = statements(town.session)
    number, found = late.notice(late.SIX, *JAN)
    assert found["funds"] == {"city": [100, 0]}
    assert found["refund"] == 100
    assert shares(town.session) == [("city", 500, 600, 100, 0)]
    assert outcomes(town.session) == [("booked", 700, 600, 100)]
    town.close("2026-02")
    after = statements(town.session)
    assert {key: after[key] for key in before} == before
    assert town.lines("2026-02") == [("revaluation", "city", "2026-01", f"k1-202601/R{number}", 1, 1, 100)]
    for month in ("2026-01", "2026-02"):
        assert verified(town, month).differences == ()
    assert balanced(town)


def test_revaluing_twice_pays_once(town: Town) -> None:
    town.sell(DAY, town.cards[0])
    town.close("2026-01")
    number, _ = late.notice(late.SIX, *JAN)
    again = late.run(number)
    assert again["funds"] == {}
    assert again["left"] == {"done": 1}
    assert len(shares(town.session)) == 1
    other, found = late.notice(late.SIX.replace("测试标准", "测试标准（同）"), *JAN)
    assert found["funds"] == {}, "another notice of the same worth adds nothing"
    assert late.run(number)["left"] == {"done": 1}
    assert other != number


def test_a_second_notice_replaces_the_first_in_any_run_order(town: Town) -> None:
    town.sell(DAY, town.cards[0])
    first, _ = late.notice(late.SIX, *JAN)
    _, found = late.notice(world.GUARDED.replace("less: 5.00", "less: 5.50"), *JAN)
    assert found["findings"] == {"due_rises": 1}, "from 6.00 to 6.50"
    assert found["funds"] == {}
    seven, found = late.notice(world.GUARDED.replace("less: 5.00", "less: 7.00"), *JAN)
    assert found["funds"] == {"city": [100, 0]}
    town.sell(DAY, town.cards[0], hour=17)
    assert late.run(first)["left"] == {"superseded": 1, "done": 1}
    assert late.run(seven)["funds"] == {"city": [200, 0]}
    assert balanced(town)


def test_a_run_overtaken_by_a_newer_notice_books_that_one(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    town.sell(DAY, town.cards[0])
    first = late.ordered(late.asked(late.SIX, *JAN))
    count, once = RevaluationRunner.count, [late.asked(world.GUARDED.replace("less: 5.00", "less: 5.50"), *JAN)]

    def overtaken(runner: RevaluationRunner) -> int:
        while once:
            late.done(late.ordered(once.pop()))
        return count(runner)

    monkeypatch.setattr(RevaluationRunner, "count", overtaken)
    found = late.done(first)
    assert found["funds"] == {}
    assert shares(town.session) == [("city", 500, 550, 50, 0)]


def test_a_guests_meal_is_read_again_once_it_is_held(town: Town, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    town.sell(DAY, None)
    guests = late.SIX.replace("when: {age: {from: 60}}", "when: {kind: [guest]}")
    runs = [late.ordered(late.asked(guests.replace("test-city", name), *JAN)) for name in ("test-a", "test-b")]
    lock, between = RevaluationRunner._lock_limits, [runs.pop()] if db.engine.dialect.name == "postgresql" else []
    db.session.rollback()

    def other(run: int) -> None:
        with app.app_context():
            late.done(run)
            db.session.remove()

    def slow(runner: RevaluationRunner, *args: Any) -> None:
        while between:  # on SQLite there is one writer, and nothing comes between
            thread = threading.Thread(target=other, args=(between.pop(),))
            thread.start()
            thread.join()
        lock(runner, *args)

    monkeypatch.setattr(RevaluationRunner, "_lock_limits", slow)
    for run in runs:
        late.done(run)
    assert [row[3] for row in shares(town.session)] == [1200]
    assert balanced(town)


def test_a_meal_that_comes_after_the_run_is_for_the_next_one(town: Town) -> None:
    kept = town.sealed(DAY, town.cards[0])
    town.close("2026-01")
    number, found = late.notice(late.SIX, *JAN)
    assert found["meals"] == 0
    town.bring(at(date(2026, 2, 12), 9), kept)
    assert late.run(number, on=date(2026, 2, 13))["funds"] == {"city": [100, 0]}
    town.close("2026-02")
    assert [line[0] for line in town.lines("2026-02")] == ["supplement", "revaluation"]
    assert verified(town, "2026-02").differences == ()


def test_a_notice_of_half_a_month_leaves_the_other_half(town: Town) -> None:
    town.sell(date(2026, 1, 9), town.cards[0])
    town.sell(date(2026, 1, 10), town.cards[0])
    town.sell(date(2026, 1, 21), town.cards[0])
    _, found = late.notice(late.SIX, date(2026, 1, 10), date(2026, 1, 20), on=date(2026, 1, 25))
    assert found["meals"] == 1
    assert found["funds"] == {"city": [100, 0]}
    town.close("2026-01")
    kinds = [(line[0], line[3], line[6]) for line in town.lines("2026-01")]
    assert kinds == [("meals", "", 1500), ("revaluation", "R1", 100)], "the month is open still: no claim to cite"
    assert verified(town, "2026-01").differences == ()


# --- the elder is never asked ---


def test_a_rising_due_is_not_booked_but_named_by_a_finding(town: Town) -> None:
    town.sell(DAY, town.cards[0])
    town.close("2026-01")
    number, found = late.notice(late.FOUR, *JAN)
    assert found["findings"] == {"due_rises": 1}
    assert found["funds"] == {}
    assert outcomes(town.session) == [("due_rises", 700, 800, 0)]
    assert town.session.execute(select(func.count()).where(Transfer.movement == "revalue")).scalar_one() == 0
    town.session.rollback()
    town.close("2026-02")
    assert town.lines("2026-02") == []
    (finding,) = [one for one in town.findings("2026-02") if one.code == "revaluation"]
    assert finding.subject.endswith(f"/R{number}")
    assert finding.fen == 100
    town.session.rollback()
    assert verified(town, "2026-02").differences == ()


FUNDS = world.GUARDED.replace("payer: subsidy}\n", "payer: subsidy}\n  - {id: district, name: 区级, payer: subsidy}\n")


def shifted(fund_a: str, fund_b: str) -> str:
    """Five yuan as before, by two rules of two funds."""
    rule = FUNDS[FUNDS.index("      - id: aged") :]
    first = rule.replace("less: 5.00", f"less: {fund_a}")
    second = (
        rule.replace("id: aged", "id: aged-2")
        .replace("less: 5.00", f"less: {fund_b}")
        .replace("fund: city", "fund: district")
    )
    return (
        FUNDS[: FUNDS.index("      - id: aged")].replace("    title: 补贴\n", "    title: 补贴\n    pick: sum\n")
        + first
        + second
    )


def test_a_shift_between_funds_is_booked_with_its_sign(town: Town) -> None:
    town.sell(DAY, town.cards[0])
    town.close("2026-01")
    _, found = late.notice(shifted("3.00", "2.00"), *JAN)
    assert found["funds"] == {"city": [0, -200], "district": [200, 0]}
    assert found["refund"] == 0
    town.close("2026-02")
    assert [(line[1], line[6]) for line in town.lines("2026-02")] == [("city", -200), ("district", 200)]
    assert balanced(town)
    assert verified(town, "2026-02").differences == ()


def test_a_void_after_a_revaluation_takes_its_differences_back(town: Town) -> None:
    (sale,) = town.sell(DAY, town.cards[0])
    town.close("2026-01")
    late.notice(shifted("3.00", "3.00"), *JAN)
    town.close("2026-02")
    assert town.void(sale, at(date(2026, 3, 6), 9)).outcome == "created"
    town.close("2026-03")
    found = {(line[0], line[1]): line[6] for line in town.lines("2026-03")}
    assert found == {("adjustment", "city"): -500, ("revaluation", "city"): 200, ("revaluation", "district"): -300}
    for month in ("2026-01", "2026-02", "2026-03"):
        assert verified(town, month).differences == (), month
    assert balanced(town)


def test_a_void_in_the_same_period_leaves_nothing(town: Town) -> None:
    (sale,) = town.sell(DAY, town.cards[0])
    late.notice(shifted("3.00", "3.00"), *JAN, on=date(2026, 2, 1))
    town.void(sale, at(date(2026, 2, 2), 9))
    town.close("2026-01")
    assert sum(line[6] for line in town.lines("2026-01")) == 0
    assert verified(town, "2026-01").differences == ()
    assert balanced(town)


# --- limits ---


def slots_used(session: Session) -> int:
    """Slots taken of the limit that came late."""
    session.rollback()
    return session.execute(select(func.count()).where(Slot.allowance == "late.month")).scalar_one()


LIMIT = """\
        limits: [late.month]
allowances:
  - {id: late.month, unit: meal, scope: person, window: month, limit: 2}
"""


def test_a_new_benefit_takes_only_free_slots(town: Town) -> None:
    for day in (12, 13, 14):
        town.sell(date(2026, 1, day), town.cards[0])
    town.close("2026-01")
    rule = late.SIX[late.SIX.index("      - id: aged") :]
    extra = rule.replace("id: aged", "id: extra").replace("less: 6.00", "less: 2.00")
    text_ = world.GUARDED.replace("    title: 补贴\n", "    title: 补贴\n    pick: sum\n") + extra + LIMIT
    _, found = late.notice(text_, *JAN)
    assert found["funds"] == {"city": [400, 0]}
    assert found["over_limit"] == [1, 200]
    assert sorted(row[3:] for row in shares(town.session)) == [(0, 200), (200, 0), (200, 0)]
    assert town.session.execute(select(func.count()).select_from(UseChange)).scalar_one() == 2
    assert slots_used(town.session) == 2
    town.session.rollback()
    town.close("2026-02")
    assert verified(town, "2026-02").differences == ()


CARRIED = LIMIT.replace("unit: meal", "unit: fen").replace("limit: 2", "limit_fen: 5.00, carry: {windows: 1}")


def test_room_spent_by_the_next_month_is_not_granted_again(town: Town) -> None:
    two = world.GUARDED.replace("less: 5.00", "less: 2.00") + CARRIED
    world.a_rulebook(town.session, two, from_day=JAN[0])
    town.sell(DAY, town.cards[0])
    for day in (1, 2, 3, 4):
        town.sell(date(2026, 2, day), town.cards[0])
    _, found = late.notice(two.replace("less: 2.00", "less: 5.00"), *JAN)
    assert found["funds"] == {}
    assert found["over_limit"] == [1, 300]


def test_a_preview_shows_what_the_run_will_book(town: Town) -> None:
    for day in (12, 13, 14):
        town.sell(date(2026, 1, day), town.cards[0])
    rule = late.SIX[late.SIX.index("      - id: aged") :]
    extra = rule.replace("id: aged", "id: extra").replace("less: 6.00", "less: 2.00")
    text_ = world.GUARDED.replace("    title: 补贴\n", "    title: 补贴\n    pick: sum\n") + extra + LIMIT
    number = late.asked(text_, *JAN)
    seen = late.run(number, preview=True)
    assert shares(town.session) == []
    assert late.done(late.ordered(number)) == seen


def test_a_void_gives_an_added_slot_back(town: Town) -> None:
    (sale,) = town.sell(DAY, town.cards[0])
    late.notice(late.SIX + LIMIT, *JAN)
    assert slots_used(town.session) == 1
    town.void(sale, at(date(2026, 2, 11), 9))
    assert slots_used(town.session) == 0


# --- facts known late ---

HARD = world.GUARDED.replace(
    "        fund: city\n",
    """\
        fund: city
      - id: hard
        label: 助餐补贴
        reason: 低保
        clause: 第二条
        when: {class: [minimum_living]}
        less: 8.00
        fund: city
""",
).replace("    title: 补贴\n", "    title: 补贴\n    pick: best\n")


def test_hardship_approved_late_pays_the_difference_of_one_elder(town: Town) -> None:
    with clock.at(at(date(2026, 1, 3), 9)):
        world.a_rulebook(town.session, HARD, from_day=date(2026, 1, 4))
    other = town.elder()
    town.sell(DAY, town.cards[0])
    town.sell(DAY, other)
    town.close("2026-01")
    with clock.at(at(date(2026, 2, 9), 9)), transaction():
        elders.note(
            town.session, town.elders[0], [elders.NewFact("class", "minimum_living", date(2026, 1, 10))], "p-admin"
        )
    _, found = late.facts(town.elders[0], date(2026, 1, 10), date(2026, 2, 9))
    assert found["meals"] == 1
    assert found["funds"] == {"city": [300, 0]}
    assert outcomes(town.session) == [("booked", 700, 400, 300)]
    town.close("2026-02")
    assert verified(town, "2026-02").differences == ()


# --- asked for, ordered, in force nowhere ---


def test_a_revaluation_prices_no_meal_and_changes_no_fact(town: Town) -> None:
    town.sell(DAY, town.cards[0])
    areas = (world.CITY, world.DISTRICT, world.STREET, world.COMMUNITY)
    in_force = layers.in_force(town.session, "c1", areas, DAY).hash
    late.notice(late.SIX, *JAN)
    assert layers.in_force(town.session, "c1", areas, DAY).hash == in_force
    assert town.session.execute(select(func.count()).select_from(Publication)).scalar_one() == 1
    town.session.rollback()
    kept = town.sealed(date(2026, 1, 20), town.cards[0])
    town.bring(at(date(2026, 2, 12), 9), kept)
    assert balanced(town)


def test_a_second_person_orders_a_revaluation_after_a_preview(town: Town) -> None:
    digest = publications.draft(late.SIX, by="p-admin")
    with clock.at(at(late.LATER_ON)):
        number = revaluations.ask_notice(
            digest, layer="city", node_id=world.CITY, from_day=JAN[0], to_day=JAN[1], reason=late.NOTICE, by="p-chief"
        )
        with pytest.raises(publications.SamePerson):
            revaluations.order(number, by="p-admin", diff="[]")
        with pytest.raises(revaluations.NoPreview):
            revaluations.order(number, by="p-chief2", diff="[]")
        with pytest.raises(revaluations.NotOrdered):
            revaluations.request(number, preview=False, by="p-chief")


def test_the_asker_of_a_revaluation_never_orders_it(town: Town) -> None:
    digest = publications.draft(late.SIX, by="p-admin")
    with clock.at(at(late.LATER_ON)):
        number = revaluations.ask_notice(
            digest, layer="city", node_id=world.CITY, from_day=JAN[0], to_day=JAN[1], reason=late.NOTICE, by="p-chief"
        )
        late.run(number, preview=True)
        for one in ("p-admin", "p-chief"):
            with pytest.raises(publications.SamePerson):
                revaluations.order(number, by=one, diff="[]")
        revaluations.order(number, by="p-chief2", diff="[]")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (date(2026, 2, 1), date(2026, 2, 10)),
        (date(2026, 2, 11), date(2026, 2, 12)),
        (date(2026, 1, 9), date(2026, 1, 8)),
    ],
)
def test_only_days_wholly_past_are_revalued(town: Town, first: date, last: date) -> None:
    digest = publications.draft(late.SIX, by="p-admin")
    with clock.at(at(late.LATER_ON)), pytest.raises(revaluations.NotWhollyPast):
        revaluations.ask_notice(
            digest, layer="city", node_id=world.CITY, from_day=first, to_day=last, reason=late.NOTICE, by="p-admin"
        )


def test_a_version_that_does_not_cover_the_days_is_refused(town: Town) -> None:
    digest = publications.draft(late.SIX.replace("from: 2020-01-01", "from: 2026-01-15"), by="p-admin")
    with clock.at(at(late.LATER_ON)), pytest.raises(revaluations.NotFit, match="没有覆盖"):
        revaluations.ask_notice(
            digest, layer="city", node_id=world.CITY, from_day=JAN[0], to_day=JAN[1], reason=late.NOTICE, by="p-admin"
        )


# --- judged meals ---


def test_a_difference_goes_with_its_meal_when_that_is_struck_out(town: Town) -> None:
    (sale,) = town.sell(DAY, town.cards[0])
    town.close("2026-01")
    late.notice(shifted("3.00", "3.00"), *JAN)
    claim = town.claim("2026-01").id
    town.session.rollback()
    with clock.at(at(date(2026, 2, 12), 9)):
        review.withhold(claim, uuid.UUID(sale), "disallowed", reason="不是本人就餐", by="p-street")
        for act, by in (
            ("submit", "p-manager"),
            ("review", "p-street"),
            ("determine", "p-finance"),
            ("approve", "p-chief2"),
        ):
            workflow.move(claim, act, by=by)
    town.close("2026-02")
    assert sum(line[6] for line in town.lines("2026-02")) == 0
    assert balanced(town)
    assert verified(town, "2026-02").differences == ()


def test_a_meal_that_a_reviewer_holds_is_left_to_that_reviewer(town: Town) -> None:
    (sale,) = town.sell(DAY, town.cards[0])
    town.close("2026-01")
    claim = town.claim("2026-01").id
    town.session.rollback()
    with clock.at(at(date(2026, 2, 8), 9)):
        review.withhold(claim, uuid.UUID(sale), "withheld", reason="待核实身份", by="p-street")
    _, found = late.notice(late.SIX, *JAN)
    assert found["left"] == {"judged": 1}
    assert shares(town.session) == []


def test_a_finding_strikes_the_difference_of_a_full_price_meal(town: Town) -> None:
    with clock.at(at(date(2026, 1, 3), 9)):
        none = world.GUARDED.replace("when: {age: {from: 60}}", "when: {class: [minimum_living]}")
        world.a_rulebook(town.session, none, from_day=date(2026, 1, 4))
    (sale,) = town.sell(DAY, town.cards[0])
    town.close("2026-01")
    late.notice(late.SIX, *JAN)
    town.close("2026-02")
    assert [line[6] for line in town.lines("2026-02")] == [600]
    period = town.claim("2026-02").period_id
    with transaction():
        found = Finding(
            period_id=period, code="AFTER_DEATH", subject=f"sale:{sale}", sale_id=uuid.UUID(sale), fen=600, body="{}",
            found_at=clock.now(),
        )  # fmt: skip
        town.session.add(found)
        town.session.flush()
        number = found.id
    with clock.at(at(date(2026, 3, 5), 9)):
        review.answer(number, "disallowed", reason="不是本人就餐", by="p-street")
        with pytest.raises(withheld_meals.NothingToWithhold):
            review.answer(number, "disallowed", reason="不是本人就餐", by="p-street")
    town.close("2026-03")
    assert [line[6] for line in town.lines("2026-03")] == [-600]
    assert balanced(town)


def test_who_judges_a_meal_holds_its_eater_before_the_claim(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    (sale,), (another,) = town.sell(DAY, town.cards[0]), town.sell(date(2026, 1, 13), town.cards[0])
    town.close("2026-01")
    claim = town.claim("2026-01").id
    town.session.rollback()
    locks, person, locked = list[Any](), slots.lock_persons, claims.locked

    def of_persons(session: Session, persons: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        found = person(session, persons)
        locks.append(found)
        return found

    def of_claims(session: Session, claim_id: int) -> Claim:
        locks.append("claim")
        return locked(session, claim_id)

    monkeypatch.setattr(slots, "lock_persons", of_persons)
    monkeypatch.setattr(claims, "locked", of_claims)
    review.withhold(claim, uuid.UUID(sale), "withheld", reason="待核实身份", by="p-street")
    withheld_id = town.session.execute(select(WithheldMeal.id)).scalar_one()
    town.session.rollback()
    review.clear(withheld_id, "released", reason="已经核对", by="p-finance")
    review.withhold(claim, uuid.UUID(another), "disallowed", reason="不是本人就餐", by="p-street")
    for act, by in (("submit", "p-manager"), ("review", "p-street"), ("determine", "p-finance")):
        workflow.move(claim, act, by=by)
    del locks[6:]
    workflow.move(claim, "approve", by="p-chief2")
    assert locks == [{town.elders[0]}, "claim"] * 4


# --- verify catches one fen ---


@pytest.mark.parametrize(
    ("table", "column", "where", "code"),
    [
        ("revalued_share", "new_fen", "", "revaluation"),
        ("revalued_share", "before_fen", "", "revaluation"),
        ("revalued_sale", "due_fen", "", "revaluation_due"),
        ("transfer", "fen", " WHERE movement = 'revalue'", "transfer"),
        ("claim_line", "fen", " WHERE kind = 'revaluation'", "claim_line"),
    ],
)
def test_verify_catches_one_fen(town: Town, config: Config, table: str, column: str, where: str, code: str) -> None:
    town.sell(DAY, town.cards[0])
    town.close("2026-01")
    late.notice(late.SIX, *JAN)
    town.close("2026-02")
    town.session.rollback()
    _alter(owner_engine(config.database_url), table, column, where)
    assert code in {found.code for found in verified(town, "2026-02").differences}


def _alter(engine: Engine, table: str, column: str, where: str) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA ignore_check_constraints = ON"))
            connection.execute(text(f"DROP TRIGGER law_{table}_no_update"))
        else:
            connection.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER law_{table}_no_change"))
            for name in ("difference", "never_asks_the_elder"):
                connection.execute(text(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS ck_{table}_{name}"))
        connection.execute(text(f"UPDATE {table} SET {column} = {column} + 1{where}"))
    engine.dispose()
    db.session.rollback()
