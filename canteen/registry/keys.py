"""The keys of the registry: ID numbers sealed and looked up by keyed hash, cards known by digest.

None of these keys is in the database. Whatever is sealed names the key that opens it and is bound to
the row it belongs to, so that a ciphertext moved to another row does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

from canteen.config import Config
from canteen.errors import Conflict

FORMAT = b"\x01"  # of what is sealed: this byte, id of the key, nonce, ciphertext
KEY_ID, NONCE = 4, 12  # bytes
ROW_KEY = 32


class Unreadable(Conflict):
    code = "sealed_unreadable"
    message = "加密内容无法打开：密钥不对或数据已损坏，请联系系统运维。"


def derive(secret: bytes, salt: bytes, purpose: str, length: int = 32) -> bytes:
    """Derive a key of `secret` by HKDF-SHA-256; each `purpose` gives an output that reveals nothing of the others."""
    return HKDF(algorithm=hashes.SHA256(), length=length, salt=salt, info=purpose.encode()).derive(secret)


class Box:
    """AES-256-GCM under one current key; older keys, by their id, only open."""

    def __init__(self, current: bytes, older: Iterable[bytes] = (), *, purpose: str) -> None:
        self._keys = {name_of(secret): AESGCM(derive(secret, b"", purpose)) for secret in older}
        self.key_id = name_of(current)
        self._keys[self.key_id] = AESGCM(derive(current, b"", purpose))

    def seal(self, plain: bytes, about: str) -> bytes:
        """Encrypt `plain`, bound to `about` (which table, field and row): FORMAT, the key's id, nonce, ciphertext."""
        nonce = secrets.token_bytes(NONCE)
        ciphertext = self._keys[self.key_id].encrypt(nonce, plain, about.encode())
        return FORMAT + bytes.fromhex(self.key_id) + nonce + ciphertext

    def open(self, sealed: bytes, about: str) -> bytes:
        """Decrypt under the key that `sealed` names. Raises Unreadable: unknown format or key, other row, altered bytes."""
        head = len(FORMAT) + KEY_ID
        key = self._keys.get(sealed[len(FORMAT) : head].hex())
        if key is None or not sealed.startswith(FORMAT) or len(sealed) <= head + NONCE:
            raise Unreadable
        try:
            return key.decrypt(sealed[head : head + NONCE], sealed[head + NONCE :], about.encode())
        except InvalidTag as error:
            raise Unreadable from error


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every key that the registry uses.

    identity    seals ID numbers, phone numbers and bank accounts
    wrap        seals row keys and, until printed, card codes
    salts       card salts by id; a card keeps the salt it was made with for life
    lookup_key  ID numbers are found by their hash under it; `lookup_id` is stored beside each such hash
    """

    identity: Box
    wrap: Box
    salts: Mapping[str, bytes]
    salt_id: str
    lookup_key: bytes
    lookup_id: str

    def mac(self, text: str) -> str:
        """Return the keyed hash under which an ID number is looked up: HMAC-SHA-256, hex."""
        return hmac.new(self.lookup_key, text.encode(), hashlib.sha256).hexdigest()

    def digest(self, code: str, salt_id: str | None = None) -> str:
        """Return the digest that identifies a card: HKDF-SHA-256 of code and salt, hex. Sales store only this."""
        return derive(code.encode("ascii"), self.salts[salt_id or self.salt_id], "canteen card digest").hex()

    def row_key(self, code: str, salt_id: str | None = None) -> bytes:
        """Return the key that seals this card's row on tablets; it can be derived from the card."""
        return derive(code.encode("ascii"), self.salts[salt_id or self.salt_id], "canteen card row", ROW_KEY)


def of(config: Config) -> Keyring:
    """Return the keyring of an installation, from the secrets in its keys directory."""
    names = ("identity", "identity-lookup", "card-wrap", "card-salt")
    return made_of(*(config.secret(name) for name in names))


def made_of(identity: bytes, lookup: bytes, wrap: bytes, salt: bytes) -> Keyring:
    """Return the keyring that four secrets make."""
    return Keyring(
        identity=identity_box(identity),
        wrap=wrap_box(wrap),
        salts={name_of(salt): salt},
        salt_id=name_of(salt),
        lookup_key=derive(lookup, b"", "canteen identity lookup"),
        lookup_id=name_of(lookup),
    )


def identity_box(secret: bytes) -> Box:
    """Return the box that seals ID numbers, phone numbers and bank accounts under the secret `identity`."""
    return Box(secret, purpose="canteen identity seal")


def wrap_box(secret: bytes) -> Box:
    """Return the box that seals row keys and card codes under the secret `card-wrap`."""
    return Box(secret, purpose="canteen card wrap")


def keyring() -> Keyring:
    """Return the keyring of the current application, made once."""
    found = current_app.extensions.get("canteen-keyring")
    if not isinstance(found, Keyring):
        config: Config = current_app.config["CANTEEN"]
        found = current_app.extensions["canteen-keyring"] = of(config)
    return found


def name_of(secret: bytes) -> str:
    """Return a key's id: eight hex digits that tell keys apart and nothing about them."""
    return derive(secret, b"", "canteen key id", KEY_ID).hex()
