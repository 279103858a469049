"""Races from two real server processes: many connections, one start, every answer kept."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from canteen.auth import tablets
from canteen.auth.models import Tablet
from canteen.db import db, transaction


@dataclass(frozen=True)
class Key:
    """A tablet's key, as its browser would hold it."""

    tablet: str
    private: ec.EllipticCurvePrivateKey

    @classmethod
    def given_to(cls, tablet_id: str) -> Key:
        """Make a key and let the tablet's row know its public part."""
        private = ec.generate_private_key(ec.SECP256R1())
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        with transaction() as session:
            session.get_one(Tablet, tablet_id).public_key = point
        db.session.rollback()
        return cls(tablet_id, private)

    def headers(self, method: str, path: str, body: bytes) -> dict[str, str]:
        at = "2026-05-12T11:30:00+08:00"
        der = self.private.sign(tablets.signed_text(method, path, at, body), ec.ECDSA(hashes.SHA256()))
        raw = b"".join(part.to_bytes(32) for part in decode_dss_signature(der))
        return {
            "Content-Type": "application/json",
            "X-Requested-With": "canteen",
            "X-Tablet": self.tablet,
            "X-Tablet-At": at,
            "X-Tablet-Signature": base64.urlsafe_b64encode(raw).rstrip(b"=").decode(),
        }


@dataclass(frozen=True)
class Shot:
    """One batch of records to fire at one server."""

    url: str
    key: Key
    records: Sequence[dict[str, Any]]

    def prepared(self) -> tuple[str, bytes, dict[str, str]]:
        body = json.dumps({"records": list(self.records)}).encode()
        headers = self.key.headers("POST", "/api/v1/records", body)
        return urlsplit(self.url).netloc, body, headers | {"Origin": self.url}


def fire(shots: Sequence[Shot]) -> list[dict[str, Any]]:
    """Send all at once, each on its own connection, and answer the first result of each, in order."""
    ready = [shot.prepared() for shot in shots]
    start = threading.Barrier(len(ready))

    def send(prepared: tuple[str, bytes, dict[str, str]]) -> dict[str, Any]:
        host, body, headers = prepared
        connection = http.client.HTTPConnection(host, timeout=600)
        connection.connect()
        start.wait()
        connection.request("POST", "/api/v1/records", body, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        assert answer.status == 200, (answer.status, text[:500])
        result: dict[str, Any] = json.loads(text)["results"][0]
        return result

    with ThreadPoolExecutor(len(ready)) as pool:
        return list(pool.map(send, ready))
