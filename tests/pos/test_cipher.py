"""Records encrypted to the server's key: opened at the door, and set aside alone where they cannot be."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import clock, config, packing
from canteen.pos import cipher, envelope
from canteen.pos.models import Record, Sale
from tests import world
from tests.rigs.states import state
from tests.world import NOON, World

FROM_A_TABLET = Path(__file__).parents[1] / "js" / "encrypted.json"  # made by static/pos/model/cipher.js


@state
def till(app: Flask, session: Session) -> World:
    made = world.make(session)
    world.a_rulebook(session)
    return made


@state
def records(session: Session, till: World) -> list[dict[str, Any]]:
    """Two checkouts of two elders, in clear."""
    cards = [world.a_card(session, world.an_elder(session)) for _ in range(2)]
    with clock.at(NOON):
        return [world.seal(till, world.checkout_body(till, [card])) for card in cards]


def encrypted(record: dict[str, Any]) -> dict[str, Any]:
    key = cipher.public_key()
    body = cipher.encrypted(record["body"].encode(), key, record["hash"])
    return {**record, "cipher": "p256", "key": key.id, "body": body}


def bring(till: World, *sent: dict[str, Any]) -> list[tuple[str, str | None]]:
    with clock.at(NOON):
        return [(each.outcome, each.reason) for each in world.bring(till, *sent)]


def kept(session: Session) -> list[tuple[str, str, str]]:
    session.rollback()
    return [
        (row.state, row.cipher, row.reason) for row in session.execute(select(Record).order_by(Record.id)).scalars()
    ]


def another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installation's secret is another one from now on."""
    monkeypatch.setitem(config._SECRETS, (config.current().keys_dir, "stamp"), b"another secret of 32 bytes long.")


def test_an_encrypted_record_is_booked_and_kept_in_clear(
    session: Session, till: World, records: list[dict[str, Any]]
) -> None:
    sent = encrypted(records[0])
    assert "input" not in json.dumps(sent)
    assert bring(till, sent) == [("created", None)]
    row = session.execute(select(Record)).scalar_one()
    assert (row.cipher, row.key_id, row.body.decode()) == ("none", None, records[0]["body"])
    assert row.hash == records[0]["hash"]
    stored = session.connection().exec_driver_sql("SELECT body FROM record").scalar_one()
    assert len(stored) < len(row.body) / 2
    assert packing.unpack(bytes(stored)) == row.body


def test_a_record_is_the_same_in_clear_and_encrypted(
    session: Session, till: World, records: list[dict[str, Any]]
) -> None:
    first, second = records
    assert bring(till, first, encrypted(first), encrypted(second), second) == [
        ("created", None),
        ("have", None),
        ("created", None),
        ("have", None),
    ]
    assert len(session.execute(select(Sale)).all()) == 2


@pytest.mark.parametrize("change", ["body", "hash", "short", "point", "no base64"])
def test_a_ciphertext_that_was_changed_is_set_aside_alone(
    session: Session, till: World, records: list[dict[str, Any]], change: str
) -> None:
    first, second = (encrypted(each) for each in records)
    data = base64.urlsafe_b64decode(first["body"] + "=" * (-len(first["body"]) % 4))
    changed = {
        "body": {"body": _text(data[:-1] + bytes([data[-1] ^ 1]))},
        "hash": {"hash": "f" * 64},
        "short": {"body": first["body"][:40]},
        "point": {"body": _text(bytes([4]) + bytes(64) + data[65:])},
        "no base64": {"body": "密文"},
    }[change]
    assert bring(till, {**first, **changed}, second) == [("quarantined", "cipher_broken"), ("created", None)]
    assert ("quarantined", "p256", "cipher_broken") in kept(session)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_record_of_an_unknown_key_waits_until_the_key_is_back(
    session: Session, till: World, records: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [encrypted(each) for each in records]
    with monkeypatch.context() as patch:
        another_key(patch)
        assert bring(till, *sent) == [("quarantined", "cipher_key_unknown")] * 2
        assert bring(till, *sent) == [("quarantined", "cipher_key_unknown")] * 2
    assert kept(session) == [("quarantined", "p256", "cipher_key_unknown")] * 2
    assert bring(till, *sent) == [("created", None)] * 2
    session.rollback()
    rows = session.execute(select(Record).order_by(Record.id)).scalars().all()
    assert [row.resolves for row in rows] == [None, None, rows[0].id, rows[1].id]


def test_the_server_opens_what_the_tablets_program_encrypted(monkeypatch: pytest.MonkeyPatch, app: Flask) -> None:
    made = json.loads(FROM_A_TABLET.read_text(encoding="utf-8"))
    monkeypatch.setitem(config._SECRETS, (config.current().keys_dir, "stamp"), bytes.fromhex(made["secret"]))
    sent = envelope.read(made["record"])
    opened = cipher.opened(sent)
    assert (opened.body.decode(), opened.cipher, opened.key_id, opened.whole) == (made["body"], "none", None, True)
    assert replace(opened, body=b"{}").whole is False
