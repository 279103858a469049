"""Requests from elsewhere change nothing (P24), every answer has the headers, production refuses what is unsafe."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import pytest
from flask import Flask, g
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from canteen import clock
from canteen.auth import people
from canteen.auth.guard import allowed, public
from canteen.auth.models import WebSession
from canteen.config import SECRETS, Config
from canteen.db import db, transaction
from canteen.places import Installation
from canteen.web import security
from canteen.web.security import UnsafeStart
from tests.auth.house import CITY, PASSWORD, Browser, a_person, a_till, build_city
from tests.rigs.programs import Begin

pytestmark = pytest.mark.own_app  # many tests here add routes

SITE = "http://localhost"
JSON = {"Content-Type": "application/json", "X-Requested-With": "canteen", "Origin": SITE}


@pytest.fixture
def changed(app: Flask) -> list[str]:
    """What a form and an API route for administrators did."""
    done: list[str] = []

    def form() -> str:
        done.append("form")
        return "done"

    def api() -> dict[str, str]:
        done.append("api")
        return {"done": "yes"}

    app.add_url_rule("/change", "change", allowed("people")(form), methods=["POST"])
    app.add_url_rule("/api/v1/change", "api_change", allowed("people")(api), methods=["POST", "DELETE"])
    return done


@pytest.fixture
def inside(app: Flask, changed: list[str]) -> Browser:
    """An administrator, logged in."""
    build_city()
    a_person("root", ("admin", "area", CITY))
    browser = Browser(app.test_client())
    browser.log_in("root")
    return browser


# --- requests from elsewhere ---


def test_a_form_with_the_token_of_its_session_is_done(inside: Browser, changed: list[str]) -> None:
    assert inside.post("/change").status_code == 200
    assert changed == ["form"]


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"csrf": ""}, {}),
        ({"csrf": "x" * 43}, {}),
        ({"csrf": "right"}, {"Origin": "https://evil.example"}),
        ({"csrf": "right"}, {"Origin": "null"}),
        ({"csrf": "right"}, {"Origin": "http://localhost:8000"}),
        ({"csrf": "right"}, {"Content-Type": "text/plain"}),
    ],
)
def test_a_form_from_elsewhere_changes_nothing(
    inside: Browser, changed: list[str], fields: dict[str, str], headers: dict[str, str]
) -> None:
    if fields.get("csrf") == "right":
        fields = {"csrf": inside.token("/desk/account")}

    answer = inside.client.post("/change", data=fields, headers=headers)

    assert answer.status_code in {403, 415}
    assert changed == []


def test_the_token_of_another_session_is_worth_nothing(app: Flask, inside: Browser, changed: list[str]) -> None:
    a_person("other", ("admin", "area", CITY))
    other = Browser(app.test_client())
    other.log_in("other")

    answer = inside.client.post("/change", data={"csrf": other.token("/desk/account")})

    assert answer.status_code == 403
    assert changed == []


def test_a_page_may_send_the_token_as_a_header(inside: Browser, changed: list[str]) -> None:
    token = inside.token("/desk/account")

    answer = inside.client.post("/change", data={}, headers={"X-CSRF-Token": token} | FORM)

    assert answer.status_code == 200
    assert changed == ["form"]


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_json_with_our_header_and_origin_is_done(inside: Browser, changed: list[str]) -> None:
    assert inside.client.post("/api/v1/change", data="{}", headers=JSON).status_code == 200
    assert inside.client.delete("/api/v1/change", headers=JSON).status_code == 200
    assert changed == ["api", "api"]


@pytest.mark.parametrize(
    "bent",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"X-Requested-With": None},
        {"Origin": None},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_json_from_elsewhere_changes_nothing(inside: Browser, changed: list[str], bent: dict[str, str | None]) -> None:
    headers = {name: value for name, value in (JSON | bent).items() if value is not None}

    answer = inside.client.post("/api/v1/change", data="{}", headers=headers)

    assert answer.status_code in {403, 415}
    assert answer.json["code"] in {"foreign_origin", "wrong_content_type"}
    assert changed == []


def test_an_origin_named_in_the_settings_is_ours(another_host: Callable[..., Flask]) -> None:
    app = another_host(allowed_origins=("https://canteen.example",))
    app.add_url_rule("/api/v1/x", "x", public("test")(lambda: {"done": "yes"}), methods=["POST"])

    answer = app.test_client().post("/api/v1/x", data="{}", headers=JSON | {"Origin": "https://canteen.example"})

    assert answer.status_code == 200


def test_a_login_from_elsewhere_is_refused(app: Flask) -> None:
    build_city()
    a_person("root", ("admin", "area", CITY))
    fields = {"login": "root", "password": PASSWORD}

    assert app.test_client().post("/login", data=fields).status_code == 403
    assert db.session.execute(select(WebSession.id)).first() is None


def test_reading_needs_no_token(inside: Browser) -> None:
    assert inside.get("/desk/people", headers={"Origin": "https://evil.example"}).status_code == 200


# --- what goes out ---


def answers(client: FlaskClient) -> Iterator[TestResponse]:
    for path in ("/login", "/static/css/base.css", "/nothing", "/api/v1/nothing", "/healthz", "/desk/people"):
        yield client.get(path, buffered=True)


def test_every_answer_carries_the_headers(client: FlaskClient) -> None:
    for answer in answers(client):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "same-origin"
        assert "camera=()" in answer.headers["Permissions-Policy"]


def test_only_the_tablet_may_run_wasm_and_use_the_camera(client: FlaskClient) -> None:
    for path in ("/pos", "/pos/sw.js", "/static/pos/main.js"):
        answer = client.get(path, buffered=True)
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self' 'wasm-unsafe-eval'" in policy
        assert "worker-src 'self'" in policy
        assert "'unsafe-inline'" not in policy
        assert "camera=(self)" in answer.headers["Permissions-Policy"]
    assert "wasm" not in client.get("/position").headers["Content-Security-Policy"]


def test_pages_with_data_are_kept_by_no_cache(inside: Browser) -> None:
    assert inside.get("/desk/people").headers["Cache-Control"] == "no-store"


def test_https_is_asked_for_once_it_was_used(client: FlaskClient) -> None:
    assert "Strict-Transport-Security" not in client.get("/login").headers
    assert (
        client.get("/login", base_url="https://localhost").headers["Strict-Transport-Security"].startswith("max-age=")
    )


def cookies(answer: TestResponse) -> dict[str, str]:
    return {line.split("=", 1)[0]: line for line in answer.headers.getlist("Set-Cookie")}


def test_on_loopback_the_cookie_is_plain_and_hidden_from_scripts(inside: Browser) -> None:
    line = cookies(inside.log_in("root"))["desk"]

    assert "HttpOnly" in line
    assert "SameSite=Lax" in line
    assert "Path=/" in line
    assert "Secure" not in line
    assert "Domain" not in line


def test_on_https_the_cookie_belongs_to_this_host_alone(app: Flask) -> None:
    build_city()
    a_person("root", ("admin", "area", CITY))
    at = {"base_url": "https://canteen.example"}
    client = app.test_client()
    token = client.get("/login", **at).text.split('name="csrf" value="')[1].split('"')[0]

    found = cookies(client.post("/login", data={"csrf": token, "login": "root", "password": PASSWORD}, **at))

    assert "desk" not in found
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= {
        part.strip() for part in found["__Host-desk"].split(";")
    }
    assert "Domain" not in found["__Host-desk"]
    assert client.get("/desk/people", **at).status_code == 200


def test_a_plain_cookie_is_not_read_on_https(app: Flask, inside: Browser) -> None:
    stolen = inside.cookie or ""
    client = app.test_client()
    client.set_cookie("desk", stolen, domain="canteen.example")

    assert client.get("/desk/people", base_url="https://canteen.example").status_code == 302


# --- limits ---


@pytest.mark.parametrize("path", ["/login", "/api/v1/pos/tablets"])
def test_a_body_too_large_is_refused_in_chinese(another_host: Callable[..., Flask], path: str) -> None:
    app = another_host(max_body=2000)
    headers = JSON if path.startswith("/api") else FORM

    answer = app.test_client().post(path, data=b"x" * 3000, headers=headers)

    assert answer.status_code == 413
    assert "提交的内容太大" in (answer.json["detail"] if answer.is_json else answer.text)
    assert "body_too_large" in answer.text


def test_a_signed_body_too_large_is_refused_too(app: Flask, another_host: Callable[..., Flask]) -> None:
    build_city()
    till = a_till(app, "east")
    db.session.rollback()
    till.client = another_host(max_body=2000).test_client()

    answer = till.call("POST", "/api/v1/pos/sessions", {"person": "x" * 3000, "pin": "1"})

    assert answer.status_code == 413
    assert answer.json["code"] == "body_too_large"


@pytest.mark.parametrize("path", ["/login", "/api/v1/pos/boot", "/healthz", "/static/css/base.css"])
def test_trace_answers_405_and_what_is_allowed(client: FlaskClient, path: str) -> None:
    answer = client.open(path, method="TRACE")

    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_proxies_are_trusted_for_the_set_number_of_hops(another_host: Callable[..., Flask]) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"}

    def seen(proxies: int) -> tuple[str | None, bool]:
        app = another_host(proxies=proxies)
        app.add_url_rule("/seen", "seen", public("test")(lambda: {"address": _address(), "secure": _secure()}))
        answer = app.test_client().get("/seen", headers=forged).json
        return answer["address"], answer["secure"]

    assert seen(0) == ("127.0.0.1", False)
    assert seen(1) == ("198.51.100.7", True)


def _address() -> str | None:
    return security.request.remote_addr


def _secure() -> bool:
    return security.request.is_secure


def test_keyed_texts_cannot_be_shifted_between_their_parts(app: Flask) -> None:
    with app.test_request_context():
        assert security.keyed("a", "bc", "d") != security.keyed("a", "b", "cd")
        assert security.keyed("ab", "c") != security.keyed("a", "bc")
        assert g.get("person") is None


# --- production ---


@pytest.fixture
def production(config: Config, app: Flask) -> Config:
    """Settings that production accepts, on a database that is no demo."""
    for name in SECRETS:
        config.secret(name)
    with transaction() as session:
        session.add(Installation(id=1, incarnation="i", demo=False, made_at=clock.now()))
    return dataclasses.replace(config, production=True, testing=False)


def refused(config: Config, *, debug: bool = False) -> str:
    db.session.rollback()
    with pytest.raises(UnsafeStart) as found:
        security.refuse_unsafe(config, db.session(), debug=debug)
    return found.value.message


def test_sound_production_starts(production: Config) -> None:
    security.refuse_unsafe(production, db.session())


def test_elsewhere_nothing_is_refused(config: Config, app: Flask) -> None:
    security.refuse_unsafe(dataclasses.replace(config, demo=True), db.session(), debug=True)


@pytest.mark.parametrize("name", SECRETS)
def test_production_refuses_a_missing_secret(production: Config, name: str) -> None:
    (production.keys_dir / f"{name}.key").unlink()

    assert f"{name}.key" in refused(production)


@pytest.mark.parametrize("secret", [b"", b"change-me", bytes(32), b"secretsecretsecretsecretsecretsecret"])
def test_production_refuses_a_secret_that_is_no_secret(production: Config, secret: bytes) -> None:
    (production.keys_dir / "session.key").write_bytes(secret)

    assert "session.key" in refused(production)


def test_production_refuses_a_secret_that_others_can_read(production: Config) -> None:
    (production.keys_dir / "pepper.key").chmod(0o644)

    assert "pepper.key" in refused(production)


def test_production_refuses_debug_tests_and_demo(production: Config) -> None:
    assert "调试" in refused(production, debug=True)
    assert "调试" in refused(dataclasses.replace(production, testing=True))
    assert "CANTEEN_DEMO" in refused(dataclasses.replace(production, demo=True))


def test_production_refuses_a_demo_database(production: Config) -> None:
    with transaction() as session:
        session.get_one(Installation, 1).demo = True

    assert "演示数据库" in refused(production)


def test_production_refuses_demo_accounts_that_can_log_in(production: Config) -> None:
    person = people.create("demo-finance", "演示财务", password=PASSWORD, by="system")
    assert "演示账号" in refused(production)

    people.disable(person, by="system")

    security.refuse_unsafe(production, db.session())


def test_the_server_itself_asks_at_its_start(production: Config, begin: Begin) -> None:
    """In a process of its own: production forbids this one to move its clock."""
    (production.keys_dir / "stamp.key").unlink()

    code, _, errors = begin(text="import wsgi", CANTEEN_PRODUCTION="1").end()

    assert code == 1
    assert "unsafe_start: 生产环境不安全，系统拒绝启动：缺少密钥文件 stamp.key" in errors
