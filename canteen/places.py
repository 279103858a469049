"""Areas, canteens, operators, payees, contracts: where meals are served and who answers for them.

Areas form a dated tree (province > city > district > street > community); a functional area such as a
开发区 is a further parent. Everything with a `from_day` is valid from that day on, both ends included.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, or_, select
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, Session, mapped_column

from canteen.db import Base
from canteen.errors import Missing

LEVELS = ("province", "city", "district", "street", "community", "functional")
MEALS = ("breakfast", "lunch", "dinner")
POINTS = ("window", "delivery", "village")  # 堂食窗口 · 送餐 · 助餐点
PROFILES = ("counter", "partner", "village")  # 城市食堂 set meals · 社会合作 only amounts (仅核销) · 村级助餐点


class NoCanteen(Missing):
    code = "canteen_not_found"
    message = "没有找到这个食堂，请核对后再试。"


class NoContract(Missing):
    code = "contract_not_found"
    message = "该食堂当日没有有效的运营协议，请联系民政部门。"


class Area(Base):
    """A place of administration. `id` is its code: 6 digits for a district, 9 for a street, 12 for a community."""

    __tablename__ = "area"
    __table_args__ = (
        CheckConstraint(f"level IN {LEVELS}", name="level"),
        {"sqlite_strict": True},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    level: Mapped[str]


class AreaLink(Base):
    """`area` belongs to `parent` from `from_day` to `to_day` (null: still)."""

    __tablename__ = "area_link"
    __table_args__ = (
        UniqueConstraint("area_id", "parent_id", "from_day"),
        CheckConstraint("to_day IS NULL OR to_day >= from_day", name="days"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    area_id: Mapped[str] = mapped_column(ForeignKey("area.id"))
    parent_id: Mapped[str] = mapped_column(ForeignKey("area.id"), index=True)
    from_day: Mapped[date]
    to_day: Mapped[date | None]


class Operator(Base):
    """运营方: who runs canteens."""

    __tablename__ = "operator"
    __table_args__ = {"sqlite_strict": True}

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    credit_code: Mapped[str | None] = mapped_column(unique=True)  # 统一社会信用代码


class Payee(Base):
    """A payee; the account number is kept as ciphertext, its tail in clear."""

    __tablename__ = "payee"
    __table_args__ = {"sqlite_strict": True}

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    bank: Mapped[str]
    account_cipher: Mapped[bytes]
    account_tail: Mapped[str]


def _days_alone(context: DefaultExecutionContext) -> int:
    return days_alone(context.get_current_parameters()["profile"])  # type: ignore[no-untyped-call]


def days_alone(profile: str) -> int:
    """Return for how many days a tablet of such a canteen may be offline, unless the canteen says otherwise."""
    return 14 if profile == "village" else 3


class Canteen(Base):
    """A door where elders eat. `district_id` is carried into every sale's keys."""

    __tablename__ = "canteen"
    __table_args__ = (
        CheckConstraint(f"profile IN {PROFILES}", name="profile"),
        CheckConstraint("offline_days BETWEEN 0 AND 60", name="offline_days"),
        {"sqlite_strict": True},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    area_id: Mapped[str] = mapped_column(ForeignKey("area.id"))  # its community or street
    district_id: Mapped[str] = mapped_column(ForeignKey("area.id"), index=True)
    profile: Mapped[str]
    seats: Mapped[int]
    day_turns_at: Mapped[int] = mapped_column(default=0)  # minutes after midnight
    opened_on: Mapped[date]
    # sales that a tablet made alone, further back than this when they arrive, wait for a reviewer
    offline_days: Mapped[int] = mapped_column(default=_days_alone)


class MealWindow(Base):
    """When a meal period is served, minutes of the day, `grace` minutes either side still counting."""

    __tablename__ = "meal_window"
    __table_args__ = (
        UniqueConstraint("canteen_id", "period", "from_day"),
        CheckConstraint(f"period IN {MEALS}", name="period"),
        CheckConstraint("0 <= starts AND starts < ends AND ends <= 1440 AND grace >= 0", name="minutes"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"))
    period: Mapped[str]
    starts: Mapped[int]
    ends: Mapped[int]
    grace: Mapped[int] = mapped_column(default=15)
    from_day: Mapped[date]
    to_day: Mapped[date | None]


class ServingDays(Base):
    """On which weekdays a canteen serves: seven characters from Monday, '1' serves, '0' does not."""

    __tablename__ = "serving_days"
    __table_args__ = (
        UniqueConstraint("canteen_id", "from_day"),
        CheckConstraint("length(week) = 7", name="week"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"))
    week: Mapped[str]
    from_day: Mapped[date]
    to_day: Mapped[date | None]


class Closure(Base):
    """Days on which a canteen was announced closed."""

    __tablename__ = "closure"
    __table_args__ = (
        UniqueConstraint("canteen_id", "from_day"),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"))
    from_day: Mapped[date]
    to_day: Mapped[date]
    reason: Mapped[str]


class ServingPoint(Base):
    """A counter, or a point that a kitchen sends food to. One with `ended_on` is offered no longer from that day on."""

    __tablename__ = "serving_point"
    __table_args__ = (CheckConstraint(f"kind IN {POINTS}", name="kind"), {"sqlite_strict": True})

    id: Mapped[str] = mapped_column(primary_key=True)
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"), index=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(default="window")
    ended_on: Mapped[date | None]


class Contract(Base):
    """Operator, payee, class and grade at a canteen, dated: claims are made per contract, not per door (ruling 39)."""

    __tablename__ = "contract"
    __table_args__ = (
        UniqueConstraint("canteen_id", "from_day"),
        CheckConstraint("to_day IS NULL OR to_day >= from_day", name="days"),
        {"sqlite_strict": True},
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    canteen_id: Mapped[str] = mapped_column(ForeignKey("canteen.id"), index=True)
    operator_id: Mapped[str] = mapped_column(ForeignKey("operator.id"), index=True)
    payee_id: Mapped[str] = mapped_column(ForeignKey("payee.id"))
    district_id: Mapped[str] = mapped_column(ForeignKey("area.id"))
    canteen_class: Mapped[str]  # 'public_private' 公建民营, 'partner' 社会合作 …: data, the rulebooks name them
    grade: Mapped[str]
    from_day: Mapped[date]
    to_day: Mapped[date | None]


class Installation(Base):
    """One row: which installation this database is. `incarnation` changes at a restore, so that tablets resend."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"), {"sqlite_strict": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    incarnation: Mapped[str]
    demo: Mapped[bool]
    made_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Window:
    """A meal period as served on a day; minutes of the day."""

    period: str
    starts: int
    ends: int
    grace: int

    def contains(self, minute: int) -> bool:
        return self.starts - self.grace <= minute <= self.ends + self.grace


def valid_on(model: type, day: date):  # type: ignore[no-untyped-def]  # noqa: ANN201 - a SQL expression
    """Return the SQL condition that a row of a dated table is valid on `day`."""
    columns: object = model
    return (columns.from_day <= day) & or_(columns.to_day.is_(None), columns.to_day >= day)  # type: ignore[attr-defined]


def canteen(session: Session, canteen_id: str) -> Canteen:
    """Return the canteen. Raises NoCanteen."""
    found = session.get(Canteen, canteen_id)
    if found is None:
        raise NoCanteen
    return found


def find_contract(session: Session, canteen_id: str, day: date) -> Contract | None:
    """Return the contract under which `canteen_id` serves on `day`, if there is one; as it is now in the database."""
    return session.execute(
        select(Contract)
        .where(Contract.canteen_id == canteen_id, valid_on(Contract, day))
        .order_by(Contract.from_day.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()


def last_contract(session: Session, canteen_id: str, day: date) -> Contract:
    """Return the contract for a meal on a `day` without a valid one: the newest begun by then, else the first ever.

    Raises NoContract when the canteen never had one.
    """
    of_canteen = select(Contract).where(Contract.canteen_id == canteen_id).limit(1)
    begun = of_canteen.where(Contract.from_day <= day).order_by(Contract.from_day.desc())
    found = session.execute(begun).scalar_one_or_none()
    found = found or session.execute(of_canteen.order_by(Contract.from_day)).scalar_one_or_none()
    if found is None:
        raise NoContract
    return found


def windows_on(session: Session, canteen_id: str, day: date) -> list[Window]:
    """Return the meal windows in force on `day`, by start; of two rows for one period the later one counts."""
    rows = session.execute(
        select(MealWindow.period, MealWindow.starts, MealWindow.ends, MealWindow.grace)
        .where(MealWindow.canteen_id == canteen_id, valid_on(MealWindow, day))
        .order_by(MealWindow.from_day)
    )
    latest = {row.period: Window(*row) for row in rows}
    return sorted(latest.values(), key=lambda window: window.starts)


def serves_on(session: Session, canteen_id: str, day: date) -> bool:
    """Return whether the canteen serves on `day`: by its week, unless it was announced closed."""
    closed = session.execute(
        select(Closure.id).where(Closure.canteen_id == canteen_id, Closure.from_day <= day, Closure.to_day >= day)
    ).first()
    week = session.execute(
        select(ServingDays.week)
        .where(ServingDays.canteen_id == canteen_id, valid_on(ServingDays, day))
        .order_by(ServingDays.from_day.desc())
        .limit(1)
    ).scalar_one_or_none()
    return closed is None and (week is None or week[day.weekday()] == "1")


def path(session: Session, area_id: str, day: date) -> list[str]:
    """Return `area_id` and the areas above it on `day` by code, most general first, functional areas before its own."""
    parents = _parents(session, day)
    levels = dict(session.execute(select(Area.id, Area.level)).all())
    found, waiting = set[str](), [area_id]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += parents.get(current, [])
    rank = {"province": 0, "city": 1, "district": 2, "functional": 3, "street": 4, "community": 5}
    return sorted(found, key=lambda code: (rank[levels.get(code, "community")], code))


def below(session: Session, area_id: str, day: date) -> set[str]:
    """Return `area_id` and every area under it on `day`."""
    return below_all(session, [area_id], day)


def below_all(session: Session, area_ids: Iterable[str], day: date) -> set[str]:
    """Return these areas and every area under any of them on `day`."""
    if not (waiting := list(area_ids)):
        return set()
    children: dict[str, list[str]] = {}
    for child, parents in _parents(session, day).items():
        for parent in parents:
            children.setdefault(parent, []).append(child)
    found = set[str]()
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += children.get(current, [])
    return found


def _parents(session: Session, day: date) -> dict[str, list[str]]:
    rows = session.execute(select(AreaLink.area_id, AreaLink.parent_id).where(valid_on(AreaLink, day)))
    parents: dict[str, list[str]] = {}
    for child, parent in rows:
        parents.setdefault(child, []).append(parent)
    return parents
