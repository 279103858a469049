"""How values are written for people, how lists are cut into pages, what health and metrics report."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from canteen.app import create_app
from canteen.web import filters
from tests.auth.house import CITY, Browser, a_person, build_city
from tests.rigs.applications import config_for

# --- filters ---


@pytest.mark.parametrize(
    ("fen", "shown"), [(0, "0.00"), (5, "0.05"), (123456789, "1,234,567.89"), (-100, "-1.00"), (None, "")]
)
def test_amounts_are_written_in_yuan(fen: int | None, shown: str) -> None:
    assert filters.yuan(fen) == shown


def test_instants_are_written_in_shanghai_time() -> None:
    assert filters.at(datetime(2026, 11, 22, 16, 5, tzinfo=UTC)) == "2026-11-23 00:05"
    assert filters.at(None) == ""


def test_days_are_written_in_chinese() -> None:
    assert filters.day(date(2026, 11, 2)) == "2026年11月2日"
    assert filters.weekday(date(2026, 11, 22)) == "星期日"
    assert filters.day(None) == ""


def test_a_label_goes_by_kind_then_code_then_the_code_itself() -> None:
    filters.add_labels({"soup.lunch": "午汤"})

    assert filters.label("lunch") == "午餐"
    assert filters.label("lunch", "soup") == "午汤"
    assert filters.label("dinner", "soup") == "晚餐"
    assert filters.label("nobody named this") == "nobody named this"
    assert filters.label(None) == ""


# --- health, metrics, the description of the API ---


def test_health_is_good_while_the_database_answers(client: FlaskClient) -> None:
    answer = client.get("/healthz")

    assert (answer.status_code, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("url", ["sqlite:////nowhere/at/all.db", "postgresql+psycopg://127.0.0.1:1/nothing"])
def test_without_a_database_health_is_bad_and_pages_say_so(tmp_path: Path, url: str) -> None:
    client = create_app(config_for(url, tmp_path)).test_client()

    health = client.get("/healthz")
    client.set_cookie("desk", "someone")
    page = client.get("/desk/people")
    api = client.get("/api/v1/pos/boot", headers={"X-Tablet": "t"})

    assert (health.status_code, health.json) == (503, {"status": "database_away"})
    assert page.status_code == api.status_code == 503
    assert "系统数据库暂时无法使用，数据未保存，请稍后再试。" in page.text
    assert api.json["code"] == "database_away"


def test_metrics_are_for_this_machine_and_not_for_a_proxy(client: FlaskClient) -> None:
    client.get("/login")
    own = client.get("/metrics")

    assert own.status_code == 200
    assert 'canteen_requests_total{endpoint="auth.login",method="GET",status="200"}' in own.text
    for elsewhere in (
        {"environ_base": {"REMOTE_ADDR": "203.0.113.9"}},
        {"headers": {"X-Forwarded-For": "203.0.113.9"}},
        {"headers": {"Forwarded": "for=203.0.113.9"}},
    ):
        assert client.get("/metrics", **elsewhere).status_code == 302


def test_metrics_elsewhere_need_the_machines_permission(app: Flask) -> None:
    build_city()
    a_person("it", ("operator_it", "area", CITY))
    a_person("boss", ("admin", "area", CITY))
    browser, elsewhere = Browser(app.test_client()), {"environ_base": {"REMOTE_ADDR": "203.0.113.9"}}

    browser.log_in("boss")
    assert browser.get("/metrics", **elsewhere).status_code == 403
    browser.log_in("it")
    assert browser.get("/metrics", **elsewhere).status_code == 200


def test_no_person_is_named_in_the_metrics(app: Flask, client: FlaskClient) -> None:
    build_city()
    person = a_person("lina", ("admin", "area", CITY))
    client.get(f"/desk/people/{person}?q=李娜")

    text = client.get("/metrics").text

    assert person not in text
    assert "李娜" not in text


def test_the_api_describes_itself(client: FlaskClient) -> None:
    described = client.get("/api/v1/openapi.json").json

    assert described["openapi"].startswith("3.1")
    assert "/api/v1/pos/boot" in described["paths"]
    assert described["components"]["schemas"]["Problem"]["properties"].keys() >= {"code", "detail", "status"}
