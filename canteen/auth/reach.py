"""The people and roles over which an administrator decides."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen.auth import guard
from canteen.auth.guard import Permission, Scope
from canteen.auth.models import ROLES, Grant

SYSTEM = "system"  # the command line on the server itself


@dataclass(frozen=True, slots=True)
class Reach:
    """An administrator's reach: all roles in `people`, cashiers alone in `staff`."""

    by: str
    people: Scope
    staff: Scope

    @classmethod
    def of(cls, session: Session, by: str) -> Reach:
        return cls(
            by,
            guard.scope_of(session, by, Permission.PEOPLE),
            guard.scope_of(session, by, Permission.STAFF),
        )

    @property
    def all(self) -> bool:
        return self.by == SYSTEM

    def roles(self) -> list[str]:
        """Return the roles that may be granted."""
        return list(ROLES) if self.all or self.people else ["cashier"] if self.staff else []

    def grants(self, session: Session, role: str, kind: str, node_id: str) -> bool:
        """Return whether a role at a node may be given and taken."""
        return (
            self.all
            or self.people.covers_node(session, kind, node_id)
            or (role == "cashier" and self.staff.covers_node(session, kind, node_id))
        )

    def manages(self, session: Session, person_id: str) -> bool:
        """Return whether the account may be changed: all its roles, or its former ones if none, lie within reach."""
        if self.all:
            return True
        if person_id == self.by:
            return False
        grants = list(session.execute(select(Grant).where(Grant.person_id == person_id)).scalars())
        live = [grant for grant in grants if grant.ended_at is None] or grants
        within = all(self.grants(session, grant.role, grant.node_kind, grant.node_id) for grant in live)
        return within if live else bool(self.people)
