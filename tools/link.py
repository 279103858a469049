"""Put this tree on the environment's path and its command in .venv/bin, without a build backend or the network."""

import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = """#!{python}
import sys

from {module} import {function}

if __name__ == "__main__":
    sys.exit({function}())
"""


def main() -> None:
    """Write canteen.pth and one script for each entry of [project.scripts]; untouched when already right."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    _write(Path(sysconfig.get_path("purelib")) / f"{project['name']}.pth", f"{ROOT}\n")
    scripts = Path(sysconfig.get_path("scripts"))
    for name, target in project["scripts"].items():
        module, function = target.split(":")
        command = scripts / name
        _write(command, SCRIPT.format(python=scripts / "python", module=module, function=function))
        command.chmod(0o755)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
