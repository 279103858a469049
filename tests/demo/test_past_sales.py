"""What is rung up in bulk leaves the very rows that a checkout leaves."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from canteen import clock
from canteen.auth.models import Tablet
from canteen.db import Base, db
from canteen.demo import city as places
from canteen.demo import database
from canteen.demo.past_sales import PastSales
from canteen.demo.sites import SITES
from canteen.demo.tills import SENDING, DemoFailed, Till, Wish
from canteen.ledger.models import Transfer
from canteen.pos.models import QuoteInput, Record, Sale, SaleUse, ShareTerms, Slot
from canteen.registry.models import Credential, CredentialFact
from tests.demo.conftest import TODAY, City

AT = clock.instant(TODAY, 11 * 60 + 45)
TABLES: tuple[type[Base], ...] = (Record, Sale, SaleUse, Slot, Transfer, QuoteInput, ShareTerms)
SITE = SITES[0]


def _rung(
    city: City, folder: Path, ring: Callable[[Till, list[Wish], dict[str, Any]], None]
) -> dict[str, list[dict[str, Any]]]:
    """Ring up a couple with a guest and one elder alone in a copy of the city, and return all rows of the tables."""
    folder.mkdir()
    url = f"sqlite:///{shutil.copy(city.config.data_dir / 'canteen.db', folder)}"
    with database.opened(replace(city.config, database_url=url)):
        session = db.session()
        bound = select(Credential.digest, CredentialFact.elder_id).where(CredentialFact.kind == "bound")
        of = bound.join(CredentialFact, CredentialFact.credential_id == Credential.id)
        cards = dict(session.execute(of.order_by(CredentialFact.elder_id).limit(3)).all())
        tablet = session.execute(select(Tablet.id).where(Tablet.canteen_id == SITE.id)).scalars().first()
        cashier = session.execute(select(Sale.cashier_id).where(Sale.canteen_id == SITE.id).limit(1)).scalar_one()
        session.rollback()
        till = Till(tablet or "", SITE.id, cashier, random.Random(7), number=5000)
        first, second, third = cards
        ring(till, [Wish(first, places.item_id(SITE, 0)), Wish(second, places.item_id(SITE, 1)), Wish(None, places.item_id(SITE, 0))], cards)  # fmt: skip
        ring(till, [Wish(third, places.item_id(SITE, 2))], cards)
        return {
            model.__tablename__: sorted(
                (dict(row) for row in session.execute(select(*model.__table__.columns)).mappings()), key=str
            )
            for model in TABLES
        }


def test_rows_in_bulk_are_those_of_a_checkout(city_on_sqlite: City, tmp_path: Path) -> None:
    def real(till: Till, wishes: list[Wish], _: dict[str, Any]) -> None:
        till.ring(AT, wishes, pays="mobile")
        till.send(AT + SENDING)

    def in_bulk(till: Till, wishes: list[Wish], cards: dict[str, Any]) -> None:
        past = PastSales(cards)
        past.ring(till, AT, wishes, pays="mobile", how="camera", mode="dine_in")
        past.write()

    one, other = _rung(city_on_sqlite, tmp_path / "real", real), _rung(city_on_sqlite, tmp_path / "bulk", in_bulk)
    assert one.keys() == other.keys()
    for table, rows in one.items():
        assert rows == other[table], table


def test_what_would_have_to_be_read_is_not_rung_up_in_bulk(city_on_sqlite: City, tmp_path: Path) -> None:
    def late(till: Till, wishes: list[Wish], cards: dict[str, Any]) -> None:
        PastSales(cards).ring(till, clock.instant(TODAY, 23 * 60), wishes, pays="cash", how="camera", mode="dine_in")

    with pytest.raises(DemoFailed, match="outside_window"):
        _rung(city_on_sqlite, tmp_path / "late", late)
