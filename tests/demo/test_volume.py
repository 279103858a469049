"""Rows written in bulk must be such as checkouts would have left: closed by the real close, verified by the independent recomputation."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import func, select

from canteen import config
from canteen.clock import Span
from canteen.db import db
from canteen.demo import city, database, volume
from canteen.pos.models import Record, Sale, Share, Slot
from canteen.settlement.audit import verify
from canteen.settlement.closing import close
from canteen.settlement.models import Claim, Finding
from tests.rigs import postgres

MONTH, MEALS = Span.month(date(2026, 9, 1)), 330


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(
    request: pytest.FixtureRequest, postgres_server: postgres.Server, dropping: Executor, tmp_path: Path
) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'canteen.db'}"
        return
    name = f"canteen_test_{os.getpid()}_volume_{uuid.uuid4().hex[:8]}"
    postgres_server.create(name, "template0")
    yield postgres_server.url(name)
    dropping.submit(postgres_server.drop, name)


def test_a_month_in_bulk_closes_without_findings_and_verifies(empty_url: str, tmp_path: Path) -> None:
    env = {"CANTEEN_DATABASE_URL": empty_url, "CANTEEN_DATA": str(tmp_path)}
    with database.building(replace(config.from_environment(env), demo=True)):
        city.name_installation(3)
        city.build_places(MONTH.first)
        city.build_rulebooks(drafter="demo-a", publisher="demo-b", first=MONTH.first)
        contract = volume.add(3, MEALS, MONTH)
        done = close.close(contract, MONTH.last, by="system")
        seen = verify.period(done.period_id)
        session = db.session()
        counts = {
            model: session.execute(select(func.count()).select_from(model)).scalar_one() for model in (Record, Sale)
        }
        subsidy = session.execute(select(func.sum(Share.fen)).where(Share.payer == "subsidy")).scalar_one()
        claimed = session.execute(select(Claim.fen)).scalar_one()
        findings = session.execute(select(func.count()).select_from(Finding)).scalar_one()
        slots = session.execute(
            select(func.count()).select_from(Slot).where(Slot.allowance == "guard.meal")
        ).scalar_one()
        session.rollback()
    assert counts == {Record: MEALS, Sale: MEALS}
    assert (seen.sales, seen.differences, findings) == (MEALS, (), 0)
    assert claimed == subsidy > 0
    assert slots == MEALS
