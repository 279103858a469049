"""Draw rulebooks and cases at random from the grammar itself, so that a new word is tested from its first day.

A drawn book has the right form and is mostly meaningful: names are from small pools, so that conditions are often
met and limits often reached; numbers are at their edges more often than by chance. It need not pass lint, because
the engine must answer whatever loads.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from canteen.policy import days
from canteen.policy.canonical import canonical
from canteen.policy.case import CASE
from canteen.policy.documents import Either, Named
from canteen.policy.grammar import RULEBOOK
from canteen.policy.quote import Wanted
from canteen.policy.shapes import (
    Code,
    Day,
    Fen,
    Flag,
    ListOf,
    MapOf,
    Minute,
    OneOf,
    OrNull,
    Percent,
    Record,
    Shape,
    Text,
    Whole,
)

Doc = dict[str, Any]

TODAY = days.of_iso("2026-11-22")
TURNS = [
    days.of_iso(text) for text in ("2024-02-29", "2025-02-28", "2025-03-01", "2026-12-31", "2027-01-01", "2100-03-01")
]
NEAR = [TODAY, TODAY, TODAY, TODAY - 1, TODAY + 1, TODAY + 8, *TURNS, 0, -1, -700, days.EARLIEST, days.LATEST]
AGES = [0, 55, 60, 60, 65, 70, 75, 80, 80, 90, 100, 150]
AMOUNTS = [0, 1, 2, 5, 33, 99, 100, 149, 150, 250, 255, 300, 500, 500, 800, 1000, 1200, 1250, 1999, 3000, 10_000]
BUDGETS = [1, 500, 3000, 3000, 10_000, 100_000, 499_999_999_999, 500_000_000_000]
PERCENTS = [0, 1, 1000, 1500, 2000, 3333, 5000, 5000, 6667, 8000, 8500, 9999, 10_000]
WORDS = [
    "助餐补贴",
    "12",
    "1",
    "__proto__",
    "𠮷野家",
    "老人👵🏽优惠",
    "a\u2028b",
    '“引号”"\\/',
    "é e\u0301",
    "\ue000\uffff",
    "\U0010ffff",
    "𠮷" * 30,
]

# Names that are numbers, or words JavaScript's objects know already, must be as good as any.
POOLS: dict[str, list[str]] = {
    "area": ["22", "2201", "220000", "220100", "220104", "220105", "220104001", "220104001002", "kaifaqu", "000000"],
    "class": ["dibao", "tekun", "constructor", "1"],
    "benefit": ["pension", "toString"],
    "status": ["in_home", "deceased"],
    "enrolled": ["c1", "c2", "@canteen", "@street", "@district", "@city", "@nowhere", "220104", "220104001"],
    "canteen": ["c1", "c2", "7"],
    "canteen_class": ["counter", "village"],
    "grade": ["a", "b", "2"],
    "scale": ["care", "1", "__proto__", "constructor"],
    "item": ["rice", "soup", "1", "__proto__"],
    "tag": ["set", "meat", "hasOwnProperty"],
    "since": ["class:dibao", "class:tekun", "status:deceased", "benefit:pension", "enrolled:c1", "level:care", "class:1",
              "lives:220104", "lives:2201"],
    "flag": ["outside_window", "late", "zero"],
    "fund": ["city", "street", "shop", "gift", "__proto__"],
    "old": ["city.meal", "old.meal", "old.week", "__proto__"],
    "allowance": ["city.meal", "city.month", "x.day", "x.week", "1", "guard.meal", "budget.city"],
    "set": ["goods", "1", "dear"],
}  # fmt: skip
OF_FIELD = {
    "hukou": "area", "lives": "area", "residence": "area", "canteen_in": "area", "areas": "area", "place": "area",
    "in": "area", "class": "class", "classes": "class", "draws": "benefit", "benefits": "benefit", "status": "status",
    "statuses": "status", "enrolled": "enrolled", "canteen": "canteen", "canteen_class": "canteen_class",
    "canteen_grade": "grade", "grade": "grade", "scale": "scale", "limit_level": "scale", "levels": "scale", "since": "since",
    "item": "item", "items": "item", "tags": "tag", "flags": "flag", "fund": "fund", "instead": "fund", "next": "fund",
    "limits": "allowance", "was": "old", "credit": "allowance", "allowance": "allowance", "only": "set", "but": "set",
    "has_item": "set", "set": "set", "measures": "tag", "faults": "tag",
}  # fmt: skip
IN_FIELD: dict[tuple[str, str], Sequence[Any]] = {
    ("age", "from"): AGES[1:], ("age", "below"): AGES[1:], ("by_age", "from"): AGES[1:], ("by_age", "below"): AGES[1:],
    ("steps", "from"): range(-1, 6), ("steps", "below"): range(-1, 6), ("canteen", "class"): POOLS["canteen_class"],
    ("canteen", "id"): POOLS["canteen"], ("carry", "windows"): range(1, 4), ("budget", "limit"): BUDGETS,
}  # fmt: skip
OFTEN = {
    "fund": 0.85, "limits": 0.35, "when": 0.2, "split": 0.2, "allowances": 1.0, "funds": 1.0, "sets": 1.0, "age": 0.3,
    "budget": 0.25, "below": 0.6, "warn": 0.7, "next": 0.7, "guard": 0.1, "to": 0.1, "from": 0.1, "all": 0.03,
    "any": 0.03, "not": 0.03, "items": 0.8, "tags": 0.6, "birth_day": 0.95, "hukou": 0.8, "residence": 0.8,
    "classes": 0.7, "levels": 0.7, "areas": 0.9, "mode": 0.5, "day_kind": 0.5, "level": 0.6, "lines": 0.0,
    "amount": 0.0, "fees": 0.4, "table": 0.3, "ordered_at": 0.5, "flags": 0.1, "residence_since": 0.6, "since": 0.5,
    "carry": 0.4, "most_fen": 0.6, "rounding": 0.15, "order": 0.3, "pick": 0.8, "floor": 0.15, "base": 0.15, "enrolled": 0.4, "taken": 0.0,
}  # fmt: skip
"""How often a field stands that need not; a tenth of the time if it is not named here, and less for conditions."""


class Writer:
    """Draws documents of a shape. What the document itself defines (`names`) is what its references lead to."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.rules: list[str] = []
        self.names: dict[str, list[str]] = {}

    def of(self, shape: Shape, field: str = "", depth: int = 0) -> Any:
        """Draw a value of the shape."""
        for kind, draw in self._ways:
            if isinstance(shape, kind):
                return draw(self, shape, field, depth)
        raise TypeError(shape)

    def _record(self, shape: Record, field: str, depth: int) -> Doc:
        chosen = set(shape.needed)
        for names in shape.one_of:
            chosen.add(self.rng.choice(self._fit(names, depth)))
        if shape.some_of and chosen.isdisjoint(shape.some_of):
            chosen.add(self.rng.choice(self._fit(shape.some_of, depth)))
        alone = {name for names in shape.one_of for name in names}
        rare = 0.02 if len(shape.some_of) > 9 else 0.1
        for name in self._fit([name for name in shape.maybe if name not in alone], depth):
            if self.rng.random() < (min(rare, OFTEN.get(name, rare)) if rare < 0.1 else OFTEN.get(name, rare)):
                chosen.add(name)
        fields = {**shape.needed, **shape.maybe}
        return {name: self._field(fields[name], name, field, depth + 1) for name in fields if name in chosen}

    def _fit(self, names: Sequence[str], depth: int) -> list[str]:
        """Return the fields to draw from: deep down none that nests further; no benefit with a missing reference."""
        nesting = ("all", "any", "not", "by_class") if depth > 9 else ()
        return [name for name in names if name not in nesting and self._defined(name)]

    def _defined(self, name: str) -> bool:
        kind = {"free_set": "set", "used": "allowance", "split": "fund"}.get(name, OF_FIELD.get(name, ""))
        return kind not in self.names or bool(self.names[kind])

    def _field(self, shape: Shape, name: str, field: str, depth: int) -> Any:
        if name == "id" and field == "rules":
            self.rules.append(f"r{len(self.rules)}")
            return self.rules[-1]
        if name == "excludes":
            return [self.rng.choice([*self.rules, "nobody"])]
        if (pool := IN_FIELD.get((field, name))) is not None:
            return self.rng.choice(pool)
        return self.of(shape, field if name == "pick" else name, depth)

    def _list(self, shape: ListOf, field: str, depth: int) -> list[Any]:
        most = max(shape.least, min(shape.most, 1 if depth > 9 else 4))
        found = [self.of(shape.inner, field, depth) for _ in range(self.rng.randint(max(shape.least, 1), most))]
        return sorted(set(found)) if shape.ordered else found

    def _map(self, shape: MapOf, field: str, depth: int) -> Doc:
        keys = self.rng.sample(POOLS[OF_FIELD[field]], self.rng.randint(1, 3))
        if field == "since":
            return {key: self.rng.choice(NEAR) for key in keys}
        return {key: self.rng.choice([-1, 0, 1, 2, 3, 300, 1200, 1_000_000_000]) for key in keys}

    def _either(self, shape: Either, field: str, depth: int) -> Any:
        return self.of(shape.marked if depth < 5 and self.rng.random() < 0.25 else shape.other, field, depth)

    def _code(self, shape: Code, field: str, _depth: int) -> str:
        kind = OF_FIELD.get(field, "")
        return self.rng.choice(self.names.get(kind) or POOLS.get(kind) or ["x"])

    def _text(self, shape: Text, _field: str, _depth: int) -> str:
        return self.rng.choice(WORDS)[: shape.longest]

    def _whole(self, shape: Whole, field: str, _depth: int) -> int:
        if self.rng.random() < 0.01:
            return self.rng.choice([shape.least, shape.most])
        if isinstance(shape, Day):
            pool: Sequence[int] = NEAR
        elif isinstance(shape, Percent):
            pool = PERCENTS
        elif isinstance(shape, Fen):
            pool = AMOUNTS if shape.most < 10**9 else [*AMOUNTS, 100_000]
        elif isinstance(shape, Minute) or field in ("time", "ordered_at"):
            pool = [-1440, -1, 0, 540, 541, 1440]
        else:
            pool = range(shape.least, shape.least + 5) if shape.least >= 0 else range(-1, 6)
        return min(shape.most, max(shape.least, self.rng.choice(pool)))

    _ways: Sequence[tuple[type[Shape], Callable[..., Any]]] = (
        (Record, _record),
        (ListOf, _list),
        (MapOf, _map),
        (Named, lambda self, shape, field, depth: self.of(shape.make(), field, depth)),
        (Either, _either),
        (OrNull, lambda self, shape, field, depth: self.of(shape.inner, field, depth)),
        (OneOf, lambda self, shape, _field, _depth: self.rng.choice(shape.values)),
        (Flag, lambda self, _shape, _field, _depth: self.rng.random() < 0.8),
        (Code, _code),
        (Text, _text),
        (Whole, _whole),
    )


