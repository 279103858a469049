"""Locks taken before a booked sale's money or uses are moved."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from canteen import clock
from canteen.db import transaction
from canteen.pos import sale_locks, slots
from canteen.pos.models import Sale
from tests import world
from tests.pos.books import book
from tests.world import NOON

ONE, OTHER, HOME = (uuid.UUID(int=n) for n in (1, 2, 3))


def test_who_a_merge_added_meanwhile_is_locked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([({ONE}, set[uuid.UUID]()), ({ONE, OTHER}, {HOME}), ({OTHER}, {HOME})])
    locked: list[set[uuid.UUID]] = []

    def lock(_: Session, persons: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        locked.append(set(persons))
        return locked[-1]

    monkeypatch.setattr(sale_locks, "_parties", lambda *_: next(seen))
    monkeypatch.setattr(slots, "lock_persons", lock)
    assert sale_locks.lock_sale_parties(Session(), []) == {HOME}
    assert locked == [{ONE}, {OTHER}]


def test_eaters_are_locked_and_their_households_returned(
    app: Flask, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    till = world.make(session)
    world.a_rulebook(session, book("id: t.home, unit: meal, limit: 3, scope: household, window: month"))
    home = uuid.uuid4().hex
    elder = world.an_elder(session, household=home)
    with clock.at(NOON):
        world.sell(till, world.a_card(session, elder), None)
    locked: list[set[uuid.UUID]] = []

    def lock(_: Session, persons: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        locked.append(set(persons))
        return locked[-1]

    monkeypatch.setattr(slots, "lock_persons", lock)
    with transaction() as writing:
        sales = writing.execute(select(Sale)).scalars().all()
        households = sale_locks.lock_sale_parties(writing, sales)
    assert len(sales) == 2
    assert locked == [{elder}]
    assert len(households) == 1


@pytest.mark.parametrize("lost", [slots.RetryTransaction(), IntegrityError("", {}, Exception())])
def test_a_correction_that_was_overtaken_runs_again_whole(app: Flask, lost: Exception) -> None:
    runs: list[int] = []

    @sale_locks.retried_if_overtaken
    def correct(after: int) -> int:
        runs.append(1)
        if len(runs) < after:
            raise lost
        return len(runs)

    assert correct(after=20) == 20
    runs.clear()
    with pytest.raises(type(lost)):
        correct(after=21)
    assert len(runs) == 20


def test_any_other_error_of_a_correction_is_raised_at_once(app: Flask) -> None:
    runs: list[int] = []

    @sale_locks.retried_if_overtaken
    def correct() -> None:
        runs.append(1)
        raise ValueError("other")

    with pytest.raises(ValueError, match=r"^other$"):
        correct()
    assert runs == [1]
