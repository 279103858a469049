"""Imports of the tablet's modules go down: main, screens, then net, store, devices side by side, then model.

The model imports nothing but itself. Prints each import that goes up, and exits 1 when there is one.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

TABLET = Path(__file__).resolve().parent.parent / "static" / "pos"
FLOORS = {"": 3, "screens": 2, "net": 1, "store": 1, "devices": 1, "model": 0}
IMPORT = re.compile(r"""^\s*(?:import|export)\b[^'"]*?['"](\.[^'"]+)['"]""", re.MULTILINE)


def main() -> int:
    wrong = [line for script in sorted(TABLET.rglob("*.js")) for line in going_up(script)]
    print(*wrong, sep="\n") if wrong else print("Imports of the tablet go down")
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


if __name__ == "__main__":
    sys.exit(main())
