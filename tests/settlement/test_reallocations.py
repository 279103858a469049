"""A reviewer gives an excess meal the benefit (ruling 5): paired counter-entries, exact whatever comes afterwards."""

from __future__ import annotations

import uuid
from datetime import date, datetime

import pytest
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import transaction
from canteen.ledger import transfers
from canteen.pos.models import AmountUsed, Slot, UseChange
from canteen.registry import elders
from canteen.settlement.audit import trial_balance, verify
from canteen.settlement.claims import review, withheld_meals
from canteen.settlement.claims.claims import MoveNotOpen, NeedsReason, SamePerson
from canteen.settlement.corrections import reallocation
from canteen.settlement.corrections.reallocation import NothingToGiveUp, NotMovable, OutOfReach, RoomLeft
from canteen.settlement.corrections.reallocation_quote import NoRoom, NothingToGive
from canteen.settlement.models import BenefitReallocation
from tests import world
from tests.pos.books import book
from tests.rigs.programs import Begin
from tests.settlement.conftest import MADE, Town, at, fresh, people
from tests.settlement.test_verify import tamper
from tests.settlement.test_workflow import TO_APPROVED, go

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
FEB6, FEB10 = at(date(2026, 2, 6), 9), at(date(2026, 2, 10), 9)
WHY = "两餐核对签名，后到的一餐为本人"


def two(town: Town) -> tuple[uuid.UUID, uuid.UUID]:
    """A lunch, and a second one of the same day that was served without a network: (holder, excess)."""
    kept = town.sealed(JAN5, town.cards[0], minute=10)
    (first,) = town.sell(JAN5, town.cards[0])
    (second,) = town.bring(at(JAN5, 13), kept)
    return uuid.UUID(first), uuid.UUID(second.sales[0])


def reallocate(
    town: Town, *, by: str = "p-street", month: str = "2026-01", when: datetime = FEB6, **options: object
) -> None:
    (finding,) = [one for one in town.findings(month) if one.code == "excess_slot"]
    number = finding.id
    town.session.rollback()
    with clock.at(when):
        reallocation.reallocate(number, reason=WHY, by=by, **options)  # type: ignore[arg-type]


def slot_users(town: Town) -> list[uuid.UUID]:
    """The sales that hold slots."""
    town.session.rollback()
    return sorted(set(town.session.execute(select(Slot.sale_id)).scalars()))


def claimable(*sales: uuid.UUID) -> list[int]:
    session = fresh()
    return [sum(withheld_meals.open_shares(session, sale).values()) for sale in sales]


def exact(town: Town, *months: str) -> None:
    """The audit finds nothing, and every fen stands in one place."""
    for month in months:
        assert verify.period(town.period(month).id).differences == ()
    town.session.rollback()
    assert not any(trial.missing for trial in trial_balance.trial(town.till.contract))


def test_a_voids_slot_goes_to_the_excess_meal_in_the_next_claim(town: Town):
    first, second = two(town)
    town.void(str(first), at(JAN5, 14))
    town.close("2026-01")
    reallocate(town)
    assert (slot_users(town), claimable(first, second)) == ([second], [0, 500])

    town.close("2026-02")
    assert town.claim("2026-01").fen == 0
    assert town.lines("2026-02") == [("adjustment", "city", "2026-01", "k1-202601", 1, 1, 500)]
    exact(town, "2026-01", "2026-02")


def test_the_benefit_moves_by_paired_counter_entries(town: Town):
    first, second = two(town)
    town.close("2026-01")
    reallocate(town, from_=first)

    assert (slot_users(town), claimable(first, second)) == ([second], [0, 500])
    row = fresh().execute(select(BenefitReallocation)).scalar_one()
    assert (row.sale_id, row.from_sale_id, row.fen, row.by) == (second, first, 500, "p-street")
    event = town.session.get_one(events.Event, row.recorded)
    assert event.kind == "finding.reallocate"
    (finding,) = town.findings("2026-01")
    (answer,) = town.session.execute(select(review.FindingAnswer)).scalars()
    assert (answer.finding_id, answer.outcome, answer.recorded) == (finding.id, "accepted", row.recorded)

    town.close("2026-02")
    assert town.claim("2026-01").fen == 500
    assert [line[-1] for line in town.lines("2026-02")] == [0]  # taken from one and given to the other, of one line
    assert town.claim("2026-02").fen == 0
    exact(town, "2026-01", "2026-02")


