"""The server's stamp on a quote: proof, without a row, of what was quoted to which tablet and when (decision 0003).

A sale that carries a fresh stamp was made online: its service day is the server's, whatever the tablet's clock says.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from canteen import config


@dataclass(frozen=True, slots=True)
class Stamp:
    """Statement of the server at `at_ms` (milliseconds since 1970, UTC). Hashes in hex, `due` in fen."""

    tablet: str
    at_ms: int
    canteen: str
    elder: str | None
    credential: str | None
    input_hash: str
    rulebook: str
    due: int
    cashier: str | None = None  # who was logged in at the tablet and asked

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)


def instant(now: datetime) -> datetime:
    """Round `now` up to whole milliseconds, as a stamp carries it.

    Rounded down it could lie before a card was given out a moment ago, which would be nobody's at the sale.
    """
    return now + timedelta(microseconds=-now.microsecond % 1000)


def issue(stamp: Stamp) -> str:
    """Issue the stamp as opaque text."""
    values = (stamp.tablet, stamp.at_ms, stamp.canteen, stamp.elder, stamp.credential)
    rest = (stamp.input_hash, stamp.rulebook, stamp.due, stamp.cashier)
    body = json.dumps([*values, *rest], separators=(",", ":")).encode()
    return f"{_b64(body)}.{_b64(_mac(body))}"


def read(text: str | None, *, tablet: str) -> Stamp | None:
    """Read a stamp that this server gave to this tablet; None for anything else."""
    if not text:
        return None
    head, _, tail = text.partition(".")
    try:
        body, mac = _unb64(head), _unb64(tail)
    except ValueError:
        return None
    if not hmac.compare_digest(mac, _mac(body)):
        return None
    stamp = Stamp(*json.loads(body))
    return stamp if stamp.tablet == tablet else None


def _mac(body: bytes) -> bytes:
    return hmac.new(config.current().secret("stamp"), body, hashlib.sha256).digest()


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
