"""The body of a record: one checkout of 1-10 sales with one payment, or one void.

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

from canteen.errors import Invalid
from canteen.money import Fen
from canteen.places import MEALS
from canteen.pos import wire_format
from canteen.pos.models import HOW_READ, MODES, TENDERS

MOST_FEN = 10_000_00  # of one sale: a till that says more is asking for the wrong unit
MOST_SALES = 10


class BodyMalformed(Invalid):
    code = "body_malformed"
    message = "这条记录的内容无法识别，已单独保存，请联系系统运维处理。"


_FEN = wire_format.whole(0, MOST_FEN)
_HEX = wire_format.like("[0-9a-f]{64}")
_CODE = wire_format.text(64, 1)
_NAMED = wire_format.or_null(_CODE)
GUESTS = ("guest", "staff", "volunteer", "spouse")
_LINE = wire_format.record(
    {"item": _CODE, "name": wire_format.text(80, 1), "fen": _FEN, "quantity": wire_format.whole(1, 99)},
    {"tags": (wire_format.many(wire_format.text(40, 1), 20), ())},
)
_SALE = wire_format.record(
    {
        "id": wire_format.uid,
        "canteen": _CODE,
        "point": _NAMED,
        "elder": wire_format.or_null(wire_format.uid),
        "credential": wire_format.or_null(_HEX),
        "guest": wire_format.or_null(wire_format.among(GUESTS)),
        "how": wire_format.among(HOW_READ),
        "mode": wire_format.among(MODES),
        "day": wire_format.day,
        "period": wire_format.among(MEALS),
        "lines": wire_format.many(_LINE, 20),
        "amount": wire_format.or_null(_FEN),
        "quote": wire_format.mapping,
        "input": wire_format.mapping,
        "input_hash": _HEX,
        "rulebook": _HEX,
        "stamp": wire_format.or_null(wire_format.text(2000, 1)),
        "quoted_mono": wire_format.or_null(wire_format.whole(0, 2**53)),
    },
    {"flags": (wire_format.many(wire_format.like("[a-z_]{1,40}")), ())},
)
_PAID = wire_format.whole(0, MOST_FEN * MOST_SALES)
_TENDER = wire_format.record(
    {"kind": wire_format.among(TENDERS), "fen": _PAID, "given": _PAID, "change": _PAID},
    {"reference": (wire_format.text(64), "")},
)
_CHECKOUT = wire_format.record(
    {
        "sales": wire_format.many(_SALE, MOST_SALES, 1),
        "payment": wire_format.record(
            {
                "id": wire_format.uid,
                "due": _PAID,
                "tenders": wire_format.many(_TENDER, 4, 1),
            }
        ),
        "cashier": _CODE,
        "clock": wire_format.record({"offset_ms": wire_format.or_null(wire_format.whole()), "boot": _CODE}),
    }
)
_VOID = wire_format.record(
    {
        "id": wire_format.uid,
        "sale": wire_format.uid,
        "cashier": _CODE,
        "approved_by": _NAMED,
        "approval": wire_format.or_null(wire_format.text(2000, 1)),
        "reason": wire_format.text(200, 1),
        "refund": wire_format.record({"kind": wire_format.among(TENDERS), "fen": _FEN}),
    }
)


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
        """Return the list price by what was on the tray, or the one amount."""
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


def read_checkout(body: bytes) -> Checkout:
    """Read the body of a checkout. Raises BodyMalformed naming the fields."""
    document = _decode(body)
    data = _load(_CHECKOUT, document)
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
    """Read the body of a void. Raises BodyMalformed naming the fields."""
    data = _load(_VOID, _decode(body))
    refund = data.pop("refund")
    return VoidOrder(**data, refund_kind=refund["kind"], refund_fen=refund["fen"])


def content_hash(document: object) -> str:
    """Hash the canonical JSON of what `_decode` read (SHA-256): keys sorted, whole floats as integers, texts as sent."""
    try:
        text = json.dumps(document, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    except RecursionError as error:
        raise BodyMalformed from error
    return hashlib.sha256(text.encode()).hexdigest()


def _storable(value: object) -> None:
    """Refuse texts that no database can store: half a character, or NUL. Raises ValueError."""
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


def _load(reader: wire_format.Reader, document: Any) -> dict[str, Any]:
    try:
        data: dict[str, Any] = reader(document)
    except wire_format.Wrong as error:
        raise BodyMalformed(details={"fields": error.fields}) from error
    return data
