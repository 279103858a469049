"""Name, number, telephone and portrait of an elder: changed by a new version, read in clear only on record."""

from __future__ import annotations

import io
import uuid
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy import select
from sqlalchemy.orm import Session

from canteen import events
from canteen.errors import Invalid
from canteen.registry import elders, keys, text_forms
from canteen.registry.elders import NoElder
from canteen.registry.models import ElderIdentity, ElderPhoto
from canteen.registry.text_forms import fold, name_of

PORTRAIT: Final = (240, 320)  # pixels
PIXELS: Final = 40_000_000  # of a picture handed in: a telephone's is a quarter of it
REASON: Final = 4  # characters at least


class BadPicture(Invalid):
    code = "picture_malformed"
    message = "照片打不开，请换一张 JPG 或 PNG 格式的照片。"


class NoReason(Invalid):
    code = "reason_missing"
    message = "请写明查看完整号码的原因（至少 4 个字），会记入审计。"


def current(session: Session, elder_id: uuid.UUID) -> ElderIdentity:
    """Return the newest version of an elder's identity. Raises NoElder."""
    newest = select(ElderIdentity).where(ElderIdentity.elder_id == elder_id).order_by(ElderIdentity.id.desc())
    found = session.execute(newest.limit(1)).scalar_one_or_none()
    if found is None:
        raise NoElder
    return found


def phone_of(row: ElderIdentity) -> str:
    """Return the telephone number, '' where none is known."""
    if row.phone_cipher is None:
        return ""
    return keys.keyring().identity.open(row.phone_cipher, f"elder.phone {row.elder_id}").decode()


def amend(session: Session, elder_id: uuid.UUID, name: str, phone: str, by: str) -> None:
    """Correct name and telephone; the number stays. Nothing new: nothing happens. Raises NoElder, BadName, BadPhone."""
    elders.lock(session, elder_id)
    row, name, phone = current(session, elder_id), name_of(name), text_forms.phone_of(phone)
    if (row.name, phone_of(row)) == (name, phone):
        return
    box = keys.keyring().identity
    number = row.number_cipher
    if number is not None:
        number = box.seal(box.open(number, f"elder.number {elder_id}"), f"elder.number {elder_id}")
    changed = [what for what, was, now in (("name", row.name, name), ("phone", phone_of(row), phone)) if was != now]
    recorded = events.record(session, "elder.amend", str(elder_id), by=by, body={"changed": changed})
    session.add(
        ElderIdentity(
            elder_id=elder_id,
            name=name,
            pinyin=row.pinyin,
            document=row.document,
            number_cipher=number,
            number_masked=row.number_masked,
            phone_cipher=box.seal(phone.encode(), f"elder.phone {elder_id}") if phone else None,
            recorded=recorded,
        )
    )
    session.flush()


def reveal(session: Session, elder_id: uuid.UUID, reason: str, by: str) -> str:
    """Return the whole ID number, each look recorded with its reason (P28). Raises NoElder, NoReason."""
    reason = fold(reason)
    if not REASON <= len(reason) <= 200:
        raise NoReason
    row = current(session, elder_id)
    events.record(session, "elder.reveal", str(elder_id), by=by, body={"reason": reason})
    if row.number_cipher is None:
        return ""
    return keys.keyring().identity.open(row.number_cipher, f"elder.number {elder_id}").decode()


def set_photo(session: Session, elder_id: uuid.UUID, picture: bytes, by: str) -> None:
    """Keep a portrait for the counter: cut to shape, made small, without anything hidden in the file. Raises BadPicture."""
    elders.lock(session, elder_id)
    jpeg = _portrait(picture)
    recorded = events.record(session, "elder.photo", str(elder_id), by=by, body={"bytes": len(jpeg)})
    session.add(ElderPhoto(elder_id=elder_id, jpeg=jpeg, recorded=recorded))
    session.flush()


def _portrait(picture: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > PIXELS:
                raise BadPicture("照片太大，请缩小后再上传。")
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPicture from error
    out = io.BytesIO()
    ImageOps.fit(upright, PORTRAIT, Image.Resampling.LANCZOS, centering=(0.5, 0.3)).save(out, "JPEG", quality=80)
    return out.getvalue()
