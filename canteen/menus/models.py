"""The tables of menus. A price is a fact from a day on; a dish, a plan and what is sold out are state, changed by events."""

from __future__ import annotations

from datetime import date, datetime
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from canteen.db import Base
from canteen.places import MEALS

CATEGORIES: Final = ("set", "meat", "vegetable", "staple", "soup", "other")
PERIODS: Final = tuple(
    " ".join(meal for n, meal in enumerate(MEALS) if bits >> n & 1) for bits in range(2 ** len(MEALS))
)  # every choice of meal periods, as it is stored


class MenuItem(Base):
    """A set meal or dish. Its id is what sales and rulebooks name; its prices are in `menu_price`."""

    __tablename__ = "menu_item"
    __table_args__ = (
        CheckConstraint(f"category IN {CATEGORIES}", name="category"),
        CheckConstraint(f"periods IN {PERIODS}", name="periods"),
        {"sqlite_strict": True},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"), index=True)
    name: Mapped[str]
    category: Mapped[str] = mapped_column(default="set")
    periods: Mapped[
        str
    ]  # meal periods in which it is sold on days without a plan, separated by a space; '': by plan only
    tags: Mapped[str] = mapped_column(default="")  # space-separated names of item sets that rules speak of
    position: Mapped[int] = mapped_column(default=0)
    ended_on: Mapped[date | None]  # from this day on it is sold no longer


class MenuPrice(Base):
    """List price of an item from a day on, until the next day that has one.

    n         counts the prices entered for one day, from 1; the last counts
    entered   the day on which it was entered: no price is valid before
    """

    __tablename__ = "menu_price"
    __table_args__ = (
        CheckConstraint("fen >= 0", name="price"),
        CheckConstraint("from_day >= entered", name="not_backdated"),
        {"sqlite_strict": True},
    )

    item_id: Mapped[str] = mapped_column(ForeignKey("menu_item.id"), primary_key=True)
    from_day: Mapped[date] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    fen: Mapped[int]
    entered: Mapped[date]
    by: Mapped[str]
    at: Mapped[datetime]
    recorded: Mapped[int]


class MenuPlan(Base):
    """An item planned for a meal of a day. Where a meal has such rows, they alone are on offer."""

    __tablename__ = "menu_plan"
    __table_args__ = (CheckConstraint(f"period IN {MEALS}", name="period"), {"sqlite_strict": True})

    item_id: Mapped[str] = mapped_column(ForeignKey("menu_item.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True, index=True)
    period: Mapped[str] = mapped_column(primary_key=True)


class SoldOut(Base):
    """An item that is sold out at a meal of a day, or, with `gone` false, on sale again."""

    __tablename__ = "sold_out"
    __table_args__ = (CheckConstraint(f"period IN {MEALS}", name="period"), {"sqlite_strict": True})

    item_id: Mapped[str] = mapped_column(ForeignKey("menu_item.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    period: Mapped[str] = mapped_column(primary_key=True)
    gone: Mapped[bool]


class MenuPhoto(Base):
    """Photo of an item: a small JPEG made anew from what was uploaded."""

    __tablename__ = "menu_photo"
    __table_args__ = (CheckConstraint("length(jpeg) <= 65536", name="size"), {"sqlite_strict": True})

    item_id: Mapped[str] = mapped_column(ForeignKey("menu_item.id"), primary_key=True)
    jpeg: Mapped[bytes]
