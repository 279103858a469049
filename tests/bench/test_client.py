from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import client
from bench.client import Load, Refused, Tablet

REQUEST = b"POST /records HTTP/1.1\r\nContent-Length: 0\r\n\r\n"


class Door:
    """A server that answers each request in two pieces, after a pause."""

    def __init__(self) -> None:
        self.pause, self.body, self.answered = 0.0, b'{"outcome": "created"}', 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listening.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                taken, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(taken,), daemon=True).start()

    def _answer(self, taken: socket.socket) -> None:
        with taken, contextlib.suppress(ConnectionError):  # the tablet may go in the middle of an answer
            while taken.recv(65536):
                threading.Event().wait(self.pause)
                self.answered += 1
                head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(self.body)}\r\n\r\n".encode()
                taken.sendall(head[:20])
                taken.sendall(head[20:] + self.body)

    def close(self) -> None:
        self._listening.close()


@pytest.fixture
def door() -> Iterator[Door]:
    found = Door()
    yield found
    found.close()


@pytest.fixture
def tablets(door: Door) -> Iterator[list[Tablet]]:
    found = [Tablet(door.address, deque([REQUEST] * 5)) for _ in range(2)]
    yield found
    for tablet in found:
        tablet.close()


def test_a_closed_loop_ends_when_a_tablet_has_sent_all(door: Door, tablets: list[Tablet]) -> None:
    load = client.closed(tablets, 60.0, b"created")
    assert load.ran_out
    assert 5 <= len(load.took) == door.answered <= 10


def test_a_warm_up_leaves_the_rest_to_be_sent(door: Door, tablets: list[Tablet]) -> None:
    load = client.closed(tablets, 60.0, b"created", each=2)
    assert not load.ran_out
    assert [len(tablet.waiting) for tablet in tablets] == [3, 3]


def test_at_a_fixed_rate_waiting_for_a_tablet_counts(door: Door, tablets: list[Tablet]) -> None:
    door.pause = 0.05
    load = client.steady(tablets[:1], [0.0, 0.0, 0.0], b"created")
    assert [round(took) >= 50 * turn for turn, took in enumerate(sorted(load.took), 1)] == [True, True, True]


def test_an_answer_of_another_kind_ends_the_bench(door: Door, tablets: list[Tablet]) -> None:
    door.body = b'{"outcome": "quarantined"}'
    with pytest.raises(Refused, match="quarantined"):
        client.closed(tablets, 60.0, b"created")


def test_arrivals_are_drawn_beforehand_and_in_order() -> None:
    due = client.arrivals(100.0, 10.0, seed=1)
    assert due == sorted(due) == client.arrivals(100.0, 10.0, seed=1)
    assert 900 < len(due) < 1100
    assert max(due) < 10.0


def test_a_request_is_put_together_once_for_the_wire(tmp_path: Path) -> None:
    one = {"till": 3, "path": "/api/v1/records", "headers": {"X-Tablet": "bench03"}, "body": '{"a":"粥"}'}
    (tmp_path / "requests.jsonl").write_text(json.dumps(one) + "\n")
    (raw,) = client.requests(tmp_path / "requests.jsonl")[3]
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v1/records HTTP/1.1\r\n")
    assert b"Content-Length: 11" in head
    assert body.decode() == '{"a":"粥"}'


def test_what_a_load_did_a_second_is_over_its_own_time() -> None:
    assert Load([1.0, 2.0, 3.0], 1.5, 0.1).tps == 2.0
