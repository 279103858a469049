"""The form of a rulebook: who, how much, who pays, how often. It and the YAML are the same tree of texts.

A form gives a tree (`tree_of`), and a tree gives a form only if that form gives the same rulebook back (`form_of`):
so nothing that a form cannot show is ever lost by saving one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from werkzeug.datastructures import MultiDict

from canteen.policy.grammar import RULEBOOK
from canteen.policy.refusals import Problem

VERBS = ("less", "off", "pay_percent", "pay", "free_up_to", "free", "ceiling")
Tree = dict[str, Any]


@dataclass
class Who:
    """Conditions that all hold; what is empty does not count. Codes are separated by spaces or commas."""

    age_from: str = ""
    age_below: str = ""
    classes: list[str] = field(default_factory=list, metadata={"of": str})
    hukou: str = ""
    lives: str = ""
    canteen_class: list[str] = field(default_factory=list, metadata={"of": str})
    period: list[str] = field(default_factory=list, metadata={"of": str})
    day_kind: list[str] = field(default_factory=list, metadata={"of": str})


@dataclass
class Tier:
    """One age tier of a rule."""

    age_from: str = ""
    age_below: str = ""
    value: str = ""


@dataclass
class Part:
    """A fund's part of what a rule gives: fen, percent, ratio, or the rest."""

    fund: str = ""
    how: str = "rest"
    amount: str = ""


@dataclass
class Rule:
    id: str = ""
    label: str = "助餐补贴"
    reason: str = ""
    clause: str = ""
    who: Who = field(default_factory=Who, metadata={"of": Who})
    verb: str = "less"
    value: str = ""
    tiers: list[Tier] = field(default_factory=list, metadata={"of": Tier})
    most: str = ""
    floor: str = ""
    parts: list[Part] = field(default_factory=list, metadata={"of": Part})
    limits: list[str] = field(default_factory=list, metadata={"of": str})
    used_up: str = ""
    round_of: str = ""
    round_to: str = ""
    round_by: str = ""


@dataclass
class Stage:
    id: str = ""
    title: str = ""
    pick: str = "best"
    who: Who = field(default_factory=Who, metadata={"of": Who})
    rules: list[Rule] = field(default_factory=list, metadata={"of": Rule})


@dataclass
class Fund:
    """`same`: '' or 'district/residence': pays only where the canteen lies in the elder's own area."""

    id: str = ""
    name: str = ""
    payer: str = "subsidy"
    same: str = ""
    lives: str = ""
    budget: str = ""
    budget_window: str = "month"
    budget_end: str = "queue"
    budget_warn: str = ""


@dataclass
class Limit:
    id: str = ""
    unit: str = "meal"
    scope: str = "person"
    window: str = "day"
    limit: str = "1"
    note: str = ""


@dataclass
class Form:
    """A whole rulebook as a clerk fills it in. Raw texts throughout; the grammar judges them."""

    id: str = ""
    title: str = ""
    source: str = ""
    first_day: str = ""
    last_day: str = ""
    place: str = ""
    reckoning: str = ""
    floor: str = ""
    funds: list[Fund] = field(default_factory=list, metadata={"of": Fund})
    limits: list[Limit] = field(default_factory=list, metadata={"of": Limit})
    stages: list[Stage] = field(default_factory=list, metadata={"of": Stage})


# --- form -> tree of texts -------------------------------------------------------------------------------------------


def tree_of(form: Form) -> Tree:
    """The tree that the YAML of this form reads as."""
    return _some(
        format="1",
        id=form.id,
        title=form.title,
        source=form.source,
        **{"from": form.first_day, "to": form.last_day},
        place=form.place,
        age=_some(reckoning=form.reckoning),
        floor=form.floor,
        funds=[_fund(one) for one in form.funds],
        allowances=[_limit(one) for one in form.limits],
    ) | {"stages": [_stage(one) for one in form.stages]}


def _some(**parts: Any) -> Tree:
    """What is filled in."""
    return {name: part for name, part in parts.items() if part not in ("", [], {})}


def _codes(text: str) -> list[str]:
    return [code for code in re.split(r"[\s,，、;；]+", text) if code]


def _who(who: Who) -> Tree:
    return _some(
        age=_some(**{"from": who.age_from, "below": who.age_below}),
        hukou=_codes(who.hukou),
        lives=_codes(who.lives),
        **{"class": list(who.classes)},
        canteen_class=list(who.canteen_class),
        period=list(who.period),
        day_kind=list(who.day_kind),
    )


