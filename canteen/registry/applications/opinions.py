"""Opinions on an application: the community's, then the street's with the day from which the classes are valid.

The street's is given by somebody who neither took the application nor spoke for the community: two people.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock, events, places
from canteen.auth import guard, humans
from canteen.auth.guard import Permission
from canteen.db import retried, transaction
from canteen.errors import Conflict, Invalid, Missing
from canteen.places import Area
from canteen.registry import elders
from canteen.registry import facts as dated
from canteen.registry.applications.models import STEPS, Application, ApplicationClass, Opinion
from canteen.registry.applications.taking import SUSPENDED, Stopped
from canteen.registry.elders import NewFact
from canteen.registry.imports.fact_differences import ended
from canteen.registry.text_forms import fold

REASON = (4, 200)  # shortest and longest reason of a refusal, in characters
AHEAD = timedelta(days=366)  # how far ahead a class may begin
RIGHTS = {"community": Permission.COMMUNITY_OPINION, "street": Permission.STREET_OPINION}


class NoApplication(Missing):
    code = "application_not_found"
    message = "没有找到这份申请，或不在您负责的范围内。"


class Decided(Conflict):
    code = "application_decided"
    message = "这一步的意见已经有人填写，请刷新后再看。"


class SameHuman(Conflict):
    code = "application_two_people"
    message = "街道意见须由没有受理这份申请、也没有填写社区意见的另一位工作人员填写。"


class BadOpinion(Invalid):
    code = "opinion_malformed"
    message = "意见填写有误，请检查后再试。"


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decides. `effective_from`: of the street's agreement, the first day on which the classes count."""

    agrees: bool
    reason: str = ""
    effective_from: date | None = None


def opinions_of(session: Session, number: int) -> list[Opinion]:
    """Return the opinions given so far, the community's first."""
    rows = session.execute(select(Opinion).where(Opinion.application_id == number)).scalars()
    return sorted(rows, key=lambda opinion: STEPS.index(opinion.step))


def next_step(given: list[Opinion]) -> str | None:
    """Return the step whose opinion is due; None when the application is decided."""
    if any(opinion.outcome == "refused" for opinion in given) or len(given) == len(STEPS):
        return None
    return STEPS[len(given)]


def may_give(session: Session, application: Application, given: list[Opinion], person_id: str) -> bool:
    """Return whether the person may give the opinion that is due."""
    step = next_step(given)
    if step is None or not _covers(session, application, step, person_id):
        return False
    return step != "street" or not humans.same(session, person_id, _others(application, given))


@retried
def give(number: int, step: str, decision: Decision, *, by: str) -> None:
    """Give the opinion of a step; the street's agreement makes the classes facts, a refusal suspends who was new.

    Raises NoApplication, Decided, SameHuman, BadOpinion, Stopped.
    """
    with transaction() as session:
        application = session.get(Application, number)
        if application is None or step not in STEPS or not _covers(session, application, step, by):
            raise NoApplication
        elders.lock(session, application.elder_id)
        events.wait(session)
        given = opinions_of(session, number)
        if next_step(given) != step:
            raise Decided
        if step == "street" and humans.same(session, by, _others(application, given)):
            raise SameHuman
        reason, effective = _checked(application, step, decision)
        outcome = "agreed" if decision.agrees else "refused"
        body = {"application": number, "step": step, "outcome": outcome, "reason": reason}
        recorded = events.record(session, "application.opinion", str(application.elder_id), by=by, body=body)
        session.add(
            Opinion(
                application_id=number,
                step=step,
                outcome=outcome,
                reason=reason,
                effective_from=effective,
                by=by,
                at=clock.now(),
                recorded=recorded,
            )
        )
        try:
            session.flush()
        except IntegrityError as error:
            raise Decided from error
        if effective is not None:
            _take_effect(session, application, effective, given[0].by, by)
        elif not decision.agrees and application.registers:
            begins = clock.today() + dated.ONE_DAY
            elders.note(session, application.elder_id, [NewFact("status", SUSPENDED, begins)], by, source="application")


def street_of(session: Session, area_id: str) -> str:
    """Return the street that an area lies in; the area itself where it lies in none."""
    above = places.path(session, area_id, clock.today())
    streets = select(Area.id).where(Area.id.in_(above), Area.level == "street")
    return session.execute(streets.limit(1)).scalar_one_or_none() or area_id


def _covers(session: Session, application: Application, step: str, person_id: str) -> bool:
    area = application.area_id if step == "community" else street_of(session, application.area_id)
    return area in guard.scope_of(session, person_id, RIGHTS[step]).areas(session)


def _others(application: Application, given: list[Opinion]) -> set[str]:
    return {application.taken_by, *(opinion.by for opinion in given)}


def _checked(application: Application, step: str, decision: Decision) -> tuple[str, date | None]:
    """Return the reason as stored and the day of effect. Raises BadOpinion."""
    reason = fold(decision.reason)
    if not decision.agrees and not REASON[0] <= len(reason) <= REASON[1]:
        raise BadOpinion(f"请写明不同意的原因（{REASON[0]} 至 {REASON[1]} 个字）。")
    if len(reason) > REASON[1]:
        raise BadOpinion(f"意见最多 {REASON[1]} 个字。")
    if not decision.agrees or step != "street":
        return reason, None
    taken, latest = clock.business_day(application.taken_at), clock.today() + AHEAD
    if decision.effective_from is None or not taken <= decision.effective_from <= latest:
        raise BadOpinion(f"生效日期应在受理日 {taken} 以后、一年以内。")
    return reason, decision.effective_from


def _take_effect(session: Session, application: Application, effective: date, community: str, street: str) -> None:
    """Write the classes asked for as facts, in the community's name and confirmed by the street; end a suspension."""
    elder_id = application.elder_id
    facts = elders.facts_about(session, elder_id)
    if elders.stopped_in(facts, elder_id, clock.today()):
        raise Stopped
    valid = elders.of_person(facts, elder_id, effective)
    there = {fact.value for fact in valid if fact.kind == "class"}
    asked = select(ApplicationClass.class_code).where(ApplicationClass.application_id == application.id)
    new = [NewFact("class", code, effective) for code in sorted(session.execute(asked).scalars()) if code not in there]
    suspended = [
        fact
        for fact in dated.unretracted(facts)
        if (fact.kind, fact.value) == ("status", SUSPENDED) and (fact.to_day is None or fact.to_day >= effective)
    ]
    new += [ended(fact, effective) for fact in suspended if fact.elder_id == elder_id]
    if new:
        elders.note(session, elder_id, new, community, source="application", confirmed_by=street)
