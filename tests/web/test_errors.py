"""Refusals as problem documents for programs and as Chinese pages for people."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NoReturn

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from canteen.auth.guard import public
from canteen.errors import Conflict, Forbidden, Invalid, Missing, Refusal
from canteen.web.errors import BodyTooLarge, Locked, LoginNeeded, Malformed, fields_of, status_of

pytestmark = pytest.mark.own_app  # many tests here add routes


class NoSoup(Conflict):
    code = "no_soup"
    message = "今天没有汤了，请换一样。"


def raising(app: Flask, error: Exception) -> None:
    """Serve `error` at /api/v1/raise and /raise."""

    def view() -> NoReturn:
        raise error

    app.add_url_rule("/api/v1/raise", "api_raise", public("test")(view))
    app.add_url_rule("/raise", "page_raise", public("test")(view))


def test_a_program_reads_a_problem_document(app: Flask, client: FlaskClient) -> None:
    raising(app, NoSoup(details={"line": 3}))

    answer = client.get("/api/v1/raise")

    assert answer.status_code == 409
    assert answer.content_type == "application/problem+json; charset=utf-8"
    assert answer.json == {
        "type": "about:blank",
        "title": "内容冲突",
        "status": 409,
        "code": "no_soup",
        "detail": "今天没有汤了，请换一样。",
        "details": {"line": 3},
    }


def test_a_person_reads_a_page(app: Flask, client: FlaskClient) -> None:
    raising(app, NoSoup())

    answer = client.get("/raise")

    assert answer.status_code == 409
    assert "今天没有汤了，请换一样。" in answer.text
    assert "no_soup" in answer.text
    assert '<html lang="zh-CN">' in answer.text


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Invalid(), 422),
        (Malformed(), 400),
        (Missing(), 404),
        (Forbidden(), 403),
        (LoginNeeded(), 401),
        (Locked(), 429),
        (BodyTooLarge(), 413),
        (Conflict(), 409),
        (Refusal(), 400),
    ],
)
def test_each_family_has_its_status(error: Refusal, status: int) -> None:
    assert status_of(error) == status


def test_a_lock_tells_when_to_come_back(app: Flask, client: FlaskClient) -> None:
    raising(app, Locked(details={"minutes": 15}))

    assert client.get("/api/v1/raise").headers["Retry-After"] == "900"


def test_whoever_is_not_logged_in_is_led_to_the_login(app: Flask, client: FlaskClient) -> None:
    raising(app, LoginNeeded())

    assert client.get("/raise?a=1").location == "/login?next=%2Fraise%3Fa%3D1"
    assert client.get("/api/v1/raise").status_code == 401


def test_an_unreachable_database_is_reported_without_details(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    raising(app, OperationalError("SELECT 220102194001011234", {}, Exception("host db7 is down")))

    answer, page = client.get("/api/v1/raise"), client.get("/raise")

    assert answer.status_code == page.status_code == 503
    assert answer.json["code"] == "database_away"
    assert answer.headers["Retry-After"] == "5"
    assert "系统数据库暂时无法使用，数据未保存，请稍后再试。" in page.text
    assert "220102194001011234" not in caplog.text + answer.text + page.text


def test_what_nobody_foresaw_shows_none_of_its_insides(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    raising(app, ValueError("the secret recipe"))

    with caplog.at_level(logging.ERROR):
        answer, page = client.get("/api/v1/raise"), client.get("/raise")

    assert answer.status_code == page.status_code == 500
    assert answer.json["code"] == "internal_error"
    assert "secret recipe" not in answer.text + page.text
    assert "unforeseen" in caplog.text


def test_the_words_of_an_error_stay_out_of_the_log(
    another_host: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app = another_host(testing=False)
    raising(app, ValueError("220102194001011234 李娜"))

    assert app.test_client().get("/raise").status_code == 500

    assert "unforeseen ValueError" in caplog.text
    assert "test_errors.py" in caplog.text
    assert "220102194001011234" not in caplog.text
    assert "李娜" not in caplog.text


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422, 429, 503, 418])
def test_the_frameworks_errors_are_answered_in_our_words(app: Flask, client: FlaskClient, status: int) -> None:
    def view() -> NoReturn:
        abort(status)

    app.add_url_rule("/api/v1/abort", "abort", public("test")(view))

    answer = client.get("/api/v1/abort")

    assert answer.status_code == status
    assert answer.json["status"] == status
    assert answer.json["code"]
    assert any("一" <= letter <= "鿿" for letter in answer.json["detail"])


def test_an_address_that_does_not_exist_answers_in_kind(client: FlaskClient) -> None:
    assert client.get("/api/v1/nothing").json["code"] == "not_found"
    assert "没有这个页面" in client.get("/nothing").text


def test_json_that_is_none_is_malformed(client: FlaskClient) -> None:
    headers = {"Content-Type": "application/json", "X-Requested-With": "canteen", "Origin": "http://localhost"}

    answer = client.post("/api/v1/pos/tablets", data="{", headers=headers)

    assert answer.status_code == 400
    assert answer.json["code"] == "malformed"


def test_refused_fields_are_named_without_their_values(client: FlaskClient) -> None:
    headers = {"X-Requested-With": "canteen", "Origin": "http://localhost"}

    answer = client.post("/api/v1/pos/tablets", json={"code": "", "who": "李娜"}, headers=headers)

    assert answer.status_code == 422
    assert answer.json["details"]["fields"] == ["code", "public_key", "who"]
    assert "李娜" not in answer.text


def test_the_paths_of_refused_fields_are_dotted() -> None:
    messages = {"json": {"sales": {0: {"id": ["x"], "lines": {2: {"item": ["x"]}}}}, "_schema": ["x"]}}

    assert fields_of(messages) == {"sales.0.id", "sales.0.lines.2.item", "body"}


def test_a_database_error_does_not_repeat_values(session: Session) -> None:
    with pytest.raises(DBAPIError) as found:
        session.execute(text("SELECT :number FROM no_such_table"), {"number": "220102194001011234"})

    session.rollback()
    assert "220102194001011234" not in str(found.value)
