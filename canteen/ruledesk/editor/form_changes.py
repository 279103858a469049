"""Apply a form to the tree that it was read from: only what was changed in the form changes."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Sequence
from typing import Any

from canteen.ruledesk.editor.forms import (
    FUNDS,
    HEAD,
    LIMITS,
    LISTS,
    RULES,
    STAGES,
    VERBS,
    Form,
    Kind,
    Stage,
    Tree,
    form_of,
    head_of,
    piece_of,
)
from canteen.web.numbers import whole


def applied(tree: Tree, form: Form) -> Tree:
    """Apply to the tree what was changed in the form since it was read; all else stays."""
    was = form_of(tree)
    assert was is not None
    new = _merged(tree, head_of(was), head_of(form))
    lists = {
        "funds": _pieces(FUNDS, tree.get("funds", []), was.funds, form.funds),
        "allowances": _pieces(LIMITS, tree.get("allowances", []), was.limits, form.limits),
        "stages": [_stage_of(tree.get("stages", []), was.stages, stage) for stage in form.stages],
    }
    for name, members in lists.items():
        if members or name == "stages" or tree.get(name) == []:
            new[name] = members
        else:
            new.pop(name, None)
    return new


def _stage_of(old: Sequence[Tree], was: Sequence[Stage], stage: Stage) -> Tree:
    (found,) = _pieces(STAGES, old, was, [stage])
    place = int(stage.at) if _known(stage, old) else None
    rules = old[place].get("rules", []) if place is not None else []
    before = was[place].rules if place is not None else []
    return found | {"rules": _pieces(RULES, rules, before, stage.rules)}


def _pieces(kind: Kind, old: Sequence[Tree], was: Sequence[Any], now: Sequence[Any]) -> list[Tree]:
    found = list[Tree]()
    for piece in now:
        if not _known(piece, old):
            found.append(kind.write(piece))
        elif was[int(piece.at)].locked:
            found.append(old[int(piece.at)])
        else:
            found.append(_merged(old[int(piece.at)], kind.write(was[int(piece.at)]), kind.write(piece)))
    return found


def _known(piece: Any, old: Sequence[Tree]) -> bool:
    return 0 <= whole(piece.at) < len(old)


def _merged(old: Tree, was: Tree, now: Tree) -> Tree:
    """Return `old` with all that differs from `was` to `now`."""
    new = copy.deepcopy(old)
    for word in [*now, *(word for word in was if word not in now)]:
        before, after = was.get(word), now.get(word)
        if _same(before, after):
            continue
        if word == "when":
            _condition(new, before or {}, after or {})
        elif after is None:
            new.pop(word, None)
        elif isinstance(before, dict) and isinstance(after, dict) and isinstance(new.get(word), dict):
            new[word] = _merged(new[word], before, after)
        else:
            new[word] = after
    return new


def _same(before: Any, after: Any) -> bool:
    """Compare lists of codes as sets: a browser sends them in the order of its boxes."""
    if isinstance(before, list) and isinstance(after, list) and all(isinstance(one, str) for one in before + after):
        return sorted(before) == sorted(after)
    return bool(before == after)


def _condition(piece: Tree, was: Tree, now: Tree) -> None:
    """Change the words of a piece's condition in place, also inside `all`."""
    record = piece.setdefault("when", {})
    for word in [*now, *(word for word in was if word not in now)]:
        if _same(was.get(word), now.get(word)):
            continue
        home = next((part for part in _records(record) if word in part), record)
        if word in now:
            home[word] = now[word]
        else:
            home.pop(word, None)
    _prune(record)
    if not record:
        del piece["when"]


def _records(record: Tree) -> Iterator[Tree]:
    yield record
    for part in record.get("all", []):
        if isinstance(part, dict):
            yield from _records(part)


def _prune(record: Tree) -> None:
    """Leave no empty record inside `all`."""
    if "all" in record:
        for part in record["all"]:
            _prune(part)
        record["all"] = [part for part in record["all"] if part]
        if not record["all"]:
            del record["all"]


def kept(tree: Tree) -> dict[str, Tree]:
    """Return what a form does not show, by its place ('' the whole, 'funds-0', 'stages-0-rules-1')."""
    found = {"": {name: each for name, each in tree.items() if name not in {*HEAD.values(), "format", *LISTS, "age"}}}
    age = tree.get("age", {})
    found[""] |= {"age": age} if isinstance(age, dict) and set(age) - {"reckoning"} else {}
    for name, kind in (("funds", FUNDS), ("allowances", LIMITS), ("stages", STAGES)):
        for place, each in enumerate(tree.get(name, [])):
            anchor = f"{'limits' if name == 'allowances' else name}-{place}"
            found[anchor] = _unshown(kind, each, place)
            if kind is STAGES:
                rules = each.get("rules", [])
                found |= {
                    f"{anchor}-rules-{number}": _unshown(RULES, rule, number) for number, rule in enumerate(rules)
                }
    return {place: rest for place, rest in found.items() if rest}


def _unshown(kind: Kind, tree: Any, place: int) -> Tree:
    """Return all of a locked piece (but a stage's rules), else the fields that the form leaves out."""
    if not isinstance(tree, dict):
        return {"?": tree}
    if piece_of(kind, tree, place).locked:
        return {name: each for name, each in tree.items() if kind is not STAGES or name != "rules"}
    return {name: each for name, each in tree.items() if name not in kind.words and name != "rules"}


# --- where the form shows a place of the document --------------------------------------------------------------------

_STEPS = {"allowances": "limits", "limit_fen": "limit", "by_age": "tiers", "split": "parts"}
_RENAMED = {
    "from": "first_day", "to": "last_day", "age.reckoning": "reckoning", "when.same": "same", "when.lives": "lives",
    "budget.limit": "budget", "budget.window": "budget_window", "budget.at_end": "budget_end",
    "budget.warn": "budget_warn", "fund": "parts-0-fund", "rounding.of": "round_of", "rounding.to": "round_to",
    "rounding.by": "round_by",
}  # fmt: skip
_CONDITIONS = {"class": "who-classes", "age.from": "who-age_from", "age.below": "who-age_below", "age": "who-age_from"}
_PLACE = re.compile(r"(funds|allowances|stages|rules|by_age|split)\[(\d+)\]\.?")


def field_at(path: str) -> str:
    """Name the form's field (or row) for a document's path: 'stages[0].rules[1].less' -> its `value`."""
    row, rest = "", path
    while found := _PLACE.match(rest):
        row += f"{_STEPS.get(found[1], found[1])}-{found[2]}-"
        rest = rest[found.end() :]
    return row + _field(rest, row) if rest else row.removesuffix("-")


def _field(rest: str, row: str) -> str:
    rest = re.sub(r"\[\d+\].*", "", re.sub(r"all\[\d+\]\.", "", rest))
    if rest in VERBS:
        return "value"
    if "tiers-" in row and rest in ("from", "below"):
        return f"age_{rest}"
    if "parts-" in row and rest in ("fen", "percent", "ratio"):
        return "amount"
    if rest.startswith("when.") and not row.startswith("funds-"):
        word = rest.removeprefix("when.")
        return _CONDITIONS.get(word, f"who-{word}")
    return rest if "parts-" in row else _RENAMED.get(rest, _STEPS.get(rest, rest))
