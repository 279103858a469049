"""Pages of a canteen's menu: dishes and prices, the week's plan, what is sold out today."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, money, places
from canteen.auth import guard
from canteen.auth.guard import NotCovered, Permission, allowed
from canteen.auth.models import Person
from canteen.db import db, transaction
from canteen.errors import Conflict, Invalid, Missing, Refusal
from canteen.menus import changes, offers, photos
from canteen.menus import readiness as _readiness  # noqa: F401 - notices on the front page
from canteen.menus.changes import BadPrice, NewItem
from canteen.menus.models import CATEGORIES, MenuItem, MenuPhoto, MenuPrice
from canteen.places import MEALS, Canteen
from canteen.rulebooks import layers
from canteen.web import nav
from canteen.web.days import read_day
from canteen.web.errors import status_of
from canteen.web.numbers import whole

bp = Blueprint("menus", __name__, url_prefix="/desk/canteen")
nav.add("menus.menu", "菜单", position=17)

CATEGORY_WORDS: Final = dict(zip(CATEGORIES, ("套餐", "荤菜", "素菜", "主食", "汤粥", "其他"), strict=True))
REFUSED = (Invalid, Conflict, Missing)
PHOTO: Final = 8_000_000  # bytes of a photo handed in
DONE: Final = {
    "added": "菜品已加入菜单，平板会自动更新。",
    "amended": "已保存，平板会自动更新。",
    "priced": "新价格已登记，从起始日起生效。",
    "ended": "已停售，平板会自动更新。",
    "resumed": "已恢复供应，平板会自动更新。",
    "photo": "照片已更新。",
    "planned": "每日菜单已保存，平板会自动更新。",
    "copied": "已按上一周安排，请核对。",
    "sold_out": "已更新，平板会自动更新。",
}


@bp.get("/menu")
@allowed(Permission.MENUS)
def menu() -> ResponseReturnValue:
    """Show the dishes of a canteen, and what is on offer today."""
    return _menu_page()


@bp.post("/menu")
@allowed(Permission.MENUS)
def add() -> ResponseReturnValue:
    """Add a dish with its first price."""
    canteen = chosen(db.session())
    try:
        new, fen, day, by = _entered(), _fen(), _day(), g.person.id
        with transaction() as session:
            changes.add(session, canteen, new, fen, day, by=by)
    except REFUSED as refusal:
        return _menu_page(refusal)
    return redirect(url_for("menus.menu", canteen=canteen, done="added"))


@bp.post("/sold-out")
@allowed(Permission.MENUS)
def mark() -> ResponseReturnValue:
    """Mark a dish as sold out at a meal of today, or as on sale again."""
    item, by = _item(request.form.get("item", "")), g.person.id
    canteen, gone = item.canteen_id, request.form.get("gone") == "yes"
    period = request.form.get("period", "")
    try:
        with transaction() as session:
            changes.sold_out(session, item.id, _today(canteen), period, gone=gone, by=by)
    except REFUSED as refusal:
        return _menu_page(refusal)
    return redirect(url_for("menus.menu", canteen=canteen, done="sold_out"))


@bp.get("/menu/<item>")
@allowed(Permission.MENUS)
def dish(item: str) -> ResponseReturnValue:
    """Show a dish with every price that it had or will have."""
    return _dish_page(_item(item))


@bp.get("/menu/<item>/photo")
@allowed(Permission.MENUS)
def photo(item: str) -> Response:
    jpeg = photos.photo_of(db.session(), _item(item).id)
    if jpeg is None:
        raise NotCovered
    return Response(jpeg, mimetype="image/jpeg")


@bp.post("/menu/<item>/<act>")
@allowed(Permission.MENUS)
def change(item: str, act: str) -> ResponseReturnValue:
    """Change a dish: what it is, its price from a day on, its photo, whether it is sold."""
    found = _item(item)
    if act not in ACTS:
        raise NotCovered
    by = g.person.id
    try:
        with transaction() as session:
            done = ACTS[act](session, found.id, by)
    except REFUSED as refusal:
        return _dish_page(_item(item), refusal)
    return redirect(url_for("menus.dish", item=item, done=done))


@bp.get("/plan")
@allowed(Permission.MENUS)
def plan() -> ResponseReturnValue:
    """Show the plan of a week by day and meal; with `wall`, to be printed in large letters."""
    return _plan_page()


@bp.post("/plan")
@allowed(Permission.MENUS)
def save_plan() -> ResponseReturnValue:
    """Save the plan of a day, or copy the week before."""
    canteen, by = chosen(db.session()), g.person.id
    monday, copying = _monday(), request.form.get("act") == "copy"
    day = read_day(request.form.get("day", ""))
    try:
        with transaction() as session:
            if copying:
                changes.copy_week(session, canteen, monday, by=by)
            elif day is None:
                raise changes.BadPlan
            else:
                meals = [(day, meal, request.form.getlist(meal)) for meal in MEALS]
                changes.plan(session, canteen, meals, by=by)
    except REFUSED as refusal:
        return _plan_page(refusal)
    done = "copied" if copying else "planned"
    return redirect(url_for("menus.plan", canteen=canteen, week=monday, done=done))


def _menu_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    canteen = chosen(session)
    today = _today(canteen) if canteen else clock.today()
    items = list(session.execute(_ordered(canteen)).scalars())
    page = render_template(
        "menus/menu.html",
        **common(session, canteen, refusal),
        items=items,
        prices=offers.prices_on(session, [item.id for item in items], today),
        coming=_coming(session, items, today),
        offered=offers.read_offers(session, canteen, today) if canteen else (),
        tags=_tags(session, canteen, today) if canteen else [],
        today=today,
    )
    return page, status_of(refusal) if refusal else 200


def _dish_page(item: MenuItem, refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    today = _today(item.canteen_id)
    prices = offers.prices_of(session, item.id)
    shown = [(price, prices[n + 1].fen if n + 1 < len(prices) else None) for n, price in enumerate(prices)]
    people = select(Person.id, Person.name).where(Person.id.in_({price.by for price in prices}))
    page = render_template(
        "menus/dish.html",
        **common(session, item.canteen_id, refusal),
        item=item,
        prices=shown,
        current=offers.prices_on(session, [item.id], today).get(item.id),
        people=dict(session.execute(people).all()),
        has_photo=session.get(MenuPhoto, item.id) is not None,
        tags=sorted({*_tags(session, item.canteen_id, today), *item.tags.split()}),
        today=today,
    )
    return page, status_of(refusal) if refusal else 200


def _plan_page(refusal: Refusal | None = None) -> ResponseReturnValue:
    session = db.session()
    canteen = chosen(session)
    monday = _monday()
    days = [monday + timedelta(days=n) for n in range(7)]
    items, wall = offers.items_of(session, canteen, monday), "wall" in request.args
    page = render_template(
        "menus/wall.html" if wall else "menus/plan.html",
        **common(session, canteen, refusal),
        days=days,
        monday=monday,
        items={day: [item for item in items if item.ended_on is None or item.ended_on > day] for day in days},
        planned=changes.planned(session, canteen, days),
        offered=offers.read_days(session, canteen, days),
        today=_today(canteen) if canteen else clock.today(),
        week=timedelta(days=7),
    )
    return page, status_of(refusal) if refusal else 200


def common(session: Session, canteen: str, refusal: Refusal | None) -> dict[str, Any]:
    """Return what every page of a menu shows: the canteens within reach, words, what was done or refused."""
    within = _within(session)
    return {
        "canteens": within,
        "canteen": canteen,
        "name": dict(within).get(canteen, ""),
        "categories": CATEGORY_WORDS,
        "meals": {"breakfast": "早餐", "lunch": "午餐", "dinner": "晚餐"},
        "form": request.form,
        "done": DONE.get(request.args.get("done", "")),
        "refusal": refusal,
    }


def _within(session: Session) -> list[tuple[str, str]]:
    """Return id and name of the canteens whose menus the caller changes."""
    covered = guard.scope(Permission.MENUS).canteens(session)
    query = select(Canteen.id, Canteen.name).where(Canteen.id.in_(covered)).order_by(Canteen.name, Canteen.id)
    return [(row.id, row.name) for row in session.execute(query)]


def chosen(session: Session) -> str:
    """Return the canteen that the request names, else the first within reach, '' for none. Raises NotCovered."""
    wanted = request.values.get("canteen", "")
    within = dict(_within(session))
    if wanted and wanted not in within:
        raise NotCovered
    return wanted or next(iter(within), "")


def _item(item_id: str) -> MenuItem:
    """Return a dish of a canteen within reach. Raises NotCovered."""
    found = db.session().get(MenuItem, item_id)
    if found is None or not guard.may(Permission.MENUS, found.canteen_id):
        raise NotCovered
    return found


def _today(canteen: str) -> date:
    return clock.business_day(clock.now(), turns_at=places.canteen(db.session(), canteen).day_turns_at)


def _monday() -> date:
    day = read_day(request.values.get("week", "")) or clock.today()
    day = min(max(day, date(2020, 1, 1)), clock.today() + timedelta(days=changes.AHEAD))
    return day - timedelta(days=day.weekday())


def _ordered(canteen: str) -> Any:
    ended = MenuItem.ended_on.is_not(None)
    return select(MenuItem).where(MenuItem.canteen_id == canteen).order_by(ended, MenuItem.position, MenuItem.id)


def _coming(session: Session, items: list[MenuItem], today: date) -> dict[str, tuple[date, int]]:
    """Return the next price of each dish that has one to come, with its day."""
    later = select(MenuPrice).where(MenuPrice.item_id.in_([item.id for item in items]), MenuPrice.from_day > today)
    rows = session.execute(later.order_by(MenuPrice.from_day.desc(), MenuPrice.n)).scalars()
    return {price.item_id: (price.from_day, price.fen) for price in rows}


def _tags(session: Session, canteen: str, day: date) -> list[str]:
    """Return the tags that the rulebooks in force at a canteen speak of."""
    areas = places.path(session, places.canteen(session, canteen).area_id, day)
    document = layers.document(layers.in_force(session, canteen, areas, day).body)
    return sorted({tag for layer in document["layers"] for one in layer.get("sets", ()) for tag in one.get("tags", ())})


def _entered() -> NewItem:
    """Read the form of a dish; tags are words of letters, digits and . _ -, whatever else is refused."""
    form = request.form
    free = form.get("more_tags", "").replace("、", " ").replace("，", " ").replace(",", " ").split()
    tags = [*form.getlist("tags"), *free]
    if any(not (tag.isascii() and tag.replace("-", "").replace("_", "").replace(".", "").isalnum()) for tag in tags):
        raise changes.BadItem("补贴标签只能用字母、数字和 . _ -，请照补贴标准里的写法填写。")
    return NewItem(
        form.get("name", ""),
        form.get("category", ""),
        tuple(form.getlist("periods")),
        tuple(tags),
        min(whole(form.get("position", ""), 0), 999),
    )


def _fen() -> int:
    try:
        return money.yuan(request.form.get("price", ""))
    except ValueError as error:
        raise BadPrice from error


def _day() -> date:
    """Return the day from which a price is valid: today where the form names none."""
    text = request.form.get("since", "")
    day = read_day(text) if text else clock.today()
    if day is None:
        raise changes.PricePassed
    return day


def _amend(session: Session, item: str, by: str) -> str:
    changes.amend(session, item, _entered(), by=by)
    return "amended"


def _price(session: Session, item: str, by: str) -> str:
    changes.price(session, item, _fen(), _day(), by=by)
    return "priced"


def _end(session: Session, item: str, by: str) -> str:
    changes.end(session, item, on=clock.today(), by=by)
    return "ended"


def _resume(session: Session, item: str, by: str) -> str:
    changes.end(session, item, on=None, by=by)
    return "resumed"


def _photo(session: Session, item: str, by: str) -> str:
    sent = request.files.get("photo")
    photos.set_photo(session, item, sent.read(PHOTO) if sent else b"", by=by)
    return "photo"


ACTS: Final = {"amend": _amend, "price": _price, "end": _end, "resume": _resume, "photo": _photo}
