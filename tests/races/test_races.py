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
from canteen.db import db, owner_engine, transaction
from canteen.ledger import transfers
from canteen.ledger.models import Period, Transfer
from canteen.places import Contract
from canteen.pos.models import Sale, SaleUse, Slot
from canteen.settlement.audit import verify
from canteen.settlement.closing import close as period_close
from canteen.settlement.models import Claim
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
    """Sum an elder's subsidy shares on open accounts, in fen."""
    session.rollback()
    mine = select(Sale.id).where(Sale.elder_id == elder)
    given = select(func.coalesce(func.sum(Transfer.fen), 0)).where(Transfer.sale_id.in_(mine))
    shared = session.execute(given.where(Transfer.movement == "meal")).scalar_one()
    excluded = session.execute(given.where(Transfer.movement == "verdict")).scalar_one()
    return int(shared) - int(excluded)


def open_all_day(session: Session) -> None:
    """The servers use the true time: a window of the whole day makes any hour noon."""
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


def test_free_meal_is_claimable_once_among_twenty_connections(
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


def test_same_record_through_two_hosts_is_booked_once(
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


MONTHS = 10  # that are over, and lie within the days for which a tablet's stamped quotes are believed


def test_close_among_sales_leaves_every_fen_in_one_period(
    app: Flask, session: Session, hosts: list[Server], rounds: Rounds
) -> None:
    """Two servers book meals of a month that a third process closes: each is in that claim whole, or in the next."""
    tries = rounds(5, 200)
    months = _months_that_are_over()
    world.make(session)
    world.a_rulebook(session)
    cards = [world.a_card(session, world.an_elder(session), at=clock.instant(months[0])) for _ in range(8)]
    tills = [_till_since(session, n, months[0]) for n in range(-(-tries // MONTHS))]
    rushes = [(tills[n // MONTHS], months[n % MONTHS]) for n in range(tries)]
    keys = {till.tablet: Key.given_to(till.tablet) for till in tills}
    assert tries * len(cards) == sum(_race(app, till, keys[till.tablet], hosts, cards, month) for till, month in rushes)

    session.rollback()
    torn = select(Transfer.sale_id).where(Transfer.movement == "meal").group_by(Transfer.sale_id)
    torn = torn.having(func.count(Transfer.period_id.distinct()) != 1)
    assert session.execute(torn).all() == []
    claimed = session.execute(select(func.sum(Claim.fen))).scalar_one()
    waiting = select(func.coalesce(func.sum(Transfer.fen), 0)).join(Period, Period.id == Transfer.period_id)
    left = session.execute(waiting.where(Period.state == "open", Transfer.movement == "meal")).scalar_one()
    opened = sum(transfers.balances(session, till.contract)["city", "open"] for till in tills)
    assert claimed + left == 500 * tries * len(cards) == opened
    for number in session.execute(select(Period.id).where(Period.state == "closed")).scalars().all():
        assert verify.period(number).differences == ()


def _months_that_are_over() -> list[date]:
    """The tenth of each of the MONTHS months before this one, oldest first."""
    this = clock.today()
    months = [divmod(this.year * 12 + this.month - 1 - n, 12) for n in range(MONTHS, 0, -1)]
    return [date(year, month + 1, 10) for year, month in months]


def _till_since(session: Session, number: int, day: date) -> World:
    """A canteen whose contract began on the first of that day's month."""
    till = world.make(session, canteen=f"c-{number}", contract=f"k-{number}", tablet=f"t-{number}")
    with transaction():
        session.get_one(Contract, till.contract).from_day = day.replace(day=1)
    return till


def _race(app: Flask, till: World, key: Key, hosts: list[Server], cards: list[str], day: date) -> int:
    """Meals of `day` kept on the tablet and sent to both servers while its month is closed; answers how many came in."""
    sealed = []
    for card in cards:
        with clock.at(clock.instant(day, 690)):
            sealed.append(world.seal(till, world.checkout_body(till, [card])))
    db.session.rollback()

    def close() -> None:
        with app.app_context():
            period_close.close(till.contract, day, by="system")

    with ThreadPoolExecutor(1) as pool:
        closed = pool.submit(close)
        results = fire([Shot(hosts[n % 2].url, key, [record]) for n, record in enumerate(sealed)])
        closed.result()
    return sum(result["outcome"] == "created" for result in results)