def test_the_benefit_moves_between_two_canteens_claims(app: Flask, session: Session):
    """What the holder's canteen has not closed yet is less at its close; what is closed is adjusted."""
    with clock.at(MADE):
        tills = [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in (1, 2)]
        world.a_rulebook(session)
        people(session, "p-manager", "p-street")
    here, there = (Town(till, session) for till in tills)
    card = here.elder()
    kept = here.sealed(JAN5, card, minute=10)
    first = uuid.UUID(there.sell(JAN5, card)[0])
    (brought,) = here.bring(at(JAN5, 13), kept)
    second = uuid.UUID(brought.sales[0])
    here.close("2026-01")
    with pytest.raises(OutOfReach):
        reallocate(here, from_=first, within={"k1"})
    reallocate(here, from_=first, within={"k1", "k2"})

    there.close("2026-01")
    assert there.claim("2026-01").fen == 0
    here.close("2026-02")
    assert here.lines("2026-02") == [("adjustment", "city", "2026-01", "k1-202601", 1, 1, 500)]
    assert slot_users(here) == [second]
    exact(here, "2026-01", "2026-02")
    exact(there, "2026-01")


@pytest.mark.parametrize("gone", ["given", "giver", "both"])
def test_either_meal_voided_afterwards_leaves_every_figure_exact(town: Town, gone: str):
    first, second = two(town)
    town.close("2026-01")
    reallocate(town, from_=first)
    if gone != "giver":
        town.void(str(second), FEB10)
    if gone != "given":
        town.void(str(first), FEB10)

    assert slot_users(town) == ([second] if gone == "giver" else [])
    assert claimable(first, second) == [0, 500 if gone == "giver" else 0]
    town.close("2026-02")
    exact(town, "2026-01", "2026-02")
    assert town.claim("2026-01").fen + town.claim("2026-02").fen == (500 if gone == "giver" else 0)


def test_a_later_void_takes_the_moved_benefit_back(town: Town):
    first, second = two(town)
    town.void(str(first), at(JAN5, 14))
    town.close("2026-01")
    reallocate(town)
    town.close("2026-02")
    town.void(str(second), at(date(2026, 3, 10), 9))
    town.close("2026-03")

    assert [town.claim(month).fen for month in ("2026-01", "2026-02", "2026-03")] == [0, 500, -500]
    exact(town, "2026-01", "2026-02", "2026-03")


def test_only_free_room_is_given_without_a_donor(town: Town):
    first, second = two(town)
    town.close("2026-01")
    with pytest.raises(NoRoom):
        reallocate(town)
    with pytest.raises(NothingToGiveUp):
        reallocate(town, from_=second)
    town.void(str(first), FEB6)
    with pytest.raises(NotMovable):
        reallocate(town, from_=first)
    assert (slot_users(town), claimable(first, second)) == ([], [0, 0])
    assert not fresh().execute(select(func.count()).select_from(BenefitReallocation)).scalar_one()


def test_a_slot_taken_by_a_new_sale_can_only_be_moved(town: Town):
    kept = [town.sealed(JAN5, town.cards[0], minute=minute) for minute in (10, 20)]
    (first,) = town.sell(JAN5, town.cards[0])
    (second,) = town.bring(at(JAN5, 13), kept[0])
    town.void(first, at(JAN5, 14))
    town.close("2026-01")
    (third,) = town.bring(at(date(2026, 2, 5)), kept[1])
    with pytest.raises(NoRoom):
        reallocate(town)
    reallocate(town, from_=uuid.UUID(third.sales[0]))

    assert slot_users(town) == [uuid.UUID(second.sales[0])]
    town.close("2026-02")
    exact(town, "2026-01", "2026-02")
    assert town.claim("2026-02").fen == 500


def test_with_free_room_no_other_meal_is_made_to_give(town: Town):
    month = book("id: t.two, unit: meal, limit: 2, scope: person, window: month", id_="test-two")
    world.a_rulebook(town.session, month.replace("id: city", "id: shop").replace("fund: city", "fund: shop"))
    kept = town.sealed(date(2026, 1, 8), town.cards[0])
    sold = [town.sell(date(2026, 1, day), town.cards[0])[0] for day in (5, 6)]
    town.bring(at(date(2026, 1, 9)), kept)
    assert town.void(sold[0], at(date(2026, 1, 9), 14), refund=200).outcome == "created"
    town.close("2026-01")
    with pytest.raises(RoomLeft):
        reallocate(town, from_=uuid.UUID(sold[1]))
    reallocate(town)
    town.close("2026-02")
    exact(town, "2026-01", "2026-02")