# --- rulebooks --------------------------------------------------------------------------------------------------


def a_scheme(rng: Random, name: str = "s") -> Doc:
    """Draw the document of one scheme, usually in force today."""
    writer = Writer(rng)
    for kind in ("fund", "allowance", "set"):
        writer.names[kind] = rng.sample(POOLS[kind], rng.randint(1, 3))
    scheme: Doc = writer.of(RULEBOOK)
    for kind, many in (("fund", "funds"), ("allowance", "allowances"), ("set", "sets")):
        scheme[many] = [_defined(writer, many, one) for one in writer.names[kind]]
    _in_one_direction(rng, scheme["funds"])
    start = rng.choice([TODAY - 400, TODAY - 400, TODAY - 400, TODAY - 5, 0, days.EARLIEST, TODAY])
    return {**scheme, "id": name, "from": start}


def _defined(writer: Writer, many: str, name: str) -> Doc:
    shape = RULEBOOK.maybe[many]
    assert isinstance(shape, ListOf)
    found: Doc = {**writer.of(shape.inner, many), "id": name}
    if found.get("unit") == "fen" and "limit" in found:
        found["limit_fen"] = 100 * found.pop("limit")
    elif found.get("unit") in ("meal", "day") and "limit_fen" in found:
        found["limit"] = 1 + found.pop("limit_fen") % 4
    return found


