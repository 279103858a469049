"""Revaluations as people meet them: asked for, previewed, confirmed by a second person, run as often as wanted.

A run books what is not booked yet: run twice, on two hosts, or after a kill, each difference is there once. A meal
that arrives after a run is for the next one.
"""

from __future__ import annotations

import json
import uuid
from datetime import date
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from canteen import clock, events, jobs, keyset, places
from canteen.auth import humans
from canteen.db import retried, transaction
from canteen.errors import Conflict, Invalid, Missing
from canteen.keyset import reader
from canteen.places import Area, Canteen
from canteen.policy import rulebook as books
from canteen.registry import elders
from canteen.rulebooks import late_notices, layers
from canteen.rulebooks.late_notices import Books, find
from canteen.rulebooks.models import LAYER_OF, LAYERS, Revaluation, RevaluationOrder, RulebookVersion
from canteen.rulebooks.publications import RulebookFaulty, SamePerson
from canteen.settlement.claims.claims import reason_given
from canteen.settlement.closing import schedule
from canteen.settlement.corrections.revaluation_run import RevaluationRunner
from canteen.settlement.models import RevaluationRun

JOB = "revaluation.run"
LONGEST = 800  # days
_OVER = ("done", "failed", "cancelled")
_WHY = "请写明依据，如文件名称与文号，或证明材料（至少 4 个字）。"


class NotWhollyPast(Invalid):
    code = "revaluation_not_past"
    message = "重估的起止日期都须在今天以前，起日不晚于止日，且不超过两年；今天以后的就餐请用正常发布。"


class NotFit(Invalid):
    code = "rulebook_not_fit"
    message = "这个版本不能用于这次重估，请按提示修改后再试。"


class OrderedBefore(Conflict):
    code = "revaluation_ordered"
    message = "这次重估已经确认过，请刷新后查看。"


class NotOrdered(Conflict):
    code = "revaluation_not_ordered"
    message = "这次重估还没有经另一位同事确认，不能入账。"


class NoPreview(Conflict):
    code = "revaluation_no_preview"
    message = "请先完成预览，看清笔数和金额后再确认。"


class NoRun(Missing):
    code = "revaluation_run_not_found"
    message = "没有找到这次重估运行。"


# --- asked for by one, ordered by another ---


def ask_notice(digest: str, *, layer: str, node_id: str, from_day: date, to_day: date, reason: str, by: str) -> int:
    """Ask that meals of past days be revalued under a version, in the place of its scheme's then version.

    Raises RulebookFaulty, NotFit, NotWhollyPast, NeedsReason.
    """
    with transaction() as session:
        version = session.get(RulebookVersion, digest)
        if version is None or layer not in LAYERS:
            raise RulebookFaulty
        document = layers.document(version.body)
        row = Revaluation(
            cause="notice", title=str(document["title"]), rulebook_hash=digest, scheme=version.scheme, layer=layer,
            node_id=node_id, elder_id=None, made_by=version.drafted_by,
        )  # fmt: skip
        _fill(row, from_day, to_day, reason, by)
        if problems := fit(session, row, document):
            raise NotFit("不能重估：" + "；".join(problems[:5]))
        return _keep(session, row)


def ask_facts(elder_id: uuid.UUID, *, from_day: date, to_day: date, reason: str, by: str) -> int:
    """Ask that one elder's meals of past days be revalued with the facts known when it is ordered.

    Raises NoElder, NotWhollyPast, NeedsReason.
    """
    with transaction() as session:
        elders.known(session, elder_id, to_day)
        row = Revaluation(
            cause="facts", title="老人信息迟到登记", rulebook_hash=None, scheme="", layer="", node_id="",
            elder_id=elder_id, made_by=by,
        )  # fmt: skip
        _fill(row, from_day, to_day, reason, by)
        return _keep(session, row)


def _fill(row: Revaluation, from_day: date, to_day: date, reason: str, by: str) -> None:
    if not from_day <= to_day < clock.today() or (to_day - from_day).days > LONGEST:
        raise NotWhollyPast
    row.reason, row.from_day, row.to_day = reason_given(reason, _WHY), from_day, to_day
    row.asked_by, row.asked_at, row.asked_on = by, clock.now(), clock.today()


def _keep(session: Session, row: Revaluation) -> int:
    body = {"from": row.from_day.isoformat(), "to": row.to_day.isoformat(), "cause": row.cause}
    about = row.rulebook_hash or str(row.elder_id)
    row.recorded = events.record(session, "revaluation.ask", about, by=row.asked_by, body=body)
    session.add(row)
    session.flush()
    return row.id


def fit(session: Session, row: Revaluation, document: dict[str, Any]) -> list[str]:
    """Return the reasons, as sentences, that a version cannot apply to these days at this place; none if it can."""
    found = [str(problem) for problem in books.lint(document) if problem.severity == "error"]
    begins, ends = clock.day_of(document["from"]), document.get("to")
    if row.from_day < begins or (ends is not None and clock.day_of(ends) < row.to_day):
        last = "" if ends is None else f"至 {clock.day_of(ends).isoformat()}"
        found.append(f"标准本身的起止日为 {begins.isoformat()} 起{last}，没有覆盖重估的全部日期")
    if row.layer == "canteen":
        known = session.get(Canteen, row.node_id) is not None
    else:
        area = session.get(Area, row.node_id)
        known = area is not None and LAYER_OF.get(area.level) == row.layer
    if not known:
        return [*found, "重估范围与级别不符，请重新选择"]
    would = Books(session, row)
    within = select(Canteen).order_by(Canteen.id)
    for canteen in session.execute(within).scalars():
        for day in sorted({row.from_day, row.to_day}):
            nodes = (*places.path(session, canteen.area_id, day), canteen.id)
            if late_notices.covers(row, nodes):
                found += [one for one in would.conflicts(session, nodes, day) if one not in found]
    return found


