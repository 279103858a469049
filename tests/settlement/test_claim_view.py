"""What the page of a claim offers to one reader is decided in Python, rule by rule."""

from __future__ import annotations

from datetime import date

from canteen import clock
from canteen.settlement.claims import steps, workflow
from canteen.settlement.desk import claim_view
from canteen.settlement.desk.claim_view import ClaimView, Viewer
from tests.settlement.conftest import Town, at

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
FEB6 = at(date(2026, 2, 6), 9)


def view(town: Town, *moves: str, by: str = "p-chief2", may: bool = True) -> ClaimView:
    viewer = Viewer(by, may=lambda _permission: may, judges=may, insider=may)
    with clock.at(FEB6):
        return claim_view.of(town.claim("2026-01"), viewer, steps.DEFAULT, lambda _state: moves)


def test_a_submission_is_not_ready_while_numbers_are_missing(town: Town):
    town.sell(JAN5, town.cards[0])
    kept = town.sealed(JAN5, None, hour=12)
    town.sell(JAN6, town.cards[0])
    town.close("2026-01")

    waiting = view(town, "submit")
    town.bring(at(date(2026, 2, 6), 8), kept)
    filled = view(town, "submit")

    assert [(run.gap.first, run.others) for run in waiting.missing] == [(2, ())]
    assert ([one.ready for one in waiting.moves], [one.ready for one in filled.moves]) == ([False], [True])
    assert (filled.missing, filled.moves[0].amount) == ([], None)


def test_an_actor_is_blocked_from_the_next_move_by_their_own(town: Town):
    town.sell(JAN5, town.cards[0])
    town.close("2026-01")
    with clock.at(FEB6):
        workflow.move(town.claim("2026-01").id, "submit", by="p-manager")

    blocked = {by: view(town, "review", "return", by=by).moves for by in ("p-manager", "p-street")}

    assert [(one.move, one.blocked_by) for one in blocked["p-manager"]] == [("review", "submit"), ("return", "")]
    assert [(one.move, one.blocked_by, one.amount) for one in blocked["p-street"]] == [
        ("review", "", 500),
        ("return", "", None),
    ]


def test_without_rights_a_claim_offers_nothing_and_says_so(town: Town):
    town.sell(JAN5, town.cards[0])
    town.close("2026-01")

    seen = view(town, may=False)

    assert (seen.moves, seen.may_export, seen.may_enter, seen.may_answer) == ([], False, False, False)
    assert seen.note == "目前待申报，没有需要您办理的事项。"