def _fund(fund: Fund) -> Tree:
    level, _, of = fund.same.partition("/")
    same = {"level": level, "of": of} if of else {}
    budget = (
        _some(limit=fund.budget, window=fund.budget_window, at_end=fund.budget_end, warn=fund.budget_warn)
        if fund.budget
        else {}
    )
    return _some(
        id=fund.id,
        name=fund.name,
        payer=fund.payer,
        when=_some(same=same, lives=_codes(fund.lives)),
        budget=budget,
    )


def _limit(limit: Limit) -> Tree:
    word = "limit_fen" if limit.unit == "fen" else "limit"
    return _some(
        id=limit.id, unit=limit.unit, scope=limit.scope, window=limit.window, **{word: limit.limit}, note=limit.note
    )


def _stage(stage: Stage) -> Tree:
    return _some(id=stage.id, title=stage.title, pick=stage.pick, when=_who(stage.who)) | {
        "rules": [_rule(one) for one in stage.rules]
    }


def _rule(rule: Rule) -> Tree:
    if rule.tiers:
        gives: Tree = {"by_age": [_tier(tier, rule.verb) for tier in rule.tiers]}
    else:
        gives = {rule.verb: "all" if rule.verb == "free" else rule.value}
    return _some(
        id=rule.id,
        label=rule.label,
        reason=rule.reason,
        clause=rule.clause,
        when=_who(rule.who),
        **gives,
        most=rule.most,
        floor=rule.floor,
        rounding=_some(of=rule.round_of, to=rule.round_to, by=rule.round_by),
        limits=list(rule.limits),
        used_up=rule.used_up,
        **_payers(rule.parts),
    )


def _tier(tier: Tier, verb: str) -> Tree:
    value = "all" if verb == "free" else tier.value
    return _some(**{"from": tier.age_from, "below": tier.age_below}, **{verb: value})


def _payers(parts: list[Part]) -> Tree:
    filled = [part for part in parts if part.fund]
    if len(filled) == 1 and filled[0].how == "rest":
        return {"fund": filled[0].fund}
    return _some(split=[{"fund": part.fund, part.how: "yes" if part.how == "rest" else part.amount} for part in filled])


# --- tree of texts -> form -------------------------------------------------------------------------------------------


def form_of(tree: object) -> Form | None:
    """The form that says the same as a tree; None when no form does: then it is edited as YAML alone."""
    if not isinstance(tree, dict):
        return None
    level = _levelled(tree)
    try:
        form = _read_form(level)
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return form if _meant(tree_of(form)) == _meant(level) else None


def _meant(tree: object) -> object:
    """What the grammar makes of a tree; what it cannot read stays as it is written."""
    problems: list[Problem] = []
    return RULEBOOK.parse(tree, "", problems)