def test_a_meal_after_the_benefit_was_given_is_excess(town: Town):
    kept = [town.sealed(JAN5, town.cards[0], minute=minute) for minute in (10, 20)]
    (first,) = town.sell(JAN5, town.cards[0])
    (second,) = town.bring(at(JAN5, 13), kept[0])
    town.void(first, at(JAN5, 14))
    town.close("2026-01")
    reallocate(town)
    (third,) = town.bring(at(date(2026, 2, 10)), kept[1])
    town.close("2026-02")

    (finding,) = town.findings("2026-02")
    assert (finding.code, finding.subject, finding.fen) == ("excess_slot", f"sale:{third.sales[0]}", 500)
    assert f'"used_by":["{second.sales[0]}"]' in finding.body
    assert '"fits_now":false' in finding.body
    exact(town, "2026-01", "2026-02")


def test_a_meal_receives_once_and_gives_on_to_nobody(town: Town):
    kept = town.sealed(JAN5, town.cards[0], minute=20)
    first, second = two(town)
    town.close("2026-01")
    reallocate(town, from_=first)
    with pytest.raises(review.Answered):
        reallocate(town, from_=first)
    (third,) = town.bring(at(date(2026, 2, 10)), kept)
    town.close("2026-02")
    with pytest.raises(review.Answered):
        reallocate(town, from_=second, month="2026-02", when=at(date(2026, 3, 6)))
    assert claimable(first, second, uuid.UUID(third.sales[0])) == [0, 500, 0]


def test_nobody_moves_benefits_of_own_sales_or_claims(town: Town):
    first, second = two(town)
    town.close("2026-01")
    with pytest.raises(SamePerson):
        reallocate(town, from_=first, by=town.till.cashier)
    go(town, "2026-01", ("submit", "p-manager"))
    with pytest.raises(SamePerson):
        reallocate(town, from_=first, by="p-manager")
    number = town.findings("2026-01")[0].id
    with pytest.raises(NeedsReason):
        reallocation.reallocate(number, reason=" ", by="p-street", from_=first)
    assert claimable(first, second) == [500, 0]


def test_a_transfer_reopens_no_determined_claims_findings(town: Town):
    first, _ = two(town)
    town.close("2026-01")
    number = town.findings("2026-01")[0].id
    with clock.at(FEB6):
        review.answer(number, "accepted", reason="", by="p-street")
    go(town, "2026-01", *TO_APPROVED)
    with pytest.raises(MoveNotOpen):
        reallocate(town, from_=first)


def test_money_that_was_moved_before_the_approval_is_paid_once(town: Town):
    first, second = two(town)
    town.close("2026-01")
    reallocate(town, from_=first, by="p-other")
    go(town, "2026-01", *TO_APPROVED)
    town.close("2026-02")

    exact(town, "2026-01", "2026-02")
    town.session.rollback()
    found = transfers.balances(town.session, "k1")
    assert (found["city", "claimed"], found["city", "open"], found["city", "excluded"]) == (500, 0, 500)
    assert claimable(second) == [500]


def test_a_meal_kept_out_of_its_claim_neither_gives_nor_receives(town: Town):
    first, _ = two(town)
    town.close("2026-01")
    with clock.at(FEB6):
        review.withhold(town.claim("2026-01").id, first, "withheld", reason="待核对签名", by="p-finance")
    with pytest.raises(NotMovable):
        reallocate(town, from_=first)


def test_a_receiving_meal_is_not_withheld_from_a_foreign_claim(town: Town):
    first, second = two(town)
    town.close("2026-01")
    reallocate(town, from_=first)
    for outcome in ("withheld", "disallowed"):
        with clock.at(FEB6), pytest.raises(withheld_meals.NothingToWithhold):
            review.withhold(town.claim("2026-01").id, second, outcome, reason="待核对签名", by="p-finance")
    assert claimable(first, second) == [0, 500]


def test_a_later_finding_strikes_a_given_benefit_as_adjustment(town: Town):
    first, second = two(town)
    town.close("2026-01")
    reallocate(town, from_=first)
    with clock.at(FEB10), transaction() as session:
        number = events.record(session, "elder.facts", str(town.elders[0]), by="p-admin")
        elders.add_fact(session, town.elders[0], "status", "deceased", date(2026, 1, 4), None, "社区", number)
    town.close("2026-02")
    named = [one.id for one in town.findings("2026-02") if one.subject == f"sale:{second}"]
    town.session.rollback()
    with clock.at(at(date(2026, 3, 6))):
        review.answer(named[0], "disallowed", reason="身故后使用", by="p-finance")
    town.close("2026-03")

    assert claimable(second) == [0]
    assert town.claim("2026-03").fen == -500
    exact(town, "2026-01", "2026-02", "2026-03")


