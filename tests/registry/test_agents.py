"""Agents: named, ended and listed; an elder's own, a few at a time."""

import uuid
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import transaction
from canteen.errors import Refusal
from canteen.registry import agents
from canteen.registry.agents import AgentNamed, NewAgent, NoAgent, TooManyAgents
from canteen.registry.imports import import_runs, templates
from canteen.registry.imports.import_report import ImportReport
from canteen.registry.models import Agent
from tests.registry.people import an_elder, number, some_areas

TODAY = date(2026, 5, 12)
DAUGHTER = NewAgent("王强", "女儿", "13800001111", TODAY)


@pytest.fixture(autouse=True)
def today(session: Session) -> Iterator[None]:
    with clock.at(clock.instant(TODAY, 600)):
        some_areas(session)
        yield


@pytest.fixture
def li(session: Session) -> uuid.UUID:
    return an_elder(session)


def name(elder: uuid.UUID, new: NewAgent = DAUGHTER) -> None:
    with transaction() as session:
        agents.name(session, elder, new, "p-admin")


def of(session: Session, *elders: uuid.UUID) -> list[tuple[str, bool, int]]:
    """Name, valid today, and of how many elders, in the order named."""
    found = agents.of_people(session, elders, loads=True)
    session.rollback()
    return [(each.agent.name, each.valid_on(TODAY), each.load) for each in found]


def test_an_agent_is_named_and_ended(session: Session, li: uuid.UUID):
    name(li)
    assert of(session, li) == [("王强", True, 1)]
    (known,) = agents.of_people(session, [li])
    assert known.agent == DAUGHTER
    with pytest.raises(NoAgent), transaction() as writing:
        agents.end(writing, [uuid.uuid4()], known.id, "p-admin")
    with transaction() as writing:
        agents.end(writing, [li], known.id, "p-admin")
    assert of(session, li) == [("王强", False, 0)]
    with pytest.raises(NoAgent), transaction() as writing:
        agents.end(writing, [li], known.id, "p-admin")


@pytest.mark.parametrize(
    "wrong",
    [
        NewAgent("王强", "女儿", "", TODAY),
        NewAgent("王强", " ", "13800001111", TODAY),
        NewAgent("王强", "长" * 21, "13800001111", TODAY),
        NewAgent("王强", "女儿", "13800001111", TODAY, date(2026, 5, 11)),
        NewAgent("", "女儿", "13800001111", TODAY),
        NewAgent("王强", "女儿", "电话", TODAY),
    ],
)
def test_a_faulty_agent_is_refused(session: Session, li: uuid.UUID, wrong: NewAgent):
    with pytest.raises(Refusal):
        name(li, wrong)
    assert of(session, li) == []


def test_an_elder_has_a_few_agents_at_a_time(session: Session, li: uuid.UUID):
    name(li)
    with pytest.raises(AgentNamed):
        name(li)
    for other in ("13800002222", "13800003333"):
        name(li, NewAgent("王强", "儿子", other, TODAY))
    with pytest.raises(TooManyAgents):
        name(li, NewAgent("赵六", "邻居", "13800004444", TODAY))
    with transaction() as writing:
        agents.end(writing, [li], agents.of_people(writing, [li])[0].id, "p-admin")
    name(li, NewAgent("赵六", "邻居", "13800004444", TODAY))


def test_how_many_elders_an_agent_has_is_counted_by_number(session: Session, li: uuid.UUID):
    others = [an_elder(session, order=order, name=name_) for order, name_ in ((104, "王芳"), (106, "赵兰"))]
    name(li)
    name(others[0])
    name(others[1], NewAgent("王强", "女儿", "13800001111", TODAY, TODAY))
    assert of(session, li) == [("王强", True, 3)]
    with clock.at(clock.instant(date(2026, 5, 13), 600)):
        assert of(session, li) == [("王强", True, 2)]


def test_a_number_is_sealed_and_found_by_its_hash(session: Session, li: uuid.UUID):
    name(li)
    row = session.execute(select(Agent)).scalar_one()
    assert b"13800001111" not in row.phone_cipher
    assert "13800001111" not in row.phone_mac


# --- the list ---

TEMPLATE = import_runs.KINDS["agents"].template
USUAL = {"name": "李秀英", "number": number(), "agent": "王强", "relation": "女儿", "agent_phone": "13800001111"}


def a_list(folder: Path, *rows: dict[str, str], file: str = "agents.csv") -> Path:
    full = [USUAL | {"since": "2026-05-12"} | row for row in rows]
    (path := folder / file).write_bytes(
        templates.separated(TEMPLATE, [[row.get(column.key, "") for column in TEMPLATE.columns] for row in full])
    )
    return path


def apply(folder: Path, *rows: dict[str, str]) -> ImportReport:
    return import_runs.apply(a_list(folder, *rows), "agents", "p-admin")


OTHER = {"agent": "王芳", "relation": "儿媳", "agent_phone": "13800002222", "until": "2026-12-31"}


def test_a_list_names_agents_and_twice_changes_nothing(session: Session, tmp_path: Path, li: uuid.UUID):
    checked = import_runs.check(a_list(tmp_path, {}, OTHER), "agents", "p-admin")
    assert [(line.name, line.fields[0].before, line.fields[0].after) for line in checked.lines] == [
        ("李秀英", "无", "王强（女儿，2026-05-12 起）"),
        ("李秀英", "无", "王芳（儿媳，2026-05-12 起，至 2026-12-31）"),
    ]
    assert of(session, li) == []
    assert apply(tmp_path, {}, OTHER).changed == 2
    assert of(session, li) == [("王强", True, 1), ("王芳", True, 1)]
    assert apply(tmp_path, {}, OTHER).already
    report = apply(tmp_path, {}, OTHER, {"agent": "赵六", "agent_phone": "13800003333"})
    assert (report.changed, report.same) == (1, 2)


def test_an_agent_said_otherwise_is_replaced(session: Session, tmp_path: Path, li: uuid.UUID):
    apply(tmp_path, {})
    apply(tmp_path, {"until": "2026-06-30"})
    assert of(session, li) == [("王强", False, 1), ("王强", True, 1)]
    assert agents.of_people(session, [li])[1].agent.to_day == date(2026, 6, 30)


def test_a_list_names_no_fourth_agent(session: Session, tmp_path: Path, li: uuid.UUID):
    rows = [{"agent_phone": f"1380000{n}{n}{n}{n}"} for n in range(1, 5)]
    report = apply(tmp_path, *rows)
    assert report.changed == 3
    assert [fault.reason for fault in report.faults] == [TooManyAgents.message]


def test_strangers_and_wrong_names_get_no_agent(session: Session, tmp_path: Path, li: uuid.UUID):
    report = import_runs.check(
        a_list(tmp_path, {"name": "王芳"}, {"name": "赵兰", "number": number(order=120)}, {"agent_phone": "无"}),
        "agents",
        "p-admin",
    )
    assert (report.changed, report.same) == (0, 1)
    assert any("姓名与登记的不一致" in fault.reason for fault in report.faults)
