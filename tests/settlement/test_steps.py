"""The workflow of a claim is configuration; that maker and approver differ is not."""

from __future__ import annotations

import pytest

from canteen.settlement.claims import steps


def test_a_claim_passes_street_and_bureau_by_default():
    state, moves_made = "draft", []
    while moves := [move for move in steps.DEFAULT.moves_from(state) if move != "return"]:
        moves_made.append(moves[0])
        state = steps.DEFAULT.target(moves[0], 100)

    assert moves_made == ["submit", "review", "determine", "approve"]
    assert state == "approved"


def test_a_claim_may_be_returned_until_it_is_approved():
    assert steps.DEFAULT.sources("return") == ("submitted", "reviewed", "determined")
    assert steps.DEFAULT.moves_from("returned") == ("submit",)


def test_a_small_bureau_may_leave_steps_out():
    workflow_steps = steps.read('{"steps": ["submit", "approve"]}')

    assert workflow_steps.sources("review") == ()
    assert workflow_steps.moves_from("submitted") == ("approve", "return")


@pytest.mark.parametrize("state", ["reviewed", "determined"])
def test_a_claim_that_passed_a_step_left_out_since_goes_on(state: str):
    assert steps.read('{"steps": ["submit", "approve"]}').moves_from(state) == ("approve", "return")


@pytest.mark.parametrize("text", ["", "[]", '{"steps": ["approve", "submit"]}', '{"steps": ["submit"]}', '{"who": 1}',
    '{"steps": ["submit", "bless", "approve"]}', '{"apart": [["submit"]]}', '{"apart": [["submit", "bless"]]}', '{"apart": "all"}'])  # fmt: skip
def test_steps_that_are_not_ours_are_refused(text: str):
    with pytest.raises(steps.BadSteps):
        steps.read(text)


@pytest.mark.parametrize("text", ['{"apart": []}', '{"steps": ["submit", "approve"], "apart": []}'])
def test_maker_and_approver_stay_apart_whatever_is_configured(text: str):
    workflow_steps = steps.read(text)

    assert {"submit", "determine"} <= workflow_steps.conflicting_moves("approve")
    assert "enter" in workflow_steps.conflicting_moves("check")


def test_by_default_nobody_makes_two_steps():
    for move in steps.ORDER:
        assert set(steps.ORDER) - {move} <= steps.DEFAULT.conflicting_moves(move)


@pytest.mark.parametrize(("approved", "state"), [(1, "approved"), (0, "settled"), (-1, "carried")])
def test_an_approval_of_nothing_or_less_has_nothing_to_pay(approved: int, state: str):
    assert steps.DEFAULT.target("approve", approved) == state
