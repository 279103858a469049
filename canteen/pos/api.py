"""The tablet's API: quotes to read, records to bring. Shapes in schemas, every rule elsewhere."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import asdict
from typing import Any

from flask import Response, g, request
from marshmallow import ValidationError, fields, validate, validates_schema

from canteen import clock, places
from canteen.auth.guard import Permission, allowed, even_revoked, newest_read_by, tablet_signed
from canteen.auth.tablets import KnownTablet
from canteen.db import db
from canteen.policy.quote import quote_doc
from canteen.pos import acknowledgements, notices, pricing, records, scan_quotes, wire_format
from canteen.pos.models import HOW_READ, MODES
from canteen.pos.orders import GUESTS, MOST_FEN, MOST_SALES
from canteen.pos.scan_quotes import Answer, Asked, Quoted
from canteen.web.api import Blueprint, Strict, answer

bp = Blueprint("pos_api", __name__, url_prefix="/api/v1", description="What tablets ask and bring")


class AskedLine(Strict):
    item = fields.String(required=True, validate=validate.Length(1, 64))
    quantity = fields.Integer(required=True, strict=True, validate=validate.Range(1, 99))


class AskedSale(Strict):
    """A scan, a credential from an earlier answer, or a guest; with lines of the menu or one amount."""

    scan = fields.String(load_default=None, allow_none=True, validate=validate.Length(1, 512))
    credential = fields.String(load_default=None, allow_none=True, validate=validate.Regexp(r"\A[0-9a-f]{64}\Z"))
    elder = fields.UUID(load_default=None, allow_none=True)
    guest = fields.String(load_default=None, allow_none=True, validate=validate.OneOf(GUESTS))
    how = fields.String(load_default="none", validate=validate.OneOf(HOW_READ))
    mode = fields.String(load_default="dine_in", validate=validate.OneOf(MODES))
    lines = fields.List(fields.Nested(AskedLine), load_default=list, validate=validate.Length(max=20))
    amount = fields.Integer(load_default=None, allow_none=True, strict=True, validate=validate.Range(0, MOST_FEN))

    @validates_schema
    def _one_of_each(self, data: dict[str, Any], **_: Any) -> None:
        known = data["scan"] is not None or data["credential"] is not None
        if known == (data["guest"] is not None):
            raise ValidationError("a scan or a guest", "scan")
        if bool(data["lines"]) == (data["amount"] is not None):
            raise ValidationError("lines or one amount", "lines")


class QuotesIn(Strict):
    canteen = fields.String(required=True, validate=validate.Length(1, 64))
    sales = fields.List(fields.Nested(AskedSale), required=True, validate=validate.Length(1, MOST_SALES))


class RecordsIn(Strict):
    records = fields.List(fields.Raw(required=True), required=True, validate=validate.Length(1, records.MOST_RECORDS))


_ASKED_LINE = wire_format.record({"item": wire_format.text(64, 1), "quantity": wire_format.whole(1, 99)})
_ASKED_SALE = wire_format.record(
    {},
    {
        "scan": (wire_format.or_null(wire_format.text(512, 1)), None),
        "credential": (wire_format.or_null(wire_format.like("[0-9a-f]{64}")), None),
        "elder": (wire_format.or_null(wire_format.uid), None),
        "guest": (wire_format.or_null(wire_format.among(GUESTS)), None),
        "how": (wire_format.among(HOW_READ), "none"),
        "mode": (wire_format.among(MODES), "dine_in"),
        "lines": (wire_format.many(_ASKED_LINE, 20), ()),
        "amount": (wire_format.or_null(wire_format.whole(0, MOST_FEN)), None),
    },
)


def _asked_sale(value: Any) -> dict[str, Any]:
    found: dict[str, Any] = _ASKED_SALE(value)
    known = found["scan"] is not None or found["credential"] is not None
    if known == (found["guest"] is not None) or bool(found["lines"]) == (found["amount"] is not None):
        raise wire_format.Wrong
    return found


def _any_record(value: Any) -> Any:
    if value is None:
        raise wire_format.Wrong
    return value


_read_quotes = wire_format.record(
    {"canteen": wire_format.text(64, 1), "sales": wire_format.many(_asked_sale, MOST_SALES, 1)}
)
_read_records = wire_format.record({"records": wire_format.many(_any_record, records.MOST_RECORDS, 1)})


@bp.post("/pos/quotes")
@allowed(Permission.SELL)
@tablet_signed
@bp.reads(QuotesIn, _read_quotes)
@bp.response(200)
def quotes(asked: dict[str, Any]) -> Response:
    """Quote a checkout: list price, shares, due, and a stamp for each sale. Nothing is stored."""
    session = db.session()
    canteen_id = _own(g.tablet, asked["canteen"])
    wanted = [
        Asked(
            scan=sale["scan"],
            credential=sale["credential"],
            guest=sale["guest"],
            mode=sale["mode"],
            items=tuple((line["item"], line["quantity"]) for line in sale["lines"]),
            amount=sale["amount"],
        )
        for sale in asked["sales"]
    ]
    who = {"tablet_id": g.tablet.id, "cashier": g.person.id}
    return answer(_quoted(scan_quotes.quote(session, canteen_id, wanted, **who, head=g.head)))


@bp.post("/records")
@tablet_signed
@even_revoked
@newest_read_by(acknowledgements.newest)
@bp.reads(RecordsIn, _read_records)
@bp.response(200)
def bring(batch: dict[str, Any]) -> Response:
    """Book records in their order; one answer each. The same record may be brought again for ever."""
    tablet: KnownTablet = g.tablet
    heard = acknowledgements.hear(tablet, request.args)  # before booking: what comes now would hide what is missing
    results = records.accept(batch["records"], tablet, g.head)
    return answer(
        {
            **asdict(heard),
            "at": clock.now().isoformat(),
            "results": [
                {
                    "id": result.id,
                    "outcome": result.outcome,
                    "sales": list(result.sales),
                    "excluded": [
                        {"sale": each.sale, "fen": each.fen, "reason": each.reason} for each in result.excluded
                    ],
                    "notices": [{"sale": sale, "say": say} for sale, say in _notices(result).items()],
                    "reason": result.reason,
                    "message": result.message,
                }
                for result in results
            ],
        }
    )


def _notices(result: records.Result) -> dict[str, str]:
    """Return the message to the cashier about each sale, by its id."""
    return notices.sentences((each.sale, each.fen, each.reason) for each in result.excluded)


def _own(tablet: KnownTablet, canteen_id: str) -> str:
    """Refuse a canteen other than the tablet's own as if it did not exist."""
    if canteen_id != tablet.canteen_id:
        raise places.NoCanteen
    return canteen_id


def _quoted(quoted: Quoted) -> dict[str, Any]:
    return {
        "at": quoted.at.isoformat(timespec="milliseconds"),
        "day": quoted.place.day.isoformat(),
        "period": quoted.place.period,
        "flags": list(quoted.place.flags),
        "sales": [_answer(each) for each in quoted.answers],
    }


def _answer(of: Answer) -> dict[str, Any]:
    title = of.title
    photo = f"data:image/jpeg;base64,{b64encode(of.photo).decode()}" if of.photo else None
    return {
        "elder": str(of.elder_id) if of.elder_id else None,
        "credential": of.credential,
        "diner": {"title": title.surname_title, "initial": title.initial, "photo": photo} if title else None,
        "guest": of.guest,
        "mode": of.mode,
        "lines": [
            {"item": e.item, "name": e.name, "fen": e.fen, "quantity": e.quantity, "tags": list(e.tags)}
            for e in of.lines
        ],
        "amount": of.amount,
        "quote": quote_doc(of.priced.quote),
        "input": of.priced.document,
        "input_hash": of.priced.hash,
        "rulebook": of.rulebook,
        "stamp": of.stamp,
        "say": pricing.say(of.priced.quote),
        "repeat": of.repeat,
    }
