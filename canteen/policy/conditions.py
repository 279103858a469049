"""Conditions: from words of a rulebook to tests on a bill.

A record of conditions matches if all its words match; `all`, `any` and `not` take further records. Words are tried in
alphabetical order, and a test answers with the first that fails, so a reason is the same wherever it is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from canteen.policy import days
from canteen.policy.bill import Bill, code_at
from canteen.policy.rules import Allowance, Base, Goods, LimitRef, Test

DECEASED = "deceased"
Condition: TypeAlias = Callable[[Bill], bool]


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings that the words of one rulebook refer to: how it counts ages and time, its sets of goods, its limits.

    approval   when an approval begins to count: the same day, the next, the first of the next month
    death      'date' or 'month_end': until when benefits continue after a death; '' where it does not say
    `limit_refs` collects the limits that conditions read, so that the caller knows whose usage to give.
    """

    reckoning: str = "birthday"
    leap_day: str = "mar1"
    approval: str = "same_day"
    death: str = ""
    sets: Mapping[str, Goods] = field(default_factory=dict)
    allowances: Mapping[str, Allowance] = field(default_factory=dict)
    limit_refs: list[LimitRef] = field(default_factory=list)


def test_of(document: Mapping[str, Any] | None, terms: Terms) -> Test | None:
    """Compile a condition record to a test; None, which is always met, for no record."""
    if not document:
        return None
    parts = _parts(document, terms)
    if len(parts) == 1:
        [(word, matches)] = parts
        return lambda bill: "" if matches(bill) else word

    def test(bill: Bill) -> str:
        for word, matches in parts:
            if not matches(bill):
                return word
        return ""

    return test


def _parts(document: Mapping[str, Any], terms: Terms) -> tuple[tuple[str, Condition], ...]:
    return tuple((word, MAKERS[word](document[word], terms)) for word in sorted(document))


def _all_match(document: Mapping[str, Any], terms: Terms) -> Condition:
    """Compile a record to one condition, where the failing word does not matter: within all, any and not."""
    return _every([matches for _, matches in _parts(document, terms)])


def _every(conditions: Sequence[Condition]) -> Condition:
    """Combine conditions into one that matches if all do; nested here, so that a quote walks no list."""
    first, *more = conditions
    if not more:
        return first
    others = _every(more)
    return lambda bill: first(bill) and others(bill)


def both(first: Test | None, second: Test | None) -> Test | None:
    """Combine two tests: both must be met."""
    if first is None or second is None:
        return first or second
    return lambda bill: first(bill) or second(bill)


def living(terms: Terms) -> Test | None:
    """Return the test that the diner is alive or died too recently to count; None where the rulebook does not say."""
    if not terms.death:
        return None
    return lambda bill: "status" if _gone(bill, terms.death) else ""


def _gone(bill: Bill, death: str) -> bool:
    """Tell whether a known death counts by now. The day of death itself does not."""
    if DECEASED not in bill.diner.statuses:
        return False
    died = bill.diner.since.get(f"status:{DECEASED}")
    return death != "month_end" or died is None or bill.meal.day >= days.next_month(died)


def _begun(kind: str, code: str, bill: Bill, approval: str) -> bool:
    """Tell whether what was approved for the diner counts on the day of the meal."""
    if approval == "same_day":
        return True
    since = bill.diner.since.get(f"{kind}:{code}")
    return since is None or days.starts(since, approval) <= bill.meal.day


# --- all, any, not ----------------------------------------------------------------------------------------------


def _all(parts: list[dict[str, Any]], terms: Terms) -> Condition:
    return _every([_all_match(part, terms) for part in parts])


def _any(parts: list[dict[str, Any]], terms: Terms) -> Condition:
    conditions = [_all_match(part, terms) for part in parts]
    return lambda bill: any(matches(bill) for matches in conditions)


def _not(part: dict[str, Any], terms: Terms) -> Condition:
    matches = _all_match(part, terms)
    return lambda bill: not matches(bill)


# --- the diner --------------------------------------------------------------------------------------------------


def _age(span: dict[str, int], terms: Terms) -> Condition:
    least, below, reckoning, leap_day = span.get("from", -1), span.get("below", 999), terms.reckoning, terms.leap_day

    def matches(bill: Bill) -> bool:
        years = bill.age(reckoning, leap_day)
        return years is not None and least <= years < below

    return matches


def _kind(kinds: list[str], _terms: Terms) -> Condition:
    return lambda bill: bill.diner.kind in kinds


def _hukou(codes: list[str], _terms: Terms) -> Condition:
    wanted = frozenset(codes)
    return lambda bill: not wanted.isdisjoint(bill.diner.hukou)


