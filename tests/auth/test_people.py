"""Accounts and roles: given by someone else, within one's own places, and never by oneself (P23)."""

from __future__ import annotations

import dataclasses
import json

import pytest
from flask import Flask
from sqlalchemy import select

from canteen.auth import change_requests, guard, humans, people
from canteen.auth.guard import NotCovered, Permission
from canteen.auth.models import ChangeRequest, Grant, Person
from canteen.auth.people import AuditorApart, BadLogin, LoginTaken, NoPerson, OwnAccount
from canteen.auth.pins import WeakPin
from canteen.auth.reach import Reach
from canteen.config import Config
from canteen.db import db
from canteen.errors import Forbidden, Invalid
from canteen.events import Event
from tests.auth.house import CITY, EAST, PASSWORD, PIN, WEST, a_person
from tests.rigs.states import state


def roles(person_id: str) -> set[tuple[str, str, str]]:
    return {(each.role, each.node_kind, each.node_id) for each in guard.live_grants(db.session(), person_id)}


def last_event() -> Event:
    return db.session.execute(select(Event).order_by(Event.number.desc()).limit(1)).scalar_one()


@state
def root(city: None) -> str:
    """The city's administrator."""
    return a_person("root", ("admin", "area", CITY))


@state
def easterner(city: None) -> str:
    """An administrator of one district."""
    return a_person("easterner", ("admin", "area", EAST))


@state
def head(city: None) -> str:
    """The manager of canteen 'east'."""
    return a_person("head", ("manager", "canteen", "east"))


def test_an_account_is_made_with_its_first_role_and_who_gave_it(root: str) -> None:
    made = people.create(" Li.Na ", "李娜", password=PASSWORD, grants=[("manager", "area", EAST)], by=root)

    person = db.session.get_one(Person, made)
    grant = db.session.execute(select(Grant).where(Grant.person_id == made)).scalar_one()
    assert (person.login, person.name, person.must_change) == ("li.na", "李娜", True)
    assert (grant.role, grant.granted_by) == ("manager", root)


def test_what_is_recorded_of_an_account_names_nobody(root: str) -> None:
    made = people.create("lina", "李娜", password=PASSWORD, grants=[("manager", "area", EAST)], by=root)

    event = last_event()

    assert (event.kind, event.subject, event.actor) == ("person.create", made, root)
    assert json.loads(event.body) == {"grants": [["manager", "area", EAST]]}


@pytest.mark.parametrize("login", ["a", "李娜", "li na", "-lina", "x" * 33, "li/na", ""])
def test_logins_are_plain(root: str, login: str) -> None:
    with pytest.raises(BadLogin):
        people.create(login, "李娜", password=PASSWORD, by="system")


def test_production_refuses_accounts_that_would_stop_its_start(
    app: Flask, config: Config, city: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "CANTEEN", dataclasses.replace(config, production=True))

    with pytest.raises(BadLogin):
        people.create("demo-lina", "李娜", password=PASSWORD, by="system")


def test_a_login_is_taken_once_however_it_is_written(root: str) -> None:
    with pytest.raises(LoginTaken):
        people.create("ROOT", "另一人", password=PASSWORD, by="system")


def test_an_account_needs_a_way_in_and_a_first_role(root: str) -> None:
    with pytest.raises(Invalid):
        people.create("lina", "李娜", grants=[("finance", "area", EAST)], by=root)
    with pytest.raises(Invalid):
        people.create("lina", "李娜", password=PASSWORD, by=root)
    with pytest.raises(WeakPin):
        people.create("lina", "李娜", pin="111111", grants=[("cashier", "canteen", "east")], by=root)


def test_a_refused_role_makes_no_account(easterner: str) -> None:
    with pytest.raises(NotCovered):
        people.create("lina", "李娜", password=PASSWORD, grants=[("admin", "area", CITY)], by=easterner)

    with pytest.raises(NoPerson):
        people.find(db.session(), "lina")


@pytest.mark.parametrize("act", ["grant", "end", "disable", "password", "pin", "unlock"])
def test_nobody_decides_over_their_own_account(root: str, act: str) -> None:
    own = db.session.execute(select(Grant.id).where(Grant.person_id == root)).scalar_one()
    acts = {
        "grant": lambda: people.grant(root, "finance", "area", CITY, by=root),
        "end": lambda: people.end_grant(root, own, by=root),
        "disable": lambda: people.disable(root, by=root),
        "password": lambda: people.reset_password(root, "walnut-harbour-77", by=root),
        "pin": lambda: people.reset_pin(root, PIN, by=root),
        "unlock": lambda: people.unlock(root, by=root),
    }

    with pytest.raises(OwnAccount):
        acts[act]()


def test_a_role_given_twice_is_granted_once(root: str) -> None:
    lina = a_person("lina", ("finance", "area", EAST))
    people.grant(lina, "finance", "area", EAST, by=root)
    people.grant(lina, "manager", "area", WEST, by=root)
    people.grant(lina, "manager", "area", WEST, by=root)

    assert len(guard.live_grants(db.session(), lina)) == 2