def _levelled(value: Any) -> Any:
    """`all` of conditions that say different things is one condition saying them all: the same meaning."""
    if isinstance(value, list):
        return [_levelled(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    level = {name: _levelled(inner) for name, inner in value.items()}
    parts = level.get("all")
    if isinstance(parts, list) and all(isinstance(part, dict) for part in parts):
        words = [word for part in (*parts, level) for word in part if part is not level or word != "all"]
        if len(set(words)) == len(words):
            del level["all"]
            for part in parts:
                level |= part
    return level


def _read_form(tree: Tree) -> Form:
    return Form(
        id=tree.get("id", ""),
        title=tree.get("title", ""),
        source=tree.get("source", ""),
        first_day=tree.get("from", ""),
        last_day=tree.get("to", ""),
        place=tree.get("place", ""),
        reckoning=tree.get("age", {}).get("reckoning", ""),
        floor=tree.get("floor", ""),
        funds=[_read_fund(one) for one in tree.get("funds", [])],
        limits=[_read_limit(one) for one in tree.get("allowances", [])],
        stages=[_read_stage(one) for one in tree.get("stages", [])],
    )


def _list(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value or [])


def _read_who(tree: Tree) -> Who:
    age = tree.get("age", {})
    return Who(
        age_from=age.get("from", ""),
        age_below=age.get("below", ""),
        classes=_list(tree.get("class")),
        hukou=" ".join(_list(tree.get("hukou"))),
        lives=" ".join(_list(tree.get("lives"))),
        canteen_class=_list(tree.get("canteen_class")),
        period=_list(tree.get("period")),
        day_kind=_list(tree.get("day_kind")),
    )


def _read_fund(tree: Tree) -> Fund:
    when, budget = tree.get("when", {}), tree.get("budget", {})
    same = when.get("same")
    return Fund(
        id=tree.get("id", ""),
        name=tree.get("name", ""),
        payer=tree.get("payer", ""),
        same=f"{same['level']}/{same['of']}" if same else "",
        lives=" ".join(_list(when.get("lives"))),
        budget=budget.get("limit", ""),
        budget_window=budget.get("window", "month"),
        budget_end=budget.get("at_end", "queue"),
        budget_warn=budget.get("warn", ""),
    )


def _read_limit(tree: Tree) -> Limit:
    return Limit(
        id=tree.get("id", ""),
        unit=tree.get("unit", ""),
        scope=tree.get("scope", ""),
        window=tree.get("window", ""),
        limit=tree.get("limit_fen", "") or tree.get("limit", ""),
        note=tree.get("note", ""),
    )


def _read_stage(tree: Tree) -> Stage:
    return Stage(
        id=tree.get("id", ""),
        title=tree.get("title", ""),
        pick=tree.get("pick", ""),
        who=_read_who(tree.get("when", {})),
        rules=[_read_rule(one) for one in tree.get("rules", [])],
    )


def _read_rule(tree: Tree) -> Rule:
    steps = tree.get("by_age", [])
    verb = next((word for word in VERBS if word in (steps[0] if steps else tree)), "less")
    rounding = tree.get("rounding", {})
    parts = [Part(tree["fund"])] if "fund" in tree else [_read_part(one) for one in tree.get("split", [])]
    return Rule(
        id=tree.get("id", ""),
        label=tree.get("label", ""),
        reason=tree.get("reason", ""),
        clause=tree.get("clause", ""),
        who=_read_who(tree.get("when", {})),
        verb=verb,
        value="" if verb == "free" else tree.get(verb, ""),
        tiers=[Tier(one.get("from", ""), one.get("below", ""), one.get(verb, "")) for one in steps],
        most=tree.get("most", ""),
        floor=tree.get("floor", ""),
        parts=parts,
        limits=_list(tree.get("limits")),
        used_up=tree.get("used_up", ""),
        round_of=rounding.get("of", ""),
        round_to=rounding.get("to", ""),
        round_by=rounding.get("by", ""),
    )


def _read_part(tree: Tree) -> Part:
    how = next(word for word in ("fen", "percent", "ratio", "rest") if word in tree)
    return Part(tree["fund"], how, "" if how == "rest" else tree[how])


# --- the browser's fields --------------------------------------------------------------------------------------------


def of_request(sent: MultiDict[str, str]) -> Form:
    """The form that a browser sent; field names say the place, like `stages-0-rules-1-who-age_from`."""
    found = _bind(Form, "", sent)
    assert isinstance(found, Form)
    return found


def _bind(kind: type, prefix: str, sent: MultiDict[str, str]) -> Any:
    values: dict[str, Any] = {}
    for one in fields(kind):
        name, of = f"{prefix}{one.name}", one.metadata.get("of")
        if of is None:
            values[one.name] = sent.get(name, "").strip()
        elif of is str:
            values[one.name] = sent.getlist(name)
        elif one.default_factory is list:
            numbers = sorted({int(found[1]) for key in sent if (found := re.match(rf"{name}-(\d+)-", key))})
            values[one.name] = [_bind(of, f"{name}-{number}-", sent) for number in numbers[:60]]
        else:
            values[one.name] = _bind(of, f"{name}-", sent)
    return kind(**values)


def of_mapping(form: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """What a browser would send of a form."""
    for one in fields(form):
        value = getattr(form, one.name)
        if isinstance(value, list):
            for place, inner in enumerate(value):
                if is_dataclass(inner):
                    yield from of_mapping(inner, f"{prefix}{one.name}-{place}-")
                else:
                    yield f"{prefix}{one.name}", inner
        elif is_dataclass(value):
            yield from of_mapping(value, f"{prefix}{one.name}-")
        else:
            yield f"{prefix}{one.name}", value


def change(form: Form, act: str) -> None:
    """'add:stages-0-rules' puts a new row in, 'drop:stages-0-rules-1' takes one out; anything else is no change."""
    verb, _, path = act.partition(":")
    steps = path.split("-")
    place: Any = form
    for step in steps[:-1]:
        place = _into(place, step)
        if place is None:
            return
    last = steps[-1]
    if verb == "add" and is_dataclass(place) and isinstance(getattr(place, last, None), list):
        getattr(place, last).append(_new(last, getattr(place, last), form))
    elif verb == "drop" and isinstance(place, list) and last.isdecimal() and int(last) < len(place):
        del place[int(last)]


def _into(place: Any, step: str) -> Any:
    if isinstance(place, list):
        return place[int(step)] if step.isdecimal() and int(step) < len(place) else None
    return getattr(place, step, None)


def _new(name: str, rows: list[Any], form: Form) -> Any:
    """A fresh row with an id of its own."""
    taken = {getattr(row, "id", "") for row in rows}
    if name in ("rules", "stages"):
        taken = {rule.id for stage in form.stages for rule in stage.rules} | {stage.id for stage in form.stages}
    stem = {"funds": "fund", "limits": "limit", "rules": "rule", "stages": "stage"}.get(name, "")
    number = next(n for n in range(1, 1000) if f"{stem}{n}" not in taken and f"{_scheme(form)}.{stem}{n}" not in taken)
    fund = form.funds[0].id if form.funds else ""
    made: Mapping[str, Any] = {
        "funds": Fund(id=f"{_scheme(form)}.{stem}{number}", name="财政补贴"),
        "limits": Limit(id=f"{_scheme(form)}.{stem}{number}"),
        "stages": Stage(id=f"{stem}{number}", title="补贴"),
        "rules": Rule(id=f"{stem}{number}", reason="每餐补贴", clause="第一条", value="1.00", parts=[Part(fund)]),
        "tiers": Tier(age_from="60", value="1.00"),
        "parts": Part(fund, "fen", "1.00"),
    }
    return made[name]


def _scheme(form: Form) -> str:
    return form.id or "scheme"


# --- templates -------------------------------------------------------------------------------------------------------


def template(name: str, *, scheme: str, title: str, place: str, first_day: str) -> Form:
    """A form to start from: 'tiers', 'classes', 'percent', 'free'; any other is one plain rule."""
    form = Form(id=scheme, title=title, source="（请填写文件名称和文号）", first_day=first_day, place=place)
    fund = f"{scheme}.fund1"
    form.funds = [Fund(id=fund, name="财政补贴")]
    form.limits = [Limit(id=f"{scheme}.daily", note="每人每日一餐")]
    form.stages = [Stage(id="subsidy", title="就餐补贴", rules=_rules(name, fund, f"{scheme}.daily"))]
    return form


def _rules(name: str, fund: str, limit: str) -> list[Rule]:
    paid: dict[str, Any] = {"parts": [Part(fund)], "limits": [limit]}
    aged = Who(age_from="60")
    if name == "tiers":
        tiers = [Tier("60", "70", "1.00"), Tier("70", "80", "2.00"), Tier("80", "", "3.00")]
        reason = "六十周岁及以上老人按年龄分档补贴"
        return [Rule(id="aged", reason=reason, clause="第一条", tiers=tiers, **paid)]
    if name == "classes":
        poor = Who(age_from="60", classes=["tekun", "dibao"])
        return [
            Rule(id="a", reason="特困、低保老人每餐补贴", clause="第一条", who=poor, value="5.00", **paid),
            Rule(id="b", reason="六十周岁及以上老人每餐补贴", clause="第二条", who=aged, value="2.00", **paid),
        ]
    if name == "percent":
        return [
            Rule(id="aged", label="敬老价", reason="六十周岁及以上老人八五折", clause="第一条", who=aged,
                 verb="pay_percent", value="85%", **paid)
        ]  # fmt: skip
    if name == "free":
        oldest = Who(age_from="90")
        return [
            Rule(id="oldest", label="免费餐", reason="九十周岁及以上老人每日一餐免费", clause="第一条", who=oldest,
                 verb="free", most="20.00", used_up="next", **paid)
        ]  # fmt: skip
    return [Rule(id="aged", reason="六十周岁及以上老人每餐补贴", clause="第一条", who=aged, value="2.00", **paid)]
