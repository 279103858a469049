"""Processes of ours that need not load the house first: forked from one that has, made once a worker.

`start` gives a program of its own: own process, own environment, own process group, killed and waited for like any.
What it cannot show is that the `canteen` command itself starts; a test that is about that starts the command.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.rigs.warm", "canteen.cli", "canteen.commands.serve"])


def start(words: tuple[str, ...], environment: Mapping[str, str], log: Path) -> BaseProcess:
    """`canteen WORDS` in `environment`, in a process group of its own; what it prints goes to `log`."""
    process = _FORKS.Process(target=_run, args=(words, dict(environment), str(log)))
    process.start()
    return process


def _run(words: tuple[str, ...], environment: dict[str, str], log: str) -> None:
    from canteen import cli, config  # noqa: PLC0415 - loaded already where this runs, and not wanted where it is asked for

    os.setsid()
    os.chdir(config.ROOT)
    os.environ.clear()
    os.environ.update(environment)
    for number, kind in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        opened = os.open(os.devnull if number == 0 else log, kind | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    _customize(environment.get("PYTHONPATH"))
    multiprocessing.set_start_method(
        "fork", force=True
    )  # as a program finds it; here a forked child would spawn its own
    sys.argv = ["canteen", *words]
    cli.main()


def _customize(folder: str | None) -> None:
    """What a fresh interpreter would find on its PYTHONPATH before all else."""
    if folder and (script := Path(folder, "sitecustomize.py")).exists():
        exec(compile(script.read_text(), str(script), "exec"), {"__name__": "sitecustomize"})  # noqa: S102 - ours
