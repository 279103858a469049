"""How a claim moves, who may move it, and what becomes of meals kept out of it."""

from __future__ import annotations

import uuid
from datetime import date, datetime

import pytest
from sqlalchemy import select

from canteen import clock, events
from canteen.auth import humans
from canteen.db import transaction
from canteen.ledger import transfers
from canteen.settlement.audit import verify
from canteen.settlement.claims import claims, review, steps, withheld_meals, workflow
from canteen.settlement.claims.claims import MoveNotOpen, NeedsReason, SamePerson
from canteen.settlement.models import Finding, WithheldMeal
from tests import world
from tests.rigs.states import state
from tests.settlement.conftest import Town, at

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
FEB3 = date(2026, 2, 3)
FEB6 = at(date(2026, 2, 6), 9)


@state
def claimed(town: Town) -> Town:
    """January closed with two meals, 10.00 claimed."""
    town.sales = [town.sell(JAN5, town.cards[0])[0], town.sell(JAN6, town.cards[0])[0]]  # type: ignore[attr-defined]
    town.close("2026-01")
    return town


def go(town: Town, month: str, *acts: tuple[str, str], when: datetime = FEB6) -> str:
    with clock.at(when):
        for act, by in acts:
            state = workflow.move(town.claim(month).id, act, by=by)
    return state


TO_REVIEW = (("submit", "p-manager"),)
TO_APPROVED = (*TO_REVIEW, ("review", "p-street"), ("determine", "p-finance"), ("approve", "p-chief2"))


def balances(town: Town) -> dict[tuple[str, str], int]:
    town.session.rollback()
    return {key: fen for key, fen in transfers.balances(town.session, "k1").items() if key[0] == "city" and fen}


def test_an_approved_claim_moves_its_money_from_open_to_claimed(claimed: Town):
    assert go(claimed, "2026-01", *TO_APPROVED) == "approved"

    assert balances(claimed) == {("city", "granted"): -1000, ("city", "claimed"): 1000}


def test_each_move_is_a_decision_with_its_number_and_an_event(claimed: Town):
    go(claimed, "2026-01", *TO_APPROVED)

    done = claims.decisions(claimed.session, claimed.claim("2026-01").id)
    assert [(d.n, d.move, d.by, d.to_state) for d in done] == [
        (1, "submit", "p-manager", "submitted"),
        (2, "review", "p-street", "reviewed"),
        (3, "determine", "p-finance", "determined"),
        (4, "approve", "p-chief2", "approved"),
    ]
    kinds = [claimed.session.get_one(events.Event, decision.recorded).kind for decision in done]
    assert kinds == ["claim.submit", "claim.review", "claim.determine", "claim.approve"]


def test_a_move_out_of_turn_is_refused(claimed: Town):
    with pytest.raises(MoveNotOpen):
        go(claimed, "2026-01", ("approve", "p-chief2"))


def test_a_move_made_on_an_old_view_is_refused(claimed: Town):
    claim_id = claimed.claim("2026-01").id
    go(claimed, "2026-01", *TO_REVIEW)

    with clock.at(FEB6), pytest.raises(MoveNotOpen):
        workflow.move(claim_id, "review", by="p-street", at=0)


@pytest.mark.parametrize(
    ("first", "second"),
    [("submit", "review"), ("submit", "approve"), ("review", "determine"), ("determine", "approve")],
)
def test_nobody_makes_two_steps_of_a_claim(claimed: Town, first: str, second: str):
    people = dict(TO_APPROVED) | {second: dict(TO_APPROVED)[first]}
    order = list(steps.ORDER)

    go(claimed, "2026-01", *[(act, people[act]) for act in order[: order.index(second)]])
    with pytest.raises(SamePerson):
        go(claimed, "2026-01", (second, people[second]))


def test_two_accounts_of_one_human_are_one_person(claimed: Town):
    humans.tie("p-finance", "p-chief2", by="p-admin")
    go(claimed, "2026-01", *TO_APPROVED[:3])

    with pytest.raises(SamePerson):
        go(claimed, "2026-01", ("approve", "p-chief2"))


def test_movers_of_a_returned_claim_stay_apart_next_round(claimed: Town):
    go(claimed, "2026-01", *TO_APPROVED[:2])
    with clock.at(FEB6):
        workflow.move(claimed.claim("2026-01").id, "return", by="p-finance", reason="请补充说明")

    with pytest.raises(SamePerson):
        go(claimed, "2026-01", ("submit", "p-street"))


