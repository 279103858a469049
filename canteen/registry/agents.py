"""Agents: whom an elder names to take their meals (代领人). Named and ended, never edited.

Many elders under one telephone number are shown, and refused to nobody: people judge.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.db import batches
from canteen.errors import Conflict, Invalid, Missing
from canteen.registry import elders, keys
from canteen.registry.models import Agent, AgentEnd
from canteen.registry.text_forms import fold, name_of, phone_of

MOST: Final = 3  # agents of one elder at a time
RELATION: Final = 20  # characters at most


class BadAgent(Invalid):
    code = "agent_malformed"
    message = "代领人填写有误，请检查后再试。"


class AgentNamed(Conflict):
    code = "agent_named"
    message = "这位代领人已经登记，不要重复登记；内容有变的，请先取消再登记。"


class TooManyAgents(Conflict):
    code = "agents_too_many"
    message = f"一位老人最多同时有 {MOST} 位代领人，请先取消不再代领的。"


class NoAgent(Missing):
    code = "agent_not_found"
    message = "没有找到这位代领人，请刷新后再看。"


@dataclass(frozen=True, slots=True)
class NewAgent:
    """Somebody to be named. `to_day` None: until ended."""

    name: str = field(repr=False)
    relation: str
    phone: str = field(repr=False)
    from_day: date
    to_day: date | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """An agent as the desk shows them. `load`: how many elders the telephone number is an agent of today."""

    id: int
    elder_id: uuid.UUID
    agent: NewAgent
    ended: bool
    load: int = 0

    def valid_on(self, on: date) -> bool:
        """Return whether the agent may take a meal on the day."""
        return not self.ended and self.agent.from_day <= on and (self.agent.to_day is None or on <= self.agent.to_day)

    def coming(self, on: date) -> bool:
        """Return whether the agent may take a meal on the day or later."""
        return not self.ended and (self.agent.to_day is None or on <= self.agent.to_day)


def checked(new: NewAgent) -> NewAgent:
    """Return the agent as stored. Raises BadAgent, BadName, BadPhone."""
    name, relation, phone = name_of(new.name), fold(new.relation), phone_of(new.phone)
    if not phone:
        raise BadAgent("请填写代领人的电话。")
    if not relation or len(relation) > RELATION or not relation.isprintable():
        raise BadAgent(f"请写明代领人与老人的关系，如“女儿”，最多 {RELATION} 个字。")
    if new.to_day is not None and new.to_day < new.from_day:
        raise BadAgent("截止日期早于开始日期，请核对。")
    return NewAgent(name, relation, phone, new.from_day, new.to_day)


def name(session: Session, elder_id: uuid.UUID, new: NewAgent, by: str) -> None:
    """Name an agent of an elder. Raises NoElder, BadAgent, AgentNamed, TooManyAgents."""
    elders.lock(session, elder_id)
    new = checked(new)
    _, ids = elders.cluster(session, elder_id)
    refuse_more([each for each in of_people(session, ids) if each.coming(clock.today())], new)
    recorded = events.record(session, "agent.name", str(elder_id), by=by)
    session.add(Agent(**values(elder_id, new, by), recorded=recorded))
    session.flush()


def refuse_more(there: Sequence[Known], new: NewAgent) -> None:
    """Raise AgentNamed or TooManyAgents when the elder's agents of today and later leave no room for one more."""
    if any((each.agent.name, each.agent.phone) == (new.name, new.phone) for each in there):
        raise AgentNamed
    if len(there) >= MOST:
        raise TooManyAgents


def end(session: Session, ids: Collection[uuid.UUID], agent_id: int, by: str) -> None:
    """End an agent of a person, from now on. Raises NoAgent: not theirs, or ended before."""
    agent = session.get(Agent, agent_id)
    if agent is None or agent.elder_id not in ids or session.get(AgentEnd, agent_id) is not None:
        raise NoAgent
    recorded = events.record(session, "agent.end", str(agent.elder_id), by=by, body={"agent": agent_id})
    session.add(AgentEnd(agent_id=agent_id, by=by, at=clock.now(), recorded=recorded))
    try:
        session.flush()
    except IntegrityError as error:  # two desks at once
        raise NoAgent from error


def of_people(session: Session, ids: Collection[uuid.UUID], *, loads: bool = False) -> list[Known]:
    """Return every agent ever named of these entries, in the order named.

    loads   count of how many elders each is an agent today
    """
    box, found, macs = keys.keyring().identity, list[Known](), dict[int, str]()
    for some in batches(ids):
        query = (
            select(Agent, AgentEnd.agent_id)
            .outerjoin(AgentEnd, AgentEnd.agent_id == Agent.id)
            .where(Agent.elder_id.in_(some))
            .order_by(Agent.id)
        )
        for row, ended in session.execute(query):
            phone = box.open(row.phone_cipher, _about(row.elder_id)).decode()
            agent = NewAgent(row.name, row.relation, phone, row.from_day, row.to_day)
            found.append(Known(row.id, row.elder_id, agent, ended is not None))
            macs[row.id] = row.phone_mac
    if not loads or not found:
        return found
    counted = _loads(session, set(macs.values()))
    return [Known(each.id, each.elder_id, each.agent, each.ended, counted.get(macs[each.id], 0)) for each in found]


def values(elder_id: uuid.UUID, new: NewAgent, by: str) -> dict[str, Any]:
    """Return the column values of an agent's row, but for the event: the number sealed, and found by its keyed hash."""
    ring = keys.keyring()
    return {
        "elder_id": elder_id,
        "name": new.name,
        "relation": new.relation,
        "phone_cipher": ring.identity.seal(new.phone.encode(), _about(elder_id)),
        "phone_mac": ring.mac(f"agent:{new.phone}"),
        "from_day": new.from_day,
        "to_day": new.to_day,
        "by": by,
        "at": clock.now(),
    }


def _about(elder_id: uuid.UUID) -> str:
    return f"agent.phone {elder_id}"


def _loads(session: Session, macs: Collection[str]) -> dict[str, int]:
    today = clock.today()
    query = (
        select(Agent.phone_mac, func.count(Agent.elder_id.distinct()))
        .where(
            Agent.phone_mac.in_(macs),
            Agent.id.not_in(select(AgentEnd.agent_id)),
            Agent.from_day <= today,
            Agent.to_day.is_(None) | (Agent.to_day >= today),
        )
        .group_by(Agent.phone_mac)
    )
    return dict(session.execute(query).all())
