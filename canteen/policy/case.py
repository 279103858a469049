"""The input of a quote: a diner, a meal, and earlier usage, as values and as JSON.

Reading is total: any input gives a Case or a Refused that names the place. The canonical form writes every field,
so equal cases have equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from canteen.policy.canonical import Document
from canteen.policy.documents import document_schema
from canteen.policy.refusals import Problem, Refused
from canteen.policy.shapes import Code, Day, Fen, ListOf, MapOf, OneOf, OrNull, Problems, Record, Whole

KINDS = ("elder", "guest", "spouse", "volunteer", "staff")
PERIODS = ("breakfast", "lunch", "dinner")
MODES = ("dine_in", "take_away", "delivered", "collected")
DAY_KINDS = ("workday", "weekend", "holiday", "makeup")


@dataclass(frozen=True, slots=True)
class Diner:
    """The person who eats, as the rules see them on the meal's day.

    Areas are codes of every place the person belongs to, most general first; days are civil-day numbers;
    classes, statuses, enrolled and benefits are sorted codes; levels are ratings on named scales. `since` gives the day
    from which a 'class:', 'benefit:', 'enrolled:' or 'level:' has been in force without a break, and the day of death for
    'status:deceased'; what it does not name has always been in force. For a person who moved within an area, 'lives:'
    and its code give the day since which they live there; otherwise that is `residence_since`.
    """

    kind: str = "elder"
    birth_day: int | None = None
    hukou: tuple[str, ...] = ()
    residence: tuple[str, ...] = ()
    residence_since: int | None = None
    classes: tuple[str, ...] = ()
    levels: Mapping[str, int] = field(default_factory=dict)
    statuses: tuple[str, ...] = ()
    enrolled: tuple[str, ...] = ()
    benefits: tuple[str, ...] = ()
    since: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def guest(cls, kind: str = "guest") -> Diner:
        """Return a diner without a card, of whom nothing is known."""
        return cls(kind=kind)


@dataclass(frozen=True, slots=True)
class MealCanteen:
    """The canteen as the rules see it: its class, grade and level, and the areas it lies in."""

    id: str
    class_: str = "counter"
    grade: str = ""
    level: int = 0
    areas: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A number of one item; `fen` is the price of one."""

    item: str
    fen: int
    qty: int = 1
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fees:
    """Charges besides the food, in fen."""

    delivery: int = 0
    packaging: int = 0


@dataclass(frozen=True, slots=True)
class Table:
    """A seat at a table of `seats`; `seat` counts from 1."""

    seats: int
    seat: int


@dataclass(frozen=True, slots=True)
class Meal:
    """A meal: lines with their prices, or one amount rung up elsewhere; `ordered_at` in minutes of the day."""

    day: int
    period: str
    canteen: MealCanteen
    lines: tuple[Line, ...] = ()
    amount: int | None = None
    mode: str = "dine_in"
    day_kind: str = "workday"
    fees: Fees = Fees()
    ordered_at: int | None = None
    table: Table | None = None
    flags: tuple[str, ...] = ()

    @property
    def goods_fen(self) -> int:
        """Return the list price of the food alone."""
        return self.amount if self.amount is not None else sum(line.fen * line.qty for line in self.lines)

    @property
    def list_fen(self) -> int:
        """Return the list price: food, delivery, packaging."""
        return self.goods_fen + self.fees.delivery + self.fees.packaging


