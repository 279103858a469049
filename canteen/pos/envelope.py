"""The envelope of a record: numbered and chained by hash; the format of version 1 never changes.

The hash of version 1 is SHA-256 over these texts joined by newlines: v, tablet, epoch, number, prev, at, mono,
boot, kind, SHA-256 of the clear body: the same whether the body travels in clear or encrypted. The tablet's twin is
static/pos/model/envelope.js.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from canteen import clock
from canteen.errors import Invalid, Refusal
from canteen.pos import wire_format

VERSION = 1
FIRST = "0" * 64  # what the first record of an epoch names as the one before it
BOOKED = ("checkout", "void")
RESERVED = (
    "count",
    "tender_change",
    "service_use",
    "offline_evidence",
)  # stored in quarantine; bodies in docs/protocol.md
MOST_BYTES = 256 * 1024  # of one body in clear
ENCRYPTED = "p256"  # the cipher of a body that only the server can read (canteen/pos/cipher.py)
CIPHERS = ("none", ENCRYPTED)

_AT = wire_format.like("[ -~]{1,64}")  # kept as sent, whatever it says: see `Envelope.at`
_HEX = wire_format.like("[0-9a-f]{64}")
_ID = wire_format.like("[0-9A-Za-z-]{1,64}")


class EnvelopeMalformed(Invalid):
    code = "envelope_malformed"
    message = "平板发来的记录无法识别，请更新平板后重试，或联系系统运维。"


class ClockImpossible(Refusal):
    code = "clock_impossible"
    message = "平板记录的日期无法识别，已单独保存，请校准平板时间并联系系统运维。"


_read = wire_format.record(
    {
        "v": wire_format.whole(VERSION, VERSION),
        "cipher": wire_format.among(CIPHERS),
        "key": wire_format.or_null(_ID),
        "tablet": _ID,
        "epoch": wire_format.whole(1, 2**31),
        "number": wire_format.whole(1, 2**53),
        "prev": _HEX,
        "at": _AT,
        "mono": wire_format.whole(0, 2**53),
        "boot": _ID,
        "kind": wire_format.among((*BOOKED, *RESERVED)),
        "body": wire_format.text(),
        "hash": _HEX,
    }
)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A record as a tablet sent it, `body` in clear or encrypted as `cipher` says.

    `at_text` is the tablet's clock as it wrote it, `mono_ms` its monotonic one.
    """

    tablet: str
    epoch: int
    number: int
    previous: str
    hash: str
    at_text: str
    mono_ms: int
    boot: str
    kind: str
    body: bytes
    version: int = VERSION
    cipher: str = "none"
    key_id: str | None = None

    @property
    def at(self) -> datetime:
        """Return the time of the tablet's clock. Raises ClockImpossible."""
        found = clock.read(self.at_text)
        if found is None:
            raise ClockImpossible
        return found

    @property
    def reference(self) -> str:
        """Return 'epoch/number', by which an answer names the record."""
        return f"{self.epoch}/{self.number}"

    @property
    def whole(self) -> bool:
        """Tell whether the hash is that of the content; the body must be decrypted."""
        return self.hash == record_hash(self)


def read(document: object) -> Envelope:
    """Read an envelope from decoded JSON. Raises EnvelopeMalformed naming the fields."""
    try:
        data: dict[str, Any] = _read(document)
    except wire_format.Wrong as error:
        raise EnvelopeMalformed(details={"fields": error.fields}) from error
    return Envelope(
        tablet=data["tablet"],
        epoch=data["epoch"],
        number=data["number"],
        previous=data["prev"],
        hash=data["hash"],
        at_text=data["at"],
        mono_ms=data["mono"],
        boot=data["boot"],
        kind=data["kind"],
        body=data["body"].encode("utf-8", "surrogatepass"),
        cipher=data["cipher"],
        key_id=data["key"],
    )


def record_hash(envelope: Envelope) -> str:
    """Compute the hash that version 1 gives to this content."""
    parts = (
        str(envelope.version),
        envelope.tablet,
        str(envelope.epoch),
        str(envelope.number),
        envelope.previous,
        envelope.at_text,
        str(envelope.mono_ms),
        envelope.boot,
        envelope.kind,
        hashlib.sha256(envelope.body).hexdigest(),
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def seal(
    body: dict[str, Any],
    *,
    kind: str,
    tablet: str,
    epoch: int,
    number: int,
    previous: str,
    at: datetime,
    mono_ms: int,
    boot: str,
) -> dict[str, Any]:
    """Make an envelope as a tablet would send it, ready for JSON: for the demo city and the tests."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    document: dict[str, Any] = {
        "v": VERSION,
        "cipher": "none",
        "key": None,
        "tablet": tablet,
        "epoch": epoch,
        "number": number,
        "prev": previous,
        "at": at.isoformat(timespec="milliseconds"),
        "mono": mono_ms,
        "boot": boot,
        "kind": kind,
        "body": text,
        "hash": FIRST,
    }
    return {**document, "hash": record_hash(read(document))}
