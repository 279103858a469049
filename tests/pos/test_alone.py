"""Sales of tablets that were offline: honest ones count, a forged past claims nothing and is listed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import contacts
from canteen.auth.models import TabletSilence
from canteen.db import db
from canteen.ledger import transfers
from canteen.pos import envelope, scan_quotes, stamps
from canteen.pos.flags import NOT_LOGGED_IN
from canteen.pos.models import Sale, Slot
from canteen.pos.scan_quotes import Asked
from canteen.settlement.desk import unproven_pages
from tests import world
from tests.auth.house import Till, a_person, a_till
from tests.world import World

FIRST = date(2026, 11, 2)
Body = dict[str, Any]


def at(day: date, hour: int, minute: int = 0) -> datetime:
    return clock.instant(day, hour * 60 + minute)


@dataclass
class Counter:
    """A tablet at a canteen, a cashier on it, and elders' cards; the tablet's page is loaded at `loaded`."""

    app: Flask
    session: Session
    profile: str
    till: Till = field(init=False)
    world: World = field(init=False)
    cards: list[str] = field(default_factory=list)
    boot: str = "page-1"
    made: int = 0
    waiting: list[Body] = field(default_factory=list)
    ahead: timedelta = timedelta(0)  # of the tablet's clock
    reports: bool = True

    def __post_init__(self) -> None:
        self.loaded = at(FIRST, 8)
        with clock.at(at(FIRST - timedelta(days=10), 9)):
            self.world = world.make(self.session, profile=self.profile, tablet="t0")
            world.a_rulebook(self.session)
            cashier = a_person("wang", ("cashier", "canteen", "c1"), pin=True)
            self.till = a_till(self.app, "c1")
        self.world = World(tablet=self.till.tablet, cashier=cashier)
        self.elder()
        with clock.at(at(FIRST, 8)):
            self.contact()
            assert self.till.log_in(cashier).status_code == 201

    def elder(self) -> str:
        with clock.at(at(FIRST - timedelta(days=9), 9)):
            self.cards.append(world.a_card(self.session, world.an_elder(self.session)))
        return self.cards[-1]

    def contact(self) -> None:
        """Ask for the time, as the page does by itself, and send the newest number of the chain."""
        self.till.report = f";1;{self.made};{self.mono()};{self.boot}" if self.reports else ""
        stated = clock.local(clock.now() + self.ahead).isoformat() + self.till.report
        path = "/api/v1/pos/ping"
        assert self.till.client.get(path, headers=self.till.sign("GET", path, at=stated)).status_code == 200

    def mono(self) -> int:
        return max(0, round((clock.now() - self.loaded).total_seconds() * 1000))

    def sell(
        self, when: datetime, *cards: str, offset: int | None = 0, says: datetime | None = None, **changes: object
    ) -> None:
        """A checkout without a stamp, kept on the tablet; `says`: the time that it claims instead of the true one."""
        with clock.at(says or when):
            body = world.checkout_body(self.world, cards or self.cards[:1])
        for sale in body["sales"]:
            sale["stamp"] = None
        body |= {"clock": {"offset_ms": offset, "boot": self.boot}, **changes}
        with clock.at(when):
            stated = clock.local((says or when) + self.ahead)
            self.waiting.append(self.sealed(body, stated))

    def sealed(self, body: Body, stated: datetime) -> Body:
        self.made += 1
        made = envelope.seal(
            body, kind="checkout", tablet=self.world.tablet, epoch=1, number=self.made, previous=self.world.previous,
            at=stated, mono_ms=self.mono(), boot=self.boot,
        )  # fmt: skip
        self.world.previous = made["hash"]
        return json.loads(json.dumps(made))  # type: ignore[no-any-return]

    def bring(self, when: datetime, *, first: bool = True, at_once: int = 20) -> list[str]:
        """Everything that waits, in batches; the outcomes."""
        outcomes: list[str] = []
        while self.waiting:
            batch, self.waiting = self.waiting[:at_once], self.waiting[at_once:]
            with clock.at(when):
                if first:
                    self.contact()
                answer = self.till.call("POST", "/api/v1/records", {"records": batch})
                outcomes += [each["outcome"] for each in answer.json["results"]]
            when, first = when + timedelta(seconds=30), False
        return outcomes

    def flags(self) -> list[set[str]]:
        self.session.rollback()
        rows = self.session.execute(select(Sale.flags).order_by(Sale.arrival)).scalars()
        return [set(flags.split()) for flags in rows]

    def claimable(self) -> int:
        self.session.rollback()
        return transfers.balances(self.session, "k1").get(("city", "open"), 0)

    def listed(self) -> int:
        self.session.rollback()
        return unproven_pages.waiting({"k1"})[1]


MakeCounter = Callable[[str], Counter]


@pytest.fixture
def counter_of(app: Flask, session: Session) -> MakeCounter:
    return lambda profile: Counter(app, session, profile)


def days(count: int, since: date = FIRST) -> Sequence[date]:
    return [since + timedelta(days=n) for n in range(count)]


def test_two_weeks_offline_at_a_village_stay_claimable(counter_of: MakeCounter) -> None:
    point = counter_of("village")
    point.elder()
    for day in days(14):
        point.sell(at(day, 11, 30))
        point.sell(at(day, 11, 40), point.cards[1])
    outcomes = point.bring(at(FIRST + timedelta(days=14), 11))
    assert outcomes == ["created"] * 28
    assert set().union(*point.flags()) == set()
    assert (point.claimable(), point.listed()) == (28 * 500, 0)


def test_forged_past_lunches_claim_nothing_and_are_listed(counter_of: MakeCounter) -> None:
    point = counter_of("village")
    for day in days(11):
        with clock.at(at(day, 11)):
            point.contact()
    today = FIRST + timedelta(days=10)
    for day in days(10):
        point.sell(at(today, 11, 30), says=at(day, 11, 30))
    outcomes = point.bring(at(today, 11, 31))
    assert outcomes == ["kept"] * 10
    assert all("self_dated" in flags for flags in point.flags())
    assert (point.claimable(), point.listed()) == (0, 10)


def test_forged_past_sale_takes_no_slot_from_a_later_honest_meal(counter_of: MakeCounter) -> None:
    point = counter_of("village")
    with clock.at(at(FIRST, 11, 30)):
        honest = world.checkout_body(point.world, point.cards[:1])
    later = FIRST + timedelta(days=2)
    point.sell(at(later, 8), says=at(FIRST, 11, 20))
    assert point.bring(at(later, 8, 1)) == ["kept"]
    with clock.at(at(later, 8, 5)):
        point.waiting.append(point.sealed(honest, clock.local(at(FIRST, 11, 31))))
    assert point.bring(at(later, 8, 6)) == ["created"]
    assert point.claimable() == 500
    (holder,) = point.session.execute(select(Slot.sale_id)).scalars()
    assert str(holder) == honest["sales"][0]["id"]


def test_canteen_offline_over_one_night_is_not_flagged(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    with clock.at(at(FIRST, 16)):
        shop.contact()
        shop.till.log_in(shop.world.cashier)
    shop.sell(at(FIRST, 17, 30))
    assert shop.bring(at(FIRST + timedelta(days=1), 6, 45)) == ["created"]
    assert (shop.flags(), shop.claimable()) == ([set()], 500)


def test_a_few_hours_offline_on_one_day_ask_for_no_evidence(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    shop.reports = False
    shop.sell(at(FIRST, 11, 30))
    shop.boot = "page-2"
    shop.sell(at(FIRST, 11, 40), shop.elder())
    assert shop.bring(at(FIRST, 15)) == ["created", "created"]
    assert (shop.flags(), shop.claimable()) == ([set(), set()], 1000)


def test_a_city_canteen_alone_for_a_week_waits_for_a_reviewer(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    for day in days(7):
        shop.sell(at(day, 11, 30))
    shop.bring(at(FIRST + timedelta(days=7), 8))
    late = [flags for flags in shop.flags() if "dated_too_long" in flags]
    assert (len(late), shop.claimable(), shop.listed()) == (4, 3 * 500, 4)


BROKEN: dict[str, str] = {
    "restarted": "dated_restarted",
    "unmeasured": "dated_unmeasured",
    "clock set": "dated_clock_set",
    "record lost": "dated_gap",
    "reports nothing": "dated_unreported",
    "kept back": "dated_later_contact",
    "kept back and reported too late": "dated_numbers",
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_breaks_the_evidence_leaves_the_meal_to_a_reviewer(counter_of: MakeCounter, how: str) -> None:
    point = counter_of("village")
    back = FIRST + timedelta(days=3)
    if how == "restarted":
        point.boot, point.loaded = "page-2", at(FIRST, 9)
    if how == "reports nothing":
        point.reports = False
    if how == "kept back and reported too late":
        with clock.at(at(FIRST + timedelta(days=2), 8)):
            point.contact()
    point.sell(at(FIRST, 11, 20), point.elder())
    if how == "record lost":
        point.waiting.pop()
    point.sell(at(FIRST, 11, 30), offset=None if how == "unmeasured" else 0)
    if how == "clock set":
        point.ahead = timedelta(hours=2)
    if how == "kept back":
        for minute in range(0, 20, 2):
            with clock.at(at(back, 8, minute)):
                point.contact()
    point.bring(at(back, 11))
    assert {"self_dated", BROKEN[how]} <= point.flags()[-1]
    assert point.listed() >= 1


def test_an_unstamped_sale_beside_a_stamped_one_borrows_no_day(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    other = shop.elder()
    with clock.at(at(FIRST, 11, 30)):
        body = world.checkout_body(shop.world, [None, other])
    body["sales"][1]["stamp"] = None
    today = FIRST + timedelta(days=1)
    with clock.at(at(today, 11)):
        body |= {"clock": {"offset_ms": 0, "boot": shop.boot}}
        shop.waiting.append(shop.sealed(body, clock.local(clock.now())))
    shop.bring(at(today, 11, 1))
    assert [bool({"dated_otherwise"} & flags) for flags in shop.flags()] == [False, True]
    assert shop.claimable() == 0


# --- who was logged in ---


def test_sale_by_a_cashier_not_logged_in_claims_nothing(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    with clock.at(at(FIRST, 7)):
        absent = a_person("zhao", ("cashier", "canteen", "c1"), pin=True)
    with clock.at(at(FIRST, 11, 30)):
        body = world.checkout_body(shop.world, shop.cards) | {"cashier": absent}
        shop.waiting.append(shop.sealed(body, clock.local(clock.now())))
    assert shop.bring(at(FIRST, 11, 31)) == ["kept"]
    assert shop.flags() == [{"cashier_not_logged_in"}]
    assert (shop.claimable(), shop.listed()) == (0, 1)


def test_a_stamp_proves_who_was_logged_in_when_log_ins_are_lost(counter_of: MakeCounter) -> None:
    """After a restore from a backup the records that tablets send again are all that is left of the day."""
    shop = counter_of("counter")
    with clock.at(at(FIRST, 7)):
        lost = a_person("qian", ("cashier", "canteen", "c1"), pin=True)
    with clock.at(at(FIRST, 11, 30)):
        asked = [Asked(card, None, None, "dine_in", (("c1-set-a", 1),), None) for card in shop.cards]
        for cashier in (lost, shop.world.cashier):
            quoted = scan_quotes.quote(shop.session, "c1", asked, tablet_id=shop.till.tablet, cashier=cashier)
            shop.session.rollback()
            body = world.checkout_body(shop.world, shop.cards) | {"cashier": lost}
            body["sales"][0]["stamp"] = quoted.answers[0].stamp
            shop.waiting.append(shop.sealed(body, clock.local(clock.now())))
    shop.bring(at(FIRST, 11, 31))
    assert [NOT_LOGGED_IN in flags for flags in shop.flags()] == [False, True]


def test_a_till_stamps_its_quotes_with_who_is_logged_in(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    asked = {"canteen": "c1", "sales": [{"scan": shop.cards[0], "lines": [{"item": "c1-set-a", "quantity": 1}]}]}
    with clock.at(at(FIRST, 11, 30)):
        stated = shop.till.call("POST", "/api/v1/pos/quotes", asked).json["sales"][0]["stamp"]
        stamp = stamps.read(stated, tablet=shop.till.tablet)
    assert stamp is not None
    assert stamp.cashier == shop.world.cashier


def test_login_ends_at_log_out_and_when_another_logs_in(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    wang = shop.world.cashier
    with clock.at(at(FIRST, 7)):
        zhao = a_person("zhao", ("cashier", "canteen", "c1"), pin=True)
    with clock.at(at(FIRST, 10)):
        shop.till.log_in(zhao)
    with clock.at(at(FIRST, 14)):
        shop.till.call("DELETE", "/api/v1/pos/sessions")
    stated = {
        (person, hour): contacts.on_duty(shop.session, shop.till.tablet, person, at(FIRST, hour, 30))
        for person in (wang, zhao)
        for hour in (7, 9, 11, 15)
    }
    shop.session.rollback()
    assert {key for key, there in stated.items() if there} == {(wang, 9), (zhao, 11)}


def test_login_outlasts_twelve_hours_only_offline(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    tablet, wang = shop.till.tablet, shop.world.cashier
    alone = contacts.on_duty(shop.session, tablet, wang, at(FIRST + timedelta(days=2), 11))
    with clock.at(at(FIRST + timedelta(days=1), 8)):
        shop.contact()
    heard = contacts.on_duty(shop.session, tablet, wang, at(FIRST + timedelta(days=2), 11))
    shop.session.rollback()
    assert (alone, heard) == (True, False)


def test_a_void_alone_needs_the_cashiers_own_login(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    with clock.at(at(FIRST, 11, 30)):
        body = world.checkout_body(shop.world, shop.cards)
        shop.waiting.append(shop.sealed(body, clock.local(clock.now())))
        shop.bring(clock.now())
        shop.till.call("DELETE", "/api/v1/pos/sessions")
    with clock.at(at(FIRST, 11, 38)):
        void = world.void_body(body["sales"][0]["id"], cashier=shop.world.cashier)
        sealed = envelope.seal(
            void, kind="void", tablet=shop.till.tablet, epoch=1, number=2, previous=shop.world.previous,
            at=clock.local(clock.now()), mono_ms=shop.mono(), boot=shop.boot,
        )  # fmt: skip
        answer = shop.till.call("POST", "/api/v1/records", {"records": [sealed]}).json["results"][0]
    assert (answer["outcome"], answer["reason"]) == ("quarantined", "void_needs_manager")


# --- when tablets were heard ---


def test_a_silence_is_kept_with_the_reports_before_and_after_it(counter_of: MakeCounter) -> None:
    shop = counter_of("counter")
    shop.made = 4
    with clock.at(at(FIRST, 8, 2)):
        shop.contact()
    shop.made, shop.ahead = 9, timedelta(seconds=3)
    with clock.at(at(FIRST, 12)):
        shop.contact()
    (kept,) = db.session.execute(select(TabletSilence)).scalars()
    assert (kept.from_at, kept.until_at) == (at(FIRST, 8, 2), at(FIRST, 12))
    assert (kept.epoch, kept.number, kept.mono_ms, kept.boot) == (1, 4, 120_000, "page-1")
    assert (kept.until_number, kept.until_skew_ms) == (9, 3_000)


@pytest.mark.parametrize(
    "header",
    ["2026-11-02T08:00:00+08:00", "x;1;2", "2026-11-02T08:00:00+08:00;1;-2;3;b", ";;;;", "a;1;2;3;" + "b" * 65],
)
def test_a_header_that_tells_nothing_more_stops_nothing(header: str) -> None:
    assert contacts.read(header) == (header.partition(";")[0], None)
