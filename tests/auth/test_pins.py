"""Guessing limits count over all workers and hosts, and reveal nothing of which accounts exist (P22)."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from canteen import clock
from canteen.auth import people, pins
from canteen.auth.models import Attempts
from canteen.auth.pins import WeakPassword, WeakPin
from canteen.db import db
from canteen.web.errors import Locked
from tests.auth.house import CITY, PASSWORD, PIN, Browser, Till, a_person, a_till

NOW = datetime(2026, 5, 12, 3, 0, tzinfo=UTC)


def guesses_before_lock(account: str, device: str, most: int = 200) -> int:
    for n in range(most):
        try:
            pins.reserve(account, device)
        except Locked:
            return n
    return most


# --- hashes ---


def test_a_password_fits_itself_alone(app: Flask) -> None:
    stored = pins.hash_password(PASSWORD, "someone")

    assert stored.startswith("$argon2id$")
    assert pins.password_fits(stored, PASSWORD)
    assert not pins.password_fits(stored, PASSWORD + "x")
    assert not pins.password_fits(None, PASSWORD)


def test_an_account_that_does_not_exist_costs_as_much_to_refuse(app: Flask) -> None:
    def cost(stored: str) -> str:
        return stored.rsplit("$", 2)[0]

    assert cost(pins._nobodys()) == cost(pins.hash_password(PASSWORD, "someone"))


def test_a_pin_does_not_fit_its_hash_without_the_outside_key(app: Flask) -> None:
    stored = pins.hash_pin(PIN)

    assert pins.pin_fits(stored, PIN)
    assert not pins.password_fits(stored, PIN)


@pytest.mark.parametrize("password", ["short", "1234567890", "Password123", "zhangsan-2026", "aaaaaaaaaaaa", "x" * 129])
def test_weak_passwords_are_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        pins.hash_password(password, "zhangsan")


@pytest.mark.parametrize(
    "pin", ["12345", "1234567", "111111", "123456", "654321", "890123", "abcdef", "１２３４５７", ""]
)
def test_weak_pins_are_refused(app: Flask, pin: str) -> None:
    with pytest.raises(WeakPin):
        pins.hash_pin(pin)


# --- counting ---


def test_five_wrong_guesses_lock_even_the_right_pin(till: Till) -> None:
    person = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    answers = [till.log_in(person, "999111") for _ in range(6)]

    right = till.log_in(person, PIN)

    assert [each.status_code for each in answers] == [403] * 5 + [429]
    assert answers[0].json["code"] == "pin_wrong"
    assert right.status_code == 429
    assert right.json["code"] == "locked"
    assert right.json["details"]["minutes"] == 15


def test_the_right_guess_forgets_the_wrong_ones(till: Till) -> None:
    person = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    for _ in range(3):
        assert [till.log_in(person, "999111").status_code for _ in range(4)] == [403] * 4
        assert till.log_in(person, PIN).status_code == 201


def test_a_lock_is_for_this_device_and_not_for_another(app: Flask, till: Till) -> None:
    person = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    other = a_till(app, "east")
    for _ in range(6):
        till.log_in(person, "999111")

    assert other.log_in(person).status_code == 201
    assert till.log_in(person).status_code == 429


def test_locks_grow_with_every_further_five_guesses(app: Flask) -> None:
    at, lengths = NOW, []
    for _ in range(4):
        with clock.at(at):
            assert guesses_before_lock("someone", "a") == 5
            with pytest.raises(Locked) as locked:
                pins.reserve("someone", "a")
        minutes = locked.value.details["minutes"]
        assert isinstance(minutes, int)
        lengths.append(minutes)
        at += timedelta(minutes=minutes)

    assert lengths == [15, 30, 60, 120]


def test_a_day_without_wrong_guesses_starts_anew(app: Flask) -> None:
    with clock.at(NOW):
        guesses_before_lock("someone", "a")
    with clock.at(NOW + timedelta(hours=25)):
        assert guesses_before_lock("someone", "a") == 5
        with pytest.raises(Locked) as locked:
            pins.reserve("someone", "a")

    assert locked.value.details["minutes"] == 15


def test_slips_of_several_people_never_lock_a_shared_tablet(app: Flask) -> None:
    at = NOW
    for day in range(2 * pins.DEVICE):
        with clock.at(at + timedelta(days=day)):
            pins.reserve("cashier", "busy tablet")  # mistyped
            for person in ("cashier", "helper"):
                pins.reserve(person, "busy tablet")
                pins.forgive(person, "busy tablet")
        with clock.at(at + timedelta(days=day, hours=7)):
            pins.reserve("cashier", "busy tablet")
            pins.forgive("cashier", "busy tablet")


def test_a_shared_count_loses_one_guess_an_hour_and_no_more(app: Flask) -> None:
    with clock.at(NOW):
        for n in range(pins.DEVICE - 3):
            pins.reserve(f"person {n}", "stolen tablet")
    with clock.at(NOW + timedelta(hours=4, minutes=59)):
        passed = sum(guesses_before_lock(f"another {n}", "stolen tablet", most=2) for n in range(10))

    assert passed == 3 + 4


def test_an_account_is_locked_in_total_over_many_devices(app: Flask) -> None:
    passed = sum(guesses_before_lock("someone", f"device {n}") for n in range(12))

    assert passed == pins.ACCOUNT


def test_a_device_is_locked_in_total_over_many_accounts(app: Flask) -> None:
    passed = sum(guesses_before_lock(f"person {n}", "stolen tablet") for n in range(20))

    assert passed == pins.DEVICE


def test_a_burst_from_many_workers_passes_no_more_than_the_limit(another_host: Callable[..., Flask]) -> None:
    hosts = [another_host() for _ in range(3)]

    def guess(n: int) -> bool:
        with hosts[n % 3].app_context():
            try:
                pins.reserve("someone", "a")
            except Locked:
                return False
            finally:
                db.session.remove()
            return True

    with ThreadPoolExecutor(6) as pool:
        passed = sum(pool.map(guess, range(60)))

    assert passed == pins.PAIR


def test_other_addresses_in_forwarded_headers_change_nothing(city: None, browser: Browser) -> None:
    a_person("boss", ("admin", "area", CITY))
    token = browser.token("/login")
    codes = [
        browser.client.post(
            "/login",
            data={"csrf": token, "login": "boss", "password": "wrong"},
            headers={"X-Forwarded-For": f"10.0.0.{n}"},
        ).status_code
        for n in range(8)
    ]

    assert codes == [403] * 5 + [429] * 3


def test_an_unknown_account_is_locked_like_a_known_one(city: None, browsers: Callable[[], Browser]) -> None:
    a_person("known", ("admin", "area", CITY))
    shut = a_person("shut", ("admin", "area", CITY))
    people.disable(shut, by="system")

    def answers(login: str) -> list[tuple[int, str]]:
        browser = browsers()
        pages = [browser.log_in(login, "wrong-password-1") for _ in range(6)]
        return [(page.status_code, page.text.split('role="alert">')[1].split("</div>")[0]) for page in pages]

    assert answers("known") == answers("unknown") == answers("shut")


def test_strangers_cannot_lock_a_browser_that_logged_in_before(
    city: None, browser: Browser, browsers: Callable[[], Browser]
) -> None:
    a_person("boss", ("admin", "area", CITY))
    browser.log_in("boss")
    browser.log_out()

    stranger = browsers()
    for _ in range(7):
        stranger.log_in("boss", "wrong-password-1")

    assert stranger.log_in("boss").status_code == 429
    assert browser.log_in("boss").status_code == 302


def test_a_known_browser_of_one_person_is_a_stranger_to_another(
    city: None, browser: Browser, browsers: Callable[[], Browser]
) -> None:
    a_person("boss", ("admin", "area", CITY))
    a_person("clerk", ("admin", "area", CITY))
    for _ in range(6):
        browsers().log_in("boss", "wrong-password-1")
    browser.log_in("clerk")

    assert browser.log_in("boss").status_code == 429


def test_a_manager_ends_a_lock_on_site(till: Till) -> None:
    person = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    head = a_person("head", ("manager", "canteen", "east"), pin=True)
    for _ in range(6):
        till.log_in(person, "999111")

    people.unlock(person, by=head)

    assert till.log_in(person).status_code == 201


def test_counters_name_nobody_and_old_ones_are_cleared_away(app: Flask) -> None:
    with clock.at(NOW):
        pins.reserve("zhangsan", "a")
    names = db.session.execute(select(Attempts.key)).scalars().all()
    assert not any("zhangsan" in name for name in names)

    with clock.at(NOW + timedelta(days=3)):
        pins.reserve("someone", "b")
        pins.forgive("someone", "b")

    assert not set(names) & set(db.session.execute(select(Attempts.key)).scalars())
