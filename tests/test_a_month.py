"""One month from end to end, with real programs: a roster is imported, cards are printed, meals are sold, claimed and paid."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import python_calamine
import sqlalchemy as sa
import zxingcpp
from playwright.sync_api import Page, Route, expect

from canteen import clock, money, places
from canteen.app import create_app
from canteen.auth import people, reach, tablets
from canteen.config import Config
from canteen.db import db, owner_engine, transaction
from canteen.errors import Refusal
from canteen.registry.imports.roster_columns import ROSTER
from canteen.registry.imports.templates import separated
from canteen.settlement.claims import payouts
from canteen.settlement.closing import schedule
from tests import world
from tests.browser.tills import CASHIER, PIN, RECORDS, Till
from tests.registry.people import number
from tests.rigs.browsers import CameraClip, OpenPage
from tests.rigs.programs import Begin
from tests.rigs.servers import Serve, Server

pytestmark = pytest.mark.browser
PASSWORD = "apricot-kettle-42"
STAFF = {
    "manager": ("陈志强", "manager", "canteen", "c1"),
    "street": ("赵敏", "reviewer", "area", world.STREET),
    "checker": ("钱进", "finance", "area", world.CITY),
    "chief": ("孙立", "finance", "area", world.CITY),
    "payer": ("李工", "finance", "area", world.CITY),
    "second": ("周舟", "finance", "area", world.CITY),
}
DOTS = 200 / 72


@dataclass
class Town:
    """An installation on a real database, and its `canteen` command."""

    config: Config
    folder: Path
    begin: Begin

    def command(self, *words: str) -> Any:
        """Run `canteen …`; answers what it printed as JSON, or None."""
        code, out, errors = self.begin(*words).end()
        assert code == 0, errors
        return json.loads(out) if "--json" in words else None

    @contextmanager
    def inside(self) -> Any:
        app = create_app(self.config)
        with app.app_context():
            yield app
            db.session.remove()
            db.engine.dispose()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        engine = owner_engine(self.config.database_url)
        with engine.connect() as connection:
            found = [tuple(row) for row in connection.execute(sa.text(sql))]
        engine.dispose()
        return found


@pytest.fixture
def town(config: Config, tmp_path: Path, begin: Begin) -> Town:
    """A canteen whose lunch lasts all day, its staff, a published rulebook; nobody on the roster yet."""
    town = Town(config, tmp_path, begin)
    town.command("init")
    with town.inside():
        world.make(db.session())
        with transaction() as session:
            session.add(
                places.MealWindow(
                    canteen_id="c1", period="lunch", starts=0, ends=1440, grace=0, from_day=date(2021, 1, 1)
                )
            )
        world.a_rulebook(db.session())
        people.create("wang", CASHIER, pin=PIN, grants=[("cashier", "canteen", "c1")], by=reach.SYSTEM)
        for login, (name, *grant) in STAFF.items():
            people.create(
                login, name, password=PASSWORD, grants=[tuple(grant)], must_change=False, by=reach.SYSTEM
            )  # fmt: skip
    return town


def bring_in_a_roster(town: Town) -> None:
    elders = (("李秀英", "19440305", 102), ("吴桂珍", "19500811", 104), ("𠮷田花", "19391212", 106))
    rows = [
        _cells(name=name, number=number(born, order), hukou=world.COMMUNITY, residence=world.COMMUNITY)
        for name, born, order in elders
    ]
    file = town.folder / "roster.csv"
    file.write_bytes(separated(ROSTER, rows))
    town.command("roster", "apply", str(file))
    assert town.rows("SELECT count(*) FROM elder") == [(3,)]


def _cells(**values: str) -> list[str]:
    given = {"since": "2026-01-01", **values}
    return [given.get(column.key, "") for column in ROSTER.columns]


def print_cards(town: Town) -> dict[str, Path]:
    """What a scanner reads from each printed card -> a picture of that card."""
    batch = town.command("cards", "issue", "--area", world.COMMUNITY, "--json")["batch"]
    (file,) = town.command("cards", "print", batch, "--out", str(town.folder), "--json")["files"]
    with pypdfium2.PdfDocument(file) as document:
        sheet = document[0].render(scale=DOTS).to_pil().convert("RGB")
    pictures: dict[str, Path] = {}
    for found in zxingcpp.read_barcodes(sheet):
        corner, edge = found.position.top_left, found.position.bottom_right
        margin = (edge.x - corner.x) // 4
        pictures[found.text] = town.folder / f"card-{len(pictures)}.png"
        box = (corner.x - margin, corner.y - margin, edge.x + margin, edge.y + margin)
        sheet.crop(box).resize((600, 600)).save(pictures[found.text])
    assert len(pictures) == 3
    return pictures


def eat(town: Town, server: Server, serve: Serve, open_page: OpenPage, clip: Path, scans: list[str]) -> None:
    """Three meals: one by a printed card before the camera, one through a server killed between pay and answer."""
    with town.inside():
        code = tablets.make_code("c1", "一号窗口", by="p-admin").code
    till = Till(open_page(camera=clip), server.url)
    till.let_in(code)
    till.log_in()
    till.due("7.00 元")
    till.pay("cash")
    till.sent()

    def killed_before_the_answer(route: Route) -> None:
        route.fetch()
        server.kill()
        route.abort()

    till.page.route(RECORDS, killed_before_the_answer, times=1)
    till.scan(scans[1])
    with till.page.expect_event("requestfailed", lambda request: "/records" in request.url):
        till.pay("mobile")
    till.unsent(1)
    serve(server.config, port=server.port, options=("--no-scheduler",))
    till.sent()
    till.scan(scans[2])
    till.pay("cash")
    till.sent()
    assert town.rows("SELECT count(*), sum(list_fen), sum(due_fen) FROM sale") == [(3, 3600, 2100)]


def close(town: Town) -> tuple[str, clock.Span]:
    """The scheduler's work on the third of the next month; answers the claim's number and its month."""
    ((day,),) = town.rows("SELECT DISTINCT service_day FROM sale")
    month = clock.Span.month(date.fromisoformat(str(day)))
    with town.inside(), clock.at(clock.instant(month.last + timedelta(days=3), 7 * 60)):
        assert set(schedule.tick("test").values()) == {"done"}
        assert schedule.tick("test") == {}
    ((claim, fen),) = town.rows(f"SELECT number, fen FROM claim WHERE to_day = '{month.last}'")
    assert fen == 1500
    return str(claim), month


def go_through_the_desk(open_page: OpenPage, url: str, claim: str) -> None:
    """Each step by another person, in the browser."""
    for login, move in (("manager", "submit"), ("street", "review"), ("checker", "determine"), ("chief", "approve")):
        page = logged_in(open_page, url, login)
        page.goto(f"{url}/desk/claims/{claim}")
        expect(page.locator("tfoot .money >> nth=0")).to_have_text("15.00")
        page.click(f"button[value={move}]")
        expect(page.locator("ol.history li").last).to_contain_text(STAFF[login][0])
        expect_no_move(page, move)


def pay(town: Town, claim: str, month: clock.Span) -> None:
    """A voucher dated after the month, entered by one and checked by another; the server's own day is still inside it."""
    ids = dict(town.rows("SELECT login, id FROM person"))
    paid_on = month.last + timedelta(days=9)
    with town.inside(), clock.at(clock.instant(paid_on, 10 * 60)):
        ((number_of,),) = town.rows(f"SELECT id FROM claim WHERE number = '{claim}'")
        payout = payouts.enter(number_of, voucher="PZ-0001", paid_on=paid_on, by=ids["payer"])
        with pytest.raises(Refusal):
            payouts.check(payout, "confirmed", by=ids["payer"])
        payouts.check(payout, "confirmed", by=ids["second"])


