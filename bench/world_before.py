"""The same as bench/world.py for the build before, `python bench/world_before.py COMMAND URL FOLDER JSON`.

Every name of the product here is that of commit 3900b16, whose tree is first on the path when this runs: nothing in
this file follows a later rename. Its tablets sent records in clear, and its stamps named no cashier.
"""
# mypy: ignore-errors

from __future__ import annotations

import importlib
import json
import random
import sys
import time
import uuid
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import signing

canteen = importlib.import_module("canteen")
old = importlib.import_module("bench.world")  # of that tree
clock, events = importlib.import_module("canteen.clock"), importlib.import_module("canteen.events")
db = importlib.import_module("canteen.db")
city, tills = importlib.import_module("canteen.demo.city"), importlib.import_module("canteen.demo.tills")
quoting, envelope = importlib.import_module("canteen.pos.quoting"), importlib.import_module("canteen.pos.envelope")
people, sessions = importlib.import_module("canteen.auth.people"), importlib.import_module("canteen.auth.sessions")
tables = importlib.import_module("canteen.auth.models")
places, keys = importlib.import_module("canteen.places"), importlib.import_module("canteen.registry.keys")
roster = importlib.import_module("canteen.registry.models")
volume, sql = importlib.import_module("canteen.demo.volume"), importlib.import_module("sqlalchemy")


def make(config: Any, elders: int, count: int, meals: int) -> dict[str, Any]:
    """Make the same world as bench/world.py."""
    first = (clock.today().replace(day=1) - timedelta(days=1)).replace(day=1)
    db.upgrade(config.database_url)
    with old.opened(config):
        city.name_installation(1)
        city.build_places(first)
        city.build_rulebooks(drafter="bench-a", publisher="bench-b", first=first)
        window = places.MealWindow
        with db.transaction() as session:
            there = window.canteen_id == old.SITE.id
            session.execute(sql.update(window).where(there, window.period != "lunch").values(to_day=old.SINCE))
            session.execute(sql.update(window).where(there, window.period == "lunch").values(starts=0, ends=1440))
        grants = (("cashier", "canteen", old.SITE.id),)
        cashier = people.create("bench-cashier", "小王", pin="271828", grants=grants, must_change=False, by="system")
        _elders(elders)
        state: dict[str, Any] = {"cashier": cashier, "card": 0, "elders": elders, "tills": []}
        with db.transaction() as session:
            for till in range(count):
                session.add(
                    tables.Tablet(
                        id=signing.tablet_id(till), name=f"{till}", canteen_id=old.SITE.id,
                        public_key=signing.public_point(till), enrolled_at=clock.now(), enrolled_by="bench",
                    )
                )  # fmt: skip
            session.flush()
            for till in range(count):
                token = sessions.start(session, cashier, signing.tablet_id(till))
                state["tills"].append({"token": token, "number": 0, "previous": envelope.FIRST})
        if meals:
            volume.add(1, meals, clock.Span.month(first))
    return state


def _elders(count: int) -> None:
    rng, ring, at = random.Random(1), keys.keyring(), clock.now()
    home = next(place.code for place in old.areas.all_places() if place.parents == (old.SITE.street,))
    rows: dict[Any, list[dict[str, Any]]] = {}
    with db.transaction() as session:
        recorded = events.record(session, "import.roster", "bench", by="system", body={"rows": count})

        def add(model: Any, **row: Any) -> None:
            rows.setdefault(model, []).append(row | {"recorded": recorded})

        for n in range(count):
            elder, card = old.uid(rng), old.uid(rng)
            birth = date(1928, 1, 1) + timedelta(days=rng.randrange(37 * 365))
            add(roster.Elder, id=elder, made_at=at)
            add(
                roster.ElderIdentity, elder_id=elder, name="王秀英", pinyin="", document="none", number_cipher=None,
                number_mac=None, number_masked="", key_id="", phone_cipher=None,
            )  # fmt: skip
            since = old.SINCE
            facts = (
                ("birth", birth.isoformat(), birth),
                ("sex", "f", birth),
                ("hukou", home, since),
                ("residence", home, since),
            )
            for kind, value, day in facts:
                given = {"value": value, "from_day": day, "to_day": None, "source": "import", "retracts": None}
                add(roster.ElderFact, elder_id=elder, kind=kind, **given)
            digest = ring.digest(signing.card_code(n))
            add(
                roster.Credential, id=card, kind="card", digest=digest, number=None, salt_id=ring.salt_id,
                row_key=None, made_at=at,
            )  # fmt: skip
            add(
                roster.CredentialFact, credential_id=card, kind="bound", elder_id=elder, reason="", by="bench",
                at=at - timedelta(days=30),
            )  # fmt: skip
        for model, some in rows.items():
            session.execute(sql.insert(model), some)


