"""Photos of dishes: whatever is uploaded is decoded, cut to shape, made small and encoded anew."""

from __future__ import annotations

import io
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError
from sqlalchemy.orm import Session

from canteen import events
from canteen.errors import Invalid
from canteen.menus import changes
from canteen.menus.models import MenuPhoto

SHAPE: Final = (320, 240)  # pixels
PIXELS: Final = 40_000_000  # of a picture handed in: a telephone's is a quarter of it


class BadPhoto(Invalid):
    code = "menu_photo_malformed"
    message = "照片打不开或太大，请换一张 JPG 或 PNG 格式的照片。"


def set_photo(session: Session, item_id: str, picture: bytes, *, by: str) -> None:
    """Keep a photo of a dish, in place of the former one. Raises NoItem, BadPhoto."""
    item = changes.item_of(session, item_id)
    jpeg = _small(picture)
    events.record(session, "menu.photo", item.canteen_id, by=by, body={"item": item_id, "bytes": len(jpeg)})
    known = session.get(MenuPhoto, item_id)
    if known is None:
        session.add(MenuPhoto(item_id=item_id, jpeg=jpeg))
    else:
        known.jpeg = jpeg
    session.flush()


def photo_of(session: Session, item_id: str) -> bytes | None:
    """Return the photo of a dish as JPEG, None where there is none."""
    found = session.get(MenuPhoto, item_id)
    return found.jpeg if found else None


def _small(picture: bytes) -> bytes:
    try:
        with Image.open(io.BytesIO(picture), formats=("JPEG", "PNG")) as opened:
            if opened.width * opened.height > PIXELS:
                raise BadPhoto
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadPhoto from error
    out = io.BytesIO()
    ImageOps.fit(upright, SHAPE, Image.Resampling.LANCZOS).save(out, "JPEG", quality=75)
    return out.getvalue()
