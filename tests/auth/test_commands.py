"""The command line: exit codes 0 done, 1 refused with the reason on stderr, 2 wrong usage."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask

from canteen import cli, events
from canteen.auth import guard, people
from canteen.commands import serve
from canteen.config import Config
from canteen.db import db, transaction
from tests.auth.house import CITY, PASSWORD, PIN, Browser, Till, a_person


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Ran]


@pytest.fixture
def canteen(
    app: Flask, config: Config, city: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """canteen("user", "list", typed="…"): the command as the shell runs it."""
    monkeypatch.setenv("CANTEEN_DATABASE_URL", config.database_url)
    monkeypatch.setenv("CANTEEN_DATA", str(config.data_dir))
    monkeypatch.setenv("CANTEEN_KEYS", str(config.keys_dir))
    monkeypatch.setenv("CANTEEN_PRODUCTION", "0")

    def run(*words: str, typed: str = "") -> Ran:
        db.session.rollback()
        monkeypatch.setattr(sys, "argv", ["canteen", *words])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        code = 0
        try:
            cli.main()
        except SystemExit as done:
            code = int(done.code or 0)
        shown = capsys.readouterr()
        return Ran(code, shown.out, shown.err)

    return run


def test_an_account_is_made_granted_and_listed(canteen: Command) -> None:
    made = canteen("user", "add", "lina", "李娜", "--password-stdin", "--json", typed=PASSWORD + "\n")
    granted = canteen("user", "grant", "lina", "finance", "area", CITY)
    listed = canteen("user", "list", "--json")

    assert (made.code, granted.code, listed.code) == (0, 0, 0), made.err
    assert listed.json == [
        {
            "id": made.json["id"],
            "login": "lina",
            "name": "李娜",
            "disabled": False,
            "grants": [listed.json[0]["grants"][0]],
        }
    ]
    grant = listed.json[0]["grants"][0]
    assert (grant["role"], grant["node"], grant["name"], grant["by"]) == ("finance", CITY, "长春市", "system")
    assert "finance at 长春市" in canteen("user", "list").out


def test_a_first_role_and_a_pin_come_with_the_account(canteen: Command) -> None:
    made = canteen(
        "user", "add", "cashier", "刘洋", "--pin-stdin", "--role", "cashier", "--at", "canteen:east", typed=PIN + "\n"
    )

    assert made.code == 0
    person = people.find(db.session(), "cashier")
    assert [each.role for each in guard.live_grants(db.session(), person.id)] == ["cashier"]


@pytest.mark.parametrize(
    ("words", "typed", "code", "said"),
    [
        (("user", "add", "lina", "李娜", "--password-stdin"), "short\n", 1, "weak_password: 密码至少 10 位"),
        (("user", "add", "李娜", "李娜", "--password-stdin"), PASSWORD, 1, "bad_login"),
        (("user", "add", "lina", "李娜", "--password-stdin"), "", 1, "标准输入里没有内容"),
        (("user", "grant", "nobody", "finance", "area", CITY), "", 1, "person_not_found"),
        (("user", "grant", "nobody", "king", "area", CITY), "", 2, "king"),
        (("user", "add", "lina", "李娜", "--role", "finance"), "", 2, "--at"),
        (("user", "add", "lina", "李娜", "--role", "finance", "--at", "moon:1"), PASSWORD, 2, "KIND:ID"),
        (("user", "password", "nobody", "--password-stdin"), PASSWORD, 1, "person_not_found"),
        (("user", "fly"), "", 2, "fly"),
        (("tablet", "code", "nowhere", "一号窗口"), "", 1, "canteen_not_found"),
        (("tablet", "revoke", "unknown", "--reason", "lost"), "", 1, "tablet_not_found"),
        (("tablet", "revoke", "unknown"), "", 2, "--reason"),
        (("audit", "verify", "--head", "x"), "", 2, "NUMBER:HASH"),
    ],
)
def test_what_cannot_be_done_is_refused_on_stderr(
    canteen: Command, words: tuple[str, ...], typed: str, code: int, said: str
) -> None:
    ran = canteen(*words, typed=typed)

    assert ran.code == code
    assert said in ran.err
    assert ran.out == ""


def test_a_port_in_use_is_refused_before_anything_starts(canteen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "ENDING", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ran = canteen("serve", "--port", str(listener.getsockname()[1]))

    assert ran.code == 1
    assert ran.err.startswith("address_taken: 127.0.0.1 的端口")
    assert canteen("serve", "--port", "70000").code == 1


def test_a_new_password_or_pin_is_set(canteen: Command, till: Till) -> None:
    cashier = a_person("cashier", ("cashier", "canteen", "east"), pin=True)

    assert canteen("user", "password", "cashier", "--password-stdin", typed="walnut-harbour-77\n").code == 0
    assert canteen("user", "password", "cashier", "--pin", "--password-stdin", typed="274951\n").code == 0

    assert till.log_in(cashier, "274951").status_code == 201


def test_tablets_are_let_in_listed_and_shut_out(canteen: Command, till: Till) -> None:
    code = canteen("tablet", "code", "east", "二号窗口", "--json")
    assert len(code.json["code"]) == 12

    assert canteen("tablet", "revoke", till.tablet, "--reason", "lost").code == 0

    (shown,) = canteen("tablet", "list", "--json").json
    assert shown["id"] == till.tablet
    assert shown["revoked"]
    assert "revoked" in canteen("tablet", "list").out


def test_an_unbroken_chain_is_reported_with_its_head(canteen: Command, till: Till) -> None:
    head = canteen("audit", "head")
    verified = canteen("audit", "verify", "--head", head.out.strip(), "--json")

    number, digest = events.head(db.session())
    assert head.out.strip() == f"{number}:{digest}"
    assert verified.code == 0
    assert verified.json == {"events": number, "head": digest, "breaks": []}


def test_a_cut_off_tail_is_found_by_a_head_noted_before(canteen: Command, till: Till) -> None:
    number, _ = events.head(db.session())

    ran = canteen("audit", "verify", "--head", f"{number + 1}:{'0' * 64}")

    assert ran.code == 1
    assert "找不到先前留存的链尾摘要" in ran.err


def test_an_event_that_does_not_fit_its_hash_is_named(canteen: Command) -> None:
    with transaction() as session:
        first = events.Event(
            number=1, at=guard.clock.now(), actor="x", kind="x", subject="x", body="{}", previous=events.FIRST, hash="x"
        )
        session.add(first)

    ran = canteen("audit", "verify", "--json")

    assert ran.code == 1
    assert ran.json["breaks"] == [{"number": 1, "reason": "内容与摘要不符"}]


def test_the_command_line_names_accounts_of_likely_one_human(canteen: Command, app: Flask) -> None:
    assert "no two accounts" in canteen("audit", "accounts").out
    browser = Browser(app.test_client())
    for login in ("one", "other"):
        a_person(login, ("admin", "area", CITY))
        browser.log_in(login)

    assert "one and other: 1 browsers, " in canteen("audit", "accounts").out
    assert canteen("audit", "accounts", "--json").json[0]["logins"] == ["one", "other"]
