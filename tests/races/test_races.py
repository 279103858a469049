"""Two server processes, many connections at once: limits hold, sales are booked once, every fen is in one period."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from canteen import clock
from canteen.config import Config
from canteen.db import db, owner_engine
from canteen.ledger import transfers
from canteen.ledger.models import Transfer
from canteen.pos.models import Sale, SaleUse, Slot
from canteen.settlement import closing
from tests import world
from tests.races.rig import Key, Shot, fire
from tests.rigs.servers import Serve, Server
from tests.world import World

CANTEENS = 4
CONNECTIONS = 20
Rounds = Callable[[int, int], int]


@pytest.fixture
def hosts(config: Config, serve: Serve) -> list[Server]:
    """Two servers on one database, as two hosts would be."""
    return [serve(config, options=("--no-scheduler", "--workers", "2")) for _ in range(2)]


@pytest.fixture
def canteens(session: Session) -> list[World]:
    return [world.make(session, canteen=f"c{n}", contract=f"k{n}", tablet=f"t{n}") for n in range(1, CANTEENS + 1)]


def volley(tills: list[World], keys: dict[str, Key], hosts: list[Server], card: str) -> list[dict[str, Any]]:
    """CONNECTIONS sales of one card at all canteens at once, each quoted before any was sold."""
    bodies = [(till, world.checkout_body(till, [card])) for till in (tills * CONNECTIONS)[:CONNECTIONS]]
    sealed = [(till, world.seal(till, body)) for till, body in bodies]
    return fire([Shot(hosts[n % 2].url, keys[till.tablet], [record]) for n, (till, record) in enumerate(sealed)])


def claimable(session: Session, elder: uuid.UUID) -> int:
    """Fen of an elder's subsidy shares that stand on open accounts."""
    session.rollback()
    mine = select(Sale.id).where(Sale.elder_id == elder)
    given = select(func.coalesce(func.sum(Transfer.fen), 0)).where(Transfer.sale_id.in_(mine))
    shared = session.execute(given.where(Transfer.movement == "meal")).scalar_one()
    excluded = session.execute(given.where(Transfer.movement == "verdict")).scalar_one()
    return int(shared) - int(excluded)


def open_all_day(session: Session) -> None:
    """The servers tell the true time: a window that holds the whole day makes any hour noon."""
    with owner_engine(str(db.engine.url.render_as_string(hide_password=False))).begin() as connection:
        connection.execute(text("DELETE FROM meal_window"))
        for canteen in connection.execute(text("SELECT id FROM canteen")).scalars().all():
            connection.execute(
                text(
                    "INSERT INTO meal_window (canteen_id, period, starts, ends, grace, from_day) "
                    "VALUES (:canteen, 'lunch', 0, 1440, 0, '2020-01-01')"
                ),
                {"canteen": canteen},
            )
    session.rollback()


def test_one_free_meal_is_claimable_once_whatever_twenty_connections_do(
    app: Flask, session: Session, canteens: list[World], hosts: list[Server], rounds: Rounds
) -> None:
    world.a_rulebook(session)
    open_all_day(session)
    keys = {till.tablet: Key.given_to(till.tablet) for till in canteens}
    for _ in range(rounds(8, 200)):
        elder = world.an_elder(session)
        outcomes = volley(canteens, keys, hosts, world.a_card(session, elder))
        assert sorted(result["outcome"] for result in outcomes) == ["created"] + ["kept"] * (CONNECTIONS - 1)
        assert claimable(session, elder) == 500
        assert session.execute(select(func.count()).where(Slot.person_id == elder)).scalar_one() == 1


def test_an_amount_allowance_is_never_passed(
    app: Flask, session: Session, canteens: list[World], hosts: list[Server], rounds: Rounds
) -> None:
    world.a_rulebook(session, world.LIMITED)
    open_all_day(session)
    keys = {till.tablet: Key.given_to(till.tablet) for till in canteens}
    for _ in range(rounds(4, 200)):
        elder = world.an_elder(session)
        volley(canteens, keys, hosts, world.a_card(session, elder))
        granted = select(func.sum(SaleUse.granted)).where(SaleUse.person_id == elder, SaleUse.unit == "fen")
        assert claimable(session, elder) == 500
        assert session.execute(granted).scalar_one() == 500


def test_the_same_record_through_two_hosts_at_once_is_booked_once(
    app: Flask, session: Session, canteens: list[World], hosts: list[Server], rounds: Rounds
) -> None:
    world.a_rulebook(session)
    open_all_day(session)
    till = canteens[0]
    key = Key.given_to(till.tablet)
    for _ in range(rounds(8, 200)):
        elder = world.an_elder(session)
        record = world.seal(till, world.checkout_body(till, [world.a_card(session, elder)]))
        results = fire([Shot(hosts[n % 2].url, key, [record]) for n in range(CONNECTIONS)])
        assert sorted(result["outcome"] for result in results) == ["created"] + ["have"] * (CONNECTIONS - 1)
        session.rollback()
        assert session.execute(select(func.count()).where(Sale.elder_id == elder)).scalar_one() == 1


def test_a_close_among_sales_leaves_every_fen_in_exactly_one_period(
    app: Flask, session: Session, rounds: Rounds
) -> None:
    till = world.make(session)
    world.a_rulebook(session)
    cards = [world.a_card(session, world.an_elder(session)) for _ in range(4)]
    tries = rounds(5, 200)
    sold = 0
    for month in range(tries):
        first = date(2026 + (month // 12), month % 12 + 1, 10)
        with clock.at(clock.instant(first, 690)):
            sealed = [world.seal(till, world.checkout_body(till, [card])) for card in cards]
        after = clock.instant(clock.Span.month(first).last, 24 * 60 + 300)
        sold += _race(app, till, sealed, first, after)
    session.rollback()
    in_periods = transfers.balances(session, till.contract)
    assert sold == tries * len(cards)
    assert in_periods["city", "open"] == 500 * sold
    strays = text(
        "SELECT count(*) FROM transfer t JOIN period p ON p.id = t.period_id "
        "WHERE t.service_day > p.to_day OR (t.service_day < p.from_day AND t.at < p.closed_at AND p.state = 'x')"
    )
    assert session.execute(strays).scalar_one() == 0


def _race(app: Flask, till: World, sealed: list[dict[str, Any]], day: date, after: Any) -> int:
    def bring(record: dict[str, Any]) -> int:
        with app.app_context(), clock.at(after):
            return int(world.bring(till, record)[0].outcome == "created")

    def close() -> int:
        with app.app_context(), clock.at(after):
            closing.close(till.contract, day, by="system")
            return 0

    with ThreadPoolExecutor(len(sealed) + 1) as pool:
        jobs = [pool.submit(bring, record) for record in sealed[:2]]
        jobs += [pool.submit(close)]
        jobs += [pool.submit(bring, record) for record in sealed[2:]]
        return sum(job.result() for job in jobs)
