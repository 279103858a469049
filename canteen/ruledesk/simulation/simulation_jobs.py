"""Simulation jobs: asked for at the desk, run once by any free scheduler, with progress, cancelled at any time."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal, select, union_all, update
from sqlalchemy.orm import Session

from canteen import clock, jobs
from canteen.db import db, retried, transaction
from canteen.errors import Conflict, Invalid, Missing
from canteen.places import Contract
from canteen.policy import rulebook as books
from canteen.policy.canonical import Document
from canteen.pos.models import Sale
from canteen.rulebooks.models import LAYERS, Simulation
from canteen.ruledesk.simulation import meal_replay
from canteen.settlement.closing import schedule

JOB = "rules.simulate"
MOST_MONTHS = 12
LEASE = timedelta(minutes=2)  # a person waits at a page, so the job of a killed process restarts soon
TELL = 1.0  # seconds between two notes of progress
_OVER = ("done", "failed", "cancelled")


class NoSimulation(Missing):
    code = "simulation_not_found"
    message = "没有找到这次模拟。"


class BadMonths(Invalid):
    code = "simulation_months"
    message = f"请选择有就餐记录的月份，最多 {MOST_MONTHS} 个月。"


class FaultyRulebook(Invalid):
    code = "rulebook_faulty"
    message = "补贴标准还有错误，改正后才能模拟。"


class IsOver(Conflict):
    code = "simulation_over"
    message = "这次模拟已经结束，不能取消。"


def months(session: Session) -> list[str]:
    """Return the months that have meals, newest first."""
    ends = [
        select(end(Sale.service_day)).where(Sale.contract_id == Contract.id).correlate(Contract).scalar_subquery()
        for end in (func.min, func.max)
    ]
    first, last = session.execute(select(func.min(ends[0]), func.max(ends[1])).select_from(Contract)).one()
    if first is None:
        return []
    spans = [clock.Span.month(first)]
    while spans[-1].last < last:
        spans.append(clock.Span.month(spans[-1].last + timedelta(days=1)))
    sold = [
        select(literal(clock.month_of(span.first))).where(select(Contract.id).join(Sale, _within(span)).exists())
        for span in spans
    ]
    return sorted(session.execute(union_all(*sold)).scalars(), reverse=True)


def _within(span: clock.Span) -> ColumnElement[bool]:
    return and_(Sale.contract_id == Contract.id, Sale.service_day.between(span.first, span.last))


def ask(document: Document, *, layer: str, node_id: str, over: Sequence[str], by: str) -> int:
    """Ask for a replay over months; return its id. Raises FaultyRulebook, BadMonths."""
    if layer not in LAYERS or any(problem.severity == "error" for problem in books.lint(document)):
        raise FaultyRulebook
    body = books.canonical(document)
    with transaction() as session:
        chosen = sorted(set(over) & set(months(session)))
        if not 0 < len(chosen) <= MOST_MONTHS or len(chosen) < len(set(over)):
            raise BadMonths
        row = Simulation(
            title=str(document["title"]), body=body.decode(), hash=books.digest(body), layer=layer, node_id=node_id,
            months=" ".join(chosen), by=by, asked_at=clock.now(), state="waiting", meals=0, of_meals=0,
            started_at=None, finished_at=None, result=None, error="",
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def cancel(simulation_id: int) -> None:
    """Cancel a waiting or running replay; it notices at its next page. Raises NoSimulation, IsOver."""
    with transaction() as session:
        row = find(session, simulation_id)
        if row.state in _OVER:
            raise IsOver
        row.state, row.finished_at = "cancelled", clock.now()


def find(session: Session, simulation_id: int) -> Simulation:
    """Return a simulation. Raises NoSimulation."""
    row = session.get(Simulation, simulation_id)
    if row is None:
        raise NoSimulation
    return row


def ahead(session: Session, row: Simulation) -> int:
    """Count the simulations asked for earlier that are not over."""
    earlier = select(func.count()).where(Simulation.id < row.id, Simulation.state.in_(("waiting", "running")))
    return session.execute(earlier).scalar_one()


def result(row: Simulation) -> dict[str, Any] | None:
    """Return what a finished simulation found."""
    found: dict[str, Any] | None = json.loads(row.result) if row.result else None
    return found


def tick(holder: str) -> dict[str, str]:
    """Run waiting simulations, oldest first; restart one whose process was killed when its lease is over."""
    query = select(Simulation.id).where(Simulation.state.in_(("waiting", "running"))).order_by(Simulation.id)
    waiting = list(db.session.execute(query).scalars())
    db.session.rollback()
    outcomes = {}
    for number in waiting:
        outcomes[f"{JOB}/{number}"] = run(number, holder)
    return {key: outcome for key, outcome in outcomes.items() if outcome != "not_ours"}


def run(simulation_id: int, holder: str) -> str:
    """Run a simulation if it is ours to run: 'done', 'failed', 'cancelled', 'overtaken' or 'not_ours'."""
    said = ["done"]

    def work(lease: jobs.Lease) -> None:
        said[0] = _replay(simulation_id, lease)

    outcome = jobs.run_once(JOB, str(simulation_id), work, holder, LEASE)
    if outcome == "failed":
        _finish(simulation_id, "failed", error="模拟没有完成，请联系系统运维查看日志后重新发起。")
    return said[0] if outcome == "done" else outcome


def _replay(simulation_id: int, lease: jobs.Lease) -> str:
    row = find(db.session(), simulation_id)
    document, layer, node, wanted = json.loads(row.body), row.layer, row.node_id, row.months.split()
    db.session.rollback()
    if not _progress(simulation_id, 0, 0):
        return "cancelled"
    noted = [0.0]

    def go_on(done: int, total: int) -> bool:
        if done and done < total and time.monotonic() - noted[0] < TELL:
            return True
        noted[0] = time.monotonic()
        return jobs.renew(lease) and _progress(simulation_id, done, total)

    try:
        found = meal_replay.run(document, layer, node, wanted, go_on)
    except meal_replay.Cancelled:
        return "cancelled"
    return "done" if _finish(simulation_id, "done", result=json.dumps(found, ensure_ascii=False)) else "cancelled"


@retried
def _progress(simulation_id: int, done: int, total: int) -> bool:
    """Report progress; return False when it was cancelled."""
    values: dict[str, Any] = {"state": "running", "meals": done, "of_meals": total}
    if not total:
        values["started_at"] = clock.now()
    return _change(simulation_id, **values)


@retried
def _finish(simulation_id: int, state: str, **values: Any) -> bool:
    return _change(simulation_id, state=state, finished_at=clock.now(), **values)


def _change(simulation_id: int, **values: Any) -> bool:
    with transaction() as session:
        changed = session.execute(
            update(Simulation)
            .where(Simulation.id == simulation_id, Simulation.state.not_in(_OVER))
            .values(**values)
            .returning(Simulation.id)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        return changed is not None


def newest(session: Session, digest: str, layer: str, node_id: str) -> Simulation | None:
    """Return the newest finished replay of exactly this rulebook at exactly this place."""
    query = select(Simulation).where(
        Simulation.hash == digest, Simulation.layer == layer, Simulation.node_id == node_id, Simulation.state == "done"
    )
    return session.execute(query.order_by(Simulation.id.desc()).limit(1)).scalar_one_or_none()


schedule.also(tick)