def _lives(codes: list[str], _terms: Terms) -> Condition:
    wanted = frozenset(codes)
    return lambda bill: not wanted.isdisjoint(bill.diner.residence)


def _lived_months(months: int, _terms: Terms) -> Condition:
    def matches(bill: Bill) -> bool:
        since = bill.diner.residence_since
        return since is not None and days.whole_months(since, bill.meal.day) >= months

    return matches


def _lived(span: dict[str, Any], _terms: Terms) -> Condition:
    """Match who lived in one of the areas for so many whole months without a break, in whichever homes."""
    areas, months = span["in"], span["months"]

    def matches(bill: Bill) -> bool:
        diner = bill.diner
        since = [diner.since.get(f"lives:{area}", diner.residence_since) for area in areas if area in diner.residence]
        return any(day is not None and days.whole_months(day, bill.meal.day) >= months for day in since)

    return matches


def _birthday(kind: str, terms: Terms) -> Condition:
    """Match the birthday itself, or its month."""
    leap_day = terms.leap_day

    def matches(bill: Bill) -> bool:
        born, on = bill.diner.birth_day, bill.meal.day
        if born is None:
            return False
        year, month, _ = days.ymd(on)
        return days.ymd(born)[1] == month if kind == "month" else days.birthday(born, year, leap_day) == on

    return matches


def _class(codes: list[str], terms: Terms) -> Condition:
    wanted, approval = frozenset(codes), terms.approval
    if approval == "same_day":
        return lambda bill: not wanted.isdisjoint(bill.diner.classes)
    return lambda bill: any(code in wanted and _begun("class", code, bill, approval) for code in bill.diner.classes)


def _level(span: dict[str, Any], terms: Terms) -> Condition:
    scale, least, below, approval = span["scale"], span.get("from"), span.get("below"), terms.approval

    def matches(bill: Bill) -> bool:
        value = bill.diner.levels.get(scale)
        if value is None or (least is not None and value < least) or (below is not None and value >= below):
            return False
        return _begun("level", scale, bill, approval)

    return matches


def _draws(codes: list[str], terms: Terms) -> Condition:
    wanted, approval = frozenset(codes), terms.approval
    if approval == "same_day":
        return lambda bill: not wanted.isdisjoint(bill.diner.benefits)
    return lambda bill: any(code in wanted and _begun("benefit", code, bill, approval) for code in bill.diner.benefits)


def _status(codes: list[str], terms: Terms) -> Condition:
    """Match any of the statuses; a death counts from when the rulebook says."""
    wanted, death = frozenset(codes), terms.death
    if death != "month_end" or DECEASED not in wanted:
        return lambda bill: not wanted.isdisjoint(bill.diner.statuses)
    others = wanted - {DECEASED}
    return lambda bill: not others.isdisjoint(bill.diner.statuses) or _gone(bill, death)


def _enrolled(codes: list[str], terms: Terms) -> Condition:
    """Match ids, or @canteen, @street, @district, @city for this canteen and the places it lies in."""
    approval = terms.approval

    def matches(bill: Bill) -> bool:
        wanted = [_place_id(code, bill) for code in codes]
        return any(code in bill.diner.enrolled and _begun("enrolled", code, bill, approval) for code in wanted)

    return matches


def _place_id(code: str, bill: Bill) -> str:
    if not code.startswith("@"):
        return code
    return bill.meal.canteen.id if code == "@canteen" else code_at(code[1:], bill.meal.canteen.areas)


def _used(span: dict[str, Any], terms: Terms) -> Condition:
    """Match how much of an allowance was used in this window before: the n-th meal of a day, say."""
    ref, least, below = LimitRef(terms.allowances[span["allowance"]], ""), span.get("from", 0), span.get("below")
    every = span.get("every")
    terms.limit_refs.append(ref)

    def matches(bill: Bill) -> bool:
        taken = bill.taken(ref, bill.window(ref.allowance))
        used = taken.fen if ref.allowance.unit == "fen" else taken.count + len(set(taken.days))
        at = used if every is None else used % every
        return at >= least and (below is None or at < below)

    return matches


# --- the canteen ------------------------------------------------------------------------------------------------


def _canteen(ids: list[str], _terms: Terms) -> Condition:
    return lambda bill: bill.meal.canteen.id in ids


def _canteen_class(codes: list[str], _terms: Terms) -> Condition:
    return lambda bill: bill.meal.canteen.class_ in codes


def _canteen_grade(codes: list[str], _terms: Terms) -> Condition:
    return lambda bill: bill.meal.canteen.grade in codes


