"""Applications: taken at a counter, decided by community and street, eaten on meanwhile without classes."""

import io
import json
import re
import uuid
from collections.abc import Iterator
from datetime import date, timedelta

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from PIL import Image
from sqlalchemy import select

from canteen import cli, clock
from canteen.config import Config
from canteen.db import db, transaction
from canteen.registry import credentials, documents, elders, keys
from canteen.registry.applications import notices, opinions, queries, taking
from canteen.registry.applications.models import Application
from canteen.registry.applications.opinions import BadOpinion, Decided, Decision, NoApplication, SameHuman
from canteen.registry.applications.taking import (
    AskedClass,
    BadApplication,
    LikelySame,
    NewApplication,
    NoConsent,
    OnRoster,
    OpenAlready,
    OtherName,
    Stopped,
)
from canteen.registry.elders import NewElder, NewFact, NumberTaken
from canteen.registry.models import ElderPhoto
from tests.auth.house import EAST, EAST_COMMUNITY, EAST_STREET, PASSWORD, WEST_STREET, Browser, a_person
from tests.registry.people import number

NUMBER = number(region="220102")
DIBAO = AskedClass("dibao", "低保证", "0102-33")
WITHIN = frozenset({EAST, EAST_STREET, EAST_COMMUNITY})


@pytest.fixture(autouse=True)
def staff(city: None) -> Iterator[None]:
    """A taker and a speaker of the community, two of the street, a manager of the canteen; on a known day."""
    with clock.at(clock.instant(date(2026, 5, 12), 600)):
        for login in ("taker", "community"):
            a_person(login, ("reviewer", "area", EAST_COMMUNITY))
        for login in ("street", "street2"):
            a_person(login, ("reviewer", "area", EAST_STREET))
        a_person("manager", ("manager", "canteen", "east"))
        yield


def an_elder(name: str = "李秀英", id_number: str = NUMBER, residence: str = EAST_COMMUNITY) -> NewElder:
    return NewElder(name, documents.parse("resident", id_number), residence=residence, known_from=clock.today())


def apply(*classes: AskedClass, elder: NewElder | None = None, by: str = "id-taker", **given: object) -> int:
    new = NewApplication(elder or an_elder(), classes, consent="signed", **given)  # type: ignore[arg-type]
    with transaction() as session:
        return taking.take(session, new, by, WITHIN)


def agree(number: int, *, effective: date | None = None) -> None:
    opinions.give(number, "community", Decision(agrees=True), by="id-community")
    opinions.give(number, "street", Decision(agrees=True, effective_from=effective or clock.today()), by="id-street")


def the_elder(number: int) -> uuid.UUID:
    found = db.session().get_one(Application, number).elder_id
    db.session.rollback()
    return found


