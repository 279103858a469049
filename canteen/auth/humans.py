"""Which accounts belong to one human being, so that maker and checker are two people, not two accounts (P23).

The tie is an event, added and never edited; it is never undone.
"""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import events
from canteen.auth.models import Person
from canteen.db import transaction
from canteen.errors import Missing

TIED = "person.same_human"


class NoSuchAccount(Missing):
    code = "person_not_found"
    message = "没有找到这个账号，请核对后再试。"


def tie(person_id: str, other_id: str, *, by: str) -> None:
    """Record that two accounts are used by one human. Safe to repeat. Raises NoSuchAccount."""
    with transaction() as session:
        if session.get(Person, person_id) is None or session.get(Person, other_id) is None:
            raise NoSuchAccount
        if human(session, person_id) != human(session, other_id):
            events.record(session, TIED, person_id, by=by, body={"other": other_id})


def human(session: Session, person_id: str) -> str:
    """Return one id for all accounts of a human being: the least of them."""
    return min(accounts(session, person_id))


def of(session: Session, person_ids: Collection[str]) -> dict[str, str]:
    """Return the same of many accounts, by account."""
    ties = _ties(session)
    return {person_id: min(_tied(ties, person_id)) for person_id in person_ids}


def same(session: Session, person_id: str, others: Collection[str]) -> bool:
    """Return whether any of `others` is an account of the same human being."""
    return not accounts(session, person_id).isdisjoint(others)


def accounts(session: Session, person_id: str) -> set[str]:
    """Return all accounts of the human being behind one."""
    return _tied(_ties(session), person_id)


def _ties(session: Session) -> list[tuple[str, str]]:
    rows = session.execute(select(events.Event.subject, events.Event.body).where(events.Event.kind == TIED))
    return [(subject, str(json.loads(body)["other"])) for subject, body in rows]


def _tied(ties: Collection[tuple[str, str]], person_id: str) -> set[str]:
    found = {person_id}
    while True:
        more = {one for pair in ties for one in pair if not found.isdisjoint(pair)}
        if more <= found:
            return found
        found |= more
