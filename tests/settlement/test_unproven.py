"""Sales of which nothing proves the day or the cashier: named at the close, paid when a reviewer releases them."""

from __future__ import annotations

import json
import uuid
from datetime import date
from typing import Any

import pytest
from flask import Flask

from canteen import clock
from canteen.errors import Invalid
from canteen.settlement.audit import trial_balance, verify
from canteen.settlement.claims import review
from canteen.settlement.corrections import reallocation
from canteen.settlement.corrections.reallocation import NotMovable
from canteen.settlement.corrections.reallocation_quote import NoRoom
from canteen.settlement.desk import unproven_pages
from canteen.settlement.models import Finding
from tests import world
from tests.auth.house import Browser, a_person
from tests.settlement.conftest import Town, at

JAN5, JAN6, JAN20 = date(2026, 1, 5), date(2026, 1, 6), date(2026, 1, 20)
FEB6, FEB10 = at(date(2026, 2, 6), 9), at(date(2026, 2, 10), 9)
WHY = "当日签字单和收款记录已核对"


def quoted(town: Town, day: date, *cards: str) -> dict[str, Any]:
    """The body of a checkout of that day without its stamp."""
    with clock.at(at(day)):
        body = world.checkout_body(town.till, cards or town.cards[:1])
    for sale in body["sales"]:
        sale["stamp"] = None
    return body


def forged(town: Town, day: date, *cards: str, hour: int = 11, **changed: Any) -> dict[str, Any]:
    """A record without a stamp that claims a past day."""
    body = quoted(town, day, *cards) | changed
    with clock.at(at(day, hour)):
        return world.seal(town.till, body)


def named(town: Town, month: str = "2026-01") -> list[Finding]:
    return town.findings(month)


def release(town: Town, finding: Finding, *, by: str = "p-street", **options: Any) -> None:
    number = finding.id
    town.session.rollback()
    with clock.at(FEB6):
        reallocation.reallocate(number, reason=WHY, by=by, **options)


def exact(town: Town, *months: str) -> None:
    for month in months:
        assert verify.period(town.period(month).id).differences == ()
    town.session.rollback()
    assert not any(trial.missing for trial in trial_balance.trial(town.till.contract))


def test_a_released_self_dated_meal_pays_in_the_next_claim(town: Town) -> None:
    (result,) = town.bring(at(JAN20), forged(town, JAN5))
    assert [(each.fen, each.reason) for each in result.excluded] == [(500, "self_dated")]
    town.close("2026-01")
    (finding,) = named(town)
    body = json.loads(finding.body)
    assert (finding.code, finding.fen, body["day"], body["arrived"]) == ("self_dated", 500, "2026-01-05", "2026-01-20")
    assert town.claim("2026-01").fen == 0
    exact(town, "2026-01")

    release(town, finding)
    town.close("2026-02")
    assert town.lines("2026-02") == [("adjustment", "city", "2026-01", "k1-202601", 1, 1, 500)]
    assert unproven_pages.waiting({"k1"}) == ([], 0)
    exact(town, "2026-01", "2026-02")


def test_a_self_dated_meal_after_the_close_is_named_in_the_next(town: Town) -> None:
    town.close("2026-01")
    town.bring(FEB10, forged(town, JAN5))
    town.close("2026-02")
    assert (named(town), [one.code for one in named(town, "2026-02")]) == ([], ["self_dated"])
    assert town.claim("2026-02").fen == 0
    exact(town, "2026-01", "2026-02")


def test_an_unproven_meal_is_disallowed_but_not_merely_accepted(town: Town) -> None:
    town.bring(at(JAN20), forged(town, JAN5))
    town.close("2026-01")
    (finding,) = named(town)
    number = finding.id
    town.session.rollback()
    with clock.at(FEB6):
        with pytest.raises(Invalid):
            review.answer(number, "accepted", reason="", by="p-street")
        review.answer(number, "disallowed", reason="无签字单，老人否认就餐", by="p-street")
    town.close("2026-02")
    assert (town.claim("2026-01").fen, town.claim("2026-02").fen) == (0, 0)
    exact(town, "2026-01", "2026-02")


