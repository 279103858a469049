"""A server killed between COMMIT and its answer: the sale is booked, and the same record sent again is known."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from canteen.config import Config
from canteen.pos.models import Sale, Slot
from tests import world
from tests.races.rig import Key, Shot
from tests.races.test_races import claimable, open_all_day
from tests.rigs.servers import Serve


def send_and_hang(shot: Shot) -> socket.socket:
    """Send a batch and read no answer, as when the line goes dead."""
    host, body, headers = shot.prepared()
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"POST /api/v1/records HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n{head}\r\n"
    parts = urlsplit(shot.url)
    assert parts.hostname is not None
    assert parts.port is not None
    line = socket.create_connection((parts.hostname, parts.port), timeout=600)
    line.sendall(request.encode() + body)
    return line


def test_sale_committed_without_an_answer_is_known_on_resend(
    app: Flask, session: Session, config: Config, serve: Serve, rounds: Callable[[int, int], int]
) -> None:
    till = world.make(session)
    world.a_rulebook(session)
    open_all_day(session)
    key, patience = Key.given_to(till.tablet), threading.Event()
    for _ in range(rounds(1, 100)):
        server = serve(config, options=("--no-scheduler", "--workers", "1"))
        elder = world.an_elder(session)
        record = world.seal(till, world.checkout_body(till, [world.a_card(session, elder)]))
        sales = session.execute(select(func.count()).select_from(Sale)).scalar_one()
        session.rollback()
        line = send_and_hang(Shot(server.url, key, [record]))
        while session.execute(select(func.count()).select_from(Sale)).scalar_one() == sales:
            session.rollback()
            patience.wait(0.002)
        server.kill()
        line.close()
        session.rollback()
        assert [world.bring(till, record)[0].outcome for _ in range(2)] == ["have", "have"]
        session.rollback()
        assert session.execute(select(func.count()).where(Sale.elder_id == elder)).scalar_one() == 1
        assert session.execute(select(func.count()).where(Slot.person_id == elder)).scalar_one() == 1
        assert claimable(session, elder) == 500