def export_of(town: Town, open_page: OpenPage, url: str, claim: str) -> Path:
    """What finance takes away when all is done."""
    page = logged_in(open_page, url, "second")
    page.goto(f"{url}/desk/claims/{claim}")
    expect(page.locator("main")).to_contain_text("已拨付，办理完毕")
    page.click("text=导出 Excel")
    expect(page.locator("main")).to_contain_text("正在排队")
    with town.inside():
        assert set(schedule.on_request("test").values()) == {"done"}
    with page.expect_download() as download:
        page.click("text=下载 Excel")  # the page looks again by itself
    return Path(download.value.path())


def expect_no_move(page: Page, move: str) -> None:
    """Who made a move is offered no further one."""
    expect(page.locator(f"button[value={move}]")).to_have_count(0)


def logged_in(open_page: OpenPage, url: str, login: str) -> Page:
    page = open_page()
    page.goto(f"{url}/login")
    page.fill("#login", login)
    page.fill("#password", PASSWORD)
    page.click("main button")
    page.wait_for_url(lambda address: "/login" not in address)
    return page


def test_a_month_from_the_roster_to_the_payment(
    town: Town, serve: Serve, open_page: OpenPage, camera_clip: CameraClip
) -> None:
    bring_in_a_roster(town)
    pictures = print_cards(town)
    scans = list(pictures)
    server = serve(town.config, options=("--no-scheduler",))
    eat(town, server, serve, open_page, camera_clip(pictures[scans[0]]), scans)
    claim, month = close(town)
    go_through_the_desk(open_page, server.url, claim)
    pay(town, claim, month)
    export = export_of(town, open_page, server.url, claim)

    sheets = python_calamine.CalamineWorkbook.from_path(str(export))
    cells = [cell for name in sheets.sheet_names for row in sheets.get_sheet_by_name(name).to_python() for cell in row]
    assert cells.count("𠮷田花") == 1
    assert 15 in cells
    assert town.rows(f"SELECT to_state FROM decision d JOIN claim c ON c.id = d.claim_id WHERE number = '{claim}'")[
        -1
    ] == ("paid",)
    paid = "SELECT sum(fen) FROM transfer WHERE movement = 'pay'"
    assert town.rows(paid) == [(money.yuan("15.00"),)]
    verified = town.command("period", "verify", "k1", f"{month.first:%Y-%m}", "--json")
    assert [one["differences"] for one in verified] == [[]]
