"""Check directions of imports that no contract in pyproject.toml can state. Prints each wrong import; exits 1 if any.

The tablet, by floors: main, screens, then net, store, devices side by side, then model, which imports nothing but itself.
The features of the server, by the names of modules: pages and APIs are entered by the application alone, and a feature's
models know nothing of what is done with them.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp

TABLET = Path(__file__).resolve().parent.parent / "static" / "pos"
FLOORS = {"": 3, "screens": 2, "net": 1, "store": 1, "devices": 1, "model": 0}
IMPORT = re.compile(r"""^\s*(?:import|export)\b[^'"]*?['"](\.[^'"]+)['"]""", re.MULTILINE)
ENTRANCE = re.compile(r"canteen\.(?!web\.)[\w.]*\b(?:\w+_)?(pages|api)")  # web.api is what the APIs share
APPLICATION = "canteen.app"


def main() -> int:
    graph = grimp.build_graph("canteen", cache_dir=None)
    wrong = [line for script in sorted(TABLET.rglob("*.js")) for line in going_up(script)] + list(wrong_ways(graph))
    print(*wrong, sep="\n") if wrong else print("Imports of the tablet and of the features go down")
    return 1 if wrong else 0


def going_up(script: Path) -> Iterator[str]:
    """Yield a line for each import of `script` that goes to a higher floor or out of the tablet's folder."""
    for target in IMPORT.findall(script.read_text(encoding="utf-8")):
        imported = (script.parent / target).resolve()
        if not imported.is_relative_to(TABLET) or floor(imported) > floor(script):
            yield f"{script.relative_to(TABLET)} imports {target}, which is above it"


def floor(script: Path) -> int:
    """Return the floor of a module. Raises KeyError for a folder that has no floor yet."""
    inside = script.relative_to(TABLET).parts
    return FLOORS[inside[0] if len(inside) > 1 else ""]


def wrong_ways(graph: grimp.ImportGraph) -> Iterator[str]:
    """Yield a line for each import of pages or an API by a use case, and of a use case by its feature's models."""
    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            kind = kind_of(imported)
            if kind and importer != APPLICATION and kind_of(importer) != kind:
                yield f"{importer} imports {imported}, which only the application and other {kind} may"
            package = importer.rpartition(".")[0]
            if (
                importer.endswith(".models")
                and imported.startswith(f"{package}.")
                and imports_of(graph, imported, package)
            ):
                yield f"{importer} imports {imported}, which is above it"


def kind_of(module: str) -> str | None:
    """Return `pages` or `api` for a module that answers requests, by its name; None for any other."""
    found = ENTRANCE.fullmatch(module)
    return found[1] if found else None


def imports_of(graph: grimp.ImportGraph, module: str, package: str) -> set[str]:
    """Return what `module` imports of `package`."""
    return {name for name in graph.find_modules_directly_imported_by(module) if name.startswith(f"{package}.")}


if __name__ == "__main__":
    sys.exit(main())
