"""Lost is a run of a tablet's numbers by the word of two people: it releases those numbers and no others."""

from __future__ import annotations

import re
from datetime import date

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from canteen import clock
from canteen.auth import humans
from canteen.auth.models import LostNumbers
from canteen.auth.tablets import NoTablet
from canteen.db import transaction
from canteen.errors import Invalid
from canteen.pos import lost_numbers
from canteen.pos.lost_numbers import LostRefused, NotMissing, Run
from canteen.settlement.claims import missing_records, workflow
from tests import world
from tests.auth.house import Browser, a_person
from tests.rigs.states import state
from tests.settlement.conftest import Town, at
from tests.settlement.test_workflow import TO_REVIEW, go

JAN5, JAN6, JAN7 = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 7)
FEB3 = date(2026, 2, 3)
WHY = "平板进水，无法开机"
LOST = "/desk/tablets/t1/lost"

runs = st.builds(lambda first, size: Run(1, first, first + size), st.integers(1, 30), st.integers(0, 10))


@given(runs, st.lists(runs, max_size=5))
def test_what_is_left_of_a_run_is_exact(run: Run, gone: list[Run]) -> None:
    left = [number for one in lost_numbers.without(run, gone) for number in range(one.first, one.last + 1)]

    away = {number for one in gone for number in range(one.first, one.last + 1)}
    assert left == [number for number in range(run.first, run.last + 1) if number not in away]
    assert list(lost_numbers.without(run, [Run(2, one.first, one.last) for one in gone])) == [run]


@state
def holes(town: Town) -> Town:
    """Numbers 2 and 4 to 6 of January and February never came."""
    town.sell(JAN5, town.cards[0])
    town.sealed(JAN5, None, hour=12)
    town.sell(JAN6, town.cards[0])
    for hour in (11, 12, 13):
        town.sealed(JAN7, None, hour=hour)
    town.sell(FEB3, town.cards[0])
    town.close("2026-01")
    return town


def declared(first: int, last: int, *, by: str = "p-manager") -> int:
    lost_numbers.declare("t1", Run(1, first, last), WHY, by=by)
    with transaction() as session:
        return session.execute(select(LostNumbers.id).where(LostNumbers.first_number == first)).scalar_one()


def owed(town: Town, month: str = "2026-01") -> list[tuple[int, int, str | None]]:
    return [(gap.first, gap.last, gap.declared_by) for gap in missing_records.missing(town.period(month))]


def test_one_lost_number_gives_up_no_other(holes: Town):
    number = declared(2, 2)
    assert owed(holes) == [(2, 2, "p-manager"), (4, 6, None)]
    lost_numbers.confirm(number, by="p-street")

    assert owed(holes) == [(4, 6, None)]
    with pytest.raises(workflow.GapOpen):
        go(holes, "2026-01", *TO_REVIEW)


def test_a_gap_over_the_end_of_a_month_holds_both_months(town: Town):
    town.sell(date(2026, 1, 20), town.cards[0])
    town.sealed(date(2026, 1, 20), None, hour=12)
    for day in (date(2026, 1, 21), date(2026, 1, 30)):
        town.sell(day, town.cards[0])
    town.sealed(date(2026, 1, 31), None)
    town.sell(FEB3, town.cards[0])
    town.close("2026-01")
    town.close("2026-02")

    assert owed(town) == [(2, 2, None), (5, 5, None)]
    assert owed(town, "2026-02") == [(5, 5, None)]


def test_a_part_of_a_gap_may_be_lost_and_the_rest_holds(holes: Town):
    lost_numbers.confirm(declared(5, 5), by="p-street")

    assert owed(holes) == [(2, 2, None), (4, 4, None), (6, 6, None)]


def test_a_claim_goes_on_once_all_its_gaps_are_lost(holes: Town):
    for first, last in ((2, 2), (4, 6)):
        lost_numbers.confirm(declared(first, last), by="p-street")

    assert go(holes, "2026-01", *TO_REVIEW) == "submitted"


@pytest.mark.parametrize(("first", "last"), [(1, 1), (1, 2), (2, 3), (3, 6), (4, 7), (8, 8), (8, 999_999)])
def test_only_what_is_missing_can_be_lost(holes: Town, first: int, last: int):
    with pytest.raises(NotMissing):
        lost_numbers.declare("t1", Run(1, first, last), WHY, by="p-manager")