def diner(number: int, on: date | None = None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Classes and statuses of the applicant on a day."""
    found = elders.as_diner(db.session(), the_elder(number), on or clock.today())
    db.session.rollback()
    return found.classes, found.statuses


# --- taking ---


def test_an_applicant_eats_at_once_without_the_class() -> None:
    taken = apply(DIBAO)
    assert diner(taken) == ((), ())
    agree(taken, effective=date(2026, 6, 1))
    assert diner(taken) == ((), ())
    assert diner(taken, date(2026, 6, 1)) == (("dibao",), ())


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"consent": ""}, NoConsent),
        ({"notice": "2020-1"}, NoConsent),
        ({"mode": "collected"}, BadApplication),
        ({"classes": (DIBAO, DIBAO)}, BadApplication),
        ({"classes": (AskedClass("king", "证"),)}, BadApplication),
        ({"classes": (AskedClass("dibao", " "),)}, BadApplication),
        ({"address": "长" * 61}, BadApplication),
        ({"elder": NewElder("李秀英", documents.parse("resident", NUMBER), residence=WEST_STREET)}, BadApplication),
        ({"elder": NewElder("李秀英", documents.parse("resident", NUMBER), hukou="")}, BadApplication),
    ],
)
def test_a_faulty_application_leaves_nothing(given: dict[str, object], refusal: type[Exception]) -> None:
    usual = {"elder": an_elder(), "consent": "signed"}
    with pytest.raises(refusal), transaction() as session:
        taking.take(session, NewApplication(**(usual | given)), "id-taker", WITHIN)  # type: ignore[arg-type]
    assert queries.names_of(db.session(), db.session().execute(select(Application.elder_id)).scalars()) == {}


def test_one_application_is_open_at_a_time() -> None:
    first = apply(DIBAO)
    with pytest.raises(OpenAlready):
        apply(DIBAO)
    agree(first)
    second = apply(AskedClass("alone", "社区证明"))
    assert second > first


def test_a_known_elder_applies_for_a_class_alone() -> None:
    agree(apply())
    with pytest.raises(OnRoster):
        apply()
    with pytest.raises(OtherName):
        apply(DIBAO, elder=an_elder(name="王芳"))
    assert not db.session().get_one(Application, apply(DIBAO)).registers


def test_an_elder_known_elsewhere_does_not_apply_here() -> None:
    with transaction() as session:
        elders.register(session, an_elder(residence=WEST_STREET), "system")
    with pytest.raises(NumberTaken, match="别处"):
        apply(DIBAO)


def test_the_deceased_do_not_apply() -> None:
    agree(taken := apply())
    with transaction() as session:
        elders.note(session, the_elder(taken), [NewFact("status", "deceased", date(2026, 5, 1))], "system")
    with pytest.raises(Stopped):
        apply(DIBAO)


def test_who_is_likely_the_same_is_asked_about() -> None:
    apply()
    twin = an_elder(id_number=number(region="220102", order=104))
    with pytest.raises(LikelySame) as refused:
        apply(elder=twin)
    assert str(refused.value.details["masked"]).startswith("2201**")
    assert apply(elder=twin, apart=True)


def test_details_are_sealed() -> None:
    taken = apply(DIBAO, address="人民大街 8 号", contact_name="王 芳", contact_phone="13900000000")
    row = db.session().get_one(Application, taken)
    assert "人民大街".encode() not in row.details_cipher
    details = taking.details_of(row)
    assert (details["address"], details["contact_name"]) == ("人民大街 8 号", "王芳")
    assert details["proofs"] == [{"code": "dibao", "proof": "低保证", "number": "0102-33"}]
    with pytest.raises(keys.Unreadable):
        keys.keyring().identity.open(row.details_cipher, "application.details 0")


def test_an_old_notice_stays_readable() -> None:
    assert notices.notice("2026-1")[0][0] == "谁在处理您的信息"
    assert notices.CURRENT in notices.NOTICES


# --- opinions ---


def test_the_street_follows_the_community() -> None:
    taken = apply(DIBAO)
    street = Decision(agrees=True, effective_from=clock.today())
    with pytest.raises(Decided):
        opinions.give(taken, "street", street, by="id-street")
    opinions.give(taken, "community", Decision(agrees=True), by="id-taker")  # its only worker may do both
    with pytest.raises(Decided):
        opinions.give(taken, "community", Decision(agrees=True), by="id-community")
    opinions.give(taken, "street", street, by="id-street")
    with pytest.raises(Decided):
        opinions.give(taken, "street", street, by="id-street2")


def test_the_street_speaks_through_another_person() -> None:
    taken = apply(DIBAO, by="id-street")
    opinions.give(taken, "community", Decision(agrees=True), by="id-street2")
    for person in ("id-street", "id-street2"):
        with pytest.raises(SameHuman):
            opinions.give(taken, "street", Decision(agrees=True, effective_from=clock.today()), by=person)


def test_a_community_gives_no_opinion_for_the_street() -> None:
    taken = apply(DIBAO, by="id-street")
    opinions.give(taken, "community", Decision(agrees=True), by="id-taker")
    with pytest.raises(NoApplication):
        opinions.give(taken, "street", Decision(agrees=True, effective_from=clock.today()), by="id-community")


@pytest.mark.parametrize("day", [None, date(2026, 5, 11), date(2027, 5, 14)])
def test_a_day_of_effect_lies_after_the_application(day: date | None) -> None:
    taken = apply(DIBAO)
    opinions.give(taken, "community", Decision(agrees=True), by="id-community")
    with pytest.raises(BadOpinion, match="生效日期"):
        opinions.give(taken, "street", Decision(agrees=True, effective_from=day), by="id-street")
    assert diner(taken) == ((), ())


def test_a_refusal_suspends_who_was_new() -> None:
    taken = apply(DIBAO)
    with pytest.raises(BadOpinion, match="原因"):
        opinions.give(taken, "community", Decision(agrees=False, reason="不"), by="id-community")
    opinions.give(taken, "community", Decision(agrees=False, reason="不在本社区居住"), by="id-community")
    tomorrow = clock.today() + timedelta(days=1)
    assert diner(taken)[1] == ()
    assert diner(taken, tomorrow)[1] == ("suspended",)
    again = apply()
    assert diner(again, tomorrow)[1] == ("suspended",), "a second application is not eaten on"
    agree(again)
    assert diner(again, tomorrow)[1] == ()


def test_a_refusal_leaves_a_known_elder_as_they_were() -> None:
    agree(apply(DIBAO))
    second = apply(AskedClass("alone", "社区证明"))
    opinions.give(second, "community", Decision(agrees=False, reason="与子女同住"), by="id-community")
    assert diner(second, clock.today() + timedelta(days=1)) == (("dibao",), ())


def test_a_class_that_is_valid_already_is_not_added_again() -> None:
    agree(apply(DIBAO))
    agree(second := apply(DIBAO))
    facts = elders.facts_about(db.session(), the_elder(second))
    assert [fact.value for fact in facts if fact.kind == "class"] == ["dibao"]


# --- lists ---


def test_what_waits_for_me_is_listed_first() -> None:
    taken = apply(DIBAO)

    def waits(person: str) -> list[int]:
        return [row.id for row in queries.waiting(db.session(), person).rows]

    everyone = ("id-taker", "id-community", "id-street", "id-manager")
    assert {person: waits(person) for person in everyone} == {
        "id-taker": [taken],
        "id-community": [taken],
        "id-street": [taken],
        "id-manager": [],
    }
    opinions.give(taken, "community", Decision(agrees=True), by="id-street2")
    assert {person: waits(person) for person in (*everyone, "id-street2")} == {
        "id-taker": [],
        "id-community": [],
        "id-street": [taken],
        "id-manager": [],
        "id-street2": [],
    }


def test_lists_go_on_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "PAGE", 2)
    people = [
        (name, number(region="220102", order=order)) for name, order in (("李一", 102), ("李二", 104), ("李三", 106))
    ]
    taken = [apply(elder=an_elder(*person)) for person in people]
    first = queries.waiting(db.session(), "id-street")
    assert ([row.id for row in first.rows], first.after) == (taken[:2], taken[1])
    rest = queries.waiting(db.session(), "id-street", after=taken[1])
    assert ([row.id for row in rest.rows], rest.after) == (taken[2:], None)


# --- at the desk ---


def as_(app: Flask, login: str) -> Browser:
    browser = Browser(app.test_client())
    browser.log_in(login)
    return browser


def alert(text: str) -> str:
    found = re.search(r'role="alert">\s*(?:<p>)?([^<]+)', text)
    return found[1] if found else ""


FORM = {
    "name": "李秀英",
    "document": "resident",
    "number": NUMBER,
    "residence": EAST_COMMUNITY,
    "mode": "dine_in",
    "consent": "signed",
    "notice": notices.CURRENT,
    "class-1": "dibao",
    "proof-1": "低保证",
    "proof-number-1": "0102-33",
}


def test_an_application_walks_from_a_canteen_to_the_street(app: Flask) -> None:
    manager, community, street = (as_(app, login) for login in ("manager", "community", "street"))
    blank = manager.get("/desk/applications/new")
    assert "camera=(self)" in blank.headers["Permissions-Policy"]
    assert "camera=()" in manager.get("/desk/applications").headers["Permissions-Policy"]
    assert "同意后勾选" in alert(manager.post("/desk/applications/new", **FORM).text)
    other = "1" if NUMBER[17] != "1" else "2"
    wrong = manager.post("/desk/applications/new", **(FORM | {"number": NUMBER[:17] + other, "agrees": "1"}))
    assert (wrong.status_code, alert(wrong.text)[:9]) == (422, "身份证号码校验不符")
    picture = io.BytesIO()
    Image.new("RGB", (600, 800), "white").save(picture, "JPEG")
    done = manager.post("/desk/applications/new", **FORM, agrees="1", photo=(io.BytesIO(picture.getvalue()), "a.jpg"))
    assert done.status_code == 302
    at = done.location.partition("?")[0]
    assert db.session().execute(select(ElderPhoto.jpeg)).scalar_one()[:3] == b"\xff\xd8\xff"
    db.session.rollback()

    with transaction() as session:
        card = credentials.make(session, [None], batch="b", by="system")[0]
    assert "待核" in manager.get(at).text
    assert manager.post(f"{at}/bind", scan=card.number).location == f"{at}?done=bound"
    assert manager.post(f"{at}/community", outcome="agreed").status_code in {403, 404}

    assert "待我填写意见" in community.get("/desk/applications").text
    assert "低保证 0102-33" in community.get(at).text
    assert community.post(f"{at}/community", outcome="agreed").location == f"{at}?done=agreed"
    assert "请选择同意" in alert(street.post(f"{at}/street").text)
    assert street.post(f"{at}/street", outcome="agreed", effective="2026-06-01").location == f"{at}?done=agreed"
    paper = street.get(f"{at}/form").text
    assert "2026-06-01" in paper
    assert "个人信息告知书" in paper
    assert NUMBER not in paper
    assert diner(int(at.rsplit("/", 1)[1]), date(2026, 6, 1)) == (("dibao",), ())


def test_classes_are_seen_by_the_area_and_the_taker_alone(app: Flask) -> None:
    a_person("other", ("manager", "canteen", "east"))
    a_person("west", ("reviewer", "area", WEST_STREET))
    taken = apply(DIBAO, by="id-manager", canteen_id="east")
    at = f"/desk/applications/{taken}"
    assert {login: "低保证" in as_(app, login).get(at).text for login in ("manager", "other", "street")} == {
        "manager": True,
        "other": False,
        "street": True,
    }
    assert as_(app, "other").get(f"{at}/form").status_code == 404
    assert as_(app, "west").get(at).status_code == 404


def test_a_card_is_bound_only_to_who_is_new(app: Flask) -> None:
    agree(apply(DIBAO))
    second = apply(AskedClass("alone", "社区证明"), by="id-manager", canteen_id="east")
    assert as_(app, "manager").post(f"/desk/applications/{second}/bind", scan="1").status_code == 404


def test_the_elders_page_says_provisional(app: Flask) -> None:
    taken = apply(DIBAO)
    at = f"/desk/elders/{the_elder(taken)}"
    street = as_(app, "street")
    assert "待核" in street.get(at).text
    agree(taken)
    assert "待核" not in street.get(at).text
    assert "已同意" in street.get(at).text


# --- on the command line ---


def test_opinions_are_given_on_the_command_line(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("CANTEEN_DATABASE_URL", config.database_url),
        ("CANTEEN_DATA", str(config.data_dir)),
        ("CANTEEN_KEYS", str(config.keys_dir)),
    ):
        monkeypatch.setenv(name, value)

    def run(*words: str) -> Result:
        db.session.rollback()
        return CliRunner().invoke(cli.cli, ["applications", *words])

    taken = str(apply(DIBAO))
    answer = (taken, "--step", "community", "--as", "community", "--password", PASSWORD)
    assert run("list", "--as", "community").output.startswith(f"{taken}  community")
    assert run("agree", *answer).output == f"{taken}: agreed\n"
    assert isinstance(run("refuse", *answer, "--reason", "不在本社区居住").exception, Decided)
    assert run("agree", taken, "--step", "street", "--as", "street", "--password", PASSWORD).exit_code == 0
    assert run("list", "--as", "street").output == "Nothing waits.\n"
    every = json.loads(run("list", "--as", "street", "--all", "--json").stdout)
    assert [row["state"] for row in every["applications"]] == ["agreed"]
    a_person("west", ("reviewer", "area", WEST_STREET))
    other = (
        "refuse",
        taken,
        "--step",
        "community",
        "--reason",
        "不在本社区居住",
        "--as",
        "west",
        "--password",
        PASSWORD,
    )
    assert isinstance(run(*other).exception, NoApplication)
