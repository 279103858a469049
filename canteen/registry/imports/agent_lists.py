"""A list of agents of people on the roster: each row names one. Agents whom it does not have stay."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar

from sqlalchemy.orm import Session

from canteen import clock
from canteen.errors import Refusal
from canteen.registry import agents
from canteen.registry.agents import Known, NewAgent
from canteen.registry.documents import Document
from canteen.registry.imports.change_lines import NOTHING, ChangeLine, FieldChange
from canteen.registry.imports.columns import BadCell, Column, Row, end, mobile, text, written_day
from canteen.registry.imports.roster import Change, Present, Ready
from canteen.registry.imports.typed_lists import TypedList, template_for
from canteen.registry.models import Agent, AgentEnd
from canteen.registry.text_forms import name_of, phone_of


@dataclass(frozen=True, slots=True)
class Naming(Change):
    """An agent to be named; `replaces`: the agent of the same name and number that is said otherwise now."""

    agent: NewAgent | None = None
    replaces: int | None = None


@dataclass(frozen=True, slots=True)
class _Said:
    """What a good row says, before it is compared with what is known."""

    row: Row
    number: str
    elder_id: uuid.UUID
    elder: str
    agent: NewAgent


class Agents(TypedList):
    """Agents. Of one elder several rows may speak; said again otherwise, a row replaces what was said of that agent."""

    template: ClassVar = template_for(
        "agents",
        "代领人名单",
        Column("agent", "代领人姓名", name_of, "替老人领餐的人", required=True, also=("代领人", "领餐人", "代取人")),
        Column("relation", "与老人关系", text(agents.RELATION), "如 女儿、邻居、志愿者", required=True, also=("关系",)),
        Column(
            "agent_phone",
            "代领人电话",
            phone_of,
            "座机带区号，本列须为文本格式",
            required=True,
            also=("代领人手机", "代领人手机号", "代领人联系电话", "代领人联系方式"),
            width=16,
            numeric=mobile,
        ),
        Column(
            "until",
            "截止日期",
            end,
            "代领到哪一天；空着即长期",
            also=("代领截止日期", "有效期至"),
            numeric=written_day,
        ),
    )
    repeats: ClassVar = True

    def __init__(self, session: Session, within: frozenset[str] | None, by: str) -> None:
        super().__init__(session, within, by)
        self._by = by
        self._said: list[_Said] = []
        self._planned: dict[uuid.UUID, list[Known]] = defaultdict(list)  # by the rows before

    def plan(self, session: Session, rows: Sequence[Row]) -> list[Change]:
        self._said = []
        strangers = super().plan(session, rows)
        there = defaultdict(list, {elder: list(known) for elder, known in self._planned.items()})
        for each in agents.of_people(session, {said.elder_id for said in self._said}):
            if each.coming(clock.today()):
                there[each.elder_id].append(each)
        strangers = [change for change in strangers if change.kind != "pending"]
        return [*strangers, *(change for said in self._said if (change := self._naming(said, there)))]

    def _change(self, row: Row, document: Document, present: Present) -> Change:
        if row.values["name"] != present.name:
            raise BadCell("姓名与登记的不一致，请核对姓名和证件号码。")
        current = {fact.kind: fact.value for fact in present.facts}
        self._reach({current.get("hukou"), current.get("residence")})
        values, until = row.values, row.values.get("until")
        last = until if isinstance(until, date) else None
        agent = agents.checked(
            NewAgent(values["agent"], values["relation"], values["agent_phone"], values["since"], last)
        )
        self._said.append(_Said(row, document.masked, present.elder_id, present.name, agent))
        return Change("pending", present.elder_id)

    def _naming(self, said: _Said, there: dict[uuid.UUID, list[Known]]) -> Change | None:
        """Return the change of a row against those known of the elder; None of a row at fault."""
        known, new = there[said.elder_id], said.agent
        same = next((each for each in known if (each.agent.name, each.agent.phone) == (new.name, new.phone)), None)
        if same is not None and (same.agent == new or same.id == 0):
            return Change("same", said.elder_id)
        others = [each for each in known if each is not same]
        try:
            agents.refuse_more(others, new)
        except Refusal as refusal:
            said.row.refuse("代领人姓名", refusal)
            return None
        before = _words(same.agent) if same else NOTHING
        field = FieldChange("代领人", before, _words(new))
        self.lines.append(ChangeLine("changed", said.row.sheet, said.row.number, said.elder, said.number, (field,)))
        planned = Known(0, said.elder_id, new, ended=False)
        self._planned[said.elder_id].append(planned)
        there[said.elder_id] = [*others, planned]
        return Naming("changed", said.elder_id, agent=new, replaces=same.id if same else None)

    def ready(self, changes: Iterable[Change]) -> Ready:
        """Return the rows of agents, and the ends of those replaced."""
        made, at = super().ready(()), clock.now()
        made |= {Agent: [], AgentEnd: []}
        for change in changes:
            if isinstance(change, Naming) and change.agent is not None:
                made[Agent].append(agents.values(change.elder_id, change.agent, self._by))
                if change.replaces is not None:
                    made[AgentEnd].append({"agent_id": change.replaces, "by": self._by, "at": at})
        return made


def _words(agent: NewAgent) -> str:
    until = f"，至 {agent.to_day}" if agent.to_day else ""
    return f"{agent.name}（{agent.relation}，{agent.from_day} 起{until}）"
