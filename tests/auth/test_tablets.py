"""A tablet gets in once, is known by its signature, and is out at once when it is lost."""

from __future__ import annotations

import base64
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from flask import Flask
from sqlalchemy import select

from canteen import clock, events
from canteen.auth import approvals, tablets
from canteen.auth.approvals import ApprovalRefused
from canteen.auth.models import EnrolmentCode, Tablet
from canteen.auth.tablets import BadKey, NoTablet
from canteen.db import db
from canteen.errors import Invalid
from canteen.places import NoCanteen
from canteen.pos import envelope
from canteen.pos.models import Record
from tests.auth.house import PIN, Till, a_person, a_till

NOW = datetime(2026, 5, 12, 3, 0, tzinfo=UTC)
FROM_PAGE = {"Origin": "http://localhost", "X-Requested-With": "canteen"}


@pytest.fixture
def new(app: Flask, city: None) -> Till:
    """A tablet that is not let in yet."""
    return Till(app.test_client())


def enrol(till: Till, code: str) -> object:
    key = base64.urlsafe_b64encode(till.public_key).decode().rstrip("=")
    answer = till.client.post("/api/v1/pos/tablets", json={"code": code, "public_key": key}, headers=FROM_PAGE)
    return answer.json if answer.status_code == 201 else answer.json["code"]


# --- getting in ---


def test_a_code_lets_one_tablet_in(new: Till) -> None:
    code = tablets.make_code("east", "一号窗口", by="system")

    let_in = enrol(new, code.grouped)

    assert isinstance(let_in, dict)
    new.tablet = let_in["tablet"]["id"]
    assert let_in["tablet"]["name"] == "一号窗口"
    assert let_in["canteen"] == {"id": "east", "name": "east餐厅"}
    assert new.call("GET", "/api/v1/pos/boot").status_code == 200


def test_a_code_used_by_one_tablet_lets_no_other_in(app: Flask, new: Till) -> None:
    code = tablets.make_code("east", "一号窗口", by="system").code
    first, again = enrol(new, code), enrol(new, code)

    assert isinstance(first, dict)
    assert isinstance(again, dict)
    assert first["tablet"] == again["tablet"]
    assert enrol(Till(app.test_client()), code) == "enrolment_code_refused"
    assert len(db.session.execute(select(Tablet.id)).all()) == 1


def test_a_code_dies_within_the_hour(new: Till) -> None:
    with clock.at(NOW):
        code = tablets.make_code("east", "一号窗口", by="system").code
    with clock.at(NOW + timedelta(minutes=61)):
        assert enrol(new, code) == "enrolment_code_refused"
    with clock.at(NOW + timedelta(minutes=59)):
        assert isinstance(enrol(new, code), dict)


def test_the_code_itself_is_not_kept(city: None) -> None:
    code = tablets.make_code("east", "一号窗口", by="system").code

    assert db.session.execute(select(EnrolmentCode.digest)).scalar_one() != code


@pytest.mark.parametrize("key", [b"", b"\x04" + bytes(64), bytes(65), b"x" * 33])
def test_a_key_must_be_a_point_of_its_curve(city: None, key: bytes) -> None:
    code = tablets.make_code("east", "一号窗口", by="system").code

    with pytest.raises(BadKey):
        tablets.enrol(code, key)


def test_a_shortened_key_is_not_taken(new: Till) -> None:
    code = tablets.make_code("east", "一号窗口", by="system").code
    short = new.key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)

    with pytest.raises(BadKey):
        tablets.enrol(code, short)


def test_a_code_needs_a_canteen_and_a_name(city: None) -> None:
    with pytest.raises(NoCanteen):
        tablets.make_code("nowhere", "一号窗口", by="system")
    with pytest.raises(Invalid):
        tablets.make_code("east", "  ", by="system")


# --- being known ---


