"""Deny by default: every route names its door, roles open what the table says, and nothing of another place."""

from __future__ import annotations

import re
import uuid
from datetime import date

import pytest
from flask import Flask

from canteen import clock
from canteen.auth import guard, sessions
from canteen.auth.guard import READING, ROLES, NotCovered, Permission, Scope
from canteen.db import db, transaction
from canteen.web.doors import door_of, undoored
from tests.auth.house import CITY, EAST, EAST_COMMUNITY, WEST, Browser, Till, a_person, contract, end_grants

# The table of rights, written by hand: a change of one is a change of the other.
COUNTER = "sell void_own card_counter"
BUREAU = "see_claims see_sales see_elders see_cards see_places see_rulebooks see_tablets export"
APPLICATIONS = "see_applications take_application community_opinion street_opinion"
COMPLAINTS = "complaints answer_complaints see_complaints"
TABLE = {
    "cashier": COUNTER,
    "manager": f"{COUNTER} void_any staff enrol_tablet see_tablets declare_lost submit_claim menus"
    " see_claims see_sales see_places export take_application see_applications"
    " see_complaints answer_complaints",
    "reviewer": f"{BUREAU} {APPLICATIONS} {COMPLAINTS} review_claim return card_counter roster declare_lost confirm_lost",
    "finance": "see_claims see_sales see_places see_rulebooks export"
    " return determine approve_claim pay_enter pay_check close_period",
    "admin": f"{BUREAU} {APPLICATIONS} {COMPLAINTS} people places menus settings rulebooks publish cards card_counter roster confirm_elders see_people"
    " enrol_tablet declare_lost confirm_lost see_audit see_id_numbers",
    "auditor": f"{BUREAU} see_applications see_complaints see_people see_audit",
    "operator_it": "enrol_tablet see_tablets declare_lost see_places see_system",
}
UNSAFE = {"POST", "PUT", "PATCH", "DELETE"}


# --- doors ---


def test_every_route_names_its_door(app: Flask) -> None:
    assert list(undoored(app)) == []


def test_an_application_with_a_doorless_route_does_not_start() -> None:
    app = Flask("bare")
    app.add_url_rule("/open", "open", lambda: "anyone")

    with pytest.raises(RuntimeError, match="GET /open open"):
        guard.refuse_undoored(app)


@pytest.mark.own_app
def test_a_route_added_without_a_door_answers_nobody(app: Flask, city: None, browser: Browser) -> None:
    app.add_url_rule("/open", "open", lambda: "anyone")
    a_person("root", ("admin", "area", CITY))
    browser.log_in("root")

    assert browser.get("/open").status_code == 404


def test_a_door_may_stand_under_other_decorators(app: Flask) -> None:
    door = door_of(app, "tablets.change_pin", "PUT")

    assert door is not None
    assert door.tablet
    assert door.permissions == (Permission.SELL,)


# --- roles and permissions ---


def test_roles_have_exactly_the_permissions_of_the_table() -> None:
    assert {role: set(granted) for role, granted in ROLES.items()} == {
        role: {Permission(name) for name in names.split()} for role, names in TABLE.items()
    }


@pytest.mark.own_app
@pytest.mark.parametrize("role", sorted(TABLE))
def test_a_role_opens_the_doors_of_its_permissions_and_no_other(
    app: Flask, city: None, browser: Browser, role: str
) -> None:
    for permission in Permission:
        view = guard.allowed(permission)(lambda: "in")
        app.add_url_rule(f"/probe/{permission}", f"probe_{permission}", view)
    a_person("someone", (role, "canteen", "east"))
    browser.log_in("someone")

    opened = {each for each in Permission if browser.get(f"/probe/{each}").status_code == 200}
    refused = {each for each in Permission if browser.get(f"/probe/{each}").status_code == 403}

    assert opened == {Permission(name) for name in TABLE[role].split()}
    assert refused == set(Permission) - opened


def test_without_a_login_every_door_but_the_public_ones_is_shut(app: Flask, browser: Browser) -> None:
    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            door = door_of(app, rule.endpoint, method)
            assert door is not None
            if door.public or door.loopback:
                continue
            answer = browser.client.open(_address(rule.rule), method=method)
            shut = answer.status_code in {401, 302}
            assert shut, f"{method} {rule.rule} answered {answer.status_code}"
            assert answer.status_code == 401 or answer.location.startswith("/login")