def test_a_role_taken_back_stays_in_the_record(root: str) -> None:
    lina = a_person("lina", ("finance", "area", EAST))
    grant = db.session.execute(select(Grant.id).where(Grant.person_id == lina)).scalar_one()

    people.end_grant(lina, grant, by=root)
    people.end_grant(lina, grant, by="system")

    given = db.session.get_one(Grant, grant)
    assert given.ended_at is not None
    assert given.ended_by == root
    assert roles(lina) == set()
    assert last_event().kind == "person.end_grant"


def test_a_districts_administrator_grants_within_the_district(easterner: str) -> None:
    lina = a_person("lina", ("finance", "area", EAST))

    people.grant(lina, "manager", "canteen", "east", by=easterner)
    people.grant(lina, "manager", "operator", "kang", by=easterner)
    for kind, node in (("area", CITY), ("area", WEST), ("canteen", "west"), ("operator", "le"), ("canteen", "none")):
        with pytest.raises(NotCovered):
            people.grant(lina, "reviewer", kind, node, by=easterner)

    assert roles(lina) == {
        ("finance", "area", EAST),
        ("manager", "canteen", "east"),
        ("manager", "operator", "kang"),
    }


def test_people_of_another_district_do_not_exist(easterner: str) -> None:
    western = a_person("western", ("cashier", "canteen", "west"), pin=True)

    for act in (
        lambda: people.reset_pin(western, PIN, by=easterner),
        lambda: people.disable(western, by=easterner),
        lambda: people.grant(western, "cashier", "canteen", "east", by=easterner),
    ):
        with pytest.raises(NoPerson):
            act()


def test_a_district_cannot_take_over_a_wider_account(root: str, easterner: str) -> None:
    both = a_person("both", ("finance", "area", EAST), ("finance", "area", WEST))

    with pytest.raises(Forbidden):
        people.reset_password(both, "walnut-harbour-77", by=easterner)
    with pytest.raises(NoPerson):
        people.reset_password(root, "walnut-harbour-77", by=easterner)


def test_a_manager_sees_to_the_cashiers_of_the_own_canteen_alone(head: str, root: str) -> None:
    cashier = people.create("cashier", "刘洋", pin=PIN, grants=[("cashier", "canteen", "east")], by=head)
    western = a_person("western", ("cashier", "canteen", "west"), pin=True)
    auditor = a_person("auditor", ("auditor", "canteen", "east"))

    people.reset_pin(cashier, "274951", by=head)
    with pytest.raises(NotCovered):
        people.grant(cashier, "manager", "canteen", "east", by=head)
    with pytest.raises(NoPerson):
        people.reset_pin(western, PIN, by=head)
    with pytest.raises(Forbidden):
        people.reset_password(auditor, "walnut-harbour-77", by=head)
    with pytest.raises(NoPerson):
        people.reset_password(root, "walnut-harbour-77", by=head)


def test_whoever_has_no_right_over_people_decides_nothing(city: None) -> None:
    clerk = a_person("clerk", ("finance", "area", CITY))
    cashier = a_person("cashier", ("cashier", "canteen", "east"), pin=True)

    with pytest.raises(NoPerson):
        people.disable(cashier, by=clerk)
    with pytest.raises(NotCovered):
        people.create("lina", "李娜", password=PASSWORD, grants=[("admin", "area", CITY)], by=clerk)


def test_an_auditor_has_no_other_role(root: str) -> None:
    auditor = a_person("auditor", ("auditor", "area", CITY))
    clerk = a_person("clerk", ("finance", "area", CITY))

    with pytest.raises(AuditorApart):
        people.grant(auditor, "reviewer", "area", EAST, by=root)
    with pytest.raises(AuditorApart):
        people.grant(clerk, "auditor", "area", CITY, by=root)
    people.grant(auditor, "auditor", "area", EAST, by=root)


def test_a_shut_account_can_be_opened_again(root: str) -> None:
    lina = a_person("lina", ("manager", "area", EAST))
    people.disable(lina, by=root)
    people.disable(lina, by=root)
    assert db.session.get_one(Person, lina).disabled_at is not None

    people.enable(lina, by=root)

    assert db.session.get_one(Person, lina).disabled_at is None


def test_a_list_shows_present_and_former_roles_in_the_places(root: str, head: str) -> None:
    east = a_person("east-cashier", ("cashier", "canteen", "east"))
    a_person("west-cashier", ("cashier", "canteen", "west"))
    a_person("nothing")
    session = db.session()

    staff = [Reach.of(session, head).staff]
    assert [each.id for each in people.listed(session, staff)] == [east, head]
    assert [each.login for each in people.listed(session, staff, search="EAST")] == ["east-cashier"]
    every = [each.login for each in people.listed(session, [Reach.of(session, root).people], every=True)]
    assert every == ["east-cashier", "head", "nothing", "root", "west-cashier"]


