"""What the close of a month makes, once and for ever."""

from __future__ import annotations

import json
from datetime import date

import pytest
from flask import Flask
from sqlalchemy import func, select

from canteen import clock, events, keyset
from canteen.db import db, transaction
from canteen.ledger import periods
from canteen.registry import elders
from canteen.settlement.closing import close, lines, statement
from canteen.settlement.models import Claim, ClaimedDay, Statement
from tests.settlement.conftest import Town, at

JAN5, JAN6 = date(2026, 1, 5), date(2026, 1, 6)
FEB3 = date(2026, 2, 3)


def test_a_closed_month_becomes_a_statement_and_a_draft_claim(town: Town):
    town.sell(JAN5, town.cards[0])
    town.sell(JAN6, town.cards[0])
    town.sell(JAN6, None, hour=12)

    closed = town.close("2026-01")

    claim = town.claim("2026-01")
    assert (closed.flipped, closed.claim) == (True, "k1-202601")
    assert (claim.meals, claim.persons, claim.fen) == (2, 1, 1000)
    assert town.lines("2026-01") == [("meals", "city", "2026-01", "", 2, 1, 1000)]
    body = json.loads(db.session.get_one(Statement, claim.period_id).body)
    assert body["totals"] == {"due": 2600, "guests": 1, "list": 3600, "meals": 2, "persons": 1, "subsidy": 1000}
    assert body["tenders"] == {"cash": 2600}
    assert body["sales"]["count"] == 3


def test_an_empty_month_makes_an_empty_claim(town: Town):
    town.close("2026-01")

    assert (town.claim("2026-01").fen, town.lines("2026-01")) == (0, [])


def test_a_month_is_not_closed_before_it_has_ended(town: Town):
    town.sell(JAN5, town.cards[0])

    with clock.at(at(date(2026, 1, 31), 23)), pytest.raises(periods.PeriodNotOver):
        close.close("k1", JAN5, by="system")


def test_a_month_is_not_closed_before_the_one_before_it(town: Town):
    town.sell(JAN5, town.cards[0])
    town.sell(FEB3, town.cards[0])

    with pytest.raises(periods.EarlierPeriodOpen):
        town.close("2026-02")


def test_a_second_close_answers_with_the_first_one_s_claim(town: Town):
    town.sell(JAN5, town.cards[0])
    first = town.close("2026-01")

    second = town.close("2026-01", on=date(2026, 3, 1))

    assert (second.claim, second.hash, second.flipped) == (first.claim, first.hash, False)
    assert town.session.execute(select(func.count()).select_from(Claim)).scalar_one() == 1