def test_a_released_meal_takes_what_is_free_a_voided_one_nothing(town: Town) -> None:
    other = town.elder()
    body = quoted(town, JAN5)
    (first,) = town.sell(JAN5, town.cards[0])
    with clock.at(at(JAN5)):
        record = world.seal(town.till, body)
    town.bring(at(JAN20), record)
    (voided,) = town.bring(at(JAN20), forged(town, JAN6, other))[0].sales
    town.void(voided, at(JAN20, 14))
    town.close("2026-01")
    (finding,) = [one for one in named(town) if one.code == "self_dated"]
    with pytest.raises(NoRoom):
        release(town, finding)
    release(town, finding, from_=uuid.UUID(first))
    town.close("2026-02")
    assert (town.claim("2026-01").fen, town.claim("2026-02").fen) == (500, 0)
    exact(town, "2026-01", "2026-02")


def test_a_meal_unclaimable_for_a_second_reason_stays_excluded(town: Town) -> None:
    town.bring(at(JAN20), forged(town, JAN6, hour=3))
    town.close("2026-01")
    (finding,) = [one for one in named(town) if one.code == "self_dated"]
    assert "outside_window" in json.loads(finding.body)["flags"]
    with pytest.raises(NotMovable):
        release(town, finding)


def test_a_meal_by_a_cashier_not_logged_in_names_its_seller(town: Town) -> None:
    sealed = forged(town, JAN5, cashier="p-manager")
    (result,) = town.bring(at(JAN5, 12), sealed)
    assert [(each.fen, each.reason) for each in result.excluded] == [(500, "cashier_not_logged_in")]
    town.close("2026-01")
    (finding,) = [one for one in named(town) if one.code == "seller"]
    assert "cashier_not_logged_in" in json.loads(finding.body)["flags"]
    release(town, finding)
    town.close("2026-02")
    assert town.claim("2026-02").fen == 500
    exact(town, "2026-01", "2026-02")


def test_an_unmeasured_clock_is_named_where_the_day_may_differ(town: Town) -> None:
    """A slow tablet that was never measured, over the end of a month."""
    jan31, feb1 = date(2026, 1, 31), date(2026, 2, 1)
    record = forged(town, jan31, clock={"offset_ms": None, "boot": "boot-1"})
    town.bring(at(feb1, 8), record)
    town.close("2026-01")
    (finding,) = named(town)
    assert finding.code == "self_dated"
    assert "clock_unmeasured" in json.loads(finding.body)["flags"]


# --- at the desk ---


@pytest.fixture
def desk(app: Flask, town: Town) -> Browser:
    with clock.at(at(JAN5, 8)):
        a_person("street", ("reviewer", "area", "220104001"))
        a_person("boss", ("manager", "canteen", "c1"))
    return Browser(app.test_client())


def test_reviewer_and_manager_see_the_list_from_the_arrival_on(town: Town, desk: Browser) -> None:
    (result,) = town.bring(at(JAN20), forged(town, JAN5))
    for who in ("street", "boss"):
        with clock.at(at(JAN20, 13)):
            desk.log_in(who)
            page = desk.get("/desk/doubted").text
            desk.log_out()
        assert f"/desk/meals/{result.sales[0]}" in page
        assert "断网超过食堂允许的天数" in page


def test_a_reviewer_releases_many_findings_at_once(town: Town, desk: Browser) -> None:
    other = town.elder()
    town.bring(at(JAN20), forged(town, JAN5), forged(town, JAN6, other))
    town.close("2026-01")
    ids = [one.id for one in named(town)]
    page = "/desk/claims/k1-202601/findings"
    with clock.at(FEB6):
        desk.log_in("street")
        token = desk.token(page)
        answer = desk.client.post(
            page, data={"csrf": token, "finding": ids, "outcome": "accepted", "reason": WHY, "seen": "0"}
        )
        assert answer.status_code == 302
    town.close("2026-02")
    assert town.claim("2026-02").fen == 1000
    exact(town, "2026-01", "2026-02")