@pytest.mark.parametrize("reason", ["  不 ", "长" * 501])
def test_a_return_needs_a_meaningful_printable_reason(claimed: Town, reason: str):
    go(claimed, "2026-01", *TO_REVIEW)

    with clock.at(FEB6), pytest.raises(NeedsReason):
        workflow.move(claimed.claim("2026-01").id, "return", by="p-street", reason=reason)


def test_a_gap_stops_the_submission_until_it_is_filled(town: Town):
    town.sell(JAN5, town.cards[0])
    kept = town.sealed(JAN5, None, hour=12)
    town.sell(JAN6, town.cards[0])
    town.close("2026-01")

    assert [f.code for f in town.findings("2026-01")] == ["gap"]
    with pytest.raises(workflow.GapOpen):
        go(town, "2026-01", *TO_REVIEW)
    town.bring(at(date(2026, 2, 6), 8), kept)
    assert go(town, "2026-01", *TO_REVIEW) == "submitted"


@state
def doubtful(town: Town) -> Town:
    """January with a finding: the tablet's clock was an hour off at one of two meals."""
    town.sell(JAN5, town.cards[0])
    sealed = town.sealed(JAN6, town.cards[0])
    with clock.at(at(JAN6, 11, 31)):
        body = world.checkout_body(town.till, [town.elder()])
    with clock.at(at(JAN6, 12)):
        wrong = world.seal(town.till, body, at=clock.local(at(JAN6, 13)))
    town.bring(at(JAN6, 12), sealed, wrong)
    town.close("2026-01")
    assert [f.code for f in town.findings("2026-01")] == ["clock"]
    return town


def test_a_review_waits_until_every_finding_is_answered(doubtful: Town):
    go(doubtful, "2026-01", *TO_REVIEW)
    with pytest.raises(workflow.Unjudged):
        go(doubtful, "2026-01", ("review", "p-street"))

    review.answer(doubtful.findings("2026-01")[0].id, "accepted", reason="", by="p-street")

    assert go(doubtful, "2026-01", ("review", "p-street")) == "reviewed"