@dataclass(frozen=True, slots=True)
class Taken:
    """Usage of one allowance in one window before this meal: meals, fen, or the days on which it was used."""

    allowance: str
    window: str
    count: int = 0
    fen: int = 0
    days: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One input of the engine."""

    diner: Diner
    meal: Meal
    taken: tuple[Taken, ...] = ()


_CODES = ListOf(Code(), ordered=True)
_AREAS = ListOf(Code(), most=20)
_BIRTH = OrNull(Day())

DINER = Record(
    needed={"kind": OneOf(KINDS)},
    maybe={
        "birth_day": _BIRTH,
        "hukou": _AREAS,
        "residence": _AREAS,
        "residence_since": OrNull(Day()),
        "classes": _CODES,
        "levels": MapOf(Whole(-1_000_000, 1_000_000_000)),
        "statuses": _CODES,
        "enrolled": _CODES,
        "benefits": _CODES,
        "since": MapOf(Day(), most=500, key=Code(100)),
    },
)
CANTEEN = Record(
    needed={"id": Code()},
    maybe={"class": Code(), "grade": OrNull(Code()), "level": OrNull(Whole(0, 1000)), "areas": _AREAS},
)
LINE = Record(
    needed={"item": Code(), "fen": Fen(most=1_000_000), "qty": Whole(1, 99)},
    maybe={"tags": _CODES},
)
MEAL = Record(
    needed={"day": Day(), "period": OneOf(PERIODS), "canteen": CANTEEN},
    maybe={
        "mode": OneOf(MODES),
        "day_kind": OneOf(DAY_KINDS),
        "lines": ListOf(LINE, most=50),
        "amount": OrNull(Fen()),
        "fees": Record(maybe={"delivery": Fen(most=1_000_000), "packaging": Fen(most=1_000_000)}),
        "ordered_at": OrNull(Whole(-44_640, 2880)),
        "table": OrNull(Record(needed={"seats": Whole(1, 99), "seat": Whole(1, 99)})),
        "flags": _CODES,
    },
)
TAKEN = Record(
    needed={"allowance": Code(240), "window": Code()},
    maybe={
        "count": Whole(0, 1_000_000),
        "fen": Fen(most=1_000_000_000_000),
        "days": ListOf(Day(), most=400),
    },
)
CASE = Record(needed={"diner": DINER, "meal": MEAL}, maybe={"taken": ListOf(TAKEN, most=500)})


def read_case(document: object) -> Case:
    """Read a case from a JSON document. Raises Refused with the first problem found."""
    problems: Problems = []
    CASE.check(document, "", problems)
    if problems:
        raise Refused(problems[0])
    assert isinstance(document, dict)
    found = known_case(document)
    meal = found.meal
    if meal.amount is not None and meal.lines:
        raise Refused(Problem("meal_twice", "meal", "明细与金额只能填一种"))
    if meal.amount is None and not meal.lines:
        raise Refused(Problem("meal_empty", "meal", "没有菜品明细，也没有金额"))
    if meal.table is not None and meal.table.seat > meal.table.seats:
        raise Refused(Problem("out_of_range", "meal.table.seat", "座位号大于桌位数", str(meal.table.seat)))
    return found


def known_case(document: Mapping[str, Any]) -> Case:
    """Read a case that `case_doc` wrote, unchecked: closes read a million of them."""
    taken = tuple(_taken(one) for one in document.get("taken", ()))
    return Case(_diner(document["diner"]), _meal(document["meal"]), taken)


def read_diner(document: object) -> Diner:
    """Read a diner from a JSON document. Raises Refused."""
    problems: Problems = []
    DINER.check(document, "diner", problems)
    if problems:
        raise Refused(problems[0])
    assert isinstance(document, dict)
    return _diner(document)


def _diner(doc: dict[str, Any]) -> Diner:
    return Diner(
        kind=doc["kind"],
        birth_day=doc.get("birth_day"),
        hukou=tuple(doc.get("hukou", ())),
        residence=tuple(doc.get("residence", ())),
        residence_since=doc.get("residence_since"),
        classes=tuple(doc.get("classes", ())),
        levels=dict(doc.get("levels", {})),
        statuses=tuple(doc.get("statuses", ())),
        enrolled=tuple(doc.get("enrolled", ())),
        benefits=tuple(doc.get("benefits", ())),
        since=dict(doc.get("since", {})),
    )


def _meal(doc: dict[str, Any]) -> Meal:
    place, fees, table = doc["canteen"], doc.get("fees", {}), doc.get("table")
    return Meal(
        day=doc["day"],
        period=doc["period"],
        mode=doc.get("mode", "dine_in"),
        canteen=MealCanteen(
            id=place["id"],
            class_=place.get("class", "counter"),
            grade=place.get("grade") or "",
            level=place.get("level") or 0,
            areas=tuple(place.get("areas", ())),
        ),
        day_kind=doc.get("day_kind", "workday"),
        lines=tuple(
            Line(one["item"], one["fen"], one["qty"], tuple(one.get("tags", ()))) for one in doc.get("lines", ())
        ),
        amount=doc.get("amount"),
        fees=Fees(fees.get("delivery", 0), fees.get("packaging", 0)),
        ordered_at=doc.get("ordered_at"),
        table=None if table is None else Table(table["seats"], table["seat"]),
        flags=tuple(doc.get("flags", ())),
    )


def _taken(doc: dict[str, Any]) -> Taken:
    return Taken(doc["allowance"], doc["window"], doc.get("count", 0), doc.get("fen", 0), tuple(doc.get("days", ())))


def case_doc(diner: Diner, meal: Meal, taken: Sequence[Taken]) -> Document:
    """Return the JSON of a case, every field written; `taken` is sorted by allowance and window."""
    ordered = sorted(taken, key=lambda one: (one.allowance, one.window))
    return {"diner": diner_doc(diner), "meal": meal_doc(meal), "taken": [taken_doc(one) for one in ordered]}


def diner_doc(diner: Diner) -> Document:
    return {
        "kind": diner.kind,
        "birth_day": diner.birth_day,
        "hukou": list(diner.hukou),
        "residence": list(diner.residence),
        "residence_since": diner.residence_since,
        "classes": sorted(set(diner.classes)),
        "levels": dict(diner.levels),
        "statuses": sorted(set(diner.statuses)),
        "enrolled": sorted(set(diner.enrolled)),
        "benefits": sorted(set(diner.benefits)),
        "since": dict(diner.since),
    }


def meal_doc(meal: Meal) -> Document:
    place, table = meal.canteen, meal.table
    return {
        "day": meal.day,
        "period": meal.period,
        "mode": meal.mode,
        "canteen": {
            "id": place.id,
            "class": place.class_,
            "grade": place.grade or None,
            "level": place.level,
            "areas": list(place.areas),
        },
        "day_kind": meal.day_kind,
        "lines": [line_doc(line) for line in meal.lines],
        "amount": meal.amount,
        "fees": {"delivery": meal.fees.delivery, "packaging": meal.fees.packaging},
        "ordered_at": meal.ordered_at,
        "table": None if table is None else {"seats": table.seats, "seat": table.seat},
        "flags": sorted(set(meal.flags)),
    }


def line_doc(line: Line) -> Document:
    return {"item": line.item, "fen": line.fen, "qty": line.qty, "tags": sorted(set(line.tags))}


def taken_doc(taken: Taken) -> Document:
    return {
        "allowance": taken.allowance,
        "window": taken.window,
        "count": taken.count,
        "fen": taken.fen,
        "days": sorted(set(taken.days)),
    }


def case_schema() -> Document:
    """Return the JSON Schema of a case (kept as case.schema.json)."""
    return document_schema(CASE, "CASE: who eats what, and what was used before")
