"""Processes that begin and end together: a child that outlives its parent goes on with old code and old settings.

A child has the reading end of a pipe that only its parent can write to. When the parent ends, however it ends, the system
closes the pipe; the child sees that and ends too.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import select
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

GRACE: Final = 10.0  # seconds in which a child may finish what it does
PAUSES: Final = (1.0, 60.0)  # seconds before a child is started again: the first, doubled each time, at most
STEADY: Final = 300.0  # seconds after which a child that ends is taken for one that worked

log = logging.getLogger("canteen.processes")


def end_with_parent() -> None:
    """End this process when the one that forked it ends; nothing when it is nobody's `multiprocessing` child."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        end_with(parent.sentinel)


def end_with(pipe: int) -> None:
    """End this process when the other end of `pipe`, a file descriptor to which nothing is written, is closed."""
    threading.Thread(target=_follow, args=(pipe,), name="follow parent", daemon=True).start()


def _follow(pipe: int) -> None:
    watch = select.poll()
    watch.register(pipe, select.POLLIN | select.POLLHUP)
    while not watch.poll():
        pass
    log.warning("the process that started this one has ended; ending too")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)  # whatever was at work is a transaction that is rolled back


class Watched:
    """A child process that is started again whenever it ends, after a pause, until it is stopped; each restart is reported.

    command  its standard input is the pipe by which it sees us end
    report   what became of it, a sentence in Chinese
    """

    def __init__(self, command: Sequence[str], report: Callable[[str], None]) -> None:
        self._command, self._report = command, report
        self._stopping = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._changing = threading.Lock()
        self._thread = threading.Thread(target=self._watch, name="watch child", daemon=True)

    @property
    def pid(self) -> int | None:
        """Return the id of the child that runs now."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the child and wait for it."""
        with self._changing:
            self._stopping.set()
            if self._child is not None:
                self._child.terminate()
        self._thread.join()

    def _watch(self) -> None:
        pause = PAUSES[0]
        while not self._stopping.is_set():
            began = time.monotonic()
            ended = self._run()
            if self._stopping.is_set():
                return
            pause = PAUSES[0] if time.monotonic() - began > STEADY else pause
            self._report(f"定时任务进程意外退出（{ended}），{pause:.0f} 秒后重新启动。")
            self._stopping.wait(pause)
            pause = min(2 * pause, PAUSES[1])

    def _run(self) -> str:
        """Start the child and wait for its end; says how it ended."""
        try:
            with self._changing:
                if self._stopping.is_set():
                    return ""
                self._child = subprocess.Popen(self._command, stdin=subprocess.PIPE)  # noqa: S603 - a command of ours
        except OSError as error:
            return f"无法启动：{error}"
        code = self._child.wait()
        if self._child.stdin:
            self._child.stdin.close()
        return f"信号 {-code}" if code < 0 else f"退出码 {code}"
