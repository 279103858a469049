"""What a tablet needs to be one, the same for every build: its key, and how it signs a request.

It imports nothing of the product, so that bench/world.py and bench/world_before.py sign alike.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from stdnum import damm
from stdnum.iso7064 import mod_97_10

CURVE = ec.SECP256R1()


def tablet_id(till: int) -> str:
    return f"bench{till:02d}"


def card_code(number: int) -> str:
    """Return the code that is printed on the n-th card."""
    head = str(10**23 + number)
    return head + str(mod_97_10.calc_check_digits(head))


def card_number(number: int) -> str:
    """Return the number that people read on the n-th card."""
    head = str(1_000_000 + number)
    return head + damm.calc_check_digit(head)


def public_point(till: int) -> bytes:
    """Return the till's public key as it is enrolled: uncompressed, 65 bytes."""
    return _key(till).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def request(till: int, token: str, path: str, content: object, at: datetime) -> dict[str, Any]:
    """Return one request as a line of a file: its till, path, headers and body.

    token  of the cashier's session at the till
    """
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    clock = at.isoformat(timespec="milliseconds")
    text = f"POST\n{path}\n{clock}\n{hashlib.sha256(body.encode()).hexdigest()}".encode()
    signed = _key(till).sign(text, ec.ECDSA(hashes.SHA256()))
    raw = b"".join(part.to_bytes(32) for part in decode_dss_signature(signed))
    headers = {
        "X-Tablet": tablet_id(till),
        "X-Tablet-At": clock,
        "X-Tablet-Signature": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
        "Cookie": f"till={token}",
    }
    return {"till": till, "path": path, "headers": headers, "body": body}


_KEYS: dict[int, ec.EllipticCurvePrivateKey] = {}


def _key(till: int) -> ec.EllipticCurvePrivateKey:
    if till not in _KEYS:
        scalar = int.from_bytes(hashlib.sha256(f"bench {till}".encode()).digest()[:31]) + 1
        _KEYS[till] = ec.derive_private_key(scalar, CURVE)
    return _KEYS[till]
