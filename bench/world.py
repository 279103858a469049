"""A canteen full of elders for the benchmarks, and checkouts quoted and sealed beforehand, ready to be sent."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert

from canteen import clock, config, events
from canteen.app import create_app
from canteen.auth import contacts
from canteen.auth.models import Tablet
from canteen.config import Config
from canteen.db import db, transaction, upgrade
from canteen.demo import areas, city
from canteen.demo.draw import uid
from canteen.demo.sites import SITES
from canteen.demo.tills import Till, Wish
from canteen.registry.models import Credential, CredentialFact, Elder, ElderFact, ElderIdentity

SINCE = date(2020, 1, 1)
SITE = SITES[0]


def settings(url: str, folder: Path) -> Config:
    """An installation of its own for one benchmark."""
    found = config.from_environment({"CANTEEN_DATABASE_URL": url, "CANTEEN_DATA": str(folder), "CANTEEN_POOL": "4"})
    found.data_dir.mkdir(parents=True, exist_ok=True)
    return found


@contextmanager
def opened(config_: Config) -> Iterator[Flask]:
    """The application in its context; connections are closed at the end."""
    app = create_app(config_)
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()


def make(config_: Config, elders: int, tablets: int) -> None:
    """Migrate, and put in the demo's places and rulebooks, `elders` with cards, and tablets at the first canteen."""
    upgrade(config_.database_url)
    first = clock.today().replace(day=1)
    with opened(config_):
        city.name_installation(1)
        city.build_places(first)
        city.build_rulebooks(drafter="bench-a", publisher="bench-b", first=first)
        _elders(elders)
        with transaction() as session:
            for n in range(tablets):
                session.add(
                    Tablet(
                        id=f"bench{n:02d}", name=f"{n}", canteen_id=SITE.id, public_key=b"none",
                        enrolled_at=clock.now(), enrolled_by="bench",
                    )
                )  # fmt: skip
                session.flush()
                contacts.log(session, f"bench{n:02d}", "bench", opens=True)


def _elders(count: int) -> None:
    rng = random.Random(1)
    home = next(place.code for place in areas.all_places() if place.parents == (SITE.street,))
    models = (Elder, ElderIdentity, ElderFact, Credential, CredentialFact)
    rows: dict[Any, list[dict[str, Any]]] = {model: [] for model in models}
    with transaction() as session:
        recorded = events.record(session, "import.roster", "bench", by="system", body={"rows": count})
        at = clock.now()
        for n in range(count):
            elder, card = uid(rng), uid(rng)
            birth = date(1928, 1, 1) + timedelta(days=rng.randrange(37 * 365))
            rows[Elder].append({"id": elder, "made_at": at, "recorded": recorded})
            name = {"name": "王秀英", "pinyin": "", "document": "none", "number_cipher": None, "number_mac": None}
            rest = {"number_masked": "", "key_id": "", "phone_cipher": None, "recorded": recorded}
            rows[ElderIdentity].append({"elder_id": elder, **name, **rest})
            for kind, value, day in (
                ("birth", birth.isoformat(), birth),
                ("sex", "f", birth),
                ("hukou", home, SINCE),
                ("residence", home, SINCE),
            ):
                fact = {"elder_id": elder, "kind": kind, "value": value, "from_day": day, "to_day": None}
                rows[ElderFact].append(fact | {"recorded": recorded, "source": "import", "retracts": None})
            digest = f"{n:064x}"
            rows[Credential].append(
                {
                    "id": card, "kind": "card", "digest": digest, "number": None, "salt_id": "bench", "row_key": None,
                    "made_at": at, "recorded": recorded,
                }
            )  # fmt: skip
            rows[CredentialFact].append(
                {
                    "credential_id": card, "kind": "bound", "elder_id": elder, "reason": "", "by": "bench",
                    "at": at - timedelta(days=30), "recorded": recorded,
                }
            )  # fmt: skip
        for model, some in rows.items():
            session.execute(insert(model), some)


def seal(config_: Config, till: int, cards: Sequence[int], path: Path) -> None:
    """Quote and seal one checkout for each card, at noon of today, and leave them as lines of JSON."""
    noon = clock.instant(clock.today(), 11 * 60 + 30)
    with opened(config_), path.open("w") as out:
        hand = Till(f"bench{till:02d}", SITE.id, "bench", random.Random(till))
        for n, card in enumerate(cards):
            hand.ring(
                noon + timedelta(seconds=n % 3600), [Wish(f"{card:064x}", city.item_id(SITE, n % 5))], pays="mobile"
            )
            out.write(json.dumps(hand.outbox.pop()) + "\n")
            hand.expected.clear()


def sold_at(n: int) -> datetime:
    """When the n-th sealed checkout arrives."""
    return clock.instant(clock.today(), 11 * 60 + 30) + timedelta(seconds=n % 3600 + 27)
