"""Check whether the cashier of a sale might sell at the canteen. A meal served is booked in any case, with a flag."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import concerns
from canteen.auth.guard import ROLES, Permission
from canteen.auth.models import Grant, Person
from canteen.memory import Kept
from canteen.pos.flags import CASHIER_NO_RIGHT, CASHIER_UNKNOWN, FlagOrNone
from canteen.pos.pricing import Place

_SELLERS = tuple(role for role, may in ROLES.items() if Permission.SELL in may)
_Ends = tuple[datetime | None, ...]
_kept: Kept[_Ends | None] = Kept(2000)


def cashier_flag(session: Session, person_id: str, place: Place, at: datetime) -> FlagOrNone:
    """Return 'cashier_unknown', 'cashier_no_right' (at this canteen at that instant), or ''.

    A right counts from the beginning of time: people start work before the desk enters it. It ends when it was ended.
    """
    operator = place.contract.operator_id if place.contract else ""
    key = (person_id, place.canteen.id, operator, place.areas)
    concerned = (concerns.STAFF, concerns.person(person_id))
    ends = _kept.get(session, place.head, key, lambda: _read(session, person_id, place, operator), lambda _: concerned)
    if ends is None:
        return CASHIER_UNKNOWN
    return "" if any(end is None or end > at for end in ends) else CASHIER_NO_RIGHT


def _read(session: Session, person_id: str, place: Place, operator: str) -> _Ends | None:
    """Read when each grant that covers the canteen ends; None when there is no such person."""
    if session.get(Person, person_id) is None:
        return None
    nodes = {("canteen", place.canteen.id), ("operator", operator), *(("area", code) for code in place.areas)}
    rows = session.execute(
        select(Grant.node_kind, Grant.node_id, Grant.ended_at).where(
            Grant.person_id == person_id, Grant.role.in_(_SELLERS)
        )
    )
    return tuple(end for kind, node, end in rows if (kind, node) in nodes)
