"""A tablet's numbers declared lost: by the second person's word they stand, whatever code would get wrong."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from tests import world
from tests.invariants.test_constraints import drop_trigger, owner, refused, run

__all__ = ["owner"]

DECLARED = """INSERT INTO lost_numbers (tablet_id, epoch, first_number, last_number, reason, declared_by, declared_at)
              VALUES ('t1', 1, 4, 6, '平板进水', 'p-one', '2026-05-12T00:00:00.000000Z')"""
CONFIRMED = "UPDATE lost_numbers SET confirmed_by = 'p-two', confirmed_at = '2026-05-12T01:00:00.000000Z'"
OTHERWISE = ("first_number = 1", "last_number = 9", "epoch = 2", "reason = '别的'", "declared_by = 'p-else'")


@pytest.fixture(autouse=True)
def _declared(app: Flask, session: Session, owner: Engine) -> None:
    """Numbers 4 to 6 of t1, by p-one, not confirmed."""
    world.make(session)
    session.rollback()
    run(owner, DECLARED)


def changes(*more: str) -> Sequence[str]:
    return [f"UPDATE lost_numbers SET {change}" for change in (*OTHERWISE, *more)]


def test_a_confirmed_loss_is_not_changed(owner: Engine) -> None:
    run(owner, CONFIRMED)
    undone = "confirmed_by = NULL, confirmed_at = NULL"
    for change in changes(undone, "confirmed_by = 'p-three'", "confirmed_at = '2026-05-13T00:00:00.000000Z'"):
        assert refused(partial(run, owner, change)), change
    drop_trigger(owner, "law_lost_confirmed_once")
    run(owner, f"UPDATE lost_numbers SET {undone}")


def test_a_loss_is_confirmed_as_it_was_declared(owner: Engine) -> None:
    for change in (*changes(), f"{CONFIRMED}, last_number = 9"):
        assert refused(partial(run, owner, change)), change
    drop_trigger(owner, "law_lost_confirmed_once")
    run(owner, f"{CONFIRMED}, last_number = 9")


def test_a_declared_loss_is_not_removed(owner: Engine) -> None:
    assert refused(partial(run, owner, "DELETE FROM lost_numbers"))
    drop_trigger(owner, "law_lost_numbers_no_delete")
    run(owner, "DELETE FROM lost_numbers")
