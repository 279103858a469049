"""Puts the demo city into a database: areas, canteens, contracts, people, rulebooks, accounts, tablets, cards."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from canteen import clock, events, keyset, policy, settings
from canteen.auth import change_requests, reach
from canteen.auth.change_requests import RequestLine
from canteen.auth.models import Tablet
from canteen.db import Base, batches, transaction
from canteen.demo import areas, sites
from canteen.demo.areas import Place
from canteen.demo.elders import Somebody
from canteen.demo.randomness import source
from canteen.demo.sites import SITES, Site
from canteen.menus import changes, points
from canteen.menus.changes import NewItem
from canteen.places import (
    Area,
    AreaLink,
    Canteen,
    Contract,
    Installation,
    MealWindow,
    Operator,
    Payee,
    ServingDays,
)
from canteen.registry import benefit_gains, credentials, documents, elders, fact_requests, keys, print_runs
from canteen.registry.card_print import sheet
from canteen.registry.elders import NewElder, NewFact
from canteen.registry.models import Credential, CredentialFact, Elder, ElderFact, ElderIdentity, IdentityKey
from canteen.rulebooks import publications

SCHEMES = Path(policy.__file__).parent / "schemes"
SINCE = date(2020, 1, 1)
BRAND = "演示·长春敬老助餐卡"
PRINTED_BATCH, WAITING_BATCH = "demo-cards", "demo-rest"


@dataclass(frozen=True, slots=True)
class Machine:
    """A tablet of a canteen, by its place among them."""

    id: str
    site: str
    name: str


def name_installation(seed: int) -> None:
    """Say in the database itself that it is a demo."""
    with transaction() as session:
        incarnation = f"{source(seed, 'incarnation').getrandbits(128):032x}"
        session.add(Installation(id=1, incarnation=incarnation, demo=True, made_at=clock.now()))
        settings.begin(session, by=reach.SYSTEM)
        settings.put(session, "card_brand", BRAND, None, by=reach.SYSTEM)


def build_places(first: date) -> None:
    """Make areas, operators, payees, canteens with all that is dated, and contracts from `first` on."""
    box = keys.keyring().identity
    found = areas.all_places()
    with transaction() as session:
        session.execute(insert(Area), [{"id": one.code, "name": one.name, "level": one.level} for one in found])
        links = [
            {"area_id": one.code, "parent_id": parent, "from_day": SINCE, "to_day": None}
            for one in found
            for parent in one.parents
        ]
        session.execute(insert(AreaLink), links)
        session.execute(insert(Operator), [{"id": f.id, "name": f.name, "credit_code": None} for f in sites.FIRMS])
        payees = [
            {
                "id": one.id,
                "name": one.name,
                "bank": one.bank,
                "account_cipher": box.seal(one.account.encode(), f"payee.account {one.id}"),
                "account_tail": one.account[-4:],
            }
            for one in sites.PAYEES
        ]
        session.execute(insert(Payee), payees)
        for model, rows in _of_sites(found, first).items():
            session.execute(insert(model), rows)
        recorded = events.record(session, "demo.places", areas.CITY, by="system", body={"canteens": len(SITES)})
        for site in SITES:
            _sell(session, site, recorded)


def _sell(session: Session, site: Site, recorded: int) -> None:
    """Enter the menu and the serving points of a canteen, as a file of them would."""
    today = clock.today()
    for n, dish in enumerate(site.menu):
        item = NewItem(dish.name, "set", (dish.period,), tuple(dish.tags.split()), n)
        changes.write_item(session, site.id, item_id(site, n), item)
        changes.write_price(session, item_id(site, n), dish.fen, today, by="system", recorded=recorded)
    for n, name in enumerate(site.points, 1):
        points.write(session, site.id, f"{site.id}-p{n}", name, "window")


def _of_sites(found: Sequence[Place], first: date) -> dict[type[Base], list[dict[str, Any]]]:
    community = {one.parents[0]: one.code for one in reversed(found) if one.level == "community"}
    rows: dict[type[Base], list[dict[str, Any]]] = {model: [] for model in (Canteen, MealWindow, ServingDays, Contract)}
    for site in SITES:
        district = areas.district_of(site.street)
        of_site = {"canteen_id": site.id, "from_day": SINCE, "to_day": None}
        rows[Canteen].append(
            {
                "id": site.id,
                "name": site.name,
                "area_id": community[site.street],
                "district_id": district,
                "profile": site.profile,
                "seats": site.seats,
                "day_turns_at": 0,
                "opened_on": SINCE,
            }
        )
        rows[MealWindow] += [
            of_site | {"period": period, "starts": starts, "ends": ends, "grace": 15}
            for period, starts, ends in site.windows
        ]
        rows[ServingDays].append(of_site | {"week": site.week})
        rows[Contract].append(
            {
                "id": site.contract,
                "canteen_id": site.id,
                "operator_id": site.operator,
                "payee_id": site.payee,
                "district_id": district,
                "canteen_class": site.canteen_class,
                "grade": site.grade,
                "from_day": first,
                "to_day": None,
            }
        )
    return rows


def item_id(site: Site, n: int) -> str:
    """Return the id of the n-th dish of a canteen."""
    return f"{site.id}-{n:02d}"


def build_elders(people: Sequence[Somebody], *, by: str, checker: str) -> None:
    """Put everybody on the roster as one import; a second administrator confirms classes and levels as one batch."""
    lines, places = list[RequestLine](), set[tuple[str, str]]()
    with transaction() as session:
        recorded = events.record(session, "import.roster", "demo", by=by, body={"rows": len(people)})
        tables: dict[type[Base], list[dict[str, Any]]] = {
            model: [] for model in (Elder, ElderIdentity, IdentityKey, ElderFact)
        }
        at = clock.now()
        for one in people:
            new = _as_new(one)
            tables[Elder].append({"id": one.id, "made_at": at, "recorded": recorded})
            tables[ElderIdentity].append(elders.identity_values(one.id, new, recorded))
            tables[IdentityKey].append(elders.identity_key_values(one.id, new.document))
            if asked := [fact for fact in new.facts if fact.kind in benefit_gains.ENTITLING]:
                lines.append(fact_requests.line_of(one.id, asked, "import"))
                places.add(("area", one.residence))
            facts = [
                NewFact("birth", one.birth.isoformat(), one.birth),
                NewFact("sex", one.sex, one.birth),
                NewFact("hukou", one.hukou, one.since),
                NewFact("residence", one.residence, one.since),
                *(fact for fact in new.facts if fact.kind not in benefit_gains.ENTITLING),
            ]
            tables[ElderFact] += [elders.fact_values(one.id, fact, "import", recorded) for fact in facts]
        for model, rows in tables.items():
            session.execute(insert(model), rows)
        request = change_requests.ask(session, fact_requests.KIND, "demo", lines, places, by=by)
    if request is not None:
        change_requests.confirm(request, by=checker)


def _as_new(one: Somebody) -> NewElder:
    facts = [NewFact("class", code, one.since) for code in one.classes]
    facts.append(NewFact("household", one.household, one.since))
    if one.care:
        facts.append(NewFact("level", f"care={one.care}", one.since))
    document = documents.parse("resident", one.number)
    return NewElder(one.name, document, hukou=one.hukou, residence=one.residence, known_from=one.since, facts=facts)


def build_rulebooks(*, drafter: str, publisher: str, first: date) -> list[str]:
    """Publish the invented schemes of city and 朝阳区 by two people; answers their hashes."""
    hashes = []
    for name, layer, node in (
        ("demo-changchun", "city", areas.CITY),
        ("demo-changchun-chaoyang", "district", "220104"),
    ):
        digest = publications.draft((SCHEMES / f"{name}.yaml").read_text("utf-8"), by=drafter)
        publications.publish(digest, layer=layer, node_id=node, from_day=first, by=publisher)
        hashes.append(digest)
    return hashes


def build_tablets(seed: int, *, by: str) -> list[Machine]:
    """Enrol the tablets with keys drawn from the seed; answers them in the order of the canteens."""
    rng = source(seed, "tablets")
    made: list[Machine] = []
    with transaction() as session:
        for site in SITES:
            for n in range(site.tablets):
                key = ec.derive_private_key(rng.getrandbits(250) + 1, ec.SECP256R1())
                machine = Machine(f"{rng.getrandbits(64):016x}", site.id, f"{'一二三'[n]}号机")
                session.add(
                    Tablet(
                        id=machine.id,
                        name=machine.name,
                        canteen_id=site.id,
                        public_key=key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
                        enrolled_at=clock.now(),
                        enrolled_by=by,
                    )
                )
                made.append(machine)
        session.flush()
        for machine in made:
            events.record(session, "tablet.enrol", machine.id, by=by, body={"canteen": machine.site})
    return made


def heard(machine: str) -> None:
    """Note that a tablet was heard now."""
    with transaction() as session:
        session.execute(update(Tablet).where(Tablet.id == machine).values(seen_at=clock.now(), skew_ms=0))


def issue_cards(people: Sequence[Somebody], shown: Sequence[uuid.UUID], *, by: str) -> dict[uuid.UUID, str]:
    """Make a card for everybody, those of `shown` in a batch of their own; return the digest of each elder's card."""
    rest = [one.id for one in people if one.id not in set(shown)]
    with transaction() as session:
        credentials.issue(session, shown, by, batch=PRINTED_BATCH)
        for part in batches(rest, credentials.BATCH_LIMIT):
            credentials.issue(session, part, by, batch=WAITING_BATCH)
    bound = (
        select(CredentialFact.elder_id, Credential.digest)
        .join(Credential, Credential.id == CredentialFact.credential_id)
        .where(CredentialFact.kind == "bound")
    )
    return {elder: digest for elder, digest in keyset.once(bound) if elder is not None}


