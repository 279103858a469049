"""A record whose clock shows no possible time is kept in quarantine and stops no page, no close and no later period."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from canteen import clock
from canteen.auth import tablets
from canteen.config import Config
from canteen.pos import envelope
from canteen.pos.models import Record, Sale
from canteen.settlement.audit import verify
from canteen.settlement.claims import missing_records
from canteen.settlement.closing import close, schedule
from tests import world
from tests.auth.house import Browser, a_person
from tests.settlement.conftest import Town, at

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
FEB3, FEB4 = date(2026, 2, 3), date(2026, 2, 4)
CLOCKS = (
    "9999-12-31T20:00:00+00:00",
    "0001-01-01T00:00:00+23:00",
    "0001-01-01T00:00:00+00:00",
    "+010000-01-01T00:00:00.000Z",
    "10000-01-01T00:00:00+00:00",
    "3000-01-01T00:00:00+08:00",
    "2026-01-05T11:30:00",
    "2026-01-05",
    "today",
)


def sealed_record(
    till: world.World, clock_text: object, *, kind: str = "checkout", body: dict[str, Any] | None = None
) -> Any:
    """The next record of the tablet, with a clock that says whatever it says."""
    sealed = world.seal(till, body or {"what": "ever"}, kind=kind) | {"at": clock_text}
    if isinstance(clock_text, str):
        till.previous = sealed["hash"] = envelope.record_hash(envelope.read(sealed))
    return sealed


def revoke(town: Town) -> None:
    with clock.at(at(JAN6, 9)):
        tablets.revoke(town.till.tablet, by="p-manager", reason="lost")


def poisoned(town: Town) -> int:
    """January with one good meal and, between its records, one of every kind with every impossible clock."""
    town.sell(JAN5, town.cards[0])
    with clock.at(at(JAN5, 12)):
        bodies = {"checkout": None, "void": world.void_body("5f0c8f3e-0000-4000-8000-000000000000"), "count": None}
        sealed = [sealed_record(town.till, text, kind=kind, body=bodies[kind]) for text in CLOCKS for kind in bodies]
    results = town.bring(at(JAN5, 12), *sealed)
    assert {(one.outcome, one.reason) for one in results} == {("quarantined", "clock_impossible")}
    return len(sealed)


@pytest.mark.parametrize("text", CLOCKS)
def test_a_clock_beyond_all_dates_is_no_time(text: str) -> None:
    assert clock.read(text) is None


@pytest.mark.parametrize("text", ["1970-01-01T08:00:00+08:00", "2999-12-31T23:59:59+08:00", "2026-01-05T03:30:00Z"])
def test_a_clock_that_is_only_wrong_is_read(text: str) -> None:
    read = clock.read(text)
    assert read is not None
    assert clock.business_day(read, turns_at=240) <= date(2999, 12, 31)


@pytest.mark.parametrize("value", [None, 7, b"2026-01-05T03:30:00Z", ["2026-01-05T03:30:00Z"]])
def test_what_is_no_text_is_no_time(value: object) -> None:
    assert clock.read(value) is None


def test_a_month_with_impossible_clocks_closes_and_is_submitted(app: Flask, town: Town):
    a_person("manager", ("manager", "canteen", "c1"))
    kept = poisoned(town)
    town.sell(JAN6, town.cards[0])

    town.close("2026-01")

    assert town.claim("2026-01").fen == 1000
    assert not verify.period(town.period("2026-01").id).differences
    assert missing_records.missing(town.period("2026-01")) == []
    assert missing_records.quarantined(town.period("2026-01")) == kept
    browser = Browser(app.test_client())
    browser.log_in("manager")
    page = browser.get("/desk/claims/k1-202601")
    assert f"有 {kept} 条平板记录未能入账" in page.text
    assert browser.post("/desk/claims/k1-202601/move", move="submit", seen="0").status_code == 302


def test_a_revoked_tablets_impossible_clock_breaks_no_page(app: Flask, town: Town):
    a_person("manager", ("manager", "canteen", "c1"))
    town.sell(JAN5, town.cards[0])
    first = town.close("2026-01")
    revoke(town)
    results = town.bring(at(FEB4), *[sealed_record(town.till, text) for text in CLOCKS])
    assert {one.reason for one in results} == {"tablet_revoked"}

    browser = Browser(app.test_client())
    browser.log_in("manager")
    assert browser.get("/desk/claims/k1-202601").status_code == 200
    assert close.compute(town.period("2026-01").id).fen == 500
    assert town.close("2026-01").hash == first.hash
    assert town.close("2026-02").flipped


def test_a_record_whose_clock_is_unreadable_fills_its_number(town: Town):
    """Its number came; only what it says cannot be read. The hole beside it is named all the same."""
    town.sell(JAN5, town.cards[0])
    sealed_record(town.till, CLOCKS[0])  # numbered on the tablet, never sent
    with clock.at(at(JAN5, 12)):
        kept = sealed_record(town.till, CLOCKS[0])
    town.bring(at(JAN5, 12), kept)

    town.close("2026-01")

    (gap,) = missing_records.missing(town.period("2026-01"))
    assert (gap.first, gap.last, gap.between) == (2, 2, ("2026-01-05", "2026-01-05"))


@pytest.mark.parametrize(
    ("field", "value"),
    [("at", 20260105), ("at", None), ("at", ""), ("at", "2026\x00"), ("mono", 2**64), ("mono", 1e30)],
)
def test_what_no_table_keeps_is_refused_and_holds_up_nothing(town: Town, field: str, value: object):
    with clock.at(at(JAN5)):
        bad = world.seal(town.till, {"what": "ever"}) | {field: value}
        good = world.seal(town.till, world.checkout_body(town.till, [town.cards[0]]))
    results = town.bring(at(JAN5), bad, good)

    assert [one.outcome for one in results] == ["refused", "created"]


@pytest.mark.parametrize("offset", [10**400, -(10**400), 2**63, -63_902_000_000_000])
def test_an_offset_that_leads_beyond_all_dates_measures_nothing(town: Town, offset: int):
    with clock.at(at(JAN5)):
        body = world.checkout_body(town.till, [None])
        body["sales"][0]["stamp"] = None
        body["clock"]["offset_ms"] = offset
        result = world.bring(town.till, world.seal(town.till, body))[0]
    assert result.outcome == "created"
    sale = town.session.get_one(Sale, uuid.UUID(result.sales[0]))
    assert (sale.service_day, sale.estimated_at) == (JAN5, at(JAN5))
    assert "clock_unmeasured" in sale.flags

    town.close("2026-01")

    assert not verify.period(town.period("2026-01").id).differences
    assert (town.claim("2026-01").from_day, town.claim("2026-01").meals) == (date(2026, 1, 1), 0)


def test_a_database_stuck_on_a_record_recovers_at_the_next_tick(
    town: Town, config: Config, monkeypatch: pytest.MonkeyPatch
):
    """As it was left: flipped, without a claim, the later month waiting behind it."""
    poisoned(town)
    with monkeypatch.context() as broken:
        broken.setattr(close.checks, "of_chain", _overflow)
        with pytest.raises(OverflowError):
            town.close("2026-01")
        town.sell(FEB3, town.cards[0])
        with pytest.raises(OverflowError):
            town.close("2026-02")
    assert town.period("2026-02").state == "open"

    with clock.at(at(date(2026, 3, 4), 6, 30)):
        outcomes = schedule.tick("b")

    assert outcomes == {"k1/2026-01-31": "done", "k1/2026-02-28": "done"}
    assert (town.claim("2026-01").fen, town.claim("2026-02").fen) == (500, 500)


def test_a_closed_period_without_a_claim_is_named_at_the_desk(app: Flask, town: Town, monkeypatch: pytest.MonkeyPatch):
    a_person("manager", ("manager", "canteen", "c1"))
    a_person("elsewhere", ("finance", "area", world.OTHER_DISTRICT))
    with monkeypatch.context() as broken:
        broken.setattr(close.checks, "of_chain", _overflow)
        with pytest.raises(OverflowError):
            town.close("2026-01")
    words = "已经结账，但结算单还没有生成"
    for login, there in (("manager", True), ("elsewhere", False)):
        browser = Browser(app.test_client())
        browser.log_in(login)
        assert (words in browser.get("/desk/claims").text) == there

    town.close("2026-01")

    assert words not in browser.get("/desk/claims").text


def _overflow(*_: object, **__: object) -> None:
    raise OverflowError("date value out of range")


def test_every_record_in_quarantine_is_kept_whole(town: Town):
    kept = poisoned(town)

    rows = town.session.execute(select(Record.tablet_at).where(Record.state == "quarantined")).scalars().all()

    assert len(rows) == kept
    assert set(rows) == set(CLOCKS)
