"""Nobody sees or changes what belongs to another place: every page of the desk, asked with ids of elsewhere (P20)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, config, places
from canteen.auth import change_requests, people, sessions
from canteen.auth.models import ChangeRequest, Grant, LostNumbers, Person, Tablet
from canteen.db import db, transaction
from canteen.demo import database
from canteen.demo.builder import Size, build
from canteen.demo.sites import SITES
from canteen.menus.models import MenuItem
from canteen.places import Canteen, Contract, ServingPoint
from canteen.pos.models import Sale
from canteen.registry.applications import taking
from canteen.registry.applications.models import Application
from canteen.registry.applications.taking import NewApplication
from canteen.registry.elders import NewElder
from canteen.registry.models import ElderFact, ImportRun
from canteen.rulebooks.models import RulebookDraft, Simulation
from canteen.services import complaints
from canteen.services.complaints import NewComplaint
from canteen.services.models import Complaint
from canteen.settlement.models import Claim, Payout
from canteen.web.doors import door_of
from tests.demo.test_city import SEED, TODAY

SIZE = Size(elders=300, meals=200)
# One of each role, each at another kind of node, and what a stranger to all of them would call 'elsewhere'.
ROLES = {
    "admin-of-a-district": ("admin", "area", "220102"),
    "finance-of-an-operator": ("finance", "operator", "demo-laowei"),
    "reviewer-of-a-street": ("reviewer", "area", "220104002"),
    "manager-of-a-canteen": ("manager", "canteen", "demo-zhengyang"),
    "auditor-of-a-functional-area": ("auditor", "area", "F220172"),
    "machine-operator-of-a-canteen": ("operator_it", "canteen", "demo-luxiang"),
    "cashier-of-a-canteen": ("cashier", "canteen", "demo-nanhu"),
}
# Holes whose values belong to no place, and why.
OPEN = {
    "/desk/imports/<kind>.<ending>": "empty templates",
    "/desk/ruledesk/versions/<digest>": "published rules are public; what was counted for them is not shown here",
    "/desk/ruledesk/publications/<int:number>": "published rules are public; its figures are tested with the rule desk",
    "/desk/revaluations/<int:number>": "the demo has none; tested with the rule desk",
}
ACTS = {
    "/desk/elders": ("note", "take_back", "amend", "set_photo", "merge", "issue", "replace", "block", "bind", "lose"),
    "/desk/canteen/menu": ("amend", "price", "end", "resume", "photo"),
    "/desk/canteen/points": ("amend", "end", "resume"),
    "/desk/applications": ("community", "street", "bind"),
    "/desk/complaints": ("assign", "answer", "return", "close"),
    "/desk/people": ("grant", "end", "password", "pin", "disable", "enable", "unlock"),
}
FORM = {
    "reason": "试探是否越权", "move": "return", "outcome": "withheld", "role": "cashier", "node": "canteen:demo-nanhu",
    "password": "abcd-efgh-99", "pin": "928374", "fen": "1", "voucher": "x", "paid_on": "2026-11-01", "epoch": "1",
}  # fmt: skip


@dataclass(frozen=True)
class Thing:
    """A value in an address, and the canteens or areas that it belongs to."""

    value: str
    canteens: frozenset[str] = frozenset()
    areas: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reached:
    canteens: frozenset[str]
    areas: frozenset[str]

    @classmethod
    def by(cls, session: Session, kind: str, node: str) -> Reached:
        """What a node covers, computed without the guard."""
        if kind == "canteen":
            return cls(frozenset({node}), frozenset())
        if kind == "operator":
            query = select(Contract.canteen_id).where(Contract.operator_id == node)
            return cls(frozenset(session.execute(query).scalars()), frozenset())
        below = places.below(session, node, clock.today())
        query = select(Canteen.id).where(Canteen.area_id.in_(below))
        return cls(frozenset(session.execute(query).scalars()), frozenset(below))

    def covers(self, thing: Thing) -> bool:
        return bool(self.canteens & thing.canteens or self.areas & thing.areas)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    folder = tmp_path_factory.mktemp("others")
    settings = replace(config.from_environment({"CANTEEN_DATA": str(folder)}), demo=True)
    with database.building(settings):
        build(SEED, TODAY, folder / "cards.pdf", SIZE, lambda _: None)
    with database.opened(settings) as app:
        for login, grant in ROLES.items():
            people.create(login, login, password="jinglao-canting", grants=[grant], must_change=False, by="system")
        confirm_roles()
        with transaction() as session:
            session.add(broken_off())
            apply_and_complain(session)
            session.add(declared_lost(session.execute(select(Tablet.id).order_by(Tablet.id)).scalars().first()))
        yield app


def confirm_roles() -> None:
    """Confirm the roles of the bureau as an administrator of the demo."""
    session = db.session()
    admin = people.find(session, "demo-admin").id
    waiting = [each.request.id for each in change_requests.waiting(session, admin)]
    session.rollback()
    for each in waiting:
        change_requests.confirm(each, by=admin)


def apply_and_complain(session: Session) -> None:
    """An application to a community of another district, taken at the desk of its canteen, and a complaint of each canteen."""
    guilin = session.get_one(Canteen, "demo-guilin")
    elder = NewElder("周桂花", birth=date(1944, 3, 5), sex="f", residence=guilin.area_id, known_from=clock.today())
    new = NewApplication(elder, mode="dine_in", consent="signed", canteen_id=guilin.id)
    taking.take(session, new, "system", frozenset({guilin.area_id}))
    for site in SITES:
        complaints.register(session, NewComplaint(site.id, clock.today(), "phone", "food", "菜凉了"), by="system")


def broken_off() -> ImportRun:
    """A roster of the city's that waits for its file."""
    return ImportRun(
        id="broken-off", kind="roster", file_hash="0" * 64, file_name="名册.xlsx", rows=1, bad_rows=0, report="{}",
        state="staged", by="system", at=clock.now(), begun_event=1, applied_event=None,
    )  # fmt: skip