def test_a_close_killed_after_the_flip_resumes_to_the_same_bytes(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.sell(JAN5, town.cards[0])
    late = town.sealed(JAN6, town.cards[0])

    killed_after_the_flip(town, "2026-01", monkeypatch)
    period = town.period("2026-01")
    clean = close.compute(period.id)
    assert close.unfinished(town.session) == [period.id]
    town.sell(FEB3, town.cards[0])
    town.bring(at(date(2026, 2, 10)), late)

    resumed = town.close("2026-01", on=date(2026, 2, 20))

    assert resumed.hash == statement.digest(statement.body(clean))
    assert town.claim("2026-01").fen == 500
    assert close.unfinished(town.session) == []


def killed_after_the_flip(town: Town, month: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A close whose process dies when the period is closed and nothing is computed."""

    class Killed(BaseException):
        pass

    def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(close, "settle", die)
        with pytest.raises(Killed):
            town.close(month)


def test_a_close_computes_first_what_a_killed_one_left_before_it(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.sell(JAN5, town.cards[0])
    late = town.sealed(JAN6, town.cards[0])
    killed_after_the_flip(town, "2026-01", monkeypatch)
    town.bring(at(date(2026, 2, 10)), late)

    town.close("2026-02")

    assert town.lines("2026-02") == [("supplement", "city", "2026-01", "k1-202601", 1, 1, 500)]
    assert town.claim("2026-01").fen == 500
    assert close.unfinished(town.session) == []


def test_a_void_before_a_killed_close_resumes_changes_no_byte(town: Town, monkeypatch: pytest.MonkeyPatch):
    """Also of a meal of an earlier claim that the close names, since its eater's death became known."""
    sale = town.sell(JAN6, town.cards[0])[0]
    town.close("2026-01")
    with clock.at(at(FEB3, 9)), transaction() as session:
        number = events.record(session, "elder.facts", str(town.elders[0]), by="p-admin")
        elders.add_fact(session, town.elders[0], "status", "deceased", JAN5, None, "民政", number)
    killed_after_the_flip(town, "2026-02", monkeypatch)
    clean = statement.body(close.compute(town.period("2026-02").id))
    town.void(sale, at(date(2026, 3, 10)))

    assert town.close("2026-02").hash == statement.digest(clean)
    assert [finding.code for finding in town.findings("2026-02")] == ["after_death"]


def test_a_statement_stays_the_same_whatever_comes_later(town: Town):
    sale = town.sell(JAN5, town.cards[0])[0]
    late = town.sealed(JAN6, town.cards[0])
    first = town.close("2026-01")
    town.bring(at(date(2026, 2, 10)), late)
    town.void(sale, at(date(2026, 2, 11)))

    again = close.compute(town.period("2026-01").id)

    assert statement.digest(statement.body(again)) == first.hash


def test_a_late_sale_is_a_supplement_of_the_next_claim(town: Town):
    town.sell(JAN5, town.cards[0])
    late = town.sealed(JAN6, town.cards[0])
    town.close("2026-01")
    town.bring(at(date(2026, 2, 10)), late)
    town.sell(FEB3, town.cards[0])

    town.close("2026-02")

    assert town.lines("2026-02") == [
        ("meals", "city", "2026-02", "", 1, 1, 500),
        ("supplement", "city", "2026-01", "k1-202601", 1, 1, 500),
    ]


def test_a_close_keeps_what_each_day_put_into_the_claim(town: Town):
    kept, refunded = town.sealed(JAN6, town.cards[0]), town.sell(JAN5, town.cards[0])[0]
    town.void(town.sell(date(2026, 1, 7), town.cards[0])[0], at(date(2026, 1, 7), 12))
    town.elder()
    town.sell(JAN5, town.cards[1])
    town.close("2026-01")
    town.void(refunded, at(date(2026, 2, 2)))
    town.bring(at(date(2026, 2, 10)), kept)
    town.sell(FEB3, town.cards[0])
    town.close("2026-02")

    days = select(ClaimedDay.service_day, ClaimedDay.fund, ClaimedDay.fen).order_by(ClaimedDay.service_day)
    assert [
        keyset.once(days.where(ClaimedDay.period_id == town.claim(month).period_id)) for month in ("2026-01", "2026-02")
    ] == [[(JAN5, "city", 1000)], [(JAN5, "city", -500), (JAN6, "city", 500), (FEB3, "city", 500)]]


def test_a_void_after_the_close_is_an_adjustment_citing_its_line(town: Town):
    sale = town.sell(JAN5, town.cards[0])[0]
    town.sell(JAN6, town.cards[0])
    town.close("2026-01")
    town.void(sale, at(date(2026, 2, 11)))

    town.close("2026-02")

    assert town.claim("2026-01").fen == 1000
    assert town.lines("2026-02") == [("adjustment", "city", "2026-01", "k1-202601/1", 1, 1, -500)]
    assert town.claim("2026-02").fen == -500


def test_a_void_before_the_close_leaves_nothing_to_claim(town: Town):
    sale = town.sell(JAN5, town.cards[0])[0]
    town.void(sale, at(JAN5, 12))
    town.sell(JAN5, town.cards[0], hour=12, minute=30)

    town.close("2026-01")

    assert town.lines("2026-01") == [("meals", "city", "2026-01", "", 1, 1, 500)]


def test_a_tablet_not_heard_from_since_the_month_ended_is_named(town: Town):
    town.sell(JAN5, town.cards[0])

    town.close("2026-01")

    body = json.loads(db.session.get_one(Statement, town.claim("2026-01").period_id).body)
    assert body["silent_tablets"] == ["t1"]


def test_due_contracts_are_oldest_first_also_without_sales(app: Flask, town: Town):
    town.sell(FEB3, town.cards[0])

    due = close.due(town.session, date(2026, 3, 5))

    assert due == [("k1", date(2026, 1, 31)), ("k1", date(2026, 2, 28))]
    assert close.due(town.session, date(2026, 1, 31)) == []


def test_pages_of_any_size_give_the_same_bytes(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.elder()
    for day in range(5, 12):
        town.sell(date(2026, 1, day), *town.cards, None)
    late = town.sealed(date(2026, 1, 13), *town.cards)
    town.close("2026-01")
    town.bring(at(date(2026, 2, 10)), late)
    town.void(town.sell(FEB3, town.cards[0])[0], at(FEB3, 12))
    town.sell(date(2026, 2, 4), *town.cards)
    first = town.close("2026-02")

    for size in (1, 2, 3, 7):
        monkeypatch.setattr(keyset, "PAGE", size)
        monkeypatch.setattr(lines, "PAGE", size)
        again = statement.body(close.compute(town.period("2026-02").id))
        assert statement.digest(again) == first.hash, size


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_close_waits_for_records_that_other_tills_are_writing(town: Town, monkeypatch: pytest.MonkeyPatch):
    town.close("2026-01")
    other = db.engine.connect()
    other.exec_driver_sql("LOCK TABLE record IN ROW EXCLUSIVE MODE")  # as an insert holds it to its end
    looks: list[float] = []

    def their_commit(seconds: float) -> None:
        looks.append(seconds)
        other.rollback()

    monkeypatch.setattr(close.time, "sleep", their_commit)
    close.compute(town.period("2026-01").id)
    other.close()

    assert looks == [close.SETTLING]