def test_an_auditor_is_refused_at_every_writing_route(app: Flask, city: None, browser: Browser, till: Till) -> None:
    auditor = a_person("auditor", ("auditor", "area", CITY), pin=True)
    browser.log_in("auditor")
    with transaction() as session:
        till.client.set_cookie("till", sessions.start(session, auditor, till.tablet))
    token = browser.token("/desk/account")
    tried = 0

    for rule in app.url_map.iter_rules():
        for method in (rule.methods or set()) & UNSAFE:
            door = door_of(app, rule.endpoint, method)
            assert door is not None
            if not door.permissions or door.reads:
                continue
            path = _address(rule.rule)
            if door.tablet:
                answer = till.call(method, path, {})
            elif path.startswith("/api/"):
                headers = {"Origin": "http://localhost", "X-Requested-With": "canteen"}
                answer = browser.client.open(path, method=method, json={}, headers=headers)
            else:
                answer = browser.client.open(path, method=method, data={"csrf": token})
            tried += 1
            assert answer.status_code == 403, f"{method} {rule.rule} answered {answer.status_code}"
            assert "forbidden" in answer.text, f"{method} {rule.rule} was refused for another reason"

    assert tried >= 8


def test_no_writing_route_is_opened_by_a_permission_to_read(app: Flask) -> None:
    opened = {
        f"{method} {rule.rule}": set(door.permissions) & READING
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) & UNSAFE
        if (door := door_of(app, rule.endpoint, method)) is not None and not door.reads
    }

    assert {route: granted for route, granted in opened.items() if granted} == {}


def test_an_auditor_only_reads_whatever_else_is_granted() -> None:
    assert guard.permissions_of(["auditor", "admin", "manager"]) <= READING


def test_a_role_taken_back_is_gone_at_the_next_request(city: None, browser: Browser) -> None:
    person = a_person("boss", ("admin", "area", CITY))
    browser.log_in("boss")
    assert browser.get("/desk/people").status_code == 200

    end_grants(person)

    assert browser.get("/desk/people").status_code == 403


# --- places ---


def scope(*nodes: tuple[str, str]) -> Scope:
    return Scope(frozenset(nodes))


@pytest.mark.parametrize(
    ("node", "canteens"),
    [
        (("area", CITY), {"east", "west"}),
        (("area", EAST), {"east"}),
        (("area", EAST_COMMUNITY), {"east"}),
        (("area", WEST), {"west"}),
        (("canteen", "west"), {"west"}),
        (("operator", "kang"), {"east"}),
        (("operator", "nobody"), set()),
    ],
)
def test_a_node_covers_all_canteens_below_it(city: None, node: tuple[str, str], canteens: set[str]) -> None:
    assert scope(node).canteens(db.session()) == canteens


def test_an_operator_sees_its_ended_contracts_not_its_successors(city: None) -> None:
    today = clock.today()
    with transaction() as session:
        old = session.get_one(guard.Contract, "west-le")
        old.to_day = date(2025, 12, 31)
        session.flush()
        contract(session, "west-kang", "west", "kang", WEST, since=date(2026, 1, 1))
    assert today > date(2026, 1, 1)

    before, after = scope(("operator", "le")), scope(("operator", "kang"))

    assert before.contracts(db.session()) == {"west-le"}
    assert before.canteens(db.session()) == set()
    assert after.contracts(db.session()) == {"east-kang", "west-kang"}
    assert after.canteens(db.session()) == {"east", "west"}


def test_a_place_outside_the_scope_does_not_exist_for_the_caller(city: None) -> None:
    with pytest.raises(NotCovered):
        scope(("area", EAST)).need("west")
    with pytest.raises(NotCovered):
        scope(("area", EAST)).need("no such canteen")


def test_two_roles_at_two_places_do_not_mix(city: None) -> None:
    person = a_person("two", ("manager", "canteen", "east"), ("reviewer", "area", WEST))
    session = db.session()

    assert guard.scope_of(session, person, Permission.SUBMIT_CLAIM).canteens(session) == {"east"}
    assert guard.scope_of(session, person, Permission.REVIEW_CLAIM).canteens(session) == {"west"}
    assert guard.scope_of(session, person, Permission.SEE_CLAIMS).canteens(session) == {"east", "west"}
    assert not guard.scope_of(session, person, Permission.PAY_ENTER)


def _address(rule: str) -> str:
    """The rule with something plausible in each of its holes."""
    plausible = {"int": "1", "uuid": str(uuid.UUID(int=1))}
    return re.sub(r"<(?:(\w+):)?\w+>", lambda hole: plausible.get(hole[1], "x"), rule)