def test_a_loss_needs_a_reason_and_a_tablet(holes: Town):
    with pytest.raises(Invalid):
        lost_numbers.declare("t1", Run(1, 2, 2), "坏", by="p-manager")
    for act in (
        lambda: lost_numbers.declare("t9", Run(1, 2, 2), WHY, by="x"),
        lambda: lost_numbers.confirm(77, by="x"),
    ):
        with pytest.raises(NoTablet):
            act()


def test_a_loss_is_confirmed_by_another_and_once(app: Flask, holes: Town):
    first, second = (a_person(login, ("reviewer", "area", world.STREET)) for login in ("day", "night"))
    humans.tie(first, second, by="system")
    number = declared(2, 2, by=first)
    for who in (first, second):
        with pytest.raises(LostRefused):
            lost_numbers.confirm(number, by=who)
    lost_numbers.confirm(number, by="p-street")
    with pytest.raises(LostRefused):
        lost_numbers.confirm(number, by="p-chief2")
    with pytest.raises(LostRefused):
        declared(2, 2)


def row(first: int, last: int) -> dict[str, object]:
    run = {"tablet_id": "t1", "epoch": 1, "first_number": first, "last_number": last}
    return run | {"reason": WHY, "declared_by": "p-manager", "declared_at": clock.now()}


def test_the_database_refuses_one_person_for_two(holes: Town):
    declared(2, 2)
    with pytest.raises(IntegrityError), transaction() as session:
        session.execute(update(LostNumbers).values(confirmed_by="p-manager", confirmed_at=clock.now()))


@pytest.mark.parametrize(("first", "last"), [(4, 4), (6, 9), (1, 9), (5, 5), (0, 1), (3, 2)])
def test_the_database_refuses_runs_that_overlap_or_are_none(holes: Town, first: int, last: int):
    declared(4, 6)
    with pytest.raises(DBAPIError), transaction() as session:
        session.execute(insert(LostNumbers).values(row(first, last)))


def test_what_was_lost_and_comes_is_booked_all_the_same(town: Town):
    town.sell(JAN5, town.cards[0])
    kept = town.sealed(JAN6, town.cards[0])
    town.sell(JAN7, town.cards[0])
    town.close("2026-01")
    lost_numbers.confirm(declared(2, 2), by="p-street")

    (result,) = town.bring(at(FEB3), kept)

    assert result.outcome == "created"
    assert lost_numbers.missing(town.session, "t1") == []


def words(answer: object) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.text))  # type: ignore[attr-defined]


def test_the_desk_leads_from_the_gap_to_the_second_person(app: Flask, holes: Town):
    holes.close("2026-02")
    a_person("manager", ("manager", "canteen", "c1"))
    a_person("street", ("reviewer", "area", world.STREET))
    head, street = Browser(app.test_client()), Browser(app.test_client())
    head.log_in("manager")
    street.log_in("street")
    link = f"{LOST}?epoch=1&amp;first=4&amp;last=6"

    page = head.get("/desk/claims/k1-202601")
    assert link in page.text
    assert "还挡住 k1-202602" in words(page)
    page = head.get(link.replace("&amp;", "&"))
    assert 'name="first" type="text" value="4"' in page.text
    assert "第 1 段 第 4–6 号 k1-202601 、 k1-202602" in words(page)
    assert head.post(LOST, epoch="1", first="x", last="6", reason=WHY).status_code == 422
    assert head.post(LOST, epoch="1", first="3", last="6", reason=WHY).status_code == 409
    head.post(LOST, epoch="1", first="4", last="6", reason=WHY)

    page = street.get("/desk/lost")
    assert "第 1 段 第 4–6 号" in words(page)
    assert "k1-202601" in page.text
    (act,) = re.findall(r"/desk/lost/\d+/confirm", page.text)
    assert "/confirm" not in head.get("/desk/lost").text
    assert head.post(act).status_code == 403
    assert street.post(act).status_code == 302
    assert owed(holes) == [(2, 2, None)]
    assert "没有等待确认的遗失登记" in street.get("/desk/lost").text
