"""The form of a rulebook: who, how much, who pays, how often. It and the YAML are the same tree of texts.

A tree gives a form (`form_of`); what a form cannot show is locked in it, piece by piece. A form changes a tree
(form_changes.py) only where the form was changed, so that saving never loses what it does not show.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from canteen.policy.grammar import ALLOWANCE, BENEFITS, FUND, RULE, STAGE
from canteen.policy.refusals import Problem
from canteen.policy.shapes import Shape

VERBS = ("less", "off", "pay_percent", "pay", "free_up_to", "free", "ceiling")
Tree = dict[str, Any]


@dataclass
class Who:
    """Conditions that must all match; empty ones do not count. Codes are separated by spaces or commas."""

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
    """`at`: its place in the tree it was read from, '' for a new one; `locked`: no form can say it (so of all pieces)."""

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
    at: str = field(default="", compare=False)
    locked: str = field(default="", compare=False)


@dataclass
class Stage:
    id: str = ""
    title: str = ""
    pick: str = "best"
    who: Who = field(default_factory=Who, metadata={"of": Who})
    rules: list[Rule] = field(default_factory=list, metadata={"of": Rule})
    at: str = field(default="", compare=False)
    locked: str = field(default="", compare=False)


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
    at: str = field(default="", compare=False)
    locked: str = field(default="", compare=False)


@dataclass
class Limit:
    id: str = ""
    unit: str = "meal"
    scope: str = "person"
    window: str = "day"
    limit: str = "1"
    note: str = ""
    at: str = field(default="", compare=False)
    locked: str = field(default="", compare=False)


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
    """Return the tree that this form's YAML reads as."""
    lists = _some(funds=[_fund(one) for one in form.funds], allowances=[_limit(one) for one in form.limits])
    stages = [_stage(one) | {"rules": [_rule(rule) for rule in one.rules]} for one in form.stages]
    return {"format": "1"} | head_of(form) | lists | {"stages": stages}


def head_of(form: Form) -> Tree:
    texts = {word: getattr(form, name) for name, word in HEAD.items()}
    return _some(**texts, age=_some(reckoning=form.reckoning))


def _some(**parts: Any) -> Tree:
    """Keep only what is filled in."""
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
    return _some(id=stage.id, title=stage.title, pick=stage.pick, when=_who(stage.who))


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
    """Read a form from a tree of texts, locked where no form says the same; None without a rulebook's outline."""
    if not isinstance(tree, dict) or not all(isinstance(tree.get(name, []), list) for name in LISTS):
        return None
    age = tree.get("age", {})
    form = Form(reckoning=_text(age.get("reckoning")) if isinstance(age, dict) else "")
    for name, word in HEAD.items():
        setattr(form, name, _text(tree.get(word)))
    form.funds = [piece_of(FUNDS, each, place) for place, each in enumerate(tree.get("funds", []))]
    form.limits = [piece_of(LIMITS, each, place) for place, each in enumerate(tree.get("allowances", []))]
    for place, each in enumerate(tree.get("stages", [])):
        stage = piece_of(STAGES, each, place)
        rules = each.get("rules", []) if isinstance(each, dict) else None
        if not isinstance(rules, list):
            return None
        stage.rules = [piece_of(RULES, rule, number) for number, rule in enumerate(rules)]
        form.stages.append(stage)
    return form


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def piece_of(kind: Kind, tree: Any, place: int) -> Any:
    """Read the form of a piece of a rulebook, locked where it would not say the same."""
    found = None
    if isinstance(tree, dict):
        shown = _levelled({name: tree[name] for name in tree if name in kind.words})
        try:
            found = kind.read(shown)
            if _meant(kind.write(found), kind.shape) != _meant(shown, kind.shape) or not kind.fits(tree):
                found = None
        except (TypeError, ValueError, KeyError, AttributeError):
            found = None
    if found is None:
        fields = tree if isinstance(tree, dict) else {}
        found = kind.make(**{name: _text(fields.get(name)) for name in kind.locked_fields}, locked="yes")
    found.at = str(place)
    return found


def _meant(tree: object, shape: Shape) -> object:
    """Parse a tree by the grammar; what it cannot read stays as written."""
    problems: list[Problem] = []
    return shape.parse(tree, "", problems)


def _levelled(value: Any) -> Any:
    """Merge an `all` of conditions on different words to one condition of the same meaning."""
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


# --- kinds of pieces -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """A kind of piece: its shape in the language, the words that a form shows, and the conversion both ways.

    locked_fields  the fields that identify a locked piece
    fits  what else must be true of a tree for a form to show it
    """

    shape: Shape
    words: frozenset[str]
    make: Callable[..., Any]
    read: Callable[[Tree], Any]
    write: Callable[[Any], Tree]
    locked_fields: tuple[str, ...]
    fits: Callable[[Tree], bool] = lambda _tree: True


HEAD = {
    "id": "id", "title": "title", "source": "source", "first_day": "from", "last_day": "to", "place": "place",
    "floor": "floor",
}  # fmt: skip
_OTHERS = frozenset(BENEFITS) - frozenset(VERBS) | {"by_level", "by_class", "pick", "rules"}
LISTS = ("funds", "allowances", "stages")
FUNDS = Kind(FUND, frozenset(("id", "name", "payer", "when", "budget")), Fund, _read_fund, _fund, ("id", "name"))
LIMITS = Kind(
    ALLOWANCE,
    frozenset(("id", "unit", "scope", "window", "limit", "limit_fen", "note")),
    Limit,
    _read_limit,
    _limit,
    ("id", "note"),
    lambda tree: "limit_level" not in tree,
)
STAGES = Kind(STAGE, frozenset(("id", "title", "pick", "when")), Stage, _read_stage, _stage, ("id", "title", "pick"))
RULES = Kind(
    RULE,
    frozenset(
        ("id", "label", "reason", "clause", "when", *VERBS, "by_age", "most", "floor", "rounding", "limits", "used_up",
         "fund", "split")
    ),
    Rule,
    _read_rule,
    _rule,
    ("id", "reason", "clause"),
    _OTHERS.isdisjoint,
)  # fmt: skip