def declared_lost(tablet: str) -> LostNumbers:
    """A run of a tablet's numbers that waits for its second person."""
    return LostNumbers(
        tablet_id=tablet, epoch=99, first_number=1, last_number=2, reason="平板摔坏了", declared_by="system",
        declared_at=clock.now(), confirmed_by=None, confirmed_at=None,
    )  # fmt: skip


def things(session: Session) -> dict[str, list[Thing]]:
    """Return by the beginning of an address the values that may fill its hole."""
    of = dict(session.execute(select(Contract.id, Contract.canteen_id)).all())
    claims = {one.id: one for one in session.execute(select(Claim)).scalars()}

    def at(contract: str) -> frozenset[str]:
        return frozenset({of[contract]})

    homes: dict[uuid.UUID, set[str]] = {}
    for elder, area in session.execute(
        select(ElderFact.elder_id, ElderFact.value).where(ElderFact.kind.in_(("hukou", "residence")))
    ):
        homes.setdefault(elder, set()).add(area)
    nodes: dict[str, frozenset[str]] = {}
    for grant in session.execute(select(Grant).join(Person).where(Person.login.startswith("demo-"))).scalars():
        reached = Reached.by(session, grant.node_kind, grant.node_id)
        nodes[grant.person_id] = nodes.get(grant.person_id, frozenset()) | reached.canteens
    all_of_them = frozenset(one.id for one in SITES)
    sales = session.execute(select(Sale.id, Sale.contract_id).order_by(Sale.contract_id, Sale.id)).all()
    return {
        "/desk/claims/<number>": [Thing(one.number, at(one.contract_id)) for one in claims.values()],
        "/desk/meals/<uuid:sale>": [Thing(str(sale), at(contract)) for sale, contract in sales[::17]],
        "/desk/payouts/<int:payout>": [
            Thing(str(one.id), at(claims[one.claim_id].contract_id))
            for one in session.execute(select(Payout)).scalars()
        ],
        "/desk/tablets/<tablet_id>": [
            Thing(one.id, frozenset({one.canteen_id})) for one in session.execute(select(Tablet)).scalars()
        ],
        "/desk/canteen/menu/<item>": [
            Thing(one.id, frozenset({one.canteen_id})) for one in session.execute(select(MenuItem)).scalars()
        ],
        "/desk/canteen/points/<point>": [
            Thing(one.id, frozenset({one.canteen_id})) for one in session.execute(select(ServingPoint)).scalars()
        ],
        "/desk/lost/<int:lost_id>": [
            Thing(str(number), frozenset({canteen}))
            for number, canteen in session.execute(
                select(LostNumbers.id, Tablet.canteen_id).join(Tablet, Tablet.id == LostNumbers.tablet_id)
            )
        ],
        "/desk/applications/<int:number>": [
            Thing(str(one.id), frozenset({one.canteen_id or ""}), frozenset({one.area_id}))
            for one in session.execute(select(Application)).scalars()
        ],
        "/desk/complaints/<int:number>": [
            Thing(str(one.id), frozenset({one.canteen_id})) for one in session.execute(select(Complaint)).scalars()
        ],
        "/desk/elders/<uuid:elder_id>": [Thing(str(one), areas=frozenset(found)) for one, found in homes.items()],
        "/desk/refunds/<canteen>/<uuid:elder>": [
            Thing(f"{one}/{uuid.UUID(int=1)}", frozenset({one})) for one in sorted(all_of_them)
        ],
        "/desk/people/<person_id>": [Thing(one, found) for one, found in nodes.items()],
        "/desk/changes/<int:request_id>": [
            Thing(str(one), frozenset({"the city's"}))
            for one in session.execute(select(ChangeRequest.id).where(ChangeRequest.subject == "demo")).scalars()
        ],
        "/desk/cards/<batch>": [Thing("demo-rest", frozenset({"nobody's alone"}))],
        "/desk/settings/<key>": [Thing("close_day", frozenset({"nobody's alone"}))],
        "/desk/imports/<run>": [Thing(broken_off().id, frozenset({"the city's"}))],
        "/desk/ruledesk/drafts/<int:number>": [
            Thing(str(one.id), frozenset({"the city's"})) for one in session.execute(select(RulebookDraft)).scalars()
        ],
        "/desk/ruledesk/simulations/<int:number>": [
            Thing(str(one.id), frozenset({"the city's"})) for one in session.execute(select(Simulation)).scalars()
        ],
    }


