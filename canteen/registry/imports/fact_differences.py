"""What a row states against what is known: the facts to add. Facts in, facts out; reads no database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any

from canteen.registry import elders
from canteen.registry.elders import NewFact
from canteen.registry.facts import WITHDRAWN, Fact
from canteen.registry.imports.columns import NO_END, BadCell
from canteen.registry.imports.roster_columns import NORMAL, SCALES, flag_of


def classes_of(values: dict[str, Any]) -> list[str]:
    """Return the classes that a row states, listed or by yes."""
    flags = (key.removeprefix(flag_of("")) for key, value in values.items() if key.startswith(flag_of("")) and value)
    return sorted({*values.get("classes", ()), *flags})


def differences(stated: Sequence[NewFact], valid: Sequence[Fact], since: date, given: dict[str, Any]) -> list[NewFact]:
    """Return the facts to add so that what is stated is valid from `since` on, given the facts valid then. Pure.

    valid     the facts valid on `since`
    given     which cells the row filled: a list that is filled is whole, so what it lacks ends

    Raises BadCell where a row would bring back somebody recorded as deceased.
    """
    added = list[NewFact]()
    by_value = {(fact.kind, fact.value): fact for fact in valid}
    for fact in stated:
        now = by_value.get((fact.kind, fact.value))
        if now is None:
            added.append(fact)
        elif now.to_day != fact.to_day and (fact.to_day is not None or _without_end(fact, given)):
            added.append(NewFact(now.kind, now.value, now.from_day, fact.to_day, retracts=now.id))
    wanted = {(fact.kind, fact.value) for fact in stated}
    for known in valid:
        if (known.kind, known.value) not in wanted and _ends(known, given):
            added.append(ended(known, since))
    return added


def _without_end(fact: NewFact, given: dict[str, Any]) -> bool:
    """Return whether the row states that a class has no end; an empty cell leaves a known end as it is."""
    return fact.kind == "class" and given.get("class_until") is NO_END


def _ends(fact: Fact, given: dict[str, Any]) -> bool:
    """Return whether a fact that the row does not repeat ends by it."""
    if fact.kind == "status" and given.get("status") == NORMAL:
        if fact.value == WITHDRAWN:
            return False  # ended by whatever states them again
        if fact.value in elders.STOPPED:
            raise BadCell("这位老人已登记停用；如系误报，请在老人页面更正，不能用名册恢复。")
        return True
    if fact.kind == "level":
        return fact.value.partition("=")[0] in SCALES and fact.value.partition("=")[0] in given
    if fact.kind == "class" and given.get(flag_of(fact.value)) is False:
        return True
    column = {"class": "classes", "enrolled": "enrolled"}.get(fact.kind)
    return column is not None and column in given


def ended(fact: Fact, since: date) -> NewFact:
    """Make the fact that retracts `fact`, so that it ends before `since` or never was."""
    if fact.from_day < since:
        return NewFact(fact.kind, fact.value, fact.from_day, since - timedelta(days=1), retracts=fact.id)
    return NewFact(fact.kind, "", fact.from_day, None, retracts=fact.id)
