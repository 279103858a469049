"""Make a canteen full of elders for the benchmarks, and what its tablets send, quoted, sealed and signed beforehand.

Also a program, `python bench/world.py COMMAND URL FOLDER JSON`, that answers JSON on its last line.
bench/world_before.py does the same for the build before.
"""

from __future__ import annotations

import json
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import insert, update

from bench import signing
from bench.signing import card_code, card_number, public_point, tablet_id
from canteen import clock, config, events
from canteen.app import create_app
from canteen.auth import people, sessions
from canteen.auth.models import Tablet
from canteen.clock import Span
from canteen.config import Config
from canteen.db import db, transaction, upgrade
from canteen.demo import areas, city, volume
from canteen.demo.randomness import uid
from canteen.demo.sites import SITES
from canteen.demo.tills import checkout_body, due_of
from canteen.places import MealWindow
from canteen.pos import cipher, envelope, records, scan_quotes
from canteen.registry import keys
from canteen.registry.models import Credential, CredentialFact, Elder, ElderFact, ElderIdentity

SINCE = date(2020, 1, 1)
SITE = SITES[0]
BOOT = "bench"
State = dict[str, Any]
"""What is kept between two sealings: the cashier, each till's session, number and last hash, the next fresh card."""


def settings(url: str, folder: Path) -> Config:
    """Return the settings of an installation of its own for one benchmark."""
    found = config.from_environment({"CANTEEN_DATABASE_URL": url, "CANTEEN_DATA": str(folder), "CANTEEN_POOL": "4"})
    found.data_dir.mkdir(parents=True, exist_ok=True)
    return found


@contextmanager
def opened(config_: Config) -> Iterator[Flask]:
    """Yield the application in its context; connections are closed at the end."""
    app = create_app(config_)
    with app.app_context():
        try:
            yield app
        finally:
            db.session.remove()
            db.engine.dispose()


def month() -> Span:
    """Return the month before this one, which can be closed."""
    return Span.month(clock.today().replace(day=1) - timedelta(days=1))


# --- the world ---


def make(config_: Config, elders: int, tills: int, meals: int, *, cards: bool = True) -> State:
    """Migrate; put in places, rulebooks, a cashier, tablets, elders with cards, and `meals` sold in the month before.

    Lunch is served all day at the tablets' canteen, so that a checkout is a lunch at whatever hour the bench runs.
    """
    upgrade(config_.database_url)
    with opened(config_):
        build_places()
        with transaction() as session:
            there = MealWindow.canteen_id == SITE.id
            session.execute(update(MealWindow).where(there, MealWindow.period != "lunch").values(to_day=SINCE))
            session.execute(update(MealWindow).where(there, MealWindow.period == "lunch").values(starts=0, ends=1440))
        grants = (("cashier", "canteen", SITE.id),)
        cashier = people.create("bench-cashier", "小王", pin="271828", grants=grants, must_change=False, by="system")
        add_elders(elders, cards=cards)
        state: State = {"cashier": cashier, "card": 0, "elders": elders, "tills": []}
        with transaction() as session:
            for till in range(tills):
                session.add(
                    Tablet(
                        id=tablet_id(till), name=f"{till}", canteen_id=SITE.id, public_key=public_point(till),
                        enrolled_at=clock.now(), enrolled_by="bench",
                    )
                )  # fmt: skip
            session.flush()
            for till in range(tills):
                token = sessions.start(session, cashier, tablet_id(till))
                state["tills"].append({"token": token, "number": 0, "previous": envelope.FIRST})
        if meals:
            volume.add(1, meals, month())
    return state


def build_places() -> None:
    """Make the demo city's places and rulebooks, in force since the month before this one."""
    city.name_installation(1)
    city.build_places(month().first)
    city.build_rulebooks(drafter="bench-a", publisher="bench-b", first=month().first)


def home_area() -> str:
    """Code of the community where the elders live."""
    return next(place.code for place in areas.all_places() if place.parents == (SITE.street,))


def add_elders(count: int, *, cards: bool = True) -> None:
    """Put so many on the roster, all of one community, each with a card unless told otherwise."""
    rng, ring = random.Random(1), keys.keyring()
    home = home_area()
    models = (Elder, ElderIdentity, ElderFact, Credential, CredentialFact)
    rows: dict[Any, list[dict[str, Any]]] = {model: [] for model in models}
    with transaction() as session:
        recorded = events.record(session, "import.roster", "bench", by="system", body={"rows": count})
        at = clock.now()
        for n in range(count):
            elder, card = uid(rng), uid(rng)
            birth = date(1928, 1, 1) + timedelta(days=rng.randrange(37 * 365))
            rows[Elder].append({"id": elder, "made_at": at, "recorded": recorded})
            name = {"name": "王秀英", "pinyin": "", "document": "none", "number_cipher": None}
            rest = {"number_masked": "", "phone_cipher": None, "recorded": recorded}
            rows[ElderIdentity].append({"elder_id": elder, **name, **rest})
            for kind, value, day in (
                ("birth", birth.isoformat(), birth),
                ("sex", "f", birth),
                ("hukou", home, SINCE),
                ("residence", home, SINCE),
            ):
                fact = {"elder_id": elder, "kind": kind, "value": value, "from_day": day, "to_day": None}
                rows[ElderFact].append(fact | {"recorded": recorded, "source": "import", "retracts": None})
            if not cards:
                continue
            digest = ring.digest(card_code(n))
            rows[Credential].append(
                {
                    "id": card, "kind": "card", "digest": digest, "number": card_number(n), "salt_id": ring.salt_id,
                    "row_key": None, "made_at": at, "recorded": recorded,
                }
            )  # fmt: skip
            rows[CredentialFact].append(
                {
                    "credential_id": card, "kind": "bound", "elder_id": elder, "reason": "", "by": "bench",
                    "at": at - timedelta(days=30), "recorded": recorded,
                }
            )  # fmt: skip
        for model, some in rows.items():
            if some:
                session.execute(insert(model), some)