def addresses(rule: str, known: dict[str, list[Thing]], reached: Reached, most: int) -> Iterator[str]:
    """The addresses of a route with what belongs elsewhere in its holes."""
    start = next(start for start in known if rule.startswith(start))
    foreign = [thing for thing in known[start] if not reached.covers(thing)]
    for thing in foreign[:: max(1, len(foreign) // most)][:most]:
        path = rule.replace(start, f"{start.partition('<')[0]}{thing.value}").replace("<int:n>", "1")
        for act in ACTS.get(start.partition("/<")[0], ("",)) if path.endswith(("/<act>", "/<step>")) else ("",):
            yield path.replace("<act>", act).replace("<step>", act)


def logged_in(app: Flask, login: str) -> tuple[FlaskClient, str]:
    session = db.session()
    person = session.execute(select(Person.id).where(Person.login == login)).scalar_one()
    session.rollback()
    with transaction() as writing:
        token = sessions.start(writing, person)
    client = app.test_client()
    client.set_cookie("desk", token)
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/desk/account").text)
    assert found is not None
    return client, found[1]


def asked(app: Flask) -> Iterator[tuple[str, str]]:
    """(method, rule) of each route of the desk whose address names something."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/desk/") and "<" in rule.rule and rule.rule not in OPEN:
            parent = next((one for one in OPEN if rule.rule.startswith(f"{one}/")), None)
            if parent is None:
                yield from ((method, rule.rule) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"})


@pytest.mark.parametrize("login", sorted(ROLES))
def test_things_elsewhere_do_not_exist_for_any_role(desk: Flask, login: str, rounds: Callable[[int, int], int]) -> None:
    session = db.session()
    reached, known = Reached.by(session, *ROLES[login][1:]), things(session)
    session.rollback()
    client, csrf = logged_in(desk, login)
    tried, let_in = 0, []

    for method, rule in asked(desk):
        for path in addresses(rule, known, reached, rounds(2, 50)):
            sent: dict[str, Any] = {"data": {"csrf": csrf, **FORM}} if method == "POST" else {}
            answer = client.open(path, method=method, **sent)
            db.session.rollback()
            tried += 1
            if answer.status_code not in {403, 404}:
                let_in.append((method, path, answer.status_code))

    assert let_in == []
    assert tried >= 50


@pytest.mark.parametrize("login", sorted(ROLES))
def test_no_page_of_lists_names_a_canteen_or_claim_of_elsewhere(desk: Flask, login: str) -> None:
    session = db.session()
    reached, known = Reached.by(session, *ROLES[login][1:]), things(session)
    session.rollback()
    client, _ = logged_in(desk, login)
    elsewhere = [one.name for one in SITES if one.id not in reached.canteens]
    elsewhere += [each.value for each in known["/desk/claims/<number>"] if not reached.covers(each)]
    opened = 0

    for rule in desk.url_map.iter_rules():
        door = door_of(desk, rule.endpoint, "GET") if "GET" in (rule.methods or ()) else None
        # The list of people tells each one's roles, which may lie at two places
        if door is None or door.public or "<" in rule.rule or rule.rule == "/desk/people":
            continue
        answer = client.get(rule.rule)
        db.session.rollback()
        if answer.status_code == 200 and "html" in str(answer.mimetype):
            opened += 1
            assert [name for name in elsewhere if name in answer.text] == [], rule.rule
    assert opened >= 1
