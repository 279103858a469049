"""Reads of closed periods have a connection of their own: they leave their caller's transaction alone."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import inspect, select

from canteen import keyset
from canteen.db import db, transaction
from canteen.ledger.models import Period
from canteen.settlement.models import Claim
from tests.settlement.conftest import Town, fresh


def test_a_read_of_a_closed_period_keeps_what_its_caller_loaded(town: Town):
    town.sell(date(2026, 1, 5), town.cards[0])
    town.close("2026-01")
    session = fresh()
    claim = session.execute(select(Claim)).scalar_one()

    pages = list(keyset.rows(select(Period.id), [Period.id], page=1))

    assert len(pages) == len(keyset.once(select(Period.id)))
    assert session.in_transaction()
    assert not inspect(claim).expired


def test_what_a_reader_loaded_can_be_used_afterwards(town: Town):
    town.close("2026-01")

    with keyset.reader() as session:
        claim = session.execute(select(Claim)).scalar_one()

    assert claim.number == "k1-202601"
    assert claim not in db.session()


def test_no_read_of_its_own_is_opened_in_a_writing_transaction(town: Town):
    query = select(Period.id)

    with transaction(), pytest.raises(RuntimeError):
        keyset.once(query)
    with transaction(), pytest.raises(RuntimeError):
        next(keyset.rows(query, [Period.id]))
