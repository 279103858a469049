"""Serving points of a canteen: counters, delivery, points that a kitchen sends food to. None is removed: sales name them."""

from __future__ import annotations

from datetime import date
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen import clock, events
from canteen.errors import Invalid, Missing
from canteen.places import POINTS, ServingPoint

LONGEST: Final = 20


class NoPoint(Missing):
    code = "point_not_found"
    message = "没有找到这个供餐点，请刷新后再试。"


class BadPoint(Invalid):
    code = "point_invalid"
    message = f"请填写供餐点名称（最多 {LONGEST} 个字）并选择类型。"


def points_of(session: Session, canteen_id: str, day: date | None = None) -> list[ServingPoint]:
    """Return the serving points of a canteen by id; with `day`, only those not ended by then."""
    query = select(ServingPoint).where(ServingPoint.canteen_id == canteen_id).order_by(ServingPoint.id)
    if day is not None:
        query = query.where(ServingPoint.ended_on.is_(None) | (ServingPoint.ended_on > day))
    return list(session.execute(query).scalars())


def add(session: Session, canteen_id: str, name: str, kind: str, *, by: str) -> str:
    """Add a point and return its id, numbered within the canteen. Raises BadPoint."""
    events.wait(session)
    count = session.execute(select(func.count()).where(ServingPoint.canteen_id == canteen_id)).scalar_one()
    point_id = f"{canteen_id}-p{count + 1}"
    while session.get(ServingPoint, point_id) is not None:
        count += 1
        point_id = f"{canteen_id}-p{count + 1}"
    events.record(session, "point.change", canteen_id, by=by, body={"point": point_id, "name": name, "kind": kind})
    write(session, canteen_id, point_id, name, kind)
    return point_id


def amend(session: Session, point_id: str, name: str, kind: str, *, by: str) -> None:
    """Give a point another name or kind. Raises NoPoint, BadPoint."""
    point = point_of(session, point_id)
    events.record(
        session, "point.change", point.canteen_id, by=by, body={"point": point_id, "name": name, "kind": kind}
    )
    write(session, point.canteen_id, point_id, name, kind)


def end(session: Session, point_id: str, *, ended: bool, by: str) -> None:
    """Offer a point no longer from today on, or again. Raises NoPoint."""
    point = point_of(session, point_id)
    events.record(session, "point.change", point.canteen_id, by=by, body={"point": point_id, "ended": ended})
    point.ended_on = clock.today() if ended else None
    session.flush()


def point_of(session: Session, point_id: str) -> ServingPoint:
    """Return a point. Raises NoPoint."""
    found = session.get(ServingPoint, point_id)
    if found is None:
        raise NoPoint
    return found


def write(session: Session, canteen_id: str, point_id: str, name: str, kind: str) -> None:
    """Write a point, under an event of the caller's. Raises BadPoint."""
    name = name.strip()
    if not 0 < len(name) <= LONGEST or not name.isprintable() or kind not in POINTS:
        raise BadPoint
    point = session.get(ServingPoint, point_id)
    if point is None:
        point = ServingPoint(id=point_id, canteen_id=canteen_id)
        session.add(point)
    point.name, point.kind = name, kind
    session.flush()
