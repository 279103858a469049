"""Read how an elder is addressed, and the portrait."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date
from functools import cache

from sqlalchemy import Select, bindparam, exists, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.registry.elders import Known, NoElder, known
from canteen.registry.models import ElderIdentity, ElderPhoto
from canteen.registry.titles import Title, title_of


def title(session: Session, elder_id: uuid.UUID, on: date | None = None, person: Known | None = None) -> Title:
    """Return how to address an elder on a day (today); a known `person` saves reading. Raises NoElder."""
    row = session.execute(_name_of_one(), {"elder": elder_id}).first()
    if row is None:
        raise NoElder
    on = on or clock.today()
    person = person or known(session, elder_id, on)
    birth = clock.day_of(person.diner.birth_day) if person.diner.birth_day is not None else None
    return title_of(row[0], person.sex, birth, on, photo=bool(row[1]))


def photo(session: Session, ids: Sequence[uuid.UUID]) -> bytes | None:
    """Return the newest portrait of a person, as JPEG."""
    newest = select(ElderPhoto.jpeg).where(ElderPhoto.elder_id.in_(ids)).order_by(ElderPhoto.id.desc()).limit(1)
    return session.execute(newest).scalar_one_or_none()


@cache
def _name_of_one() -> Select[str, bool]:
    """Return the newest name, and whether there is a portrait."""
    portrait = exists().where(ElderPhoto.elder_id == ElderIdentity.elder_id)
    own = ElderIdentity.elder_id == bindparam("elder")
    return select(ElderIdentity.name, portrait).where(own).order_by(ElderIdentity.id.desc()).limit(1)
