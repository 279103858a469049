"""Encryption of record bodies by a tablet to the server's key, so that nobody can read what waits in a tablet.

ECIES from what every browser has. A fresh P-256 key of the tablet and the server's public point agree on a secret
(ECDH); HKDF-SHA-256 over it, with INFO and both points as its info, gives 32 bytes of key and 12 of nonce for
AES-256-GCM. The body of the envelope is then base64url of the fresh public point (65 bytes) and the ciphertext; the
additional data is the record's hash, which is taken over the clear body. The tablet's twin is
static/pos/model/cipher.js.

The server's private key is derived from the installation's secret `stamp`: whoever has the keys of a backup can read
the records that tablets bring again.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from canteen import config
from canteen.errors import Refusal
from canteen.pos.envelope import ENCRYPTED, Envelope

INFO = b"canteen record body 1"
POINT = 65  # bytes of an uncompressed public point
_CURVE = ec.SECP256R1()
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class KeyUnknown(Refusal):
    code = "cipher_key_unknown"
    message = "这条记录用另一把密钥加密，服务器现在读不出，已单独保存。请系统运维核对密钥文件，恢复后在设备状态中点“立即上传”。"


class CipherBroken(Refusal):
    code = "cipher_broken"
    message = "这条记录的密文不完整或被改动，服务器读不出，已单独保存，请联系系统运维处理。"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """Key that tablets encrypt to: `point` is uncompressed, `id` names it in the envelope (16 hex digits of its hash)."""

    id: str
    point: bytes


def public_key() -> PublicKey:
    """Return the public key of this installation."""
    return _pair(config.current().secret("stamp"))[1]


def opened(sent: Envelope) -> Envelope:
    """Return the envelope with its body decrypted. Raises KeyUnknown, CipherBroken; a body sent in clear is left as it is."""
    if sent.cipher != ENCRYPTED:
        return sent
    private, public = _pair(config.current().secret("stamp"))
    if sent.key_id != public.id:
        raise KeyUnknown
    try:
        data = base64.b64decode(sent.body + b"=" * (-len(sent.body) % 4), altchars=b"-_", validate=True)
        fresh = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, data[:POINT])
        key, nonce = _agreed(private.exchange(ec.ECDH(), fresh), data[:POINT], public.point)
        body = AESGCM(key).decrypt(nonce, data[POINT:], sent.hash.encode())
    except (ValueError, InvalidTag) as error:
        raise CipherBroken from error
    return replace(sent, body=body, cipher="none", key_id=None)


def encrypted(body: bytes, to: PublicKey, record_hash: str) -> str:
    """Encrypt a clear body as a tablet would: for the tests and the demo city."""
    own = ec.generate_private_key(_CURVE)
    point = _point(own)
    theirs = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, to.point)
    key, nonce = _agreed(own.exchange(ec.ECDH(), theirs), point, to.point)
    data = point + AESGCM(key).encrypt(nonce, body, record_hash.encode())
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@lru_cache(8)
def _pair(secret: bytes) -> tuple[ec.EllipticCurvePrivateKey, PublicKey]:
    wide = HKDF(hashes.SHA256(), 48, None, INFO).derive(secret)  # wider than the order, so that no scalar is likelier
    private = ec.derive_private_key(int.from_bytes(wide) % (_ORDER - 1) + 1, _CURVE)
    point = _point(private)
    return private, PublicKey(hashlib.sha256(point).hexdigest()[:16], point)


def _point(private: ec.EllipticCurvePrivateKey) -> bytes:
    shape = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return private.public_key().public_bytes(*shape)


def _agreed(secret: bytes, fresh: bytes, server: bytes) -> tuple[bytes, bytes]:
    """Derive key and nonce. A fresh key pair is used once, so the nonce may be derived from it."""
    found = HKDF(hashes.SHA256(), 44, None, INFO + fresh + server).derive(secret)
    return found[:32], found[32:]
