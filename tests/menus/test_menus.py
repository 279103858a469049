"""Dishes, prices from a day on, plans, what is sold out, as use cases and files change them and as a till hears of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask import Flask
from PIL import Image
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from canteen import cli, clock, events
from canteen.config import Config
from canteen.db import db, transaction
from canteen.events import Event
from canteen.menus import changes, offers, photos
from canteen.menus.changes import BadPlan, BadPrice, NewItem, NoItem, NothingToCopy, PricePassed
from canteen.places import ServingPoint
from canteen.registry.imports import import_runs, templates
from canteen.registry.imports.menus import MENUS
from canteen.registry.imports.points import POINTS_FILE
from tests import world
from tests.auth.house import a_person, a_till, build_city
from tests.invariants.test_constraints import drop_trigger, owner, refused, run
from tests.rigs.states import state

__all__ = ["owner"]

MONDAY = date(2026, 6, 8)
TODAY = MONDAY + timedelta(days=1)
BY = "p-manager"


@state
def canteen(session: Session) -> None:
    world.make(session)


@pytest.fixture(autouse=True)
def at_ten() -> Iterator[None]:
    with clock.at(clock.instant(TODAY, 600)):
        yield


def add(name: str, fen: int = 1000, since: date = TODAY, **item: object) -> str:
    with transaction() as session:
        return changes.add(session, "c1", NewItem(name, **item), fen, since, by=BY)  # type: ignore[arg-type]


def raise_to(item: str, fen: int, since: date) -> None:
    with transaction() as session:
        changes.price(session, item, fen, since, by=BY)


def offered(day: date = TODAY, period: str = "lunch") -> list[tuple[str, int]]:
    """Names and prices on offer, as tills read them."""
    session = db.session()
    found = offers.offers_on(session, "c1", day, events.head(session))
    session.rollback()
    return [(one.name, one.fen) for one in found if one.period == period]


# --- prices ---


def test_a_price_counts_from_its_day_until_the_next(canteen: None) -> None:
    item = add("红烧肉", 1800)
    raise_to(item, 2000, TODAY + timedelta(days=7))
    raise_to(item, 1900, TODAY + timedelta(days=7))  # corrected before it began: both stay

    found = [dict(offered(TODAY + timedelta(days=n))).get("红烧肉") for n in (-1, 0, 6, 7)]
    assert found == [None, 1800, 1800, 1900]
    assert [(row.fen, row.n, row.by) for row in offers.prices_of(db.session(), item)] == [
        (1900, 2, BY),
        (2000, 1, BY),
        (1800, 1, BY),
    ]


def test_a_bad_price_is_refused(canteen: None) -> None:
    item = add("红烧肉")
    with pytest.raises(PricePassed):
        raise_to(item, 1200, TODAY - timedelta(days=1))
    for fen in (-1, 100_001):
        with pytest.raises(BadPrice):
            raise_to(item, fen, TODAY)


def test_the_database_keeps_prices_as_they_were(canteen: None, owner: Engine) -> None:
    item = add("红烧肉")
    row = """INSERT INTO menu_price (item_id, from_day, n, fen, entered, by, at, recorded)
             VALUES ('{}', '{}', {}, {}, '2026-06-09', 'p', '2026-06-09T02:00:00.000000Z', 1)"""
    for day, n, fen in (("2026-06-09", 1, 5), ("2026-06-09", 3, 5), ("2026-06-08", 1, 5), ("2026-06-10", 1, -1)):
        assert refused(partial(run, owner, row.format(item, day, n, fen))), (day, n, fen)
    assert refused(partial(run, owner, "UPDATE menu_price SET fen = fen + 1"))
    assert refused(partial(run, owner, "DELETE FROM menu_price"))
    drop_trigger(owner, "law_menu_price_in_turn")
    run(owner, row.format(item, "2026-06-09", 3, 5))
    drop_trigger(owner, f"law_menu_price_no_{'update' if owner.dialect.name == 'sqlite' else 'change'}")
    run(owner, "UPDATE menu_price SET fen = fen + 1")


# --- what is on offer ---


def test_a_planned_meal_offers_its_plan_alone(canteen: None) -> None:
    fish, _soup = add("清蒸鱼", periods=()), add("蛋花汤", periods=("lunch", "dinner"))
    assert [name for name, _ in offered()] == ["蛋花汤", "荤素套餐"]
    with transaction() as session:
        changes.plan(session, "c1", [(TODAY, "lunch", {fish})], by=BY)

    assert offered() == [("清蒸鱼", 1000)]
    assert [name for name, _ in offered(period="dinner")] == ["蛋花汤"]
    with transaction() as session:
        changes.plan(session, "c1", [(TODAY, "lunch", ())], by=BY)
    assert [name for name, _ in offered()] == ["蛋花汤", "荤素套餐"]


def test_a_week_is_planned_as_the_week_before(canteen: None) -> None:
    fish, meat = add("清蒸鱼", periods=()), add("红烧肉", periods=())
    with transaction() as session:
        changes.plan(session, "c1", [(TODAY, "lunch", {fish, meat}), (TODAY, "dinner", {meat})], by=BY)
    with transaction() as session:
        changes.end(session, meat, on=TODAY + timedelta(days=3), by=BY)
        assert changes.copy_week(session, "c1", MONDAY + timedelta(days=7), by=BY) == 2

    assert offered(TODAY + timedelta(days=7)) == [("清蒸鱼", 1000)]
    with transaction() as session, pytest.raises(NothingToCopy):
        changes.copy_week(session, "c1", MONDAY, by=BY)


def test_a_plan_of_the_past_or_of_others_is_refused(canteen: None) -> None:
    for day, period, item, refusal in (
        (MONDAY, "lunch", "c1-set-a", BadPlan),
        (TODAY, "supper", "c1-set-a", BadPlan),
        (TODAY, "lunch", "elsewhere", NoItem),
    ):
        with pytest.raises(refusal), transaction() as session:
            changes.plan(session, "c1", [(day, period, {item})], by=BY)


def test_sold_out_is_one_event_and_ends(canteen: None) -> None:
    def mark(gone: bool) -> None:
        with transaction() as session:
            changes.sold_out(session, "c1-set-a", TODAY, "lunch", gone=gone, by=BY)

    for gone in (True, True, False, True):
        mark(gone)

    session = db.session()
    kinds = session.execute(select(Event.kind).where(Event.kind == "menu.sold_out")).all()
    found = offers.read_offers(session, "c1", TODAY)
    assert (len(kinds), [one.sold_out for one in found]) == (3, [True])


def test_a_photo_is_encoded_anew_and_small(canteen: None) -> None:
    large = io.BytesIO()
    Image.effect_noise((2000, 3000), 80).convert("RGB").save(large, "PNG")
    with transaction() as session:
        photos.set_photo(session, "c1-set-a", large.getvalue(), by=BY)
    jpeg = photos.photo_of(db.session(), "c1-set-a") or b""
    with Image.open(io.BytesIO(jpeg)) as opened:
        assert (opened.format, opened.size, len(jpeg) < 65536) == ("JPEG", photos.SHAPE, True)
    for bad in (b"", b"<svg/>", jpeg[:200]):
        with pytest.raises(photos.BadPhoto), transaction() as session:
            photos.set_photo(session, "c1-set-a", bad, by=BY)


# --- files ---


def a_file(folder: Path, name: str, *rows: dict[str, str]) -> Path:
    path = folder / name
    table = [[row.get(column.key, "") for column in MENUS.columns] for row in rows]
    path.write_bytes(templates.separated(MENUS, table))
    return path


def dish(**values: str) -> dict[str, str]:
    return {"canteen": "c1", "id": "001", "name": "红烧肉", "category": "荤菜", "price": "18"} | values


def test_a_menu_file_twice_changes_nothing(canteen: None, tmp_path: Path) -> None:
    rows = (dish(), dish(id="002", name="米饭", category="主食", price="1.50元", periods="午餐、晚餐", tags="set"))
    first = import_runs.apply(a_file(tmp_path, "a.csv", *rows), "menus", BY)
    again = import_runs.apply(a_file(tmp_path, "b.csv", *rows, dish()), "menus", BY)

    assert (first.new, again.new, again.changed, again.same, again.bad) == (2, 0, 0, 2, 1)
    assert offered() == [("红烧肉", 1800), ("米饭", 150), ("荤素套餐", 1200)]
    dearer = import_runs.apply(a_file(tmp_path, "c.csv", dish(price="20", since="2026-06-10")), "menus", "p-clerk")
    assert (dearer.changed, dict(offered(TODAY + timedelta(days=1)))["红烧肉"]) == (1, 2000)
    assert [(row.fen, row.by) for row in offers.prices_of(db.session(), "c1-001")] == [(2000, "p-clerk"), (1800, BY)]


def test_bad_rows_of_a_menu_file_are_named(canteen: None, tmp_path: Path) -> None:
    rows = (
        dish(canteen="other"),
        dish(id="2", price="-1"),
        dish(id="3", price="12.345"),
        dish(id="4", category="甜品"),
        dish(id="5", since="2026-06-08"),
    )
    path = a_file(tmp_path, "bad.csv", *rows)
    found = import_runs.check(path, "menus", BY)
    outside = import_runs.check(a_file(tmp_path, "d.csv", dish()), "menus", BY, within=frozenset({"c9"}))

    assert [(one.row, one.field) for one in found.faults] == [
        (2, "食堂编号"),
        (3, "价格（元）"),
        (4, "价格（元）"),
        (5, "类别"),
        (6, "价格起始日"),
    ]
    assert [one.field for one in outside.faults] == ["食堂编号"]


@pytest.fixture
def call(canteen: None, session: Session, config: Config, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("CANTEEN_DATABASE_URL", config.database_url)
    monkeypatch.setenv("CANTEEN_DATA", str(config.data_dir))
    monkeypatch.setenv("CANTEEN_KEYS", str(config.keys_dir))

    def invoke(*words: str) -> Result:
        session.rollback()
        result = CliRunner().invoke(cli.cli, words)
        assert result.exit_code == 0, result.output
        return result

    return invoke


def test_menus_and_points_are_entered_by_commands(call: Callable[..., Result], tmp_path: Path) -> None:
    menu = str(a_file(tmp_path, "m.csv", dish()))
    assert "1 new" in call("menu", "check", menu).output
    assert json.loads(call("menu", "apply", menu, "--json").stdout)["new"] == 1
    shown = json.loads(call("menu", "show", "c1", "--day", "2026-06-09", "--json").stdout)
    assert [(one["item"], one["fen"]) for one in shown["menu"]] == [("c1-001", 1800), ("c1-set-a", 1200)]
    out = tmp_path / "present.csv"
    call("menu", "template", str(out), "--canteen", "c1")
    rows = list(csv.reader(io.StringIO(out.read_text("utf-8-sig"))))
    assert [row[1] for row in rows] == ["菜品编号", "001", "set-a"]
    assert json.loads(call("menu", "check", str(out), "--json").stdout)["same"] == 2

    points = tmp_path / "p.csv"
    points.write_bytes(templates.separated(POINTS_FILE, [["c1", "p1", "一号窗口", "堂食窗口", ""]]))
    assert "1 new" in call("points", "apply", str(points)).output
    assert "applied before" in call("points", "apply", str(points)).output
    call("points", "template", str(tmp_path / "t.xlsx"))
    assert json.loads(call("points", "list", "--json").stdout)[0]["kind"] == "window"


# --- tills ---


@state
def town(app: Flask) -> None:
    build_city()


def test_a_till_hears_of_what_another_sold_out(app: Flask, town: None) -> None:
    till = a_till(app, "east")
    cashier = a_person("cashier", ("cashier", "canteen", "east"), pin=True)
    with transaction() as session:
        item = changes.add(session, "east", NewItem("红烧肉"), 1800, TODAY, by=BY)
        other = changes.add(session, "west", NewItem("红烧肉"), 1800, TODAY, by=BY)
        session.add(ServingPoint(id="east-p1", canteen_id="east", name="一号窗口", ended_on=TODAY))
    boot = till.call("GET", "/api/v1/pos/boot").json
    assert boot["menu"] == [
        {"id": item, "name": "红烧肉", "fen": 1800, "period": "lunch", "tags": [], "sold_out": False}
    ]
    assert boot["points"] == []
    assert till.call("GET", "/api/v1/pos/ping").json["menu_version"] == boot["menu_version"]

    asked = {"item": item, "period": "lunch", "sold_out": True}
    assert till.call("PUT", "/api/v1/pos/sold-out", asked).status_code == 401
    till.log_in(cashier)
    assert till.call("PUT", "/api/v1/pos/sold-out", asked).status_code == 204
    assert till.call("PUT", "/api/v1/pos/sold-out", asked | {"item": other}).json["code"] == "menu_item_not_found"
    assert till.call("GET", "/api/v1/pos/ping").json["menu_version"] != boot["menu_version"]
    assert till.call("GET", "/api/v1/pos/boot").json["menu"][0]["sold_out"] is True