def _in_one_direction(rng: Random, funds: list[Doc]) -> None:
    """Let a budget pass on to a later fund, or (seldom) leave it as drawn, which may be a circle."""
    for place, fund in enumerate(funds):
        budget = fund.get("budget", {})
        if "next" in budget and rng.random() < 0.95:
            later = [one["id"] for one in funds[place + 1 :]]
            if later:
                budget["next"] = later[0]
            else:
                del budget["next"]


def a_book(rng: Random) -> bytes:
    """Draw the canonical bytes of a scheme, or of up to three joined."""
    count = rng.choice([1, 1, 2, 3])
    if count == 1 and rng.random() < 0.8:
        return canonical(a_scheme(rng))
    return canonical({"format": 1, "layers": [a_scheme(rng, f"s{place}") for place in range(count)]})


# --- cases ------------------------------------------------------------------------------------------------------


def a_case(rng: Random) -> Doc:
    """Draw a diner and a meal, with no earlier usage."""
    case: Doc = Writer(rng).of(CASE)
    diner, meal = case["diner"], case["meal"]
    if rng.random() < 0.8:
        diner["kind"] = "elder"
    meal["day"] = TODAY if rng.random() < 0.6 else rng.choice(NEAR)
    if diner.get("birth_day") is not None and rng.random() < 0.9:
        year, month, day = days.ymd(meal["day"])
        month, day = rng.choice([(month, day), (2, 29), (month % 12 + 1, 1)])
        born = days.civil(year - rng.choice(AGES), month, day) + rng.choice([-1, 0, 0, 1])
        diner["birth_day"] = min(days.LATEST, max(days.EARLIEST, born))
    if rng.random() < 0.6:
        meal["lines"] = [_a_line(rng) for _ in range(rng.randint(1, 3))]
    else:
        meal["amount"] = rng.choice([*AMOUNTS, 10_000_000])
    if table := meal.get("table"):
        table["seat"] = min(table["seat"], table["seats"])
    return case


