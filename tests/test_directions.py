"""The checks of import directions refuse what they are for, and know every module that they are about."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import grimp
import pytest

from tools import directions

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("canteen.registry.lookup", "canteen.registry.card_pages"),
        ("canteen.pos.records", "canteen.pos.tablets_api"),
        ("canteen.settlement.claims.review", "canteen.settlement.desk.claim_pages"),
        ("canteen.registry.card_pages", "canteen.registry.api"),
        ("canteen.commands.cards", "canteen.registry.pages"),
        ("canteen.registry.models", "canteen.registry.elders"),
    ],
)
def test_an_import_of_pages_or_by_models_is_refused(importer: str, imported: str):
    graph = grimp.ImportGraph()
    graph.add_import(importer=imported, imported="canteen.registry.cards")
    graph.add_import(importer="canteen.app", imported=imported)
    assert not list(directions.wrong_ways(graph))

    graph.add_import(importer=importer, imported=imported)

    assert [line.split(",")[0] for line in directions.wrong_ways(graph)] == [f"{importer} imports {imported}"]


def test_an_import_that_goes_up_in_the_tablet_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(directions, "TABLET", tmp_path)
    for folder in ("model", "net"):
        (tmp_path / folder).mkdir()
    script = tmp_path / "model" / "queue.js"
    script.write_text("import { a } from './rows.js'\nimport { b } from '../net/api.js'\n")

    assert list(directions.going_up(script)) == ["model/queue.js imports ../net/api.js, which is above it"]


def test_a_module_said_to_be_pure_is_in_a_contract():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    pure = [name for contract in contracts if "pure" in contract["name"].lower() for name in contract["source_modules"]]
    said = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "canteen").rglob("*.py"))
        if re.search(r"\bpure\b", ast.get_docstring(ast.parse(path.read_text())) or "", re.IGNORECASE)
    }
    assert not {name for name in said if not any(f"{name}.".startswith(f"{known}.") for known in pure)}