def test_a_withheld_meal_is_released_into_the_next_claim(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    go(doubtful, "2026-01", *TO_REVIEW)
    review.answer(finding.id, "withheld", reason="时钟需核实", by="p-street")
    doubtful.session.rollback()
    (withheld,) = doubtful.session.execute(select(WithheldMeal)).scalars()
    withheld_id = withheld.id
    assert (withheld.line_n, withheld.sale_id, withheld.share_n, withheld.fen) == (1, finding.sale_id, 1, 500)

    go(doubtful, "2026-01", *TO_APPROVED[1:])
    assert balances(doubtful) == {("city", "granted"): -1500, ("city", "claimed"): 1000, ("city", "open"): 500}
    with pytest.raises(SamePerson):
        review.clear(withheld_id, "released", reason="已经核对", by="p-street")
    with clock.at(FEB6):
        review.clear(withheld_id, "released", reason="已经核对", by="p-finance")
    doubtful.close("2026-02")

    assert doubtful.lines("2026-02") == [("released", "city", "2026-01", "k1-202601/1", 1, 1, 500)]
    go(doubtful, "2026-02", *TO_APPROVED, when=at(date(2026, 3, 6)))
    assert balances(doubtful) == {("city", "granted"): -1500, ("city", "claimed"): 1500}


def test_a_released_meal_is_in_one_claim_only(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    review.answer(finding.id, "withheld", reason="时钟需核实", by="p-street")
    withheld_id = doubtful.session.execute(select(WithheldMeal.id)).scalar_one()
    review.clear(withheld_id, "released", reason="已经核对", by="p-finance")
    doubtful.close("2026-02")
    doubtful.close("2026-03")

    assert doubtful.lines("2026-03") == []
    with pytest.raises(withheld_meals.WithheldAnswered):
        review.clear(withheld_id, "disallowed", reason="再想一想", by="p-finance")


def test_a_disallowed_meal_leaves_open_at_the_approval(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    go(doubtful, "2026-01", *TO_REVIEW)
    review.answer(finding.id, "disallowed", reason="无人就餐", by="p-street")
    go(doubtful, "2026-01", *TO_APPROVED[1:])

    assert balances(doubtful) == {("city", "granted"): -1500, ("city", "claimed"): 1000, ("city", "disallowed"): 500}


def test_a_withheld_meal_voided_later_nets_to_zero_next_claim(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    review.answer(finding.id, "withheld", reason="时钟需核实", by="p-street")
    go(doubtful, "2026-01", *TO_APPROVED)
    doubtful.void(str(finding.sale_id), at(date(2026, 2, 11)))
    doubtful.close("2026-02")

    assert doubtful.lines("2026-02") == [
        ("adjustment", "city", "2026-01", "k1-202601/1", 1, 1, -500),
        ("released", "city", "2026-01", "k1-202601/1", 1, 1, 500),
    ]


def test_a_disallowed_meal_voided_later_costs_the_next_nothing(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    go(doubtful, "2026-01", *TO_REVIEW)
    review.answer(finding.id, "disallowed", reason="无人就餐", by="p-street")
    go(doubtful, "2026-01", *TO_APPROVED[1:])
    doubtful.void(str(finding.sale_id), at(date(2026, 2, 11)))
    doubtful.close("2026-02")

    assert doubtful.claim("2026-02").fen == 0
    assert balances(doubtful) == {("city", "granted"): -1000, ("city", "claimed"): 1000}


def test_withholding_needs_a_reason_and_money_in_the_claim(claimed: Town):
    claim_id = claimed.claim("2026-01").id
    sale = uuid.UUID(claimed.sales[0])  # type: ignore[attr-defined]
    with pytest.raises(NeedsReason):
        review.withhold(claim_id, sale, "withheld", reason="", by="p-street")
    claimed.void(str(sale), at(date(2026, 2, 5)))

    with pytest.raises(withheld_meals.NothingToWithhold):
        review.withhold(claim_id, sale, "withheld", reason="需要核实", by="p-street")


def test_nothing_is_withheld_once_the_claim_is_determined(claimed: Town):
    go(claimed, "2026-01", *TO_APPROVED[:3])

    with pytest.raises(MoveNotOpen):
        review.withhold(
            claimed.claim("2026-01").id, uuid.UUID(claimed.sales[0]), "withheld", reason="需要核实", by="p-street"
        )  # type: ignore[attr-defined]


def test_an_earlier_meal_after_a_death_is_taken_back_next_claim(town: Town):
    from canteen.registry import elders  # noqa: PLC0415 - needs the application

    town.sell(JAN5, town.cards[0])
    town.sell(JAN6, town.cards[0])
    town.close("2026-01")
    go(town, "2026-01", *TO_APPROVED)
    with clock.at(at(date(2026, 2, 8))), transaction() as session:
        number = events.record(session, "elder.facts", str(town.elders[0]), by="p-admin")
        elders.add_fact(session, town.elders[0], "status", "deceased", JAN5, None, "民政", number)
    town.close("2026-02")
    (found,) = town.findings("2026-02")
    assert (found.code, found.fen) == ("after_death", 500)

    with clock.at(at(date(2026, 3, 6))), pytest.raises(review.ClaimedBefore):
        review.answer(found.id, "withheld", reason="先暂缓吧", by="p-street")
    with clock.at(at(date(2026, 3, 6))):
        review.answer(found.id, "disallowed", reason="身故后就餐", by="p-street")
    town.close("2026-03")

    assert town.lines("2026-03") == [("adjustment", "city", "2026-01", "k1-202601/1", 1, 1, -500)]
    assert balances(town)["city", "excluded"] == 500


def test_a_claim_below_zero_is_carried_into_the_next(town: Town):
    sale = town.sell(JAN5, town.cards[0])[0]
    town.close("2026-01")
    go(town, "2026-01", *TO_APPROVED)
    town.void(sale, at(date(2026, 2, 11)))
    town.close("2026-02")
    assert go(town, "2026-02", *TO_APPROVED, when=at(date(2026, 3, 6))) == "carried"
    town.sell(date(2026, 3, 9), town.cards[0])
    town.sell(date(2026, 3, 10), town.cards[0])

    town.close("2026-03")

    assert town.lines("2026-03") == [
        ("meals", "city", "2026-03", "", 2, 1, 1000),
        ("carried", "city", "2026-01", "k1-202602", 0, 0, -500),
    ]
    assert go(town, "2026-03", *TO_APPROVED, when=at(date(2026, 4, 6))) == "approved"
    assert balances(town) == {("city", "granted"): -1000, ("city", "claimed"): 1000}


def test_an_empty_claim_needs_no_payment(town: Town):
    town.close("2026-01")

    assert go(town, "2026-01", *TO_APPROVED) == "settled"


# --- payouts ---


def test_whoever_withheld_a_meal_cannot_release_it_by_an_answer(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    review.answer(finding.id, "withheld", reason="时钟需核实", by="p-street")

    with pytest.raises(SamePerson):
        review.answer(finding.id, "accepted", reason="", by="p-street")
    review.answer(finding.id, "accepted", reason="", by="p-finance")

    doubtful.close("2026-02")
    assert doubtful.lines("2026-02") == [("released", "city", "2026-01", "k1-202601/1", 1, 1, 500)]


def test_nobody_judges_what_they_submitted_or_sold_or_reverse(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    with pytest.raises(SamePerson):
        review.answer(finding.id, "accepted", reason="", by="p-cashier")
    review.answer(finding.id, "withheld", reason="时钟需核实", by="p-street")
    with pytest.raises(SamePerson):
        go(doubtful, "2026-01", ("submit", "p-street"))
    go(doubtful, "2026-01", *TO_REVIEW)

    with pytest.raises(SamePerson):
        review.answer(finding.id, "accepted", reason="", by="p-manager")


def test_an_answer_made_on_an_old_view_of_the_finding_is_refused(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    review.answer(finding.id, "withheld", reason="时钟需核实", by="p-street", seen=0)

    with pytest.raises(review.Answered):
        review.answer(finding.id, "accepted", reason="", by="p-finance", seen=0)
    with pytest.raises(review.Answered):
        review.withhold(doubtful.claim("2026-01").id, finding.sale_id, "disallowed", reason="无人就餐", by="p-finance")


def test_a_move_is_refused_when_the_amount_seen_has_changed(claimed: Town):
    claim_id = claimed.claim("2026-01").id
    go(claimed, "2026-01", *TO_REVIEW)
    review.withhold(claim_id, uuid.UUID(claimed.sales[0]), "withheld", reason="需要核实", by="p-finance")  # type: ignore[attr-defined]

    with clock.at(FEB6), pytest.raises(workflow.AmountMoved):
        workflow.move(claim_id, "review", by="p-street", approved=1000)
    with clock.at(FEB6):
        assert workflow.move(claim_id, "review", by="p-street", approved=500) == "reviewed"


@pytest.mark.parametrize("approved", [False, True])
def test_a_wrongly_disallowed_meal_is_released_by_another(doubtful: Town, approved: bool):
    (finding,) = doubtful.findings("2026-01")
    go(doubtful, "2026-01", *TO_REVIEW)
    review.answer(finding.id, "disallowed", reason="无人就餐", by="p-street")
    withheld_id = doubtful.session.execute(select(WithheldMeal.id)).scalar_one()
    if approved:
        go(doubtful, "2026-01", *TO_APPROVED[1:])
    with clock.at(FEB6), pytest.raises(SamePerson):
        review.clear(withheld_id, "released", reason="食堂已说明", by="p-street")
    with clock.at(FEB6):
        review.clear(withheld_id, "released", reason="食堂已说明", by="p-finance")
    if not approved:
        go(doubtful, "2026-01", *TO_APPROVED[1:])
    assert balances(doubtful) == {("city", "granted"): -1500, ("city", "claimed"): 1000, ("city", "open"): 500}
    doubtful.close("2026-02")

    assert doubtful.lines("2026-02") == [("released", "city", "2026-01", "k1-202601/1", 1, 1, 500)]
    for month in ("2026-01", "2026-02"):
        assert verify.period(doubtful.period(month).id).differences == ()


def test_a_released_meal_voided_later_is_taken_back(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    go(doubtful, "2026-01", *TO_REVIEW)
    review.answer(finding.id, "disallowed", reason="无人就餐", by="p-street")
    go(doubtful, "2026-01", *TO_APPROVED[1:])
    with clock.at(FEB6):
        review.clear(
            doubtful.session.execute(select(WithheldMeal.id)).scalar_one(),
            "released",
            reason="食堂已说明",
            by="p-finance",
        )
    doubtful.close("2026-02")
    doubtful.void(str(finding.sale_id), at(date(2026, 3, 5)))
    doubtful.close("2026-03")

    assert doubtful.lines("2026-03") == [("adjustment", "city", "2026-01", "k1-202601/1", 1, 1, -500)]
    assert verify.period(doubtful.period("2026-03").id).differences == ()


def test_findings_are_facts(doubtful: Town):
    (finding,) = doubtful.findings("2026-01")
    doubtful.session.rollback()

    found = doubtful.session.get_one(Finding, finding.id)
    found.fen = 0
    with pytest.raises(Exception, match=r"law|permission denied"):
        doubtful.session.flush()
    doubtful.session.rollback()
