"""Tablets at the server's door: persistent connections, requests signed beforehand, one process for all of them.

Two ways to load. Closed: each tablet sends its next request when the last is answered. At a fixed rate: requests are
due at instants drawn beforehand and each is counted from the instant it was due, also while its tablet still waits for
an answer; so a server that stalls cannot hide the requests that it kept from being sent.
"""

from __future__ import annotations

import gc
import json
import random
import re
import selectors
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 60.0  # seconds without any answer after which a server is given up
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Refused(RuntimeError):
    """The server answered otherwise than the bench expects: one of the two is wrong."""


@dataclass(slots=True)
class Load:
    """What a stretch of load gave: milliseconds of each request, seconds, the client's own processor seconds."""

    took: list[float]
    seconds: float
    cpu: float
    ran_out: bool = False

    @property
    def tps(self) -> float:
        return len(self.took) / self.seconds


@dataclass(slots=True)
class Tablet:
    """One connection and what waits to be sent over it."""

    address: tuple[str, int]
    waiting: deque[bytes] = field(default_factory=deque)
    socket: socket.socket = field(init=False)
    due: float | None = None  # when the request under way was meant to be sent
    buffer: bytes = b""

    def __post_init__(self) -> None:
        self.socket = socket.create_connection(self.address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, due: float) -> None:
        """Send the next request, meant to go out at `due` (perf_counter)."""
        self.due = due
        self.socket.sendall(self.waiting.popleft())

    def answered(self, right: bytes) -> bool:
        """Read what has come; whether the answer is whole. Raises Refused unless it is a 200 that holds `right`."""
        data = self.socket.recv(65536)
        if not data:
            raise Refused("the server closed the connection")
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return False
        length = _LENGTH.search(head)
        if length is None:
            raise Refused(f"an answer without a length: {head!r}")
        if len(body) < int(length[1]):
            return False
        if b" 200 " not in head[:16] or right not in body:
            raise Refused(f"{head[:40]!r} {body[:600].decode(errors='replace')}")
        self.buffer = b""
        return True

    def close(self) -> None:
        self.socket.close()


def requests(path: Path) -> dict[int, list[bytes]]:
    """Read the requests that bench/world.py left, ready for the wire, by till."""
    found: dict[int, list[bytes]] = {}
    for line in path.read_text().splitlines():
        one = json.loads(line)
        body = one["body"].encode()
        named = {"Host": "127.0.0.1", "Content-Type": "application/json", "Content-Length": len(body), **one["headers"]}
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        found.setdefault(one["till"], []).append(f"POST {one['path']} HTTP/1.1\r\n{head}\r\n".encode() + body)
    return found


def closed(tablets: Sequence[Tablet], seconds: float, right: bytes, *, each: int | None = None) -> Load:
    """Load by all tablets at once until the time is over, or one has nothing left to send.

    each    rather than for a time, until every tablet has been answered so often
    """
    with _quiet(), _watched(tablets) as ready:
        load = Load([], 0.0, time.process_time())
        began = time.perf_counter()
        ends, open_ = began + seconds, 0
        left = {id(tablet): each if each is not None else -1 for tablet in tablets}
        for tablet in tablets:
            if tablet.waiting and each != 0:
                tablet.send(time.perf_counter())
                open_ += 1
        while open_:
            for tablet in ready():
                if not tablet.answered(right):
                    continue
                now = time.perf_counter()
                assert tablet.due is not None
                load.took.append((now - tablet.due) * 1000)
                tablet.due = None
                left[id(tablet)] -= 1
                load.ran_out = load.ran_out or (not tablet.waiting and left[id(tablet)] != 0)
                if now >= ends or load.ran_out or left[id(tablet)] == 0:
                    open_ -= 1
                else:
                    tablet.send(now)
        load.seconds, load.cpu = time.perf_counter() - began, time.process_time() - load.cpu
        return load


def steady(tablets: Sequence[Tablet], due: Sequence[float], right: bytes) -> Load:
    """Load at given instants.

    due    seconds from the start at which the requests are meant to go out, in order; they go round the tablets
    """
    with _quiet(), _watched(tablets) as ready:
        load = Load([], 0.0, time.process_time())
        began = time.perf_counter()
        queues: dict[int, deque[float]] = {id(tablet): deque() for tablet in tablets}
        turns, open_, sent = list(due), 0, 0
        while sent < len(turns) or open_:
            now = time.perf_counter()
            while sent < len(turns) and began + turns[sent] <= now:
                tablet = tablets[sent % len(tablets)]
                queues[id(tablet)].append(began + turns[sent])
                sent += 1
                open_ += 1
                _next(tablet, queues)
            pause = max(0.0, began + turns[sent] - time.perf_counter()) if sent < len(turns) else None
            for tablet in ready(pause):
                if tablet.answered(right):
                    assert tablet.due is not None
                    load.took.append((time.perf_counter() - tablet.due) * 1000)
                    tablet.due = None
                    open_ -= 1
                    _next(tablet, queues)
        load.seconds, load.cpu = time.perf_counter() - began, time.process_time() - load.cpu
        return load


def _next(tablet: Tablet, queues: dict[int, deque[float]]) -> None:
    if tablet.due is None and queues[id(tablet)]:
        if not tablet.waiting:
            raise Refused("a tablet has nothing left to send")
        tablet.send(queues[id(tablet)].popleft())


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Instants at which requests are due: on average `rate` a second, independent of one another (Poisson)."""
    rng, at, found = random.Random(seed), 0.0, list[float]()
    while (at := at + rng.expovariate(rate)) < seconds:
        found.append(at)
    return found


@contextmanager
def _watched(tablets: Sequence[Tablet]) -> Iterator[Callable[..., list[Tablet]]]:
    """Yield a function that waits for the tablets with an answer and returns them."""
    with selectors.DefaultSelector() as selector:
        for tablet in tablets:
            selector.register(tablet.socket, selectors.EVENT_READ, tablet)

        def ready(pause: float | None = None) -> list[Tablet]:
            found = selector.select(PATIENCE if pause is None else pause)
            if not found and pause is None:
                raise Refused(f"no answer in {PATIENCE:.0f} seconds")
            return [key.data for key, _ in found]

        yield ready


@contextmanager
def _quiet() -> Iterator[None]:
    """No collection of garbage while time is taken."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
