"""Changes by two people: what the database refuses whatever code would get wrong."""

from __future__ import annotations

from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from canteen.auth import change_requests
from canteen.auth.change_requests import RequestLine
from canteen.db import transaction
from tests.invariants.test_constraints import drop_trigger, owner, refused, run

__all__ = ["owner"]

ANSWER = """INSERT INTO change_answer (request_id, outcome, reason, "by", at)
            SELECT id, '{outcome}', '{reason}', '{by}', asked_at FROM change_request"""


@pytest.fixture(autouse=True)
def asked(app: Flask, session: Session) -> None:
    """A request by p-maker."""
    with transaction():
        change_requests.ask(session, "elder.facts", "x", [RequestLine("x", {"facts": []})], [], by="p-maker")
    session.rollback()


def answer(by: str = "p-checker", outcome: str = "confirmed", reason: str = "") -> str:
    return ANSWER.format(by=by, outcome=outcome, reason=reason)


def test_whoever_asked_does_not_answer(owner: Engine) -> None:
    assert refused(partial(run, owner, answer(by="p-maker")))
    assert refused(partial(run, owner, answer(by="p-maker", outcome="refused", reason="不对的")))
    drop_trigger(owner, "law_change_two_people")
    run(owner, answer(by="p-maker"))


def test_a_request_is_answered_once(owner: Engine) -> None:
    run(owner, answer())
    assert refused(partial(run, owner, answer(by="p-third")))


def test_a_refusal_has_a_reason(owner: Engine) -> None:
    assert refused(partial(run, owner, answer(outcome="refused")))
    assert refused(partial(run, owner, answer(outcome="later")))


def test_requests_and_answers_are_neither_changed_nor_removed(owner: Engine) -> None:
    run(owner, answer())
    for table, change in {
        "change_request": "asked_by = 'p-other'",
        "change_line": "asked = '{}'",
        "change_answer": "outcome = 'refused'",
    }.items():
        assert refused(partial(run, owner, f"UPDATE {table} SET {change}"))
        assert refused(partial(run, owner, f"DELETE FROM {table}"))
