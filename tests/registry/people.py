"""Builders for the registry's tests: made-up ID numbers, a few areas, elders, files."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import change_requests
from canteen.auth.models import Grant, Person
from canteen.db import transaction
from canteen.places import Area, AreaLink
from canteen.registry import documents, elders
from canteen.registry.elders import NewElder, NewFact
from canteen.registry.imports import templates
from canteen.registry.imports.roster_columns import ROSTER
from tests.auth.house import password_hash

CITY, DISTRICT, STREET, OTHER = "229900", "229901", "229901001", "229902"
SINCE = date(2020, 1, 1)


def number(born: str = "19460305", order: int = 102, region: str = "229901") -> str:
    """An ID number with a right check digit, of a region that nobody has."""
    head = f"{region}{born}{order:03d}"
    return head + documents.check_digit(head)


def some_areas(session: Session) -> None:
    rows: tuple[tuple[str, str, str, str | None], ...] = (
        (CITY, "演示市", "city", None),
        (DISTRICT, "演示区", "district", CITY),
    )
    rows += ((STREET, "演示街道", "street", DISTRICT), (OTHER, "别处区", "district", CITY))
    with transaction():
        session.add_all(Area(id=code, name=name, level=level) for code, name, level, _ in rows)
        session.flush()
        session.add_all(
            AreaLink(area_id=code, parent_id=parent, from_day=SINCE, to_day=None)
            for code, _, _, parent in rows
            if parent
        )


def confirm_all(session: Session) -> int:
    """Confirm all that waits, as a second administrator of everything; answers how many requests that were."""
    session.rollback()
    with transaction():
        if session.get(Person, "p-chief") is None:
            session.add(
                Person(
                    id="p-chief",
                    login="chief",
                    name="程主任",
                    password_hash=password_hash(),
                    pin_hash=None,
                    disabled_at=None,
                    changed_at=clock.now(),
                )
            )
            session.flush()
            tops = session.execute(select(Area.id).where(Area.id.not_in(select(AreaLink.area_id)))).scalars().all()
            session.add_all(
                Grant(
                    person_id="p-chief",
                    role="admin",
                    node_kind="area",
                    node_id=top,
                    granted_by="system",
                    granted_at=clock.now(),
                    ended_at=None,
                    ended_by=None,
                )
                for top in tops
            )
    waiting = [each.request.id for each in change_requests.waiting(session, "p-chief")]
    session.rollback()
    for each in waiting:
        change_requests.confirm(each, by="p-chief")
    return len(waiting)


def an_elder(
    session: Session, *facts: NewFact, order: int = 102, born: str = "19460305", name: str = "李秀英"
) -> uuid.UUID:
    """An elder of STREET since 2020."""
    document = documents.parse("resident", number(born, order))
    new = NewElder(name, document, hukou=STREET, residence=STREET, known_from=SINCE, facts=facts)
    with transaction():
        return elders.register(session, new, "p-admin")


def a_name(id_number: str) -> str:
    """A name of one's own for a number that is not the usual one: two of one name and birth date are a question."""
    return (
        "李秀英"
        if id_number in {"", number()}
        else f"李秀{chr(0x4E00 + sum(ord(char) * 97**at for at, char in enumerate(id_number)) % 20_000)}"
    )


def cells(**values: str) -> list[str]:
    """A row of the roster by column keys."""
    usual = {"name": "李秀英", "number": number(), "hukou": STREET, "residence": STREET, "since": "2026-01-01"}
    given = usual | {"name": a_name(values.get("number", ""))} | values
    return [given.get(column.key, "") for column in ROSTER.columns]


def a_roster(folder: Path, *rows: Sequence[str], name: str = "roster.csv") -> Path:
    path = folder / name
    path.write_bytes(templates.separated(ROSTER, rows))
    return path