def test_a_merge_undone_leaves_every_figure_exact(town: Town):
    town.elder()
    entry, other = town.elders
    with clock.at(at(date(2026, 1, 4))), transaction() as session:
        number = events.record(session, "elder.facts", str(other), by="p-admin", body={"facts": ["merged"]})
        elders.add_fact(session, other, "merged", str(entry), date(1930, 1, 1), None, "社区", number)
    kept = town.sealed(JAN5, town.cards[1], minute=10)
    (first,) = town.sell(JAN5, town.cards[0])
    (second,) = town.bring(at(JAN5, 13), kept)
    town.close("2026-01")
    reallocate(town, from_=uuid.UUID(first))
    part(town, other)
    town.void(second.sales[0], FEB10)

    assert slot_users(town) == []
    town.close("2026-02")
    exact(town, "2026-01", "2026-02")


def part(town: Town, other: uuid.UUID) -> None:
    from canteen.registry.models import ElderFact  # noqa: PLC0415 - tables need the application

    town.session.rollback()
    merged = select(ElderFact.id).where(ElderFact.elder_id == other, ElderFact.kind == "merged")
    number = town.session.execute(merged).scalar_one()
    town.session.rollback()
    with clock.at(FEB6), transaction() as session:
        event = events.record(session, "elder.facts", str(other), by="p-admin", body={"facts": ["merged"]})
        elders.add_fact(session, other, "merged", "", date(1930, 1, 1), None, "社区", event, retracts=number)


LIMITS = {
    "fen": ("id: t.fen, unit: fen, limit_fen: 5.00, scope: person, window: month", 1, 500),
    "day": ("id: t.day, unit: day, limit: 1, scope: person, window: month", 1, 500),
    "two": ("id: t.two, unit: meal, limit: 1, scope: person, window: month", 2, 1000),
    "home": ("id: t.home, unit: fen, limit_fen: 5.00, scope: household, window: month", 1, 500),
}


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("limit", LIMITS)
def test_every_kind_of_limit_is_given_again_exactly(app: Flask, session: Session, limit: str, taken: bool):
    allowance, rules, given = LIMITS[limit]
    with clock.at(MADE):
        town = Town(world.make(session), session)
        world.a_rulebook(session, book(allowance, rules=rules))
    card = town.elder(household="H1") if limit == "home" else town.elder()
    kept = town.sealed(JAN6, card)
    first = uuid.UUID(town.sell(JAN5, card)[0])
    (brought,) = town.bring(at(JAN6, 13), kept)
    second = uuid.UUID(brought.sales[0])
    if not taken:
        assert town.void(str(first), at(JAN6, 14), refund=200).outcome == "created"
    town.close("2026-01")
    assert claimable(second) == [0]
    reallocate(town, from_=first if taken else None)

    assert claimable(first, second) == [0, given]
    town.close("2026-02")
    exact(town, "2026-01", "2026-02")
    town.void(str(second), at(date(2026, 3, 10), 9), refund=200)
    if taken:
        town.void(str(first), at(date(2026, 3, 10), 9), refund=200)
    town.close("2026-03")
    exact(town, "2026-01", "2026-02", "2026-03")
    town.session.rollback()
    assert slot_users(town) == []
    assert not sum(town.session.execute(select(AmountUsed.used)).scalars())


def test_a_budget_bounds_what_a_receiving_meal_is_given(app: Flask, session: Session):
    with clock.at(MADE):
        town = Town(world.make(session), session)
        month = "id: t.one, unit: meal, limit: 1, scope: person, window: month"
        world.a_rulebook(session, book(month, budget="limit: 12.00, window: month, at_end: stop"))
    cards = [town.elder(), town.elder()]
    kept = town.sealed(JAN6, cards[0])
    first = uuid.UUID(town.sell(JAN5, cards[0])[0])
    town.sell(JAN5, cards[1])
    (brought,) = town.bring(at(JAN6, 13), kept)
    second = uuid.UUID(brought.sales[0])
    town.close("2026-01")
    (finding,) = [one for one in town.findings("2026-01") if one.sale_id == second]
    number = finding.id
    town.session.rollback()
    with clock.at(FEB6):
        reallocation.reallocate(number, reason=WHY, by="p-street", from_=first)

    assert claimable(first, second) == [0, 500]
    town.session.rollback()
    assert sum(town.session.execute(select(AmountUsed.used)).scalars()) == 1000
    town.close("2026-02")
    exact(town, "2026-01", "2026-02")


