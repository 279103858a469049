"""Processes of ours that need not load the house first: forked from one that has, made once a worker.

`start` gives a program of its own: own process, own environment, own process group, killed and waited for like any.
What it cannot show is that the `canteen` command itself starts; a test that is about that starts the command.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_COMMANDS = ("serve", "period", "claims", "scheduler", "cards", "roster", "install")
_FORKS.set_forkserver_preload(["tests.rigs.warm", "canteen.cli", *(f"canteen.commands.{name}" for name in _COMMANDS)])


def start(
    words: Sequence[str], environment: Mapping[str, str], out: Path, errors: Path | None = None, *, text: str = ""
) -> BaseProcess:
    """`canteen WORDS` in `environment`, in a process group of its own; what it prints goes to `out`.

    errors   where what it prints as errors goes, if not to `out` too
    text     a program to run instead of the command, with `words` as its arguments
    """
    process = _FORKS.Process(target=_run, args=(tuple(words), dict(environment), str(out), str(errors or out), text))
    process.start()
    return process


def _run(words: tuple[str, ...], environment: dict[str, str], out: str, errors: str, text: str) -> None:
    from canteen import cli, config  # noqa: PLC0415 - loaded already where this runs, and not wanted where it is asked for

    gc.freeze()  # of what was loaded before, nothing is garbage; to look through it would copy all its memory
    os.setsid()
    os.chdir(config.ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for number, path, kind in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, errors, os.O_WRONLY)):
        opened = os.open(path, kind | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    _customize(environment.get("PYTHONPATH"))
    multiprocessing.set_start_method(
        "fork", force=True
    )  # as a program finds it; here a forked child would spawn its own
    sys.argv = ["canteen", *words]
    if text:
        exec(compile(text, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the test's own
    else:
        cli.main()


def _customize(folder: str | None) -> None:
    """Return what a fresh interpreter would find first on its PYTHONPATH."""
    if folder and (script := Path(folder, "sitecustomize.py")).exists():
        exec(compile(script.read_text(), str(script), "exec"), {"__name__": "sitecustomize"})  # noqa: S102 - ours