# --- what tablets send ---


def seal(state: State, wanted: Sequence[int], path: Path, *, diners: int = 1) -> State:
    """Quote, seal and sign `wanted[till]` checkouts of each till, and leave them in `path` as requests.

    diners    sales of one checkout, all on one payment; nobody eats twice
    """
    with path.open("w") as out:
        for till, count in enumerate(wanted):
            for _ in range(count):
                cards = range(state["card"], state["card"] + diners)
                if cards.stop > state["elders"]:
                    raise SystemExit("there are not enough elders for so many checkouts")
                state["card"] = cards.stop
                document = _sealed(state, till, cards)
                out.write(json.dumps(_request(state, till, "/api/v1/records", {"records": [document]})) + "\n")
    return state


def ask(state: State, count: int, path: Path) -> State:
    """Leave `count` quotes of each till in `path` as requests; the cards are those that are used last."""
    with path.open("w") as out:
        for till in range(len(state["tills"])):
            for n in range(count):
                scan = card_code(state["elders"] - 1 - (till * count + n) % state["elders"])
                lines = [{"item": city.item_id(SITE, n % 5), "quantity": 1}]
                asked = {"canteen": SITE.id, "sales": [{"scan": scan, "how": "camera", "lines": lines}]}
                out.write(json.dumps(_request(state, till, "/api/v1/pos/quotes", asked)) + "\n")
    return state


def _sealed(state: State, till: int, cards: Sequence[int]) -> dict[str, Any]:
    """Return a checkout record as the tablet sends it: encrypted to the server."""
    mine, ring = state["tills"][till], keys.keyring()
    session, now = db.session(), clock.now()
    asked = [
        scan_quotes.Asked(
            scan=None, credential=ring.digest(card_code(card)), guest=None, mode="dine_in",
            items=((city.item_id(SITE, card % 5), 1),), amount=None,
        )
        for card in cards
    ]  # fmt: skip
    quoted = scan_quotes.quote(session, SITE.id, asked, tablet_id=tablet_id(till), cashier=state["cashier"])
    session.rollback()
    due, mono = due_of(quoted), round(time.monotonic() * 1000)
    kind = "mobile" if due else "free"
    tender = {"kind": kind, "fen": due, "given": due, "change": 0, "reference": f"B{mono}" if due else ""}
    ids = [uuid.uuid4() for _ in (*cards, "payment")]
    body = checkout_body(quoted, ids, cashier=state["cashier"], tender=tender, how="camera", mono=mono, boot=BOOT)
    mine["number"] += 1
    document = envelope.seal(
        body, kind="checkout", tablet=tablet_id(till), epoch=1, number=mine["number"], previous=mine["previous"],
        at=clock.local(now), mono_ms=mono, boot=BOOT,
    )  # fmt: skip
    mine["previous"] = document["hash"]
    key = cipher.public_key()
    hidden = cipher.encrypted(document["body"].encode(), key, document["hash"])
    return document | {"body": hidden, "cipher": envelope.ENCRYPTED, "key": key.id}


def _request(state: State, till: int, path: str, content: object) -> dict[str, Any]:
    return signing.request(till, state["tills"][till]["token"], path, content, clock.local(clock.now()))


# --- beside the load ---


def accept(requests: Path, seconds: float) -> dict[str, Any]:
    """Book sealed checkouts in this very process, without HTTP or signature, each a batch of one."""
    took: list[float] = []
    tablet = Tablet(id=tablet_id(0), canteen_id=SITE.id)
    began, busy = time.perf_counter(), time.process_time()
    for line in requests.read_text().splitlines():
        (document,) = json.loads(json.loads(line)["body"])["records"]
        before = time.perf_counter()
        if before > began + seconds:
            break
        (result,) = records.accept([document], tablet)
        if result.outcome != "created":
            raise SystemExit(f"{result.outcome}: {result.reason} {result.message}")
        took.append((time.perf_counter() - before) * 1000)
    return {"took": took, "seconds": time.perf_counter() - began, "cpu": time.process_time() - busy}


def disturb(every: float) -> None:
    """Record an event that is nobody's business `every` so many seconds, until the standard input is closed."""
    print("disturbing", flush=True)
    while not _closed(every):
        with transaction() as session:
            events.record(session, "cards.print", "bench", by="system")


def _closed(seconds: float) -> bool:
    import select  # noqa: PLC0415

    ready, _, _ = select.select([sys.stdin], [], [], seconds)
    return bool(ready) and not sys.stdin.read(1)


def main() -> None:
    command, url, folder, asked = sys.argv[1], sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])
    config_, kept = settings(url, folder), folder / "state.json"
    if command == "make":
        answer: Any = make(config_, asked["elders"], asked["tills"], asked["meals"], cards=asked.get("cards", True))
        kept.write_text(json.dumps(answer))
        return
    state: State = json.loads(kept.read_text())
    commands: dict[str, Callable[[], Any]] = {
        "seal": lambda: seal(state, asked["wanted"], Path(asked["path"]), diners=asked["diners"]),
        "ask": lambda: ask(state, asked["count"], Path(asked["path"])),
        "accept": lambda: accept(Path(asked["path"]), asked["seconds"]),
        "disturb": lambda: disturb(asked["every"]),
    }
    with opened(config_):
        answer = commands[command]()
    if command in {"seal", "ask"}:
        kept.write_text(json.dumps(answer))
    else:
        print(json.dumps(answer))


if __name__ == "__main__":
    main()