def _a_line(rng: Random) -> Doc:
    dear = rng.random() < 0.01
    tags = sorted(rng.sample(POOLS["tag"], rng.randint(0, 2)))
    fen = 1_000_000 if dear else rng.choice(AMOUNTS)
    return {"item": rng.choice(POOLS["item"]), "fen": fen, "qty": 99 if dear else rng.randint(1, 3), "tags": tags}


def a_taking(rng: Random, wanted: Sequence[Wanted], day: int) -> list[Doc]:
    """Draw earlier usage of the allowances that the engine asks for."""
    return [_taken(rng, one, day) for one in wanted if rng.random() < 0.5]


def _taken(rng: Random, one: Wanted, day: int) -> Doc:
    found: Doc = {"allowance": one.allowance, "window": one.window}
    if one.unit == "day":
        found["days"] = [max(days.EARLIEST, day - rng.randint(0, 2)) for _ in range(rng.randint(0, 3))]
    elif one.unit == "fen":
        found["fen"] = rng.choice([*AMOUNTS, 10**12])
    else:
        found["count"] = rng.choice([0, 0, 1, 1, 2, 3, 1_000_000])
    return found


# --- what is wrong ----------------------------------------------------------------------------------------------

JUNK: list[Any] = [
    None, True, -1, 0, 10**9, 2**53 - 1, 2**53, "", "x", "𠮷" * 31, "\x7f", "\x1f", "a b", "\ud800", "ok\udfff", [], {},
    ["b", "a"], ["a", "a"], {"字": 1}, {"__proto__": 1},
]  # fmt: skip


def spoiled(rng: Random, document: Doc) -> Doc:
    """Copy a document with one place changed: a field gone, a field too many, a value of the wrong kind."""
    copied = copy.deepcopy(document)
    places = list(_places(copied))
    holder = rng.choice(places)
    if isinstance(holder, dict):
        key = rng.choice([*holder, "constructor", "zz"])
        if key in holder and rng.random() < 0.4:
            del holder[key]
        else:
            holder[key] = rng.choice(JUNK)
    elif holder:
        holder[rng.randrange(len(holder))] = rng.choice(JUNK)
    else:
        holder.append(rng.choice(JUNK))
    return copied


def _places(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    here = [value] if isinstance(value, (dict, list)) else []
    return here + [place for one in inner for place in _places(one)]
