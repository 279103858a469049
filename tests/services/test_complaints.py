"""A complaint is registered, answered in time, and closed by another than who answered."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import humans
from canteen.commands import doctor
from canteen.config import Config
from canteen.db import db, transaction
from canteen.services import complaints
from canteen.services.complaints import NewComplaint
from tests.auth.house import EAST, WEST, Browser, a_person, build_city
from tests.invariants.test_constraints import drop_trigger, owner, refused, run
from tests.rigs.states import state

__all__ = ["owner"]

MONDAY = date(2026, 6, 8)
SENT = {
    "canteen": "east",
    "received_on": "2026-06-08",
    "channel": "12349",
    "category": "food",
    "words": "中午的菜是凉的",
    "caller_name": "王大爷",
    "contact": "13900000000",
}
STEP = """INSERT INTO complaint_step (complaint_id, n, kind, words, assignee, due_on, "by", at, recorded)
          VALUES (1, {n}, '{kind}', '字', '', '2026-06-15', '{by}', '2026-06-08T02:00:00.000000Z', 1)"""


@state
def city(app: Flask) -> None:
    with clock.at(clock.instant(MONDAY, 540)):
        build_city()
        a_person("manager", ("manager", "canteen", "east"))
        a_person("street", ("reviewer", "area", EAST))
        a_person("bureau", ("admin", "area", EAST))
        a_person("other", ("reviewer", "area", WEST))
        a_person("auditor", ("auditor", "area", EAST))


@pytest.fixture
def desks(app: Flask, city: None) -> Iterator[dict[str, Browser]]:
    with clock.at(clock.instant(MONDAY, 600)):
        found = {}
        for who in ("manager", "street", "bureau", "other", "auditor"):
            found[who] = Browser(app.test_client())
            found[who].log_in(who)
        yield found


@pytest.fixture
def number(city: None, session: Session) -> Iterator[int]:
    with clock.at(clock.instant(MONDAY, 600)):
        yield registered()


def registered() -> int:
    new = NewComplaint("east", MONDAY, "phone", "food", "菜凉")
    with transaction() as session:
        return complaints.register(session, new, by="id-street")


def step(number: int, kind: str, by: str, words: str = "已查实") -> None:
    with transaction() as session:
        complaints.take_step(session, number, kind, words, by=by)


def test_a_complaint_goes_to_the_canteen_and_back(desks: dict[str, Browser]) -> None:
    street, manager = desks["street"], desks["manager"]
    assert street.post("/desk/complaints/new", **SENT).status_code == 302
    assert "第 1 号" in manager.get("/desk/complaints").text
    page = manager.get("/desk/complaints/1").text
    assert all(text in page for text in ("中午的菜是凉的", "13900000000", "2026年6月15日"))
    assert street.post("/desk/complaints/1/assign", assignee="id-manager").status_code == 302
    assert manager.post("/desk/complaints/1/answer", words="保温箱坏了，已更换").status_code == 302
    assert street.post("/desk/complaints/1/return", words="请写明回访").status_code == 302
    assert manager.post("/desk/complaints/1/answer", words="已回访，满意").status_code == 302
    assert street.post("/desk/complaints/1/close", words="满意").status_code == 302
    assert "保温箱坏了" in street.get("/desk/complaints/1").text
    assert "第 1 号" not in street.get("/desk/complaints").text
    assert "第 1 号" in street.get("/desk/complaints?state=closed").text


def test_who_may_do_what_to_a_complaint(desks: dict[str, Browser]) -> None:
    assert desks["manager"].post("/desk/complaints/new", **SENT).status_code == 403
    assert desks["other"].post("/desk/complaints/new", **SENT).status_code == 422
    desks["street"].post("/desk/complaints/new", **SENT)
    desks["street"].post("/desk/complaints/1/answer", words="街道答复")
    assert desks["manager"].post("/desk/complaints/1/close", words="好").status_code == 403
    assert desks["other"].get("/desk/complaints/1").status_code == 404
    assert desks["other"].post("/desk/complaints/1/close", words="好").status_code == 404
    assert "13900000000" not in desks["auditor"].get("/desk/complaints/1").text
    own = desks["street"].post("/desk/complaints/1/close", words="好")
    assert (own.status_code, "请由另一位" in own.text) == (409, True)
    assert desks["bureau"].post("/desk/complaints/1/close", words="好").status_code == 302


@pytest.mark.parametrize(
    "wrong",
    [
        {"words": " "},
        {"words": "长" * 1001},
        {"channel": "x"},
        {"category": ""},
        {"received_on": "2026-06-09"},
        {"received_on": "2026-02-30"},
        {"canteen": "west"},
    ],
)
def test_a_bad_complaint_is_refused_and_typed_words_stay(desks: dict[str, Browser], wrong: dict[str, str]) -> None:
    answer = desks["street"].post("/desk/complaints/new", **SENT | wrong)
    assert answer.status_code == 422
    assert "请选择食堂" in answer.text
    assert "王大爷" in answer.text


@pytest.mark.parametrize(
    ("received", "due"),
    [
        (date(2026, 6, 8), date(2026, 6, 15)),
        (date(2026, 6, 12), date(2026, 6, 22)),  # 19 June is 端午节
        (date(2026, 6, 13), date(2026, 6, 22)),
        (date(2026, 9, 30), date(2026, 10, 13)),  # the week of 国庆节; 10 October is worked instead
    ],
)
def test_the_deadline_counts_working_days(city: None, session: Session, received: date, due: date) -> None:
    assert complaints.due_after(session, received) == due


def test_an_answer_is_overdue_the_day_after_its_last(desks: dict[str, Browser], number: int) -> None:
    for day, late in ((date(2026, 6, 15), {}), (date(2026, 6, 16), {"east餐厅": 1})):
        with clock.at(clock.instant(day, 600)):
            assert complaints.overdue_counts(db.session()) == late
            db.session.rollback()
    with clock.at(clock.instant(date(2026, 6, 16), 600)):
        desks["manager"].log_in("manager")
        assert "投诉超期未答复：east餐厅 1 件" in desks["manager"].get("/desk", follow_redirects=True).text
        assert "第 1 号" in desks["manager"].get("/desk/complaints?state=overdue").text
        step(number, "answer", "id-manager")
        assert complaints.overdue_counts(db.session()) == {}


def test_doctor_names_where_answers_are_overdue(number: int, config: Config) -> None:
    report = doctor.Report()
    with clock.at(clock.instant(date(2026, 6, 16), 600)):
        doctor._late_answers(config, report)
    assert "complaints about east餐厅 overdue for an answer: 1; see /desk/complaints" in report.warnings


def test_two_accounts_of_one_person_are_one_answerer(number: int) -> None:
    humans.tie("id-manager", "id-street", by="id-bureau")
    step(number, "answer", "id-manager")
    with pytest.raises(complaints.AnsweredByYou):
        step(number, "close", "id-street")
    step(number, "close", "id-bureau")
    with pytest.raises(complaints.OutOfTurn):
        step(number, "answer", "id-manager")


def test_a_list_is_paged_by_number(city: None, session: Session) -> None:
    with clock.at(clock.instant(MONDAY, 600)):
        for _ in range(complaints.SIZE + 1):
            registered()
        first, rest = complaints.standing(session, {"east"})
        second, end = complaints.standing(session, {"east"}, before=rest)
    assert (len(first), rest, [one.complaint.id for one in second], end) == (complaints.SIZE, 2, [1], None)


# --- what the database refuses ---


def test_no_step_of_a_complaint_is_skipped_or_repeated(number: int, owner: Engine) -> None:
    wrong = (
        STEP.format(n=3, kind="answer", by="a"),
        STEP.format(n=2, kind="register", by="a"),
        STEP.format(n=2, kind="close", by="a"),
    )
    for statement in wrong:
        assert refused(partial(run, owner, statement)), statement
    drop_trigger(owner, "law_complaint_in_turn")
    run(owner, wrong[0])


def test_nothing_follows_the_close_of_a_complaint(number: int, owner: Engine) -> None:
    step(number, "answer", "id-manager")
    step(number, "close", "id-street")
    late = STEP.format(n=4, kind="answer", by="id-manager")
    assert refused(partial(run, owner, late))
    drop_trigger(owner, "law_complaint_in_turn")
    run(owner, late)


def test_who_answered_does_not_close(number: int, owner: Engine) -> None:
    step(number, "answer", "id-manager")
    own = STEP.format(n=3, kind="close", by="id-manager")
    assert refused(partial(run, owner, own))
    drop_trigger(owner, "law_complaint_two_people")
    run(owner, own)


def test_an_answer_is_neither_changed_nor_removed(number: int, owner: Engine) -> None:
    for statement in ("UPDATE complaint_step SET words = 'x'", "DELETE FROM complaint", "DELETE FROM complaint_step"):
        assert refused(partial(run, owner, statement)), statement
    act = "update" if owner.dialect.name == "sqlite" else "change"
    drop_trigger(owner, f"law_complaint_step_no_{act}")
    run(owner, "UPDATE complaint_step SET words = 'x'")