def print_cards(path: Path, *, by: str) -> int:
    """Write the cards of the shown batch as one PDF and answer how many; their codes are destroyed, as always."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with keyset.reader() as session:
        faces = list(print_runs.faces(session, PRINTED_BATCH))
    path.write_bytes(sheet(faces, brand=BRAND))
    with transaction() as writing:
        print_runs.printed(writing, PRINTED_BATCH, by)
    return len(faces)


def retract_class(elder: uuid.UUID, code: str, *, by: str) -> None:
    """Retract a class as if it had never been valid: the street found the papers wrong."""
    with transaction() as session:
        fact = session.execute(
            select(ElderFact).where(ElderFact.elder_id == elder, ElderFact.kind == "class", ElderFact.value == code)
        ).scalar_one()
        elders.note(session, elder, [NewFact("class", "", fact.from_day, None, fact.id)], by)


def end_class(elder: uuid.UUID, code: str, last: date, *, by: str) -> None:
    """Let a class end on `last`: what was eaten until then stays right."""
    with transaction() as session:
        fact = session.execute(
            select(ElderFact).where(ElderFact.elder_id == elder, ElderFact.kind == "class", ElderFact.value == code)
        ).scalar_one()
        elders.note(session, elder, [NewFact("class", code, fact.from_day, last, fact.id)], by)


def record_death(elder: uuid.UUID, day: date, *, by: str) -> None:
    """Record a day of death, as reported now."""
    with transaction() as session:
        elders.note(session, elder, [NewFact("status", "deceased", day)], by)