def test_a_search_is_no_pattern(root: str) -> None:
    a_person("a_b", ("cashier", "canteen", "east"))
    scopes = [Reach.of(db.session(), root).people]

    assert [each.login for each in people.listed(db.session(), scopes, search="_")] == ["a_b"]
    assert people.listed(db.session(), scopes, search="%") == []


def test_cashiers_of_a_canteen_come_from_every_node_above_it(city: None) -> None:
    at_canteen = a_person("b", ("cashier", "canteen", "east"), pin=True)
    at_operator = a_person("a", ("cashier", "operator", "kang"), pin=True)
    at_district = a_person("c", ("manager", "area", EAST), pin=True)
    a_person("no-pin", ("cashier", "canteen", "east"))
    a_person("elsewhere", ("cashier", "canteen", "west"), pin=True)
    shut = a_person("shut", ("cashier", "canteen", "east"), pin=True)
    people.disable(shut, by="system")

    def ids(permission: Permission) -> list[str]:
        return [each.id for each in people.working_at(db.session(), "east", permission)]

    assert ids(Permission.SELL) == [at_operator, at_canteen, at_district]
    assert ids(Permission.VOID_ANY) == [at_district]


# --- roles of the bureau: two administrators ---


@state
def chief(city: None) -> str:
    """A second administrator of the city."""
    return a_person("chief", ("admin", "area", CITY))


def the_request() -> int:
    return db.session.execute(select(ChangeRequest.id).order_by(ChangeRequest.id.desc()).limit(1)).scalar_one()


def test_a_bureau_role_needs_a_second_administrator(root: str, chief: str) -> None:
    made = people.create("lina", "李娜", password=PASSWORD, grants=[("finance", "area", EAST)], by=root)
    assert roles(made) == set()
    with pytest.raises(change_requests.SameHuman):
        change_requests.confirm(the_request(), by=root)

    change_requests.confirm(the_request(), by=chief)

    assert roles(made) == {("finance", "area", EAST)}
    assert {event.actor for event in db.session.execute(select(Event)).scalars()} == {root, chief}


def test_no_administrator_alone_makes_another_administrator(root: str) -> None:
    made = people.create("root2", "同一人", password=PASSWORD, grants=[("admin", "area", CITY)], by=root)

    assert guard.scope_of(db.session(), made, Permission.PEOPLE).nodes == frozenset()
    with pytest.raises(change_requests.NoRequest):
        change_requests.confirm(the_request(), by=made)


def test_nobody_confirms_the_rights_of_an_account_of_their_own(root: str, chief: str) -> None:
    spare = a_person("spare")
    humans.tie(chief, spare, by="system")
    assert people.grant(spare, "finance", "area", EAST, by=root)

    with pytest.raises(OwnAccount):
        change_requests.confirm(the_request(), by=chief)
    assert roles(spare) == set()


def test_who_confirms_a_role_answers_for_its_place(root: str, easterner: str) -> None:
    made = people.create("lina", "李娜", password=PASSWORD, grants=[("finance", "area", CITY)], by=root)

    with pytest.raises(change_requests.NoRequest):
        change_requests.confirm(the_request(), by=easterner)
    assert roles(made) == set()


def test_staff_of_a_canteen_get_their_roles_at_once(head: str, root: str) -> None:
    cashier = people.create("cashier", "刘洋", pin=PIN, grants=[("cashier", "canteen", "east")], by=head)
    manager = people.create("second", "王强", password=PASSWORD, grants=[("manager", "canteen", "east")], by=root)

    assert {role for each in (cashier, manager) for role, _, _ in roles(each)} == {"cashier", "manager"}
    assert frozenset(guard.ROLES) - people.BUREAU == {"cashier", "manager"}


def test_the_command_line_grants_alone_below_two_administrators(city: None) -> None:
    first = people.create("first", "甲", password=PASSWORD, grants=[("admin", "area", CITY)], by="system")
    second = people.create("second", "乙", password=PASSWORD, grants=[("admin", "area", CITY)], by="system")
    third = people.create("third", "丙", password=PASSWORD, grants=[("finance", "area", EAST)], by="system")

    assert [bool(roles(each)) for each in (first, second, third)] == [True, True, False]
    change_requests.confirm(the_request(), by=second)
    assert roles(third) == {("finance", "area", EAST)}


def test_reopening_a_bureau_account_takes_two(root: str, chief: str) -> None:
    lina = a_person("lina", ("finance", "area", EAST))
    people.disable(lina, by=root)
    assert people.enable(lina, by=root)
    assert db.session.get_one(Person, lina).disabled_at is not None

    change_requests.confirm(the_request(), by=chief)

    assert db.session.get_one(Person, lina).disabled_at is None