def _canteen_level(span: dict[str, int], _terms: Terms) -> Condition:
    least, below = span.get("from", 0), span.get("below", 9999)
    return lambda bill: least <= bill.meal.canteen.level < below


def _canteen_in(codes: list[str], _terms: Terms) -> Condition:
    wanted = frozenset(codes)
    return lambda bill: not wanted.isdisjoint(bill.meal.canteen.areas)


def _same(span: dict[str, str], _terms: Terms) -> Condition:
    """Match a canteen in the same village, street, district, city or province as the diner's hukou or residence."""
    level, by_hukou = span["level"], span["of"] == "hukou"

    def matches(bill: Bill) -> bool:
        home = code_at(level, bill.diner.hukou if by_hukou else bill.diner.residence)
        return home != "" and home == code_at(level, bill.meal.canteen.areas)

    return matches


# --- the meal ---------------------------------------------------------------------------------------------------


def _period(periods: list[str], _terms: Terms) -> Condition:
    return lambda bill: bill.meal.period in periods


def _day_kind(kinds: list[str], _terms: Terms) -> Condition:
    return lambda bill: bill.meal.day_kind in kinds


def _weekday(numbers: list[int], _terms: Terms) -> Condition:
    return lambda bill: days.weekday(bill.meal.day) in numbers


def _month_day(numbers: list[int], _terms: Terms) -> Condition:
    return lambda bill: days.ymd(bill.meal.day)[2] in numbers


def _table(span: dict[str, int], _terms: Terms) -> Condition:
    """Match a table of so many seats."""
    least, below = span.get("from", 1), span.get("below", 100)

    def matches(bill: Bill) -> bool:
        table = bill.meal.table
        return table is not None and least <= table.seats < below

    return matches


def _days(span: dict[str, int], _terms: Terms) -> Condition:
    first, last = span.get("from", days.EARLIEST), span.get("to", days.LATEST)
    return lambda bill: first <= bill.meal.day <= last


def _mode(modes: list[str], _terms: Terms) -> Condition:
    return lambda bill: bill.meal.mode in modes


def _bill(span: dict[str, Any], terms: Terms) -> Condition:
    """Match a bill, or the named part of it, of at least, above or below so many fen."""
    base = base_of(span, terms)
    at_least, above, below = span.get("at_least", 0), span.get("above", -1), span.get("below")

    def matches(bill: Bill) -> bool:
        fen = bill.base(base, bill.running_price)
        return fen >= at_least and fen > above and (below is None or fen < below)

    return matches


def _has_item(name: str, terms: Terms) -> Condition:
    goods = terms.sets[name]
    return lambda bill: any(goods.contains(line) for line in bill.meal.lines)


def _ordered_by(cut_off: dict[str, int], _terms: Terms) -> Condition:
    """Match orders at the cut-off minute or before, counted from the meal's midnight."""
    last = cut_off["time"] - 1440 * cut_off.get("days_before", 0)
    return lambda bill: bill.meal.ordered_at is not None and bill.meal.ordered_at <= last


def base_of(document: Mapping[str, Any], terms: Terms, of: str = "left") -> Base:
    """Compile the part of the bill that `of`, `leave_out`, `only`, `but` and `first` name."""
    return Base(
        of=document.get("of", of),
        leave_out=tuple(document.get("leave_out", ())),
        only=terms.sets[document["only"]] if "only" in document else None,
        but=terms.sets[document["but"]] if "but" in document else None,
        over=document.get("over", 0),
        first=document.get("first"),
    )


MAKERS: dict[str, Callable[[Any, Terms], Condition]] = {
    "age": _age,
    "all": _all,
    "any": _any,
    "bill": _bill,
    "birthday": _birthday,
    "canteen": _canteen,
    "canteen_class": _canteen_class,
    "canteen_grade": _canteen_grade,
    "canteen_in": _canteen_in,
    "canteen_level": _canteen_level,
    "class": _class,
    "day_kind": _day_kind,
    "days": _days,
    "draws": _draws,
    "enrolled": _enrolled,
    "has_item": _has_item,
    "hukou": _hukou,
    "kind": _kind,
    "level": _level,
    "lived": _lived,
    "lived_months": _lived_months,
    "lives": _lives,
    "mode": _mode,
    "month_day": _month_day,
    "not": _not,
    "ordered_by": _ordered_by,
    "period": _period,
    "same": _same,
    "status": _status,
    "table": _table,
    "used": _used,
    "weekday": _weekday,
}
"""Every word that a condition may use; grammar.py defines its value."""