def test_a_request_is_the_tablets_own_or_nobodys(app: Flask, till: Till) -> None:
    path, body = "/api/v1/pos/sessions", b'{"person": "x", "pin": "1"}'
    good = till.sign("POST", path, body)
    stranger = Till(app.test_client(), tablet=till.tablet)

    def code(headers: dict[str, str], *, to: str = path, sent: bytes = body, method: str = "POST") -> str:
        answer = app.test_client().open(to, method=method, data=sent, content_type="application/json", headers=headers)
        return str(answer.json["code"])

    assert code(good) == "pin_wrong"
    assert code({}) == "bad_signature"
    assert code(good, sent=body + b" ") == "bad_signature"
    assert code(good, method="DELETE") == "bad_signature"
    assert code(good, to=path + "?a=1") == "bad_signature"
    assert code(good | {"X-Tablet-At": "2026-05-12T11:00:00+08:00"}) == "bad_signature"
    assert code(good | {"X-Tablet": "unknown"}) == "tablet_unknown"
    assert code(good | {"X-Tablet-Signature": "AAAA"}) == "bad_signature"
    assert code(good | {"X-Tablet-Signature": "*" * 86}) == "bad_signature"
    assert code(good | {"X-Tablet-Signature": base64.b64encode(bytes(64)).decode()}) == "bad_signature"
    assert code(stranger.sign("POST", path, body)) == "bad_signature"


def test_a_query_is_signed_with_its_path(till: Till) -> None:
    assert till.call("GET", "/api/v1/pos/boot?day=2026-05-12").status_code == 200


def test_what_is_signed_must_be_json(till: Till) -> None:
    path, body = "/api/v1/pos/sessions", b"person=x"
    headers = till.sign("POST", path, body)

    answer = till.client.post(path, data=body, content_type="text/plain", headers=headers)

    assert answer.status_code == 415


def test_a_revoked_tablet_is_out_at_its_next_request(till: Till) -> None:
    cashier = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    till.log_in(cashier)

    tablets.revoke(till.tablet, by="system", reason="lost")

    answer = till.call("GET", "/api/v1/pos/boot")
    assert answer.status_code == 401
    assert answer.json["code"] == "tablet_revoked"
    assert events.head(db.session())[0] > 0


def test_a_revoked_tablets_records_are_kept_apart_unbooked(till: Till) -> None:
    tablets.revoke(till.tablet, by="system", reason="lost")
    record = envelope.seal(
        {"sales": []},
        kind="checkout",
        tablet=till.tablet,
        epoch=1,
        number=1,
        previous=envelope.FIRST,
        at=NOW,
        mono_ms=1,
        boot=str(uuid.uuid4()),
    )

    answers = [till.call("POST", "/api/v1/records", {"records": [record]}) for _ in range(2)]

    assert [each.status_code for each in answers] == [200, 200]
    for each in answers:
        assert (each.json["results"][0]["outcome"], each.json["results"][0]["reason"]) == (
            "quarantined",
            "tablet_revoked",
        )
    (kept,) = db.session.execute(select(Record)).scalars()
    assert (kept.state, kept.reason, kept.hash) == ("quarantined", "tablet_revoked", record["hash"])


def test_revoking_twice_is_revoking_once(till: Till) -> None:
    tablets.revoke(till.tablet, by="system", reason="lost")
    before = events.head(db.session())
    tablets.revoke(till.tablet, by="system", reason="broken")

    assert events.head(db.session()) == before
    with pytest.raises(NoTablet):
        tablets.revoke("unknown", by="system", reason="lost")
    with pytest.raises(Invalid):
        tablets.revoke(till.tablet, by="system", reason="because")


@pytest.mark.parametrize("minutes", [-26 * 60, -7, 0, 3])
def test_how_far_a_tablets_clock_is_off_is_noted(till: Till, minutes: int) -> None:
    with clock.at(NOW):
        at = (clock.local(NOW) + timedelta(minutes=minutes)).isoformat()
        headers = till.sign("GET", "/api/v1/pos/boot", at=at)
        assert till.client.get("/api/v1/pos/boot", headers=headers).status_code == 200

    tablet = db.session.get_one(Tablet, till.tablet, populate_existing=True)
    assert tablet.seen_at == NOW
    assert tablet.skew_ms == minutes * 60_000


@pytest.mark.parametrize("at", ["yesterday", "2026-05-12T11:00:00", "9999-12-31T00:00:00+00:00"])
def test_a_clock_that_makes_no_sense_stops_nothing(till: Till, at: str) -> None:
    headers = till.sign("GET", "/api/v1/pos/boot", at=at)

    assert till.client.get("/api/v1/pos/boot", headers=headers).status_code == 200
    assert db.session.get_one(Tablet, till.tablet, populate_existing=True).skew_ms is None


# --- at the till ---


