"""A canteen with a real server, two elders with cards, and tablets that cashiers work on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result
from playwright.sync_api import Page
from sqlalchemy.orm import Session

from canteen import cli, clock, places
from canteen.auth import people, reach, tablets
from canteen.config import Config
from canteen.db import owner_engine, transaction
from tests import world
from tests.browser.tills import CASHIER, MANAGER, PIN, Till
from tests.rigs.applications import running
from tests.rigs.browsers import LendPage, OpenPage
from tests.rigs.servers import Serve, Server
from tests.rigs.states import state


@dataclass(frozen=True)
class Shop:
    """A canteen whose lunch lasts all day, so that the hour of the test does not matter. A meal is 12.00, 5.00 off."""

    config: Config
    server: Server
    grandma: str  # what a scanner reads from the card of 李奶奶
    grandpa: str
    number: str  # printed on grandma's card

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Within the application, beside the server."""
        with running(self.config):
            yield

    def code(self) -> str:
        """A fresh one-time code that lets a tablet in."""
        with self.inside():
            return tablets.make_code("c1", "一号窗口", by="p-admin").code

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        """Read the database from outside the application."""
        engine = owner_engine(self.config.database_url)
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(sa.text(sql))]
        engine.dispose()
        return found

    @property
    def incarnation(self) -> str:
        return str(self.rows("SELECT incarnation FROM installation")[0][0])

    def run(self, sql: str) -> None:
        """Change the database from outside the application, as a restore does."""
        engine = owner_engine(self.config.database_url)
        with engine.begin() as connection:
            connection.execute(sa.text(sql))
        engine.dispose()

    def canteen(self, *words: str) -> Result:
        """The `canteen` command on this shop."""
        environment = {
            "CANTEEN_DATABASE_URL": self.config.database_url,
            "CANTEEN_DATA": str(self.config.data_dir),
            "CANTEEN_KEYS": str(self.config.keys_dir),
        }
        return CliRunner(env=environment).invoke(cli.cli, words)

    def troubles(self) -> list[str]:
        """Return the output of `canteen doctor`."""
        troubles: list[str] = json.loads(self.canteen("doctor", "--json").stdout)["troubles"]
        return troubles

    def count(self, table: str) -> int:
        return int(str(self.rows(f"SELECT count(*) FROM {table}")[0][0]))


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """SQLite, unless the test asks for both."""
    url: str = request.getfixturevalue(f"{getattr(request, 'param', 'sqlite')}_url")
    return url


@pytest.fixture
def shop(furnished: Furnished, config: Config, serve: Serve) -> Iterator[Shop]:
    server = serve(config, options=("--no-scheduler",))
    yield Shop(config, server, *furnished)
    server.kill()


Furnished = tuple[str, str, str]  # the scans of two cards, and the number printed on the first


@state
def furnished(session: Session) -> Furnished:
    world.make(session)
    whole_day = {"starts": 0, "ends": 1440, "grace": 0, "from_day": date(2021, 1, 1)}
    with transaction():
        session.merge(places.Installation(id=1, incarnation="first", demo=False, made_at=clock.now()))
        session.add(places.MealWindow(canteen_id="c1", period="lunch", **whole_day))
        for n, (name, fen) in enumerate((("两荤一素", 1500), ("蛋花汤", 200)), 2):
            world.a_dish(session, "c1", f"c1-{n}", name, fen, since=date(2021, 1, 1), position=n)
    world.a_rulebook(session)
    for login, name, role in (("wang", CASHIER, "cashier"), ("chen", MANAGER, "manager")):
        people.create(login, name, pin=PIN, grants=[(role, "canteen", "c1")], by=reach.SYSTEM)
    codes = [world.a_card(session, world.an_elder(session)) for _ in range(2)]
    number = session.execute(sa.text("SELECT number FROM credential ORDER BY made_at, recorded")).scalars().first()
    return codes[0], codes[1], str(number)


OpenTill = Callable[..., Till]


@pytest.fixture
def open_till(shop: Shop, open_page: OpenPage, lend_page: LendPage) -> OpenTill:
    """open_till(own=False, camera=clip, **context): a tablet let in, with a cashier at the counter.

    own   in a browser's context of its own, as it is whenever the context is not the usual one
    """

    def open_one(*, own: bool = False, **context: object) -> Till:
        # Playwright sees every request only where no service worker stands between
        page = open_page(**{"service_workers": "block", **context}) if own or context else lend_page()
        till = Till(page, shop.server.url)
        till.begin(shop.code())
        return till

    return open_one


@pytest.fixture
def till(open_till: OpenTill) -> Till:
    return open_till()


@pytest.fixture(autouse=True)
def _no_errors_on_the_page(request: pytest.FixtureRequest) -> Iterator[None]:
    """A script that throws fails the test, whatever the screen shows."""
    thrown: list[str] = []
    page: Page
    for name in ("till",):
        if name in request.fixturenames:
            page = request.getfixturevalue(name).page
            page.on("pageerror", lambda error: thrown.append(str(error)))
    yield
    assert thrown == []
