"""The trees of source that are compared: this one, and the build before, checked out into a folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BEFORE = "3900b16a3cfb75dd08ec47b56d90901af3f9b6a3"
"""The build before a checkout became one statement; what is compared with it runs in the same environment."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of source: `name` as the tables call it, `world` the program in bench/ that knows its names."""

    name: str
    root: Path
    world: str

    @property
    def environment(self) -> dict[str, str]:
        """Return what its programs are started with: `canteen` is then this tree's."""
        return {**os.environ, "PYTHONPATH": str(self.root)}

    def program(self, command: str, url: str, folder: Path, **asked: object) -> list[str]:
        """Return the command line of a command of the tree's program in bench/."""
        return [sys.executable, str(ROOT / "bench" / self.world), command, url, str(folder), json.dumps(asked)]

    def run(self, command: str, url: str, folder: Path, **asked: object) -> Any:
        """Run it over this tree; what it answers. Raises CalledProcessError."""
        line = self.program(command, url, folder, **asked)
        done = subprocess.run(
            line, cwd=self.root, env=self.environment, stdout=subprocess.PIPE, text=True, check=True
        )  # fmt: skip
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


def product() -> Tree:
    """Return the tree that contains this bench."""
    return Tree("product", ROOT, "world.py")


def before(folder: Path) -> Tree | None:
    """Return the build before in `folder`; None where this clone does not reach back to it."""
    done = subprocess.run(["git", "-C", str(ROOT), "archive", BEFORE], capture_output=True, check=False)
    if done.returncode:
        return None
    folder.mkdir(parents=True)
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    return Tree("before", folder, "world_before.py")