def seal(state: dict[str, Any], wanted: Sequence[int], path: Path, diners: int) -> dict[str, Any]:
    """Leave sealed checkouts in `path` as bench/world.py does."""
    with path.open("w") as out:
        for till, count in enumerate(wanted):
            for _ in range(count):
                cards = range(state["card"], state["card"] + diners)
                if cards.stop > state["elders"]:
                    raise SystemExit("there are not enough elders for so many checkouts")
                state["card"] = cards.stop
                content = {"records": [_sealed(state, till, cards)]}
                out.write(json.dumps(_request(state, till, "/api/v1/records", content)) + "\n")
    return state


def ask(state: dict[str, Any], count: int, path: Path) -> dict[str, Any]:
    """Leave quotes in `path` as bench/world.py does."""
    with path.open("w") as out:
        for till in range(len(state["tills"])):
            for n in range(count):
                scan = signing.card_code(state["elders"] - 1 - (till * count + n) % state["elders"])
                lines = [{"item": city.item_id(old.SITE, n % 5), "quantity": 1}]
                asked = {"canteen": old.SITE.id, "sales": [{"scan": scan, "how": "camera", "lines": lines}]}
                out.write(json.dumps(_request(state, till, "/api/v1/pos/quotes", asked)) + "\n")
    return state


def _sealed(state: dict[str, Any], till: int, cards: Sequence[int]) -> dict[str, Any]:
    mine, ring, now = state["tills"][till], keys.keyring(), clock.now()
    session, tablet = db.db.session(), signing.tablet_id(till)
    asked = [
        quoting.Asked(
            scan=None, credential=ring.digest(signing.card_code(card)), guest=None, mode="dine_in",
            items=((city.item_id(old.SITE, card % 5), 1),), amount=None,
        )
        for card in cards
    ]  # fmt: skip
    quoted = quoting.quote(session, old.SITE.id, asked, tablet_id=tablet)
    session.rollback()
    due, mono = tills.due_of(quoted), round(time.monotonic() * 1000)
    kind = "mobile" if due else "free"
    tender = {"kind": kind, "fen": due, "given": due, "change": 0, "reference": f"B{mono}" if due else ""}
    ids = [uuid.uuid4() for _ in (*cards, "payment")]
    given = {"cashier": state["cashier"], "tender": tender, "how": "camera", "mono": mono, "boot": "bench"}
    mine["number"] += 1
    document = envelope.seal(
        tills.checkout_body(quoted, ids, **given), kind="checkout", tablet=tablet, epoch=1, number=mine["number"],
        previous=mine["previous"], at=clock.local(now), mono_ms=mono, boot="bench",
    )  # fmt: skip
    mine["previous"] = document["hash"]
    return document


def _request(state: dict[str, Any], till: int, path: str, content: object) -> dict[str, Any]:
    return signing.request(till, state["tills"][till]["token"], path, content, clock.local(clock.now()))


def disturb(every: float) -> None:
    """Record events until the standard input is closed."""
    import select  # noqa: PLC0415

    print("disturbing", flush=True)
    while not select.select([sys.stdin], [], [], every)[0]:
        with db.transaction() as session:
            events.record(session, "bench.event", "bench", by="system")


def main() -> None:
    command, url, folder, asked = sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])
    config, kept = old.settings(url, folder), folder / "state.json"
    if command == "make":
        kept.write_text(json.dumps(make(config, asked["elders"], asked["tills"], asked["meals"])))
        return
    state = json.loads(kept.read_text())
    with old.opened(config):
        if command == "disturb":
            disturb(asked["every"])
        elif command == "ask":
            kept.write_text(json.dumps(ask(state, asked["count"], Path(asked["path"]))))
        else:
            done = seal(state, asked["wanted"], Path(asked["path"]), asked["diners"])
            kept.write_text(json.dumps(done))


if __name__ == "__main__":
    main()
