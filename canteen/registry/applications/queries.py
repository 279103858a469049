"""Applications in lists: what waits for somebody's opinion, and all that they may see, newest first."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session

from canteen import clock, keyset
from canteen.auth import guard, humans
from canteen.auth.guard import Permission, Scope
from canteen.places import Area, AreaLink, valid_on
from canteen.registry.applications.models import Application, ApplicationClass, Opinion
from canteen.registry.applications.opinions import next_step
from canteen.registry.models import ElderIdentity

PAGE: Final = 50
STATES: Final = {
    "community": "待社区意见",
    "street": "待街道意见",
    "agreed": "已同意",
    "refused": "未同意",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """An application in a list. `state`: whose opinion is due, or 'agreed' or 'refused'."""

    id: int
    elder_id: uuid.UUID
    name: str = field(repr=False)
    masked: str
    area: str
    at: datetime
    state: str
    effective_from: date | None


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; `after`: the number after which the next one begins."""

    rows: Sequence[Listed]
    after: int | None


def state_of(given: Sequence[Opinion]) -> str:
    """Return the state that opinions leave an application in."""
    if (step := next_step(list(given))) is not None:
        return step
    return "refused" if any(opinion.outcome == "refused" for opinion in given) else "agreed"


def visible(session: Session, where: Scope) -> ColumnElement[bool]:
    """Return the condition of the applications in a scope: of its areas, or taken at its canteens."""
    areas, canteens = where.areas(session), where.canteens(session)
    return or_(keyset.among(Application.area_id, areas), keyset.among(Application.canteen_id, canteens))


def found(session: Session, number: int, where: Scope) -> Application | None:
    """Return the application if it lies in the scope."""
    query = select(Application).where(Application.id == number, visible(session, where))
    return session.execute(query).scalar_one_or_none()


def listed(session: Session, where: Scope, *, before: int | None = None) -> Page:
    """Return applications, newest first, from those before number `before` on."""
    query = select(Application).where(visible(session, where))
    if before is not None:
        query = query.where(Application.id < before)
    return _page(session, list(session.execute(query.order_by(Application.id.desc()).limit(PAGE + 1)).scalars()))


def waiting(session: Session, person_id: str, *, after: int = 0) -> Page:
    """Return the applications that wait for this person's opinion, oldest first, after number `after`."""
    query = select(Application).where(_mine(session, person_id), Application.id > after)
    return _page(session, list(session.execute(query.order_by(Application.id).limit(PAGE + 1)).scalars()))


def _mine(session: Session, person_id: str) -> ColumnElement[bool]:
    closed = exists().where(Opinion.application_id == Application.id, Opinion.outcome == "refused")
    spoken = [
        exists().where(Opinion.application_id == Application.id, Opinion.step == step)
        for step in ("community", "street")
    ]
    conditions: list[ColumnElement[bool]] = []
    if areas := guard.scope_of(session, person_id, Permission.COMMUNITY_OPINION).areas(session):
        conditions.append(and_(~spoken[0], keyset.among(Application.area_id, areas)))
    if areas := guard.scope_of(session, person_id, Permission.STREET_OPINION).areas(session):
        mine = humans.accounts(session, person_id)
        own = exists().where(Opinion.application_id == Application.id, Opinion.by.in_(mine))
        whole = _in_whole_streets(session, areas)
        due = and_(spoken[0], ~spoken[1], keyset.among(Application.area_id, whole))
        conditions.append(and_(due, ~own, Application.taken_by.not_in(mine)))
    return and_(~closed, or_(*conditions)) if conditions else false()


def _in_whole_streets(session: Session, areas: Collection[str]) -> set[str]:
    """Return those of these areas whose street is among them too, and those that lie in no street."""
    levels = dict(session.execute(select(Area.id, Area.level)).all())
    links = select(AreaLink.area_id, AreaLink.parent_id).where(valid_on(AreaLink, clock.today()))
    street = {area: parent for area, parent in session.execute(links) if levels.get(parent) == "street"}
    return {area for area in areas if levels.get(area) == "street" or street.get(area, area) in areas}


def _page(session: Session, rows: list[Application]) -> Page:
    shown = rows[:PAGE]
    given: dict[int, list[Opinion]] = {row.id: [] for row in shown}
    for opinion in session.execute(select(Opinion).where(Opinion.application_id.in_(given))).scalars():
        given[opinion.application_id].append(opinion)
    names = names_of(session, {row.elder_id for row in shown})
    areas = dict(session.execute(select(Area.id, Area.name).where(Area.id.in_({row.area_id for row in shown}))).all())
    found = [
        Listed(
            row.id,
            row.elder_id,
            *names[row.elder_id],
            areas[row.area_id],
            row.taken_at,
            state_of(given[row.id]),
            next((opinion.effective_from for opinion in given[row.id] if opinion.effective_from), None),
        )
        for row in shown
    ]
    return Page(found, shown[-1].id if len(rows) > PAGE else None)


def names_of(session: Session, ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, tuple[str, str]]:
    """Return the newest name and masked number of these elders."""
    newest = select(func.max(ElderIdentity.id)).where(ElderIdentity.elder_id.in_(set(ids)))
    rows = session.execute(
        select(ElderIdentity.elder_id, ElderIdentity.name, ElderIdentity.number_masked).where(
            ElderIdentity.id.in_(newest.group_by(ElderIdentity.elder_id))
        )
    )
    return {elder_id: (name, masked) for elder_id, name, masked in rows}


def classes_of(session: Session, number: int) -> list[str]:
    """Return the codes of the classes that an application asks for."""
    query = select(ApplicationClass.class_code).where(ApplicationClass.application_id == number)
    return sorted(session.execute(query).scalars())


def of_elder(session: Session, ids: Collection[uuid.UUID]) -> list[tuple[Application, str]]:
    """Return the applications of a person's entries with their states, newest first."""
    rows = session.execute(
        select(Application).where(Application.elder_id.in_(ids)).order_by(Application.id.desc())
    ).scalars()
    found = list(rows)
    given: dict[int, list[Opinion]] = {row.id: [] for row in found}
    if given:
        for opinion in session.execute(select(Opinion).where(Opinion.application_id.in_(given))).scalars():
            given[opinion.application_id].append(opinion)
    return [(row, state_of(given[row.id])) for row in found]