def test_the_tablet_receives_only_id_and_name_of_people(till: Till) -> None:
    cashier = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    head = a_person("head", ("manager", "canteen", "east"), pin=True)
    a_person("western", ("cashier", "canteen", "west"), pin=True)

    boot = till.call("GET", "/api/v1/pos/boot").json

    assert boot["canteen"] == {
        "id": "east",
        "name": "east餐厅",
        "profile": "counter",
        "day_turns_at": 0,
        "serving": True,
    }
    assert boot["cashiers"] == [
        {"id": cashier, "name": "cashier同志"},
        {"id": head, "name": "head同志"},
    ]
    assert boot["managers"] == [{"id": head, "name": "head同志"}]
    assert boot["incarnation"] == "i" * 32
    assert boot["session"] is None
    assert boot["tablet"] == {"id": till.tablet, "name": "一号窗口"}


def test_a_cashier_of_another_canteen_cannot_log_in(till: Till) -> None:
    western = a_person("western", ("cashier", "canteen", "west"), pin=True)

    answer = till.log_in(western)

    assert answer.status_code == 403
    assert answer.json["code"] == "pin_wrong"


def test_fields_nobody_asked_for_are_refused(till: Till) -> None:
    answer = till.call("POST", "/api/v1/pos/sessions", {"person": "x", "pin": "1", "role": "admin"})

    assert answer.status_code == 422
    assert answer.json["code"] == "invalid"
    assert answer.json["details"]["fields"] == ["role"]


# --- a manager's word ---


@pytest.fixture
def cashier_in(till: Till) -> str:
    cashier = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    till.log_in(cashier)
    return cashier


def ask(till: Till, manager: str, sale: uuid.UUID, pin: str = PIN) -> dict[str, str]:
    asked = {"manager": manager, "pin": pin, "sale": str(sale)}
    answer: dict[str, str] = till.call("POST", "/api/v1/pos/approvals", asked).json  # type: ignore[assignment]
    return answer


def test_a_managers_word_is_good_for_one_sale_on_one_tablet(app: Flask, till: Till, cashier_in: str) -> None:
    head = a_person("head", ("manager", "canteen", "east"), pin=True)
    sale, other = uuid.uuid4(), uuid.uuid4()

    given = ask(till, head, sale)

    token = given["approval"]
    assert approvals.check(token, tablet_id=till.tablet, sale_id=sale).person_id == head
    assert given["approved_by"] == head
    for tablet, wrong in ((till.tablet, other), (a_till(app, "east").tablet, sale)):
        with pytest.raises(ApprovalRefused):
            approvals.check(token, tablet_id=tablet, sale_id=wrong)
    for bent in (token[:-1], token.replace(head, cashier_in), "", "~~", "x~1~y"):
        with pytest.raises(ApprovalRefused):
            approvals.check(bent, tablet_id=till.tablet, sale_id=sale)


def test_nobody_but_a_manager_gives_it_and_by_the_right_pin(till: Till, cashier_in: str) -> None:
    head = a_person("head", ("manager", "canteen", "east"), pin=True)
    western = a_person("western", ("manager", "canteen", "west"), pin=True)

    assert ask(till, cashier_in, uuid.uuid4())["code"] == "pin_wrong"
    assert ask(till, western, uuid.uuid4())["code"] == "pin_wrong"
    assert ask(till, head, uuid.uuid4(), "999111")["code"] == "pin_wrong"


def test_without_a_cashier_logged_in_nobody_is_asked(till: Till) -> None:
    head = a_person("head", ("manager", "canteen", "east"), pin=True)

    assert ask(till, head, uuid.uuid4())["code"] == "login_needed"


# --- what a tablet's clock says ---


@pytest.mark.parametrize("at", ["9999-12-31T20:00:00+00:00", "0001-01-01T00:00:00+23:00", "2026-05-12", "today"])
def test_a_ping_with_an_impossible_clock_measures_nothing(till: Till, at: str) -> None:
    answer = till.client.get("/api/v1/pos/ping", headers=till.sign("GET", "/api/v1/pos/ping", at=at))

    assert answer.status_code == 200
    tablet = db.session.get_one(Tablet, till.tablet)
    assert tablet.seen_at is not None
    assert tablet.skew_ms is None


@pytest.mark.parametrize("value", [b"9" * 5000, b"[" * 100_000, b"\xff"], ids=["digits", "depth", "bytes"])
def test_what_no_decoder_reads_is_refused_in_words(till: Till, value: bytes) -> None:
    body = b'{"records": [{"mono": ' + value + b"}]}"
    headers = till.sign("POST", "/api/v1/records", body)
    answer = till.client.post("/api/v1/records", data=body, content_type="application/json", headers=headers)

    assert (answer.status_code, answer.json["code"]) in {(400, "malformed"), (422, "invalid")}
