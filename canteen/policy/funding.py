"""Funding of canteens: operating and construction money, by the month, quarter, year or once; never on a bill.

A funding scheme has lines. Each names the canteens it is for, what they must reach, how much it gives, and what is
deducted. Amounts are whole fen; a pot is shared out by largest remainder, so its parts sum to the pot.
Its cases are in `funding_case`, its quotes in `funding_quote`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from canteen import money
from canteen.policy import days
from canteen.policy.benefits import round_to
from canteen.policy.canonical import Document
from canteen.policy.documents import document_schema
from canteen.policy.outcome import WHY
from canteen.policy.refusals import Problem, Refused, shown
from canteen.policy.shapes import Code, Day, Fen, Flag, ListOf, OneOf, Percent, Problems, Record, Text, Whole

_WHOLE = 10_000
EACH = ("month", "quarter", "year", "once")
EACH_NAMES = {"month": "按月", "quarter": "按季", "year": "按年", "once": "一次性"}
COUNTS = ("meals", "person_days", "persons", "subsidised_meals", "deliveries", "days")
"""Counts of a canteen: meals served, days on which each person ate, distinct persons, meals with a subsidy,
meals delivered, days it served."""

_MONEY = Fen(most=100_000_000_000)
_CODES = ListOf(Code(), least=1)
_GIVES = ("per", "fixed", "by_grade", "by_count", "construction", "pot")
_STEP = Record(needed={"from": Whole(0), "fen": _MONEY}, maybe={"below": Whole(1)})

LINE = Record(
    needed={"id": Code(60), "label": Text(30), "clause": Text(120), "fund": Code(60), "each": OneOf(EACH)},
    maybe={
        "for": Record(
            maybe={"class": _CODES, "grade": _CODES, "kitchen": _CODES}, some_of=("class", "grade", "kitchen")
        ),
        "at_least": Record(maybe={name: Whole(1) for name in COUNTS}, some_of=COUNTS),
        "per": Record(needed={"count": OneOf(COUNTS), "fen": Fen()}),
        "fixed": _MONEY,
        "by_grade": ListOf(Record(needed={"grade": Code(), "fen": _MONEY}), least=1, most=20),
        "by_count": Record(needed={"count": OneOf(COUNTS), "steps": ListOf(_STEP, least=1, most=30)}),
        "construction": Record(
            needed={
                "by_area": ListOf(_STEP, least=1, most=30),
                "stages": ListOf(Record(needed={"stage": Code(), "percent": Percent()}), least=1, most=10),
            },
            maybe={"within_audit": Flag()},
        ),
        "pot": Record(
            needed={
                "fen": _MONEY,
                "weights": ListOf(Record(needed={"measure": Code(), "percent": Percent()}), least=1, most=10),
            }
        ),
        "factor_by_grade": ListOf(Record(needed={"grade": Code(), "percent": Percent(most=30_000)}), least=1, most=20),
        "most": _MONEY,
        "penalties": ListOf(
            Record(
                needed={"code": Code(), "clause": Text(120)},
                maybe={"fen": _MONEY, "percent": Percent()},
                one_of=(("fen", "percent"),),
            ),
            most=20,
        ),
        "note": Text(300),
    },
    one_of=(_GIVES,),
)
FUNDING = Record(
    needed={
        "format": Whole(1, 1),
        "id": Code(40),
        "title": Text(80),
        "source": Text(300),
        "from": Day(),
        "lines": ListOf(LINE, least=1, most=60),
    },
    maybe={"to": Day(), "place": Code()},
)


@dataclass(frozen=True, slots=True)
class Worked:
    """The facts of one canteen for the span asked about.

    counts    by COUNTS
    measures  any further numbers by which a pot is shared out (floor area, activities)
    stage     of a building; `audited` is its cost in fen
    faults    how often each penalty was incurred
    """

    canteen: str
    class_: str = ""
    grade: str = ""
    kitchen: str = ""
    area: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    measures: Mapping[str, int] = field(default_factory=dict)
    stage: str = ""
    audited: int | None = None
    faults: Mapping[str, int] = field(default_factory=dict)

    def number(self, name: str) -> int:
        return self.area if name == "area" else self.counts.get(name, self.measures.get(name, 0))


@dataclass(frozen=True, slots=True)
class FundingGrant:
    """The fen that a line gives a canteen (0 where `passed` says why not), and the computation in words.

    passed  '' or a code of PASSED
    """

    canteen: str
    line: str
    clause: str
    fund: str
    label: str
    fen: int
    why: str
    passed: str


PASSED = ("not_in_force", "each", "for", "at_least", "no_money")
"""Reasons for giving nothing: not on the line's days, another rhythm, another kind of canteen, a condition not reached,
an amount of 0."""
_OUTSIDE = frozenset({"not_in_force", "each", "for"})


def is_funding(document: object) -> bool:
    """Tell a funding scheme from a rulebook by its form: it has lines and no stages."""
    return isinstance(document, dict) and "lines" in document and "stages" not in document


def compute(scheme: Mapping[str, Any], each: str, on: int, worked: Sequence[Worked]) -> list[FundingGrant]:
    """Compute what the scheme's lines of this rhythm give each canteen they are for, in the scheme's order.

    `on` is a day of the span. Raises Refused where the document is no funding scheme.
    """
    return [grant for grant in weigh(scheme, each, on, worked) if grant.passed not in _OUTSIDE]


def weigh(scheme: Mapping[str, Any], each: str, on: int, worked: Sequence[Worked]) -> list[FundingGrant]:
    """Compute for every line and canteen what is given, or why nothing is. Raises Refused as `compute` does."""
    problems: Problems = []
    FUNDING.check(scheme, "", problems)
    if problems:
        raise Refused(problems[0])
    in_force = scheme["from"] <= on <= scheme.get("to", on)
    found = list[FundingGrant]()
    for line in scheme["lines"]:
        if not in_force:
            found += [_passed(scheme["id"], line, one, "not_in_force", WHY["not_in_force"]) for one in worked]
        elif line["each"] != each:
            why = f"该项{EACH_NAMES[line['each']]}发放，案例所算的是{EACH_NAMES[each]}"
            found += [_passed(scheme["id"], line, one, "each", why) for one in worked]
        else:
            found += _line(scheme["id"], line, worked)
    return found


def lint(scheme: object) -> list[Problem]:
    """List what is wrong with a funding scheme: its form, then duplicates and contradictions.

    Finds duplicate ids and codes, an end before the start, tiers that are empty or leave gaps or overlaps, shares of a
    pot that are not 100 %, stages beyond 100 %.
    """
    problems: Problems = []
    FUNDING.check(scheme, "", problems)
    if problems:
        return problems
    assert isinstance(scheme, dict)
    if scheme.get("to", scheme["from"]) < scheme["from"]:
        problems.append(Problem("ends_before_start", "to", "终止日早于起始日", days.iso(scheme["to"]), "不早于起始日"))
    problems += _twice(scheme["lines"], "id", "lines")
    for place, line in enumerate(scheme["lines"]):
        path = f"lines[{place}]"
        for word, key in (("by_grade", "grade"), ("factor_by_grade", "grade"), ("penalties", "code")):
            problems += _twice(line.get(word, ()), key, f"{path}.{word}")
        problems += _tiers(line.get("by_count", {}).get("steps", ()), f"{path}.by_count.steps")
        building, pot = line.get("construction", {}), line.get("pot", {})
        problems += _tiers(building.get("by_area", ()), f"{path}.construction.by_area")
        for parts, where, key, exact in (
            (building.get("stages", ()), "construction.stages", "stage", False),
            (pot.get("weights", ()), "pot.weights", "measure", True),
        ):
            problems += _twice(parts, key, f"{path}.{where}")
            total = sum(part["percent"] for part in parts)
            if parts and (total > _WHOLE or (exact and total != _WHOLE)):
                wanted = "100%" if exact else "不超过 100%"
                problems.append(Problem("split_sum", f"{path}.{where}", "比例之和不对", _percent(total), wanted))
    return problems


def _twice(parts: Sequence[Mapping[str, Any]], key: str, path: str) -> list[Problem]:
    """Report each entry whose id was used before: only the first of the same id would be read."""
    found, seen = list[Problem](), set[str]()
    for place, part in enumerate(parts):
        if part[key] in seen:
            found.append(Problem("duplicate_id", f"{path}[{place}].{key}", "同一编号写了两次", part[key], "各不相同"))
        seen.add(part[key])
    return found


def _percent(value: int) -> str:
    return money.show(value).removesuffix(".00") + "%"


def _tiers(steps: Sequence[Mapping[str, int]], path: str) -> list[Problem]:
    found, reached = list[Problem](), None
    for step in sorted(steps, key=lambda one: one["from"]):
        if step.get("below", _NEVER) <= step["from"]:
            seen = f"{step['from']} 到 {step['below']}"
            found.append(Problem("tier_empty", path, "这一档是空的", seen, "below 大于 from"))
        if reached is not None and step["from"] != reached:
            code = "tier_gap" if step["from"] > reached else "tier_overlap"
            found.append(Problem(code, path, "两档没有首尾相接", f"{reached} 与 {step['from']}", "首尾相接"))
        reached = step.get("below", _NEVER)
    return found


_NEVER = 2**53 - 1


def funding_schema() -> Document:
    """Return the JSON Schema of a funding scheme (kept as funding.schema.json)."""
    return document_schema(FUNDING, "FUNDING: operating and construction money")


# --- one line ---------------------------------------------------------------------------------------------------


def _line(scheme: str, line: Mapping[str, Any], worked: Sequence[Worked]) -> list[FundingGrant]:
    """Compute the grants of a line; a canteen that it is not for, or that falls short, gets 0 and a reason."""
    other = {one.canteen: _other(line.get("for", {}), one) for one in worked}
    short = {one.canteen: _shortfall(line.get("at_least", {}), one) for one in worked}
    dealt = _dealt(line, [one for one in worked if not other[one.canteen] and not short[one.canteen]])
    found = list[FundingGrant]()
    for one in worked:
        if why := other[one.canteen]:
            found.append(_passed(scheme, line, one, "for", why))
        elif why := short[one.canteen]:
            found.append(_passed(scheme, line, one, "at_least", why))
        else:
            fen, why = _cut(line, one, *dealt[one.canteen])
            given = _passed(scheme, line, one, "" if fen else "no_money", why)
            found.append(replace(given, fen=fen))
    return found


def _passed(scheme: str, line: Mapping[str, Any], one: Worked, code: str, why: str) -> FundingGrant:
    name = f"{scheme}/{line['id']}"
    return FundingGrant(one.canteen, name, line["clause"], line["fund"], line["label"], 0, why, code)


def _other(wanted: Mapping[str, Sequence[str]], one: Worked) -> str:
    """Return why a line is not for a canteen; '' where it is."""
    own = {"class": ("类别", one.class_), "grade": ("等级", one.grade), "kitchen": ("厨房方式", one.kitchen)}
    for word in sorted(wanted):
        name, code = own[word]
        if code not in wanted[word]:
            return f"食堂{name} {code or '未填'} 不在范围内，要求 {'、'.join(wanted[word])}"
    return ""


def _shortfall(at_least: Mapping[str, int], one: Worked) -> str:
    for name in sorted(at_least):
        if one.number(name) < at_least[name]:
            return f"未达到条件：{NAMES[name]} {one.number(name)}，要求 {at_least[name]}"
    return ""


def _dealt(line: Mapping[str, Any], worked: Sequence[Worked]) -> dict[str, tuple[int, str]]:
    """Compute the fen of each canteen before factor, cap and penalties, with the computation in words."""
    if "pot" in line:
        return _pot(line["pot"], worked)
    return {one.canteen: _own(line, one) for one in worked}


def _own(line: Mapping[str, Any], one: Worked) -> tuple[int, str]:
    if "per" in line:
        count, fen = one.number(line["per"]["count"]), line["per"]["fen"]
        return count * fen, f"{count} {NAMES[line['per']['count']]} × {money.show(fen)} 元"
    if "fixed" in line:
        return line["fixed"], f"定额 {money.show(line['fixed'])} 元"
    if "by_grade" in line:
        fen = next((step["fen"] for step in line["by_grade"] if step["grade"] == one.grade), 0)
        return fen, f"等级 {one.grade or '未评定'}，{money.show(fen)} 元"
    if "by_count" in line:
        name = line["by_count"]["count"]
        fen = _band(line["by_count"]["steps"], one.number(name))
        return fen, f"{NAMES[name]} {one.number(name)}，{money.show(fen)} 元"
    return _construction(line["construction"], one)


def _band(steps: Sequence[Mapping[str, int]], number: int) -> int:
    return next((step["fen"] for step in steps if step["from"] <= number < step.get("below", _NEVER)), 0)


def _construction(rule: Mapping[str, Any], one: Worked) -> tuple[int, str]:
    """Pay a band's amount in stages, not above the audited cost where so ruled; the last stage takes the odd fen."""
    whole = _band(rule["by_area"], one.area)
    if rule.get("within_audit", False):
        whole = min(whole, one.audited or 0)
    names = [stage["stage"] for stage in rule["stages"]]
    if one.stage not in names:
        return 0, f"尚未到拨付阶段（{shown(one.stage) or '无'}）"
    place = names.index(one.stage)
    due = [
        round_to(whole * sum(part["percent"] for part in rule["stages"][: last + 1]), _WHOLE, "down")
        for last in range(place + 1)
    ]
    fen = due[-1] - (due[-2] if place else 0)
    return (
        fen,
        f"建筑面积 {one.area} 平方米，核定 {money.show(whole)} 元，{one.stage} 阶段 {_percent(rule['stages'][place]['percent'])}",
    )


