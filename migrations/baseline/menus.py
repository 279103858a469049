"""Dishes with dated prices, plans by day, what is sold out, photos."""

from __future__ import annotations

from canteen import invariants
from migrations.baseline.tables import big, blob, check, day, flag, index, instant, table, text, to

PERIOD = "period IN ('breakfast', 'lunch', 'dinner')"
PERIODS = (
    "periods IN ('', 'breakfast', 'lunch', 'breakfast lunch', 'dinner', 'breakfast dinner', 'lunch dinner', "
    "'breakfast lunch dinner')"
)


def create() -> None:
    table(
        "menu_item",
        text("id", primary_key=True),
        text("canteen_id", to("canteen.id")),
        text("name"),
        text("category"),
        text("periods"),
        text("tags"),
        big("position"),
        day("ended_on", nullable=True),
        check("category", "category IN ('set', 'meat', 'vegetable', 'staple', 'soup', 'other')"),
        check("periods", PERIODS),
    )
    index("ix_menu_item_canteen_id", "menu_item", "canteen_id")
    table(
        "menu_price",
        text("item_id", to("menu_item.id"), primary_key=True),
        day("from_day", primary_key=True),
        big("n", primary_key=True, autoincrement=False),
        big("fen"),
        day("entered"),
        text("by"),
        instant("at"),
        big("recorded"),
        check("price", "fen >= 0"),
        check("not_backdated", "from_day >= entered"),
    )
    invariants.protect("menu_price")
    invariants.refuse_insert(
        "menu_price_in_turn",
        "menu_price",
        """NEW.n <> (SELECT coalesce(max(n), 0) + 1 FROM menu_price
                     WHERE item_id = NEW.item_id AND from_day = NEW.from_day)""",
    )
    table(
        "menu_plan",
        text("item_id", to("menu_item.id"), primary_key=True),
        day("day", primary_key=True),
        text("period", primary_key=True),
        check("period", PERIOD),
    )
    index("ix_menu_plan_day", "menu_plan", "day")
    table(
        "sold_out",
        text("item_id", to("menu_item.id"), primary_key=True),
        day("day", primary_key=True),
        text("period", primary_key=True),
        flag("gone"),
        check("period", PERIOD),
    )
    table(
        "menu_photo",
        text("item_id", to("menu_item.id"), primary_key=True),
        blob("jpeg"),
        check("size", "length(jpeg) <= 65536"),
    )
    invariants.allow("INSERT, UPDATE", "menu_item", "sold_out", "menu_photo")
    invariants.allow("INSERT, UPDATE, DELETE", "menu_plan")
