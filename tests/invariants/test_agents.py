"""Agents: what the database refuses whatever code would get wrong."""

from __future__ import annotations

from datetime import date
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import transaction
from canteen.registry import agents
from canteen.registry.agents import NewAgent
from tests.invariants.test_constraints import drop_trigger, owner, refused, run
from tests.registry.people import an_elder, some_areas

__all__ = ["owner"]

COPY = """INSERT INTO agent (elder_id, name, relation, phone_cipher, phone_mac, from_day, to_day, "by", at, recorded)
          SELECT elder_id, {name}, relation, phone_cipher, phone_mac, from_day, {to_day}, "by", at, recorded FROM agent"""
END = "INSERT INTO agent_end (agent_id, \"by\", at, recorded) SELECT id, 'p', at, recorded FROM agent"


@pytest.fixture(autouse=True)
def _named(app: Flask, session: Session, owner: Engine) -> None:
    """An agent, named by p-admin."""
    some_areas(session)
    elder = an_elder(session)
    with clock.at(clock.instant(date(2026, 5, 12), 600)), transaction() as writing:
        agents.name(writing, elder, NewAgent("王强", "女儿", "13800001111", date(2026, 5, 12)), "p-admin")
    session.rollback()


def test_an_agent_has_a_name_and_days_in_order(owner: Engine) -> None:
    assert refused(partial(run, owner, COPY.format(name="''", to_day="NULL")))
    assert refused(partial(run, owner, COPY.format(name="name", to_day="'2026-05-11'")))
    run(owner, COPY.format(name="name", to_day="'2026-05-12'"))


def test_an_agent_is_ended_once(owner: Engine) -> None:
    run(owner, END)
    assert refused(partial(run, owner, END))


@pytest.mark.parametrize(("table", "change"), [("agent", "name = '别人'"), ("agent_end", "\"by\" = 'p-other'")])
def test_agents_and_their_ends_stay_as_they_are(owner: Engine, table: str, change: str) -> None:
    run(owner, END)
    assert refused(partial(run, owner, f"DELETE FROM {table}"))
    assert refused(partial(run, owner, f"UPDATE {table} SET {change}"))
    drop_trigger(owner, f"law_{table}_no_{'update' if owner.dialect.name == 'sqlite' else 'change'}")
    run(owner, f"UPDATE {table} SET {change}")