def _pot(pot: Mapping[str, Any], worked: Sequence[Worked]) -> dict[str, tuple[int, str]]:
    """Share out a fixed sum: first among its measures, then each of those by what every canteen has of it."""
    found = {one.canteen: 0 for one in worked}
    weights = [part["percent"] for part in pot["weights"]]
    for part, fen in zip(pot["weights"], money.split(pot["fen"], weights), strict=True):
        numbers = [one.number(part["measure"]) for one in worked]
        if sum(numbers) > 0:
            for one, amount in zip(worked, money.split(fen, numbers), strict=True):
                found[one.canteen] += amount
    return {name: (fen, f"总额 {money.show(pot['fen'])} 元按权重分配") for name, fen in found.items()}


def _cut(line: Mapping[str, Any], one: Worked, fen: int, why: str) -> tuple[int, str]:
    """Apply the grade factor, then penalties, then the cap; never below zero."""
    factors = {step["grade"]: step["percent"] for step in line.get("factor_by_grade", ())}
    if factors:
        percent = factors.get(one.grade, 0)
        fen, why = round_to(fen * percent, _WHOLE, "half_up"), f"{why} × 系数 {_percent(percent)}"
    for penalty in line.get("penalties", ()):
        times = one.faults.get(penalty["code"], 0)
        off = penalty.get("fen", 0) * times or round_to(
            fen * min(_WHOLE, penalty.get("percent", 0) * times), _WHOLE, "half_up"
        )
        if off:
            fen, why = max(0, fen - off), f"{why}，扣减 {money.show(min(off, fen))} 元（{penalty['clause']}）"
    if fen > line.get("most", fen):
        fen, why = line["most"], f"{why}，封顶 {money.show(line['most'])} 元"
    return fen, why


NAMES = {
    "meals": "人次",
    "person_days": "人天",
    "persons": "人",
    "subsidised_meals": "享受补贴人次",
    "deliveries": "送餐人次",
    "days": "服务天数",
}
