"""What keeps a canteen from selling: no contract, no meal times, no tablet, no dish with a price."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date
from typing import Final

from sqlalchemy import exists, or_, select
from sqlalchemy.orm import Session

from canteen import clock
from canteen.auth import guard
from canteen.auth.guard import Permission
from canteen.auth.models import Tablet
from canteen.db import db
from canteen.menus.models import MenuItem, MenuPrice
from canteen.places import Canteen, Contract, MealWindow, valid_on
from canteen.web import nav

LACKS: Final = {  # what to do, for a canteen's manager
    "contract": "没有有效的运营协议（请管理员在“导入”里导入运营协议）",
    "windows": "没有供餐时间（请管理员在“导入”里导入食堂）",
    "tablet": "没有启用的平板（在“平板”里生成启用码）",
    "menu": "没有标价的菜品（在“菜单”里加入）",
}


def unready(session: Session, day: date, within: Collection[str] | None = None) -> list[tuple[str, str, list[str]]]:
    """Return id and name of the canteens opened by `day` that cannot sell on it, each with what it lacks, as in `LACKS`.

    within   only these canteens; None for all
    """
    priced = (
        select(MenuItem.id)
        .join(MenuPrice, MenuPrice.item_id == MenuItem.id)
        .where(MenuItem.canteen_id == Canteen.id, MenuPrice.from_day <= day)
        .where(MenuItem.ended_on.is_(None) | (MenuItem.ended_on > day))
    )
    query = (
        select(
            Canteen.id,
            Canteen.name,
            exists().where(Contract.canteen_id == Canteen.id, valid_on(Contract, day)).label("contract"),
            exists().where(MealWindow.canteen_id == Canteen.id, valid_on(MealWindow, day)).label("windows"),
            exists().where(Tablet.canteen_id == Canteen.id, Tablet.revoked_at.is_(None)).label("tablet"),
            or_(Canteen.profile == "partner", priced.exists()).label("menu"),  # a partner sells by amount
        )
        .where(Canteen.opened_on <= day)
        .order_by(Canteen.id)
    )
    if within is not None:
        query = query.where(Canteen.id.in_(within))
    rows = session.execute(query).mappings().all()
    missing = {(row["id"], row["name"]): [name for name in LACKS if not row[name]] for row in rows}
    return [(canteen, name, lacks) for (canteen, name), lacks in missing.items() if lacks]


def _notices() -> Iterator[nav.Notice]:
    """Name the caller's canteens that cannot sell, and what to do."""
    scope = guard.scope(Permission.MENUS)
    if not scope:
        return
    session = db.session()
    found = unready(session, clock.today(), scope.canteens(session))
    for _, name_of, lacks in found[:3]:
        text = f"{name_of}还不能收银：{'；'.join(LACKS[name] for name in lacks)}。"
        yield nav.Notice("warn", text, "menus.menu", "打开菜单")
    if len(found) > 3:
        yield nav.Notice("warn", f"另有 {len(found) - 3} 个食堂还不能收银。", "menus.menu", "打开菜单")


nav.add_notices("readiness", _notices)
