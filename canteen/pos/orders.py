"""What stands in the body of a record: one checkout of 1-10 sales with one payment, or one void.

Reading is strict in shape and lenient in fact: a meal that was eaten is never refused for what it says,
only for being unreadable. `content_hash` is over canonical JSON, so key order and number form do not matter (P2).
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import date
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from canteen.errors import Invalid
from canteen.money import Fen
from canteen.places import MEALS
from canteen.pos.models import HOW_READ, MODES, TENDERS

MOST_FEN = 10_000_00  # of one sale: a till that says more is asking for the wrong unit
MOST_SALES = 10


class BodyMalformed(Invalid):
    code = "body_malformed"
    message = "这条记录的内容无法识别，已单独保存，请联系系统运维处理。"


class Closed(Schema):
    class Meta:
        unknown = RAISE


def _text(most: int, least: int = 1) -> validate.Length:
    return validate.Length(min=least, max=most)


_FEN = validate.Range(0, MOST_FEN)
_HEX = validate.Regexp(r"\A[0-9a-f]{64}\Z")


class LineSchema(Closed):
    item = fields.String(required=True, validate=_text(64))
    name = fields.String(required=True, validate=_text(80))
    fen = fields.Integer(strict=True, required=True, validate=_FEN)
    quantity = fields.Integer(strict=True, required=True, validate=validate.Range(1, 99))
    tags = fields.List(fields.String(validate=_text(40)), load_default=list, validate=validate.Length(max=20))


class SaleSchema(Closed):
    id = fields.UUID(required=True)
    canteen = fields.String(required=True, validate=_text(64))
    point = fields.String(required=True, allow_none=True, validate=_text(64))
    elder = fields.UUID(required=True, allow_none=True)
    credential = fields.String(required=True, allow_none=True, validate=_HEX)
    guest = fields.String(
        required=True, allow_none=True, validate=validate.OneOf(("guest", "staff", "volunteer", "spouse"))
    )
    how = fields.String(required=True, validate=validate.OneOf(HOW_READ))
    mode = fields.String(required=True, validate=validate.OneOf(MODES))
    day = fields.Date(required=True, format="iso")
    period = fields.String(required=True, validate=validate.OneOf(MEALS))
    lines = fields.List(fields.Nested(LineSchema), required=True, validate=validate.Length(max=20))
    amount = fields.Integer(strict=True, required=True, allow_none=True, validate=_FEN)
    quote = fields.Dict(required=True)
    input = fields.Dict(required=True)
    input_hash = fields.String(required=True, validate=_HEX)
    rulebook = fields.String(required=True, validate=_HEX)
    stamp = fields.String(required=True, allow_none=True, validate=_text(2000))
    quoted_mono = fields.Integer(strict=True, required=True, allow_none=True, validate=validate.Range(0, 2**53))
    flags = fields.List(fields.String(validate=validate.Regexp(r"\A[a-z_]{1,40}\Z")), load_default=list)


class TenderSchema(Closed):
    kind = fields.String(required=True, validate=validate.OneOf(TENDERS))
    fen = fields.Integer(strict=True, required=True, validate=_FEN)
    given = fields.Integer(strict=True, required=True, validate=_FEN)
    change = fields.Integer(strict=True, required=True, validate=_FEN)
    reference = fields.String(load_default="", validate=_text(64, 0))


class PaymentSchema(Closed):
    id = fields.UUID(required=True)
    due = fields.Integer(strict=True, required=True, validate=validate.Range(0, MOST_FEN * MOST_SALES))
    tenders = fields.List(fields.Nested(TenderSchema), required=True, validate=validate.Length(1, 4))


class TabletClockSchema(Closed):
    offset_ms = fields.Integer(strict=True, required=True, allow_none=True)
    boot = fields.String(required=True, validate=_text(64))


class CheckoutSchema(Closed):
    sales = fields.List(fields.Nested(SaleSchema), required=True, validate=validate.Length(1, MOST_SALES))
    payment = fields.Nested(PaymentSchema, required=True)
    cashier = fields.String(required=True, validate=_text(64))
    clock = fields.Nested(TabletClockSchema, required=True)


class RefundSchema(Closed):
    kind = fields.String(required=True, validate=validate.OneOf(TENDERS))
    fen = fields.Integer(strict=True, required=True, validate=_FEN)


class VoidSchema(Closed):
    id = fields.UUID(required=True)
    sale = fields.UUID(required=True)
    cashier = fields.String(required=True, validate=_text(64))
    approved_by = fields.String(required=True, allow_none=True, validate=_text(64))
    approval = fields.String(required=True, allow_none=True, validate=_text(2000))
    reason = fields.String(required=True, validate=_text(200))
    refund = fields.Nested(RefundSchema, required=True)


@dataclass(frozen=True, slots=True)
class Line:
    item: str
    name: str
    fen: Fen
    quantity: int
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SaleOrder:
    """One sale as the tablet rang it up; `quote` and `input` are the documents it was sold under."""

    id: uuid.UUID
    canteen: str
    point: str | None
    elder: uuid.UUID | None
    credential: str | None
    guest: str | None
    how: str
    mode: str
    day: date
    period: str
    lines: tuple[Line, ...]
    amount: Fen | None
    quote: dict[str, Any]
    input: dict[str, Any]
    input_hash: str
    rulebook: str
    stamp: str | None
    quoted_mono: int | None
    flags: tuple[str, ...]
    content_hash: str

    @property
    def list_fen(self) -> Fen:
        """The list price by what was on the tray, or the one amount."""
        return self.amount if self.amount is not None else sum(line.fen * line.quantity for line in self.lines)


@dataclass(frozen=True, slots=True)
class TenderGiven:
    kind: str
    fen: Fen
    given: Fen
    change: Fen
    reference: str


@dataclass(frozen=True, slots=True)
class Checkout:
    """One checkout: its sales and the one payment over them."""

    sales: tuple[SaleOrder, ...]
    payment_id: uuid.UUID
    due: Fen
    tenders: tuple[TenderGiven, ...]
    cashier: str
    offset_ms: int | None
    offset_boot: str

    @property
    def paid(self) -> Fen:
        return sum(tender.fen for tender in self.tenders)


@dataclass(frozen=True, slots=True)
class VoidOrder:
    id: uuid.UUID
    sale: uuid.UUID
    cashier: str
    approved_by: str | None
    approval: str | None
    reason: str
    refund_kind: str
    refund_fen: Fen


_checkout, _void = CheckoutSchema(), VoidSchema()


def read_checkout(body: bytes) -> Checkout:
    """Raises BodyMalformed naming the fields."""
    document = _decode(body)
    data = _load(_checkout, document)
    payment = data["payment"]
    if len({sale["id"] for sale in data["sales"]}) != len(data["sales"]):
        raise BodyMalformed(details={"fields": ["sales.id"]})
    if len({sale["canteen"] for sale in data["sales"]}) != 1:
        raise BodyMalformed(details={"fields": ["sales.canteen"]})
    for tender in payment["tenders"]:
        if tender["change"] != tender["given"] - tender["fen"]:
            raise BodyMalformed(details={"fields": ["payment.tenders.change"]})
    around = {"payment": document["payment"], "cashier": document["cashier"]}
    return Checkout(
        sales=tuple(_sale(sale, raw, around) for sale, raw in zip(data["sales"], document["sales"], strict=True)),
        payment_id=payment["id"],
        due=payment["due"],
        tenders=tuple(TenderGiven(**tender) for tender in payment["tenders"]),
        cashier=data["cashier"],
        offset_ms=data["clock"]["offset_ms"],
        offset_boot=data["clock"]["boot"],
    )


def _sale(data: dict[str, Any], raw: dict[str, Any], around: dict[str, Any]) -> SaleOrder:
    if (data["elder"] is None) == (data["guest"] is None):
        raise BodyMalformed(details={"fields": ["sales.elder", "sales.guest"]})
    if bool(data["lines"]) == (data["amount"] is not None):
        raise BodyMalformed(details={"fields": ["sales.lines", "sales.amount"]})
    lines = tuple(Line(**{**line, "tags": tuple(line["tags"])}) for line in data["lines"])
    content = content_hash({"sale": raw, **around})
    return SaleOrder(**{**data, "lines": lines, "flags": tuple(data["flags"]), "content_hash": content})


def read_void(body: bytes) -> VoidOrder:
    """Raises BodyMalformed naming the fields."""
    data = _load(_void, _decode(body))
    refund = data.pop("refund")
    return VoidOrder(**data, refund_kind=refund["kind"], refund_fen=refund["fen"])


def content_hash(document: object) -> str:
    """SHA-256 of the canonical JSON of what `_decode` read: keys sorted, whole floats as integers, texts as sent."""
    try:
        text = json.dumps(document, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    except RecursionError as error:
        raise BodyMalformed from error
    return hashlib.sha256(text.encode()).hexdigest()


def _storable(value: object) -> None:
    """Raises ValueError for texts that no database keeps: half a character, or NUL."""
    if isinstance(value, str):
        value.encode()
        if "\0" in value:
            raise ValueError("NUL")
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _storable(inner)


def _decode(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
        document = json.loads(text, parse_constant=_no_constant, parse_float=_number)
        if "\\u" in text:  # without an escape there can be neither: JSON and UTF-8 refuse them as they are
            _storable(document)
    except (ValueError, RecursionError) as error:
        raise BodyMalformed from error
    return document


def _number(text: str) -> float:
    value = float(text)
    return int(value) if value.is_integer() else value


def _no_constant(name: str) -> None:
    raise ValueError(name)


def _load(schema: Schema, document: Any) -> dict[str, Any]:
    try:
        data: dict[str, Any] = schema.load(document)
    except (ValidationError, OverflowError) as error:
        named = sorted(map(str, error.messages_dict)) if isinstance(error, ValidationError) else []
        raise BodyMalformed(details={"fields": named}) from error
    return data