@retried
def order(revaluation_id: int, *, by: str, diff: str) -> int:
    """Order the run as second person, after the newest preview; return the run's id.

    diff  the differences in meaning that the second person was shown, as JSON

    Raises NoRevaluation, SamePerson, OrderedBefore, NoPreview.
    """
    with transaction() as session:
        row = find(session, revaluation_id)
        if humans.same(session, by, {row.made_by, row.asked_by}):
            raise SamePerson("重估须由经办人以外的另一位同事确认。")
        if session.get(RevaluationOrder, revaluation_id) is not None:
            raise OrderedBefore
        seen = newest(session, revaluation_id, preview=True)
        if seen is None or seen.state != "done" or seen.result is None:
            raise NoPreview
        gate = {"from": row.from_day.isoformat(), "to": row.to_day.isoformat(), "closed_periods": "unchanged"}
        recorded = events.record(session, "revaluation.order", f"revaluation:{revaluation_id}", by=by, body=gate)
        session.add(
            RevaluationOrder(
                revaluation_id=revaluation_id, made_by=row.made_by, by=by, at=clock.now(), recorded=recorded,
                diff=diff, gate=json.dumps(gate), preview=seen.result,
            )
        )  # fmt: skip
        session.flush()
        return request(revaluation_id, preview=False, by=by)


# --- runs ---


def request(revaluation_id: int, *, preview: bool, by: str) -> int:
    """Request a run, or a preview that books nothing, and return its id. Raises NoRevaluation, NotOrdered."""
    with transaction() as session:
        find(session, revaluation_id)
        if not preview and session.get(RevaluationOrder, revaluation_id) is None:
            raise NotOrdered
        row = RevaluationRun(
            revaluation_id=revaluation_id, preview=preview, by=by, asked_at=clock.now(), state="waiting", meals=0,
            of_meals=0, started_at=None, finished_at=None, result=None, error="",
        )  # fmt: skip
        session.add(row)
        session.flush()
        return row.id


def newest(session: Session, revaluation_id: int, *, preview: bool) -> RevaluationRun | None:
    """Return the newest run or preview."""
    query = select(RevaluationRun).where(
        RevaluationRun.revaluation_id == revaluation_id, RevaluationRun.preview == preview
    )
    return session.execute(query.order_by(RevaluationRun.id.desc()).limit(1)).scalar_one_or_none()


def result(row: RevaluationRun | None) -> dict[str, Any] | None:
    """Return the result of a finished run."""
    found: dict[str, Any] | None = json.loads(row.result) if row is not None and row.result else None
    return found


def tick(holder: str) -> dict[str, str]:
    """Do the waiting runs, oldest first; a run left by a killed process goes on when its lease has ended."""
    query = select(RevaluationRun.id).where(RevaluationRun.state.in_(("waiting", "running")))
    waiting = [number for (number,) in keyset.once(query.order_by(RevaluationRun.id))]
    outcomes = {f"{JOB}/{number}": run(number, holder) for number in waiting}
    return {key: outcome for key, outcome in outcomes.items() if outcome != "not_ours"}


def run(run_id: int, holder: str) -> str:
    """Do one run if it is ours to do: 'done', 'failed', 'overtaken' or 'not_ours'."""
    outcome = jobs.run_once(JOB, str(run_id), lambda lease: _run_leased(run_id, lease), holder)
    if outcome == "failed":
        _change(run_id, state="failed", finished_at=clock.now(), error="重估没有完成，请联系系统运维查看日志后再运行。")
    return outcome


def _run_leased(run_id: int, lease: jobs.Lease) -> None:
    with reader() as session:
        asked = session.get(RevaluationRun, run_id)
        if asked is None:
            raise NoRun
        ordered = late_notices.ordered(session, asked.revaluation_id)
    if not asked.preview and ordered is None:
        raise NotOrdered
    runner = RevaluationRunner(asked.revaluation_id, ordered.recorded if ordered else None, preview=asked.preview)
    total = runner.count()
    _change(run_id, state="running", started_at=clock.now(), meals=0, of_meals=total)
    for day in runner.days():
        for sales in runner.pages(day):
            runner.page(sales)
            if not (jobs.renew(lease) and _change(run_id, meals=runner.tally.meals)):
                return
    _change(run_id, state="done", finished_at=clock.now(), result=json.dumps(runner.tally.doc(), ensure_ascii=False))


@retried
def _change(run_id: int, **values: Any) -> bool:
    with transaction() as session:
        changed = session.execute(
            update(RevaluationRun)
            .where(RevaluationRun.id == run_id, RevaluationRun.state.not_in(_OVER))
            .values(**values)
            .returning(RevaluationRun.id)
            .execution_options(synchronize_session=False)
        ).scalar_one_or_none()
        return changed is not None


schedule.also(tick)
