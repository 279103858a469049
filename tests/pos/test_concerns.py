"""What each kind of event concerns of what tills keep in memory: decided for every kind that the code records."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import canteen
from canteen import concerns
from canteen.registry.credentials import Report
from canteen.registry.imports.import_runs import KINDS

ROOT = Path(canteen.__file__).parent
DECIDED = {
    "agent.end": concerns.elder("s"),
    "agent.name": concerns.elder("s"),
    "application.opinion": None,
    "application.take": None,
    "backup.make": None,
    "budget.prorate": concerns.EVERYTHING,
    "calendar.arrange": concerns.PLACES,
    "card.bind": concerns.card("s"),
    "card.{}": concerns.card("s"),
    "cards.download": None,
    "cards.make": concerns.CARDS,
    "cards.print": None,
    "change.ask": None,
    "change.confirm": concerns.EVERYTHING,
    "change.refuse": None,
    "claim.draft": None,
    "claim.export": None,
    "claim.{}": None,
    "complaint.register": None,
    "complaint.{}": None,
    "contract.made": concerns.PLACES,
    "demo.places": concerns.EVERYTHING,
    "demo.volume": concerns.EVERYTHING,
    "elder.amend": concerns.elder("s"),
    "elder.note": concerns.elder("s"),
    "elder.note_many": concerns.ELDERS,
    "elder.photo": concerns.elder("s"),
    "elder.register": concerns.elder("s"),
    "elder.reveal": None,
    "finding.answer": None,
    "finding.reallocate": None,
    "import.accept": None,
    "import.begin": None,
    "import.layout": None,
    "import.roster": concerns.ELDERS,
    "import.undo": concerns.ELDERS,
    "import.{}": concerns.PLACES,
    "incarnation.renew": None,
    "menu.item": concerns.menu("s"),
    "menu.photo": concerns.menu("s"),
    "menu.plan": concerns.menu("s"),
    "menu.price": concerns.menu("s"),
    "menu.sold_out": concerns.menu("s"),
    "payout.enter": None,
    "payout.{}": None,
    "period.close": None,
    "person.create": concerns.person("s"),
    "person.disable": concerns.person("s"),
    "person.enable": concerns.person("s"),
    "person.end_grant": concerns.person("s"),
    "person.grant": concerns.person("s"),
    "person.password": None,
    "person.pin": None,
    "person.same_human": None,
    "person.unlock": None,
    "point.change": None,
    "refund.export": None,
    "refund.give": None,
    "revaluation.ask": None,
    "revaluation.order": None,
    "rulebook.draft": None,
    "rulebook.publish": concerns.node("220104"),
    "sale.withhold": None,
    "setting.begin": concerns.SETTINGS,
    "setting.set": concerns.SETTINGS,
    "simulation.export": None,
    "tablet.code": None,
    "tablet.confirm_lost": None,
    "tablet.declare_lost": None,
    "tablet.enrol": concerns.tablet("s"),
    "tablet.revoke": concerns.tablet("s"),
    "withheld.{}": None,
}
"""Kind -> what it concerns, for the subject 's'; {} is a part that is found when it is recorded."""

PARTS = {
    "card.{}": {str(each): concerns.card("s") for each in get_args(Report)},
    "import.{}": dict.fromkeys(KINDS, concerns.PLACES)
    | dict.fromkeys(("roster", "classes", "deaths", "households", "levels", "residents", "agents"), concerns.ELDERS)
    | {"staff": concerns.STAFF, "menus": concerns.MENUS, "points": None},
}
BODY = '{"node":"220104"}'


def test_every_kind_recorded_is_decided_on() -> None:
    assert sorted({kind for path in sorted(ROOT.rglob("*.py")) for kind in recorded_in(path)}) == sorted(DECIDED)


@pytest.mark.parametrize("kind", DECIDED)
def test_a_kind_concerns_what_was_decided(kind: str) -> None:
    for part, concern in PARTS.get(kind, {"any": DECIDED[kind]}).items():
        assert concerns.of(kind.format(part), "s", BODY) == ((concern,) if concern else ())


@pytest.mark.parametrize(
    "kind", ["elder.new", "menu.new", "card.new", "person.new", "tablet.new", "import.new", "rulebook.new"]
)
def test_a_kind_not_decided_on_concerns_everything(kind: str) -> None:
    assert concerns.of(kind, "s", BODY) == (concerns.EVERYTHING,)


def test_who_is_one_person_concerns_all_elders() -> None:
    assert concerns.of("elder.note", "s", '{"facts":[{"kind":"merged","retracts":7}]}') == (concerns.ELDERS,)


def test_a_card_bound_concerns_those_it_ends() -> None:
    ended = (concerns.card("s"), concerns.card("a"), concerns.card("b"))

    assert concerns.of("card.bind", "s", '{"ended":["a","b"]}') == ended


def recorded_in(path: Path) -> Iterator[str]:
    """Yield every kind that a call of `events.record` in a module names."""
    text = path.read_text("utf-8")
    if "events.record(" not in text:
        return
    module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "events.record":
            yield _kind(node.args[1], module)


def _kind(named: ast.expr, module: str) -> str:
    """Return a kind as it is written at the call: a text, a constant of the module, or a text with parts left out."""
    if isinstance(named, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in named.values)
    if isinstance(named, ast.Name):
        return str(getattr(importlib.import_module(module), named.id))
    assert isinstance(named, ast.Constant), f"{module}: name the kind at the call"
    return str(named.value)
