"""Tablets: let in by a one-time code, known by the key that signs what they send, shut out at once when lost."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from flask import Request
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from canteen import clock, concerns, events, places
from canteen.auth import contacts, sessions
from canteen.auth.models import EnrolmentCode, Tablet
from canteen.db import transaction
from canteen.errors import Forbidden, Invalid, Missing
from canteen.memory import Head, Kept
from canteen.prepared import Prepared
from canteen.web.errors import LoginNeeded

CODE_DIGITS = 12
CODE_LIFE = timedelta(hours=1)
LONGEST_REPORT = 200  # characters of the report that a tablet sends with a request
REVOKED = {"lost": "丢失或被盗", "broken": "损坏", "replaced": "换新", "closed": "餐厅停用"}
SKEW_LIMIT = 2**40  # ms; beyond it the clock is not worth measuring


class NoTablet(Missing):
    code = "tablet_not_found"
    message = "没有找到这台平板，请核对后再试。"


class CodeRefused(Forbidden):
    code = "enrolment_code_refused"
    message = "启用码不对、已用过或已过期，请管理员重新生成。"


class BadKey(Invalid):
    code = "bad_public_key"
    message = "平板的密钥格式不对，请在平板上重新启用。"


class BadSignature(LoginNeeded):
    code = "bad_signature"
    message = "平板未启用或签名不对，请重新启用这台平板。"


class TabletUnknown(LoginNeeded):
    code = "tablet_unknown"
    message = "服务器不认识这台平板，可能刚从较早的备份恢复。请管理员生成启用码，交班后点“重新启用这台平板”输入，记录会自动补传。"


class TabletRevoked(LoginNeeded):
    code = "tablet_revoked"
    message = "这台平板已被停用，请联系管理员。"


@dataclass(frozen=True, slots=True)
class KnownTablet:
    """A tablet as its requests need it; changed by its enrolment and its revocation alone."""

    id: str
    name: str
    canteen_id: str
    key: ec.EllipticCurvePublicKey
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewCode:
    """Shown once: only its digest is kept."""

    code: str
    expires_at: datetime

    @property
    def grouped(self) -> str:
        return f"{self.code[:4]} {self.code[4:8]} {self.code[8:]}"


# --- letting in ---


def make_code(canteen_id: str, name: str, *, by: str) -> NewCode:
    """Make a one-time code that lets one tablet into a canteen within the hour."""
    if not 1 <= len(name := name.strip()) <= 40:
        raise Invalid("请填写平板名称（1 至 40 个字），例如“一号窗口”。")
    with transaction() as session:
        places.canteen(session, canteen_id)
        code, now = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS)), clock.now()
        made = NewCode(code, now + CODE_LIFE)
        session.add(
            EnrolmentCode(
                digest=_digest(code),
                canteen_id=canteen_id,
                name=name,
                made_by=by,
                made_at=now,
                expires_at=made.expires_at,
                tablet_id=None,
            )
        )
        events.record(session, "tablet.code", canteen_id, by=by)
    return made


def enrol(code: str, public_key: bytes, former: str | None = None) -> str:
    """Let a tablet in and return its id. The same code with the same key again returns the same tablet.

    public_key    uncompressed P-256 point, 65 bytes
    former        the id that the tablet had before the database was restored from a backup: it keeps the id, so its
                  records continue their chain
    Raises CodeRefused, also for a former id that is known, and BadKey.
    """
    _point(public_key)
    digits = re.sub(r"[\s-]", "", code)
    with transaction() as session:
        row = session.execute(
            select(EnrolmentCode).where(EnrolmentCode.digest == _digest(digits)).with_for_update()
        ).scalar_one_or_none()
        if row is None:
            raise CodeRefused
        if row.tablet_id is not None:
            return _enrolled_before(session, row.tablet_id, public_key)
        if row.expires_at < clock.now():
            raise CodeRefused
        if former is not None and session.get(Tablet, former) is not None:
            raise CodeRefused
        tablet = Tablet(
            id=former or secrets.token_hex(8),
            name=row.name,
            canteen_id=row.canteen_id,
            public_key=public_key,
            enrolled_at=clock.now(),
            enrolled_by=row.made_by,
            seen_at=None,
            revoked_at=None,
            skew_ms=None,
        )
        session.add(tablet)
        session.flush()
        row.tablet_id = tablet.id
        body = {"canteen": tablet.canteen_id, "key": hashlib.sha256(public_key).hexdigest()}
        events.record(session, "tablet.enrol", tablet.id, by=row.made_by, body=body)
        return tablet.id


def revoke(tablet_id: str, *, by: str, reason: str) -> None:
    """Shut a tablet out from its next request on, and log out its cashier. Safe to repeat.

    reason    a key of REVOKED
    """
    if reason not in REVOKED:
        raise Invalid("请选择停用原因。")
    with transaction() as session:
        tablet = session.get(Tablet, tablet_id, with_for_update=True)
        if tablet is None:
            raise NoTablet
        if tablet.revoked_at is None:
            tablet.revoked_at = clock.now()
            sessions.end_on_tablet(session, tablet_id)
            events.record(session, "tablet.revoke", tablet_id, by=by, body={"reason": reason})


def _enrolled_before(session: Session, tablet_id: str, public_key: bytes) -> str:
    tablet = session.get(Tablet, tablet_id)
    if tablet is None or tablet.public_key != public_key or tablet.revoked_at is not None:
        raise CodeRefused
    return tablet.id


# --- requests of enrolled tablets ---


def signed_text(method: str, path: str, at: str, body: bytes) -> bytes:
    """Return the text a tablet signs: method, path with query, its own time, SHA-256 of the body; one a line."""
    return f"{method}\n{path}\n{at}\n{hashlib.sha256(body).hexdigest()}".encode()


def verify(session: Session, head: Head, request: Request, *, revoked: bool = False) -> KnownTablet:
    """Return the tablet whose key signed this request.

    head    the newest event, read at this request: a revocation counts at once
    Raises BadSignature, TabletUnknown, and, unless `revoked` ones are allowed, TabletRevoked.

    Its clock may be wrong by days, so its time is not judged here; a request sent again reads or repeats, no more.
    """
    headers, query = request.headers, request.query_string
    tablet_id, at = headers.get("X-Tablet", ""), headers.get("X-Tablet-At", "")
    if not 0 < len(tablet_id) <= 64 or len(at) > LONGEST_REPORT:
        raise BadSignature
    concerned = (concerns.tablet(tablet_id),)
    tablet = _kept.get(session, head, tablet_id, lambda: _read(session, tablet_id), lambda _: concerned)
    path = request.path + (f"?{query.decode('latin-1')}" if query else "")
    signature = headers.get("X-Tablet-Signature", "")
    if not _fits(tablet.key, signature, signed_text(request.method, path, at, request.get_data())):
        raise BadSignature
    if tablet.revoked_at is not None and not revoked:
        raise TabletRevoked
    return tablet


_kept: Kept[KnownTablet] = Kept(20_000)
_TABLET = Prepared(
    select(Tablet.name, Tablet.canteen_id, Tablet.public_key, Tablet.revoked_at).where(Tablet.id == bindparam("tablet"))
)


def _read(session: Session, tablet_id: str) -> KnownTablet:
    rows = _TABLET.rows(session, {"tablet": tablet_id})
    if not rows:
        raise TabletUnknown
    name, canteen_id, public_key, revoked_at = rows[0]
    return KnownTablet(tablet_id, name, canteen_id, _point(public_key), revoked_at)


def signature_fits(public_key: bytes, signature: str, signed: bytes) -> bool:
    """Return whether `signature` (base64url of r and s, 32 bytes each) over `signed` was made by the key's owner."""
    return _fits(_point(public_key), signature, signed)


def _fits(key: ec.EllipticCurvePublicKey, signature: str, signed: bytes) -> bool:
    try:
        raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    except (binascii.Error, ValueError):
        return False
    if len(raw) != 64:
        return False
    der = encode_dss_signature(int.from_bytes(raw[:32]), int.from_bytes(raw[32:]))
    try:
        key.verify(der, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def touch(session: Session, tablet_id: str, header: str) -> None:
    """Note when the tablet was heard, how far its clock is off and what it reported, at most once a minute."""
    at, report = contacts.read(header)
    contacts.note(session, tablet_id, report, _skew(at, clock.now()))


def _skew(at: str, now: datetime) -> int | None:
    theirs = clock.read(at)
    if theirs is None:
        return None
    skew = round((theirs - now).total_seconds() * 1000)
    return skew if abs(skew) < SKEW_LIMIT else None


def _point(public_key: bytes) -> ec.EllipticCurvePublicKey:
    if len(public_key) != 65:
        raise BadKey
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    except ValueError as error:
        raise BadKey from error


def _digest(code: str) -> str:
    return hashlib.sha256(b"enrolment code\n" + code.encode()).hexdigest()