def test_a_meal_of_a_prorated_budget_is_no_single_meal_s_to_give(app: Flask, session: Session):
    with clock.at(MADE):
        town = Town(world.make(session), session)
        month = "id: t.one, unit: meal, limit: 1, scope: person, window: month"
        world.a_rulebook(session, book(month, budget="limit: 30.00, window: month, at_end: prorate"))
    card = town.elder()
    kept = town.sealed(JAN6, card)
    first = uuid.UUID(town.sell(JAN5, card)[0])
    town.bring(at(JAN6, 13), kept)
    town.close("2026-01")
    with pytest.raises(NotMovable):
        reallocate(town, from_=first)


def test_what_was_sold_at_full_price_has_nothing_to_be_given(town: Town):
    gift = book("id: t.gift, unit: meal, limit: 1, scope: person, window: day", id_="test-gift")
    world.a_rulebook(
        town.session,
        gift.replace("id: city", "id: shop")
        .replace("fund: city", "fund: shop")
        .replace("payer: subsidy", "payer: concession"),
    )
    dinner = town.sealed(JAN5, town.cards[0], hour=17)
    (lunch,) = town.sell(JAN5, town.cards[0])
    town.bring(at(JAN5, 18), dinner)
    town.close("2026-01")
    with pytest.raises(NotMovable):
        reallocate(town, from_=uuid.UUID(lunch))
    assert town.void(lunch, FEB6, refund=200).outcome == "created"
    with pytest.raises(NothingToGive):
        reallocate(town)


ALTERED = {
    "given": "UPDATE transfer SET fen = fen - 1 WHERE id = (SELECT max(id) FROM transfer WHERE reason = 'reallocated')",
    "taken": "UPDATE transfer SET fen = fen - 1 WHERE id = (SELECT min(id) FROM transfer WHERE reason = 'reallocated')",
    "booked": "UPDATE benefit_reallocation SET fen = fen + 1",
    "not given up": "DELETE FROM use_change WHERE amount < 0",
    "not added": "DELETE FROM use_change WHERE amount > 0",
    "slot": "UPDATE slot SET sale_id = (SELECT from_sale_id FROM benefit_reallocation)",
}


@pytest.mark.parametrize("what", ALTERED)
def test_the_audit_names_every_alteration_of_a_moved_benefit(town: Town, what: str):
    first, _ = two(town)
    town.close("2026-01")
    reallocate(town, from_=first)
    town.close("2026-02")
    exact(town, "2026-01", "2026-02")
    tamper(ALTERED[what])
    named = [one.code for month in ("2026-01", "2026-02") for one in verify.period(town.period(month).id).differences]
    assert named


RUN = """
import sys, uuid
from canteen.app import create_app
from canteen.errors import Refusal
from canteen.settlement.corrections import reallocation
finding, by, source = sys.argv[1:]
with create_app().app_context():
    try:
        reallocation.reallocate(int(finding), reason="两餐核对签名", by=by, from_=uuid.UUID(source) if source else None)
        print("given")
    except Refusal as refusal:
        print(refusal.code)
"""


@pytest.mark.parametrize("free", [True, False])
def test_of_reviewers_at_once_one_gives_the_others_are_refused(town: Town, begin: Begin, free: bool):
    first, second = two(town)
    if free:
        town.void(str(first), at(JAN5, 14))
    town.close("2026-01")
    number = town.findings("2026-01")[0].id
    town.session.rollback()
    source = "" if free else str(first)
    runs = [begin(str(number), by, source, text=RUN) for by in ("p-street", "p-finance", "p-other")]
    said = sorted(run.end()[1].strip() for run in runs)

    assert said == ["given", "judged_meanwhile", "judged_meanwhile"]
    assert (slot_users(town), claimable(first, second)) == ([second], [0, 500])
    exact(town, "2026-01")


def test_the_facts_of_a_moved_benefit_rebuild_the_slots(town: Town):
    first, second = two(town)
    town.close("2026-01")
    reallocate(town, from_=first)
    town.session.rollback()
    changes = town.session.execute(select(UseChange.sale_id, UseChange.amount)).all()
    assert {tuple(change) for change in changes} == {(first, -1), (second, 1)}
